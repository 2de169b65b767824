"""Audits: whether a strategy passed the leak canary, in the version that ran. Read by reports, without torch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from bench.contracts.naming import plain_options, without_places
from bench.contracts.protocol import Protocol
from bench.results.audit_scope import Options, service_of, traits_of
from bench.results.disk import replace_whole
from bench.results.plain import JSON_BYTES, read_file
from bench.results.record import Part, Record, Timing, tampering

AUDITS = ".audits"  # beside the experiments' results: what was audited once holds for all of them
PACKAGE = Path(__file__).resolve().parents[1]
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
        sha: Of the code of both (see `audited_sha`), and of the options.
        strategy_options: Those that were given, as `Options` has them; ``forecaster_options`` likewise.
        status: ``unknown`` where the check could not end; ``reason`` says why, or what was found.
        checks: What was passed, a line each.
        served: What was served: traits, and whole services of runs as they were (see `traits_of`, `service_of`); None
            in an audit of before this was noted.
        refused: Services of runs that were refused.
        as_run: Whether the options of the run were audited as they are, too, and not only with those that are `tiny`.
        beside: What earlier runs had left in the process that it was made in (see `Record`): nothing is known then.
        quick: Whether it was made in passing rather than by `bench check`.
        code: Hash of this package's own code at the time: it hands the rows over.
        packages: Versions.
        date: When, UTC.
        seconds: How long it took.
        printed: What it printed, by whatever way, where it was made in passing.
    """

    strategy: str
    forecaster: str = ""
    sha: str
    status: AuditStatus
    reason: str = ""
    checks: tuple[str, ...] = ()
    strategy_options: dict[str, Any] = Field({})
    forecaster_options: dict[str, Any] = Field({})
    served: tuple[str, ...] | None = None
    refused: tuple[str, ...] = ()
    as_run: bool = False
    beside: tuple[str, ...] = ()
    quick: bool
    code: str
    packages: dict[str, str]
    date: str
    seconds: float
    printed: str = ""

    @field_validator("strategy_options", "forecaster_options")
    @classmethod
    def _options_name_no_place(cls, options: dict[str, Any]) -> dict[str, Any]:
        return plain_options(options)

    @field_validator("reason")
    @classmethod
    def _reason_names_no_place(cls, text: str) -> str:
        return without_places(text)

    @field_validator("checks", "refused")
    @classmethod
    def _lines_name_no_place(cls, lines: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(without_places, lines))

    @property
    def subject(self) -> str:
        """Strategy and forecaster in a word."""
        return subject_of(self.strategy, self.forecaster)

    @property
    def title(self) -> str:
        """The same, with the options that were given."""
        given = self.strategy_options | self.forecaster_options
        return self.subject + (f" ({', '.join(f'{k}={v}' for k, v in given.items())})" if given else "")

    @property
    def options(self) -> Options:
        """What was given to both."""
        return Options.of(self.strategy_options, self.forecaster_options)

    def covers(self, protocol: Protocol, *, hidden: bool) -> bool:
        """Whether it speaks of a service: it was served, or all that may be refused of it was, and it was not refused.

        Args:
            protocol: The schedule.
            hidden: Whether targets are not among the inputs.
        """
        service = service_of(protocol, hidden=hidden)
        if self.served is None or service in self.served:
            return True
        return service not in self.refused and traits_of(protocol, hidden=hidden) <= set(self.served)

    def speaks_of(self, protocol: Protocol, *, hidden: bool) -> bool:
        """Whether it covers a service, or has said that it was refused."""
        return self.covers(protocol, hidden=hidden) or service_of(protocol, hidden=hidden) in self.refused

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
    """The newest audit of a version with some options, or None where there is none or it cannot be read."""
    file = audit_file(folder, subject_of(strategy, forecaster), sha)
    try:
        audit = Audit.model_validate_json(read_file(file, folder.parent, JSON_BYTES))
    except (OSError, ValueError):
        return None
    return audit if audit.sha == sha else None


def audits_beside(experiment: Path, records: Mapping[str, Record], timings: Mapping[str, Timing]) -> dict[str, Audit]:
    """What is known of the records of an experiment, by run id; those of which nothing is are left out.

    An audit that could not serve what a run serves is none for it. A run that was served again and speaks against a
    version, or replaced parts of the harness, fails all of that version.

    Args:
        experiment: Its folder; audits lie beside it, and each file is read once.
        records: By run id.
        timings: Likewise, with what came of serving a run again.
    """
    found: dict[tuple[str, ...], Audit | None] = {}
    against = _against(records, timings)
    kept = {}
    for run_id, record in records.items():
        version = _version(record)
        strategy, sha, forecaster, other = version
        options = Options.of(record.strategy.given, record.forecaster.given if record.forecaster else None)
        key = options.join(audited_sha(sha, other))
        if (*version, key) not in found:
            found[*version, key] = read_audit(experiment.parent / AUDITS, strategy, forecaster, key)
        audit = found[*version, key]
        if version in against:
            audit = _unmade(record, key, "failed", against[version])
        elif audit is not None and audit.status == "passed" and not _covers(audit, record):
            reason = f"it could not serve, when it was audited: {_service(record)}"
            audit = audit.model_copy(update={"status": "unknown", "reason": reason})
        if audit is not None:
            kept[run_id] = audit
    return kept


def _against(records: Mapping[str, Record], timings: Mapping[str, Timing]) -> dict[tuple[str, ...], str]:
    """Why not, by version: a run replaced parts of the harness, or was served again and was not the same."""
    found: dict[tuple[str, ...], str] = {}
    for run_id, record in records.items():
        for left in (record.left, timings[run_id].left if run_id in timings else []):
            if own := tampering(left):
                found.setdefault(_version(record), f"{replaced(own)} (on {record.dataset.name})")
    for run_id, timing in timings.items():
        if run_id in records and timing.replay is not None and timing.replay.is_held_against:
            record = records[run_id]
            reason = f"{timing.replay.reason} (on {record.dataset.name}, in its timing pass)"
            found.setdefault(_version(record), reason)
    return found


def replaced(own: list[str]) -> str:
    """What is said of who replaced what is the harness's own; see `tampering`."""
    return f"tampers: it replaced {', '.join(own)}"


def _covers(audit: Audit, record: Record) -> bool:
    return audit.covers(record.protocol, hidden=_is_hidden(record))


def _service(record: Record) -> str:
    return service_of(record.protocol, hidden=_is_hidden(record))


def _is_hidden(record: Record) -> bool:
    return not set(record.dataset.targets) <= set(record.dataset.inputs)


def _unmade(record: Record, sha: str, status: AuditStatus, reason: str) -> Audit:
    """What is known of a version without an audit."""
    strategy, _, forecaster, _ = _version(record)
    return Audit(
        strategy=strategy,
        forecaster=forecaster,
        sha=sha,
        status=status,
        reason=reason,
        quick=True,
        code="",
        packages=record.environment.get("packages", {}),
        date=str(record.environment.get("started", "")),
        seconds=0.0,
    )


def _version(record: Record) -> tuple[str, str, str, str]:
    """Names and hashes of strategy and forecaster."""
    other = record.forecaster
    return record.strategy.name, record.strategy.sha, other.name if other else "", other.sha if other else ""


def write_audit(folder: Path, audit: Audit) -> None:
    """Keep an audit, in place of an earlier one of the same version."""
    text = audit.as_json()
    replace_whole(audit_file(folder, audit.subject, audit.sha), text, folder.parent)
