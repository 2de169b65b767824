"""How times are written: over a hundred spellings, and the time stamps that they stand for."""

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench import BenchError, DriftSeries
from bench.data.user_files.user_options import FORM_WORDS

from .conftest import Load

Index = pd.DatetimeIndex
Save = Callable[[pd.DataFrame], str]
ROWS = 480


def even(freq: str, start: str = "2024-01-05", rows: int = ROWS) -> Index:
    return pd.date_range(start, periods=rows, freq=freq)


HOURS, DAYS, MONTHS, QUARTERS = even("h"), even("D"), even("MS", "1990-01-01", 240), even("QS", "1960-01-01", 200)
BERLIN = pd.date_range("2024-03-20", periods=ROWS, freq="h", tz="Europe/Berlin")
NEW_YORK_DAYS = pd.date_range("2019-01-07", periods=ROWS, freq="B", tz="America/New_York")


def as_utc(index: Index) -> Index:
    return index.tz_convert("UTC").tz_localize(None)


def strf(index: Index, form: str) -> list[str]:
    return [stamp.strftime(form) for stamp in index]


def unpadded(index: Index, form: str) -> list[str]:
    """As Excel writes it: ``1/5/2024 1:00 AM``."""
    return [re.sub(r"(?<![:\d])0(?=\d)", "", text) for text in strf(index, form)]


def ending_24(index: Index, form: str = "%Y-%m-%d %H:%M") -> list[str]:
    return [
        stamp.strftime(form) if stamp.hour else (stamp - pd.Timedelta("1D")).strftime(form).replace(" 00:", " 24:")
        for stamp in index
    ]


def spans(index: Index, form: str, between: str) -> list[str]:
    step = index[1] - index[0]
    return [f"{stamp.strftime(form)}{between}{(stamp + step).strftime(form)}" for stamp in index]


def since(index: Index, origin: str, unit: str) -> np.ndarray:
    return np.asarray((index - pd.Timestamp(origin)) / pd.Timedelta(unit))


def periods(index: Index, freq: str, form: str | None = None) -> list[str]:
    found = index.to_period(freq)
    return [str(period) if form is None else period.strftime(form) for period in found]


def offset_of(index: Index, end: str) -> list[str]:
    return [stamp.strftime("%Y-%m-%d %H:%M") + end.format(z=stamp.strftime("%z")) for stamp in index]


def colon(zone: str) -> str:
    return f"{zone[:3]}:{zone[3:]}"


