"""A longer window and no training."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench import Protocol
from bench.contracts.forecaster import FORECASTERS, abilities
from bench.evaluation.stream import PreparedSeries

from ..literature import VALIDATION, H, L, decaying, series, serve

torch.set_num_threads(1)


class Mean(nn.Module):
    """The mean of the window, however long it is."""

    provides = frozenset({"any-window"})
    recipe = SimpleNamespace()

    def forward(self, windows: Tensor) -> Tensor:
        return windows.mean(dim=1, keepdim=True).expand(-1, H, -1)


@pytest.mark.parametrize("block", [1, 4])
def test_each_forecast_reads_so_many_times_the_window(block: int) -> None:
    values = decaying(140, 1.0)
    rows = PreparedSeries.of(series(values), Protocol(lookback=L, horizon=H, stride=1)).inputs
    served = serve("context", values, Mean(), block=block, times=3)
    expected = np.stack([rows[t - 3 * L : t].mean(axis=0) for t in range(VALIDATION, len(values) - H + 1)])
    np.testing.assert_allclose(served.forecasts[:, 0], expected, atol=1e-5)


def test_once_the_window_is_frozen_to_the_bit() -> None:
    values = decaying(140, 1.0)
    frozen = serve("frozen", values, Mean()).forecasts
    np.testing.assert_array_equal(serve("context", values, Mean(), times=1).forecasts, frozen)


def test_windows_grow_where_too_few_rows_are_known() -> None:
    values = decaying(140, 1.0)
    rows = PreparedSeries.of(series(values), Protocol(lookback=L, horizon=H, stride=1)).inputs
    made = serve("context", values, Mean(), times=12).forecasts
    expected = np.stack([rows[max(0, t - 12 * L) : t].mean(axis=0) for t in range(VALIDATION, len(values) - H + 1)])
    np.testing.assert_allclose(made[:, 0], expected, atol=1e-5)


def test_who_takes_windows_of_any_length() -> None:
    """A linear map, or tokens that have places, take one length only."""
    assert {entry.name for entry in FORECASTERS if "any-window" in abilities(entry.cls)} == {"gru"}
