"""A memory of errors on any frozen forecaster, and on ridge regression: what of Titans D is the memory alone."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from bench import Pairs, Strategy, StrategyConfig, Task, register_strategy
from bench.adaptation.error_memory import ErrorMemoryConfig, RemembersErrors
from bench.forecasters.linear import Ridge, RidgeConfig

from .baselines import Frozen


@register_strategy("error-memory")
class ErrorMemoryOnFrozen(RemembersErrors, Frozen):
    """Any forecaster as it was trained, with a memory of what it missed."""

    Config: ClassVar[type[StrategyConfig]] = ErrorMemoryConfig
    group = "control"
    adapts = True
    carries = "the memory of errors"
    ablation_of: ClassVar[dict[str, str]] = {"remembering the errors of a frozen forecaster": "frozen"}
    memory_of = "errors (learns from matured labels)"
    colour = "#1b9e77"


class FrozenRidge(Strategy):
    """Ridge regression, solved on the rows released before service."""

    def setup(self) -> None:
        """Solve it."""
        super().setup()
        L, H, history = self.protocol.lookback, self.protocol.horizon, self.history
        task = Task(L, H, history.inputs.shape[1], history.targets.shape[1], history.target_index)
        origins = torch.arange(L, len(history) - H + 1, device=self.device)
        pairs = Pairs(history.inputs, history.targets, origins, L, H)
        self.ridge = Ridge(RidgeConfig(), task).to(self.device)
        self.ridge.fit(pairs, pairs)

    def predict(self, windows: Tensor) -> Tensor:
        """Forecast each window by itself."""
        return self.ridge(windows)  # type: ignore[no-any-return]


@register_strategy("ridge-d")
class RidgeD(RemembersErrors, FrozenRidge):
    """Control: the memory of errors of Titans D on ridge regression, without a transformer."""

    Config: ClassVar[type[StrategyConfig]] = ErrorMemoryConfig
    group = "control"
    reads_exogenous: ClassVar[bool] = False
    carries = "the memory of errors"
    colour = "#b15928"
