"""Characteristics of series whose characteristics are known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from bench.analysis.statistics.characteristics import characteristics
from bench.contracts.series import DriftSeries
from bench.testing import small_series

ROWS = 1200
SEASON = 24


def described(values: np.ndarray, season: int | None = SEASON) -> dict[str, float]:
    series = small_series(rows=ROWS)
    names = tuple(f"x{i}" for i in range(values.shape[1]))
    changed: DriftSeries = dataclasses.replace(
        series, values=values, columns=names, inputs=names, targets=names, season=season
    )
    return vars(characteristics(changed))


def noise(columns: int = 2) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(ROWS, columns))


def test_noise_has_no_season_and_is_stationary() -> None:
    found = described(noise())
    assert found["stationary"] == 1
    assert found["season"] < 0.5
    assert found["correlation"] < 0.1
    assert found["shift"] < 0.2
    assert found["spread"] == pytest.approx(1, abs=0.1)


def test_a_wave_is_a_strong_season() -> None:
    wave = 5 * np.sin(2 * np.pi * np.arange(ROWS) / SEASON)[:, None]
    found = described(noise() + wave)
    assert found["season"] > 0.9
    assert found["correlation"] > 0.8


@pytest.mark.parametrize("season", [SEASON, None])
def test_a_random_walk_has_a_trend_and_a_unit_root(season: int | None) -> None:
    found = described(noise(1).cumsum(axis=0), season)
    assert found["trend"] > 0.9
    assert found["stationary"] == 0
    assert np.isnan(found["correlation"])
    assert np.isnan(found["season"]) == (season is None)


def test_a_louder_and_higher_stream() -> None:
    values = noise()
    border = small_series(rows=ROWS).split.validation
    values[border:] = 3 + 2 * values[border:]
    found = described(values)
    assert found["shift"] == pytest.approx(3, abs=0.3)
    assert found["spread"] == pytest.approx(2, abs=0.2)


def test_a_flat_target_is_left_out() -> None:
    values = noise()
    values[:, 1] = 7
    assert np.isfinite(described(values)["trend"])


def test_a_wave_without_noise_is_described_without_a_warning() -> None:
    found = described(np.sin(2 * np.pi * np.arange(ROWS) / SEASON)[:, None])
    assert found["season"] == pytest.approx(1, abs=0.01)
    assert np.isfinite(described(np.arange(ROWS, dtype=float)[:, None], None)["shift"])