TEXTS: dict[str, tuple[Iterable[str], Index, int | None]] = {
    # dates and hours, year first
    "ISO": (strf(HOURS, "%Y-%m-%d %H:%M:%S"), HOURS, 24),
    "ISO T": (strf(HOURS, "%Y-%m-%dT%H:%M:%S"), HOURS, 24),
    "ISO minutes": (strf(HOURS, "%Y-%m-%d %H:%M"), HOURS, 24),
    "ISO hours": (strf(HOURS, "%Y-%m-%d %H"), HOURS, 24),
    "ISO basic": (strf(HOURS, "%Y%m%dT%H%M%S"), HOURS, 24),
    "ISO milliseconds": (strf(even("500ms", rows=80), "%Y-%m-%d %H:%M:%S.%f"), even("500ms", rows=80), None),
    "comma before milliseconds": (strf(HOURS, "%Y-%m-%d %H:%M:%S,250"), HOURS + pd.Timedelta("250ms"), 24),
    "ISO dates": (strf(DAYS, "%Y-%m-%d"), DAYS, 7),
    "slashes": (strf(DAYS, "%Y/%m/%d"), DAYS, 7),
    "points": (strf(DAYS, "%Y.%m.%d"), DAYS, 7),
    "unpadded": (unpadded(HOURS, "%Y/%m/%d %H:%M"), HOURS, 24),
    "underscore": (strf(HOURS, "%Y-%m-%d_%H:%M"), HOURS, 24),
    "hour with a letter": (strf(HOURS, "%Y-%m-%d %Hh"), HOURS, 24),
    "hour with points": (strf(HOURS, "%Y-%m-%d %H.%M.%S"), HOURS, 24),
    "day of the year": (strf(DAYS, "%Y-%j"), DAYS, 7),
    "half-hours": (strf(even("30min"), "%Y-%m-%d %H:%M"), even("30min"), 48),
    "quarter-hours": (strf(even("15min"), "%Y-%m-%d %H:%M"), even("15min"), 96),
    # day or month first
    "day first": (strf(HOURS, "%d/%m/%Y %H:%M"), HOURS, 24),
    "month first": (strf(HOURS, "%m/%d/%Y %H:%M"), HOURS, 24),
    "day first, points": (strf(DAYS, "%d.%m.%Y"), DAYS, 7),
    "day first, dashes": (strf(DAYS, "%d-%m-%Y"), DAYS, 7),
    "month first, unpadded": (unpadded(HOURS, "%m/%d/%Y %H:%M"), HOURS, 24),
    # AM and PM
    "AM/PM": (strf(HOURS, "%m/%d/%Y %I:%M %p"), HOURS, 24),
    "AM/PM, unpadded": (unpadded(HOURS, "%m/%d/%Y %I:%M:%S %p"), HOURS, 24),
    "AM/PM, day first": (strf(HOURS, "%d/%m/%Y %I:%M %p"), HOURS, 24),
    "AM/PM without a blank": (strf(HOURS, "%d/%m/%Y %I:%M%p"), HOURS, 24),
    "am/pm": ([text.lower() for text in strf(HOURS, "%d/%m/%Y %I:%M %p")], HOURS, 24),
    "hour and AM/PM": (strf(HOURS, "%Y-%m-%d %I %p"), HOURS, 24),
    "AM/PM, year first": (strf(HOURS, "%Y/%m/%d %I:%M:%S %p"), HOURS, 24),
    # years of two digits
    "two digits": (strf(DAYS, "%d/%m/%y"), DAYS, 7),
    "two digits, month first": (strf(HOURS, "%m/%d/%y %H:%M"), HOURS, 24),
    "two digits, points": (unpadded(DAYS, "%d.%m.%y"), DAYS, 7),
    "two digits, name": (strf(DAYS, "%d-%b-%y"), DAYS, 7),
    "two digits over centuries": (strf(even("MS", "1960-01-01", 600), "%b-%y"), even("MS", "1960-01-01", 600), 12),
    "two digits and AM/PM": (unpadded(HOURS, "%m/%d/%y %I:%M %p"), HOURS, 24),
    # months by name
    "month name": (strf(MONTHS, "%b %Y"), MONTHS, 12),
    "month in full": (strf(MONTHS, "%B %Y"), MONTHS, 12),
    "month and comma": (strf(MONTHS, "%b, %Y"), MONTHS, 12),
    "month-year": (strf(MONTHS, "%b-%Y"), MONTHS, 12),
    "month-yy": (strf(MONTHS, "%b-%y"), MONTHS, 12),
    "year month": (strf(MONTHS, "%Y %b"), MONTHS, 12),
    "YEAR MONTH": ([text.upper() for text in strf(MONTHS, "%Y %b")], MONTHS, 12),
    "year-month": (strf(MONTHS, "%Y-%b"), MONTHS, 12),
    "from May on": (strf(even("MS", "1991-05-01", 120), "%b %Y"), even("MS", "1991-05-01", 120), 12),
    "from May on, in full": (strf(even("MS", "1991-05-01", 120), "%B %Y"), even("MS", "1991-05-01", 120), 12),
    "day and name": (strf(DAYS, "%d %b %Y"), DAYS, 7),
    "day and full name": (strf(DAYS, "%d %B %Y"), DAYS, 7),
    "name and day": (strf(DAYS, "%b %d, %Y"), DAYS, 7),
    "weekday": (strf(DAYS, "%A, %B %d, %Y"), DAYS, 7),
    "SAS date": ([text.upper() for text in strf(DAYS, "%d%b%Y")], DAYS, 7),
    "SAS time": ([text.upper() for text in strf(HOURS, "%d%b%Y:%H:%M:%S")], HOURS, 24),
    "C time": (strf(HOURS, "%a %b %d %H:%M:%S %Y"), HOURS, 24),
    # months and periods
    "ISO month": (strf(MONTHS, "%Y-%m"), MONTHS, 12),
    "month/year": (strf(MONTHS, "%m/%Y"), MONTHS, 12),
    "year/month": (strf(MONTHS, "%Y/%m"), MONTHS, 12),
    "2000M01": (strf(MONTHS, "%YM%m"), MONTHS, 12),
    "2000Q1": (periods(QUARTERS, "Q"), QUARTERS, 4),
    "2000-Q1": (periods(QUARTERS, "Q", "%Y-Q%q"), QUARTERS, 4),
    "2000 Q1": (periods(QUARTERS, "Q", "%Y Q%q"), QUARTERS, 4),
    "2000:Q1": (periods(QUARTERS, "Q", "%Y:Q%q"), QUARTERS, 4),
    "2000q1": (periods(QUARTERS, "Q", "%Yq%q"), QUARTERS, 4),
    "Q1 2000": (periods(QUARTERS, "Q", "Q%q %Y"), QUARTERS, 4),
    "Q1-2000": (periods(QUARTERS, "Q", "Q%q-%Y"), QUARTERS, 4),
    "Q1/2000": (periods(QUARTERS, "Q", "Q%q/%Y"), QUARTERS, 4),
    "1Q2000": (periods(QUARTERS, "Q", "%qQ%Y"), QUARTERS, 4),
    "2000-S1": ([f"{1960 + k // 2}-S{k % 2 + 1}" for k in range(100)], even("6MS", "1960-01-01", 100), 2),
    "2000H1": ([f"{1960 + k // 2}H{k % 2 + 1}" for k in range(100)], even("6MS", "1960-01-01", 100), 2),
    "ISO week": (strf(even("7D", "2020-01-06"), "%G-W%V"), even("7D", "2020-01-06"), 52),
    "ISO week, short": (strf(even("7D", "2020-01-06"), "%GW%V"), even("7D", "2020-01-06"), 52),
    "ISO week and day": (strf(even("D", "2020-01-06"), "%G-W%V-%u"), even("D", "2020-01-06"), 7),
    "week from to": (periods(even("7D", "2020-01-06"), "W"), even("7D", "2020-01-06"), 52),
    # from one moment to another
    "span": (spans(HOURS, "%Y-%m-%dT%H:%MZ", "/"), HOURS, 24),
    "span, day first": (spans(HOURS, "%d.%m.%Y %H:%M", " - "), HOURS, 24),
    "span, slashes": (spans(HOURS, "%d/%m/%Y %H:%M:%S", " - "), HOURS, 24),
    "span of days": (spans(DAYS, "%Y-%m-%d", " to "), DAYS, 7),
    # the hour that ends a day
    "24:00": (ending_24(HOURS + pd.Timedelta("1h")), HOURS + pd.Timedelta("1h"), 24),
    "24:00, day first": (ending_24(HOURS, "%d.%m.%Y %H:%M"), HOURS, 24),
    "24": (ending_24(HOURS + pd.Timedelta("1h"), "%Y-%m-%d %H:00:00"), HOURS + pd.Timedelta("1h"), 24),
    # zones
    "Z": (offset_of(HOURS, "Z"), HOURS, 24),
    " UTC": (offset_of(HOURS, " UTC"), HOURS, 24),
    " GMT": (offset_of(HOURS, " GMT"), HOURS, 24),
    "+0000": (offset_of(HOURS, "+0000"), HOURS, 24),
    "+01": (offset_of(HOURS, "+01"), HOURS - pd.Timedelta("1h"), 24),
    "+01:00": (offset_of(HOURS, "+01:00"), HOURS - pd.Timedelta("1h"), 24),
    " +0100": (offset_of(HOURS, " +0100"), HOURS - pd.Timedelta("1h"), 24),
    "GMT+0100": (offset_of(HOURS, " GMT+0100"), HOURS - pd.Timedelta("1h"), 24),
    "UTC+1": (offset_of(HOURS, " UTC+1"), HOURS - pd.Timedelta("1h"), 24),
    "-03:30": (offset_of(HOURS, "-03:30"), HOURS + pd.Timedelta("3h30min"), 24),
    "halves, +01:00": ([text[:-2] + ":" + text[-2:] for text in offset_of(BERLIN, "{z}")], as_utc(BERLIN), 24),
    "halves, +0100": (offset_of(BERLIN, "{z}"), as_utc(BERLIN), 24),
    "halves, +01": ([text[:-2] for text in offset_of(BERLIN, "{z}")], as_utc(BERLIN), 24),
    "halves, GMT+0100": (offset_of(BERLIN, " GMT{z}"), as_utc(BERLIN), 24),
    "halves of JavaScript": (
        [stamp.strftime("%a %b %d %Y %H:%M:%S GMT%z (CEST)") for stamp in BERLIN],
        as_utc(BERLIN),
        24,
    ),
    "halves of Java": ([f"{stamp.isoformat()}[Europe/Berlin]" for stamp in BERLIN], as_utc(BERLIN), 24),
    "mixed spellings of one zone": (
        [text + ("Z", "+00:00", " UTC", "+0000")[k % 4] for k, text in enumerate(offset_of(HOURS, ""))],
        HOURS,
        24,
    ),
    "AM/PM and a zone": (strf(HOURS, "%m/%d/%Y %I:%M %p -0500"), HOURS + pd.Timedelta("5h"), 24),
    "mail": (strf(HOURS, "%a, %d %b %Y %H:%M:%S GMT"), HOURS, 24),
    "dates of a place": ([stamp.isoformat(" ") for stamp in NEW_YORK_DAYS], NEW_YORK_DAYS.tz_localize(None), 5),
    "dates of XML": (strf(DAYS, "%Y-%m-%d+01:00"), DAYS, 7),
}
"""Texts of one column, what they stand for, and the season."""

