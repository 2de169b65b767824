"""Markdown that no name can break."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from tabulate import tabulate

from bench.contracts.text import one_line, shown_lines

NONE = "\N{EN DASH}"


def escape(text: object) -> str:
    """Any text as one line that Markdown and HTML leave alone, in a table cell too."""
    line = one_line(text)
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    line = re.sub(r"([\\`*\[\]|~$#])", r"\\\1", line)
    return re.sub(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", r"\\_", line)


MARKS = {"failed": "**FAILED the leak canary**, not ranked", "unaudited": "unaudited"}


def marked(entry: str, group: str, audit: str = "") -> str:
    """An entry's name with its group behind it, where that is not ``core``, and what its audit said, where not well."""
    mark = "leaky, not ranked" if group == "leaky" else group
    marks = [escape(mark)] if mark not in ("core", "") else []
    marks += [MARKS[audit]] if audit in MARKS else []
    return escape(entry) + (f" ({', '.join(marks)})" if marks else "")


def fenced(code: str, language: str) -> str:
    """A block of code that ends where it ends, whatever it holds."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", code)), default=0))
    return f"{fence}{language}\n{shown_lines(code)}\n{fence}"


def table(headers: Sequence[str], rows: Sequence[Sequence[str]], text_columns: int = 1) -> str:
    """A table in pipes; cells are Markdown already.

    Args:
        headers: One for each column.
        rows: Cells.
        text_columns: So many first columns are left-aligned, the others right-aligned.
    """
    align = ["left" if i < text_columns else "right" for i in range(len(headers))]
    return tabulate(rows, headers, tablefmt="pipe", disable_numparse=True, colalign=align)


def slug(text: str) -> str:
    """A file name for any text, no two alike: letters, digits and hyphens, and a hash where anything was lost."""
    short = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:48]
    if short and short == text:
        return short
    return "-".join(part for part in (short, hashlib.sha256(text.encode()).hexdigest()[:8]) if part)


def words(items: Sequence[str], last: str = "and") -> str:
    """``a, b and c``."""
    return f" {last} ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)


def count(number: int, noun: str) -> str:
    """``1 run``, ``1,200 runs``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
