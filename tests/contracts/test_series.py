"""DriftSeries: borders, scaling, fingerprints, and what validation refuses."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from bench import BenchError, DriftEvent, DriftSeries, Split
from bench.contracts.series import Floats

ROWS, COLUMNS = 40, ("a", "b", "c")


def make(**changes: Any) -> DriftSeries:
    values = np.random.default_rng(0).normal(size=(ROWS, len(COLUMNS)))
    series = DriftSeries(
        name="made",
        values=values,
        columns=COLUMNS,
        time=np.arange(ROWS),
        split=Split(20, 25, ROWS),
        inputs=COLUMNS,
        targets=("c", "a"),
    )
    return replace(series, **changes)


def changed(row: int, column: int, value: float) -> Floats:
    values = make().values.copy()
    values[row, column] = value
    return values


finite = st.floats(-1e6, 1e6, width=32)
blocks = arrays(np.float64, (ROWS, len(COLUMNS)), elements=finite)


def test_a_good_series_is_returned_as_it_is() -> None:
    series = make()
    assert series.validated() is series
    assert len(series) == ROWS
    assert series.input_index == (0, 1, 2)
    assert series.target_column == (2, 0)
    assert series.target_index == (2, 0)
    assert make(inputs=("a", "b")).target_index is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"values": np.zeros(ROWS)}, r"values have shape \(40,\), expected \(rows, columns\)"),
        ({"columns": ("a", "b")}, "40 rows x 3 columns of values, but 40 time stamps and 2 names"),
        ({"time": np.arange(39)}, "39 time stamps"),
        ({"columns": ("a", "b", "a")}, "column 'a' appears twice"),
        ({"inputs": ()}, "no input columns"),
        ({"targets": ()}, "no target columns"),
        ({"inputs": ("a", "a")}, "named twice among its input columns"),
        ({"targets": ("d",)}, "target column 'd' is not there. Columns: a, b, c"),
        ({"split": Split(0, 25, 40)}, "must rise within the 40 rows"),
        ({"split": Split(20, 20, 40)}, "must rise within"),
        ({"split": Split(20, 25, 41)}, "must rise within"),
        ({"events": (DriftEvent(40, "jump"),)}, "the drift 'jump' at row 40 is not within the 40 rows"),
        ({"events": (DriftEvent(-1, "jump"),)}, "the drift 'jump' at row -1 is not within the 40 rows"),
        ({"time": np.array([*range(39), 38])}, "row 39, time stamp 38 repeats the one before"),
        ({"time": np.array([*range(39), 7])}, "row 39, time stamp 7 is earlier than the one before"),
        ({"values": changed(30, 1, np.nan)}, "row 30, column 'b' is nan"),
        ({"values": changed(3, 2, -np.inf)}, "row 3, column 'c' is -inf"),
    ],
)
def test_a_fault_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BenchError, match=message) as caught:
        make(**changes).validated()
    assert "dataset 'made'" in str(caught.value)


def test_dates_out_of_order_are_named() -> None:
    days = np.datetime64("2024-01-01") + np.arange(ROWS)
    days[9] = days[8]
    with pytest.raises(BenchError, match="row 9, time stamp 2024-01-09 repeats"):
        make(time=days).validated()


def test_a_constant_column_counts_only_where_it_is_used() -> None:
    values = make().values.copy()
    values[:20, 1] = 0.1  # moves later, but not in training
    with pytest.raises(BenchError, match="column 'b' is constant over the 20 training rows"):
        make(values=values).validated()
    unused = make(values=values, inputs=("a", "c")).validated()
    assert np.isfinite(unused.scaler.scale(unused.values)).all()


def test_a_column_that_cannot_be_squared_is_named() -> None:
    values = make().values.copy()
    values[3, 1] = np.finfo(np.float64).max  # as some tools mark what is missing
    with pytest.raises(BenchError, match=r"column 'b' holds 1\.8e\+308, too large to be squared and scaled"):
        make(values=values).validated()


units = st.integers(-300, 300).map(lambda k: 2.0**k)


@settings(deadline=None)
@given(values=blocks, unit=units)
def test_the_unit_decides_nothing(values: Floats, unit: float) -> None:
    plain, other = make(values=values), make(values=values * unit)
    verdicts = []
    for series in (plain, other):
        try:
            series.validated()
            verdicts.append("usable")
        except BenchError as error:
            verdicts.append(re.sub(r" is \S+, so many", " is ..., so many", str(error)))  # its unit's number
    assert verdicts[0] == verdicts[1]
    if verdicts == ["usable", "usable"]:
        np.testing.assert_array_equal(plain.scaler.scale(plain.values), other.scaler.scale(other.values))


@pytest.mark.parametrize("unit", [1e-150, 1e-14, 1e-6, 1.0, 1e13, 1e140])
@pytest.mark.parametrize("offset", [0.0, 1.0, -1e6, 1e12])
def test_a_column_is_constant_where_it_only_varies_by_rounding(unit: float, offset: float) -> None:
    wave, draw = np.sin(np.arange(ROWS)), np.random.default_rng(1)
    varies, stands = (offset + 5 * wave) * unit, np.full(ROWS, (offset + 0.1) * unit)
    stands *= 1 + np.finfo(np.float64).eps * draw.integers(-2, 3, size=ROWS)
    make(values=np.column_stack([varies, varies[::-1], draw.normal(size=ROWS)])).validated()
    with pytest.raises(BenchError, match="column 'a' is constant over the 20 training rows"):
        make(values=np.column_stack([stands, varies, varies[::-1]])).validated()


def test_a_column_whose_spread_has_no_square_is_named() -> None:
    values = make().values.copy()
    values[:, 1] *= 1e-170
    with pytest.raises(BenchError, match=r"column 'b' varies by \S+e-170 .* Give it in a smaller unit"):
        make(values=values).validated()


@pytest.mark.parametrize("row", [0, 24, 25, 39])
@pytest.mark.parametrize("value", [1e40, -1e40, 1e22])
def test_a_value_that_float32_cannot_square_is_the_series_fault(row: int, value: float) -> None:
    values = changed(row, 2, value)
    if row < 20:  # it makes the scale itself
        make(values=values).validated()
        return
    with pytest.raises(BenchError, match=re.escape(f"row {row} ({row}), column 'c' is {value:.3g}, ")):
        make(values=values).validated()
    make(values=values, inputs=("a", "b"), targets=("a",)).validated()  # nothing reads it


@settings(deadline=None)  # other work may share the machine
@given(rows=st.integers(10, 100_000), train=st.integers(1, 8), validation=st.integers(1, 8))
def test_borders_by_fraction(rows: int, train: int, validation: int) -> None:
    split = Split.by_fraction(rows, train / 20, validation / 20)
    assert split == Split(train * rows // 20, (train + validation) * rows // 20, rows)


def test_borders_of_the_literature() -> None:
    assert Split.by_fraction(17420, 0.6, 0.2) == Split(10452, 13936, 17420)
    assert Split.by_fraction(1000) == Split(200, 250, 1000)
    assert Split.by_fraction(1000, 0.7, 0.1) == Split(700, 800, 1000)


@settings(deadline=None)
@given(values=blocks)
def test_scaling_round_trip(values: Floats) -> None:
    scaler = make(values=values).scaler
    scaled = scaler.scale(values)
    np.testing.assert_allclose(scaled * scaler.std + scaler.mean, values, rtol=1e-9, atol=1e-3)
    some = scaler.select((2, 0))
    np.testing.assert_array_equal(some.scale(values[:, [2, 0]]), scaled[:, [2, 0]])


def test_scaling_is_by_the_training_rows_only() -> None:
    series = make()
    scaled = series.scaler.scale(series.values)
    np.testing.assert_allclose(scaled[:20].mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(scaled[:20].std(axis=0), 1, atol=1e-12)
    later = make(values=np.vstack([series.values[:20], 1e3 * series.values[20:]]))
    np.testing.assert_array_equal(later.scaler.mean, series.scaler.mean)
    np.testing.assert_array_equal(later.scaler.std, series.scaler.std)


@settings(deadline=None)
@given(values=blocks, row=st.integers(0, ROWS - 1), column=st.integers(0, 2))
def test_fingerprints_follow_the_values(values: Floats, row: int, column: int) -> None:
    series = make(values=values)
    assert make(values=values.copy(order="F")).fingerprint == series.fingerprint
    other = values.copy()
    other[row, column] += 1
    moved = series.with_values(other)
    assert moved.fingerprint != series.fingerprint
    assert (moved.training_fingerprint != series.training_fingerprint) == (row < series.split.validation)


@pytest.mark.parametrize(
    "changes",
    [
        {"columns": ("a", "b", "d"), "inputs": ("a", "b", "d"), "targets": ("d", "a")},
        {"inputs": ("a", "b")},
        {"targets": ("a", "c")},
        {"split": Split(19, 25, ROWS)},
        {"split": Split(20, 26, ROWS)},
        {"split": Split(20, 25, ROWS - 1)},
        {"season": 7},
        {"time": np.arange(ROWS) + 1},
    ],
)
def test_fingerprint_follows_all_that_decides(changes: dict[str, Any]) -> None:
    assert make(**changes).fingerprint != make().fingerprint


@pytest.mark.parametrize(
    "changes", [{"name": "other"}, {"notes": ("a",)}, {"lookback": 7}, {"horizon": 7}, {"source": "elsewhere"}]
)
def test_fingerprint_leaves_out_what_decides_nothing(changes: dict[str, Any]) -> None:
    assert make(**changes).fingerprint == make().fingerprint


def test_training_does_not_depend_on_where_the_stream_ends() -> None:
    shorter = make(split=Split(20, 25, 30))
    assert shorter.training_fingerprint == make().training_fingerprint
    assert shorter.fingerprint != make().fingerprint


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_fingerprint_does_not_depend_on_the_unit_of_time(unit: str) -> None:
    hours = np.datetime64("2024-01-01T00") + np.arange(ROWS)
    assert make(time=hours.astype(f"datetime64[{unit}]")).fingerprint == make(time=hours).fingerprint
