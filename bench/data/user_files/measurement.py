"""Which columns of a user's file were measured: not those that count its rows, or say its time again."""

from __future__ import annotations

import re

import numpy as np

from bench.data.user_files.cells import is_numeric
from bench.data.user_files.timestamps.counters import Numbers, as_numbers, counts_rows, rises, says_counter
from bench.data.user_files.timestamps.time_column import Clock
from bench.data.user_files.timestamps.time_recognition import holds_dates, holds_number_times
from bench.data.user_files.user_table import UserTable

PARTS = {
    r"years?|yr|yyyy": ("year",),
    r"months?|mon|mo|mnth|mm|quarters?|qtr|weeks?|wk": ("month", "quarter", "week"),
    r"days?|dom|dd": ("day",),
    r"hours?|hrs?|hh": ("hour",),
    r"minutes?|mins?|mi": ("minute",),
    r"seconds?|secs?|ss": ("second",),
}
"""What columns are called that hold a part of the time each, the longest first, and what pandas calls those parts."""


def why_not_measured(table: UserTable, name: str, clock: Clock) -> str:
    """Why a column is no measurement, to stand behind its name; empty where it may be one.

    Args:
        table: The file.
        name: The column.
        clock: The time of each row, from other columns.
    """
    column = table.frame[name]
    numbers = as_numbers(column)
    if numbers is None:
        if is_numeric(column):
            return "counts the rows" if _counts_with_gaps(column.to_numpy("float64")) else ""
        return "holds one date" if holds_dates(column) and column.nunique() == 1 else ""
    if form := holds_number_times(column, name):
        return f"says the time ({form})"
    if counts_rows(numbers):
        return "counts the rows"
    if says_counter(name) and numbers.dtype.kind == "i" and rises(numbers):
        return "counts rows, of which some are left out"
    return "says a part of the time" if _is_part(clock, name, numbers) else ""


def _counts_with_gaps(numbers: Numbers) -> bool:
    """Whether the numbers that are there count the rows; some are missing."""
    known = np.flatnonzero(np.isfinite(numbers))
    if len(known) < 3:
        return False
    between = np.arange(known[0], known[-1] + 1)
    return counts_rows(np.interp(between, known, numbers[known]))


def _is_part(clock: Clock, name: str, numbers: Numbers) -> bool:
    """Whether the numbers are the clock's year, month and so on, and the column is called so."""
    import pandas as pd

    parts = next((parts for called, parts in PARTS.items() if re.fullmatch(called, name, re.IGNORECASE)), ())
    if not parts or clock.values.dtype.kind != "M":
        return False
    times = pd.DatetimeIndex(clock.values)
    found = [times.isocalendar()["week"] if part == "week" else getattr(times, part) for part in parts]
    return any((np.asarray(values, dtype=int) == numbers).all() for values in found)
