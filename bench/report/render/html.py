"""Blocks as HTML: every text is escaped, every figure stands in the file itself."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Mapping
from html import escape

from bench.contracts.text import one_line, shown_lines
from bench.report.blocks import Block, Bullets, Code, Details, Figure, Heading, Paragraph, Run, Table, plain, runs
from bench.report.figures.canvas import METADATA

STYLES = {"strong", "em", "code"}


def render(blocks: Iterable[Block], links: Mapping[str, str]) -> str:
    """The HTML of some blocks.

    Args:
        blocks: From top to bottom.
        links: Where links lead on this page, by their targets in the report; others are no links here.
    """
    return "\n".join(_block(block, links) for block in blocks)


def inline(text: str, links: Mapping[str, str]) -> str:
    """A text in the notation of blocks."""
    return "".join(_run(run, links) for run in runs(text))


def _run(run: Run, links: Mapping[str, str]) -> str:
    text = escape(run.text)
    if run.style == "link" and run.target in links:
        return f'<a href="{escape(links[run.target])}">{text}</a>'
    return f"<{run.style}>{_apart(text)}</{run.style}>" if run.style in STYLES else text


def _apart(markup: str) -> str:
    """Kept apart from the text around it, whatever its direction."""
    return f'<bdi dir="auto">{markup}</bdi>'


def _block(block: Block, links: Mapping[str, str]) -> str:
    match block:
        case Heading(text, level):
            return f"<h{level}>{inline(text, links)}</h{level}>"
        case Paragraph(text):
            return f"<p>{inline(text, links)}</p>"
        case Bullets(items):
            return f"<ul>{''.join(f'<li>{inline(item, links)}</li>' for item in items)}</ul>"
        case Code(text):
            return f"<pre><code>{escape(shown_lines(text))}</code></pre>"
        case Table():
            return _table(block, links)
        case Figure():
            return _figure(block)
        case Details(summary, blocks):
            return f"<details><summary>{inline(summary, links)}</summary>{render(blocks, links)}</details>"


def _table(table: Table, links: Mapping[str, str]) -> str:
    kinds = [' class="text"' if i < table.text_columns else "" for i in range(len(table.headers))]
    heads = [
        f'<th scope="col" class="{"text plain" if kind else "plain"}">{inline(head, links)}</th>'
        for kind, head in zip(kinds, table.headers, strict=True)
    ]
    lines = []
    for row in table.rows:
        first, *rest = (_apart(inline(cell, links)) for cell in row)
        cells = [f"<td{kind}>{cell}</td>" for kind, cell in zip(kinds[1:], rest, strict=True)]
        lines.append(f'<tr><th scope="row"{kinds[0]}>{first}</th>{"".join(cells)}</tr>')
    label = escape(plain(table.caption or table.headers[0]))
    caption = f"<caption><span>{inline(table.caption, links)}</span></caption>" if table.caption else ""
    return (
        f'<div class="scroll" role="region" aria-label="{label}, scrolls" tabindex="0"><table>{caption}'
        f"<thead><tr>{''.join(heads)}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def _figure(figure: Figure) -> str:
    drawn = io.BytesIO()
    figure.canvas.savefig(drawn, format="svg", metadata=METADATA[".svg"])
    source = f"data:image/svg+xml;base64,{base64.b64encode(drawn.getvalue()).decode()}"
    caption = f"<figcaption>{escape(one_line(figure.caption))}</figcaption>" if figure.caption else ""
    return f'<figure><img alt="{escape(one_line(figure.alt))}" src="{source}">{caption}</figure>'
