"""Which column is the clock, and which is no measurement; and refusals whose options, as they stand, load the file."""

import ast
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench import BenchError, DriftSeries

from .conftest import Load

Save = Callable[[pd.DataFrame], str]
ROWS = 480
HOURS = pd.date_range("2024-01-05", periods=ROWS, freq="h")
DAYS = pd.date_range("2024-01-05", periods=ROWS)
MONTHS = pd.date_range("1990-01-01", periods=ROWS, freq="MS")
LATE = HOURS + pd.Timedelta("1h")  # each hour by its end
BERLIN = pd.date_range("2024-10-20", periods=ROWS, freq="h", tz="Europe/Berlin")
LOAD = np.random.default_rng(0).normal(size=ROWS).round(3)
OPTION = re.compile(r"\b(time|time_format|timezone|id|value|inputs|irregular|drop) = ('[^']*'|\[[^\]]*\])")


@pytest.fixture(params=["csv", "parquet"])
def save(request: pytest.FixtureRequest, tmp_path: Path) -> Save:
    """Write a frame in either format and give the dataset's name."""

    def save_as(table: pd.DataFrame) -> str:
        path = tmp_path / f"my.{request.param}"
        table.to_csv(path, index=False) if request.param == "csv" else table.to_parquet(path, index=False)
        return f"{request.param}:{path}"

    return save_as


def frame(load: Iterable[float] = LOAD, **columns: Any) -> pd.DataFrame:
    return pd.DataFrame({**columns, "load": load})


def strf(index: pd.DatetimeIndex, form: str) -> list[str]:
    return [stamp.strftime(form) for stamp in index]


def options_in(message: str) -> dict[str, Any]:
    """The options of the first way out that a message names."""
    for way in re.split(r"(?:[.'\]]\.? |; )(?=If|Otherwise|Say|inputs)", message):
        options = {key: ast.literal_eval(text) for key, text in OPTION.findall(way) if "..." not in text}
        if options:
            return options
    return {}


def followed(load: Load, name: str) -> tuple[str, DriftSeries]:
    """The first refusal, and what the file loads as when refusals are followed."""
    options: dict[str, Any] = {}
    first = ""
    for _ in range(4):
        try:
            return first, load(name, **options)
        except BenchError as error:
            first, options = first or str(error), options | options_in(str(error))
    raise AssertionError(f"followed in a circle: {first} {options}")