NUMBERS: dict[str, tuple[Any, Index, int | None]] = {
    "seconds": (since(HOURS, "1970-01-01", "1s").astype(int), HOURS, 24),
    "seconds, daily": (since(DAYS, "1970-01-01", "1s").astype(int), DAYS, 7),
    "seconds, one by one": (since(even("s"), "1970-01-01", "1s").astype(int), even("s"), None),
    "seconds, quarters": (since(QUARTERS[80:], "1970-01-01", "1s").astype(int), QUARTERS[80:], 4),
    "milliseconds": (since(HOURS, "1970-01-01", "1ms").astype(int), HOURS, 24),
    "microseconds": (since(HOURS, "1970-01-01", "1us").astype(int), HOURS, 24),
    "nanoseconds": ((HOURS - pd.Timestamp("1970-01-01")).to_numpy().astype("m8[ns]").astype("int64"), HOURS, 24),
    "seconds with a fraction": (
        since(even("500ms"), "1970-01-01", "1s"),
        even("500ms"),
        None,
    ),
    "spreadsheet days": (since(DAYS, "1899-12-30", "1D").astype(int), DAYS, 7),
    "spreadsheet working days": (since(even("B"), "1899-12-30", "1D").astype(int), even("B"), 5),
    "spreadsheet hours": (since(HOURS, "1899-12-30", "1D"), HOURS, 24),
    "spreadsheet hours, four decimals": (since(HOURS, "1899-12-30", "1D").round(4), HOURS, 24),
    "spreadsheet quarter-hours, five decimals": (since(even("15min"), "1899-12-30", "1D").round(5), even("15min"), 96),
    "decimal years": (MONTHS.year + (MONTHS.month - 1) / 12, MONTHS, 12),
    "decimal years, three decimals": ((MONTHS.year + (MONTHS.month - 1) / 12).to_numpy().round(3), MONTHS, 12),
    "decimal years, two decimals": ((MONTHS.year + (MONTHS.month - 1) / 12).to_numpy().round(2), MONTHS, 12),
    "decimal years, middle of months": ((MONTHS.year + (MONTHS.month - 0.5) / 12).to_numpy().round(4), MONTHS, 12),
    "decimal years, quarters": (QUARTERS.year + (QUARTERS.quarter - 1) / 4, QUARTERS, 4),
    "year.month": ([f"{stamp:%Y.%m}" for stamp in MONTHS], MONTHS, 12),
    "YYYYMMDD": (strf(DAYS, "%Y%m%d"), DAYS, 7),
    "YYYYMMDD of working days": (strf(even("B"), "%Y%m%d"), even("B"), 5),
    "YYYYMM": (strf(MONTHS, "%Y%m"), MONTHS, 12),
    "YYYYMMDDHH": (strf(HOURS, "%Y%m%d%H"), HOURS, 24),
    "YYYYMMDDHH, 1 to 24": (
        [int(text.replace(" ", "")[:10]) for text in ending_24(HOURS + pd.Timedelta("1h"), "%Y%m%d %H:00")],
        HOURS + pd.Timedelta("1h"),
        24,
    ),
    "YYYYMMDDHHMM": (strf(even("10min"), "%Y%m%d%H%M"), even("10min"), 144),
    "YYYYMMDDHHMMSS": (strf(HOURS, "%Y%m%d%H%M%S"), HOURS, 24),
    "YYYYDDD": (strf(DAYS, "%Y%j"), DAYS, 7),
    "YYYYWW": (strf(even("7D", "2005-01-03"), "%G%V"), even("7D", "2005-01-03"), 52),
    "years": (list(range(1800, 2000)), even("YS", "1800-01-01", 200), None),
}
"""Numbers of a column called ``date``, what they stand for, and the season."""


