"""Texts as times: the forms in which a column may be written, and what each reads."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.data.user_files.timestamps.time_grid import is_regular

Stamps = NDArray[np.datetime64]

ISO = "ISO8601"
PERIOD = "period"
BY_CELL = {"month-first": False, "day-first": True}
"""Forms in which each cell is read by itself, by dateutil, and whether 01/02 is the first of February."""

WORDS = (ISO, PERIOD, *BY_CELL)  # forms that are not in the letters of strptime
NO_FORM = re.compile(r"%Y\W*%d|.*%[zZ]")  # nobody writes years before days, and zones are off already
OTHER_DATES = (  # dates whose form pandas does not guess: years of two digits, months without a day
    *(
        form.replace("-", mark)
        for mark in "-/. "
        for form in ("%d-%m-%y", "%m-%d-%y", "%y-%m-%d", "%d-%b-%y", "%b-%d-%y", "%b-%Y", "%b-%y", "%Y-%b", "%m-%Y")
    ),
    *("%Y/%m", "%Y.%m", "%Y %m", "%b, %Y", "%b%Y", "%Y%b", "%d%b%Y", "%d%b%y"),
)

JOINED = ("%Y %m %d %H %M", "%Y %m %d %H %M %S")
TIME_OF_DAY = re.compile(
    r"(?P<joint>, |[ T_:])(?P<hour>\d{1,2})"
    r"(?:(?P<mark>[:.h])\d\d(?P<second>(?P=mark)\d\d(?P<fraction>[.,]\d+)?)?)?(?:(?P<gap> ?)(?P<half>[AaPp][Mm]))?$"
)
MIDNIGHT = r"(?<=[ T_])24(?=$|:?00(?::?00(?:[.,]0+)?)?$)"  # the end of a day, that strptime does not know
LONGEST_MIDNIGHT = len("24:00:00.000000000")
PERIODS = (
    r"(?P<year>\d{4})\W?(?P<unit>[QqHhSsMm])(?P<count>\d{1,2})",  # 2020Q1, 2020-Q1, 2020 Q1, 2020M01, 2020-S1
    r"(?P<unit>[QqHhSs])(?P<count>\d)\W?(?P<year>\d{4})",  # Q1 2020, Q1-2020
    r"(?P<count>\d)(?P<unit>[Qq])\W?(?P<year>\d{4})",  # 1Q2020
)
YEAR = re.compile(r"(?<!\d)(?:1[5-9]|2[01])\d\d(?!\d)")
MONTH = re.compile(r"\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)", re.IGNORECASE)
MONTHS = {"Q": 3, "H": 6, "S": 6, "M": 1}
WEEK = r"(?P<year>\d{4})\W?W(?P<week>\d\d)(?:-?(?P<day>[1-7]))?"
BETWEEN = (" - ", " \u2013 ", " to ", "/")  # what stands between the first and the last moment of a span

FIRST, LAST = np.datetime64("1678-01-01"), np.datetime64("2262-01-01")  # what nanoseconds hold
CENTURY = 2050  # years of two digits are 1950 to 2049


@dataclass(frozen=True)
class Reading:
    """One way to read a column."""

    form: str  # its name, as time_format takes it
    stamps: Stamps  # (T,); NaT where a cell is not of that form

    @cached_property
    def fit(self) -> tuple[int, bool, bool]:
        """How well it fits: how many cells it reads, whether they rise, whether in even steps."""
        taken = int((~np.isnat(self.stamps)).sum())
        known = self.stamps[~np.isnat(self.stamps)]
        rises = bool((np.diff(known) > np.timedelta64(0)).all())
        return taken, rises, rises and taken == len(self.stamps) and is_regular(self.stamps)


def span_starts(texts: pd.Series[str]) -> pd.Series[str] | None:
    """The first moments of spans such as ``2024-01-05/2024-01-11``; None if the texts are not spans."""
    first = next(iter(texts.dropna()), "")
    for mark in BETWEEN:
        shapes = [re.sub(r"\d", "9", end) for end in first.split(mark)]
        if len(shapes) == 2 and shapes[0] == shapes[1] and "9999" in shapes[0]:
            return texts.str.split(mark).str[0]
    return None


def text_readings(texts: pd.Series[str]) -> list[Reading]:
    """Ways to read texts ``(T,)`` without zones as times, the best first; each reads most cells."""
    first = next(iter(texts.dropna()), "").strip()
    if not any(letter.isdigit() for letter in first):
        return []
    readings = []
    for form in _forms(first):
        with suppress(ValueError, re.error):  # pandas also guesses forms that name the hour twice
            readings.append(Reading(form, read_texts(texts, form)))
    good = [reading for reading in readings if 2 * reading.fit[0] > len(texts)]
    return sorted(good, key=lambda reading: reading.fit, reverse=True)


def read_texts(texts: pd.Series[str], form: str) -> Stamps:
    """``(T,)`` times; NaT where a text does not have the format, which is one of ``strptime`` or of `WORDS`.

    Raises:
        ValueError: The format is invalid; or `re.error`.
    """
    if form == PERIOD:
        return _bounded(_periods(texts))
    late = ends_days(texts, form)
    whole = texts.mask(late, texts.str.replace(MIDNIGHT, "00", regex=True)) if late.any() else texts
    has_zone = "%z" in form or "%Z" in form
    how: dict[str, Any] = {"format": "mixed", "dayfirst": BY_CELL[form]} if form in BY_CELL else {"format": form}
    stamps = np.full(len(texts), np.datetime64("NaT"), dtype="datetime64[s]")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # 13/01/2024 is read with the day first, whatever is asked for; 1Q2024 is read
        try:
            found = pd.to_datetime(whole, errors="coerce", utc=has_zone, **how)
        except ValueError:
            if form not in WORDS:
                raise
            return stamps  # zones that `split_zones` did not see, of several kinds
    if found.dt.tz is None or has_zone:
        stamps = found.dt.tz_localize(None).to_numpy()
    if late.any():
        stamps = stamps + np.where(late, np.timedelta64(1, "D"), np.timedelta64(0, "D"))
    return _bounded(_in_century(stamps) if "%y" in form else stamps)


def ends_days(texts: pd.Series[str], form: str) -> NDArray[np.bool_]:
    """``(T,)``, whether a text in this format has the hour 24."""
    late = np.zeros(len(texts), dtype=bool)
    if "%H" not in form and form not in (ISO, *BY_CELL):
        return late
    pattern = MIDNIGHT if "%H" in form else MIDNIGHT.replace("$|", "", 1)  # a 24 alone may be a day, or a year
    maybe = texts.str.slice(-LONGEST_MIDNIGHT).str.contains("24", regex=False, na=False).to_numpy(dtype=bool)
    late[maybe] = texts[maybe].str.contains(pattern).to_numpy(dtype=bool)
    return late


def looks_like_time(text: str) -> bool:
    """Whether dateutil reads a cell that holds a year or a month's name as a time."""
    others = re.sub(r"\D", "", YEAR.sub("", text, count=1))
    if not (others and (YEAR.search(text) or MONTH.search(text))):
        return False
    return not np.isnat(read_texts(pd.Series([text], dtype="str"), "month-first")).any()


