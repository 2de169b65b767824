"""Numbers as times (seconds since 1970, spreadsheet days, decimal years, digits of dates), or as a count of rows."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.contracts.series import Floats
from bench.data.user_files.cells import is_numeric
from bench.data.user_files.timestamps.text_times import FIRST, LAST, PERIOD, Reading, Stamps, read_texts
from bench.data.user_files.user_table import first_cell, is_number, is_whole

Numbers = NDArray[np.int64] | Floats

COUNTER_NAME = re.compile(  # what such columns are called, without blanks and marks
    r"#|index|idx|id|no|nr|s?no|slno|row(s|names?|no|nr|num|number|id|index)?|instant|obs(no|num)?|observation|counter"
    r"|rec(no|ord|ordid|ordno)|seq(no|uence)?|serialno|unnamed0|indexlevel0|level0",
    re.IGNORECASE,
)


def says_counter(name: str) -> bool:
    """Whether a column's name is one of a row counter: ``index``, ``No``, ``rownames``, ``Unnamed: 0``."""
    return COUNTER_NAME.fullmatch(re.sub(r"[\s_.:-]", "", name)) is not None


def as_numbers(column: pd.Series[Any]) -> Numbers | None:
    """``(T,)`` cells as numbers: integers exactly, others as float64; None if a cell is not a number."""
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
    """Whether numbers rise, or fall, in equal steps, but for rounding of their decimals."""
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
    """Half of the last decimal (up to eleven) that numbers are written with; beyond, the rounding of float64."""
    rounding = 4 * float(np.spacing(np.abs(numbers).max(initial=0.0)))
    places = next((k for k in range(12) if (np.round(numbers, k) == numbers).all()), None)
    return rounding if places is None else 0.505 * 10.0**-places + rounding


COUNT = "count"
DECIMAL_YEAR = "decimal-year"
WORDS = (COUNT, DECIMAL_YEAR)  # forms of numbers beside UNIT since DATE
UNITS = {  # nanoseconds in each unit that times may be counted in
    "days": 86_400 * 10**9,
    "hours": 3_600 * 10**9,
    "minutes": 60 * 10**9,
    "seconds": 10**9,
    "milliseconds": 10**6,
    "microseconds": 10**3,
    "nanoseconds": 1,
}

SINCE = re.compile(rf"({'|'.join(UNITS)}) since (.+)")
UNIX = "since 1970-01-01"
SPREADSHEET = "days since 1899-12-30"
PLAUSIBLE = (  # what times may be counted in without being said so, and from which number to which
    *((f"{unit} {UNIX}", 3e17 / UNITS[unit], 2.5e18 / UNITS[unit]) for unit in list(UNITS)[3:]),  # 1979 to 2049
    (SPREADSHEET, 25_569, 54_789),  # 1970 to 2049
)

DIGITS = {4: "%Y", 6: "%Y%m", 7: "%Y%j", 8: "%Y%m%d", 10: "%Y%m%d%H", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
"""Dates written as one whole number, by its digits."""

DATE_DIGITS = frozenset(DIGITS.values()) - {"%Y"}
FEW = 10  # different numbers; one in eight has a month's digits, one in 27 those of a day
YEARS = (1700, 2200)
GRIDS = (86_400, 3_600, 1_800, 900, 600, 300, 60, 1)  # seconds
NEAR_MONTH = 0.1  # months: 1990.083 is February, and so is the middle of one as a decimal
WEAK = ("%Y", SPREADSHEET, DECIMAL_YEAR, PERIOD)
"""Readings that numbers which were measured, or count, may well allow by chance."""

NAME = re.compile(
    r"(date|time)s?|datetime|timestamps?|ts|ds|epoch|unix|when|period|utc|day|week|month|quarter|years?|yr",
    re.IGNORECASE,
)


def says_time(name: str) -> bool:
    """Whether a column's name begins or ends with a word for time: ``date``, ``unix_time``, ``timestampMs``."""
    words = re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)
    return name in ("t", "T") or any(NAME.fullmatch(word) for word in (words[:1] + words[-1:]))


def is_of_numbers(form: str) -> bool:
    """Whether a format says what numbers mean, and is not one of ``strptime``."""
    return form in WORDS or SINCE.fullmatch(form) is not None


def number_readings(numbers: Numbers) -> list[Reading]:
    """Ways to read numbers as times, the best first; each reads all of them as plausible years."""
    low, high = float(numbers.min()), float(numbers.max())
    forms = [form for form, first, last in PLAUSIBLE if first <= low and high < last]
    digits = len(str(int(high)))
    are_years = YEARS[0] <= low and high < YEARS[1]
    if numbers.dtype.kind == "i" and len(str(int(low))) == digits in DIGITS and (are_years or digits > 4):
        forms = [DIGITS[digits], *forms, *[PERIOD] * (digits == 6)]
    if numbers.dtype.kind == "f" and are_years:
        forms += [DECIMAL_YEAR, "%Y.%m"]
    readings = [Reading(form, read_numbers(numbers, form)) for form in forms]
    known = [reading for reading in readings if not np.isnat(reading.stamps).any()]
    return sorted(known, key=lambda reading: reading.fit, reverse=True)