@pytest.fixture(params=["csv", "parquet"])
def save(request: pytest.FixtureRequest, tmp_path: Path) -> Save:
    """Write a frame in either format and give the dataset's name."""

    def save_as(table: pd.DataFrame) -> str:
        path = tmp_path / f"my.{request.param}"
        table.to_csv(path, index=False) if request.param == "csv" else table.to_parquet(path, index=False)
        return f"{request.param}:{path}"

    return save_as


def frame(cells: Iterable[Any], name: str = "date") -> pd.DataFrame:
    listed = list(cells)
    return pd.DataFrame({name: listed, "load": np.random.default_rng(0).normal(size=len(listed)).round(3)})


def check(series: DriftSeries, expected: Index, season: int | None) -> None:
    assert series.columns == ("load",)
    np.testing.assert_array_equal(series.time, expected.to_numpy().astype(series.time.dtype))
    assert series.season == season


ROOM = {"train": 0.6, "validation": 0.1}  # for a season of any length


@pytest.mark.parametrize("kind", TEXTS)
def test_a_text_is_the_time(load: Load, save: Save, kind: str) -> None:
    cells, expected, season = TEXTS[kind]
    check(load(save(frame(cells, "when it was")), **ROOM), expected, season)


@pytest.mark.parametrize("kind", NUMBERS)
def test_a_number_is_the_time(load: Load, save: Save, kind: str) -> None:
    cells, expected, season = NUMBERS[kind]
    table = frame(cells)
    if isinstance(table["date"].iloc[0], str):
        table["date"] = pd.to_numeric(table["date"])
    series = load(save(table), **ROOM)
    check(series, expected, season)
    assert any("time column 'date': its numbers are read as" in note for note in series.notes)