def _forms(cell: str) -> list[str]:
    """Formats that a cell may have; day and month may be swapped."""
    if any(re.fullmatch(pattern, cell) for pattern in (*PERIODS, WEEK)):
        return [PERIOD]
    cells = dict.fromkeys((cell, re.sub(MIDNIGHT, "00", cell)))
    forms = [form for one in cells for form in _either_name([*_guesses(one), *_known(one)])]
    iso = [ISO] if cell[:4].isdecimal() else []
    return [*(form for form in dict.fromkeys(forms) if not NO_FORM.match(form)), *iso]


def _guesses(cell: str) -> list[str]:
    """The formats that pandas guesses for a cell, and for its date."""
    from pandas.tseries.api import guess_datetime_format

    date, time = _apart(cell)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # "year first, although day first was asked for": both are tried
        both = [(part, guess_datetime_format(part, dayfirst=first)) for part in (cell, date) for first in (False, True)]
    return [form + (time if part == date else "") for part, form in both if form]


def _known(cell: str) -> list[str]:
    """Formats that pandas does not guess: dates with the cell's time of day, and joined columns."""
    joined = [form for form in JOINED if _is_of(cell, form)]
    if joined:
        return joined
    date, time = _apart(cell)
    if re.fullmatch(r"\d{4}-\d{3}", date):
        return [f"%Y-%j{time}"]
    return [form + time for form in _either_name(OTHER_DATES) if _is_of(date, form)]


def _apart(cell: str) -> tuple[str, str]:
    """The date of a cell, and the format of the time of day behind it, if any."""
    time = TIME_OF_DAY.search(cell)
    return (cell, "") if time is None else (cell[: time.start()], _time_form(time))


def _either_name(forms: Iterable[str]) -> list[str]:
    """Formats, each with months in full and in three letters: May is both."""
    return [other for form in forms for other in (form, form.replace("%B", "%b"), form.replace("%b", "%B"))]


def _time_form(time: re.Match[str]) -> str:
    """The format of a time of day, with what stands before it."""
    mark, gap, half = time["mark"] or "", time["gap"] or "", time["half"]
    minutes = f"{mark}%M" * bool(mark) + f"{mark}%S" * bool(time["second"])
    fraction = f"{time['fraction'][0]}%f" if time["fraction"] else ""
    return f"{time['joint']}{'%I' if half else '%H'}{minutes}{fraction}{gap}{'%p' if half else ''}"


def _is_of(text: str, form: str) -> bool:
    try:
        datetime.strptime(text, form)
    except ValueError:
        return False
    return True


def _periods(texts: pd.Series[str]) -> Stamps:
    """Quarters, half-years, months and weeks by their first day."""
    weeks = texts.str.extract(f"^{WEEK}$")
    days = weeks["year"] + "-W" + weeks["week"] + "-" + weeks["day"].fillna("1")
    found = pd.to_datetime(days, format="%G-W%V-%u", errors="coerce")
    for pattern in PERIODS:
        parts = texts.str.extract(f"^{pattern}$").dropna()
        if parts.empty:
            continue
        month = (parts["count"].astype("int64") - 1) * parts["unit"].str.upper().map(MONTHS) + 1
        begins = parts["year"] + "-" + month.astype("str").str.zfill(2)
        found = found.fillna(pd.to_datetime(begins, format="%Y-%m", errors="coerce"))
    return found.to_numpy()


def _bounded(stamps: Stamps) -> Stamps:
    """NaT for times that nanoseconds cannot hold."""
    return np.where((stamps >= FIRST) & (stamps < LAST), stamps, np.datetime64("NaT")).astype(stamps.dtype)


def _in_century(stamps: Stamps) -> Stamps:
    """Years of two digits as 1950 to 2049; ``strptime`` takes 68 for 2068."""
    months = stamps.astype("datetime64[M]")
    late = months >= np.datetime64(f"{CENTURY}-01", "M")
    return np.where(late, (months - 1200) + (stamps - months), stamps)
