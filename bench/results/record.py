"""What one run left behind: numbers, timings, provenance. Versioned and typed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, field_validator, model_validator
from pydantic_core import PydanticSerializationError

from bench.contracts.drift.truth import Drift
from bench.contracts.metric import BUILT_IN, Better, Unit
from bench.contracts.naming import Called, plain_command, plain_options, without_places
from bench.contracts.protocol import Protocol
from bench.contracts.text import in_json

SCHEMA_VERSION = 5  # of the form of records; `bench.results.migrations` reads earlier ones

Rows = Literal["stream", "validation"]
"""What a run serves: the stream, after a warm start if any, or the validation rows and nothing after them."""


class Part(BaseModel):
    """Base of the record's parts: closed, but numbers need not be finite."""

    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="constants")

    def as_json(self) -> str:
        """Indented JSON in which control characters are escaped; surrogates, from file names of any bytes, are text."""
        try:
            text = self.model_dump_json(indent=1)
        except PydanticSerializationError:
            values = json.dumps(self.model_dump(mode="json"), indent=1, ensure_ascii=False)
            text = re.sub("[\ud800-\udfff]", lambda found: f"\\\\u{ord(found[0]):04x}", values)
        return in_json(text)


PlacelessText = Annotated[str, AfterValidator(without_places)]
PlacelessOptions = Annotated[dict[str, Any], AfterValidator(plain_options)]
"""What a record or an audit says without the paths of the machine that it was made on."""


class PluginRecord(Part):
    """A plug-in as it ran."""

    name: str  # registered name
    summary: str = ""  # first line of its docstring
    given: PlacelessOptions = {}  # options as the user gave them
    config: PlacelessOptions = {}  # options as resolved, defaults included
    sha: str = ""  # identity of the code and data behind it (see `bench.contracts.outcomes`)
    group: str = ""  # a strategy's group; empty for a forecaster
    carries: str = ""  # what a strategy carries over; empty for a forecaster
    adapts: bool = True  # what a strategy says of itself, like the next five (see `bench.Strategy`)
    labels_from_rows: bool = False  # whether it takes truths from rows
    ablation_of: dict[str, str] = {}  # what it does, and the strategy that lacks it
    lacks: dict[str, str] = {}  # what it lacks, and the strategy that does it
    memory_of: str = ""  # what its memory holds
    colour: str = ""  # in figures


class EventRecord(Part):
    """A known drift: its first row, that row's time stamp, and its name."""

    row: int  # first row after the change began
    time: str  # that row's time stamp
    name: str  # what happened
    kind: str  # abrupt or gradual


class TruthRecord(Part):
    """What is known of a series that was made."""

    drifts: list[Drift] = []  # all of its drifts, as they were set
    twin: str  # fingerprint of the same series without drift


class DatasetRecord(Part):
    """A dataset as it ran."""

    name: str  # its name; of a user's file csv: and the file's own, without folders
    given: dict[str, Any] = {}  # options as the user gave them, but for a path; label is what reports call it
    fingerprint: str  # hash of values, time stamps and layout
    rows: int  # rows of the series
    inputs: list[str]  # names of the columns read
    targets: list[str]  # names of the columns forecast
    borders: tuple[int, int, int]  # first validation row, first stream row, end
    events: list[EventRecord] = []  # known drifts within the series
    season: int | None = None  # rows in a season, or None
    source: str = ""  # where the data come from
    licence: str = ""  # under which terms
    notes: list[str] = []  # what the loader guessed or mended
    # for each column with values in the stream that were never measured but filled in, their share of it
    filled: dict[str, float] = {}
    truth: TruthRecord | None = None  # of a series that was made; None for others

    @model_validator(mode="before")
    @classmethod
    def _names_no_place(cls, values: Any) -> Any:
        of_names = isinstance(values, dict) and isinstance(values.get("name"), str)
        if of_names and isinstance(values.get("given", {}), dict):
            called = Called.of(values["name"], values.get("given", {}), "")
            return values | {"name": called.name, "given": called.given}
        return values

    @property
    def called(self) -> Called:
        """Its name, by itself; see `titles`."""
        return Called.of(self.name, self.given, self.fingerprint)


class MetricRecord(Part):
    """A metric of one run, and what its author says of it (see `bench.Metric`)."""

    value: float | None = None  # over all forecasts of the stream
    reason: PlacelessText = ""  # why there is no value
    title: str = ""  # head of its columns; empty for its name
    unit: Unit = "scaled"  # what its values are counted in
    better: Better = "lower"  # which values are better
    summary: str = ""  # first line of its docstring
    # identity of the code behind it (see `bench.contracts.outcomes`): values by other code are another metric's
    sha: str = ""


