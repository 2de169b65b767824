"""What the steps of a series say of its season: each kind of calendar, even, with holidays, or kept though uneven."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pandas.tseries.holiday import USFederalHolidayCalendar

from bench.data.user_files.timestamps.time_grid import first_irregular, rows_apart, step_in_words
from bench.data.user_files.window_sizes import usual_season

from .conftest import Load

Index = pd.DatetimeIndex
ROWS = 600
START = "2015-01-05"  # a Monday


def even(freq: str, rows: int = ROWS) -> Index:
    return pd.date_range(START, periods=rows, freq=freq)


def with_holidays(index: Index) -> Index:
    days = USFederalHolidayCalendar().holidays(index[0], index[-1])
    return index[~index.normalize().isin(days)]


def in_week(mask: str, rows: int = ROWS) -> Index:
    return pd.date_range(START, periods=rows, freq=pd.offsets.CustomBusinessDay(weekmask=mask))


def between(index: Index, first: int, last: int, weekend: bool = False) -> Index:
    """Hours of opening, on working days or on all."""
    return index[(index.hour >= first) & (index.hour <= last) & (weekend | (index.day_of_week < 5))]


def jittered(index: Index) -> Index:
    seconds = np.random.default_rng(0).integers(0, 50, size=len(index))
    return index + pd.to_timedelta(seconds, unit="s")


def thinned(index: Index, kept: float) -> Index:
    return index[np.random.default_rng(0).random(len(index)) < kept]


EVEN: dict[str, tuple[Index, int | None]] = {
    "second": (even("s", 200_000), 86_400),
    "10 seconds": (even("10s", 20_000), 8_640),
    "minute": (even("min", 5_000), 1_440),
    "5 minutes": (even("5min"), 288),
    "10 minutes": (even("10min"), 144),
    "quarter-hour": (even("15min"), 96),
    "half-hour": (even("30min"), 48),
    "40 minutes": (even("40min"), 36),
    "hour": (even("h"), 24),
    "half past": (even("h") + pd.Timedelta("30min"), 24),
    "2 hours": (even("2h"), 12),
    "3 hours": (even("3h"), 8),
    "6 hours": (even("6h"), 4),
    "12 hours": (even("12h"), 2),
    "day": (even("D"), 7),
    "noon": (even("D") + pd.Timedelta("12h"), 7),
    "working day": (even("B"), 5),
    "working day, Sunday to Thursday": (in_week("Sun Mon Tue Wed Thu"), 5),
    "open on Saturdays": (in_week("Mon Tue Wed Thu Fri Sat"), 6),
    "Monday, Wednesday and Friday": (in_week("Mon Wed Fri"), 3),
    "week": (even("7D"), 52),
    "week from Sundays": (even("W-SUN"), 52),
    "two weeks": (even("14D"), 26),
    "four weeks": (even("28D"), 13),
    "month's first": (even("MS"), 12),
    "month's last": (even("ME"), 12),
    "month's fifteenth": (even("MS") + pd.Timedelta("14D"), 12),
    "two months": (even("2MS"), 6),
    "quarter's first": (even("QS"), 4),
    "quarter's last": (even("QE", 300), 4),
    "four months": (even("4MS", 400), 3),
    "half-year": (even("6MS", 300), 2),
    "year": (even("YS", 200), None),
    "36 hours": (even("36h"), None),
    "5 hours": (even("5h"), None),
    "7 minutes": (even("7min", 3_000), 1_440),
    "two days": (even("2D"), None),
    "ten days": (even("10D"), None),
    "30 days": (even("30D"), None),
    "one third of a second": (even("333333us"), None),
    "shorter than a day": (even("10s"), None),
}
"""Even steps, and how many rows are one season. Seven minutes make a week of 1,440 rows, but no day."""

UNEVEN: dict[str, tuple[Index, int | None]] = {
    "trading days": (with_holidays(even("B", 1500)), 5),
    "trading days with a week off": (even("B").delete(range(200, 205)), 5),
    "days, some left out": (thinned(even("D", 2000), 0.95), 7),
    "days, many left out": (thinned(even("D", 2000), 0.6), None),
    "hours of trading": (between(even("h", 5000) + pd.Timedelta("30min"), 9, 15), 7),
    "hours of trading with holidays": (with_holidays(between(even("h", 9000), 9, 15)), 7),
    "minutes of trading": (between(even("min", 40_000), 9, 15), 420),
    "hours of daylight": (between(even("h", 5000), 6, 18, weekend=True), 13),
    "hours, some left out": (thinned(even("h", 3000), 0.98), 24),
    "hours with jitter": (jittered(even("h")), None),
    "at any time": (jittered(thinned(even("h", 5000), 0.3)), None),
    "last working day of a month": (pd.date_range(START, periods=200, freq="BME"), 12),
    "last working day of a quarter": (pd.date_range(START, periods=200, freq="BQE"), 4),
    "months, some left out": (even("MS", 300).delete([50, 120]), 12),
    "weeks, some left out": (even("7D", 700).delete([50, 320]), 52),
}
"""Steps that are refused unless they are kept as if they were even: what the usual step says would often be a lie."""


def stamps(index: Index) -> np.ndarray:
    return index.to_numpy().astype("datetime64[ns]")


@pytest.mark.parametrize("kind", EVEN)
def test_even_steps_decide_the_season(kind: str) -> None:
    index, season = EVEN[kind]
    assert first_irregular(stamps(index)) is None
    assert usual_season(stamps(index))[0] == season
    assert step_in_words(stamps(index)).endswith("no gaps")


@pytest.mark.parametrize("kind", UNEVEN)
def test_uneven_steps_have_a_season_only_where_rows_come_again(kind: str) -> None:
    index, season = UNEVEN[kind]
    assert first_irregular(stamps(index)) is not None
    assert usual_season(stamps(index))[0] == season


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("working day", "1 working day, no gaps"),
        ("open on Saturdays", "6 days a week, no gaps"),
        ("quarter's last", "3 months, no gaps"),
        ("half-hour", "30 min, no gaps"),
        ("trading days", "1 working day, 55 irregular"),
        ("hours, some left out", "1 h, 60 irregular"),
    ],
)
def test_the_kind_of_step_is_said(kind: str, words: str) -> None:
    assert step_in_words(stamps((EVEN | UNEVEN)[kind][0])) == words


@given(st.integers(1, 3000), st.integers(1, 40), st.integers(0, 40))
def test_rows_apart_are_counted(minutes: int, share: int, rest: int) -> None:
    """A period is as many rows as steps fit into it, and none where they do not."""
    times = np.datetime64(START, "ns") + np.arange(300) * np.timedelta64(minutes, "m")
    period = np.timedelta64(minutes * share, "m")
    assert rows_apart(times, times + period) == share
    if rest % minutes:
        assert rows_apart(times, times + period + np.timedelta64(rest % minutes, "m")) is None


@pytest.mark.parametrize(
    ("kind", "sizes", "reason"),
    [
        ("trading days", (20, 5, 5), "season 5: as many rows make a week"),
        ("quarter's first", (24, 6, 4), "season 4: as many rows make a year"),
        ("half-hour", (96, 24, 48), "season 48: as many rows make a day"),
        ("day", (28, 7, 7), "lookback 28: usual for 7 rows a week"),
        ("36 hours", (28, 7, None), "season none: no fixed number of rows makes a day, a week or a year"),
        ("minutes of trading", (96, 24, 420), "season 420: as many rows make a day"),
        ("hours with jitter", (150, 24, None), "season none: no fixed number of rows makes a day"),
    ],
)
def test_sizes_are_of_the_kind(
    load: Load, tmp_path: Path, kind: str, sizes: tuple[int, int, int | None], reason: str
) -> None:
    index = (EVEN | UNEVEN)[kind][0]
    draw = np.random.default_rng(0).normal(size=len(index))
    pd.DataFrame({"date": index, "x": draw}).to_csv(tmp_path / "my.csv", index=False)
    series = load(f"csv:{tmp_path / 'my.csv'}", irregular="keep", train=0.5, validation=0.1)
    assert (series.lookback, series.horizon, series.season) == sizes
    assert any(note.startswith(reason) for note in series.notes)
