"""Series that packages carry: what they hold, and what is said where a package is missing."""

import hashlib
import re
from importlib import resources

import numpy as np
import pandas as pd
import pytest

from bench import BenchError, Split
from bench.contracts.dataset import DATASETS

from .conftest import Load

NAMES = {"brent-oil": "river", "co2": "statsmodels", "el-nino": "statsmodels"}


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    pytest.importorskip(NAMES[request.param], reason=f"needs the package {NAMES[request.param]}")
    return str(request.param)


def need(package: str) -> None:
    pytest.importorskip(package, reason="these datasets need adaptbench[datasets]")


def test_events_are_in_the_stream_and_windows_fit(load: Load, name: str) -> None:
    series = load(name)
    split = series.split
    assert split == Split.by_fraction(len(series))
    assert all(split.validation < event.row < split.end for event in series.events)
    assert series.lookback < split.train // 2
    assert series.horizon <= split.validation - split.train
    assert series.licence == "public domain"
    assert DATASETS[name].cls.remote_file is None


def test_values_are_pinned(load: Load, name: str) -> None:
    pinned = {
        "brent-oil": "b2b320d34909ba0810802a0c2a58bea0c3afc79cebf27c1131c3dc49785b6dd5",
        "co2": "7565051a3fd18ea46eb6291bef7782a33286cdea4e8a63268108d01f429a692c",
        "el-nino": "04cd82503f2284f490eb92e9bf30bfd475d3c12210aca925dc0978f62ce50780",
    }
    assert hashlib.sha256(load(name).values.tobytes()).hexdigest() == pinned[name]


def test_brent(load: Load) -> None:
    need("river")
    series = load("brent-oil")
    assert series.values.shape == (8195, 1)
    for event in series.events:
        before, after = (
            series.values[event.row - 20 : event.row].mean(),
            series.values[event.row + 60 : event.row + 80].mean(),
        )
        assert after < 0.75 * before
    assert str(series.time[series.events[0].row]) == "2008-09-15T00:00:00"


def test_weeks_without_a_value_take_the_one_before(load: Load) -> None:
    need("statsmodels")
    series = load("co2")
    assert series.values.shape == (2284, 1)
    assert (np.diff(series.time) == np.timedelta64(7, "D")).all()
    with (resources.files("statsmodels") / "datasets/co2/co2.csv").open("rb") as file:
        raw = pd.read_csv(file)["co2"].to_numpy()
    missing = np.isnan(raw)
    assert any(f"{missing.sum()} missing weeks" in note for note in series.notes)
    np.testing.assert_array_equal(series.values[~missing, 0], raw[~missing])
    first = int(np.argmax(missing))
    assert series.values[first, 0] == raw[first - 1]


def test_months_stand_in_order(load: Load) -> None:
    need("statsmodels")
    series = load("el-nino")
    assert series.values.shape == (732, 1)
    assert [float(series.values[row, 0]) for row in (0, 11, 12)] == [23.11, 21.80, 24.19]
    normal = series.values[: 21 * 12, 0].reshape(21, 12).mean(axis=0)
    anomaly = series.values[:, 0] - np.tile(normal, 61)
    for event in series.events:
        assert (anomaly[event.row : event.row + 6] > 0.9).all()
        assert anomaly[event.row - 1] < 0.9


def test_a_missing_package_says_what_to_install(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(package: str) -> None:
        raise ModuleNotFoundError(f"No module named {package!r}")

    monkeypatch.setattr(resources, "files", absent)
    for dataset, package in NAMES.items():
        wanted = "'adaptbench[datasets]'" if package == "river" else package
        with pytest.raises(BenchError, match=re.escape(f"pip install {wanted}")):
            load(dataset)
