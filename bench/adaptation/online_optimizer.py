"""Gradient steps on a model in service: the optimiser, clipping, and a guard against divergence."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, Literal

import torch
from pydantic import BeforeValidator, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

from bench.adaptation.fused_optimizer import fused_optimizer
from bench.contracts.config import Search
from bench.contracts.strategy import StrategyConfig

SUSPECT = 100.0
"""A loss is suspect beyond so many times the usual one; weights have diverged beyond so many times the good ones'."""

USUAL_RATE = 0.01
"""Weight of each loss in the exponential mean that is the usual loss; it counts as twice the usual one at most."""

KEPT_EVERY = 64
"""Steps between two copies of good weights."""

Clip = Annotated[PositiveFloat | None, BeforeValidator(lambda v: None if v == "none" else v)]


class OnlineConfig(StrategyConfig):
    """How weights learn in service. The optimiser starts afresh, without the moments of pre-training.

    Attributes:
        optimizer: ``adam``, ``adamw`` or ``sgd``.
        online_lr: Step size; 0 learns nothing.
        weight_decay: As a part of the gradient; with ``adamw``, apart from it.
        online_clip: Largest norm of the gradient; None (in TOML, ``"none"``) does not clip.
        steps: Steps at each release of labels.
        mode: Whether the model is in ``eval`` or ``train`` mode during a step. ``train``, as in public code, switches
            dropout on, and lets single windows move the statistics of batch normalisation.
    """

    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    online_lr: Annotated[NonNegativeFloat, Search(1e-6, 1e-2, log=True)] = 1e-4
    weight_decay: NonNegativeFloat = 0.0
    online_clip: Clip = None
    steps: PositiveInt = 1
    mode: Literal["eval", "train"] = "eval"


class OnlineOptimizer:
    """Steps of some parameters of a model; all others are fixed.

    A loss that is not finite, or far beyond the usual, is computed with the last good weights too: where these do far
    better on the same pairs, the weights have diverged. The good ones are then restored, and the optimiser starts
    afresh. Where these do no better, it is the data that changed: learning goes on, with no step on a loss that is not
    finite.

    Args:
        model: What learns, in place.
        parameters: The parameters that learn.
        config: Options by the names of an `OnlineConfig`.

    Attributes:
        taken: Steps taken.
        returns: Returns to the last good weights.
    """

    def __init__(self, model: nn.Module, parameters: Iterable[nn.Parameter], config: Any) -> None:
        self.model, self.config = model, config
        model.requires_grad_(requires_grad=False)
        self.parameters = list(parameters)
        for parameter in self.parameters:
            parameter.requires_grad_()
        self.taken = self.returns = 0
        self._usual = math.nan
        self.start_afresh()
        self._keep()

    @property
    def learns(self) -> bool:
        """Whether a step changes anything."""
        return bool(self.config.online_lr and self.parameters)

    def learn(self, loss_of: Callable[[], Tensor], factors: Sequence[float] = ()) -> None:
        """Take the configured number of steps.

        Args:
            loss_of: Computes the loss with the present weights: a scalar with a graph.
            factors: Of the step size, one for each step to be taken; by default all are 1.
        """
        if not self.learns:
            return
        trains = self.config.mode == "train"
        if trains:
            self.model.train()
        for factor in factors or (1.0,) * self.config.steps:
            if factors:
                self.set_rate(factor * self.config.online_lr)
            self._step(loss_of)
        if trains:
            self.model.eval()

    def set_rate(self, rate: float) -> None:
        """Set the step size from now on."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def _step(self, loss_of: Callable[[], Tensor]) -> None:
        loss = loss_of()
        size = float(loss.detach())
        if self.taken and not size <= SUSPECT * self._usual:
            self._return_if(lambda: self._did_better(size, loss_of))
            loss = loss_of()
            size = float(loss.detach())
        if not math.isfinite(size):
            return
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if self.config.online_clip is not None:
            nn.utils.clip_grad_norm_(self.parameters, self.config.online_clip)
        self._note(size)
        self.optimizer.step()
        self.taken += 1

    def _note(self, size: float) -> None:
        """Follow the usual loss, and copy the weights from time to time where they are good."""
        if not self.taken:
            self._usual = size
        self._usual += USUAL_RATE * (min(size, 2 * self._usual) - self._usual)
        if size <= self._usual and self.taken - self._kept_at >= KEPT_EVERY:
            self._keep()

    def sound(self, forecast_of: Callable[[], Tensor]) -> Tensor:
        """A forecast; of the last good weights, which are restored, where only these make one that is finite."""
        forecast = forecast_of()
        if self.taken and not forecast.isfinite().all():
            self._return_if(lambda: bool(forecast_of().isfinite().all()))
            return forecast_of()
        return forecast

    def _did_better(self, size: float, loss_of: Callable[[], Tensor]) -> bool:
        """Whether the weights now in place have a far smaller loss."""
        with torch.no_grad():
            good = float(loss_of())
        return math.isfinite(good) and not size <= SUSPECT * good

    def _return_if(self, are_better: Callable[[], bool]) -> None:
        """Go back to the last good weights if they are found to be better."""
        present = [p.detach().clone() for p in self.parameters]
        self.put(self._good)
        if are_better():
            self.start_afresh()
            self.returns += 1
        else:
            self.put(present)

    def _keep(self) -> None:
        self._good, self._kept_at = [p.detach().clone() for p in self.parameters], self.taken

    @torch.no_grad()
    def put(self, weights: list[Tensor]) -> None:
        """Set the parameters that learn to copies of some weights."""
        for parameter, weight in zip(self.parameters, weights, strict=True):
            parameter.copy_(weight)

    def start_afresh(self) -> None:
        """Forget the optimiser's moments."""
        self.optimizer = optimizer_of(self.parameters, self.config)


def optimizer_of(parameters: list[nn.Parameter], config: Any) -> torch.optim.Optimizer:
    """A new optimiser with the options of an `OnlineConfig`."""
    return fused_optimizer(config.optimizer, parameters, lr=config.online_lr, weight_decay=config.weight_decay)


def mean_square(forecast: Tensor, truth: Tensor, known: Tensor | None = None) -> Tensor:
    """Mean squared error of ``(B, H, C_out)`` forecasts, over the rows ``(B, H)`` of the truth that are known."""
    if known is None:
        return nn.functional.mse_loss(forecast, truth)
    return ((forecast - truth).square() * known[..., None]).sum() / (known.sum() * truth.shape[-1])
