"""A user's file as columns of cells, with errors that name the row and column as its reader counts them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.registry import unknown
from bench.series import Floats

if TYPE_CHECKING:
    import pandas as pd

UNNAMED = "Unnamed: 0"
OTHER_COLUMNS = "name the columns to use, inputs = [...] and targets = [...], and leave this one out"
OTHER_TIME = "name another time column with time = '...'"
LARGEST = 1e150  # its square is still a number
NUMBER = re.compile(r"[ \t]*[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?[ \t]*", re.ASCII)
MISSING = re.compile(r"#?n/?a|nan|null|none|missing|[-.?]+", re.ASCII | re.IGNORECASE)
DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+", re.ASCII)


@dataclass(frozen=True)
class UserTable:
    """The rows of a file.

    Attributes:
        path: The file.
        frame: Columns of numbers as numbers, of times as times, others as text; empty cells as missing.
        first_row: What the file calls its first row: 2 below a header, 1 where there is none.
    """

    path: Path
    frame: pd.DataFrame
    first_row: int

    def where(self, row: int, column: object) -> str:
        """The place of a cell, for messages."""
        return f"{self.path}: row {row + self.first_row:,}, column {str(column)!r}"

    def require_columns(self, names: tuple[str, ...]) -> None:
        """Check that columns are there.

        Raises:
            BenchError: One is not; the nearest is suggested.
        """
        for name in names:
            if name not in self.frame.columns:
                raise BenchError(f"{self.path}: {unknown('column', name, map(str, self.frame.columns))}")

    def require_all(
        self, name: str, good: NDArray[np.bool_], wanted: str, otherwise: str, *, may_be_empty: bool = False
    ) -> None:
        """Raise for the first cell of a column that is not what is wanted.

        Args:
            name: The column.
            good: ``(T,)``, for each cell whether it is.
            wanted: Such as ``a number``.
            otherwise: What else the user may do.
            may_be_empty: Whether an empty cell has a meaning here.

        Raises:
            BenchError: File, row, column and cell are named.
        """
        if good.all():
            return
        row = int(np.argmin(good))
        column = self.frame[name]
        if column.isna().iloc[row]:
            raise BenchError(f"{self.where(row, name)} is empty, expected {wanted}. Fill it first, or {otherwise}.")
        cell = str(column.iloc[row])
        hint = " Write decimals with a point." if DECIMAL_COMMA.fullmatch(cell.strip()) else ""
        if may_be_empty and MISSING.fullmatch(cell.strip()):
            hint = " Where a value is missing leave the cell empty (and missing = 'ffill' fills it)."
        raise BenchError(
            f"{self.where(row, name)} is not {wanted} ({_shown(cell)}).{hint} Fix the file, or {otherwise}."
        )

    def numbers(self, name: str, otherwise: str = OTHER_COLUMNS, *, may_be_empty: bool = True) -> Floats:
        """One column as ``(T,)`` float64; NaN where a cell is empty, which a message suggests if it has a meaning here.

        Raises:
            BenchError: A cell is neither empty nor a finite number.
        """
        column = self.frame[name]
        if is_numeric(column):
            numbers = column.to_numpy("float64")
        else:
            numbers = np.fromiter(map(_to_number, column), dtype="float64", count=len(column))
        empty = column.isna().to_numpy()
        self.require_all(name, np.isfinite(numbers) | empty, "a number", otherwise, may_be_empty=may_be_empty)
        self.require_all(name, (np.abs(numbers) < LARGEST) | empty, f"a number below {LARGEST:g}", otherwise)
        return numbers + 0.0  # -0.0 is 0.0, so that equal values have one fingerprint


def is_numeric(column: pd.Series[Any]) -> bool:
    """Whether the column holds numbers; neither text nor times."""
    return column.dtype.kind in "biuf"


def is_number(text: str) -> bool:
    """Whether a cell's text is a plain decimal number."""
    return NUMBER.fullmatch(text) is not None


def is_whole(numbers: Floats) -> bool:
    """Whether these are integers that float64 holds exactly."""
    return bool((numbers == np.round(numbers)).all() and np.abs(numbers).max() < 2**53)


def is_numbered(names: list[str]) -> bool:
    """Whether columns are called 0, 1, 2, ... as in a saved frame of an array; one alone may as well be a value."""
    return len(names) > 1 and names == [str(place) for place in range(len(names))]


def first_cell(column: pd.Series[Any]) -> str:
    """The first cell that is not empty, as text; empty where there is none."""
    return str(next(iter(column.dropna()), ""))


def _to_number(cell: object) -> float:
    if isinstance(cell, int) and not isinstance(cell, bool):  # of more than 64 bits
        return float(cell)
    return float(cell) if isinstance(cell, str) and is_number(cell) else float("nan")


def _shown(cell: str) -> str:
    return repr(cell if len(cell) <= 60 else f"{cell[:57]}...")