def ordinal(day: int) -> str:
    return {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th") if day // 10 != 1 else "th"


def weeks_of_days(form: str) -> list[str]:
    """Days that could be months, in uneven steps that decide nothing."""
    days = pd.date_range("2024-01-02", periods=11, freq="D")
    stamps = [day + pd.Timedelta(k * 60 + k * k % 50, "min") for day in days for k in range(20)]
    return [stamp.strftime(form) for stamp in stamps]


REFUSED: dict[str, tuple[pd.DataFrame, str, pd.DatetimeIndex | None]] = {
    "date and time": (
        frame(Date=strf(HOURS, "%Y-%m-%d"), Time=strf(HOURS, "%H:%M:%S")),
        "time = ['Date', 'Time']",
        HOURS,
    ),
    "date with midnight and time": (
        frame(Date=strf(HOURS, "%Y-%m-%d 00:00:00"), Time=strf(HOURS, "%H:%M")),
        "time = ['Date', 'Time']",
        HOURS,
    ),
    "day first and time": (
        frame(Datum=strf(HOURS, "%d.%m.%Y"), Zeit=strf(HOURS, "%H:%M")),
        "time = ['Datum', 'Zeit']",
        HOURS,
    ),
    "time before date": (
        frame(time=strf(HOURS, "%H:%M"), date=strf(HOURS, "%Y-%m-%d")),
        "time = ['date', 'time']",
        HOURS,
    ),
    "date and AM/PM": (
        frame(Date=strf(HOURS, "%m/%d/%Y"), Time=strf(HOURS, "%I:%M %p")),
        "time = ['Date', 'Time']",
        HOURS,
    ),
    "date and hour": (frame(date=strf(HOURS, "%Y-%m-%d"), hour=HOURS.hour), "time = ['date', 'hour']", HOURS),
    "date and hour, 1 to 24": (
        frame(date=strf(HOURS, "%Y-%m-%d"), hr=HOURS.hour + 1),
        "time = ['date', 'hr']",
        LATE,
    ),
    "date and HHMM": (
        frame(date=strf(HOURS, "%Y-%m-%d"), hhmm=HOURS.hour * 100),
        "time = ['date', 'hhmm']",
        HOURS,
    ),
    "date and HHMM, to 2400": (
        frame(date=strf(HOURS, "%Y-%m-%d"), hhmm=(HOURS.hour + 1) * 100),
        "time = ['date', 'hhmm']",
        LATE,
    ),
    "YYYYMMDD and hour": (
        frame(YYYYMMDD=[int(day) for day in strf(HOURS, "%Y%m%d")], HH=HOURS.hour + 1),
        "time = ['YYYYMMDD', 'HH']",
        LATE,
    ),
    "days or months": (
        frame(np.arange(220) % 7, when=weeks_of_days("%m/%d/%Y %H:%M")),
        "time = 'when', time_format = '%m/%d/%Y %H:%M'",
        None,
    ),
    "two digits of anything": (
        frame(np.arange(220) % 7, when=weeks_of_days("%d/%m/%y %H:%M")),
        "time = 'when', time_format = '%",
        None,
    ),
    "a time in words": (
        frame(when=[f"{stamp.day}{ordinal(stamp.day)} {stamp:%B %Y %H:%M}" for stamp in HOURS]),
        "time = 'when', time_format = 'month-first'",
        HOURS,
    ),
    "a time in many ways": (
        frame(when=[stamp.strftime(("%d %b %Y %H:%M", "%Y-%m-%dT%H:%M")[k % 2]) for k, stamp in enumerate(HOURS)]),
        "time = 'when', time_format = 'month-first'",
        HOURS,
    ),
    "letters of a zone": (
        frame(when=[f"{stamp:%Y-%m-%d %H:%M %Z}" for stamp in BERLIN]),
        "timezone = 'Europe/Berlin'",
        BERLIN.tz_convert("UTC").tz_localize(None),
    ),
    "another date before, unsorted": (
        frame(made=strf(HOURS[::-1], "%Y-%m-%d"), date=strf(HOURS, "%Y-%m-%d %H:%M")),
        "If 'date' is the time, say time = 'date'",
        HOURS,
    ),
    "a date before, and seconds": (
        frame(made=strf(HOURS[::-1], "%Y-%m-%d"), stamp=(HOURS.to_numpy().astype("M8[s]")).astype("int64")),
        "If 'stamp' is the time, say time = 'stamp'",
        HOURS,
    ),
}  # fmt: skip
"""A file, what its refusal names, and the times that it has once that is followed."""


@pytest.mark.parametrize("kind", REFUSED)
def test_a_refusal_names_the_option_that_reads_the_file(load: Load, save: Save, kind: str) -> None:
    table, hint, expected = REFUSED[kind]
    message, series = followed(load, save(table))
    assert hint in message
    assert series.columns[-1] == "load"
    if expected is not None:
        np.testing.assert_array_equal(series.time, expected.to_numpy().astype(series.time.dtype))
    assert series.time.dtype.kind == "M"


def test_a_meter_is_not_taken_for_the_time_without_a_word(load: Load, save: Save) -> None:
    meter = np.cumsum(15 + np.arange(ROWS) * 7 % 11)
    name = save(frame(meter=meter))
    message, series = followed(load, name)
    assert "it may say the time, or be measured, such as a meter" in message
    assert series.columns == ("load",)
    assert load(name, inputs=["meter", "load"]).columns == ("meter", "load")
    with pytest.raises(BenchError, match="so it may say the time, or be measured"):
        load(name, irregular="keep")
    kept = load(name, time="meter", irregular="keep")
    assert kept.columns == ("load",)
    assert kept.time.tolist() == meter.tolist()


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("bytes", 1_700_000_000 + np.cumsum(15 + np.arange(ROWS) * 7 % 11)),
        ("account", np.cumsum(15 + np.arange(ROWS) * 7 % 11) * 1_000_003),
        ("time", np.cumsum(0.5 + np.arange(ROWS) * 7 % 11 / 100)),
        ("t", np.cumsum(0.5 + np.arange(ROWS) * 7 % 11 / 100)),
        ("when", np.cumsum(15 + np.arange(ROWS) * 7 % 11)),
    ],
)
def test_what_rises_unevenly_may_be_a_clock(load: Load, save: Save, name: str, numbers: np.ndarray) -> None:
    saved = save(frame(**{name: numbers}))
    message, series = followed(load, saved)
    assert f"column {name!r}: this column only rises, by" in message
    assert series.columns == ("load",)
    np.testing.assert_array_equal(load(saved, inputs=[name, "load"]).values[:, 0], numbers)
    assert load(saved, inputs=["load"]).columns == ("load",)
    with pytest.raises(BenchError, match="this column only rises, by"):
        load(saved, irregular="keep")


