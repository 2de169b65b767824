"""Errors: the streaming sums are the naive means, however the stream was cut, in scaled and in original units."""

from __future__ import annotations

import time
from itertools import count

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bench.contracts.discovery import load_plugins
from bench.contracts.metric import MetricContext, Scored
from bench.evaluation.metrics import ErrorSums, accumulators

Floats = NDArray[np.float64]


@st.composite
def scored(draw: st.DrawFn) -> tuple[Floats, Floats, Floats, list[int]]:
    """Forecasts and truths ``(n, H, C)``, deviations ``(C,)``, and where the stream is cut."""
    n, H, C = draw(st.integers(1, 30)), draw(st.integers(1, 5)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    std = 10.0 ** draw(st.integers(-3, 4)) * (1 + rng.random(C))
    cuts = sorted(draw(st.sets(st.integers(1, n - 1)))) if n > 1 else []
    return rng.normal(size=(n, H, C)), rng.normal(size=(n, H, C)), std, cuts


def accumulate(forecasts: Floats, truths: Floats, std: Floats, cuts: list[int]) -> ErrorSums:
    sums = ErrorSums(std, forecasts.shape[1])
    for forecast, truth in zip(np.split(forecasts, cuts), np.split(truths, cuts), strict=True):
        sums.add(forecast, truth)
    return sums


@settings(deadline=None)
@given(scored())
def test_sums_are_the_naive_means_for_any_cutting(case: tuple[Floats, Floats, Floats, list[int]]) -> None:
    forecasts, truths, std, cuts = case
    sums = accumulate(forecasts, truths, std, cuts)
    errors = sums.errors(val_mse=0.25)
    scaled = forecasts - truths
    original = scaled * std
    close = pytest.approx
    assert errors.windows == len(forecasts)
    assert sums.mse == close(np.mean(scaled**2), rel=1e-10)
    assert errors.mse == close(np.mean(scaled**2), rel=1e-10)
    assert errors.mae == close(np.mean(np.abs(scaled)), rel=1e-10)
    assert errors.rmse == close(np.sqrt(np.mean(scaled**2)), rel=1e-10)
    assert errors.mse_original == close(np.mean(original**2), rel=1e-10)
    assert errors.mae_original == close(np.mean(np.abs(original)), rel=1e-10)
    assert errors.rmse_original == close(np.sqrt(np.mean(original**2)), rel=1e-10)
    assert errors.val_mse == 0.25
    np.testing.assert_allclose(errors.mse_by_channel, (scaled**2).mean(axis=(0, 1)), rtol=1e-10)
    np.testing.assert_allclose(errors.mae_by_channel, np.abs(scaled).mean(axis=(0, 1)), rtol=1e-10)
    np.testing.assert_allclose(errors.mse_by_lead, (scaled**2).mean(axis=(0, 2)), rtol=1e-10)
    np.testing.assert_allclose(errors.mae_by_lead, np.abs(scaled).mean(axis=(0, 2)), rtol=1e-10)
    by_origin = [
        [np.mean(e**2), np.mean(np.abs(e)), np.mean(o**2), np.mean(np.abs(o))]
        for e, o in zip(scaled, original, strict=True)
    ]
    np.testing.assert_allclose(sums.origin_errors, by_origin, rtol=1e-10)


@settings(deadline=None)
@given(scored())
def test_original_units_are_those_of_the_data(case: tuple[Floats, Floats, Floats, list[int]]) -> None:
    """Scaled back by hand, mean and all, the errors are the same."""
    forecasts, truths, std, cuts = case
    mean = 7.0
    errors = accumulate(forecasts, truths, std, cuts).errors(None)
    difference = (forecasts * std + mean) - (truths * std + mean)
    assert errors.mae_original == pytest.approx(np.mean(np.abs(difference)), rel=1e-6)
    assert errors.val_mse is None


def test_single_precision_forecasts_are_compared_in_double_precision() -> None:
    sums = ErrorSums(np.ones(1), 1)
    sums.add(np.full((1, 1, 1), 0.1, dtype=np.float32), np.full((1, 1, 1), 0.1))
    assert sums.mse == pytest.approx((float(np.float32(0.1)) - 0.1) ** 2, rel=1e-12)
    assert sums.squares.dtype == np.float64


def test_before_the_first_window() -> None:
    sums = ErrorSums(np.ones(2), 3)
    assert np.isnan(sums.mse)
    assert sums.origin_errors.shape == (0, 4)


@settings(deadline=None)
@given(
    case=scored(),
    level=st.floats(-1e6, 1e6).filter(lambda level: abs(level) > 1e-3),
    far=st.sampled_from([1e-5, 1.0]),
)
def test_a_forecast_that_is_exact_but_for_float32_has_no_error(
    case: tuple[Floats, Floats, Floats, list[int]], level: float, far: float
) -> None:
    _, truths, std, cuts = case
    truths = level * (2 + np.tanh(truths))  # of any size
    exact = accumulate(truths.astype(np.float32), truths, std, cuts)
    assert exact.mse == exact.errors(None).mae_original == 0
    assert not exact.origin_errors.any()
    wrong = truths * (1 + far)
    wrong[::2] = truths[::2].astype(np.float32)
    mixed = accumulate(wrong, truths, std, cuts)
    assert not mixed.origin_errors[::2].any()
    assert (mixed.origin_errors[1::2] > 0).all()
    np.testing.assert_allclose(mixed.mse, np.square(far * truths[1::2]).sum() / truths.size, rtol=1e-4)


def test_the_time_that_metrics_take_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The harness's own share of a run leaves it out."""
    load_plugins()
    metrics = accumulators(MetricContext(np.ones(1)))
    clock = count(0, 2)
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    for metric in metrics:
        metric.add(Scored(np.ones((1, 2, 1)), np.zeros((1, 2, 1)), np.ones((1, 2, 1))))
    assert [metric.seconds for metric in metrics] == [2] * len(metrics)
