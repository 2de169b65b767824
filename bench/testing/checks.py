"""Checks of strategies and datasets, as `bench check` and sessions run them."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path

import numpy as np
import torch

from bench.contracts.config import build
from bench.contracts.dataset import resolve_dataset
from bench.contracts.discovery import raised_at
from bench.contracts.errors import ENDS_SESSION, BenchError, as_text, traceback_of, words_of
from bench.contracts.forecaster import FORECASTERS
from bench.contracts.protocol import PRESETS, Protocol, ProtocolSpec
from bench.contracts.series import DriftSeries
from bench.contracts.strategy import STRATEGIES, Strategy, has_parts
from bench.data.user_files.lookahead import told_ahead
from bench.evaluation.profiling.leftovers import swept
from bench.evaluation.run_spec import Choice, strategy_config
from bench.evaluation.stream import PreparedSeries
from bench.results.audit import NO_OPTIONS, Audit, AuditStatus, Options, audited_sha, code_sha, replaced
from bench.results.provenance import packages
from bench.results.record import made_beside, tampering
from bench.testing.as_run import AsRun, distinct
from bench.testing.canary import DISTURBANCES, Canary, Disturbance, leak_canary, probe
from bench.testing.findings import (
    NO_LEAK,
    CheckError,
    Findings,
    InsensitiveError,
    LeakError,
    NotReadyError,
    OutOfTimeError,
    becoming_ready,
    require,
)
from bench.testing.forecaster_checks import parts_are_blind, small_task, targets, training_is_blind
from bench.testing.replay import Digests, MakeStrategy, digests_of, first_difference
from bench.testing.schedules import LABEL_REGIMES, draw_schedule, label_of
from bench.testing.tiny import Form, small_series

ON_PURPOSE = "leaks on purpose, as its group says, and is never ranked: "
DRAWN = 8
QUICK_ROWS, ROWS = 60, 90


@dataclass(frozen=True)
class Case:
    """One schedule that every strategy is checked on."""

    series: DriftSeries
    protocol: Protocol
    disturbances: tuple[Disturbance, ...] = DISTURBANCES

    @property
    def cut(self) -> int:
        """First disturbed row: inside a block of five, and between two days of three rows."""
        return self.series.split.validation + 7


def check_strategy(name: str, forecaster: str = "", *, quick: bool = False) -> list[str]:
    """Run the canary over presets and drawn schedules, with targets among the inputs and hidden, and in other orders.

    Args:
        forecaster: By default the first that offers what the strategy needs.
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
    """Run all checks of a strategy.

    Args:
        form: The strategy made cheap.
        quick: As `check_strategy` takes it.
        deadline: On the clock of `time.monotonic`.
        given: Options that a run's strategy and forecaster have.
        services: Of the runs with these options: they are checked with exactly these.

    Raises:
        CheckError: The strategy broke its contract.
        OutOfTimeError: The deadline passed before the cheap checks were done.
    """
    found = Findings()
    cls = STRATEGIES[form.strategy.name].cls
    with tempfile.TemporaryDirectory() as folder:
        make, other = (_hurried(form.maker(seed, Path(folder)), deadline) for seed in (0, 1))
        if form.forecaster:
            _train_blind(form.forecaster, found)
            if has_parts(cls):
                _train_parts_blind(form, found)
        made = _take_through_presets(make, other, quick, found)
        _take_through_drawn(make, form.forecaster, found, reads=cls.reads)
        found.require_some(NO_LEAK)
        _take_in_another_order(make, made, found)
        _ask_for_traces(make, quick, found)
        if cls.uses_forecaster and not cls.needs and not has_parts(cls):
            _serve_in_numpy(_hurried(form.maker(0, in_numpy=True), deadline), found)
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
    """The findings of all checks of a strategy, as a record; nothing that the plug-in raises leaves this function.

    Args:
        forecaster: As in `check_strategy`, like ``quick``.
        seconds: Time limit; past it the status is ``unknown``.
        threads: For torch.
        given: Options that a run's strategy and forecaster have.
        services: Of the runs with these options: they are checked with exactly these.
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
        on_purpose = isinstance(error, LeakError) and STRATEGIES[name].cls.group == "leaky"
        status, reason = "failed", as_text(f"{ON_PURPOSE}{error}" if on_purpose else str(error))
    except NotReadyError as error:
        status, reason = "unknown", as_text(str(error))
    except ENDS_SESSION:
        raise
    except BaseException as error:  # a plug-in may raise anything
        status, reason = "unknown", words_of(error) + raised_at(traceback_of(error))
    if swept_up.beside:
        status, reason = "unknown", made_beside(swept_up.beside)
    if own := tampering(swept_up.left):  # findings made with replaced code do not count
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
    """The same, but `OutOfTimeError` after the deadline."""

    def made(stage: PreparedSeries) -> Strategy:
        if time.monotonic() > deadline:
            raise OutOfTimeError("it takes too long to be checked on the side")
        with becoming_ready():
            return make(stage)

    return made


def _cases(quick: bool) -> Iterator[Case]:
    """Presets, with targets among the inputs and hidden: with all label regimes, or, if quick, one in turn."""
    disturbance, regime = cycle(DISTURBANCES), cycle(LABEL_REGIMES)
    for hidden in (False, True):
        series = small_series(hidden_targets=hidden, rows=QUICK_ROWS if quick else ROWS, seed=None)
        for preset in PRESETS:
            for labels in [next(regime)] if quick else LABEL_REGIMES:
                options = {"preset": preset, "block": 5 if preset == "dense" else None} | labels
                protocol = build(ProtocolSpec, options, "check").resolve(series)
                yield Case(series, protocol, (next(disturbance),) if quick else DISTURBANCES)


def _train_blind(forecaster: Choice, found: Findings) -> None:
    """Training on the stream's rows would not show in any replay of a strategy."""
    for hidden in (False, True):
        with found.during(f"no leak in training {forecaster.name}: {targets(hidden)}"):
            training_is_blind(*small_task(forecaster, hidden))