EPOCH = HOURS.to_numpy().astype("M8[s]").astype("int64")
SERIAL = {
    "seconds": EPOCH,
    "milliseconds": EPOCH * 1000,
    "spreadsheet hours": np.asarray((HOURS - pd.Timestamp("1899-12-30")) / pd.Timedelta("1D")),
    "digits": np.array([int(text) for text in strf(HOURS, "%Y%m%d%H")]),
    "digits of days": np.array([int(text) for text in strf(HOURS, "%Y%m%d")]),
    "digits of months": np.array([int(text) for text in strf(MONTHS, "%Y%m")]),
    "decimal years": np.asarray(MONTHS.year + (MONTHS.month - 1) / 12),
}


@pytest.mark.parametrize("gaps", [[5], [0, 1, 7], [ROWS - 1], list(range(0, ROWS, 3))])
def test_a_count_with_empty_cells_counts(load: Load, save: Save, gaps: list[int]) -> None:
    counts = np.arange(ROWS, dtype=float)
    counts[gaps] = np.nan
    series = load(save(frame(date=strf(HOURS, "%Y-%m-%d %H:%M"), x=counts)), missing="ffill")
    assert series.columns == ("load",)
    walk = np.where(np.isnan(counts), np.nan, np.cumsum(LOAD))
    assert load(save(frame(date=strf(HOURS, "%Y-%m-%d %H:%M"), x=walk)), missing="ffill").columns == ("x", "load")


def test_parts_of_the_time_beside_the_clock_are_no_measurement(load: Load, save: Save) -> None:
    parts = {"Year": HOURS.year, "month": HOURS.month, "DAY": HOURS.day, "hr": HOURS.hour, "minute": HOURS.minute}
    table = frame(date=strf(HOURS, "%Y-%m-%d %H:%M"), **parts)
    series = load(save(table))
    assert series.columns == ("load",)
    assert noted(series, "column 'hr' says a part of the time: left out")
    assert load(save(table), inputs=["hr", "load"], targets=["load"]).columns == ("hr", "load")
    other = table.assign(hr=(HOURS.hour * 7) % 24)
    assert load(save(other)).columns == ("hr", "load")


def test_a_time_of_day_alone_is_no_clock(load: Load, save: Save) -> None:
    with pytest.raises(BenchError, match=r"'time' looks like a time.*It is a time of day: add a column of dates"):
        load(save(frame(time=strf(HOURS, "%H:%M"))))


