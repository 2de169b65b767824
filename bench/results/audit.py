"""Audits: whether a strategy passed the leak canary, in the version that ran. Read by reports, without torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from bench.contracts.naming import plain_options
from bench.contracts.protocol import Protocol
from bench.results.disk import replace_whole
from bench.results.plain import JSON_BYTES, read_file
from bench.results.record import Part, PlacelessOptions, PlacelessText, Record, Timing, tampering


@dataclass(frozen=True)
class Options:
    """Options that were given to a strategy and to its forecaster: other options are audited apart."""

    # both as JSON, paths by their last parts; without a forecaster's training settings, which are the harness's
    text: str = "[{}, {}]"
    given: str = field(default="[{}, {}]", compare=False)  # the same with whole paths

    @classmethod
    def of(cls, strategy: Mapping[str, Any], forecaster: Mapping[str, Any] | None = None) -> Options:
        """The options of a run or a record."""
        other = {key: value for key, value in (forecaster or {}).items() if key != "training"}
        both = [dict(strategy), other]
        plain = [plain_options(options) for options in both]
        return cls(*(json.dumps(options, sort_keys=True) for options in (plain, both)))

    @property
    def strategy(self) -> dict[str, Any]:
        """The strategy's options."""
        options: dict[str, Any] = json.loads(self.given)[0]
        return options

    @property
    def forecaster(self) -> dict[str, Any]:
        """The forecaster's options."""
        options: dict[str, Any] = json.loads(self.given)[1]
        return options

    def join(self, sha: str) -> str:
        """One hash for a version and these options; the version's own if there are none."""
        return sha if self == NO_OPTIONS else hashlib.sha256(f"{sha} {self.text}".encode()).hexdigest()


NO_OPTIONS = Options()


def service_of(protocol: Protocol, *, hidden: bool) -> str:
    """What a run serves, in a line; ``hidden`` says that targets are not among the inputs."""
    return f"{protocol.label}, targets {'hidden' if hidden else 'among the inputs'}"


def traits_of(protocol: Protocol, *, hidden: bool) -> frozenset[str]:
    """What a strategy may refuse to serve: an audit without a trait says nothing of runs that have it."""
    traits = {
        "targets hidden": hidden,
        "targets among the inputs": not hidden,
        "warm start": protocol.warm_start,
        "cold start": not protocol.warm_start,
        "blocks of one": protocol.block == 1,
        "blocks of several": protocol.block > 1,
        "every n-th label": protocol.label_every > 1,
        "a share of labels": protocol.label_rate < 1,
        "late labels": protocol.delay > 0,
        "partial labels": protocol.labels == "partial",
    }
    return frozenset(name for name, is_so in traits.items() if is_so)


AUDITS = ".audits"  # beside the experiments' results: what was audited once holds for all of them
PACKAGE = Path(__file__).resolve().parents[1]
LONGEST = 100  # letters of a subject in a file's name
READERS = ("analysis", "report", "_builtin")  # folders of the package whose code decides no forecast

AuditStatus = Literal["passed", "failed", "unknown"]
Standing = Literal["passed", "failed", "unaudited"]


class Audit(Part):
    """What the leak canary said of a strategy on a forecaster."""

    strategy: str  # registered name
    forecaster: str = ""  # registered name; empty if the strategy adapts none
    sha: str  # of the code of both (see `audited_sha`), and of the options
    status: AuditStatus  # unknown if the check could not end; reason says why, or what was found
    reason: PlacelessText = ""
    checks: tuple[PlacelessText, ...] = ()  # what was passed, a line each
    strategy_options: PlacelessOptions = Field({})  # those that were given, as `Options` has them
    forecaster_options: PlacelessOptions = Field({})
    # traits and services that were audited (see `traits_of`, `service_of`); None in old audits
    served: tuple[str, ...] | None = None
    refused: tuple[PlacelessText, ...] = ()  # services of runs that were refused
    # whether the run's own options were audited too, and not only the `tiny` ones
    as_run: bool = False
    # what earlier runs had left in its process (see `Record`): then the status is unknown
    beside: tuple[str, ...] = ()
    quick: bool  # whether `bench run` made it, not `bench check`
    code: str  # hash of this package's own code at the time: it hands the rows over
    packages: dict[str, str]  # versions
    date: str  # when, UTC
    seconds: float  # how long it took
    printed: str = ""  # what it printed, if it was quick

    @property
    def subject(self) -> str:
        """Strategy and forecaster as one name."""
        return subject_of(self.strategy, self.forecaster)

    @property
    def title(self) -> str:
        """The subject, with the options that were given."""
        given = self.strategy_options | self.forecaster_options
        return self.subject + (f" ({', '.join(f'{k}={v}' for k, v in given.items())})" if given else "")

    @property
    def options(self) -> Options:
        """What was given to strategy and forecaster."""
        return Options.of(self.strategy_options, self.forecaster_options)

    def covers(self, protocol: Protocol, *, hidden: bool) -> bool:
        """Whether it speaks of a service: the service was audited, or all its traits were and it was not refused."""
        service = service_of(protocol, hidden=hidden)
        if self.served is None or service in self.served:
            return True
        return service not in self.refused and traits_of(protocol, hidden=hidden) <= set(self.served)

    def speaks_of(self, protocol: Protocol, *, hidden: bool) -> bool:
        """Whether it covers a service, or lists it as refused."""
        return self.covers(protocol, hidden=hidden) or service_of(protocol, hidden=hidden) in self.refused

    @property
    def standing(self) -> Standing:
        """The audit's verdict in reports."""
        return "unaudited" if self.status == "unknown" else self.status


