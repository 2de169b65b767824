"""What the harness itself costs: its own time within a run, and a run against a loop written by hand."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import nn

from bench.contracts.config import build
from bench.contracts.dataset import DATASETS, resolve_dataset
from bench.contracts.discovery import load_plugins
from bench.contracts.forecaster import FORECASTERS
from bench.contracts.protocol import ProtocolSpec
from bench.contracts.strategy import STRATEGIES, StrategyContext
from bench.data.download import locate
from bench.evaluation.isolation import seeded
from bench.evaluation.pretraining import task_of
from bench.evaluation.profiling.allocator import keep_freed_memory
from bench.evaluation.serving import serve_stream
from bench.evaluation.stream import PreparedSeries, Stream
from bench.results.record import Timing

load_plugins()

CPU = torch.device("cpu")
ROUNDS = 5


@pytest.fixture(name="etth2")
def etth2_fixture() -> Any:
    file = DATASETS["etth2"].cls.remote_file
    assert file is not None
    if locate(file) is None:
        pytest.skip("ETTh2.csv is neither in BENCH_DATA_DIR nor in the user's cache")
    return resolve_dataset("etth2").series()


def staged(series: Any, preset: str) -> PreparedSeries:
    spec = ProtocolSpec(preset=preset, lookback=96, horizon=24, warm_start=False)
    return PreparedSeries.of(series, spec.resolve(series))


def untrained(name: str, stage: PreparedSeries) -> nn.Module:
    entry = FORECASTERS[name]
    with seeded(0):
        model: nn.Module = entry.cls(build(entry.cls.Config, {}, name), task_of(stage)).eval()
    return model


def served(name: str, stage: PreparedSeries, forecaster: nn.Module | None, seconds: list[float]) -> Timing:
    """A whole run of a strategy, but for its training; leaves its wall time behind."""
    cls = STRATEGIES[name].cls
    config, history = build(cls.Config, {}, name), stage.history(CPU)
    strategy = cls(StrategyContext(config, forecaster, history, stage.protocol, np.random.default_rng(0), CPU))
    begun = time.perf_counter()
    timing = serve_stream(Stream(stage, strategy, CPU)).timing(setup_s=0.0)
    seconds.append(time.perf_counter() - begun)
    return timing


def by_hand(stage: PreparedSeries, model: nn.Module) -> float:
    """The loop that one would write: forecast and score window by window; answers with the MSE."""
    inputs, targets, protocol = torch.from_numpy(stage.inputs), torch.from_numpy(stage.targets), stage.protocol
    squares = absolutes = 0.0
    origins = protocol.origins(stage.series.split.validation, stage.series.split.end)
    with torch.no_grad():
        for t in origins:
            error = model(inputs[t - protocol.lookback : t].unsqueeze(0))[0] - targets[t : t + protocol.horizon]
            squares += error.square().mean().item()
            absolutes += error.abs().mean().item()
    return squares / len(origins)


def in_turn(benchmark: BenchmarkFixture, one: Callable[[], object], before: Callable[[], object] | None = None) -> None:
    """Rounds of a step, each after one of another."""
    keep_freed_memory()
    torch.set_num_threads(1)
    rounds = 1 if benchmark.disabled else ROUNDS
    benchmark.pedantic(one, setup=lambda: before() if before else None, rounds=rounds)


def test_a_run_against_a_loop_by_hand(benchmark: BenchmarkFixture, etth2: Any) -> None:
    stage = staged(etth2, "online")
    model, ours, theirs, own = untrained("dlinear", stage), list[float](), list[float](), list[float]()

    def loop() -> None:
        begun = time.perf_counter()
        by_hand(stage, model)
        theirs.append(time.perf_counter() - begun)

    in_turn(benchmark, lambda: own.append(served("frozen", stage, model, ours).harness_us), loop)
    ratio = statistics.median(mine / hand for mine, hand in zip(ours, theirs, strict=True))
    benchmark.extra_info.update(
        strategy="frozen", kind="whole run, online", batch=1, lookback=96, against="a loop by hand",
        ratio=round(1 / ratio, 3), harness_us=round(statistics.median(own), 1),
    )  # fmt: skip
    print(
        f"\nfrozen dlinear on etth2, online: {ratio:.2f} x the time of a loop by hand; "
        f"{statistics.median(own):.1f} us a step are the harness's own"
    )


def test_the_harness_s_share_beside_titans(benchmark: BenchmarkFixture, etth2: Any) -> None:
    stage = staged(etth2, "dense")
    model, shares = untrained("titans", stage), list[float]()

    def run() -> None:
        wall: list[float] = []
        timing = served("titans-a", stage, model, wall)
        blocks = timing.warmup + timing.predict.steps
        shares.append(timing.harness_us * blocks / 1e6 / wall[0])

    in_turn(benchmark, run)
    share = statistics.median(shares)
    benchmark.extra_info.update(strategy="titans-a", kind="whole run, dense", batch=24, lookback=96, share=share)
    print(f"\ntitans-a on etth2, dense: {100 * share:.1f} % of the wall time are the harness's own")


def test_recursive_least_squares(benchmark: BenchmarkFixture, etth2: Any) -> None:
    stage, seconds = staged(etth2, "online"), list[float]()
    in_turn(benchmark, lambda: served("rls", stage, None, seconds))
    steps = len(stage.protocol.origins(etth2.split.validation, etth2.split.end)) / statistics.median(seconds)
    benchmark.extra_info.update(
        strategy="rls", kind="whole run, online", batch=1, lookback=96, steps_per_s=round(steps)
    )
    print(f"\nrls on etth2, online, H = 24: {steps:,.0f} steps/s, all of the run counted")
