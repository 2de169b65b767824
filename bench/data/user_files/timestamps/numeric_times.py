"""Numbers as times: seconds since 1970, spreadsheet days, decimal years, the digits of dates."""

from __future__ import annotations

import re

import numpy as np

from bench.contracts.series import Floats
from bench.data.user_files.timestamps.counters import Numbers, counts_rows, last_decimal
from bench.data.user_files.timestamps.text_times import FIRST, LAST, PERIOD, Reading, Stamps, read_texts

COUNT = "count"
DECIMAL_YEAR = "decimal-year"
WORDS = (COUNT, DECIMAL_YEAR)
"""Forms of numbers beside ``UNIT since DATE``."""

UNITS = {
    "days": 86_400 * 10**9,
    "hours": 3_600 * 10**9,
    "minutes": 60 * 10**9,
    "seconds": 10**9,
    "milliseconds": 10**6,
    "microseconds": 10**3,
    "nanoseconds": 1,
}
"""Nanoseconds in each unit that times may be counted in."""

SINCE = re.compile(rf"({'|'.join(UNITS)}) since (.+)")
UNIX = "since 1970-01-01"
SPREADSHEET = "days since 1899-12-30"
PLAUSIBLE = (
    *((f"{unit} {UNIX}", 3e17 / UNITS[unit], 2.5e18 / UNITS[unit]) for unit in list(UNITS)[3:]),  # 1979 to 2049
    (SPREADSHEET, 25_569, 54_789),  # 1970 to 2049
)
"""What times may be counted in without being said so, and from which number to which."""

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
    """Whether a form says what numbers mean, not letters of ``strptime``."""
    return form in WORDS or SINCE.fullmatch(form) is not None


def number_readings(numbers: Numbers) -> list[Reading]:
    """Ways to read numbers as times, the best first; none that fails for a number, or gives a year that nobody means.

    Args:
        numbers: ``(T,)``.
    """
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
    """``(T,)`` times; NaT for a number that is not of the form.

    Args:
        numbers: ``(T,)``.
        form: ``UNIT since DATE``, `DECIMAL_YEAR`, `PERIOD` for years and weeks (202453), or the letters of ``strptime``
            that its digits are of.

    Raises:
        ValueError: It is no form.
    """
    import pandas as pd

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
    """How the numbers of a column say the time, or None where they may as well be measured, or count.

    Even steps speak for a time. Without them, it has to be the column's name or the user; what numbers allow by chance
    (`WEAK`) needs even steps and, where it could be a count of rows, the name; and that many different numbers all have
    the digits of dates is no chance.

    Args:
        numbers: ``(T,)``.
        name: Of the column.
        chosen: Whether the user says that it is the time.
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
    """Seconds without the rounding of the decimals that they were written in: on the coarsest grid that they fit."""
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
