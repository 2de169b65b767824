"""Mixing the forecasts of experts by exponential weights."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field, NonNegativeFloat
from torch import Tensor

from bench import Feedback, Search, Strategy, StrategyConfig, register_strategy
from bench.adaptation.exponential_weights import ExponentialWeights
from bench.adaptation.waiting_forecasts import WaitingForecasts
from bench.contracts.strategy import StrategyContext

from .baselines import Frozen, Persistence, SeasonalNaive
from .rls import RecursiveLeastSquares

Expert = Literal["persistence", "seasonal-naive", "frozen", "rls"]
EXPERTS: dict[Expert, type[Strategy]] = {
    "persistence": Persistence, "seasonal-naive": SeasonalNaive, "frozen": Frozen, "rls": RecursiveLeastSquares,
}  # fmt: skip


class HedgeConfig(StrategyConfig):
    """Options of `hedge`.

    Attributes:
        experts: Strategies whose forecasts are mixed, with their own defaults.
        rate: Learning rate, for losses between 0 and 1: an expert's squared error, as a share of all experts'.
        kept: What a pair leaves of the losses before it; 1 forgets nothing.
    """

    experts: tuple[Expert, ...] = Field(tuple(EXPERTS), min_length=1)
    rate: Annotated[NonNegativeFloat, Search(0.03, 3.0, log=True)] = 0.3
    kept: Annotated[float, Search(choices=(0.9, 0.97, 0.99, 0.997, 0.999, 1.0))] = Field(0.99, gt=0, le=1)


@register_strategy("hedge")
class Hedge(Strategy):
    """Exponential weights over persistence, seasonal naive, the frozen forecaster and recursive least squares.

    Each target has weights of its own, by what the forecasts missed that were made for the pairs which matured.

    Source: Cesa-Bianchi and Lugosi (2006), section 2.1; with a discount, section 2.11.
    """

    Config: ClassVar[type[StrategyConfig]] = HedgeConfig
    group = "literature"
    uses_forecaster = True
    reads_exogenous = False
    takes_partial = True  # an expert does
    carries = "the weights of the experts, and what these carry"
    ablation_of: ClassVar[dict[str, str]] = {"mixing simple forecasts with the forecaster's": "frozen"}

    def setup(self) -> None:
        """Start all experts, with equal weights."""
        given = self.forecaster, self.history, self.protocol, self.rng, self.device
        classes = (EXPERTS[name] for name in self.config.experts)
        self.experts = [cls(StrategyContext(cls.Config(), *given)) for cls in classes]
        losses = torch.zeros(len(self.experts), self.history.targets.shape[1], device=self.device)
        self.mix = ExponentialWeights(losses, self.config.rate, self.config.kept)
        self.waiting = WaitingForecasts(self.protocol)

    def observe(self, rows: Tensor) -> None:
        """To all experts."""
        for expert in self.experts:
            expert.observe(rows)

    def adapt(self, feedback: Feedback) -> None:
        """Weigh the experts by what they missed; then they learn."""
        made, found = self.waiting.matured(feedback)
        for forecasts, y in zip(made, feedback.y[found], strict=True):
            losses = (forecasts - y).square().mean(dim=1)
            self.mix.update(losses / losses.sum(dim=0).clamp(min=torch.finfo(losses.dtype).tiny))
        for expert in self.experts:
            expert.adapt(feedback)

    def predict(self, windows: Tensor) -> Tensor:
        """The experts' forecasts, weighed."""
        made = [torch.as_tensor(expert.predict(windows), device=windows.device) for expert in self.experts]
        forecasts = torch.stack(made, dim=1)  # (K, E, H, C_out)
        self.waiting.add(forecasts)
        return (forecasts * self.mix.shares()[:, None]).sum(dim=1)

    def trace(self) -> dict[str, float]:
        """Weights of the experts, in the mean over targets."""
        return dict(zip(self.config.experts, self.mix.shares().mean(dim=1).tolist(), strict=True))