def test_there_are_over_a_hundred() -> None:
    assert len(TEXTS) + len(NUMBERS) > 100


FORMS = [
    *("%Y-%m-%d %H:%M:%S", "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M", "%d.%m.%Y %H:%M", "%m/%d/%Y %I:%M %p", "%d/%m/%y %H:%M"),
    *("%m/%d/%y %I:%M:%S %p", "%d-%b-%y %H:%M", "%d %B %Y %H:%M", "%b %d, %Y %H:%M", "%d%b%Y:%H:%M:%S", "%Y%m%d%H%M"),
]
DATE_FORMS = ["%Y-%m-%d", "%d/%m/%Y", "%m/%d/%Y", "%d.%m.%y", "%m/%d/%y", "%y/%m/%d", "%d-%b-%y", "%Y%m%d", "%Y-%j"]


@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), start=st.datetimes(pd.Timestamp("1980-01-01"), pd.Timestamp("2030-01-01")))
def test_no_other_time_is_read_than_was_written(load: Load, tmp_path: Path, data: st.DataObject, start: Any) -> None:
    """Whatever the form, the step and the first day: never another time than the one that was written."""
    is_date = data.draw(st.booleans())
    form = data.draw(st.sampled_from(DATE_FORMS if is_date else FORMS))
    freq = data.draw(st.sampled_from(["D", "B", "7D", "MS", "QS"] if is_date else ["7min", "15min", "h", "6h", "D"]))
    index = pd.date_range(pd.Timestamp(start).floor("D" if is_date else "min"), periods=60, freq=freq)
    (tmp_path / "my.csv").write_text(frame([f"{stamp.strftime(form)}" for stamp in index]).to_csv(index=False))
    series = read(load, f"csv:{tmp_path / 'my.csv'}", form)
    np.testing.assert_array_equal(series.time, index.to_numpy().astype(series.time.dtype))


