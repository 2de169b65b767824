"""The report's own sentences for the page: Markdown of our making, taken apart into runs of plain text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

Run = list[str]
"""Text; then, where it is not plain, ``strong``, ``em``, ``code`` or ``link``; then the target of a link."""

TOKENS = re.compile(
    r"\\(?P<escaped>.)|&(?P<entity>amp|lt|gt);|(?P<strong>\*\*)|(?P<em>\*)|`(?P<code>[^`]*)`"
    r"|\[(?P<link>[^\]\\]*)\]\((?P<target>[^)]*)\)|(?P<plain>[^\\&*`\[]+|.)",
    flags=re.DOTALL,
)
ENTITIES = {"amp": "&", "lt": "<", "gt": ">"}


def paragraphs(blocks: Sequence[str]) -> list[dict[str, object]]:
    """Blocks of a report as the page shows them; headings are left out.

    Args:
        blocks: Markdown as `bench.report` composes it: paragraphs, bullet lists and headings.

    Returns:
        For each paragraph and each bullet ``{"kind": "p" | "li", "runs": [...]}``.
    """
    return [
        {"kind": kind, "runs": runs_of(text)}
        for block in blocks
        if not block.startswith("#")
        for kind, text in _lines(block)
    ]


def _lines(block: str) -> Iterator[tuple[str, str]]:
    if not block.startswith("- "):
        yield "p", block
        return
    for line in block.split("\n"):
        yield "li", line.removeprefix("- ")


def runs_of(markdown: str) -> list[Run]:
    r"""What one paragraph says, with what `bench.report.render.markdown.escape` did to names undone.

    Examples:
        >>> runs_of(r"**a\*b** &lt; [c](#c)")
        [['a*b', 'strong'], [' < '], ['c', 'link', '#c']]
    """
    runs: list[Run] = []
    strong = em = False
    for token in TOKENS.finditer(markdown):
        kind, text = str(token.lastgroup), token[0]
        if kind == "strong":
            strong = not strong
        elif kind == "em":
            em = not em
        elif kind == "target":
            runs.append([token["link"], "link", text[text.rindex("(") + 1 : -1]])
        elif kind == "code":
            runs.append([token["code"], "code"])
        else:
            said = token["escaped"] or ENTITIES.get(token["entity"] or "") or text
            _append(runs, said, "strong" if strong else "em" if em else "")
    return runs


def _append(runs: list[Run], text: str, style: str) -> None:
    """Join what has the style of the run before it."""
    run = [text, style] if style else [text]
    if runs and runs[-1][1:] == run[1:]:
        runs[-1][0] += text
    else:
        runs.append(run)
