"""Which lines of a CSV file are its table and what stands between the cells: as it was said, or as it must be."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass, replace
from itertools import islice, product

import numpy as np
from numpy.typing import NDArray

from bench.data.user_files.cells import PLAIN, NumberFormat, fitting_formats
from bench.data.user_files.user_table import is_number, is_numbered

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "strokes"}
"""What may stand between cells, and what it is called."""

COMMENTS = ("#", "%", "//", "!", "*", "--")
DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}", re.ASCII)
SAYS_SEPARATOR = re.compile(r"sep=.\s*", re.IGNORECASE)  # a first line for a spreadsheet program
SAMPLE = 1000  # lines that are looked at to find out how a file is written
MOST = 0.9  # share of the lines below a header that must have as many cells as it has


@dataclass(frozen=True)
class Dialect:
    """How a CSV file is written."""

    sep: str = ","  # what stands between cells
    comment: str | None = None  # what lines begin with that are none of the table; None for nothing
    skiprows: int = 0  # lines above the header


@dataclass(frozen=True)
class Body:
    """The lines of a file that are its table."""

    text: str
    skipped: NDArray[np.int64]  # for each other line, how many of these precede it

    def row_number(self, place: int) -> int:
        """The row of the file for a row of the table; the header is at 1."""
        return place + int(np.searchsorted(self.skipped, place, side="left"))

    @property
    def first_row(self) -> int:
        """The row of the header in the file."""
        return self.row_number(1)


def body_of(text: str, dialect: Dialect) -> Body:
    """The table of a file, without the lines that its dialect leaves out. A quoted line is no comment."""
    if dialect.comment is None and not dialect.skiprows:
        return Body(text, np.empty(0, dtype=np.int64))
    kept, skipped, quoted = list[str](), list[int](), False
    for number, line in enumerate(io.StringIO(text, newline="")):
        if number < dialect.skiprows or (not quoted and _is_comment(line, dialect.comment)):
            skipped.append(len(kept))
        else:
            quoted ^= line.count('"') % 2 == 1
            kept.append(line)
    return Body("".join(kept), np.array(skipped, dtype=np.int64))


def holds_values(names: list[str]) -> bool:
    """Whether a header holds values."""
    return all(is_number(name) or DATE.match(name) for name in names) and not is_numbered(names)


def found_dialect(text: str, said: Dialect) -> tuple[Dialect, int] | None:
    """The dialect in which most lines of a file are a table, and the row of its header; None if it is no table.

    A table has a header and as many cells, at least two, in nearly all lines below it. Among dialects that fit as many
    lines the first table of the file wins, and then the usual separator. Lines that the user (``said``) leaves out do
    not count.
    """
    lines = list(islice(io.StringIO(text, newline=""), said.skiprows + SAMPLE))
    marks = [mark for mark in COMMENTS if any(_is_comment(line, mark) for line in lines)]
    fits = [
        fit
        for sep, comment in product(SEPARATORS, [said.comment] if said.comment else [None, *marks])
        if (fit := _fit(lines, Dialect(sep, comment, said.skiprows)))
    ]
    if not fits:
        return None
    _, dialect, header = max(fits, key=lambda fit: fit[0])
    return dialect, header


def found_numbers(text: str, dialect: Dialect) -> NumberFormat:
    """The format of numbers in a file if its first lines are unambiguous; otherwise the plain one."""
    lines = islice(io.StringIO(body_of(text, dialect).text, newline=""), SAMPLE)
    header, *rows = csv.reader(lines, delimiter=dialect.sep)
    found = {PLAIN}
    for cells in zip(*(row for row in rows if len(row) == len(header)), strict=True):
        texts = [cell.strip() for cell in cells if cell.strip()]
        if texts and not all(map(is_number, texts)):
            formats = fitting_formats(texts)
            found |= set(formats if len(formats) == 1 else [])
    widest = [one for one in found if all(one.includes(other) for other in found)]
    return widest[0] if widest else PLAIN


def _is_comment(line: str, mark: str | None) -> bool:
    return mark is not None and line.lstrip().startswith(mark)


def _fit(lines: list[str], least: Dialect) -> tuple[tuple[float, ...], Dialect, int] | None:
    """How well lines form a table (larger is better), its dialect and the row of its header; None if they do not."""
    rows = [
        (number, next(csv.reader([line], delimiter=least.sep), []))
        for number, line in enumerate(lines)
        if number >= least.skiprows and line.strip()
        if not _is_comment(line, least.comment) and not SAYS_SEPARATOR.fullmatch(line)
    ]
    widths = np.array([len(cells) for _, cells in rows])
    width = int(np.bincount(widths).argmax()) if len(rows) else 0
    after = np.cumsum((widths == width)[::-1])[::-1]  # rows of that width, from each one on
    for place, (number, cells) in enumerate(rows[:-1]):
        if width < 2 or len(cells) != width or not any(map(str.strip, cells)):
            continue
        if after[place + 1] < MOST * (len(rows) - place - 1):
            continue
        if holds_values([cell.strip() for cell in cells if cell.strip()]):
            return None  # its header is missing
        above = any(not _is_comment(line, least.comment) for line in lines[least.skiprows : number])
        dialect = replace(least, skiprows=number) if above else least
        covered = round(after[place] / len(rows), 3)
        return (covered, -dialect.skiprows, least.sep == ",", least.comment is None), dialect, number + 1
    return None
