"""What `make throughput` measured on this machine, beside the cost of the runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.report.render.markdown import NONE, escape, table
from bench.report.render.numbers import brief, fixed
from bench.results.benchmark_files import Session, read_sessions
from bench.results.plain import is_folder

COLUMNS = {
    "strategy": "Strategy",
    "engine": "memory engine",
    "kind": "step",
    "batch": "windows",
    "lookback": "lookback",
    "chunk": "chunk",
    "memory": "memory",
}


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


def throughput(found: Throughput | None) -> list[str]:
    """Blocks: one table of medians and ratios; nothing where nothing was measured."""
    if found is None:
        return []
    columns = [key for key in COLUMNS if any(key in entry for entry in found.entries)]
    headers = [*(COLUMNS[key] for key in columns), "median, ms ↓"]
    ratios = any("ratio" in entry for entry in found.entries)
    rows = []
    for entry in sorted(found.entries, key=lambda entry: _order(entry, columns)):
        cells = [escape(entry[key]) if key in entry else NONE for key in columns]
        cells.append(brief(entry["median_ms"]))
        rows.append([*cells, _ratio(entry)] if ratios else cells)
    texts = sum(key in columns for key in ("strategy", "engine", "kind"))
    when = f" on {escape(found.date[:10])}" if found.date else ""
    note = f"Measured by `make throughput`{when} on {escape(found.machine) or 'an unnamed machine'}: "
    note += "a step by itself, on inputs of its own, median of many."
    if ratios:
        note += " A ratio is how many times faster than what it names, both measured in turn in one process."
    return ["### Throughput on this machine", table([*headers, *(["ratio ↑"] if ratios else [])], rows, texts), note]


def _throughput(session: Session) -> Throughput:
    entries = [one.extra | {"median_ms": one.median_ms} for one in session.benchmarks if "strategy" in one.extra]
    return Throughput(session.date, session.machine, entries)


def _order(entry: dict[str, Any], columns: Sequence[str]) -> list[tuple[bool, float, str]]:
    """Numbers by size, text by letters, missing ones first."""
    values = [entry.get(key) for key in columns]
    return [(key is not None, float(key) if isinstance(key, int | float) else 0.0, str(key)) for key in values]


def _ratio(entry: dict[str, Any]) -> str:
    value = entry.get("ratio")
    if not isinstance(value, int | float):
        return NONE
    against = f" {escape(entry['against'])}" if entry.get("against") else ""
    return f"{fixed(float(value), 2)} x{against}"
