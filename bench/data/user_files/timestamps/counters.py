"""Numbers that only count the rows of a file: no measurement, though they stand in a column."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.contracts.series import Floats
from bench.data.user_files.cells import is_numeric
from bench.data.user_files.user_table import first_cell, is_number, is_whole

if TYPE_CHECKING:
    import pandas as pd

Numbers = NDArray[np.int64] | Floats

NAME = re.compile(
    r"#|index|idx|id|no|nr|s?no|slno|row(s|names?|no|nr|num|number|id|index)?|instant|obs(no|num)?|observation|counter"
    r"|rec(no|ord|ordid|ordno)|seq(no|uence)?|serialno|unnamed0|indexlevel0|level0",
    re.IGNORECASE,
)
"""What such columns are called, without blanks and marks."""


def says_counter(name: str) -> bool:
    """Whether a column's name is one of a count of rows: ``index``, ``No``, ``rownames``, ``Unnamed: 0``."""
    return NAME.fullmatch(re.sub(r"[\s_.:-]", "", name)) is not None


def as_numbers(column: pd.Series[Any]) -> Numbers | None:
    """The cells as ``(T,)`` numbers: whole ones to the last digit, others as float64; None if a cell is none.

    Text is taken as in a file of text: ``"20240105"`` is a number.
    """
    if column.dtype.kind == "b" or column.isna().any() or not len(column):
        return None
    if column.dtype.kind in "iu":
        return column.to_numpy("int64") if column.max() < 2**63 else None
    if not is_numeric(column):
        cells = [str(cell).strip() for cell in column] if is_number(first_cell(column)) else []
        if not cells or not all(map(is_number, cells)):
            return None
        if all(cell.lstrip("+-").isdecimal() and len(cell) < 19 for cell in cells):
            return np.array([int(cell) for cell in cells], dtype=np.int64)
        numbers = np.array([float(cell) for cell in cells])
    else:
        numbers = column.to_numpy("float64")
    if not np.isfinite(numbers).all():
        return None
    return numbers.astype("int64") if is_whole(numbers) else numbers


def counts_rows(numbers: Numbers) -> bool:
    """Whether numbers rise, or fall, by one same step from row to row, but for the rounding of their decimals."""
    if len(numbers) < 3 or numbers[0] == numbers[-1]:
        return False
    if numbers.dtype.kind == "i":
        return bool((np.diff(numbers) == numbers[1] - numbers[0]).all())
    steps = np.diff(numbers)
    line = np.linspace(numbers[0], numbers[-1], len(numbers))
    one_way = (steps > 0).all() or (steps < 0).all()
    return bool(one_way and (np.abs(numbers - line) <= last_decimal(numbers)).all())


def rises(numbers: Numbers) -> bool:
    """Whether each number is above the one before."""
    return len(numbers) > 1 and bool((np.diff(numbers) > 0).all())


def last_decimal(numbers: Numbers) -> float:
    """Half of the last decimal that numbers are written with, up to eleven; beyond, the rounding of float64."""
    rounding = 4 * float(np.spacing(np.abs(numbers).max(initial=0.0)))
    places = next((k for k in range(12) if (np.round(numbers, k) == numbers).all()), None)
    return rounding if places is None else 0.505 * 10.0**-places + rounding
