"""Blocks as Markdown that no name can break."""

from __future__ import annotations

import re
from collections.abc import Iterable

from tabulate import tabulate

from bench.contracts.text import shown_lines
from bench.report.blocks import NAME, Block, Bullets, Code, Details, Figure, Heading, Paragraph, Table, escape
from bench.results.disk import slug


def render(blocks: Iterable[Block], above: str = "") -> str:
    """The Markdown of a document.

    Args:
        blocks: From top to bottom.
        above: Leads from the document's folder to that of the report, such as ``../``.
    """
    text = "\n\n".join(_block(block, above) for block in blocks) + "\n"
    if not above:
        return text
    return re.sub(r"\]\((?=README\.md)", f"]({above}", text).replace("](#problems)", f"]({above}README.md#problems)")


def inline(text: str) -> str:
    """A text in the notation of blocks; names are escaped, so that Markdown and HTML leave them alone."""
    return NAME.sub(lambda found: escaped(found[1]), text)


def escaped(line: str) -> str:
    """One line that Markdown and HTML leave alone, in a table cell too."""
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    line = re.sub(r"([\\`*\[\]|~$#])", r"\\\1", line)
    return re.sub(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", r"\\_", line)


def file_of(figure: Figure) -> str:
    """Name of a figure's file, without its ending."""
    return f"{figure.kind}-{slug(figure.subject)}"


def _block(block: Block, above: str) -> str:
    match block:
        case Heading(text, level):
            return f"{'#' * level} {inline(text)}"
        case Paragraph(text):
            return inline(text)
        case Bullets(items):
            return "\n".join(f"- {inline(item)}" for item in items)
        case Code(text, ""):
            return "\n".join(f"    {line}" for line in shown_lines(text).split("\n"))
        case Code(text, language):
            return _fenced(text, language)
        case Table():
            return _table(block)
        case Details(summary, blocks):
            inner = "\n\n".join(_block(each, above) for each in blocks)
            return f"<details><summary>{inline(summary)}</summary>\n\n{inner}\n\n</details>"
        case Figure():
            image = f"![{inline(escape(block.alt))}]({above}figures/{file_of(block)}.svg)"
            return f"{image}\n\n{inline(escape(block.caption))}" if block.caption else image


def _fenced(code: str, language: str) -> str:
    """A block of code that ends where it ends, whatever it holds."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", code)), default=0))
    return f"{fence}{language}\n{shown_lines(code)}\n{fence}"


def _table(table: Table) -> str:
    align = ["left" if i < table.text_columns else "right" for i in range(len(table.headers))]
    rows = [[inline(cell) for cell in row] for row in table.rows]
    headers = [inline(header) for header in table.headers]
    return tabulate(rows, headers, tablefmt="pipe", disable_numparse=True, colalign=align)
