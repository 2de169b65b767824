"""Everything that the page shows, as JSON."""

from __future__ import annotations

import json
from typing import Any

from bench.contracts.text import shown_lines
from bench.report.document import question
from bench.report.html.board import board_payload
from bench.report.html.prose import paragraphs
from bench.report.html.streams import streams_payload
from bench.report.sections.accuracy import how_to_read
from bench.report.sections.audits import audit_rows
from bench.report.sections.problems import left_out, problem_rows
from bench.report.sections.summary import answer
from bench.report.view.loaded import Results

MOST_BYTES = 4_500_000
LEAST_ROOM = 400_000  # bytes for lines, however much the rest takes
DANGEROUS = {ord(character): f"\\u{ord(character):04x}" for character in "<>&"}


def payload(results: Results) -> dict[str, Any]:
    """What the page's scripts are given.

    Returns:
        ``name``; ``question``, ``answer`` and ``reading`` as `paragraphs`; ``board`` as `board_payload`;
        ``streams`` as `streams_payload`; ``problems``: ``rows`` (strategy, dataset, seeds, status, reason)
        of runs and audits that did not end well, ``left_out`` (sentences on runs in no table).
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
    r"""JSON that can stand within a script element: ASCII alone, no ``<``, ``>`` or ``&``, and no text that steers.

    Examples:
        >>> as_json({"name": "</script>"})
        '{"name":"\\u003c/script\\u003e"}'
    """
    return json.dumps(_shown(value), allow_nan=False, separators=(",", ":")).translate(DANGEROUS)


def _shown(value: Any) -> Any:
    """The same, every text in it as `shown_lines` gives it."""
    if isinstance(value, str):
        return shown_lines(value)
    if isinstance(value, dict):
        return {_shown(key): _shown(item) for key, item in value.items()}
    return [_shown(item) for item in value] if isinstance(value, list | tuple) else value


def _problems(results: Results) -> dict[str, Any]:
    audits = [[subject, "", "", said, reason] for subject, said, reason in audit_rows(results)]
    return {"rows": [*(list(row) for row in problem_rows(results)), *audits], "left_out": left_out(results)}