def noted(series: DriftSeries, *parts: str) -> bool:
    return any(all(part in note for part in parts) for note in series.notes)


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("name", ["index", "No", "no.", "rownames", "Row ID", "instant", "id", "record_no", "seven"])
def test_a_column_that_counts_the_rows_is_no_measurement(load: Load, tmp_path: Path, name: str, place: int) -> None:
    first = [0, 1, 30_000, -7][(len(name) + place) % 4]
    columns = {"date": strf(HOURS, "%Y-%m-%d %H:%M"), "load": LOAD}
    table = pd.DataFrame(columns)
    table.insert(place, name, first + np.arange(ROWS))
    table.to_csv(tmp_path / "my.csv", index=False)
    series = load(f"csv:{tmp_path / 'my.csv'}")
    assert series.columns == series.targets == ("load",)
    assert series.season == 24
    assert noted(series, f"column {name!r} counts the rows: left out")
    kept = load(f"csv:{tmp_path / 'my.csv'}", inputs=[name, "load"])
    assert set(kept.columns) == {name, "load"}


@pytest.mark.parametrize("name", ["index", "No", "rownames", "instant", "Unnamed: 0"])
def test_a_named_counter_may_have_gaps(load: Load, save: Save, name: str) -> None:
    counts = np.delete(np.arange(ROWS + 2), [7, 300])
    series = load(save(frame(date=strf(HOURS, "%Y-%m-%d %H:%M")).assign(**{name: counts})))
    assert series.columns == ("load",)
    assert noted(series, "counts rows, of which some are left out")


@pytest.mark.parametrize(
    "counts", [-np.arange(ROWS), np.arange(ROWS) * 3600, np.arange(ROWS) / 4, np.arange(ROWS) * 0.1]
)
def test_steps_of_any_size_count(load: Load, save: Save, counts: np.ndarray) -> None:
    series = load(save(frame(date=strf(HOURS, "%Y-%m-%d %H:%M"), passed=counts)))
    assert series.columns == ("load",)


@pytest.mark.parametrize("kind", SERIAL)
def test_times_beside_the_clock_are_no_measurement(load: Load, save: Save, kind: str) -> None:
    series = load(save(frame(date=strf(HOURS, "%Y-%m-%d %H:%M"), stamp=SERIAL[kind])))
    assert series.columns == ("load",)
    assert noted(series, "column 'stamp' says the time (")


@pytest.mark.parametrize(
    "values",
    [
        1.7e9 + np.cumsum(LOAD > 0),  # a meter that begins high
        (1.7e9 + 1e6 * LOAD).round(),
        (40_000 + 100 * LOAD).round(),
        np.sort((45_000 + 100 * LOAD).round(2)),
        (2000 + 10 * LOAD).round(),
        np.cumsum(np.arange(ROWS) % 5 + 1),
        1e-14 * np.cumsum(np.arange(ROWS) % 5 + 1),
        (20_240_000 + 5000 * LOAD).round(),
    ],
)
def test_what_was_measured_is_a_measurement(load: Load, save: Save, values: np.ndarray) -> None:
    for name in ("price", "x"):
        series = load(save(frame(date=strf(HOURS, "%Y-%m-%d %H:%M"), **{name: values})))
        assert series.columns == (name, "load")
    bare = load(save(pd.DataFrame({"load": LOAD, "price": values})))
    assert bare.columns == ("load", "price")
    assert noted(bare, "time: row numbers")


def test_nothing_but_counters_is_said(load: Load, save: Save) -> None:
    name = save(pd.DataFrame({"date": strf(HOURS, "%Y-%m-%d %H:%M"), "n": np.arange(ROWS), "m": np.arange(ROWS) * 2}))
    message, series = followed(load, name)
    assert "no columns to forecast but 'n', 'm'" in message
    assert series.columns == ("n", "m")


