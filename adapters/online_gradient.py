"""Online gradient descent of all weights, the head, or a gain and shift; and statistics that follow without labels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field, NonNegativeFloat
from torch import Tensor, nn

from bench import BenchError, Feedback, Planned, Search, StrategyConfig, Together, register_strategy
from bench.adaptation.online_optimizer import (
    OnlineConfig,
    OnlineOptimizer,
    StackedOptimizer,
    mean_square,
    mean_squares,
)
from bench.adaptation.stack import Stack, can_stack
from bench.contracts.forecaster import abilities, parameters_of
from bench.forecasters.window_normalization import WindowNormalization

from .baselines import Frozen

LEAST_DEVIATION = 0.1
"""A column's deviation is never taken to be less, in training deviations: a sensor may be stuck for a while."""


class GradientConfig(OnlineConfig):
    """Options of the online step, and what it learns from.

    Attributes:
        partial: Whether the known rows of truths that are not over count too, where the protocol releases them.
    """

    partial: bool = True


class OGDConfig(GradientConfig):
    """Options of online gradient descent.

    Attributes:
        trains: All weights, or the head's only, where the forecaster names them.
    """

    trains: Literal["all", "head"] = "all"


class LearnsOnline(Frozen):
    """A forecaster whose weights, or some of them, take steps on newly matured pairs."""

    group: ClassVar[Any] = "literature"
    adapts: ClassVar[bool] = True
    needs = frozenset({"gradients"})
    takes_partial: ClassVar[bool] = True
    heavy = True
    carries: ClassVar[str] = "the weights and the optimiser's moments"

    def setup(self) -> None:
        """Choose what learns."""
        learning = self.learning()
        super().setup()
        self.online = OnlineOptimizer(self.forecaster, learning, self.config)

    def learning(self) -> list[nn.Parameter]:
        """The parameters that learn: all that were trained."""
        return [p for p in self.forecaster.parameters() if p.requires_grad]

    def learned(self) -> list[nn.Parameter]:
        """What `learning` chose."""
        return self.online.parameters

    def adapt(self, feedback: Feedback) -> None:
        """Steps on the mean squared error of what became known."""
        x, y, known = labelled(feedback, self.config)
        if len(x):
            self.online.learn(lambda: self.loss(self.forecast(x), y, known))

    def loss(self, forecast: Tensor, truth: Tensor, known: Tensor | None) -> Tensor:
        """What a step lowers; as `mean_square`, which it is by default."""
        return mean_square(forecast, truth, known)

    def forecast(self, windows: Tensor) -> Tensor:
        """Forecasts ``(B, H, C_out)`` of windows ``(B, L, C_in)``, with a graph where gradients are on."""
        return self.forecaster(windows)  # type: ignore[no-any-return]

    @torch.inference_mode()
    def predict(self, windows: Tensor) -> Tensor:
        """Forecast with the present weights."""
        return self.online.sound(lambda: self.forecast(windows))

    def trace(self) -> dict[str, float]:
        """Steps taken, and returns to the last good weights."""
        return {"steps": float(self.online.taken), "returns": float(self.online.returns)}


def labelled(feedback: Feedback, config: Any) -> tuple[Tensor, Tensor, Tensor | None]:
    """Windows and truths to learn from, and which rows of each truth are known; None for all."""
    x, y, ongoing = feedback.x, feedback.y, feedback.partial
    if not (ongoing and config.partial):
        return x, y, None
    whole = torch.ones(y.shape[:2], dtype=torch.bool, device=y.device)
    return torch.cat([x, ongoing.x]), torch.cat([y, ongoing.y]), torch.cat([whole, ongoing.known])


class StackedDescent(Together):
    """Online gradient descent of several models whose weights are stacked."""

    def __init__(self, strategies: Sequence[LearnsOnline]) -> None:
        self.config = strategies[0].config
        self.stack = Stack([strategy.forecaster for strategy in strategies])
        self.online = StackedOptimizer(self.stack, [strategy.online for strategy in strategies])

    def adapt(self, feedback: Feedback) -> None:
        """A step of each model on what became known."""
        x, y, known = labelled(feedback, self.config)
        if len(x):
            self.online.learn(lambda: mean_squares(self.stack.forecast(x), y, known))

    @torch.inference_mode()
    def predict(self, windows: Tensor) -> Tensor:
        """``(M, K, H, C_out)``, with the present weights."""
        return self.online.sound(lambda: self.stack.forecast(windows))


