"""What `make throughput` measured on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.results.benchmark_files import Session, read_sessions
from bench.results.plain import is_folder


@dataclass(frozen=True)
class Throughput:
    """One session of benchmarks.

    Attributes:
        date: When it ended or began, as the file says; empty where it does not.
        machine: Its processor.
        entries: For each benchmark that says which strategy it is of: its ``extra_info``, and ``median_ms``.
    """

    date: str
    machine: str
    entries: list[dict[str, Any]]


def read_throughput(folder: Path | None) -> Throughput | None:
    """The newest session in a folder, by the date in its file, that holds a strategy's benchmark.

    Args:
        folder: Of JSON files in pytest-benchmark's own format; files of another format are passed over. None where
            there is none.

    Returns:
        The session, or None.
    """
    if folder is None or not is_folder(folder):
        return None
    sessions = [_throughput(session) for session in read_sessions(folder)]
    return max((session for session in sessions if session.entries), key=lambda session: session.date, default=None)


def _throughput(session: Session) -> Throughput:
    entries = [one.extra | {"median_ms": one.median_ms} for one in session.benchmarks if "strategy" in one.extra]
    return Throughput(session.date, session.machine, entries)
