"""Numbers as a file of text writes them: its decimal mark, and what parts its thousands."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

MARKS = {",": "comma", ".": "point", " ": "blank", "'": "apostrophe"}
"""What may stand in a number, and what it is called."""

ALIKE = {" ": " \u00a0\u202f", "'": "'\u2019"}
"""Characters that are read as one of `MARKS`: blanks that do not break, and the curly apostrophe."""


@dataclass(frozen=True)
class NumberFormat:
    """How numbers are written.

    Attributes:
        decimal: The decimal mark.
        thousands: What parts groups of three digits before it; None for nothing.
    """

    decimal: str = "."
    thousands: str | None = None

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        decimal = re.escape(self.decimal)
        digits = r"\d+"
        if self.thousands is not None:
            digits = rf"(?:\d{{1,3}}(?:[{re.escape(ALIKE.get(self.thousands, self.thousands))}]\d{{3}})+|\d+)"
        number = rf"(?:{digits}(?:{decimal}\d*)?|{decimal}\d+)(?:[eE][+-]?\d+)?"
        return re.compile(rf"[ \t]*[+-]?{number}[ \t]*", re.ASCII)

    def matches(self, text: str) -> bool:
        """Whether a text is a number in this format; groups that do not have three digits make it none."""
        return self._pattern.fullmatch(text) is not None

    def parse(self, text: str) -> float:
        """The number that a text stands for, to the last bit; NaN where it is none."""
        return float(self._plain(text)) if self.matches(text) else float("nan")

    def column(self, cells: pd.Series[Any]) -> pd.Series[Any]:
        """A column of text as numbers, whole ones as integers; as it is where a cell is neither empty nor a number."""
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
        """Whether this format is another one with no mark less."""
        return other.decimal in (".", self.decimal) and other.thousands in (None, self.thousands)

    @property
    def options(self) -> str:
        """As options of a file, those that are not the plain format's."""
        said = [f"decimal = {self.decimal!r}"] if self.decimal != PLAIN.decimal else []
        return ", ".join(said + ([f"thousands = {self.thousands!r}"] if self.thousands else []))


PLAIN = NumberFormat()
OTHERS = tuple(
    NumberFormat(decimal, thousands)
    for decimal, thousands in ((",", None), (".", ","), (",", "."), (".", " "), (",", " "), (".", "'"), (",", "'"))
)


def fitting_formats(cells: Iterable[str], now: NumberFormat = PLAIN) -> list[NumberFormat]:
    """The formats in which all of some texts are numbers, each with no mark that it does without.

    Args:
        cells: What `now` does not read.
        now: How numbers are read; what it says of thousands or decimals is kept, as other cells need it.
    """
    texts = list(cells)
    found = [other for other in OTHERS if other.includes(now) and texts and all(map(other.matches, texts))]
    return [one for one in found if not any(one != other and one.includes(other) for other in found)]
