"""The checks of each kind of plug-in, as `bench check` runs them."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from bench.contracts.config import build
from bench.contracts.dataset import resolve_dataset
from bench.contracts.discovery import raised_at
from bench.contracts.errors import ENDS_SESSION, BenchError, as_text, traceback_of, words_of
from bench.contracts.forecaster import FORECASTERS, abilities
from bench.contracts.protocol import PRESETS, Protocol, ProtocolSpec
from bench.contracts.series import DriftSeries
from bench.contracts.strategy import STRATEGIES, Strategy
from bench.data.user_files.lookahead import told_ahead
from bench.evaluation.pretraining import Recipe, pretrain, task_of
from bench.evaluation.profiling.leftovers import swept
from bench.evaluation.run_spec import Choice, forecaster_config
from bench.evaluation.stream import PreparedSeries, plain_array
from bench.results.audit import NO_OPTIONS, Audit, AuditStatus, Options, audited_sha, code_sha, replaced, traits_of
from bench.results.provenance import packages
from bench.results.record import made_beside, tampering
from bench.testing.as_run import AsRun, distinct
from bench.testing.canary import DISTURBANCES, Disturbance, leak_canary, probe, require_unmoved
from bench.testing.findings import CheckError, InsensitiveError, NotReadyError, OutOfTimeError, becoming_ready, require
from bench.testing.passes import CPU, Digests, MakeStrategy, first_difference, marks_of
from bench.testing.schedules import LABEL_REGIMES, draw_schedule, label_of
from bench.testing.tiny import Form, small_series
from bench.testing.training import training_is_blind

LEAKLESS = "no leak: "
KEEPS = "shape, determinism, independence of the batch, weights that survive saving, no leak in training"
DRAWN = 8
QUICK_ROWS, ROWS = 60, 90


@dataclass(frozen=True)
class Case:
    """One schedule that every strategy is taken through.

    Attributes:
        series: What is streamed.
        protocol: The schedule.
        disturbances: What is done to the rows from the cut on.
    """

    series: DriftSeries
    protocol: Protocol
    disturbances: tuple[Disturbance, ...] = DISTURBANCES

    @property
    def cut(self) -> int:
        """Inside a block of five, and between two days of three rows."""
        return self.series.split.validation + 7


@dataclass
class Findings:
    """What a strategy was taken through so far.

    Attributes:
        lines: What was checked, a line each.
        refused: What it would not serve, or could not be made ready for, and why.
        made: Turns, and marks of the forecasts that were made in them.
        refusal: The first of them, as it was raised.
        served: What the services that it gave have in common with others (see `traits_of`), and those of runs.
        refused_services: Those of runs that it would not give.
        as_run: Whether it was taken through something with the options of a run as they are.
    """

    lines: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    made: list[tuple[Case, Digests]] = field(default_factory=list)
    refusal: BenchError | NotReadyError | None = None
    served: set[str] = field(default_factory=set)
    refused_services: set[str] = field(default_factory=set)
    as_run: bool = False

    @contextmanager
    def during(self, line: str) -> Iterator[None]:
        """Note a check that is passed, and say where one is not; what cannot serve at all is no finding."""
        try:
            yield
            self.lines.append(line)
        except (BenchError, NotReadyError) as error:
            self.note(line, error)
        except CheckError as error:
            raise type(error)(f"{error} (Found in: {line.removeprefix(LEAKLESS)}.)") from None

    @contextmanager
    def serving(self, line: str, protocol: Protocol, series: DriftSeries) -> Iterator[None]:
        """`during`, and note what was served."""
        with self.during(line):
            yield
            self.served |= traits_of(protocol, hidden=series.target_index is None)

    def note(self, line: str, refusal: BenchError | NotReadyError) -> None:
        """Note what is refused, and why."""
        said = "refused" if isinstance(refusal, BenchError) else "could not be made ready"
        self.refused.append(f"{said} ({line}): {refusal}")
        self.refusal = self.refusal or refusal

    def require_some(self, beginning: str = "") -> None:
        """See that a line begins so.

        Raises:
            CheckError: None does, since all was refused.
            NotReadyError: None does, since something went wrong first.
        """
        if any(line.startswith(beginning) for line in self.lines):
            return
        if isinstance(self.refusal, NotReadyError):
            raise self.refusal
        raise CheckError(f"serves nothing of what it was asked. {self.refused[0]}")


def check_strategy(name: str, forecaster: str = "", *, quick: bool = False) -> list[str]:
    """Run the canary over presets and drawn schedules, with targets among the inputs and hidden, and in other orders.

    Args:
        name: Registered name.
        forecaster: On which; by default the first that offers what the strategy needs.
        quick: Each preset once, its labels, cut and disturbance in turn, rather than with each of `LABEL_REGIMES`
            and each disturbance.

    Returns:
        What was checked, a line each.

    Raises:
        CheckError: The strategy broke its contract.
    """
    found = take_through(Form.tiny(name, forecaster), quick=quick)
    return found.lines + found.refused


def take_through(
    form: Form,
    *,
    quick: bool,
    deadline: float = float("inf"),
    given: Options = NO_OPTIONS,
    services: Sequence[AsRun] = (),
) -> Findings:
    """Take a strategy through all checks.

    Args:
        form: The strategy made cheap.
        quick: As `check_strategy` takes it.
        deadline: On the clock of `time.monotonic`.
        given: Options that a run's strategy and forecaster have.
        services: Of the runs with these options: they are given with these, and no others.

    Raises:
        CheckError: The strategy broke its contract.
        OutOfTimeError: The deadline passed before what is cheap was through.
    """
    found = Findings()
    cls = STRATEGIES[form.strategy.name].cls
    with tempfile.TemporaryDirectory() as folder:
        make, other = (_hurried(form.maker(seed, Path(folder)), deadline) for seed in (0, 1))
        if form.forecaster:
            _train_blind(form.forecaster, found)
        _take_through_presets(make, other, quick, found)
        _take_through_drawn(make, form.forecaster, found, reads=cls.reads)
        found.require_some(LEAKLESS)
        _take_in_another_order(make, found)
        _ask_for_traces(make, quick, found)
        for service in distinct(services):
            as_run = _hurried(form.as_run(given, service.data).maker(service.seed, Path(folder)), deadline)
            _serve_as_run(as_run, service, found)
    return found


def audit_strategy(
    name: str,
    forecaster: str = "",
    *,
    quick: bool = False,
    seconds: float = float("inf"),
    threads: int = 1,
    given: Options = NO_OPTIONS,
    services: Sequence[AsRun] = (),
) -> Audit:
    """What `take_through` finds, as a record; nothing that the plug-in raises gets past this.

    Args:
        name: Registered name.
        forecaster: As `check_strategy` takes it, like ``quick``.
        quick: Likewise.
        seconds: What it may take; beyond that nothing is known.
        threads: For torch.
        given: As `take_through` takes it, like ``services``.
        services: Likewise.
    """
    torch.set_num_threads(threads)
    begun = time.monotonic()
    found = Findings()
    status: AuditStatus = "passed"
    reason = ""
    try:
        with swept() as swept_up:
            form = Form.tiny(name, forecaster, given)
            found = take_through(form, quick=quick, deadline=begun + seconds, given=given, services=services)
    except CheckError as error:
        status, reason = "failed", as_text(str(error))
    except NotReadyError as error:
        status, reason = "unknown", as_text(str(error))
    except ENDS_SESSION:
        raise
    except BaseException as error:  # a plug-in may raise anything, and then nothing is known
        status, reason = "unknown", words_of(error) + raised_at(traceback_of(error))
    if swept_up.beside:
        status, reason = "unknown", made_beside(swept_up.beside)
    if own := tampering(swept_up.left):  # whatever was found, it was found by what it had replaced
        status, reason = "failed", replaced(own)
    version = audited_sha(STRATEGIES[name].sha, FORECASTERS[forecaster].sha if forecaster else "")
    return Audit(
        strategy=name,
        forecaster=forecaster,
        sha=given.join(version),
        strategy_options=given.strategy,
        forecaster_options=given.forecaster,
        status=status,
        reason=reason,
        checks=tuple(found.lines + found.refused),
        served=tuple(sorted(found.served)),
        refused=tuple(sorted(found.refused_services)),
        as_run=found.as_run,
        beside=tuple(swept_up.beside),
        quick=quick,
        code=code_sha(),
        packages=packages(),
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=time.monotonic() - begun,
    )


def _hurried(make: MakeStrategy, deadline: float) -> MakeStrategy:
    """The same, but no strategy is made after the deadline."""

    def made(stage: PreparedSeries) -> Strategy:
        if time.monotonic() > deadline:
            raise OutOfTimeError("it takes too long to be checked on the side")
        with becoming_ready():
            return make(stage)

    return made


def _turns(quick: bool) -> Iterator[Case]:
    """Presets with targets among the inputs and hidden: with all label regimes, or with one after the other."""
    disturbance, regime = cycle(DISTURBANCES), cycle(LABEL_REGIMES)
    for hidden in (False, True):
        series = small_series(hidden_targets=hidden, rows=QUICK_ROWS if quick else ROWS, seed=None)
        for preset in PRESETS:
            for labels in [next(regime)] if quick else LABEL_REGIMES:
                options = {"preset": preset, "block": 5 if preset == "dense" else None} | labels
                protocol = build(ProtocolSpec, options, "check").resolve(series)
                yield Case(series, protocol, (next(disturbance),) if quick else DISTURBANCES)


def _train_blind(forecaster: Choice, found: Findings) -> None:
    """What serves must not have been trained on the stream: no strategy's pass would show it."""
    for hidden in (False, True):
        with found.during(f"no leak in training {forecaster.name}: {_where(hidden)}"):
            training_is_blind(*_small_task(forecaster, hidden))


