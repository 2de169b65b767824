"""Auditing in passing: what ran, and nobody has audited yet, goes through the leak canary, off the clock."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from bench.audit import AUDITS, Audit, audit_file, audited_sha, code_sha, read_audit, subject_of, write_audit
from bench.audit_scope import NO_OPTIONS, Options, service_of
from bench.engines import Crew, Lost
from bench.forecaster import FORECASTERS
from bench.measuring.isolation import isolated
from bench.orchestration.progress import Sight
from bench.orchestration.sharing import Claims, Sharing
from bench.plugins import load_plugins
from bench.provenance import packages
from bench.run import Workplace
from bench.run_spec import RunSpec
from bench.storage.disk import SESSIONS
from bench.strategy import STRATEGIES

SECONDS = 120.0
"""What an audit in passing may take; who needs longer stays unaudited until `bench check`."""


@dataclass(frozen=True)
class Subject:
    """A strategy and the forecaster that it runs on (empty without one), by name, with the options of some runs.

    Attributes:
        strategy: Registered name.
        forecaster: Likewise.
        options: That were given to both.
        runs: Of those that have these options, one of each service.
    """

    strategy: str
    forecaster: str = ""
    options: Options = NO_OPTIONS
    runs: tuple[RunSpec, ...] = field(default=(), compare=False)

    @classmethod
    def of(cls, run: RunSpec) -> Subject:
        """What a run is of."""
        other = run.forecaster
        options = Options.of(run.strategy.options, other.options if other else None)
        return cls(run.strategy.name, other.name if other else "", options, (run,))

    @property
    def name(self) -> str:
        """Strategy and forecaster in a word."""
        return subject_of(self.strategy, self.forecaster)

    @property
    def sha(self) -> str:
        """Of the code of both, and of the options."""
        other = FORECASTERS[self.forecaster].sha if self.forecaster else ""
        return self.options.join(audited_sha(STRATEGIES[self.strategy].sha, other))


def audits_folder(place: Workplace) -> Path:
    """Where audits are kept: with the checkpoints, beside all experiments."""
    return place.checkpoints.with_name(AUDITS)


def audit_missing(
    runs: Iterable[RunSpec],
    place: Workplace,
    sight: Sight,
    sharing: Sharing,
    crew: Crew,
    threads: int,
    *,
    again: bool = False,
) -> None:
    """Audit each strategy that served the stream and that nobody audited in this version, with these options.

    What `bench check` found at length to be at fault stands until `bench check` finds otherwise.

    Args:
        runs: Those of an experiment that ended well; those over validation rows only count for nothing.
        place: Where audits and plug-ins are.
        sight: Where progress is drawn.
        sharing: With other sessions.
        crew: Who carries the audits out.
        threads: For each.
        again: Whether those are audited too that are known to have passed.
    """
    folder = audits_folder(place)
    missing = [subject for subject in subjects_of(runs) if not _stands(folder, subject, again=again)]
    missing.sort(key=lambda subject: not STRATEGIES[subject.strategy].cls.heavy)
    if not missing:
        return
    before = {subject: _stamp(folder, subject) for subject in missing}

    def lock_of(subject: Subject) -> Path:
        return place.root / SESSIONS / f".{audit_file(Path(), subject.name, subject.sha).stem}.lock"

    def found(subject: Subject) -> Audit | None:
        """What another session has found meanwhile."""
        changed = _stamp(folder, subject) != before[subject]
        return read_audit(folder, subject.strategy, subject.forecaster, subject.sha) if changed else None

    def audits(subjects: Iterable[Subject]) -> Iterator[Audit]:
        for audit in _audits(subjects, place, crew, threads):
            write_audit(folder, audit)
            yield audit

    bar = sight.stage("leak canary", len(missing))
    claims = Claims(lock_of, found, lambda audit: Subject(audit.strategy, audit.forecaster, audit.options))
    with sharing.running():
        for audit in sharing.shared(missing, audits, claims):
            sight.advance(bar, _remark(audit))


def subjects_of(runs: Iterable[RunSpec]) -> list[Subject]:
    """What is to be audited, each with one run of each service; runs over validation rows count for nothing."""
    found: dict[Subject, dict[str, RunSpec]] = {}
    for run in runs:
        if run.rows == "stream":
            found.setdefault(Subject.of(run), {}).setdefault(service_of(run.protocol, hidden=run.hidden), run)
    return [replace(subject, runs=tuple(services.values())) for subject, services in found.items()]


def _stamp(folder: Path, subject: Subject) -> tuple[int, int]:
    """Of an audit's file: one that is written anew has another."""
    try:
        file = audit_file(folder, subject.name, subject.sha).stat(follow_symlinks=False)
    except OSError:
        return 0, 0
    return file.st_ino, file.st_mtime_ns


def _stands(folder: Path, subject: Subject, *, again: bool) -> bool:
    audit = read_audit(folder, subject.strategy, subject.forecaster, subject.sha)
    if audit is None:
        return False
    if audit.status == "failed" and not audit.quick:
        return True
    speaks = all(audit.speaks_of(run.protocol, hidden=run.hidden) for run in subject.runs)
    return not again and audit.code == code_sha() and (audit.status != "passed" or speaks)


def _audits(subjects: Iterable[Subject], place: Workplace, crew: Crew, threads: int) -> Iterator[Audit]:
    """All audits as they end; where one takes its worker with it, that is what is known of it."""
    for made in crew(partial(_audit, plugins=place.plugins, threads=threads), subjects):
        yield _lost(made.job, made.reason) if isinstance(made, Lost) else made


def _audit(subject: Subject, plugins: tuple[Path, ...], threads: int) -> Audit:
    """One audit, in whatever process."""
    from bench.testing import AsRun, audit_strategy

    load_plugins(plugins)
    with isolated(0, threads):
        return audit_strategy(
            subject.strategy,
            subject.forecaster,
            quick=True,
            seconds=SECONDS,
            threads=threads,
            given=subject.options,
            services=[AsRun.of(run) for run in subject.runs],
        )


def _lost(subject: Subject, reason: str) -> Audit:
    return Audit(
        strategy=subject.strategy,
        forecaster=subject.forecaster,
        sha=subject.sha,
        strategy_options=subject.options.strategy,
        forecaster_options=subject.options.forecaster,
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
    return f"{audit.title} {verdict}: {audit.reason}"