class Errors(Part):
    """Errors of a stream. Every mean runs over windows, leads and target channels alike."""

    windows: int  # forecasts scored
    mae: float  # scaled units
    mse: float  # scaled units
    rmse: float  # the root of mse
    mae_original: float  # the targets' own units
    mse_original: float  # their squares
    rmse_original: float  # the targets' own units
    val_mse: float | None = None  # scaled MSE over the validation rows of a warm start; None without one
    mse_by_channel: list[float]  # (C_out,) scaled, in the order of the dataset's targets
    mae_by_channel: list[float]  # likewise
    mse_by_lead: list[float]  # (H,) scaled, first lead first
    mae_by_lead: list[float]  # likewise
    metrics: dict[str, MetricRecord] = {}  # the other metrics that were registered, by name


FIELDS = tuple(name for name in BUILT_IN if name in Errors.model_fields)
"""Metrics that every record has, as fields of their own."""


class Validation(Part):
    """MSE, scaled, of a trained forecaster and of references on the same validation pairs."""

    windows: int  # evenly spaced over the validation rows; training looked at the same ones
    forecaster: float  # each window by itself, with the weights that training kept
    ridge: float  # ridge regression on the training pairs; NaN where it would have too many coefficients
    seasonal_naive: float  # without a season it is persistence
    persistence: float  # the window's last row, held


class StepTimes(Part):
    """Time of one kind of step, in milliseconds, warm-up steps left out."""

    steps: int  # steps measured
    total_ms: float  # all of them together
    p50_ms: float  # the median
    p95_ms: float  # the 95th percentile
    p99_ms: float  # the 99th percentile


class Parameters(Part):
    """Numbers of parameters, a forecaster's and a strategy's: all, those that service trains, those that it changed."""

    total: int  # all
    trainable: int  # those that service trains
    updated: int  # those that it changed


class Flops(Part):
    """Floating-point operations for each window, as torch counts them: products, convolutions, attention; not numpy."""

    predict: float  # of forecasts
    adapt: float  # of learning


class Replay(Part):
    """What came of serving a run's first blocks again, each while the rows after it were hidden."""

    # same: each forecast was as good as the run's, to rounding. leaks: not all were, and all are where the rows
    # can be found. differs: not even then; the run cannot be repeated. unclear: likewise, on an accelerator, or
    # elsewhere than the run was made, where a repetition proves nothing
    verdict: Literal["same", "leaks", "differs", "unclear"]
    origins: int  # forecasts that were compared
    reason: str = ""  # what was found; empty where all was the same

    @property
    def is_held_against(self) -> bool:
        """Whether the strategy is excluded from ranks."""
        return self.verdict in ("leaks", "differs")


SLACK = 0.2  # cores that others may keep busy, beyond those that a run leaves free, before it counts as disturbed
STALL = 20  # times that the 99th percentile of forecasts may be their median


class Timing(Part):
    """What service cost, without the harness's own work."""

    alone: bool  # True for a timing pass (the run had the machine to itself), False for an accuracy run
    windows: int  # forecasts made within the measured steps
    windows_per_s: float  # forecasts over the time of predict and adapt together
    predict: StepTimes  # times of a block's forecast, transfers to the device included
    adapt: StepTimes  # times of a block's observe and adapt together
    warmup: int  # first blocks that were left out
    first_predict_ms: float  # the very first forecast, left out above
    peak_memory_mb: float  # largest memory in use: the device allocator's, or the process's growth on a CPU
    threads: int  # of torch at the end: as given, unless the strategy changed them
    device: str  # such as cpu or cuda:0; device_name is its model
    device_name: str  # model of the device
    clock: str  # perf_counter or torch.Event
    load: float  # busy share of the machine just before, 0 to 1
    cores: int = 0  # logical cores of the machine; this and what follows is missing in old records
    others: float = float("nan")  # cores that other processes kept busy meanwhile
    power: str = ""  # supply and clock governor, where the system says
    # the harness's own time for each block, in microseconds: cutting windows, scoring, progress
    harness_us: float = float("nan")
    trace_us: float = float("nan")  # what the strategy's trace took, a mean over blocks, in microseconds
    own: float = float("nan")  # cores that this process kept busy meanwhile, all its threads together
    setup_s: float = float("nan")  # seconds that the strategy's setup took, before its first block
    first_adapt_ms: float = float("nan")  # the very first `observe` and `adapt`
    state_bytes: int | None = None  # what the strategy carries, besides history and fixed weights
    parameters: Parameters | None = None  # of the forecaster; measured in a timing pass only
    flops: Flops | None = None  # of the blocks after the timed ones; in a timing pass only
    replay: Replay | None = None  # of a timing pass: how its forecasts agree with those of the run
    left: list[str] = []  # of a timing pass: what it left behind in its process
    beside: list[str] = []  # of a timing pass: what was there before (see `Record`)

    @property
    def is_disturbed(self) -> bool:
        """Whether other processes used so many cores that the run did not have its own to itself."""
        return self.others > self.cores - self.threads + SLACK

    @property
    def has_stalled(self) -> bool:
        """Whether a few forecasts took so much longer that the host must have taken the core away."""
        return self.predict.p99_ms > STALL * self.predict.p50_ms