def _take_through_presets(make: MakeStrategy, other: MakeStrategy, quick: bool, found: Findings) -> None:
    """The first of them with another seed, too, before all others and after: no seed knows what another saw."""
    before: tuple[Case, Digests] | None = None
    for turn in _turns(quick):
        with found.serving(f"{LEAKLESS}{label_of(turn.protocol, turn.series)}", turn.protocol, turn.series):
            before = before or (turn, marks_of(other, turn.series, turn.protocol))
            marks = leak_canary(make, turn.series, turn.protocol, (turn.cut,), turn.disturbances)
            if quick or not turn.protocol.is_sparse:
                found.made.append((turn, marks))
    if before is not None:
        turn, marks = before
        with found.during("another seed before and after: the same forecasts"):
            require_unmoved(other, turn.series, turn.protocol, marks)


def _take_through_drawn(make: MakeStrategy, forecaster: Choice | None, found: Findings, *, reads: bool) -> None:
    rng = np.random.default_rng(0)
    heard = []
    for _ in range(DRAWN):
        try:
            schedule = draw_schedule(lambda options: options[int(rng.integers(len(options)))], forecaster, seed=None)
        except BenchError as error:
            found.note("drawn", error)
            continue
        with found.serving(f"{LEAKLESS}{schedule}", schedule.protocol, schedule.series):
            heard.append(probe(make, schedule.series, schedule.protocol, schedule.cut, schedule.disturbance))
    if reads and heard and not any(heard):
        raise InsensitiveError(
            f"reads nothing: in {len(heard)} drawn schedules no forecast moved when rows before it did"
        )


