"""Runs that differ in their seeds, in one pass over the stream and one by one: windows a second in all."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from bench import Strategy
from bench.contracts.config import build
from bench.contracts.strategy import STRATEGIES, StrategyContext
from bench.evaluation.serving import serve_stream, sums_for
from bench.evaluation.stream import PreparedSeries, Stream
from bench.evaluation.together import Member, serve_together

from .conftest import Pairs
from .test_literature import CPU, L, stage_fixture, untrained

__all__ = ["stage_fixture"]

SEEDS = 5


def made(name: str, stage: PreparedSeries, models: Sequence[Any]) -> list[Strategy]:
    cls = STRATEGIES[name].cls
    config, history = build(cls.Config, {}, name), stage.history(CPU)
    own = enumerate(copy.deepcopy(list(models)))
    return [
        cls(StrategyContext(config, model, history, stage.protocol, np.random.default_rng(i), CPU)) for i, model in own
    ]


def one_by_one(name: str, stage: PreparedSeries, models: Sequence[Any], windows: int) -> list[float]:
    torch.set_num_threads(1)
    return [serve_stream(Stream(stage, one, CPU), limit=windows).sums.mse for one in made(name, stage, models)]


def in_one_pass(name: str, stage: PreparedSeries, models: Sequence[Any], windows: int) -> list[float]:
    torch.set_num_threads(1)
    own = made(name, stage, models)
    stream = Stream(stage, own[0], CPU, finite=False, server=type(own[0]).together(own), models=len(own))
    members = [Member(one, sums_for(stage)) for one in own]
    return [scores.sums.mse for scores in serve_together(stream, members, limit=windows)]


@pytest.mark.parametrize(("forecaster", "windows"), [("dlinear", 400), ("tcn", 100)])
@pytest.mark.parametrize("name", ["ogd", "frozen"])
def test_five_seeds_in_one_pass(
    pairs: Pairs, benchmark: BenchmarkFixture, stage: PreparedSeries, name: str, forecaster: str, windows: int
) -> None:
    """Expected for `ogd` on one thread: at least 2.5 x on DLinear, 1.3 x on the TCN."""
    models = [untrained(forecaster, stage, seed=seed) for seed in range(SEEDS)]
    given = name, stage, models, 30 if benchmark.disabled else windows
    one, other = in_one_pass(*given), one_by_one(*given)
    np.testing.assert_allclose(one, other, rtol=1e-5)
    ratio = pairs(
        lambda: in_one_pass(*given), lambda: one_by_one(*given),
        rounds=7, strategy=name, kind=f"{SEEDS} seeds on {forecaster}", batch=1, lookback=L, against="one by one",
    )  # fmt: skip
    apart = max(abs(a / b - 1) for a, b in zip(one, other, strict=True))
    print(f"\n{name} on {forecaster}, {SEEDS} seeds in one pass: {ratio:.2f} x the windows/s in all of one by one, "
          f"errors {apart:.0e} apart")  # fmt: skip
