"""Everything that the page shows, as JSON."""

from __future__ import annotations

import json
from typing import Any

from bench.contracts.text import shown_lines
from bench.report.html.board import board_payload
from bench.report.html.streams import streams_payload
from bench.report.view.loaded import Results

MOST_BYTES = 4_500_000
LEAST_ROOM = 400_000  # bytes for lines, however much the rest takes
DANGEROUS = {ord(character): f"\\u{ord(character):04x}" for character in "<>&"}


def payload(results: Results) -> dict[str, Any]:
    """What the page's scripts are given.

    Returns:
        ``name``; ``board`` as `board_payload`; ``streams`` as `streams_payload`.
    """
    found: dict[str, Any] = {"name": results.name, "board": board_payload(results)}
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
