"""Strategies of the literature in service on small series, and what their updates are by hand."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench import DriftSeries, Feedback, Protocol, Split
from bench.contracts.config import build
from bench.contracts.discovery import load_plugins
from bench.contracts.forecaster import Task
from bench.contracts.strategy import STRATEGIES, StrategyContext
from bench.evaluation.profiling.footprint import ParameterCount
from bench.evaluation.stream import PreparedSeries, Stream
from bench.forecasters.fsnet_tcn import ControlledConv
from bench.results.record import Parameters

torch.set_num_threads(1)
load_plugins()

CPU = torch.device("cpu")
NAMES = [entry.name for entry in STRATEGIES if entry.cls.group == "literature"]
L, H, C = 8, 2, 2
TRAIN, VALIDATION = 60, 80


class Decay(nn.Module):
    """Each channel decays to 0 from its last value, as the training rows do; a forecaster that is all head."""

    head_modules = ("map",)

    def __init__(self, keeps: float = 0.6) -> None:
        super().__init__()
        self.map = nn.Linear(L, H)
        self.recipe = SimpleNamespace(config=SimpleNamespace(training=SimpleNamespace(lr=1e-3)))
        with torch.no_grad():
            self.map.weight.zero_()
            self.map.bias.zero_()
            self.map.weight[:, -1] = torch.tensor([keeps ** (h + 1) for h in range(H)])

    def forward(self, windows: Tensor) -> Tensor:
        out: Tensor = self.map(windows.transpose(1, 2))
        return out.transpose(1, 2)


class ControlledDecay(nn.Module):
    """The same as a convolution over columns, whose multipliers are 1 until controllers learn."""

    def __init__(self, keeps: float = 0.6) -> None:
        super().__init__()
        self.map, plain = ControlledConv(L, H, 1, control=3, slots=4), Decay(keeps)
        self.recipe = plain.recipe
        with torch.no_grad():
            self.map.weight.copy_(plain.map.weight[..., None])
            assert self.map.bias is not None
            self.map.bias.zero_()
            for layer in (self.map.of_weights, self.map.of_outputs):
                layer.weight.zero_()

    def forward(self, windows: Tensor) -> Tensor:
        out: Tensor = self.map(windows)
        return out

    def controlled(self) -> list[ControlledConv]:
        return [self.map]


def model_of(name: str, keeps: float = 0.6) -> nn.Module:
    """What a strategy is tested on."""
    return ControlledDecay(keeps) if name == "fsnet" else Decay(keeps)


def series(values: NDArray[np.float64]) -> DriftSeries:
    names = tuple("abcdefg"[: values.shape[1]])
    split = Split(TRAIN, VALIDATION, len(values))
    return DriftSeries("made", values, names, np.arange(len(values)), split, names, names, season=6)


def decaying(rows: int, level_after: float) -> NDArray[np.float64]:
    """An autoregression around 0, and around another level from the stream's start on."""
    rng, values = np.random.default_rng(0), np.zeros((rows, C))
    for t in range(1, rows):
        values[t] = 0.6 * values[t - 1] + 0.3 * rng.standard_normal(C)
    values[VALIDATION:] += level_after
    return values


@dataclass(frozen=True)
class Service:
    """What a strategy left."""

    strategy: Any
    forecasts: NDArray[np.float32]
    mse: float
    moved: Parameters | None


def serve(
    name: str,
    values: NDArray[np.float64],
    forecaster: Any = None,
    *,
    tiny: bool = True,
    end: int = 0,
    block: int = 1,
    **options: Any,
) -> Service:
    cls = STRATEGIES[name].cls
    config = build(cls.Config, (dict(cls.tiny) if tiny else {}) | options, name)
    protocol = Protocol(lookback=L, horizon=H, stride=1, block=block, warm_start=False)
    stage = PreparedSeries.of(series(values), protocol)
    own = copy.deepcopy(model_of(name) if forecaster is None else forecaster)
    torch.manual_seed(0)
    parts = cls.make_parts(config, Task(L, H, C, C, (0, 1)), own)
    context = StrategyContext(config, own, stage.history(CPU), protocol, np.random.default_rng(0), CPU, parts)
    stream, made, errors = Stream(stage, cls(context), CPU), [], []
    count = ParameterCount(stream.strategy)

    def score(origins: NDArray[np.int64], forecasts: NDArray[np.float32]) -> None:
        made.append(forecasts)
        errors.append((forecasts - stage.truths(origins)) ** 2)

    stream.run(VALIDATION, end or len(values), score)
    mse = float(np.concatenate(errors).mean())
    return Service(stream.strategy, np.concatenate(made), mse, count.now(stream.strategy))


def moving(rows: int) -> NDArray[np.float64]:
    """Another level from the stream's start on, and again another one 40 rows later, which a detector sees."""
    values = decaying(rows, 1.0)
    values[VALIDATION + 40 :] += 3.0
    return values


def made(name: str, forecaster: Any = None, **options: Any) -> Any:
    """A strategy in service, before its first block."""
    return serve(name, decaying(140, 0.0), forecaster, end=VALIDATION + H, **options).strategy


def pairs(count: int, seed: int, first: int = 200) -> Feedback:
    generator = torch.Generator().manual_seed(seed)
    x, y, issued = (torch.randn(count, rows, C, generator=generator) for rows in (L, H, H))
    return Feedback(x, y, np.arange(first, first + count), present=x[-1] if count else None, issued=issued)


def slope(model: Decay, x: Tensor, y: Tensor, rows: Tensor | None = None) -> Tensor:
    """Gradient ``(H, L)`` of the mean squared error with respect to the map's weights."""
    miss = model(x) - y
    if rows is not None:
        miss = miss * rows[..., None]
    count = miss.numel() if rows is None else rows.sum() * C
    return (2 * torch.einsum("phc,plc->hl", miss, x) / count).detach()
