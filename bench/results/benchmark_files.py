"""What `make throughput` leaves: files in pytest-benchmark's own format."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.results.plain import is_file

THROUGHPUT = "throughput"  # folder beside the experiments' results


@dataclass(frozen=True)
class Benchmark:
    """One benchmark of a session."""

    name: str  # with its file, where that is known
    median_ms: float  # median of its rounds
    extra: dict[str, Any]  # its extra_info


@dataclass(frozen=True)
class Session:
    """One session of benchmarks."""

    date: str  # when it ended or began, as the file says; empty where it does not
    machine: str  # its processor; empty where it is not named
    benchmarks: list[Benchmark]  # in the file's order


def read_session(file: Path) -> Session | None:
    """One file's session; None if it cannot be read, has another format, or holds no benchmark."""
    try:
        session = json.loads(file.read_bytes())
        machine = session.get("machine_info", {})
        benchmarks = [_benchmark(one) for one in session["benchmarks"]]
        name = machine.get("cpu", {}).get("brand_raw") or machine.get("processor") or machine.get("machine") or ""
        date = str(session.get("datetime") or "")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return Session(date, str(name), benchmarks) if benchmarks else None


def read_sessions(folder: Path) -> list[Session]:
    """Sessions of a folder's JSON files, oldest first by the date in the file; other files are ignored."""
    files = [file for file in sorted(folder.glob("*.json")) if is_file(file)]
    found = [session for file in files if (session := read_session(file)) is not None]
    return sorted(found, key=lambda session: session.date)


def _benchmark(one: dict[str, Any]) -> Benchmark:
    name = str(one.get("fullname") or one.get("name") or "")
    return Benchmark(name, 1000 * float(one["stats"]["median"]), dict(one.get("extra_info") or {}))
