"""Strategies of the literature, B = 1: online gradient descent against a loop as public code has it, and costs of all.

The loop computes every row of every layer, steps an Adam that is not fused, and draws single windows from a
`DataLoader`. Both must make the same losses.
"""

from __future__ import annotations

import copy
import statistics
import time
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from bench import DriftSeries, Protocol, Split
from bench.contracts.config import build
from bench.contracts.discovery import load_plugins
from bench.contracts.forecaster import FORECASTERS
from bench.contracts.strategy import STRATEGIES, StrategyContext
from bench.evaluation.pretraining import Recipe, task_of
from bench.evaluation.serving import serve_stream
from bench.evaluation.stream import PreparedSeries, Stream

from .conftest import Pairs

load_plugins()

CPU = torch.device("cpu")
L, H, C = 60, 24, 7
STEPS = 60
NAMES = [entry.name for entry in STRATEGIES if entry.cls.group == "literature" and entry.cls.needs]
RATE = 1e-4


@pytest.fixture(name="stage", scope="module")
def stage_fixture() -> PreparedSeries:
    values = np.random.default_rng(0).standard_normal((1200, C)).cumsum(axis=0) * 0.1
    names, split = tuple("abcdefg"), Split(600, 700, len(values))
    series = DriftSeries("walk", values, names, np.arange(len(values)), split, names, names, season=24)
    return PreparedSeries.of(series, Protocol(lookback=L, horizon=H, stride=1, warm_start=False))


def untrained(name: str, stage: PreparedSeries, seed: int = 0, **options: Any) -> Any:
    config = build(FORECASTERS[name].cls.Config, options, name)
    return Recipe(name, config, task_of(stage), seed).build(CPU)


def served(name: str, stage: PreparedSeries, forecaster: Any, steps: int, **options: Any) -> NDArray[np.float64]:
    """Squared error of each forecast of a strategy's first steps in the harness."""
    cls = STRATEGIES[name].cls
    rules, rng = build(cls.Config, options, name), np.random.default_rng(0)
    own = copy.deepcopy(forecaster)
    parts = cls.make_parts(rules, task_of(stage), own)
    context = StrategyContext(rules, own, stage.history(CPU), stage.protocol, rng, CPU, parts)
    sums = serve_stream(Stream(stage, cls(context), CPU), limit=steps).sums
    return np.array([error[0] for error in sums.origin_errors])


class Dilated(nn.Module):
    """A block of the TCN with dilated convolutions, all rows of it, and the weights of one of ours."""

    def __init__(self, ours: Any, dilation: int) -> None:
        super().__init__()
        self.first, self.second, self.projection = map(copy.deepcopy, (ours.first, ours.second, ours.projection))
        (kernel,) = self.first.kernel_size
        self.past = dilation * (kernel - 1)
        for convolution in (
            self.first,
            self.second,
        ):  # taps that read only zeros are there, and steps are taken on them
            convolution.dilation, convolution.stride, read = (dilation,), (1,), convolution.weight.shape[2]
            whole = nn.functional.pad(convolution.weight.detach(), (kernel - read, 0), value=0.01)
            convolution.weight = nn.Parameter(whole)

    def forward(self, x: Tensor) -> Tensor:
        hidden = x
        for convolution in (self.first, self.second):
            hidden = convolution(nn.functional.pad(nn.functional.gelu(hidden), (self.past, 0)))
        return self.projection(x) + hidden  # type: ignore[no-any-return]


class PublicTCN(nn.Module):
    """The same TCN, with RevIN, as public code writes it."""

    def __init__(self, ours: Any) -> None:
        super().__init__()
        self.embedding, self.head = copy.deepcopy(ours.embedding), copy.deepcopy(ours.head)
        self.blocks = nn.Sequential(*(Dilated(block, 2**i) for i, block in enumerate(ours.blocks)))

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(dim=1, keepdim=True).detach()
        deviation = torch.sqrt(torch.var(x, dim=1, keepdim=True, unbiased=False) + 1e-5).detach()
        features = self.blocks(self.embedding((x - mean) / deviation).transpose(1, 2))
        return self.head(features[..., -1]) * deviation + mean  # type: ignore[no-any-return]


class Windows(Dataset[tuple[Tensor, Tensor]]):
    """Window and truth of each origin from the stream's start on."""

    def __init__(self, stage: PreparedSeries) -> None:
        self.inputs, self.targets = torch.from_numpy(stage.inputs), torch.from_numpy(stage.targets)
        self.first = stage.first_origin

    def __len__(self) -> int:
        return len(self.inputs) - H - self.first + 1

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        t = self.first + i
        return self.inputs[t - L : t], self.targets[t : t + H]


def by_hand(stage: PreparedSeries, model: nn.Module, steps: int) -> list[float]:
    """The public loop: for each origin a step on the window that matured, then the forecast and its error."""
    optimizer, waiting, errors = torch.optim.Adam(model.parameters(), RATE), [], []
    for x, y in DataLoader(Windows(stage), batch_size=1, shuffle=False):
        waiting.append((x, y))
        if len(waiting) > H:
            past, truth = waiting.pop(0)
            optimizer.zero_grad()
            nn.functional.mse_loss(model(past), truth).backward()
            optimizer.step()
        with torch.no_grad():
            errors.append(nn.functional.mse_loss(model(x), y).item())
        if len(errors) == steps:
            break
    return errors


def test_online_gradient_descent_against_a_public_loop(pairs: Pairs, stage: PreparedSeries) -> None:
    ours, steps = untrained("tcn", stage, depth=10), STEPS
    one, other = served("ogd", stage, ours, steps, online_lr=RATE), by_hand(stage, PublicTCN(ours), steps)
    np.testing.assert_allclose(one, other, rtol=1e-5)
    ratio = pairs(
        lambda: served("ogd", stage, ours, steps, online_lr=RATE), lambda: by_hand(stage, PublicTCN(ours), steps),
        rounds=5, strategy="ogd", kind="tcn of 10 blocks, online", batch=1, lookback=L, against="a public loop",
    )  # fmt: skip
    print(f"\nogd on tcn: {ratio:.2f} x the steps/s of a loop as public code has it, at the same losses")


@pytest.mark.parametrize("name", NAMES)
def test_cost_of_a_step(benchmark: BenchmarkFixture, stage: PreparedSeries, name: str) -> None:
    """Steps a second on DLinear, or on the network that it needs, and time in units of `ogd` on the same."""
    torch.set_num_threads(1)
    forecaster = "fsnet-tcn" if "controllers" in STRATEGIES[name].cls.needs else "dlinear"
    model, rounds = untrained(forecaster, stage), 1 if benchmark.disabled else 5
    steps, own, ogd = 2 if benchmark.disabled else 6 * H, list[float](), list[float]()

    def run(strategy: str, seconds: list[float]) -> None:
        begun = time.perf_counter()
        served(strategy, stage, model, steps)
        seconds.append(time.perf_counter() - begun)

    benchmark.pedantic(lambda: run(name, own), setup=lambda: run("ogd", ogd), rounds=rounds)
    multiple = statistics.median(mine / theirs for mine, theirs in zip(own, ogd, strict=True))
    speed = steps / statistics.median(own)
    benchmark.extra_info.update(
        strategy=name,
        kind=f"{forecaster}, online",
        batch=1,
        lookback=L,
        steps_per_s=round(speed),
        multiple=round(multiple, 2),
    )
    print(f"\n{name} on {forecaster}: {speed:,.0f} steps/s, {multiple:.2f} x the time of ogd")
