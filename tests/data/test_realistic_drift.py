"""Dataset realistic-drift: the recipe gives the numbers that it is known by."""

import hashlib
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench import DriftSeries, Split

from .conftest import Load


@pytest.fixture
def series(load: Load) -> DriftSeries:
    return load("realistic-drift")


def test_shape_borders_and_roles(series: DriftSeries) -> None:
    assert series.values.shape == (5000, 4)
    assert series.split == Split(3500, 4000, 5000)
    assert series.inputs == ("feature1", "feature2", "feature3")
    assert series.targets == ("target",)
    assert series.target_index is None
    assert (series.lookback, series.horizon, series.season) == (64, 1, None)
    assert [event.row for event in series.events] == [1000, 2000, 3000, 4000]
    assert series.time.tolist() == list(range(5000))


def test_values_are_pinned(series: DriftSeries) -> None:
    rounded = np.round(series.values, 10) + 0.0  # no negative zero
    digest = hashlib.sha256(rounded.tobytes()).hexdigest()
    assert digest == "f8905c78dc8a566399c9050a3e8013805b48a620710ced4f18c3beecea3f6788"


def test_equals_the_published_file(series: DriftSeries) -> None:
    folder = os.environ.get("BENCH_DATA_DIR")
    path = Path(folder or "", "realistic_drift_data.csv")
    if not folder or not path.is_file():
        pytest.skip("realistic_drift_data.csv is not in BENCH_DATA_DIR")
    published = pd.read_csv(path)
    np.testing.assert_allclose(series.values, published[list(series.columns)].to_numpy(), rtol=0, atol=1e-12)
    switches = np.flatnonzero(np.diff(published["pattern_id"])) + 1
    assert switches.tolist() == [event.row for event in series.events]


def test_known_errors_of_persistence(series: DriftSeries) -> None:
    target = series.values[:, 3]
    error = np.diff(target)[series.split.validation - 1 :]
    assert np.mean(error**2) == pytest.approx(0.0243, abs=5e-5)
    assert np.mean(np.abs(error)) == pytest.approx(0.1155, abs=5e-5)
