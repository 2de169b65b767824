"""What the cells of a file mean: formats of numbers, marks of missing values, and hints at what was not said."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.contracts.series import Floats

MARKS = {",": "comma", ".": "point", " ": "blank", "'": "apostrophe"}
"""What may stand in a number, and what it is called."""

ALIKE = {" ": " \u00a0\u202f", "'": "'\u2019"}
"""Characters that are read as one of `MARKS`: blanks that do not break, and the curly apostrophe."""


@dataclass(frozen=True)
class NumberFormat:
    """How numbers are written."""

    decimal: str = "."
    thousands: str | None = None  # what parts groups of three digits before it; None for nothing

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        decimal = re.escape(self.decimal)
        digits = r"\d+"
        if self.thousands is not None:
            digits = rf"(?:\d{{1,3}}(?:[{re.escape(ALIKE.get(self.thousands, self.thousands))}]\d{{3}})+|\d+)"
        number = rf"(?:{digits}(?:{decimal}\d*)?|{decimal}\d+)(?:[eE][+-]?\d+)?"
        return re.compile(rf"[ \t]*[+-]?{number}[ \t]*", re.ASCII)

    def matches(self, text: str) -> bool:
        """Whether a text is a number in this format; groups need three digits."""
        return self._pattern.fullmatch(text) is not None

    def parse(self, text: str) -> float:
        """The number in a text, to the last bit; NaN if it is none."""
        return float(self._plain(text)) if self.matches(text) else float("nan")

    def column(self, cells: pd.Series[Any]) -> pd.Series[Any]:
        """A column of text as numbers (integers if whole); unchanged if a cell is neither empty nor a number."""
        known = cells.dropna()
        texts = known.tolist()  # columns are slow to go through
        if not texts or not all(map(self.matches, texts)):
            return cells
        plain = [self._plain(text) for text in texts]
        if len(texts) == len(cells) and all(text.lstrip("+-").isdecimal() and len(text) < 19 for text in plain):
            return cells.__class__([int(text) for text in plain], index=cells.index, dtype="int64")
        return cells.__class__([float(text) for text in plain], index=known.index).reindex(cells.index)

    def _plain(self, text: str) -> str:
        text = text.strip()
        for mark in ALIKE.get(self.thousands, self.thousands) if self.thousands else "":
            text = text.replace(mark, "")
        return text.replace(self.decimal, ".")

    def includes(self, other: NumberFormat) -> bool:
        """Whether this format has at least the marks of another one."""
        return other.decimal in (".", self.decimal) and other.thousands in (None, self.thousands)

    @property
    def options(self) -> str:
        """The format as options of a file, without the defaults."""
        said = [f"decimal = {self.decimal!r}"] if self.decimal != PLAIN.decimal else []
        return ", ".join(said + ([f"thousands = {self.thousands!r}"] if self.thousands else []))


PLAIN = NumberFormat()
OTHERS = tuple(
    NumberFormat(decimal, thousands)
    for decimal, thousands in ((",", None), (".", ","), (",", "."), (".", " "), (",", " "), (".", "'"), (",", "'"))
)


def fitting_formats(cells: Iterable[str], now: NumberFormat = PLAIN) -> list[NumberFormat]:
    """The formats, at least as rich as ``now``, that read all these texts; none has a needless mark."""
    texts = list(cells)
    found = [other for other in OTHERS if other.includes(now) and texts and all(map(other.matches, texts))]
    return [one for one in found if not any(one != other and one.includes(other) for other in found)]


MISSING = re.compile(  # what people write where there is no value
    r"#?n[./]?a\.?|nan|null|nil|none|missing|void|[-\u2013\u2014.?*_]+|#[a-z/0]+[!?]?", re.ASCII | re.IGNORECASE
)

FIRST_ROWS = 100  # rows that are looked at to tell whether the first one is unlike them


@dataclass(frozen=True)
class Cells:
    """How the cells of a file are read."""

    numbers: NumberFormat = PLAIN  # how numbers are written
    na_values: tuple[str | float, ...] = ()  # what stands where a value is missing: texts, and numbers that mark it

    @cached_property
    def _marks(self) -> tuple[frozenset[str], tuple[float, ...]]:
        texts = frozenset(str(value).strip() for value in self.na_values)
        return texts, tuple(number for text in texts if not np.isnan(number := PLAIN.parse(text)))

    def are_missing(self, column: pd.Series[Any], numbers: Floats) -> NDArray[np.bool_]:
        """``(T,)``: whether each cell is empty or marks a missing value; ``numbers`` are the cells as numbers."""
        texts, marks = self._marks
        missing = column.isna().to_numpy() | np.isin(numbers, marks)
        if texts and not is_numeric(column):
            missing |= np.fromiter(
                (str(cell).strip() in texts for cell in column.tolist()), dtype=bool, count=len(column)
            )
        return np.asarray(missing)

    def to_numbers(self, column: pd.Series[Any]) -> Floats:
        """``(T,)`` the cells as numbers, NaN if they are none."""
        if is_numeric(column):
            return column.to_numpy("float64")
        return np.fromiter(map(self._to_number, column.tolist()), dtype="float64", count=len(column))

    def _to_number(self, cell: object) -> float:
        if isinstance(cell, int) and not isinstance(cell, bool):  # of more than 64 bits
            return float(cell)
        return self.numbers.parse(cell) if isinstance(cell, str) else float("nan")

    def with_marks(self, more: Iterable[str | float]) -> str:
        """The option that adds these marks of missing values to those that are known."""
        marks = dict.fromkeys([*self.na_values, *more])
        return (
            f"na_values = {[int(m) if isinstance(m, float) and m.is_integer() and abs(m) < 1e15 else m for m in marks]}"
        )

    def begins_with_words(self, frame: pd.DataFrame) -> bool:
        """Whether the first row holds words, and no number, where numbers follow: units, or names."""
        head, words = frame.head(FIRST_ROWS), 0
        for name in head.columns:
            cells = [str(cell).strip() for cell in head[name].dropna()]
            if len(cells) < len(head) or len(cells) < 3 or not all(map(self.numbers.matches, cells[1:])):
                continue
            if self.numbers.matches(cells[0]) or not any(map(str.isalpha, cells[0])) or MISSING.fullmatch(cells[0]):
                return False
            words += 1
        return words > 0

    def hint(self, frame: pd.DataFrame, name: str, row: int, *, may_be_empty: bool) -> str:
        """A sentence with the options that would read a cell which is not a number so far; empty if none would."""
        cell = str(frame[name].iloc[row]).strip()
        if may_be_empty and MISSING.fullmatch(cell):
            return (
                f" If it marks a missing value give {self.with_marks(self._unread_marks(frame))}, which reads it as an "
                "empty cell (missing = 'ffill' then fills it)."
            )
        known = self._marks[0]
        texts = [t for t in _texts(frame[name]) if t not in known and not (may_be_empty and MISSING.fullmatch(t))]
        formats = [other for other in fitting_formats(texts, self.numbers) if self._suits(frame, name, other)]
        if formats:
            return f" If {'; if '.join(self._meaning(other) for other in formats)}."
        return _around_number(texts, self.numbers)

    def _unread_marks(self, frame: pd.DataFrame) -> list[str]:
        """Marks of missing values in all columns whose other cells are numbers."""
        found: dict[str, None] = {}
        for name in frame.columns:
            texts = list(_texts(frame[name])) if frame[name].dtype.kind in "OT" else []
            marks = [text for text in texts if MISSING.fullmatch(text)]
            if marks and all(self.numbers.matches(text) for text in texts if text not in marks):
                found |= dict.fromkeys(marks)
        return [mark for mark in found if mark not in self._marks[0]]

    def _meaning(self, other: NumberFormat) -> str:
        """What a format adds to the present one, and the options for it."""
        said = []
        if other.decimal != self.numbers.decimal:
            said.append(f"the {MARKS[other.decimal]} is the decimal mark give decimal = {other.decimal!r}")
        if other.thousands != self.numbers.thousands and other.thousands is not None:
            said.append(f"the {MARKS[other.thousands]} parts thousands give thousands = {other.thousands!r}")
        return " and ".join(said)

    def _suits(self, frame: pd.DataFrame, name: str, other: NumberFormat) -> bool:
        """Whether columns whose decimals are read already may also have another format."""
        if other.decimal == self.numbers.decimal:
            return True
        rest = [frame[column] for column in frame.columns if column != name and frame[column].dtype.kind == "f"]
        return not any((column.dropna() % 1 != 0).any() for column in rest)


def is_numeric(column: pd.Series[Any]) -> bool:
    """Whether the column holds numbers, not text or times."""
    return column.dtype.kind in "biuf"


def _texts(column: pd.Series[Any]) -> Iterable[str]:
    return (text.strip() for text in column.dropna().map(str).unique())


def _around_number(texts: list[str], numbers: NumberFormat) -> str:
    """A hint if the same text stands around each number, such as a unit; otherwise empty."""
    around = {re.sub(r"[+-]?[\d.,]+", "\0", text, count=1) for text in texts if not numbers.matches(text)}
    if len(around) != 1 or "\0" not in (pattern := around.pop()) or pattern == "\0":
        return ""
    before, _, after = pattern.partition("\0")
    if re.search(r"\d", pattern) or len(pattern) > 12:
        return ""
    return f" Write the numbers without {' and '.join(repr(part.strip()) for part in (before, after) if part.strip())}."