def read_numbers(numbers: Numbers, form: str) -> Stamps:
    """``(T,)`` times; NaT for a number that does not have the format.

    Formats are ``UNIT since DATE``, `DECIMAL_YEAR`, `PERIOD` for years and weeks (202453), and those of ``strptime``
    for dates written as digits.

    Raises:
        ValueError: The format is invalid.
    """
    if form == DECIMAL_YEAR:
        return _months(numbers)
    if form == PERIOD:
        return read_texts(pd.Series([f"{n // 100}-W{n % 100:02d}" for n in numbers.astype(int).tolist()]), PERIOD)
    if since := SINCE.fullmatch(form):
        return _since(numbers, UNITS[since[1]], np.datetime64(pd.Timestamp(since[2]).tz_localize(None), "s"))
    if numbers.dtype.kind == "f" and "." in form:
        shown = [f"{number:.2f}" if abs(number * 100 - round(number * 100)) < 1e-6 else "" for number in numbers]
    else:
        cells = list(map(str, numbers.tolist()))
        shown = [cell.zfill(max(map(len, cells))) for cell in cells]  # 010124 is written as the number 10124
    if form.startswith("%Y%m%d%H"):  # apart, so that the hour may be 24
        shown, form = [f"{cell[:8]} {cell[8:]}" for cell in shown], form.replace("%d%H", "%d %H")
    return read_texts(pd.Series(shown, dtype="str"), form)


def clock_reading(numbers: Numbers, name: str, *, chosen: bool) -> Reading | None:
    """How the numbers of a column say the time, or None if they may as well be measurements or a count.

    Even steps speak for a time. Without them, the column's name or the user (``chosen``) must say so. Readings that
    numbers allow by chance (`WEAK`) need even steps and, if they could be a count of rows, the name. Many different
    numbers that all have the digits of dates are no chance.
    """
    named = says_time(name)
    for reading in number_readings(numbers):
        _, up, even = reading.fit
        if reading.form in WEAK:
            may_count = numbers.dtype.kind == "i" and counts_rows(numbers)
            good = named if may_count else even or (named and up)
        elif reading.form in DATE_DIGITS:
            good = even or (up and chosen) or len(np.unique(numbers)) >= FEW
        else:
            good = even or named or (up and chosen)
        if good:
            return reading
    return None


def _since(numbers: Numbers, unit: int, origin: np.datetime64) -> Stamps:
    """Times counted from one moment, in units of so many nanoseconds."""
    shift, rest = divmod(int(origin.astype("datetime64[s]").astype("int64")) * 10**9, unit)
    counted = numbers + shift  # of units since 1970: an origin may be earlier than nanoseconds go
    low, high = (float(edge.astype("datetime64[ns]").astype("int64")) for edge in (FIRST, LAST))
    about = counted.astype("float64") * unit
    inside = (about > low) & (about < high)
    if numbers.dtype.kind == "i":
        exact = np.where(inside, counted, 0).astype("int64") * unit
    else:
        seconds = _on_grid(np.where(inside, counted, 0.0) * (unit / 1e9), last_decimal(numbers) * unit / 1e9)
        exact = np.round(seconds * 1e6).astype("int64") * 1000
    stamps = (exact + rest).astype("datetime64[ns]")
    return np.where(inside, stamps, np.datetime64("NaT", "ns"))


def _on_grid(seconds: Floats, rounding: float) -> Floats:
    """Seconds without the rounding of their decimals: on the coarsest grid that fits them."""
    for grid in GRIDS:
        snapped = np.round(seconds / grid) * grid
        near = np.abs(seconds - snapped) <= max(rounding, 1e-5)
        if near.all() and len(np.unique(snapped)) == len(np.unique(seconds)):
            return snapped
    return seconds


def _months(numbers: Numbers) -> Stamps:
    """Decimal years that are whole months apart, as the first of each month; NaT for others."""
    first = int(np.floor(numbers[0] * 12 + NEAR_MONTH))
    apart = (numbers - numbers[0]) * 12
    months = np.round(apart)
    near = np.abs(apart - months) <= NEAR_MONTH
    counted = np.where(near, first - 1970 * 12 + months, 0).astype("int64")
    stamps = counted.astype("datetime64[M]").astype("datetime64[s]")
    return np.where(near, stamps, np.datetime64("NaT")).astype(stamps.dtype)
