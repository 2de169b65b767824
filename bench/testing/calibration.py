"""`bench verify`: MSE on ETTh2 that a correct harness must reproduce.

The expected figures were computed from the raw file by code independent of this project, in float64. They are MSE on
scaled values, pooled over every window, lead and channel. Published figures are those of papers: ours, by code of our
own and at our defaults, may be lower and not much higher.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bench.contracts.discovery import load_plugins
from bench.contracts.errors import BenchError
from bench.contracts.protocol import Protocol, ProtocolSpec
from bench.evaluation.isolation import isolated
from bench.evaluation.run import load_series, make_strategy
from bench.evaluation.run_spec import Choice, RunSpec
from bench.evaluation.serving import serve_stream, warm_up
from bench.evaluation.stream import PreparedSeries, Stream
from bench.testing.replay import CPU

if TYPE_CHECKING:
    from rich.console import Console

TOLERANCE = 0.002

WORSE = 1.05
"""Times a published MSE that ours may be."""


@dataclass(frozen=True)
class Recipe:
    """One line of the table, with the expected MSE by horizon; whether that is a paper's."""

    name: str
    strategy: str
    forecaster: Choice | None
    split: str
    warm_start: bool
    expected: dict[int, float]
    is_published: bool = False

    @property
    def bound(self) -> str:
        """How far ours may be from it."""
        return f"≤ {WORSE} x" if self.is_published else f"± {TOLERANCE}"

    def holds(self, mse: float, horizon: int) -> bool:
        """Whether ours is within the bound."""
        expected = self.expected[horizon]
        return mse <= WORSE * expected if self.is_published else abs(mse - expected) <= TOLERANCE


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


def _published(strategy: str, forecaster: str, *cells: float) -> Recipe:
    expected = dict(zip((1, 24, 48), cells, strict=True))
    return Recipe(f"{forecaster}, {strategy}", strategy, Choice(forecaster, {}), "online", True, expected, True)


PUBLISHED = (  # tables 2 and 3 of DSOF (Lau and others, ICLR 2025), read from images; one seed each
    _published("frozen", "dlinear", 0.470, 2.269, 3.389),
    _published("frozen", "fits", 0.522, 2.189, 3.275),
    _published("ogd", "dlinear", 0.386, 3.038, 6.251),
    _published("der-pp", "dlinear", 0.385, 1.986, 3.168),
    _published("dsof-slow", "dlinear", 0.365, 1.694, 3.015),
    _published("dsof", "dlinear", 0.365, 1.701, 3.082),
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
    with isolated(seed, run.threads):
        stage = PreparedSeries.of(load_series(run), run.protocol)
        stream = Stream(stage, make_strategy(run, stage, CPU, None), CPU)
        warm_up(stream)
        sums = serve_stream(stream, asked=0).sums
    return sums.mse, sums.windows


def verify(console: Console, *, published: bool = False) -> bool:
    """Print every cell beside its expected number.

    Args:
        published: Whether published figures follow; then all are skipped, with the reason, where ETTh2 is not here.

    Returns:
        Whether all are within their bounds.

    Raises:
        BenchError: ETTh2 is not available; the message says how to get it.
    """
    from rich.table import Table

    load_plugins()
    table = Table(title="ETTh2, MSE on scaled values, lookback 96, every origin scored", title_justify="left", box=None)
    for column in ("strategy", "split", "H", "windows", "expected", "here", "difference", "bound", ""):
        table.add_column(column, justify="left" if column in ("strategy", "split", "bound", "") else "right")
    good = True
    try:
        for recipe in (*RECIPES, *PUBLISHED) if published else RECIPES:
            for horizon, expected in recipe.expected.items():
                mse, windows = recompute(recipe, horizon)
                holds = recipe.holds(mse, horizon)
                good &= holds
                cells = [recipe.name, recipe.split, str(horizon), f"{windows:,}", f"{expected:.4f}", f"{mse:.4f}"]
                table.add_row(*cells, f"{mse - expected:+.4f}", recipe.bound, "ok" if holds else "DIFFERS")
    except BenchError as error:
        if not published:
            raise
        console.print(f"Skipped: {error}")
        return True
    console.print(table)
    console.print("All cells agree." if good else "Some cells differ by more than their bound.")
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
