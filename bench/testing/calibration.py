"""`bench verify`: MSE on ETTh2 that a correct harness must reproduce.

The expected figures were computed from the raw file by code independent of this project, in float64. They are MSE on
scaled values, pooled over every window, lead and channel.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from bench.contracts.discovery import load_plugins
from bench.contracts.errors import BenchError
from bench.contracts.protocol import Protocol, ProtocolSpec
from bench.evaluation.metrics import ErrorSums
from bench.evaluation.run import load_series, make_strategy
from bench.evaluation.run_spec import Choice, RunSpec
from bench.evaluation.stream import PreparedSeries, Stream

if TYPE_CHECKING:
    from rich.console import Console

TOLERANCE = 0.002


@dataclass(frozen=True)
class Recipe:
    """One line of the table, with the expected MSE by horizon."""

    name: str
    strategy: str
    forecaster: Choice | None
    split: str
    warm_start: bool
    expected: dict[int, float]


RECIPES = (
    Recipe("persistence", "persistence", None, "online", True, {1: 0.4043, 24: 1.8178, 48: 2.8522}),
    Recipe("ridge, frozen", "frozen", Choice("ridge", {}), "online", True, {1: 0.4419, 24: 2.0698, 48: 3.1666}),
    Recipe("ridge, recursive least squares", "rls", None, "online", True, {1: 0.3577, 24: 1.6943, 48: 2.8019}),
    Recipe(
        "ordinary least squares",
        "frozen",
        Choice("ols", {}),
        "60-20-20",
        False,
        {96: 0.2306, 192: 0.2840, 336: 0.3210, 720: 0.3996},
    ),
)


def recompute(recipe: Recipe, horizon: int, seed: int = 0) -> tuple[float, int]:
    """MSE and number of windows of one cell: lookback 96, stride 1, every origin scored."""
    protocol = ProtocolSpec(
        preset="dense" if recipe.strategy == "frozen" else "online",
        lookback=96,
        horizon=horizon,
        warm_start=recipe.warm_start,
    )
    run = _run(recipe, protocol, seed)
    stage = PreparedSeries.of(load_series(run), run.protocol)
    device = torch.device("cpu")
    stream = Stream(stage, make_strategy(run, stage, device, None), device)
    split = stage.series.split
    sums = ErrorSums(stage.series.scaler.select(stage.series.target_column).std, horizon)
    if recipe.warm_start:
        stream.run(split.train, split.validation, lambda *_: None)
    stream.run(split.validation, split.end, lambda o, f: sums.add(f, stage.truths(o)))
    return sums.mse, sums.windows


def verify(console: Console) -> bool:
    """Print every cell beside its expected number.

    Returns:
        Whether all agree to `TOLERANCE`.

    Raises:
        BenchError: ETTh2 is not available; the message says how to get it.
    """
    from rich.table import Table

    load_plugins()
    table = Table(title="ETTh2, MSE on scaled values, lookback 96, every origin scored", title_justify="left", box=None)
    for column in ("strategy", "split", "H", "windows", "expected", "here", "difference", ""):
        table.add_column(column, justify="left" if column in ("strategy", "split", "") else "right")
    good = True
    for recipe in RECIPES:
        for horizon, expected in recipe.expected.items():
            mse, windows = recompute(recipe, horizon)
            agrees = abs(mse - expected) <= TOLERANCE
            good &= agrees
            cells = [recipe.name, recipe.split, str(horizon), f"{windows:,}", f"{expected:.4f}", f"{mse:.4f}"]
            table.add_row(*cells, f"{mse - expected:+.4f}", "ok" if agrees else "DIFFERS")
    console.print(table)
    console.print("All cells agree." if good else f"Some cells differ by more than {TOLERANCE}.")
    return good


def _run(recipe: Recipe, spec: ProtocolSpec, seed: int) -> RunSpec:
    dataset = Choice("etth2", {"split": recipe.split})
    assert spec.lookback
    assert spec.horizon
    unresolved = Protocol(lookback=spec.lookback, horizon=spec.horizon, stride=1)
    run = RunSpec("verify", Choice(recipe.strategy, {}), recipe.forecaster, dataset, unresolved, seed, "cpu", 1, "")
    try:
        return replace(run, protocol=spec.resolve(load_series(run)))
    except BenchError as error:
        raise BenchError(f"bench verify needs ETTh2: {error}") from None