def read(load: Load, name: str, form: str) -> DriftSeries:
    """As it is; or, where several forms suit, with the one it was written in, or one that is named as no different."""
    try:
        return load(name)
    except BenchError as error:
        named = re.search(r"may be read as (.*)\. Say which: time = 'date', time_format = '(.*)'", str(error))
        if named is None:
            raise
    return load(name, time="date", time_format=form if form in named[1].split(" or as ") else named[2])


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from([*TEXTS, *NUMBERS]),
    other=st.sampled_from([*TEXTS, *NUMBERS]),
    between=st.sampled_from(["", " ", "/", " - ", "T", "+"]),
    edits=st.lists(
        st.tuples(st.integers(0, 59), st.integers(0, 30), st.sampled_from("0123456789-/:. TZ+QWMa([")), max_size=3
    ),
    form=st.sampled_from([None, *FORM_WORDS, "%d/%m/%y %H:%M", "seconds since 1970-01-01"]),
)
def test_what_is_written_wrongly_is_one_clear_error(
    load: Load, tmp_path: Path, kind: str, other: str, between: str, edits: list[tuple[int, int, str]], form: str | None
) -> None:
    """Two spellings in one cell, or letters put in: read, or refused by file and column; never anything else."""
    both = TEXTS | NUMBERS
    cells = [str(cell) for cell in list(both[kind][0])[:60]]
    if between:
        cells = [f"{first}{between}{second}" for first, second in zip(cells, list(both[other][0]), strict=False)]
    for row, place, letter in edits:
        cells[row] = cells[row][:place] + letter + cells[row][place:]
    frame(cells).to_csv(tmp_path / "my.csv", index=False)
    options = {"time": "date", "time_format": form} if form else {}
    with suppress(BenchError):
        load(f"csv:{tmp_path / 'my.csv'}", irregular="keep", **options)
