"""Titans in service on a small series: the strategies, a stream for them, and what they carry meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench import DriftSeries, Protocol, Split, Task
from bench.contracts.config import build
from bench.contracts.discovery import load_plugins
from bench.contracts.strategy import STRATEGIES, StrategyContext
from bench.evaluation.pretraining import Recipe
from bench.evaluation.stream import PreparedSeries, Stream
from bench.forecasters.titans.config import TitansConfig
from bench.forecasters.titans.memory_state import MemoryCache
from bench.testing import small_series
from tests.small_titans import ROW_TOKENS

torch.set_num_threads(1)
load_plugins()

CPU = torch.device("cpu")
L, H, U = 12, 3, 4
TRAIN, START = 60, 74  # first row of the warm start, first row of the stream
TINY = ROW_TOKENS | {"dim": 8, "heads": 1, "dim_head": 8, "neural_memory_segment_len": U, "num_persist_mem_tokens": 1}
CARRYING = ("titans-b", "titans-c", "titans-b-stale")

Forecasts = dict[int, NDArray[np.float32]]
TraceSampler = Callable[[Any], None]


@dataclass(frozen=True)
class Served:
    """A strategy after its stream, and what it forecast at each origin."""

    strategy: Any
    forecasts: Forecasts


def series_to(end: int) -> DriftSeries:
    return replace(small_series(rows=end), split=Split(TRAIN, START, end))


def protocol(**changes: Any) -> Protocol:
    return Protocol.model_validate({"lookback": L, "horizon": H, "stride": 1, "warm_start": False} | changes)


def enlisted(name: str, stage: PreparedSeries, forecaster: dict[str, Any] | None = None, **options: Any) -> Any:
    """A strategy ready for its first block, on a small model that has not been trained."""
    task = Task(L, stage.protocol.horizon, 3, 3, (0, 1, 2))
    config = build(TitansConfig, TINY | (forecaster or {}), "forecaster 'titans'")
    cls = STRATEGIES[name].cls
    service = StrategyContext(
        build(cls.Config, options, f"strategy {name!r}"),
        Recipe("titans", config, task, seed=0).build(CPU),
        stage.history(CPU),
        stage.protocol,
        np.random.default_rng(0),
        CPU,
    )
    return cls(service)


def serve(
    name: str,
    rules: Protocol,
    end: int = 100,
    watch: TraceSampler = lambda _: None,
    forecaster: dict[str, Any] | None = None,
    **options: Any,
) -> Served:
    """The whole stream, the warm start first where there is one.

    Args:
        name: Of the strategy.
        rules: The protocol.
        end: Where the series ends.
        watch: Called with the strategy before its first block.
        forecaster: Options of the forecaster.
        **options: Options of the strategy.
    """
    stage = PreparedSeries.of(series_to(end), rules)
    strategy = enlisted(name, stage, forecaster, **options)
    watch(strategy)
    forecasts: Forecasts = {}

    def score(origins: NDArray[np.int64], made: NDArray[np.float32]) -> None:
        forecasts.update(zip(origins.tolist(), made, strict=True))

    stream = Stream(stage, strategy, CPU)
    if rules.warm_start:
        stream.run(TRAIN, START, score)
    stream.run(START, end, score)
    return Served(strategy, forecasts)


def weights(strategy: Any) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in strategy.forecaster.state_dict().items()}


def changed(strategy: Any, before: dict[str, Tensor]) -> set[str]:
    return {name for name, tensor in strategy.forecaster.state_dict().items() if not torch.equal(tensor, before[name])}


def spy(strategy: Any) -> dict[int, MemoryCache]:
    """Every state that a strategy comes to carry from now on, by position."""
    memory = strategy.memory
    seen, keep = {memory.position: memory.cache}, memory._keep

    def record(cache: MemoryCache, position: int) -> None:
        seen[position] = cache
        keep(cache, position)

    memory._keep = record
    return seen
