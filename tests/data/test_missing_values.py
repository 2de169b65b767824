"""Cells that were never measured: marks of them, floors that may be marks, gaps that are filled, and what is told."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import BenchError
from bench.data.user_files.gaps import fill, longest_run, suspects

from .conftest import Load

ROWS = 400
Draw = np.random.Generator


def hours(**columns: Any) -> pd.DataFrame:
    when = pd.date_range("2024-01-01", periods=ROWS, freq="h").strftime("%Y-%m-%d %H:%M")
    return pd.DataFrame({"when": when, **columns})


def saved(folder: Path, table: pd.DataFrame, kind: str = "csv") -> str:
    path = folder / f"my.{kind}"
    table.to_csv(path, index=False) if kind == "csv" else table.to_parquet(path, index=False)
    return f"{kind}:{path}"


def noise(seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=ROWS).round(3) + 2


# Marks


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("mark", [-200, -200.0, "-200", 9999, -99.9, "NA", "?", "-", "n. def."])
def test_marks_of_missing_values_are_read_as_such(load: Load, tmp_path: Path, kind: str, mark: Any) -> None:
    load_, price = noise(1), noise(2)
    gone = np.zeros(ROWS, dtype=bool)
    gone[[7, 8, 50, 399]] = True
    cells = [mark if missing else value for value, missing in zip(load_, gone, strict=True)]
    if isinstance(mark, str):
        cells = list(map(str, cells))
    name = saved(tmp_path, hours(load=cells, price=price), kind)
    with pytest.raises(BenchError, match=r"column 'load' is empty|row \d+, column 'load' is empty"):
        load(name, na_values=mark)
    series = load(name, na_values=[mark, "never"], missing="ffill")
    expected = pd.Series(load_).where(~gone).ffill()
    np.testing.assert_array_equal(series.values[:, 0], expected)
    np.testing.assert_array_equal(series.values[:, 1], price)


def test_a_mark_is_none_of_a_time_or_a_name(load: Load, tmp_path: Path) -> None:
    table = pd.DataFrame({"t": np.arange(ROWS), "load": [0 if k % 50 == 9 else k % 7 + 1 for k in range(ROWS)]})
    series = load(saved(tmp_path, table), time="t", na_values=[0], missing="ffill")
    assert series.time[0] == 0
    assert (series.values > 0).all()
    long = hours(load=noise()).assign(site="-1")
    series = load(saved(tmp_path, long), time="when", id="site", value="load", na_values=["-1"])
    assert series.columns == ("-1",)


# Floors and ceilings


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("mark", [-200.0, -999.0, 9999.0, 1e6, -5.0])
def test_a_value_far_from_all_others_that_comes_again_is_told(seed: int, mark: float) -> None:
    draw = np.random.default_rng(seed)
    values = draw.gamma(2, 0.05, size=500)
    values[draw.integers(0, 500, size=5)] = mark
    assert suspects(values) == [mark]


ORDINARY: dict[str, Callable[[Draw], Any]] = {
    "normal": lambda draw: draw.normal(size=500),
    "rounded": lambda draw: draw.normal(size=500).round(1),
    "heavy tails": lambda draw: draw.standard_t(2, size=500),
    "rain": lambda draw: np.where(draw.random(500) < 0.7, 0.0, draw.exponential(5, size=500)),
    "capped": lambda draw: np.minimum(draw.exponential(5, size=500), 8),
    "counts": lambda draw: draw.poisson(1.5, size=500).astype(float),
    "on and off": lambda draw: draw.integers(0, 2, size=500).astype(float),
    "three levels": lambda draw: draw.choice([0.0, 1.0, 100.0], size=500),
    "constant": lambda draw: np.full(500, 3.0),
    "a single spike": lambda draw: np.append(draw.normal(size=499), 1e9),
    "one value": lambda draw: np.ones(1),
}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("kind", ORDINARY)
def test_ordinary_values_are_not_suspected(kind: str, seed: int) -> None:
    assert suspects(ORDINARY[kind](np.random.default_rng(seed))) == []


def test_two_marks_are_both_told_and_their_option_reads_them(load: Load, tmp_path: Path) -> None:
    values = noise(3)
    values[[50, 60, 70, 80]], values[[55, 65, 75]] = -200, 9999
    name = saved(tmp_path, hours(load=values, price=noise(4)))
    series = load(name)
    (note,) = [note for note in series.notes if "far from all other values" in note]
    assert "column 'load': -200 (4 times) and 9999 (3 times)" in note
    assert "na_values = [-200, 9999] and missing = 'ffill'" in note
    mended = load(name, na_values=[-200.0, 9999.0], missing="ffill")
    assert not [note for note in mended.notes if "far from all other values" in note]
    assert mended.values[:, 0].min() > -3
    assert mended.values[:, 0].max() < 7


# Gaps


@given(st.lists(st.booleans(), max_size=40))
def test_the_longest_run(missing: list[bool]) -> None:
    runs = [match.span() for match in re.finditer("1+", "".join("01"[gone] for gone in missing))]
    expected = max(runs, key=lambda run: run[1] - run[0], default=(0, 0))
    start, length = longest_run(np.array(missing, dtype=bool))
    assert length == expected[1] - expected[0]
    assert all(missing[start : start + length])


@given(st.integers(0, 2**32 - 1), st.floats(0, 0.9))
def test_filled_values_are_the_last_ones_that_were_measured(seed: int, share: float) -> None:
    draw = np.random.default_rng(seed)
    values = draw.normal(size=(30, 3))
    values[draw.random(values.shape) < share] = np.nan
    values[draw.integers(0, 30, size=3), np.arange(3)] = draw.normal(size=3)  # none is empty throughout
    filled = fill(values, np.arange(30), ("a", "b", "c"))
    first = int(filled.time[0])
    expected = pd.DataFrame(values).ffill().iloc[first:]
    np.testing.assert_array_equal(filled.values, expected)
    assert first == 0 or np.isnan(pd.DataFrame(values).ffill().iloc[first - 1]).any()
    np.testing.assert_array_equal(filled.missing, np.isnan(values[first:]))


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_sensor_that_dies_is_refused_with_ways_out(load: Load, tmp_path: Path, kind: str) -> None:
    values = noise(5)
    values[300:] = np.nan
    name = saved(tmp_path, hours(load=values, price=noise(6)), kind)
    with pytest.raises(BenchError) as caught:
        load(name, missing="ffill")
    message = str(caught.value)
    assert "column 'load': 100 values in a row are missing, from 2024-01-13T12:00:00 to the end" in message
    assert "would be scored as if they had been measured, where a forecast has 20" in message
    assert "drop = ['load'] leaves it out; longest_gap = 100 fills it all the same" in message
    assert load(name, missing="ffill", drop="load").columns == ("price",)
    series = load(name, missing="ffill", longest_gap=100)
    assert series.filled == {"load": pytest.approx(1 / 3)}
    assert any("load 25 % of its rows, up to 100 in a row" in note for note in series.notes)
    with pytest.raises(BenchError, match="where the option longest_gap allows 99"):
        load(name, missing="ffill", longest_gap=99)
    with pytest.raises(BenchError, match="inputs = \\['price'\\] leaves it out"):
        load(name, missing="ffill", inputs=["load", "price"])


def test_a_series_that_ends_early_is_refused(load: Load, tmp_path: Path) -> None:
    long = hours(a=noise(1), b=noise(2), c=noise(3)).melt(id_vars="when", var_name="site", value_name="y")
    long = long[(long["site"] == "a") | (long["when"] < "2024-01-12")]
    name = saved(tmp_path, long)
    options: dict[str, Any] = {"time": "when", "id": "site", "value": "y", "missing": "ffill"}
    with pytest.raises(BenchError, match=r"column 'b' \(and 1 more such columns\): 136 .* drop = \['b', 'c'\]"):
        load(name, **options)
    assert load(name, **options, drop=["b", "c"]).columns == ("a",)


@pytest.mark.parametrize(
    ("horizon", "gap", "is_filled"), [(24, 20, True), (24, 24, True), (24, 25, False), (3, 4, False)]
)
def test_no_gap_is_longer_than_a_forecast(load: Load, tmp_path: Path, horizon: int, gap: int, is_filled: bool) -> None:
    values = noise(7)
    values[200 : 200 + gap] = np.nan
    name = saved(tmp_path, hours(load=values, price=noise(8)))
    if is_filled:
        assert load(name, missing="ffill", horizon=horizon).filled == {"load": gap / 300}
    else:
        with pytest.raises(BenchError, match=f"column 'load': {gap} values in a row"):
            load(name, missing="ffill", horizon=horizon)


def test_what_was_measured_throughout_is_told_nothing(load: Load, tmp_path: Path) -> None:
    series = load(saved(tmp_path, hours(load=noise(1))), missing="ffill")
    assert series.filled == {}
    assert not any("missing" in note for note in series.notes)


def test_rows_that_are_dropped_at_the_start_are_told_by_column(load: Load, tmp_path: Path) -> None:
    values = noise(9)
    values[:100] = np.nan
    series = load(saved(tmp_path, hours(load=values, price=noise(1))), missing="ffill")
    assert len(series) == 300
    assert "100 rows dropped at the start (25 %): 'load' has no value before 2024-01-05T04:00:00" in series.notes


def test_a_column_without_any_value_is_named(load: Load, tmp_path: Path) -> None:
    name = saved(tmp_path, hours(load=np.nan, flow="", price=noise(1)))
    for options in ({}, {"missing": "ffill"}):
        with pytest.raises(BenchError, match=r"nothing was measured in 'load', 'flow'\. .*drop = \['load', 'flow'\]"):
            load(name, **options)


# Values beyond what can be computed with


@pytest.mark.parametrize("value", [1e40, -3e38])
def test_a_value_beyond_float32_leads_to_the_option_that_reads_it_as_missing(
    load: Load, tmp_path: Path, value: float
) -> None:
    values = noise(2)
    values[250] = value
    name = saved(tmp_path, hours(load=values, price=noise(1)))
    with pytest.raises(BenchError) as caught:
        load(name)
    assert "column 'load' at 2024-01-11T10:00:00 is" in str(caught.value)
    assert f"na_values = [{value!r}], missing = 'ffill'" in str(caught.value)
    assert np.abs(load(name, na_values=value, missing="ffill").values).max() < 10
