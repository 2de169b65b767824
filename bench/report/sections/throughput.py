"""What `make throughput` measured on this machine, beside the cost of the runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.report.blocks import Block, Heading, Paragraph, Table, escape
from bench.report.render.numbers import NONE, brief, fixed
from bench.report.view.throughput import Throughput

COLUMNS = {
    "strategy": "Strategy",
    "engine": "memory engine",
    "kind": "step",
    "batch": "windows",
    "lookback": "lookback",
    "chunk": "chunk",
    "memory": "memory",
}


def throughput(found: Throughput | None) -> list[Block]:
    """One table of medians and ratios; nothing where nothing was measured."""
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
    table = Table([*headers, *(["ratio ↑"] if ratios else [])], rows, texts)
    return [Heading("Throughput on this machine", 3), table, Paragraph(note)]


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