def _serve_as_run(make: MakeStrategy, service: AsRun, found: Findings) -> None:
    """A run's service with its options; where that takes too long, what is cheap stands for it, and that is said."""
    line, series = f"{LEAKLESS}as run: {service.service}", service.series()
    refused = len(found.refused)
    try:
        with found.serving(line, service.protocol, series):
            probe(make, series, service.protocol, service.cut(series), DISTURBANCES[0])
            found.served.add(service.service)
            found.as_run = True
    except OutOfTimeError:
        found.lines.append(f"not audited as run, which takes too long: {service.service}")
    if len(found.refused) > refused:
        found.refused_services.add(service.service)


def _take_in_another_order(make: MakeStrategy, found: Findings) -> None:
    """The first turn was run before all others, the last one after them: now the other way round."""
    for turn, marks in reversed(found.made):
        require_unmoved(make, turn.series, turn.protocol, marks)
    if found.made:
        found.lines.append(f"{len(found.made)} runs again, in the opposite order: the same forecasts")


def _ask_for_traces(make: MakeStrategy, quick: bool, found: Findings) -> None:
    for hidden in (False, True):
        series = small_series(hidden_targets=hidden, rows=QUICK_ROWS if quick else ROWS, seed=None)
        with found.during(f"asking for its trace changes nothing, {_where(hidden)}"):
            trace_changes_nothing(make, series, ProtocolSpec(preset="online").resolve(series))


