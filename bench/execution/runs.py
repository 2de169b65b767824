"""The runs of a session under way: what they share is trained first, then each is carried out by one session."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.contracts.engine import FailedJob, Pool
from bench.contracts.errors import BenchError
from bench.evaluation.pretraining import checkpoint_file
from bench.evaluation.run import checkpoints_of, load_series
from bench.evaluation.run_spec import RunSpec
from bench.execution.eta import Kind, RuntimeEstimator, about, kind_of, kinds_of
from bench.execution.plan import Plan, grouped
from bench.execution.progress import ProgressDisplay
from bench.execution.sharing import Claims, Sharing
from bench.execution.worker import Ended, Work, record_failure, run_group, train_shared
from bench.results.disk import WORK
from bench.results.plain import remove
from bench.results.record import left_behind
from bench.results.store import Store


@dataclass
class Runs:
    """What is missing, with an eye on the time."""

    ahead: Plan
    work: Work
    display: ProgressDisplay
    sharing: Sharing
    pool: Pool

    def ended(self) -> Generator[Ended]:
        """Each run as it ends."""
        if not self.ahead.missing:
            return
        with self.sharing.running():
            self._train()
            yield from self._run()

    def _train(self) -> None:
        """Every checkpoint that runs need and that is not there, once; those that are, too, where all are renewed."""
        place, missing = self.work.place, self.ahead.missing
        for name in needed_checkpoints(missing, place.checkpoints, there=True) if self.work.retrain else ():
            remove(checkpoint_file(place.checkpoints, name), place.root)
        needed = needed_checkpoints(missing, place.checkpoints).values()
        shared = list({run.run_id: run for run in needed}.values())
        bar = self.display.stage("pre-training", len(shared)) if shared else None
        for _ in self.pool(partial(train_shared, work=self.work), shared, self.work.timeout):
            assert bar is not None
            self.display.advance(bar)

    def _run(self) -> Iterator[Ended]:
        left, failed, estimator = kinds_of(self.ahead.missing), 0, self._estimator()
        bar = self.display.stage("runs", left.total())
        claims = Claims(self._lock_of, self._found, lambda ended: ended.run)
        for ended in self.sharing.shared(self.ahead.missing, self._ended, claims):
            left[kind_of(ended.run)] -= 1
            failed += ended.status == "failed"
            if ended.status == "ok":
                estimator.learn(kind_of(ended.run), ended.seconds)
            lines = [f"{ended.status}: {ended.run.label}: {ended.reason}"] if ended.reason else []
            lines += [f"{ended.run.label} {left_behind(ended.left)}"] if ended.left else []
            self.display.advance(bar, "\n".join(lines), self._note(left, failed, estimator))
            yield ended

    def _ended(self, runs: Iterator[RunSpec]) -> Iterator[Ended]:
        share = math.ceil(len(self.ahead.missing) / self.pool.workers)
        return self._groups_ended(grouped(runs, share))

    def _groups_ended(self, groups: Iterator[tuple[RunSpec, ...]]) -> Iterator[Ended]:
        """Groups in the pool; one that is lost, as it took too long or its worker died, is done again one by one."""
        lost: list[RunSpec] = []
        for ended in self.pool(partial(run_group, work=self.work), groups, self.work.timeout):
            if not isinstance(ended, FailedJob):
                yield from ended
            elif len(ended.job) > 1:
                lost += ended.job
            else:
                yield record_failure(ended.job[0], self.work, ended.reason, ended.traceback)
        if lost:
            yield from self._groups_ended((run,) for run in lost)

    def _lock_of(self, run: RunSpec) -> Path:
        if not self.work.is_in_place:  # nothing is claimed in a folder that would have to be made again
            raise BenchError(
                f"{self.work.place.results} was moved or removed while this session ran; what was done is where it "
                "is now. Move it back, and run the same command again: it goes on from there."
            )
        return self.work.place.results / WORK / f"{run.run_id}.lock"

    def _found(self, run: RunSpec) -> Ended | None:
        """How a run ended that another session has carried out since this one looked."""
        store = Store(self.work.place.results)
        now = store.condition(run.run_id)
        if now.stamp in ((0, 0), self.ahead.found[run.run_id].stamp):
            return None
        record = store.read(run.run_id)
        reason = record.reason if record else ""
        return Ended(run, now.state, reason, now.seconds, elsewhere=True)

    def _estimator(self) -> RuntimeEstimator:
        estimator = RuntimeEstimator()
        for run in self.ahead.runs:
            if (found := self.ahead.found[run.run_id]).state == "ok":
                estimator.learn(kind_of(run), found.seconds)
        return estimator

    def _note(self, left: Counter[Kind], failed: int, estimator: RuntimeEstimator) -> str:
        running = min(self.pool.workers, left.total())
        time_left = about(estimator.left(left, self.pool.workers)) if running else ""
        parts = [f"{running} running", f"{failed} failed" if failed else "", f"{time_left} left" if time_left else ""]
        return ", ".join(part for part in parts if part)


def needed_checkpoints(runs: list[RunSpec], folder: Path, *, there: bool = False) -> dict[str, RunSpec]:
    """One run for each checkpoint that is needed, by its name.

    Args:
        there: Whether those count that are there already.
    """
    first: dict[str, RunSpec] = {}
    for run in runs:  # runs on one dataset follow one another
        for name in checkpoints_of(run, load_series(run)):
            if name and (there or not checkpoint_file(folder, name).is_file()):
                first.setdefault(name, run)
    return first
