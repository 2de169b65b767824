"""An honest strategy, what most planted cheats build on, and the canary that is to catch them."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench import Feedback, Strategy
from bench.contracts.strategy import StrategyContext
from bench.evaluation.stream import PreparedSeries
from bench.testing import MakeStrategy, forecasts_of, leak_canary

from .conftest import resolved, tiny_series

torch.set_num_threads(1)

CPU = torch.device("cpu")

Forecasts = dict[int, NDArray[np.float32]]


def hire(cls: type[Strategy]) -> MakeStrategy:
    """Build a strategy that is not registered, without a forecaster."""

    def make(stage: PreparedSeries) -> Strategy:
        rng = np.random.default_rng(0)
        return cls(StrategyContext(cls.Config(), None, stage.history(CPU), stage.protocol, rng, CPU))

    return make


def canary(cls: type[Strategy], cuts: Iterable[int] | None = None, hidden: bool = False, **changes: Any) -> None:
    series = tiny_series(hidden)
    leak_canary(hire(cls), series, resolved(series, **changes), cuts or (series.split.validation + 7,))


class Honest(Strategy):
    """The last row, and a correction learned from matured pairs."""

    takes_issued = True
    takes_partial = True

    def setup(self) -> None:
        self.origin = len(self.history)
        self.bias = torch.zeros(self.history.targets.shape[1])

    def observe(self, rows: Tensor) -> None:
        self.origin += len(rows)

    def adapt(self, feedback: Feedback) -> None:
        if len(feedback):
            self.bias = self.bias + 0.1 * (feedback.y[:, 0] - feedback.x[:, -1, : len(self.bias)]).mean(dim=0)

    def predict(self, windows: Tensor) -> Tensor:
        level = windows[:, -1:, : len(self.bias)] + self.bias
        return level.expand(-1, self.protocol.horizon, -1)


class Cheat(Honest):
    """Answers with the truth of a stage that it gets hold of."""

    def stages(self) -> list[PreparedSeries]:
        raise NotImplementedError

    def predict(self, windows: Tensor) -> Tensor:
        stage, step = self.stages()[-1], self.protocol.stride
        origins = np.arange(self.origin, self.origin + step * len(windows), step)
        return torch.from_numpy(stage.truths(origins)).float()


class LooksUpTheStack(Cheat):
    """Finds the stage among its callers' variables."""

    def stages(self) -> list[PreparedSeries]:
        found, frame = [], sys._getframe(1)
        while frame is not None:
            found += [value for value in frame.f_locals.values() if isinstance(value, PreparedSeries)]
            frame = frame.f_back  # type: ignore[assignment]
        return found


def parts_of(feedback: Feedback) -> list[Tensor]:
    """All that a strategy is handed with the pairs, those that have only begun among them."""
    assert feedback.present is not None
    assert feedback.issued is not None
    parts = [feedback.x, feedback.y, torch.from_numpy(feedback.origins), feedback.present, feedback.issued]
    if (partial := feedback.partial) is not None:
        parts += [partial.x, partial.y, partial.known, torch.from_numpy(partial.origins)]
    return parts


class RewritesTheTruth(Honest):
    """Forecasts nothing, and makes nothing the truth."""

    def predict(self, windows: Tensor) -> Tensor:
        caller = sys._getframe(1).f_locals["self"]
        caller.stage.truth[:] = 0
        return torch.zeros_like(super().predict(windows))


CHANGES: tuple[dict[str, Any], ...] = (
    {},
    {"label_every": 4},
    {"delay": 2},
    {"warm_start": False},
    {"labels": "partial"},
    {"labels": "partial", "label_every": 2},
)


def same_as_honest(cheat: type[Strategy], preset: str = "dense", **changes: Any) -> bool:
    """Whether a strategy forecasts as `Honest` does, bit by bit, at every origin."""
    series = tiny_series()
    protocol = resolved(series, preset, **changes)
    own, honest = (forecasts_of(hire(cls), series, protocol) for cls in (cheat, Honest))
    return own.keys() == honest.keys() and all(np.array_equal(own[origin], honest[origin]) for origin in honest)


class Drawn(Honest):
    """Adds a number drawn from somewhere."""

    def draw(self) -> float:
        raise NotImplementedError

    def predict(self, windows: Tensor) -> Tensor:
        return super().predict(windows) + self.draw()


class FromNumpy(Drawn):
    def draw(self) -> float:
        return float(np.random.normal())  # noqa: NPY002
