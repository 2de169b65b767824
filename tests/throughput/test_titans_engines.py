"""Titans: the fast memory engine against the library's own modules, and what carrying costs; pairs run in turn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor, nn

from bench.contracts.config import build
from bench.contracts.discovery import load_plugins
from bench.contracts.forecaster import Task
from bench.contracts.protocol import Protocol
from bench.contracts.strategy import STRATEGIES, StrategyContext
from bench.evaluation.isolation import seeded
from bench.evaluation.stream import PreparedSeries
from bench.forecasters.titans.config import TitansConfig
from bench.forecasters.titans.forecaster import Titans
from bench.testing import small_series
from tests.small_titans import ROW_TOKENS

load_plugins()

L, H, CHANNELS, BATCH = 96, 24, 7, 24
TASK = Task(L, H, CHANNELS, CHANNELS, tuple(range(CHANNELS)))
MEMORIES: dict[str, dict[str, Any]] = {
    "as registered": {},
    "wide": {"memory_expansion": 4.0},  # the library's own default
    "orthogonal, 4 heads": {"memory_heads": 4, "spectral_norm_surprises": True},
}


def titans(chunk: int, **options: Any) -> Titans:
    options = ROW_TOKENS | {"dim": 64, "depth": 2, "neural_memory_segment_len": chunk} | options
    with seeded(0):
        return Titans(build(TitansConfig, options, "forecaster 'titans'"), TASK)


def predicting(model: Titans, windows: int) -> Callable[[], Tensor]:
    x = torch.randn(windows, L, CHANNELS, generator=torch.Generator().manual_seed(0))

    @torch.no_grad()
    def step() -> Tensor:
        return model(x)  # type: ignore[no-any-return]

    model.eval()
    return step


def learning(model: Titans) -> Callable[[], None]:
    """Forward, backward and a step of AdamW."""
    draw = torch.Generator().manual_seed(0)
    x, y = torch.randn(BATCH, L, CHANNELS, generator=draw), torch.randn(BATCH, H, CHANNELS, generator=draw)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad])

    def step() -> None:
        loss = nn.functional.mse_loss(model(x), y)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()

    model.train()
    return step


KINDS = [("eager", memory, kind) for memory in MEMORIES for kind in ("predict", "predict one", "train")]
KINDS += [("compiled", "as registered", kind) for kind in ("predict", "train")]


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")  # torch's compiler has many
@pytest.mark.parametrize(("how", "memory", "kind"), KINDS)
@pytest.mark.parametrize("chunk", [8, 24])
def test_fast_against_the_library(
    benchmark: BenchmarkFixture, pairs: Any, chunk: int, kind: str, memory: str, how: str
) -> None:
    compiled = how == "compiled"
    if compiled and benchmark.disabled:
        pytest.skip("compiling takes a minute, and is tried in test_compiled")
    options = MEMORIES[memory]
    fast, library = titans(chunk, **options, compile=compiled), titans(chunk, **options, memory_engine="reference")
    with torch.no_grad():
        for ours, theirs in zip(fast.parameters(), library.parameters(), strict=True):
            theirs.copy_(ours)
    windows = 1 if kind == "predict one" else BATCH
    steps = [learning(m) if kind == "train" else predicting(m, windows) for m in (fast, library)]
    engine = "fast, compiled" if compiled else "fast"
    ratio = pairs(
        *steps,
        rounds=61 if windows == 1 else 21,
        strategy="titans-a",
        engine=engine,
        kind=kind.partition(" ")[0],
        batch=windows,
        lookback=L,
        chunk=chunk,
        memory=memory,
        against="the library",
    )
    print(f"\n{engine}, {kind}, B = {windows}, chunk {chunk}, memory {memory}: {ratio:.2f} x the library")


def serving(name: str, windows: int) -> tuple[Callable[[], object], int]:
    """A strategy's blocks, one after another, and rows in a block: the rows that were released, then the forecasts."""
    series = small_series(rows=3000)
    rules = Protocol(lookback=L, horizon=H, stride=1 if windows > 1 else H, block=windows, warm_start=False)
    stage = PreparedSeries.of(series, rules)
    inputs = len(series.inputs)
    task = Task(L, H, inputs, inputs, tuple(range(inputs)))
    with seeded(0):
        model = Titans(build(TitansConfig, ROW_TOKENS | {"dim": 64}, "forecaster 'titans'"), task).eval()
    cls = STRATEGIES[name].cls
    cpu = torch.device("cpu")
    strategy = cls(
        StrategyContext(build(cls.Config, {}, name), model, stage.history(cpu), rules, np.random.default_rng(0), cpu)
    )
    rows, at = H if windows == 1 else windows, 0
    released = torch.from_numpy(stage.inputs[: stage.first_origin])
    origins = np.arange(stage.first_origin, stage.first_origin + windows)
    x = torch.from_numpy(stage.windows(origins))

    def step() -> object:
        nonlocal at
        at = (at + rows) % (len(released) - rows)
        strategy.observe(released[at : at + rows])
        return strategy.predict(x)

    return step, rows


@pytest.mark.parametrize(("preset", "windows"), [("day-ahead", 1), ("dense", 24)])
def test_what_carrying_costs(pairs: Any, preset: str, windows: int) -> None:
    (within, _), (carried, _) = serving("titans-a", windows), serving("titans-b", windows)
    ratio = pairs(
        within,
        carried,
        rounds=301 if windows == 1 else 61,
        strategy="titans-a",
        engine="fast",
        kind=f"step, {preset}",
        batch=windows,
        lookback=L,
        against="titans-b",
    )
    print(f"\na step of titans-b in {preset} ({windows} windows): {ratio:.2f} x a step of titans-a")


@pytest.mark.parametrize(("windows", "lookback"), [(1, 96), (24, 96), (24, 192)])
@pytest.mark.parametrize("name", ["titans-a", "titans-b", "titans-c"])
def test_strategies_on_both_engines(pairs: Any, name: str, windows: int, lookback: int) -> None:
    series = small_series(rows=1000)
    rules = Protocol(lookback=lookback, horizon=H, stride=1, block=windows, warm_start=False)
    stage = PreparedSeries.of(series, rules)
    inputs = len(series.inputs)
    task = Task(lookback, H, inputs, inputs, tuple(range(inputs)))
    cpu, steps = torch.device("cpu"), []
    x = torch.from_numpy(stage.windows(np.arange(stage.first_origin, stage.first_origin + windows)))
    for engine in ("fast", "reference"):
        with seeded(0):
            options = {"dim": 64, "memory_engine": engine}
            model = Titans(build(TitansConfig, options, "forecaster 'titans'"), task).eval()
        cls = STRATEGIES[name].cls
        strategy = cls(
            StrategyContext(
                build(cls.Config, {}, name), model, stage.history(cpu), rules, np.random.default_rng(0), cpu
            )
        )
        steps.append(lambda strategy=strategy: strategy.predict(x))
    ratio = pairs(
        *steps, rounds=31, strategy=name, engine="fast", kind="predict", batch=windows, lookback=lookback,
        against="the library",
    )  # fmt: skip
    print(f"\n{name}, B = {windows}, L = {lookback}: {ratio:.2f} x the library")
