"""A refiner over any forecaster: a small network that learns what its forecasts miss, trusted as far as it helps."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn

from bench import Feedback, StrategyConfig, register_strategy
from bench.adaptation.calibration_layers import zero_linear
from bench.adaptation.online_optimizer import OnlineConfig, mean_square
from bench.adaptation.replay_buffers import ReplayBuffer

from .black_box import Calibrated

ERROR_KEPT = 0.99
"""What a pair leaves of the errors before it, which trust is measured by."""


class Refiner(nn.Module):
    """What is added to a forecast: a linear map over time, shared by channels, and a mix of channels; 0 at first.

    Args:
        rows: Rows of what it reads: the window's, where targets are inputs, and the forecast's.
        horizon: Rows of the forecast, which stand last.
        channels: Its columns.
    """

    def __init__(self, rows: int, horizon: int, channels: int) -> None:
        super().__init__()
        self.time, self.mix = zero_linear(rows, horizon), zero_linear(channels, channels, bias=False)

    def forward(self, known: Tensor) -> Tensor:
        """``(B, rows, C_out)`` to ``(B, H, C_out)``."""
        last: Tensor = known[:, -1:]
        added: Tensor = self.time((known - last).mT).mT
        return added + self.mix(added)  # type: ignore[no-any-return]


class OrcaConfig(OnlineConfig):
    """Options of `orca`.

    Attributes:
        steps: Steps each time that it learns, which is once in a horizon.
        buffer: Latest pairs that it learns from.
        batch: Pairs in a step.
        age: Pairs after which a pair is drawn 1/e times as often.
        warm_up: Passes over the history's latest pairs before service; 0 starts without any.
        confidence: How sharply trust follows the difference of errors with and without refinement; 0 trusts half.
    """

    online_lr: NonNegativeFloat = 1e-3
    steps: PositiveInt = 10
    buffer: PositiveInt = 3000
    batch: PositiveInt = 256
    age: PositiveFloat = 1000.0
    warm_up: NonNegativeInt = 50
    confidence: NonNegativeFloat = 10.0


@register_strategy("orca")
class Orca(Calibrated):
    """A refiner learns from windows, forecasts and truths; its share in the forecast follows how much it helped.

    Source: the refiner of ORCA's public benchmark (2026), with its sizes. Its decomposition into trend and rest is left
    out, since a sum of two linear maps is one; trust is a sigmoid of the relative difference of both errors.
    """

    Config: ClassVar[type[StrategyConfig]] = OrcaConfig
    carries = "the refiner, its optimiser's moments, the latest pairs, and both errors"
    tiny: ClassVar[dict[str, Any]] = {"buffer": 12, "batch": 4, "warm_up": 1, "steps": 1, "age": 5.0}

    def setup(self) -> None:
        """Learn from the history."""
        super().setup()
        self.buffer = ReplayBuffer("fifo", self.config.buffer, self.rng)
        self.refined = self.plain = 0.0
        self.rows = 0
        if not self.online.learns or not self.config.warm_up:
            return
        pairs = self.history.pairs(self.protocol)
        for start in range(max(0, len(pairs) - self.config.buffer), len(pairs), self.config.batch):
            x, y = pairs.take(slice(start, start + self.config.batch))
            self.buffer.add(self._read(x, self.base(x)), y)
        for _ in range(self.config.warm_up * len(self.buffer) // (self.config.batch * self.config.steps)):
            self._step()

    def new_correction(self) -> nn.Module:
        """The refiner."""
        horizon = self.protocol.horizon
        rows = horizon + (0 if self.history.target_index is None else self.protocol.lookback)
        return Refiner(rows, horizon, self.history.targets.shape[1])

    def _read(self, windows: Tensor, base: Tensor) -> Tensor:
        """What the refiner reads, ``(B, rows, C_out)``."""
        index = self.history.target_index
        return base if index is None else torch.cat([windows[:, :, list(index)], base], dim=1)

    def predict(self, windows: Tensor) -> Tensor:
        """The forecast, and what the refiner adds to it."""
        base = self.base(windows)
        if not self.online.learns:
            return base
        known = self._read(windows, base)
        self.waiting.add(known)
        with torch.no_grad():
            return self.online.sound(lambda: base + self.trust() * self.correction(known))

    def trust(self) -> float:
        """Share of the refiner, from 0 to 1: a half as long as nothing is known."""
        total = self.refined + self.plain
        gain = (self.plain - self.refined) / total if total else 0.0
        return float(1 / (1 + np.exp(-self.config.confidence * gain)))

    def adapt(self, feedback: Feedback) -> None:
        """Measure both errors on new pairs, and keep these; learn once in a horizon."""
        super().adapt(feedback)
        self.rows += self.protocol.block * self.protocol.stride
        if self.rows >= self.protocol.horizon and self.online.learns and len(self.buffer):
            self.rows = 0
            self._step()

    def learn(self, known: Tensor, y: Tensor) -> None:
        """Keep pairs; the steps are taken once in a horizon."""
        base = known[:, -self.protocol.horizon :]
        with torch.no_grad():
            refined = base + self.correction(known)
        for mine, theirs in zip(_errors(refined, y), _errors(base, y), strict=True):
            self.refined = ERROR_KEPT * self.refined + (1 - ERROR_KEPT) * mine
            self.plain = ERROR_KEPT * self.plain + (1 - ERROR_KEPT) * theirs
        self.buffer.add(known, y)

    def _step(self) -> None:
        order = self.buffer.newest_first().numpy()
        weights = np.exp(-np.arange(len(order)) / self.config.age)
        chosen = self.rng.choice(order, self.config.batch, p=weights / weights.sum())
        known, y = self.buffer.take(torch.from_numpy(chosen))
        base = known[:, -self.protocol.horizon :]
        self.online.learn(lambda: mean_square(base + self.correction(known), y))

    def trace(self) -> dict[str, float]:
        """Also the refiner's share."""
        return super().trace() | {"trust": self.trust()}


def _errors(forecasts: Tensor, truths: Tensor) -> list[float]:
    """Mean squared error of each pair."""
    errors: list[float] = (forecasts - truths).square().mean(dim=(1, 2)).tolist()
    return errors
