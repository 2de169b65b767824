"""What a session is to do: which runs are there, and which are to be carried out in what order."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Literal

from bench.contracts.forecaster import FORECASTERS
from bench.contracts.metric import METRICS
from bench.contracts.strategy import STRATEGIES, serves_together
from bench.evaluation.run_spec import RunSpec, forecaster_config, run_keys, strategy_config
from bench.execution.changes import what_changed
from bench.execution.eta import Kind, is_heavy, kind_of
from bench.execution.shard import WHOLE, Shard
from bench.results.condition import Condition
from bench.results.record import FIELDS, Record
from bench.results.store import Store

MOST_TOGETHER = 16
"""Most runs that are served in one pass; what is stopped in the middle loses so many."""

Redo = Literal["only-missing", "keep-failed", "unmeasured", "always"]
"""What is done again: what failed; not even that; what failed or lacks the value of a metric; or everything."""


@dataclass(frozen=True)
class SessionOptions:
    """How much a session does.

    Attributes:
        redo: ``only-missing`` also repeats what failed, which ``keep-failed`` does not; ``unmeasured``, besides, runs
            that lack the value of a metric; ``always`` trains and runs everything again.
        retrain: Whether forecasters are trained again, and what adapts them is run again.
        retime: Whether timing passes are repeated that other processes disturbed, or that lack what is measured now.
        is_filtered: Whether only a part of the experiment is run: other rows of its report then stay.
        shard: Which share of the runs is carried out; the report is about all of them.
    """

    redo: Redo = "only-missing"
    retrain: bool = False
    retime: bool = False
    is_filtered: bool = False
    shard: Shard = WHOLE

    @property
    def trains_again(self) -> bool:
        """Whether checkpoints that are there are made again."""
        return self.retrain or self.redo == "always"


WHAT_IS_MISSING = SessionOptions()


@dataclass(frozen=True)
class Plan:
    """What a session is to do.

    Attributes:
        missing: Those to carry out, in order: the first of each kind that is soon done, so that what goes wrong shows
            early; then the heavy ones, so that none is begun last; then the others.
        changed: By kind of run, what changed since its runs were carried out last.
    """

    runs: list[RunSpec]
    found: dict[str, Condition]
    missing: list[RunSpec]
    changed: dict[Kind, str]

    @property
    def absent(self) -> list[RunSpec]:
        """Those of the missing runs of which nothing is there."""
        return [run for run in self.missing if self.found[run.run_id].state == "absent"]


def plan(runs: Iterable[RunSpec], store: Store, options: SessionOptions, cells: dict[str, str] | None = None) -> Plan:
    """Look at what is there, and decide; nothing is changed.

    Args:
        cells: What the runs are apart from versions; see `run_all`.
    """
    redo = options.redo
    own = [run for run in runs if options.shard.owns(run.run_id)]
    found = store.conditions(run.run_id for run in own)
    well = ("ok", "skipped")
    settled = {"always": (), "only-missing": well, "unmeasured": well, "keep-failed": (*well, "failed")}[redo]
    missing = [
        run
        for run in own
        if found[run.run_id].state not in settled
        or (options.retrain and run.forecaster is not None)
        or (redo == "unmeasured" and _lacks_metric(store.read(run.run_id)))
    ]
    absent = [run for run in missing if found[run.run_id].state == "absent"]
    cells = cells if cells is not None else run_keys(absent)
    changed = what_changed(absent, cells, store)
    return Plan(own, found, _in_order(missing), changed)


def _lacks_metric(record: Record | None) -> bool:
    """Whether a run that ended well has no value of a metric by the code at hand, nor a reason why."""
    if record is None or record.errors is None:
        return False
    measured = {name: metric.sha for name, metric in record.errors.metrics.items()}
    return any(measured.get(entry.name) != entry.sha for entry in METRICS if entry.name not in FIELDS)


def _in_order(runs: list[RunSpec]) -> list[RunSpec]:
    """Those of a group follow one another, in the place of its first."""
    seen: set[Kind] = set()
    groups: dict[Hashable, list[RunSpec]] = {}
    for run in runs:
        groups.setdefault(_served_with(run) or run.run_id, []).append(run)

    def place(group: list[RunSpec]) -> int:
        kind = kind_of(group[0])
        if is_heavy(kind):
            return 1
        is_first = kind not in seen
        seen.add(kind)
        return 0 if is_first else 2

    return [run for group in sorted(groups.values(), key=place) for run in group]


def grouped(runs: Iterable[RunSpec], most: int) -> Iterator[tuple[RunSpec, ...]]:
    """Runs that follow one another and may be served in one pass, at most so many; others alone."""
    for group, same in groupby(runs, _served_with):
        while chunk := tuple(islice(same, min(most, MOST_TOGETHER) if group else 1)):
            yield chunk


def _served_with(run: RunSpec) -> str:
    """What runs have in common that may be served in one pass; empty where a run is served alone.

    They differ in the seed, in the training of the forecaster, and in options of the strategy that are numbers with a
    fraction; whether one is 0 or not decides what is computed.
    """
    other = FORECASTERS[run.forecaster.name].cls if run.forecaster else None
    if run.skip or not serves_together(STRATEGIES[run.strategy.name].cls, other):
        return ""
    own = {name: bool(v) if isinstance(v, float) else v for name, v in vars(strategy_config(run.strategy)).items()}
    model = forecaster_config(run.forecaster).model_dump(exclude={"training"}) if run.forecaster else None
    where = [run.experiment, run.dataset.name, run.dataset.options, run.protocol.model_dump(), run.device, run.threads]
    return repr([run.strategy.name, own, run.forecaster and run.forecaster.name, model, where, run.rows])
