"""PROCEED: weights that are generated from how far the present window has drifted from the newest known pair."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from bench import Feedback, Pairs, StrategyConfig, Task, register_strategy
from bench.adaptation.layer_modulation import LayerModulation
from bench.adaptation.online_optimizer import OnlineConfig, mean_square
from bench.contracts.forecaster import TrainingConfig
from bench.evaluation.pretraining import train_by_gradients

from .online_gradient import LearnsOnline

TRAINING = TrainingConfig(steps=300, batch=16, lr=1e-3, evaluations=6, patience=3, validation_windows=64)


class Drift(nn.Module):
    """A vector of how a window differs from an earlier pair: the difference of two encodings, of norm 1 at most.

    Each channel is encoded by itself, and the mean over channels taken.
    """

    def __init__(self, task: Task, width: int) -> None:
        super().__init__()
        self.task = task
        aligned = task.target_index is not None
        self.window = _encoder(task.lookback, width)
        self.pair = _encoder(task.lookback + (task.horizon if aligned else 0), width)
        self.truth = None if aligned else _encoder(task.horizon, width)

    def concept(self, x: Tensor, y: Tensor) -> Tensor:
        """Encoding ``(B, D)`` of pairs: windows ``(B, L, C_in)`` and truths ``(B, H, C_out)``."""
        if self.truth is not None:
            both: Tensor = self.pair(x.mT).mean(dim=1) + self.truth(y.mT).mean(dim=1)
            return both
        rows = torch.cat([x[:, :, list(self.task.target_index or ())], y], dim=1)
        encoded: Tensor = self.pair(rows.mT).mean(dim=1)
        return encoded

    def forward(self, windows: Tensor, concepts: Tensor) -> Tensor:
        """``(B, L, C_in)`` and concepts ``(B, D)`` to ``(B, D)``."""
        drift: Tensor = self.window(windows.mT).mean(dim=1) - concepts
        norm: Tensor = drift.norm(dim=1, keepdim=True)
        return drift / norm.clamp(min=1)


def _encoder(rows: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(rows, width), nn.GELU(), nn.Linear(width, width))


class Generator(nn.Module):
    """Forecasts of a model whose layers are modulated, each window's by its own drift."""

    def __init__(self, model: nn.Module, task: Task, concept: int, bottleneck: int) -> None:
        super().__init__()
        self.drift = Drift(task, concept)
        self.modulation = LayerModulation(model, concept, bottleneck)

    def forecast(self, model: nn.Module, windows: Tensor, concepts: Tensor) -> Tensor:
        """``(B, L, C_in)`` and concepts ``(B, D)`` to ``(B, H, C_out)``."""
        parameters = dict(model.named_parameters())

        def one(drift: Tensor, window: Tensor) -> Tensor:
            made: Tensor = functional_call(model, self.modulation(drift, parameters), (window[None],))
            return made[0]

        drifts = self.drift(windows, concepts)
        if len(windows) == 1:
            return one(drifts[0], windows[0])[None]
        with sdpa_kernel(SDPBackend.MATH):  # torch cannot map its fused attention on a CPU
            made: Tensor = torch.vmap(one)(drifts, windows)
        return made


class GeneratorTraining(nn.Module):
    """Trains a generator on a fixed model.

    Beside a training window stands any other pair, beside a validation window the newest that was known then.
    """

    def __init__(self, generator: Generator, model: nn.Module) -> None:
        super().__init__()
        self.generator = generator
        self._model = [model.requires_grad_(requires_grad=False)]  # no part of what is trained

    def objective(self, plain: Any, pairs: Pairs, validation: Pairs, training: TrainingConfig, seed: int) -> Any:
        """The recipe asks this in place of its own."""
        del plain
        self.pairs, self.validation, self.most = pairs, validation, training.validation_windows
        self.rng = np.random.default_rng(seed)
        return self

    def loss(self, windows: int) -> Tensor:
        """MSE of a batch, each pair beside another one."""
        drawn = torch.from_numpy(self.rng.integers(len(self.pairs), size=(2, windows)))
        chosen, others = drawn.to(self.pairs.origins.device)
        x, y = self.pairs.take(chosen)
        return mean_square(self._made(x, *self.pairs.take(others)), y)

    @torch.no_grad()
    def validation_error(self) -> float:
        """MSE of validation pairs, each beside the newest that was known at its origin."""
        self.eval()
        count, lag = len(self.validation), self.validation.horizon
        chosen = torch.linspace(min(lag, count - 1), count - 1, min(count, self.most)).round().long()
        chosen = chosen.to(self.validation.origins.device)
        x, y = self.validation.take(chosen)
        return float(mean_square(self._made(x, *self.validation.take((chosen - lag).clamp(min=0))), y))

    def _made(self, windows: Tensor, x: Tensor, y: Tensor) -> Tensor:
        return self.generator.forecast(self._model[0], windows, self.generator.drift.concept(x, y))