def trace_changes_nothing(make: MakeStrategy, series: DriftSeries, protocol: Protocol) -> None:
    """Prove that forecasts do not depend on whether the strategy is asked for its trace.

    Args:
        make: Builds the strategy for a stage; called once for each pass over the stream.
        series: A small one.
        protocol: The schedule.

    Raises:
        CheckError: Asking after every block changed a forecast.
    """
    silent, asked = (marks_of(make, series, protocol, asks=asks) for asks in (False, True))
    bad = first_difference(silent, asked, len(series))
    require(bad is None, f"trace() changed the forecast with origin {bad}: asking for it must change nothing")


def check_forecaster(name: str) -> list[str]:
    """Shapes, determinism, independence of the batch, weights that survive saving and know nothing of the stream.

    Returns:
        What was checked, a line each.

    Raises:
        CheckError: The forecaster broke its contract.
    """
    found = Findings()
    for hidden in (False, True):
        with found.during(f"{_where(hidden)}: {KEEPS}"):
            recipe, stage = _small_task(Choice(name, getattr(FORECASTERS[name].cls, "tiny", {})), hidden)
            _check_forecasts(recipe, stage)
            training_is_blind(recipe, stage)
    found.require_some()
    offers = f"offers: {', '.join(sorted(abilities(FORECASTERS[name].cls))) or 'nothing but forecasts'}"
    return [*found.lines, *found.refused, offers]


def _check_forecasts(recipe: Recipe, stage: PreparedSeries) -> None:
    """Train a forecaster three times, and compare what it forecasts."""
    # the third is read back from what the second left
    with tempfile.TemporaryDirectory() as folder, becoming_ready():
        first, second, restored = (pretrain(recipe, stage, CPU, c) for c in (None, Path(folder), Path(folder)))
    windows = torch.from_numpy(stage.windows(np.arange(20, 26)))
    before = windows.clone()
    with torch.no_grad():
        out, again, alone, kept = (
            plain_array(forecaster(given))
            for forecaster, given in ((first, windows), (second, windows), (first, windows[:1]), (restored, windows))
        )
    expected = (6, recipe.task.horizon, recipe.task.targets)
    require(out.shape == expected, f"a forecast has shape {out.shape}, expected (B, H, C_out) = {expected}")
    require(bool(np.isfinite(out).all()), "a forecast is not finite")
    require(torch.equal(windows, before), "it changed the windows that it was given")
    require(np.array_equal(out, again), "two trainings from the same seed differ")
    require(np.array_equal(out, kept), "a forecaster read back from its checkpoint forecasts otherwise")
    require(np.allclose(out[:1], alone, atol=1e-4, rtol=1e-4), "a forecast depends on the other windows of its batch")
    if "gradients" in abilities(type(first)):
        made = first(windows)
        require(isinstance(made, Tensor) and made.requires_grad, "it offers gradients, and its forecasts carry none")


def _small_task(forecaster: Choice, hidden: bool) -> tuple[Recipe, PreparedSeries]:
    """A forecaster with some options, and what it is trained on."""
    series = small_series(hidden_targets=hidden, seed=None)
    stage = PreparedSeries.of(series, ProtocolSpec(preset="online").resolve(series))
    return Recipe(forecaster.name, forecaster_config(forecaster), task_of(stage), 0), stage


def _where(hidden: bool) -> str:
    return f"targets {'hidden' if hidden else 'among the inputs'}"


def check_dataset(name: str) -> list[str]:
    """Loads, is usable, and is the same when loaded again; no input is a target of later rows.

    Returns:
        What was checked, a line each.

    Raises:
        CheckError: Two loads differ, or an input is a target some rows ahead.
        BenchError: The series is unusable; the message says why.
    """
    first, second = (resolve_dataset(name).series() for _ in range(2))
    require(first.fingerprint == second.fingerprint, "two loads give different series")
    lines = [f"{len(first):,} rows, {len(first.inputs)} inputs, {len(first.targets)} targets; loads alike twice"]
    ahead = told_ahead(first)
    require(not ahead, f"{ahead}. Leave it out of the inputs")
    lines.append("no input is a target of later rows")
    return lines + [f"fits {ProtocolSpec(preset=preset).resolve(first).label}" for preset in PRESETS]
