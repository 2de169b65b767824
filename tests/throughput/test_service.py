"""Cost of one step of service, for every registered strategy: a new plug-in is timed without a line of test code."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from bench.contracts.discovery import load_plugins
from bench.contracts.strategy import STRATEGIES, Feedback
from bench.evaluation.stream import PreparedSeries
from bench.testing import small_series, tiny_maker

load_plugins()


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory, short_parts: None) -> Path:
    """Each forecaster is pre-trained once."""
    return tmp_path_factory.mktemp("checkpoints")


@pytest.mark.parametrize("windows", [1, 24])
@pytest.mark.parametrize("name", [entry.name for entry in STRATEGIES])
def test_predict(benchmark: BenchmarkFixture, name: str, windows: int, checkpoints: Path) -> None:
    torch.set_num_threads(1)
    strategy, stage, origins = in_service(name, windows, checkpoints)
    benchmark.extra_info.update(strategy=name, kind="predict, tiny", batch=windows, lookback=stage.protocol.lookback)
    forecast = benchmark(lambda: strategy.predict(torch.from_numpy(stage.windows(origins))))
    assert forecast.shape == (windows, 3, 3)


@pytest.mark.parametrize("pairs", [1, 24])
@pytest.mark.parametrize("name", [entry.name for entry in STRATEGIES])
def test_adapt(benchmark: BenchmarkFixture, name: str, pairs: int, checkpoints: Path) -> None:
    torch.set_num_threads(1)
    strategy, stage, _ = in_service(name, 1, checkpoints)
    origins = np.arange(stage.first_origin, stage.first_origin + pairs)
    x = torch.from_numpy(stage.windows(origins))
    y = torch.from_numpy(stage.truths(origins)).float()
    strategy.observe(torch.from_numpy(stage.inputs[stage.first_origin : stage.first_origin + pairs + 3]))
    benchmark.extra_info.update(strategy=name, kind="adapt, tiny", batch=pairs, lookback=stage.protocol.lookback)
    issued = torch.zeros_like(y) if strategy.takes_issued else None
    benchmark(lambda: strategy.adapt(Feedback(x, y, origins, present=x[-1], issued=issued)))


def in_service(name: str, windows: int, checkpoints: Path):  # type: ignore[no-untyped-def]
    """A strategy made cheap, its stage, and the origins of its first block."""
    from bench.contracts.protocol import ProtocolSpec

    series = small_series()
    stage = PreparedSeries.of(series, ProtocolSpec(preset="dense").resolve(series))
    return (
        tiny_maker(name, checkpoints=checkpoints)(stage),
        stage,
        np.arange(stage.first_origin, stage.first_origin + windows),
    )
