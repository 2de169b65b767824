"""Audits: whether a strategy passed the leak canary, in the version that ran. Read by reports, without torch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal

from bench.record import Part, Record, Timing
from bench.storage.disk import replace_whole
from bench.storage.plain import JSON_BYTES, read_file

AUDITS = ".audits"  # beside the experiments' results: what was audited once holds for all of them
PACKAGE = Path(__file__).resolve().parent
LONGEST = 100
"""Letters of a subject in a file's name."""

READERS = ("analysis", "report", "_builtin")
"""Folders of the package whose code decides no forecast."""

AuditStatus = Literal["passed", "failed", "unknown"]
Standing = Literal["passed", "failed", "unaudited"]


class Audit(Part):
    """What the leak canary said of a strategy on a forecaster.

    Attributes:
        strategy: Registered name.
        forecaster: Likewise; empty for a strategy that adapts none.
        sha: Of the files of both (see `audited_sha`).
        status: ``unknown`` where the check could not end; ``reason`` says why, or what was found.
        checks: What was passed, a line each.
        quick: Whether it was made in passing rather than by `bench check`.
        code: Hash of this package's own code at the time: it hands the rows over.
        packages: Versions.
        date: When, UTC.
        seconds: How long it took.
    """

    strategy: str
    forecaster: str = ""
    sha: str
    status: AuditStatus
    reason: str = ""
    checks: tuple[str, ...] = ()
    quick: bool
    code: str
    packages: dict[str, str]
    date: str
    seconds: float

    @property
    def subject(self) -> str:
        """Strategy and forecaster in a word."""
        return subject_of(self.strategy, self.forecaster)

    @property
    def standing(self) -> Standing:
        """What a report says of it."""
        return "unaudited" if self.status == "unknown" else self.status


def subject_of(strategy: str, forecaster: str) -> str:
    """Strategy and forecaster in a word; a strategy alone where the second is empty."""
    return f"{strategy}+{forecaster}" if forecaster else strategy


def audited_sha(strategy: str, forecaster: str = "") -> str:
    """One hash for those that a record holds of a strategy and, unless empty, a forecaster."""
    return hashlib.sha256(f"{strategy} {forecaster}".encode()).hexdigest() if forecaster else strategy


@cache
def code_sha() -> str:
    """Hash of the package's own code, but for what only reads results: another one is to be audited again."""
    files = [path for path in sorted(PACKAGE.rglob("*.py")) if path.relative_to(PACKAGE).parts[0] not in READERS]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def audit_file(folder: Path, subject: str, sha: str) -> Path:
    """Where an audit lies: ``<folder>/<subject>-<start of its sha>.json``; of a long subject its start and a hash."""
    if len(subject) > LONGEST:
        subject = f"{subject[:LONGEST]}-{hashlib.sha256(subject.encode()).hexdigest()[:16]}"
    return folder / f"{subject}-{sha[:16]}.json"


def read_audit(folder: Path, strategy: str, forecaster: str, sha: str) -> Audit | None:
    """The newest audit of a version, or None where there is none or it cannot be read."""
    try:
        file = audit_file(folder, subject_of(strategy, forecaster), sha)
        audit = Audit.model_validate_json(read_file(file, folder.parent, JSON_BYTES))
    except (OSError, ValueError):
        return None
    return audit if audit.sha == sha else None


def audit_of(folder: Path, record: Record) -> Audit | None:
    """The audit of what a record is of, or None."""
    other = record.forecaster
    sha = audited_sha(record.strategy.sha, other.sha if other else "")
    return read_audit(folder, record.strategy.name, other.name if other else "", sha)


def audits_beside(experiment: Path, records: Mapping[str, Record]) -> dict[str, Audit]:
    """`audit_of` the records of an experiment, by run id; each file is read once.

    Args:
        experiment: Its folder; audits lie beside it.
        records: By run id.
    """
    found: dict[tuple[str, str, str, str], Audit | None] = {}
    kept = {}
    for run_id, record in records.items():
        key = _version(record)
        if key not in found:
            found[key] = audit_of(experiment.parent / AUDITS, record)
        if (audit := found[key]) is not None:
            kept[run_id] = audit
    return kept


def held_against(
    audits: Mapping[str, Audit], records: Mapping[str, Record], timings: Mapping[str, Timing]
) -> dict[str, Audit]:
    """Audits, failed where a run that was served again speaks against a version: on its own series it was no other.

    Args:
        audits: By run id.
        records: Likewise.
        timings: Likewise, with what came of serving a run again.
    """
    found: dict[tuple[str, ...], str] = {}
    for run_id, timing in timings.items():
        if run_id in records and timing.replay is not None and timing.replay.is_held_against:
            record = records[run_id]
            found.setdefault(_version(record), f"{timing.replay.reason} (on {record.dataset.name}, in its timing pass)")
    judged = dict(audits)
    for run_id, record in records.items():
        strategy, sha, forecaster, other = version = _version(record)
        if version in found:
            judged[run_id] = Audit(
                strategy=strategy,
                forecaster=forecaster,
                sha=audited_sha(sha, other),
                status="failed",
                reason=found[version],
                quick=True,
                code="",
                packages=record.environment.get("packages", {}),
                date=str(record.environment.get("started", "")),
                seconds=0.0,
            )
    return judged


def _version(record: Record) -> tuple[str, str, str, str]:
    """Names and hashes of strategy and forecaster."""
    other = record.forecaster
    return record.strategy.name, record.strategy.sha, other.name if other else "", other.sha if other else ""


def write_audit(folder: Path, audit: Audit) -> None:
    """Keep an audit, in place of an earlier one of the same version."""
    replace_whole(audit_file(folder, audit.subject, audit.sha), audit.model_dump_json(indent=1), folder.parent)
