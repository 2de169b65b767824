from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from bench.analysis.recovery import (
    excess_area,
    forgetting,
    forward_means,
    mean_interval,
    peak_excess,
    recovery_time,
    reference_curve,
    regret_against_fixed,
    regret_against_regimes,
    return_time,
    settled_level,
)

Floats = NDArray[np.float64]
CURVE = np.array([9.0, 7, 5, 3, 1, 1, 1, 1, 1, 1])


def test_means_look_ahead_only_from_each_step() -> None:
    assert forward_means(CURVE, 2)[:4].tolist() == [8, 6, 4, 2]
    assert len(forward_means(CURVE, 2)) == 9
    assert len(forward_means(CURVE, 11)) == 0


def test_recovery_by_hand() -> None:
    assert recovery_time(CURVE, 1.0, window=1, hold=1) == 4
    assert recovery_time(CURVE, 1.0, window=2, hold=3) == 4
    assert recovery_time(CURVE, 3.0, window=1, hold=1) == 3
    assert recovery_time(CURVE, 0.9, window=1, hold=1) == float("inf")
    assert recovery_time(CURVE, 0.9, window=1, hold=1, factor=1.2) == 4
    assert recovery_time(CURVE, 1.0, window=1, hold=7) == float("inf")  # low, but not known for how long
    assert recovery_time(CURVE[:0], 1.0, window=1, hold=1) == float("inf")


def test_a_dip_is_no_recovery() -> None:
    dip = np.array([9.0, 1, 9, 9, 1, 1, 1])
    assert recovery_time(dip, 1.0, window=1, hold=1) == 1
    assert recovery_time(dip, 1.0, window=1, hold=2) == 4
    assert recovery_time(np.ones(5), 1.0, window=1, hold=2) == 0


def test_peak_and_area_by_hand() -> None:
    assert peak_excess(CURVE, 1.0, window=1) == 8
    assert peak_excess(CURVE, 1.0, window=2) == 7
    assert peak_excess(CURVE, 10.0, window=1) == 0
    assert np.isnan(peak_excess(CURVE, 1.0, window=99))
    assert excess_area(CURVE, 1.0, window=1) == 8 + 6 + 4 + 2
    assert excess_area(CURVE, 4.0, window=1) == 5 + 3 + 1


def test_the_settled_level_is_of_the_second_half() -> None:
    assert settled_level(np.array([9.0, 9, 1, 3])) == 2
    assert np.isnan(settled_level(np.empty(0)))


def test_rows_that_are_hard_by_chance_are_no_excess() -> None:
    hard = np.array([1.0, 4, 1, 1, 4, 1, 1, 4])
    best = 2 * hard
    reference = reference_curve(best, hard)
    assert reference == pytest.approx(best)
    assert reference_curve(best) == pytest.approx(np.full(8, 5.0))
    assert recovery_time(best, reference, window=1, hold=8) == 0
    assert recovery_time(best, 5.0, window=1, hold=3) == float("inf")
    late = best + np.array([9.0, 9, 9, 0, 0, 0, 0, 0])
    assert recovery_time(late, reference, window=1, hold=1) == 3
    assert excess_area(late, reference, window=1) == pytest.approx(27)
    assert peak_excess(late, reference, window=3) == pytest.approx(9)


ERRORS = pd.DataFrame({"a": [1.0, 1, 5, 5], "b": [3.0, 3, 2, 2], "c": [9.0] * 4}, index=[10, 20, 30, 40])


def test_regret_by_hand() -> None:
    assert regret_against_fixed(ERRORS).to_dict() == {"a": 0.5, "b": 0, "c": 6.5}
    assert regret_against_regimes(ERRORS, [25]).to_dict() == {"a": 1.5, "b": 1, "c": 7.5}  # a, then b: 1.5 on average
    assert regret_against_regimes(ERRORS, []).to_dict() == regret_against_fixed(ERRORS).to_dict()
    assert regret_against_regimes(ERRORS, [30])["a"] == 1.5  # an origin on the border is in the new regime


def test_forgetting_and_return_by_hand() -> None:
    before, returned = np.array([5.0, 1, 1]), np.array([4.0, 2, 1, 1, 1])
    assert forgetting(before, returned, span=2) == 2
    assert forgetting(before, before[-2:], span=2) == 0
    assert np.isnan(forgetting(before[:0], returned, span=2))
    assert return_time(before[1:], returned, window=1, hold=2) == 2
    assert np.isnan(return_time(before[:0], returned, window=1, hold=2))
    hard = np.array([1.0, 1, 1, 9, 1])
    assert return_time(before[1:], returned * hard, window=1, hold=2, twin=hard) == 2
    assert return_time(before[1:], returned * hard, window=1, hold=2) == float("inf")


def paths(level: float, rows: int = 400, seed: int = 0) -> pd.DataFrame:
    noise = np.random.default_rng(seed).standard_normal((rows, 2))
    return pd.DataFrame(level + 0.3 * noise, index=24 * np.arange(rows), columns=["0", "1"])


def test_the_interval_of_a_mean() -> None:
    found = mean_interval(pd.DataFrame({"a": [1.0], "b": [3.0]}))
    assert found.to_numpy()[0] == pytest.approx([2, 2 - 12.706, 2 + 12.706], abs=1e-2)  # t with 1 degree of freedom
    assert np.isnan(mean_interval(pd.DataFrame({"a": [1.0]})).to_numpy()[0]).tolist() == [False, True, True]


curves = st.lists(st.floats(0, 100), min_size=1, max_size=40).map(lambda values: np.asarray(values))
gains = st.lists(st.floats(0, 1), min_size=40, max_size=40).map(lambda values: np.asarray(values))


@given(curves, gains, st.floats(0.01, 50), st.integers(1, 5), st.integers(1, 5))
def test_a_uniformly_better_curve_is_never_measured_as_worse(
    worse: Floats, shares: Floats, reference: float, window: int, hold: int
) -> None:
    better = worse * shares[: len(worse)]
    assert recovery_time(better, reference, window, hold) <= recovery_time(worse, reference, window, hold)
    assert excess_area(better, reference, window) <= excess_area(worse, reference, window) + 1e-9
    if len(worse) >= window:
        assert peak_excess(better, reference, window) <= peak_excess(worse, reference, window) + 1e-9


@given(st.lists(st.lists(st.floats(0, 100), min_size=3, max_size=3), min_size=2, max_size=20), gains, st.data())
def test_regret_is_never_negative_nor_raised_by_a_better_curve(
    rows: list[list[float]], shares: Floats, data: st.DataObject
) -> None:
    errors = pd.DataFrame(rows, columns=["a", "b", "c"])
    starts = data.draw(st.lists(st.integers(0, len(rows)), max_size=3))
    fixed, regimes = regret_against_fixed(errors), regret_against_regimes(errors, starts)
    assert fixed.min() == 0
    assert (regimes >= fixed - 1e-9).all()
    better = errors.assign(a=errors["a"] * shares[: len(rows)])
    assert regret_against_fixed(better)["a"] <= fixed["a"] + 1e-9
    assert regret_against_regimes(better, starts)["a"] <= regimes["a"] + 1e-9


@given(curves, st.floats(0.01, 50), st.integers(1, 5), st.integers(1, 5))
def test_what_never_exceeds_the_reference_has_recovered_at_once(
    curve: Floats, reference: float, window: int, hold: int
) -> None:
    low = np.minimum(curve, reference)
    if len(low) >= window + hold - 1:
        assert recovery_time(low, reference, window, hold) == 0
    assert excess_area(low, reference, window) == pytest.approx(0, abs=1e-9)