@pytest.mark.parametrize(("first", "form"), [(1800, "%Y"), (45_000, "days since 1899-12-30")])
def test_a_counter_that_may_be_dates_is_counted_and_the_option_named(
    load: Load, save: Save, first: int, form: str
) -> None:
    rows = 200 if form == "%Y" else ROWS
    name = save(frame(LOAD[:rows], n=first + np.arange(rows)))
    series = load(name)
    assert series.time.tolist() == list(range(first, first + rows))
    assert noted(series, "its numbers count the rows", f"time = 'n', time_format = '{form}' reads them as dates")
    assert load(name, time="n", time_format=form).time.dtype.kind == "M"
    assert load(save(frame(LOAD[:rows], date=first + np.arange(rows)))).time.dtype.kind == "M"
    assert (
        load(save(frame(LOAD[:rows], date=first + np.arange(rows))), time="date", time_format="count").time[0] == first
    )


@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_parts_of_a_time_are_one_clock(load: Load, save: Save, count: int) -> None:
    index = pd.date_range("2010-01-01", periods=ROWS, freq=["MS", "D", "h", "10min"][count - 2])
    parts = ["year", "month", "day", "hour", "minute"][:count]
    table = frame(No=np.arange(ROWS), **{part: getattr(index, part) for part in parts})
    series = load(save(table), train=0.5, validation=0.1)
    assert series.columns == ("load",)
    np.testing.assert_array_equal(series.time, index.to_numpy().astype(series.time.dtype))
    assert series.season == [12, 7, 24, 144][count - 2]
    assert noted(series, f"time column {' + '.join(parts)!r}: named for the parts of a time")


@pytest.mark.parametrize(("part", "freq", "season"), [("quarter", "QS", 4), ("week", "7D", 52), ("month", "MS", 12)])
def test_a_year_and_a_part_are_one_clock(load: Load, save: Save, part: str, freq: str, season: int) -> None:
    index = pd.date_range("1990-01-01", periods=200, freq=freq)
    week = index.isocalendar()
    parts = np.asarray({"quarter": index.quarter, "month": index.month, "week": week["week"]}[part], dtype=int)
    year = np.asarray(week["year"] if part == "week" else index.year, dtype=int)
    for table in (
        frame(LOAD[:200], year=year, **{part: parts}),
        frame(LOAD[:200], Year=year.astype(float), **{part.upper(): parts.astype(float)}),
    ):
        series = load(save(table), train=0.6, validation=0.1)
        assert series.columns == ("load",)
        np.testing.assert_array_equal(series.time, index.to_numpy().astype("M8[s]"))
        assert series.season == season


def test_a_column_of_one_date_gives_way_to_the_next(load: Load, save: Save) -> None:
    series = load(save(frame(exported="2025-01-01", date=strf(HOURS, "%Y-%m-%d %H:%M"))))
    assert (series.columns, series.season) == (("load",), 24)
    assert noted(series, "time column 'date'", "but for 'exported', where all rows have one date")
    assert noted(series, "column 'exported' holds one date: left out")


def test_several_columns_may_be_named(load: Load, save: Save) -> None:
    table = frame(day=strf(HOURS, "%d.%m.%Y"), hour=HOURS.hour)
    series = load(save(table), time=["day", "hour"], time_format="%d.%m.%Y %H")
    np.testing.assert_array_equal(series.time, HOURS.to_numpy().astype("M8[s]"))
    faults: list[tuple[dict[str, Any], str]] = [
        ({"time": ["day", "day"]}, "name one column, or several different ones"),
        ({"time": []}, "name one column, or several different ones"),
        ({"time": ["day", "horu"]}, "Unknown column 'horu'. Did you mean 'hour'?"),
        ({"time": ["day", "hour"], "inputs": ["hour", "load"]}, "column 'hour' is the time column"),
        ({"time": ["day", "hour"], "time_format": "%d/%m/%Y %H"}, r"column 'day + hour' is not a date like %d/%m/%Y"),
        ({"time": ["day", "hour"], "id": "day", "value": "load"}, "three different columns"),
    ]
    for options, message in faults:
        with pytest.raises(BenchError) as caught:
            load(save(table), **options)
        assert message in str(caught.value)


