"""Auditing in passing: what ran, and nobody has audited yet, goes through the leak canary, off the clock."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from bench.contracts.discovery import load_plugins
from bench.contracts.engine import FailedJob, Pool
from bench.contracts.errors import as_text
from bench.contracts.forecaster import FORECASTERS
from bench.contracts.strategy import STRATEGIES
from bench.evaluation.isolation import isolated
from bench.evaluation.run import RunPaths
from bench.evaluation.run_spec import RunSpec
from bench.execution.progress import ProgressDisplay
from bench.execution.run_log import logged
from bench.execution.sharing import Claims, Sharing
from bench.execution.worker import Work
from bench.results.audit import (
    AUDITS,
    NO_OPTIONS,
    Audit,
    Options,
    audit_file,
    audited_sha,
    code_sha,
    read_audit,
    service_of,
    subject_of,
    write_audit,
)
from bench.results.disk import SESSIONS
from bench.results.plain import is_file, read_file, remove
from bench.results.provenance import packages

SECONDS = 120.0
"""What an audit in passing may take; who needs longer stays unaudited until `bench check`."""

HANGS_S = 600.0
"""After so long it is ended, where no timeout is given: it looks at the time only between two passes."""

SHARE = 0.8
"""Of the time after which an audit is ended: after so much it ends by itself, if it comes to look at the time."""


@dataclass(frozen=True)
class Subject:
    """A strategy and the forecaster that it runs on (empty without one), by name, with the options of some runs.

    Attributes:
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


def audits_folder(place: RunPaths) -> Path:
    """Where audits are kept: with the checkpoints, beside all experiments."""
    return place.checkpoints.with_name(AUDITS)


def audit_missing(
    runs: Iterable[RunSpec],
    work: Work,
    display: ProgressDisplay,
    sharing: Sharing,
    pool: Pool,
    threads: int,
    *,
    again: bool = False,
) -> None:
    """Audit each strategy that served the stream and that nobody audited in this version, with these options.

    What `bench check` found at length to be at fault stands until `bench check` finds otherwise.

    Args:
        runs: Those of an experiment that ended well; those over validation rows only count for nothing.
        again: Whether those are audited too that are known to have passed.
    """
    place = work.place
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
        asked = Asked(place.plugins, threads, SECONDS, work.progress_folder, quick=True, own_process=work.own_process)
        for audit in audits_of(subjects, asked, pool, work.timeout):
            write_audit(folder, audit)
            yield audit

    bar = display.stage("leak canary", len(missing))
    claims = Claims(lock_of, found, lambda audit: Subject(audit.strategy, audit.forecaster, audit.options))
    with sharing.running():
        for audit in sharing.shared(missing, audits, claims):
            display.advance(bar, _remark(audit))


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
    if audit is None or audit.beside:
        return False
    if audit.status == "failed" and not audit.quick:
        return True
    speaks = all(audit.speaks_of(run.protocol, hidden=run.hidden) for run in subject.runs)
    return not again and audit.code == code_sha() and (audit.status != "passed" or speaks)


@dataclass(frozen=True)
class Asked:
    """What is asked of whoever carries out audits.

    Attributes:
        seconds: What one may take; it looks at the time only between two passes.
        logs: Folder of what they print until they are over; None: it goes where it goes.
    """

    plugins: tuple[Path, ...]
    threads: int
    seconds: float
    logs: Path | None = None
    quick: bool = False
    own_process: bool = False

    def log(self, subject: Subject) -> Path | None:
        """Where an audit prints while it is under way."""
        name = hashlib.sha256(repr((subject.name, subject.options)).encode()).hexdigest()
        return self.logs / f".audit-{name[:16]}.txt" if self.logs else None


def audits_of(subjects: Iterable[Subject], asked: Asked, pool: Pool, timeout: float | None = None) -> Iterator[Audit]:
    """All audits as they end; where one takes its worker with it, or hangs, that is what is known of it.

    Args:
        timeout: Seconds after which one is given up, where the pool can; by default `HANGS_S` for one made in passing.
    """
    limit = timeout or (HANGS_S if asked.quick else None)
    if asked.quick and limit is not None:
        asked = replace(asked, seconds=min(asked.seconds, SHARE * limit))
    for made in pool(partial(_audit, asked=asked), subjects, limit):
        audit = _lost(made.job, made.reason, asked.quick) if isinstance(made, FailedJob) else made
        said = made.traceback if isinstance(made, FailedJob) else ""
        log = asked.log(Subject(audit.strategy, audit.forecaster, audit.options))
        yield audit.model_copy(update={"printed": as_text((_taken(log) if log else "") + said)})


def _audit(subject: Subject, asked: Asked) -> Audit:
    """One audit, in whatever process."""
    from bench.testing import AsRun, audit_strategy

    log = asked.log(subject)
    with logged(log, own_process=asked.own_process) if log else nullcontext():
        load_plugins(asked.plugins)
        with isolated(0, asked.threads):
            return audit_strategy(
                subject.strategy,
                subject.forecaster,
                quick=asked.quick,
                seconds=asked.seconds,
                threads=asked.threads,
                given=subject.options,
                services=[AsRun.of(run) for run in subject.runs],
            )


def _taken(log: Path) -> str:
    """What was printed; the file is removed."""
    if not is_file(log):
        return ""
    with contextlib.suppress(OSError):
        text = read_file(log, log.parent).decode(errors="backslashreplace")
        remove(log, log.parent)
        return text
    return ""


def _lost(subject: Subject, reason: str, quick: bool) -> Audit:
    return Audit(
        strategy=subject.strategy,
        forecaster=subject.forecaster,
        sha=subject.sha,
        strategy_options=subject.options.strategy,
        forecaster_options=subject.options.forecaster,
        status="unknown",
        reason=reason,
        quick=quick,
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
