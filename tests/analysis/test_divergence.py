"""Runs that diverged: however they ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd

from bench.analysis import divergence_counts, has_diverged, with_entries


def test_by_hand(make_runs: Callable[..., pd.DataFrame]) -> None:
    def run(strategy: str, seed: int, status: str = "ok", reason: str = "", **more: Any) -> dict[str, Any]:
        return {"strategy": strategy, "seed": seed, "status": status, "reason": reason, **more}

    runs = with_entries(
        make_runs(
            run("a", 0, mse=1.0),
            run("a", 1, mse=float("inf")),
            run("a", 2, "failed", "StreamError: diverged: the forecast at origin 1,234 is not finite"),
            run("a", 3, "failed", "KeyError: 'x'"),
            run("a", 0, mse=float("inf"), dataset="e"),
            run("b", 0, "failed", "TrainingError: training diverged: no validation error was finite.", forecaster="t"),
            run("b", 1, "skipped", "it diverged last time", forecaster="t"),
            run("c", 0, mse=2.0),
        )
    )
    assert has_diverged(runs).tolist() == [False, True, True, False, True, True, False, False]
    assert divergence_counts(runs).to_numpy().tolist() == [
        ["a", "none", "d", 2, 4, "1, 2"],
        ["a", "none", "e", 1, 1, "0"],
        ["b", "t", "d", 1, 1, "0"],
    ]


def test_nobody(make_runs: Callable[..., pd.DataFrame]) -> None:
    assert divergence_counts(with_entries(make_runs({"mse": 1.0}))).empty
