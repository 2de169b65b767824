"""The long-term forecasting files: borders, seasons, mending, and what is said where a file is absent."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench import BenchError, Split
from bench.contracts.dataset import DATASETS, RemoteFile

from .conftest import Load, Need

NAMES = ("etth1", "etth2", "ettm1", "ettm2", "illness", "exchange", "weather", "electricity", "traffic")
Stand = Callable[[str, pd.DataFrame], None]


def remote(name: str) -> RemoteFile:
    file = DATASETS[name].cls.remote_file
    assert file is not None
    return file


def table(rows: int, step: str, columns: int = 3) -> pd.DataFrame:
    draw = np.random.default_rng(0)
    frame = pd.DataFrame(draw.normal(size=(rows, columns)).round(3), columns=[f"c{k}" for k in range(columns)])
    frame.insert(0, "date", pd.date_range("2020-01-01", periods=rows, freq=step).strftime("%Y-%m-%d %H:%M:%S"))
    return frame


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stand:
    """Let a frame stand for a dataset's file."""

    def stand(name: str, frame: pd.DataFrame) -> None:
        file = remote(name)
        path = tmp_path / file.filename
        frame.to_csv(path, index=False)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        monkeypatch.setattr(DATASETS[name].cls, "remote_file", replace(file, sha256=(digest,)))
        monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path))

    return stand


def test_each_names_a_file_an_address_and_hashes() -> None:
    for name in NAMES:
        file = remote(name)
        assert DATASETS[name].cls.download
        assert all(url.startswith("https://") and url.endswith(file.filename) for url in file.urls)
        assert all(len(digest) == 64 for digest in file.sha256)
        assert DATASETS[name].summary


@pytest.mark.parametrize("name", ["etth1", "etth2"])
def test_hourly_transformers(load: Load, need: Need, name: str) -> None:
    path = need(remote(name))
    online = load(name)
    assert online.values.shape == (14400, 7)
    assert online.split == Split(2880, 3600, 14400)
    assert online.columns == ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT")
    assert online.inputs == online.targets == online.columns
    assert (online.lookback, online.horizon, online.season) == (96, 24, 24)
    assert str(online.time[0]) == "2016-07-01T00:00:00"
    assert online.licence == "CC BY-ND 4.0"
    offline = load(name, split="60-20-20")
    assert offline.values.shape == (17420, 7)
    assert offline.split == Split(int(0.6 * 17420), int(0.8 * 17420), 17420)
    published = pd.read_csv(path)
    np.testing.assert_array_equal(offline.values, published.drop(columns="date").to_numpy())
    np.testing.assert_array_equal(online.values, offline.values[:14400])


def test_illness(load: Load, need: Need) -> None:
    need(remote("illness"))
    series = load("illness")
    assert series.values.shape == (966, 7)
    assert series.split == Split(193, 241, 966)
    assert (series.lookback, series.horizon, series.season) == (36, 12, 52)
    assert series.split.validation - series.split.train >= series.horizon


def test_quarter_hours_have_four_times_the_borders(load: Load, stand_in: Stand) -> None:
    stand_in("ettm1", table(69680, "15min", columns=2))
    series = load("ettm1")
    assert series.split == Split(11520, 14400, 57600)
    assert len(series) == 57600
    assert series.season == 96
    assert load("ettm1", split="60-20-20").split == Split(41808, 55744, 69680)


def test_others_are_split_by_fraction(load: Load, stand_in: Stand) -> None:
    days = pd.date_range("1990-01-01", periods=1000)
    dates = [f"{day.year}/{day.month}/{day.day} 0:00" for day in days]
    stand_in("exchange", table(1000, "D").assign(date=dates))
    series = load("exchange")
    assert series.split == Split(200, 250, 1000)
    assert series.season is None
    assert str(series.time[1]) == "1990-01-02T00:00:00"


def test_a_repeated_time_stamp_is_left_out_and_said(load: Load, stand_in: Stand) -> None:
    frame = table(1000, "10min")
    frame["date"] = frame["date"].where(frame.index != 500, frame["date"].shift())
    stand_in("weather", frame)
    series = load("weather")
    assert len(series) == 999
    np.testing.assert_array_equal(series.values, frame.drop(columns="date").drop(index=500).to_numpy())
    assert any("row 500 left out" in note for note in series.notes)


def test_a_column_that_never_moves_in_training_is_left_out_and_said(load: Load, stand_in: Stand) -> None:
    frame = table(1000, "h")
    frame.loc[:300, "c1"] = 0.0
    stand_in("electricity", frame)
    series = load("electricity")
    assert series.columns == ("c0", "c2")
    assert any("'c1' left out" in note for note in series.notes)


def test_another_file_under_the_same_name_is_an_error(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ETTh2.csv").write_text("date,OT\n2016-07-01,1\n")
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path))
    found = hashlib.sha256((tmp_path / "ETTh2.csv").read_bytes()).hexdigest()
    with pytest.raises(BenchError) as caught:
        load("etth2")
    message = str(caught.value)
    assert str(tmp_path / "ETTh2.csv") in message
    assert found in message
    assert remote("etth2").sha256[0] in message
    assert "unmodified copy" in message


def test_offline_says_which_file_and_what_to_do(load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path))
    monkeypatch.setattr("bench.data.download.cache_folder", lambda: tmp_path / "cache")
    with pytest.raises(BenchError) as caught:
        load("traffic")
    message = str(caught.value)
    assert "traffic.csv is not on this machine" in message
    assert remote("traffic").urls[0] in message
    assert "set BENCH_DATA_DIR" in message


def test_an_unknown_split_is_an_error(load: Load) -> None:
    with pytest.raises(BenchError, match="split"):
        load("etth1", split="70-10-20")