def _train_parts_blind(form: Form, found: Findings) -> None:
    assert form.forecaster is not None
    for hidden in (False, True):
        with found.during(f"no leak in training its parts: {targets(hidden)}"):
            parts_are_blind(form.strategy.name, strategy_config(form.strategy), *small_task(form.forecaster, hidden))


def _take_through_presets(
    make: MakeStrategy, other: MakeStrategy, quick: bool, found: Findings
) -> list[tuple[Case, Digests]]:
    """Cases with their digests; ``other`` (another seed) runs before and after them all, to see no state of theirs."""
    made: list[tuple[Case, Digests]] = []
    before: tuple[Case, Digests] | None = None
    for case in _cases(quick):
        with found.serving(f"{NO_LEAK}{label_of(case.protocol, case.series)}", case.protocol, case.series):
            before = before or (case, digests_of(other, case.series, case.protocol))
            digests = leak_canary(make, case.series, case.protocol, (case.cut,), case.disturbances)
            if quick or not case.protocol.is_sparse:
                made.append((case, digests))
    if before is not None:
        case, digests = before
        with found.during("another seed before and after: the same forecasts"):
            Canary(other, case.series, case.protocol).require_unmoved(digests)
    return made


def _take_through_drawn(make: MakeStrategy, forecaster: Choice | None, found: Findings, *, reads: bool) -> None:
    rng = np.random.default_rng(0)
    moved = []
    for _ in range(DRAWN):
        try:
            schedule = draw_schedule(lambda options: options[int(rng.integers(len(options)))], forecaster, seed=None)
        except BenchError as error:
            found.note("drawn", error)
            continue
        with found.serving(f"{NO_LEAK}{schedule}", schedule.protocol, schedule.series):
            moved.append(probe(make, schedule.series, schedule.protocol, schedule.cut, schedule.disturbance))
    if reads and moved and not any(moved):
        raise InsensitiveError(
            f"reads nothing: in {len(moved)} drawn schedules no forecast moved when rows before it did"
        )


def _serve_as_run(make: MakeStrategy, service: AsRun, found: Findings) -> None:
    """Check a run's service with its own options; if that takes too long, only note it."""
    line, series = f"{NO_LEAK}as run: {service.service}", service.series()
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


def _serve_in_numpy(make: MakeStrategy, found: Findings) -> None:
    """Who needs nothing of a forecaster but forecasts may be given a function of arrays; whether it can is noted."""
    series = small_series(rows=QUICK_ROWS, seed=None)
    protocol = ProtocolSpec(preset="online").resolve(series)
    with found.during("no leak on a forecaster that is a function of numpy arrays"):
        try:
            probe(make, series, protocol, series.split.validation + 7, DISTURBANCES[0])
        except (BenchError, CheckError, NotReadyError, OutOfTimeError):
            raise
        except Exception as error:  # a plug-in may raise anything
            raise NotReadyError(f"{words_of(error)}. If it needs more than forecasts, state it in needs") from error


def _take_in_another_order(make: MakeStrategy, made: list[tuple[Case, Digests]], found: Findings) -> None:
    for case, digests in reversed(made):
        Canary(make, case.series, case.protocol).require_unmoved(digests)
    if made:
        found.lines.append(f"{len(made)} runs again, in the opposite order: the same forecasts")


def _ask_for_traces(make: MakeStrategy, quick: bool, found: Findings) -> None:
    for hidden in (False, True):
        series = small_series(hidden_targets=hidden, rows=QUICK_ROWS if quick else ROWS, seed=None)
        with found.during(f"asking for its trace changes nothing, {targets(hidden)}"):
            trace_changes_nothing(make, series, ProtocolSpec(preset="online").resolve(series))


def trace_changes_nothing(make: MakeStrategy, series: DriftSeries, protocol: Protocol) -> None:
    """Prove, on a small series, that forecasts do not depend on whether the strategy is asked for its trace.

    Raises:
        CheckError: Asking after every block changed a forecast.
    """
    silent, asked = (digests_of(make, series, protocol, asks=asks) for asks in (False, True))
    bad = first_difference(silent, asked, len(series))
    require(bad is None, f"trace() changed the forecast with origin {bad}: asking for it must change nothing")


def check_dataset(name: str) -> list[str]:
    """Check that a dataset loads, is usable and loads the same again, and that no input is a target of later rows.

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
