"""A user's file as columns of cells, with errors that name the row and column as its reader counts them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.contracts.errors import BenchError
from bench.contracts.registry import unknown
from bench.contracts.series import Floats
from bench.data.user_files.cells import PLAIN, Cells

UNNAMED = "Unnamed: 0"
OTHER_TIME = "name another time column with time = '...'"
LARGEST = 1e150  # its square is still a number


@dataclass(frozen=True)
class UserTable:
    """The rows of a file."""

    path: Path
    frame: pd.DataFrame  # columns of numbers as numbers, of times as times, others as text; empty cells as missing
    first_row: int  # what the file calls its first row: 2 below a header, 1 where there is none
    # for each line of the file that is none of the table, how many of the table's lines precede it
    skipped: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    cells: Cells = field(default_factory=Cells)
    notes: tuple[str, ...] = ()  # what reading it did to the file

    def row_number(self, row: int) -> int:
        """The number of a row in the file."""
        place = row + self.first_row
        return place + int(np.searchsorted(self.skipped, place, side="left"))

    def where(self, row: int, column: object) -> str:
        """The place of a cell, for messages."""
        return f"{self.path}: row {self.row_number(row):,}, column {str(column)!r}"

    def require_columns(self, names: tuple[str, ...]) -> None:
        """Raise if a column is missing; the nearest name is suggested."""
        for name in names:
            if name not in self.frame.columns:
                raise BenchError(f"{self.path}: {unknown('column', name, map(str, self.frame.columns))}")

    def require_all(
        self, name: str, good: NDArray[np.bool_], wanted: str, otherwise: str, *, may_be_empty: bool = False
    ) -> None:
        """Raise for the first cell of a column that is not ``good``, ``(T,)``; file, row, column and cell are named.

        Args:
            name: The column.
            good: For each cell, whether it is what is wanted.
            wanted: Such as ``a number``.
            otherwise: What else the user may do; empty for nothing.
            may_be_empty: Whether an empty cell has a meaning here.
        """
        if good.all():
            return
        row = int(np.argmin(good))
        column = self.frame[name]
        if column.isna().iloc[row]:
            raise BenchError(
                f"{self.where(row, name)} is empty, expected {wanted}. {_ways('Fill it first', otherwise)}"
            )
        cell, hint = str(column.iloc[row]), self.cells.hint(self.frame, name, row, may_be_empty=may_be_empty)
        mend = "Or fix the file" if hint else "Fix the file"
        raise BenchError(
            f"{self.where(row, name)} is not {wanted} ({shortened(cell)!r}).{hint} {_ways(mend, otherwise)}"
        )

    def numbers(self, name: str, otherwise: str, *, may_be_empty: bool = True) -> Floats:
        """One column as ``(T,)`` float64; a missing value is NaN if it ``may_be_empty``.

        Raises:
            BenchError: A cell is neither missing nor a finite number; ``otherwise`` is what else the user may do.
        """
        column = self.frame[name]
        numbers = self.cells.to_numbers(column)
        missing = self.cells.are_missing(column, numbers) if may_be_empty else column.isna().to_numpy()
        numbers = np.where(missing, np.nan, numbers + 0.0)  # -0.0 is 0.0: equal values have one fingerprint
        self.require_all(name, np.isfinite(numbers) | missing, "a number", otherwise, may_be_empty=may_be_empty)
        self.require_all(name, (np.abs(numbers) < LARGEST) | missing, f"a number below {LARGEST:g}", otherwise)
        return numbers


def is_number(text: str) -> bool:
    """Whether a cell's text is a plain decimal number."""
    return PLAIN.matches(text)


def is_whole(numbers: Floats) -> bool:
    """Whether these are integers that float64 holds exactly."""
    return bool((numbers == np.round(numbers)).all() and np.abs(numbers).max() < 2**53)


def is_numbered(names: list[str]) -> bool:
    """Whether columns are called 0, 1, 2, ... as in a saved array; one alone may be a value."""
    return len(names) > 1 and names == [str(place) for place in range(len(names))]


def first_cell(column: pd.Series[Any]) -> str:
    """The first cell that is not empty, as text; empty if there is none."""
    return str(next(iter(column.dropna()), ""))


def shortened(text: str) -> str:
    """Text for a message, 60 letters at most."""
    return text if len(text) <= 60 else f"{text[:57]}..."


def _ways(mend: str, otherwise: str) -> str:
    return f"{mend}, or {otherwise}." if otherwise else f"{mend}."