COSTS = (  # what a timing says, by its names in `bench.load_results`
    "windows_per_s",
    *(f"{step}_{quantile}_ms" for step in ("predict", "adapt") for quantile in ("p50", "p95", "p99")),
    "first_predict_ms",
    "setup_s",
    "peak_memory_mb",
    "state_bytes",
    "parameters",
    "trainable",
    "updated",
    "predict_flops",
    "adapt_flops",
    "harness_us",
    "trace_us",
)


def tampering(left: Iterable[str]) -> list[str]:
    """The changes that no strategy makes in good faith: to the harness's code, tables and rows, and the clock."""
    kinds = ("strategy", "forecaster", "dataset", "metric", "list")
    own = ("bench.", "time.", "the module bench", ROWS, *(f"the {kind} " for kind in kinds))
    return [what for what in left if what.startswith(own)]


ROWS = "rows of its series"


def left_behind(left: Iterable[str]) -> str:
    """The words for what a run left behind: "left behind in its process: numpy.square, signal handlers"."""
    return f"left behind in its process: {', '.join(left)}"


def made_beside(beside: Iterable[str]) -> str:
    """The words for a run that was made in a process that an earlier one had changed."""
    return f"was made in a process where an earlier run had left: {', '.join(beside)}. Run it again in a new session"


class Record(Part):
    """One run: one strategy x forecaster x dataset x protocol x seed."""

    schema_version: int = SCHEMA_VERSION  # of the form of this record
    run_id: str  # hash of everything that decides the outcome
    experiment: str  # name of the experiment that asked for it
    status: Literal["ok", "failed", "skipped"]  # how it ended
    reason: PlacelessText = ""  # why the status is not ok
    traceback: PlacelessText = ""  # of a failed run
    strategy: PluginRecord  # with its options
    forecaster: PluginRecord | None = None  # None if the strategy adapts none
    training: dict[str, Any] | None = None  # how the forecaster was trained
    validation: Validation | None = None  # of the forecaster; missing in records before version 5
    dataset: DatasetRecord  # with its options
    protocol: Protocol  # as resolved
    seed: int  # of pre-training and of the strategy
    rows: Rows = "stream"  # what was served: a run of validation rows has neither errors nor timing
    harness: str = ""  # identity of the harness's code; empty in a record of an earlier version
    checkpoint: str = ""  # name of the forecaster's checkpoint; empty where it has none
    parts: str = ""  # name of the checkpoint of the strategy's own parts; empty where it has none
    errors: Errors | None = None  # of the stream, if the status is ok
    # scaled MSE over the validation rows of a run that served no others; those of a stream have it in errors
    val_mse: float | None = None
    timing: Timing | None = None  # of the accuracy run itself (the machine may have been shared)
    # wall time of the whole run, pre-training of its own included; a share of it where runs were served together
    seconds: float = 0.0
    together: list[str] = []  # ids of the other runs that were served in the same pass
    environment: dict[str, Any] = {}  # versions, device, threads, git state, time of day

    @property
    def labels_from_rows(self) -> bool:
        """Whether the strategy took, from rows, labels that its protocol brings later or never."""
        among_inputs = set(self.dataset.targets) <= set(self.dataset.inputs)
        return self.strategy.labels_from_rows and self.protocol.is_sparse and among_inputs

    @property
    def contradiction(self) -> str:
        """What in a record from elsewhere cannot be true, whatever its checksum; empty if nothing."""
        names, git = self.environment.get("packages") or {}, self.environment.get("git") or {}
        if not isinstance(names, dict) or not isinstance(git, dict):
            return "its environment has another form"
        if self.errors is None:
            return ""
        of = {"channel": len(self.dataset.targets), "lead": self.protocol.horizon}
        found = {(by, len(getattr(self.errors, f"{m}_by_{by}"))) for m in ("mse", "mae") for by in of}
        return "" if found == set(of.items()) else "its errors are not of its channels and leads"

    # what the run left behind in its process (see `profiling.leftovers`); no other was carried out there, or it
    # was put back
    left: list[str] = []
    # what earlier runs had left there and was not restored: this run's numbers may be affected
    beside: list[str] = []

    @field_validator("environment")
    @classmethod
    def _no_place_in_command(cls, values: dict[str, Any]) -> dict[str, Any]:
        command = values.get("command")
        return values | {"command": plain_command(command)} if isinstance(command, str) else values

    def with_dataset(self, name: str, given: dict[str, Any]) -> Record:
        """The same, with another name and options of its dataset."""
        return self.model_copy(update={"dataset": self.dataset.model_copy(update={"name": name, "given": given})})

    @property
    def placeless(self) -> Record:
        """The same, without paths of a machine in texts that were set after it was made."""
        return self.model_copy(
            update={"reason": without_places(self.reason), "traceback": without_places(self.traceback)}
        )
