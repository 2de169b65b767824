"""Runs by hand: frames like those of `bench.load_results`, with only what a test says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

MakeRuns = Callable[..., pd.DataFrame]


def make_runs(*rows: dict[str, Any]) -> pd.DataFrame:
    """A row for each run; what is not said is the same for all."""
    return pd.DataFrame([_row(i, **row) for i, row in enumerate(rows)])


def _row(i: int, **values: Any) -> dict[str, Any]:
    mse = values.get("mse", float("nan"))
    row: dict[str, Any] = {
        "run_id": f"r{i}",
        "strategy": "rls",
        "strategy_config": "{}",
        "group": "core",
        "forecaster": "none",
        "dataset": "d",
        "protocol": "day-ahead",
        "lookback": 96,
        "horizon": 24,
        "stride": 24,
        "block": 1,
        "label_every": 1,
        "warm_start": True,
        "seed": 0,
        "status": "ok",
        "reason": "",
        "windows": 10,
        "timed_alone": False,
        "disturbed": False,
        "val_mse": float("nan"),
    }
    metrics = ("mse", "mae", "rmse", "mse_original", "mae_original", "rmse_original")
    return row | dict.fromkeys(metrics, mse) | values


@pytest.fixture(name="make_runs")
def make_runs_fixture() -> MakeRuns:
    return make_runs