def subject_of(strategy: str, forecaster: str) -> str:
    """Strategy and forecaster as one name; the strategy alone if there is no forecaster."""
    return f"{strategy}+{forecaster}" if forecaster else strategy


def audited_sha(strategy: str, forecaster: str = "") -> str:
    """One hash of a strategy's and, if there is one, a forecaster's."""
    return hashlib.sha256(f"{strategy} {forecaster}".encode()).hexdigest() if forecaster else strategy


@cache
def code_sha() -> str:
    """Hash of the package's code, without what only reads results; if it changes, audits are made again."""
    files = [path for path in sorted(PACKAGE.rglob("*.py")) if path.relative_to(PACKAGE).parts[0] not in READERS]
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def audit_file(folder: Path, subject: str, sha: str) -> Path:
    """The path of an audit: ``<folder>/<subject>-<start of its sha>.json``; a long subject is hashed."""
    if len(subject) > LONGEST:
        subject = f"{subject[:LONGEST]}-{hashlib.sha256(subject.encode()).hexdigest()[:16]}"
    return folder / f"{subject}-{sha[:16]}.json"


def read_audit(folder: Path, strategy: str, forecaster: str, sha: str) -> Audit | None:
    """The newest audit of a version with these options; None if there is none or it cannot be read."""
    file = audit_file(folder, subject_of(strategy, forecaster), sha)
    try:
        audit = Audit.model_validate_json(read_file(file, folder.parent, JSON_BYTES))
    except (OSError, ValueError):
        return None
    return audit if audit.sha == sha else None


def audits_beside(experiment: Path, records: Mapping[str, Record], timings: Mapping[str, Timing]) -> dict[str, Audit]:
    """What is known of the records of an experiment, by run id; records without an audit are left out.

    An audit that could not serve what a run serves does not count for it. A run that differed when it was served again,
    or replaced parts of the harness, fails all runs of its version.
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
        audit, hidden = found[*version, key], not set(record.dataset.targets) <= set(record.dataset.inputs)
        if version in against:
            audit = _unmade(record, key, "failed", against[version])
        elif audit is not None and audit.status == "passed" and not audit.covers(record.protocol, hidden=hidden):
            reason = f"it could not serve, when it was audited: {service_of(record.protocol, hidden=hidden)}"
            audit = audit.model_copy(update={"status": "unknown", "reason": reason})
        if audit is not None:
            kept[run_id] = audit
    return kept


def _against(records: Mapping[str, Record], timings: Mapping[str, Timing]) -> dict[tuple[str, ...], str]:
    """Why versions fail: a run replaced parts of the harness, or differed when it was served again."""
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
    """The reason for a run that replaced parts of the harness; see `tampering`."""
    return f"tampers: it replaced {', '.join(own)}"


def _unmade(record: Record, sha: str, status: AuditStatus, reason: str) -> Audit:
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
    other = record.forecaster
    return record.strategy.name, record.strategy.sha, other.name if other else "", other.sha if other else ""


def write_audit(folder: Path, audit: Audit) -> None:
    """Write an audit, over an earlier one of the same version."""
    text = audit.as_json()
    replace_whole(audit_file(folder, audit.subject, audit.sha), text, folder.parent)
