"""The timing pass: the first seed's runs that ended well, one after the other, with nothing else running."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from functools import partial

from bench.contracts.engine import FailedJob, Pool
from bench.evaluation.run_spec import RunSpec
from bench.evaluation.timing_pass import time_alone
from bench.execution.experiment import Experiment
from bench.execution.progress import ProgressDisplay
from bench.execution.run_log import logged
from bench.execution.sharing import Sharing
from bench.execution.worker import Work, prepare
from bench.results.record import Timing
from bench.results.store import Store

PRINTED = "In the timing pass:\n"
"""Stands in a run's log before what its timing pass printed."""


def time_each(
    served: Iterable[RunSpec],
    experiment: Experiment,
    work: Work,
    display: ProgressDisplay,
    sharing: Sharing,
    pool: Pool,
    *,
    retime: bool,
) -> int:
    """Time runs one at a time, by whom nothing else is done meanwhile, nor by other sessions of this machine.

    Returns:
        How many could be timed; a report says which could not.
    """
    served, store = list(served), Store(work.place.results)
    if not untimed(served, experiment, store, retime=retime):
        return 0
    with sharing.alone() as is_alone:
        runs = untimed(served, experiment, store, retime=retime)  # another session may have timed them meanwhile
        return _time_all(runs, work, experiment.timing_blocks, pool, display) if runs and is_alone else 0


def _time_all(runs: list[RunSpec], work: Work, blocks: int, pool: Pool, display: ProgressDisplay) -> int:
    timed, bar = 0, display.stage("timing, one at a time", len(runs))
    timing = pool.alone()(partial(_time, work=work, blocks=blocks), runs, work.timeout)
    for run, ended in zip(runs, timing, strict=True):
        if isinstance(ended, FailedJob):
            display.advance(bar, f"not timed: {run.label}: {ended.reason}")
        else:
            timed += 1
            display.advance(bar)
        _keep_printed(run, work, ended.traceback if isinstance(ended, FailedJob) else "")
    return timed


def _keep_printed(run: RunSpec, work: Work, traceback: str) -> None:
    """Add what a run's timing pass printed, and the traceback of one that failed, to the run's log."""
    log = work.log(run)
    with contextlib.suppress(OSError):  # the log is a link, or the disk is full
        if traceback:
            with log.open("a", encoding="utf-8") as file:
                file.write(traceback)
        Store(work.place.results).add_to_log(run.run_id, PRINTED, log)


def untimed(runs: Iterable[RunSpec], experiment: Experiment, store: Store, *, retime: bool) -> list[RunSpec]:
    """Those of an experiment's runs that are to be timed: the first seed's, where the experiment has a timing pass.

    Args:
        retime: Whether those are whose timing would be worth repeating.
    """
    if not experiment.timing_blocks:
        return []
    first = [run for run in runs if run.seed == experiment.seeds[0]]
    return [run for run in first if _is_untimed(store.read_timing(run.run_id), retime=retime)]


def _time(run: RunSpec, work: Work, blocks: int) -> None:
    """Time one run, and leave what was found beside its record."""
    with logged(work.log(run), own_process=work.own_process):
        prepare(work)
        timing = time_alone(run, work.place, blocks, work.timeout or float("inf"))
    Store(work.place.results).write_timing(run.run_id, timing)


def _is_untimed(timing: Timing | None, *, retime: bool) -> bool:
    """Whether a timing pass is missing, or would be worth repeating."""
    return timing is None or (retime and (timing.is_disturbed or timing.has_stalled or timing.replay is None))
