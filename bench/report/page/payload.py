"""Everything that the page shows, as JSON."""

from __future__ import annotations

import json
from typing import Any

from bench.report.accuracy import how_to_read
from bench.report.answer import answer
from bench.report.document import question
from bench.report.markdown import one_line
from bench.report.page.board import board_payload
from bench.report.page.prose import paragraphs
from bench.report.page.streams import streams_payload
from bench.report.problems import LONGEST
from bench.report.results import Results

MOST_BYTES = 4_500_000
LEAST_ROOM = 400_000  # bytes for lines, however much the rest takes
DANGEROUS = {ord(character): f"\\u{ord(character):04x}" for character in "<>&"}


def payload(results: Results) -> dict[str, Any]:
    """What the page's scripts are given.

    Returns:
        ``name``; ``question``, ``answer`` and ``reading`` as `paragraphs`; ``board`` as `board_payload`;
        ``streams`` as `streams_payload`; ``problems``, a row for each run that did not end well.
    """
    found: dict[str, Any] = {
        "name": results.name,
        "question": paragraphs(question(results)),
        "answer": paragraphs(answer(results)),
        "reading": paragraphs("\n".join(how_to_read(results)).split("\n")),
        "board": board_payload(results),
        "problems": _problems(results),
    }
    room = max(LEAST_ROOM, MOST_BYTES - len(as_json(found)))
    return found | {"streams": streams_payload(results, room)}


def as_json(value: object) -> str:
    """JSON that can stand within a script element: ASCII alone, and no ``<``, ``>`` or ``&``.

    Any text comes back from `json.loads` as it was, half a surrogate pair too.

    Examples:
        >>> as_json({"name": "</script>"})
        '{"name":"\\\\u003c/script\\\\u003e"}'
    """
    return json.dumps(value, allow_nan=False, separators=(",", ":")).translate(DANGEROUS)


def _problems(results: Results) -> list[dict[str, Any]]:
    bad = results.runs[results.runs["status"] != "ok"]
    rows = []
    for (entry, scenario, status, reason), group in bad.groupby(["entry", "scenario", "status", "reason"], sort=True):
        text = one_line(reason) or "no reason was recorded"
        rows.append(
            {
                "entry": entry,
                "scenario": results.scenarios.index(str(scenario)),
                "seeds": ", ".join(str(seed) for seed in sorted(group["seed"])),
                "status": status,
                "reason": text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…",
            }
        )
    return rows
