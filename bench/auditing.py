"""Auditing in passing: what ran, and nobody has audited yet, goes through the leak canary, off the clock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.audit import AUDITS, Audit, audited_sha, code_sha, read_audit, subject_of, write_audit
from bench.engines import engine
from bench.errors import WorkerLostError
from bench.experiment import Experiment, RunSpec
from bench.forecaster import FORECASTERS
from bench.isolation import isolated
from bench.plugins import load_plugins
from bench.progress import Sight
from bench.provenance import packages
from bench.run import Workplace
from bench.store import Store
from bench.strategy import STRATEGIES

SECONDS = 120.0
"""What an audit in passing may take; who needs longer stays unaudited until `bench check`."""


@dataclass(frozen=True)
class Subject:
    """A strategy and the forecaster that it runs on (empty without one), by name."""

    strategy: str
    forecaster: str = ""

    @property
    def sha(self) -> str:
        """Of the files of both."""
        return audited_sha(STRATEGIES[self.strategy].sha, FORECASTERS[self.forecaster].sha if self.forecaster else "")


def audits_folder(place: Workplace) -> Path:
    """Where audits are kept: with the checkpoints, beside all experiments."""
    return place.checkpoints.with_name(AUDITS)


def audit_missing(
    runs: Iterable[RunSpec],
    experiment: Experiment,
    place: Workplace,
    store: Store,
    sight: Sight,
    workers: int,
    *,
    again: bool = False,
) -> None:
    """Audit each strategy that served the stream and that nobody audited in this version.

    What `bench check` found at length to be at fault stands until `bench check` finds otherwise.

    Args:
        runs: Those over validation rows only, and those that did not end well, count for nothing.
        experiment: For engine and threads.
        place: Where audits and plug-ins are.
        store: Holds the runs' records.
        sight: Where progress is drawn.
        workers: How many audits at a time.
        again: Whether those are audited too that are known to have passed.
    """
    folder = audits_folder(place)
    served = {
        Subject(run.strategy.name, run.forecaster.name if run.forecaster else ""): None
        for run in runs
        if run.rows == "stream" and (record := store.read(run.run_id)) is not None and record.status == "ok"
    }
    missing = [subject for subject in served if not _stands(folder, subject, again=again)]
    missing.sort(key=lambda subject: not STRATEGIES[subject.strategy].cls.heavy)
    bar = sight.stage("leak canary", len(missing)) if missing else None
    for audit in _audits(missing, place, experiment.engine, workers, experiment.threads):
        assert bar is not None
        write_audit(folder, audit)
        sight.advance(bar, _remark(audit))


def _stands(folder: Path, subject: Subject, *, again: bool) -> bool:
    audit = read_audit(folder, subject.strategy, subject.forecaster, subject.sha)
    if audit is None:
        return False
    return (audit.status == "failed" and not audit.quick) or (not again and audit.code == code_sha())


def _audits(subjects: list[Subject], place: Workplace, engine_name: str, workers: int, threads: int) -> Iterator[Audit]:
    """All audits as they end. Where a worker dies, what is left is audited one at a time, to know whose fault it is."""
    left = {subject_of(s.strategy, s.forecaster): s for s in subjects}
    audit = partial(_audit, plugins=place.plugins, threads=threads)
    try:
        for made in engine(engine_name)(audit, subjects, workers, threads):
            del left[made.subject]
            yield made
    except WorkerLostError:
        for subject in left.values():
            try:
                # two workers for the one: where one is asked for, the work is done in this process, which must live on
                yield from engine(engine_name)(audit, [subject], 2, threads)
            except WorkerLostError as error:
                yield _lost(subject, str(error))


def _audit(subject: Subject, plugins: tuple[Path, ...], threads: int) -> Audit:
    """One audit, in whatever process."""
    from bench.testing import audit_strategy

    load_plugins(plugins)
    with isolated(0, threads):
        return audit_strategy(subject.strategy, subject.forecaster, quick=True, seconds=SECONDS, threads=threads)


def _lost(subject: Subject, reason: str) -> Audit:
    return Audit(
        strategy=subject.strategy,
        forecaster=subject.forecaster,
        sha=subject.sha,
        status="unknown",
        reason=reason,
        quick=True,
        code=code_sha(),
        packages=packages(),
        date="",
        seconds=0.0,
    )


def _remark(audit: Audit) -> str:
    if audit.status == "passed":
        return ""
    verdict = "FAILED the leak canary" if audit.status == "failed" else "could not be audited"
    return f"{audit.subject} {verdict}: {audit.reason}"