class ProceedConfig(OnlineConfig):
    """Options of `proceed`.

    Attributes:
        generator: Whether weights are modulated; without, this is `ogd`.
        concept: Width of the encodings.
        bottleneck: Width of the generators.
    """

    online_lr: NonNegativeFloat = 1e-4
    generator: bool = True
    concept: PositiveInt = 64
    bottleneck: PositiveInt = 32


@register_strategy("proceed")
class Proceed(LearnsOnline):
    """PROCEED: layers are scaled and shifted by the drift from the newest known pair to the present window.

    The generator is trained before the stream and fixed then; the forecaster takes a step on new pairs, through the
    modulated weights.

    Source: Zhao and Shen (KDD 2025, arXiv 2412.08435). The generator is trained on a fixed forecaster, and not in the
    validation rows' own stream; pairs beside a window are drawn from all training pairs.
    """

    Config: ClassVar[type[StrategyConfig]] = ProceedConfig
    needs = frozenset({"gradients", "functional"})
    ablation_of: ClassVar[dict[str, str]] = {"generating weights from the drift": "ogd"}
    takes_partial = False
    carries = "the weights, the optimiser's moments, and encodings of the newest pairs"
    pretrain_options = ("generator", "concept", "bottleneck")
    tiny: ClassVar[dict[str, Any]] = {"concept": 3, "bottleneck": 2}

    @classmethod
    def make_parts(cls, config: Any, task: Task, forecaster: Any) -> nn.Module | None:
        """The generator."""
        return Generator(forecaster, task, config.concept, config.bottleneck) if config.generator else None

    @classmethod
    def train_parts(
        cls, parts: nn.Module, forecaster: Any, pairs: Pairs, validation: Pairs, config: Any, seed: int
    ) -> None:
        """On what the forecaster misses, which is fixed."""
        del config
        assert isinstance(parts, Generator)
        train_by_gradients(GeneratorTraining(parts, forecaster), pairs, validation, TRAINING, seed)

    def setup(self) -> None:
        """Start from the history's last pair."""
        super().setup()
        if self.parts is None:
            return
        self.parts.requires_grad_(requires_grad=False)
        pairs = self.history.pairs(self.protocol)
        self.newest = self.parts.drift.concept(*pairs.take(slice(len(pairs) - 1, None)))
        rows = self.protocol.block * self.protocol.stride
        self.most = 2 + math.ceil((2 * self.protocol.horizon + self.protocol.delay + rows) / rows)
        self.known: list[tuple[int, Tensor]] = []  # first origin of a block, and the newest concept there

    def adapt(self, feedback: Feedback) -> None:
        """A step through the weights as they were modulated for these pairs."""
        if self.parts is None:
            super().adapt(feedback)
            return
        if len(feedback):
            concepts = torch.cat([self._concept_at(int(origin)) for origin in feedback.origins])
            x, y = feedback.x, feedback.y
            self.online.learn(lambda: mean_square(self.parts.forecast(self.forecaster, x, concepts), y))
            self.newest = self.parts.drift.concept(x[-1:], y[-1:])
        self.known = [*self.known, (feedback.now, self.newest)][-self.most :]

    def _concept_at(self, origin: int) -> Tensor:
        """The newest concept ``(1, D)`` that was known at an origin, or the oldest that is kept."""
        earlier = [concept for first, concept in self.known if first <= origin]
        return earlier[-1] if earlier else self.known[0][1] if self.known else self.newest

    def forecast(self, windows: Tensor) -> Tensor:
        """With weights of each window's own."""
        if self.parts is None:
            return super().forecast(windows)
        concepts = self.newest.expand(len(windows), -1)
        made: Tensor = self.parts.forecast(self.forecaster, windows, concepts)
        return made
