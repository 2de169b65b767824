"""The step that a message proposes suits the data at hand, and none is finer than they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from bench import BenchError
from bench.data.user_files.timestamps.time_grid import first_irregular
from bench.data.user_files.timestamps.time_order import resampled, suited_step

STEPS = {step: step for step in ("30s", "7min", "10min", "5h", "7D")}
STEPS |= {"s": "1s", "min": "1min", "h": "1h", "D": "1D", "B": "1D"}


def stamps(step: str, seed: int, jitter: float) -> NDArray[np.datetime64]:
    """Rows a step apart but for jitter, a share of it, and for some that are left out."""
    draw = np.random.default_rng(seed)
    even = pd.date_range("2024-01-05", periods=300, freq=step).to_numpy()
    length = np.median(np.diff(even)).astype("timedelta64[ms]").astype("int64")
    moved = even + (jitter * length * draw.uniform(-0.5, 0.5, size=300)).astype("timedelta64[ms]")
    return np.delete(moved, draw.integers(1, 299, size=15))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("jitter", [0.0, 0.3])
@pytest.mark.parametrize("step", STEPS)
def test_the_step_is_that_of_the_rows(step: str, jitter: float, seed: int) -> None:
    times = stamps(step, seed, jitter)
    assert first_irregular(times) is not None
    found = suited_step(times)
    expected = pd.Timedelta(STEPS[step]) / pd.Timedelta(found)
    assert found == STEPS[step] if jitter == 0 else 0.9 < expected < 1.12
    values, _ = resampled(Path("my.csv"), np.ones((len(times), 1)), times, found)
    assert np.isnan(values).mean() < 0.5  # most rows hold something that was measured


@pytest.mark.parametrize("step", ["333ms", "10ms", "MS", "QS", "3MS"])
def test_none_suits_below_a_second_or_for_months(step: str) -> None:
    assert suited_step(stamps(step, 0, 0.0)) == ""


@pytest.mark.parametrize(("step", "finer"), [("D", "1h"), ("h", "20min"), ("7D", "3D"), ("MS", "1D")])
def test_a_step_finer_than_the_rows_is_refused(step: str, finer: str) -> None:
    times = stamps(step, 0, 0.0)
    way = "Leave it out" if step == "MS" else f"Give resample = '{STEPS[step]}'"
    with pytest.raises(BenchError, match=rf"^my.csv: resample = '{finer}' is finer than the rows, .* {way}\.$"):
        resampled(Path("my.csv"), np.ones((len(times), 1)), times, finer)
