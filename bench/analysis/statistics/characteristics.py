"""Characteristics of a series: how strong trend and season are, how far the stream is from training, and the like."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bench.analysis.statistics.change_points import seasonless_levels
from bench.contracts.rounding import is_flat

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bench.contracts.series import DriftSeries

LEVEL = 0.05
"""Level of the unit root test."""
LEAST_POINTS = 24


@dataclass(frozen=True)
class Characteristics:
    """What describes the targets of a series, each as a mean over targets that vary; NaN where it is not defined.

    Attributes:
        trend: Strength of the trend, 0 to 1: ``1 - var(remainder) / var(trend + remainder)`` of an STL decomposition.
        season: Strength of the season, 0 to 1: ``1 - var(remainder) / var(season + remainder)``; NaN without a season.
        shift: Distance of the stream's mean from that of the training rows, in their standard deviations.
        spread: Standard deviation of the stream, divided by that of the training rows.
        stationary: Share of targets whose level, as `seasonless_levels` gives it, has no unit root by an augmented
            Dickey-Fuller test at 5 %.
        correlation: Mean absolute correlation of pairs of targets; NaN for a single one.
        filled: Share of the stream's values that were not measured but filled in.

    Source: strengths, Wang, Smith and Hyndman (2006), "Characteristic-based clustering for time series data"; the
        decomposition and the test as implemented in statsmodels.
    """

    trend: float
    season: float
    shift: float
    spread: float
    stationary: float
    correlation: float
    filled: float


def characteristics(series: DriftSeries) -> Characteristics:
    """Describe the targets of a series, over all of its rows. Nothing here may decide what a strategy does."""
    values = series.values[:, series.target_column]
    values = values[:, ~is_flat(values)]
    border = series.split.validation
    training, stream = values[: series.split.train], values[border : series.split.end]
    scale = training.std(axis=0)
    moving = scale > 0
    strengths = np.array([_strengths(column, series.season, series.lookback) for column in values.T]).reshape(-1, 2)
    distance = np.abs(stream.mean(axis=0) - training.mean(axis=0))[moving] / scale[moving]
    return Characteristics(
        trend=_mean(strengths[:, 0]),
        season=_mean(strengths[:, 1]),
        shift=_mean(distance),
        spread=_mean(stream.std(axis=0)[moving] / scale[moving]),
        stationary=_mean([_is_stationary(level) for level in seasonless_levels(values, series.season)[0].T]),
        correlation=_correlation(values),
        filled=sum(series.filled.get(name, 0.0) for name in series.targets) / len(series.targets),
    )


def _strengths(column: NDArray[np.float64], season: int | None, lookback: int) -> tuple[float, float]:
    """Of the trend, and of the season; without a season the trend is a centred mean over two lookbacks."""
    if season is None or len(column) < 2 * season + 1:
        trend = pd.Series(column).rolling(2 * lookback, center=True, min_periods=lookback).mean().to_numpy()
        known = np.isfinite(trend)
        return _strength(trend[known], (column - trend)[known]), float("nan")
    from statsmodels.tsa.seasonal import STL

    jump = max(1, season // 10)
    parts: Any = STL(column, period=season, seasonal_jump=jump, trend_jump=jump, low_pass_jump=jump).fit()
    return _strength(parts.trend, parts.resid), _strength(parts.seasonal, parts.resid)


def _strength(part: NDArray[np.float64], remainder: NDArray[np.float64]) -> float:
    whole = float(np.var(part + remainder)) if len(part) else 0.0
    return max(0.0, 1 - float(np.var(remainder)) / whole) if whole > 0 else float("nan")


def _is_stationary(level: NDArray[np.float64]) -> float:
    if len(level) < LEAST_POINTS:
        return float("nan")
    from statsmodels.tsa.stattools import adfuller

    lags = min(int(12 * (len(level) / 100) ** 0.25), len(level) // 4)  # Schwert's rule
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what it returns (the second value stays the p-value), of singular lags
        try:
            return float(adfuller(level, maxlag=lags, autolag=None)[1] < LEVEL)
        except (ValueError, np.linalg.LinAlgError):
            return float("nan")


def _correlation(values: NDArray[np.float64]) -> float:
    if values.shape[1] < 2:
        return float("nan")
    matrix = np.atleast_2d(np.corrcoef(values.T))
    return float(np.abs(matrix[np.triu_indices(len(matrix), 1)]).mean())


def _mean(values: Any) -> float:
    known = np.asarray(values, dtype=float)
    known = known[np.isfinite(known)]
    return float(known.mean()) if len(known) else float("nan")