def test_a_long_file_may_have_its_date_and_hour_apart(load: Load, save: Save) -> None:
    wide = pd.DataFrame({"date": strf(HOURS, "%Y-%m-%d"), "hour": HOURS.hour, "a": LOAD, "b": LOAD[::-1]})
    name = save(wide.melt(id_vars=["date", "hour"], var_name="site", value_name="load"))
    options = {"id": "site", "value": "load"}
    with pytest.raises(BenchError, match=r"If 'hour' is the time of day, say time = \['date', 'hour'\]"):
        load(name, time="date", **options)
    series = load(name, time=["date", "hour"], **options)
    assert series.columns == ("a", "b")
    np.testing.assert_array_equal(series.time, HOURS.to_numpy().astype("M8[s]"))


@pytest.mark.parametrize(
    ("form", "cells", "expected"),
    [
        ("seconds since 2000-01-01", np.arange(ROWS) * 3600, pd.date_range("2000-01-01", periods=ROWS, freq="h")),
        ("hours since 1900-01-01 00:00:00", np.arange(ROWS), pd.date_range("1900-01-01", periods=ROWS, freq="h")),
        ("days since 0001-01-01", np.arange(ROWS) + 730_000, pd.date_range("1999-09-04", periods=ROWS, freq="D")),
        ("days since 1858-11-17", np.arange(ROWS) + 60_000, pd.date_range("2023-02-25", periods=ROWS, freq="D")),
        ("minutes since 2024-01-05", np.arange(ROWS) * 0.5, pd.date_range("2024-01-05", periods=ROWS, freq="30s")),
        ("decimal-year", 1990 + np.arange(ROWS) / 4, pd.date_range("1990-01-01", periods=ROWS, freq="QS")),
        ("%d%m%y", [int(text) for text in strf(DAYS, "%d%m%y")], DAYS),
        ("%d%m%y", strf(DAYS, "%d%m%y"), DAYS),
        ("day-first", strf(HOURS, "%d/%m/%Y %H:%M"), HOURS),
        ("month-first", strf(HOURS, "%m/%d/%Y %H:%M"), HOURS),
        ("%Y-%m-%d %H:%M CET", strf(HOURS, "%Y-%m-%d %H:%M CET"), HOURS),
        ("%Y-%m-%d %H:%M%z", strf(HOURS, "%Y-%m-%d %H:%M+0200"), HOURS - pd.Timedelta("2h")),
        ("%d %H:%M %z %m %Y", strf(HOURS, "%d %H:%M +0200 %m %Y"), HOURS - pd.Timedelta("2h")),
    ],
)  # fmt: skip
def test_a_format_that_is_said_is_used(load: Load, save: Save, form: str, cells: Any, expected: Any) -> None:
    name = save(frame(t=cells))
    series = load(name, time="t", time_format=form)
    np.testing.assert_array_equal(series.time, expected.to_numpy().astype(series.time.dtype))


@pytest.mark.parametrize("form", ["epoch", "YYYY-MM-DD", "seconds", "fortnights since 1970-01-01", ""])
def test_a_format_that_is_none_is_refused(load: Load, save: Save, form: str) -> None:
    with pytest.raises(BenchError, match=r"option 'time_format'.*seconds since 1970-01-01.*decimal-year"):
        load(save(frame(t=EPOCH)), time="t", time_format=form)


def test_a_format_that_python_does_not_know_is_refused(load: Load, save: Save) -> None:
    for form in ("%Q", "%Y-%Y", "%"):
        with pytest.raises(BenchError, match="is no format of times"):
            load(save(frame(t=strf(HOURS, "%Y-%m-%d %H:%M"))), time="t", time_format=form)


