"""The timing pass: the first seed's runs that ended well, one after the other, with nothing else running."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from bench.engines import Crew, Lost
from bench.experiment import Experiment
from bench.orchestration.progress import Sight
from bench.orchestration.sharing import Sharing
from bench.orchestration.work import Work, prepare
from bench.record import Timing
from bench.run_spec import RunSpec
from bench.store import Store
from bench.timing_pass import time_alone


def time_each(
    served: Iterable[RunSpec],
    experiment: Experiment,
    work: Work,
    sight: Sight,
    sharing: Sharing,
    crew: Crew,
    *,
    retime: bool,
) -> int:
    """Time runs one at a time, by whom nothing else is done meanwhile, nor by other sessions of this machine.

    Args:
        served: That ended well; those that `untimed` chooses are timed.
        experiment: For seeds and the timing pass.
        work: Where results and plug-ins are.
        sight: Where progress is drawn.
        sharing: With other sessions.
        crew: Whose workers end first.
        retime: As `untimed` takes it.

    Returns:
        How many could be timed; a report says which could not.
    """
    served, store = list(served), Store(work.place.results)
    if not untimed(served, experiment, store, retime=retime):
        return 0
    with sharing.alone() as is_alone:
        runs = untimed(served, experiment, store, retime=retime)  # another session may have timed them meanwhile
        return _time_all(runs, work, experiment.timing_blocks, crew, sight) if runs and is_alone else 0


def _time_all(runs: list[RunSpec], work: Work, blocks: int, crew: Crew, sight: Sight) -> int:
    timed, bar = 0, sight.stage("timing, one at a time", len(runs))
    for run, ended in zip(runs, crew.alone()(partial(_time, work=work, blocks=blocks), runs), strict=True):
        why_not = ended.reason if isinstance(ended, Lost) else ended
        timed += not why_not
        sight.advance(bar, f"not timed: {run.label}: {why_not}" if why_not else "")
    return timed


def untimed(runs: Iterable[RunSpec], experiment: Experiment, store: Store, *, retime: bool) -> list[RunSpec]:
    """Those of an experiment's runs that are to be timed: the first seed's, where the experiment has a timing pass.

    Args:
        runs: That ended well.
        experiment: For seeds and the timing pass.
        store: Where timings are.
        retime: Whether those are whose timing would be worth repeating.
    """
    if not experiment.timing_blocks:
        return []
    first = [run for run in runs if run.seed == experiment.seeds[0]]
    return [run for run in first if _is_untimed(store.read_timing(run.run_id), retime=retime)]


def _time(run: RunSpec, work: Work, blocks: int) -> str:
    """Time one run, and leave what was found beside its record; otherwise, why that could not be."""
    prepare(work)
    try:
        Store(work.place.results).write_timing(run.run_id, time_alone(run, work.place, blocks))
    except Exception as error:
        return str(error) or type(error).__name__
    return ""


def _is_untimed(timing: Timing | None, *, retime: bool) -> bool:
    """Whether a timing pass is missing, or would be worth repeating."""
    return timing is None or (retime and (timing.is_disturbed or timing.has_stalled or timing.replay is None))