@register_strategy("ogd")
class OnlineGradientDescent(LearnsOnline):
    """Online gradient descent: a step on each newly matured pair.

    Source: Zinkevich (ICML 2003); with labels as late as here, "DGrad" in DSOF (Lau and others, ICLR 2025).
    """

    Config: ClassVar[type[StrategyConfig]] = OGDConfig

    @classmethod
    def check_service(cls, config: Any, planned: Planned) -> None:
        """A head can be trained where the forecaster names one."""
        if config.trains == "head" and planned.forecaster and "head" not in abilities(planned.forecaster):
            raise BenchError('ogd: trains = "head", and the forecaster names no head_modules. Leave it out.')

    @classmethod
    def together(cls, strategies: Sequence[Any]) -> Together | None:
        """Stacked, where no step draws random numbers."""
        fit = strategies[0].config.mode == "eval" and can_stack([strategy.forecaster for strategy in strategies])
        return StackedDescent(strategies) if fit else None

    def learning(self) -> list[nn.Parameter]:
        """All weights, or the head's."""
        if self.config.trains == "head":
            return list(parameters_of(self.forecaster, "head").values())
        return super().learning()


class AffineConfig(GradientConfig):
    """Options of `norm-affine`."""

    online_lr: NonNegativeFloat = 1e-3


@register_strategy("norm-affine")
class NormAffine(LearnsOnline):
    """Only the gain and shift of each column learn: those of the window's normalisation, or around a forecaster.

    Source: the parameters that norm-only adaptation moves (arXiv 2602.00073); RevIN (Kim and others, ICLR 2022).
    """

    Config: ClassVar[type[StrategyConfig]] = AffineConfig
    carries = "a gain and a shift of each column, and the optimiser's moments"

    def learning(self) -> list[nn.Parameter]:
        """Gain and shift, ``(2, C_in)``: 1 and 0 where there were none."""
        columns = self.history.inputs.shape[1]
        identity = nn.Parameter(torch.stack([torch.ones(columns), torch.zeros(columns)]).to(self.device))
        self.around: nn.Parameter | None = None
        own = window_normalization(self.forecaster)
        if own is None:
            self.around = identity
            return [identity]
        if own.affine is None:
            own.affine = identity
        return [own.affine]

    def forecast(self, windows: Tensor) -> Tensor:
        """With gain and shift, which the forecast is freed of again where its targets are inputs."""
        if self.around is None:
            return super().forecast(windows)
        gain, shift = self.around
        return rescaled(super().forecast, windows, -shift / gain, 1 / gain, self.history.target_index)


class StatisticsConfig(StrategyConfig):
    """Options of `norm-stats`.

    Attributes:
        rate: Weight of each new row in the exponential means; 0 changes nothing.
    """

    rate: Annotated[float, Search(1e-3, 0.1, log=True)] = Field(0.01, ge=0, lt=1)


@register_strategy("norm-stats")
class NormStatistics(Frozen):
    """Exponential mean and deviation of recent rows, in place of the window's or the training rows'; without labels.

    Source: the update of normalisation statistics, as in arXiv 2602.00073; for images, Schneider and others (NeurIPS
    2020).
    """

    Config: ClassVar[type[StrategyConfig]] = StatisticsConfig
    group = "literature"
    adapts = True
    carries = "mean and deviation of each column"

    def setup(self) -> None:
        """Start from the training rows' statistics, followed by the history."""
        super().setup()
        one = torch.ones_like(self.history.inputs[0])
        self.mean, self.variance = one - 1, one
        if not self.config.rate:
            return
        own = window_normalization(self.forecaster)
        if own is not None and own.kind == "mean-std":
            own.kind = "none"
        self.observe(self.history.inputs)

    def observe(self, rows: Tensor) -> None:
        """Follow the rows."""
        left = 1 - self.config.rate
        weights = self.config.rate * left ** torch.arange(len(rows) - 1, -1, -1, device=rows.device)
        kept, before = left ** len(rows), self.mean
        self.mean = kept * before + weights @ rows
        spread = self.variance + (before - self.mean).square()
        self.variance = kept * spread + weights @ (rows - self.mean).square()

    def predict(self, windows: Tensor) -> Tensor:
        """Forecast windows that are freed of mean and deviation, which the forecast is given back."""
        if not self.config.rate:
            return super().predict(windows)
        deviation = self.variance.clamp(min=LEAST_DEVIATION**2).sqrt()
        return rescaled(super().predict, windows, self.mean, deviation, self.history.target_index)


def window_normalization(forecaster: Any) -> WindowNormalization | None:
    """The part of a forecaster that normalises windows, if it has one."""
    modules = forecaster.modules() if isinstance(forecaster, nn.Module) else ()
    return next((module for module in modules if isinstance(module, WindowNormalization)), None)


def rescaled(
    forecast: Callable[[Tensor], Tensor], windows: Tensor, level: Tensor, scale: Tensor, index: tuple[int, ...] | None
) -> Tensor:
    """Forecast windows less a level, over a scale, ``(C_in,)`` each; undone for targets that are inputs."""
    made = torch.as_tensor(forecast((windows - level) / scale), device=windows.device)
    return made if index is None else made * scale[list(index)] + level[list(index)]