def test_zones_of_numbers(load: Load, save: Save) -> None:
    local = BERLIN.tz_localize(None)
    digits = [int(text) for text in strf(local, "%Y%m%d%H")]
    series = load(save(frame(date=digits)), timezone="Europe/Berlin")
    np.testing.assert_array_equal(series.time, BERLIN.tz_convert("UTC").tz_localize(None).to_numpy().astype("M8[s]"))
    with pytest.raises(BenchError, match="needs no timezone"):
        load(save(frame(date=EPOCH)), timezone="Europe/Berlin")


@pytest.mark.parametrize("freq", ["D", "B", "W", "MS", "QS"])
def test_dates_of_a_place_stay_dates(load: Load, save: Save, freq: str) -> None:
    """As UTC they would be 23 or 25 hours long twice a year, and days of the week would be others."""
    index = pd.date_range("2010-01-04", periods=200, freq=freq, tz="Europe/Berlin")
    local = index.tz_localize(None).to_numpy().astype("M8[s]")
    for cells in (index, [stamp.isoformat() for stamp in index]):
        series = load(save(frame(LOAD[:200], when=cells)))
        np.testing.assert_array_equal(series.time, local)
        assert noted(series, "kept as dates")
    series = load(save(frame(LOAD[:200], when=strf(index, "%Y-%m-%d"))), timezone="Europe/Berlin")
    np.testing.assert_array_equal(series.time, local)
    with pytest.raises(BenchError, match="timezone = 'Europe/Berln' is not known"):
        load(save(frame(LOAD[:200], when=strf(index, "%Y-%m-%d"))), timezone="Europe/Berln")


def column_of(kind: str, draw: np.random.Generator, rows: int) -> np.ndarray:
    """A column of numbers of some kind, with a size and a beginning of its own."""
    size, first = 10.0 ** draw.integers(-9, 12), 10.0 ** draw.integers(0, 13)
    walks: dict[str, Callable[[], np.ndarray]] = {
        "noise": lambda: size * draw.normal(size=rows),
        "walk": lambda: first + size * np.cumsum(draw.normal(size=rows)),
        "meter": lambda: np.floor(first + np.cumsum(1 + draw.integers(0, 50, size=rows))),
        "counter": lambda: np.floor(first) + np.arange(rows) * float(draw.integers(1, 5)),
        "few": lambda: draw.integers(0, 12, size=rows).astype(float),
        "year": lambda: 1990.0 + draw.integers(0, 30, size=rows),
        "price": lambda: (draw.integers(20_000, 50_000) + 50 * np.cumsum(draw.normal(size=rows))).round(2),
    }
    return walks[kind]()


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kinds=st.lists(
        st.sampled_from(["noise", "walk", "meter", "counter", "few", "year", "price"]), min_size=1, max_size=4
    ),
    dated=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_no_column_goes_without_a_word(load: Load, tmp_path: Path, kinds: list[str], dated: bool, seed: int) -> None:
    """Every column is read, or a note or the refusal names it; noise is never the clock, and never left out."""
    draw = np.random.default_rng(seed)
    table = pd.DataFrame({f"{kind}_{place}": column_of(kind, draw, 80) for place, kind in enumerate(kinds)})
    if dated:
        table.insert(int(draw.integers(0, len(kinds) + 1)), "made", strf(DAYS[:80], "%Y-%m-%d"))
    table.to_csv(tmp_path / "my.csv", index=False)
    try:
        series = load(f"csv:{tmp_path / 'my.csv'}")
    except BenchError as error:
        if not any(repr(name) in str(error) for name in table.columns):
            raise
        return
    for name in table.columns:
        assert name in series.columns or noted(series, repr(name))
    measured = [name for name in table.columns if name.startswith(("noise", "walk", "price"))]
    assert set(measured) <= set(series.columns)
    assert (series.time.dtype.kind == "M") == (dated or noted(series, "its numbers are read as"))
