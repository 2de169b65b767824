"""Gradient steps on a model in service: the optimiser, clipping, and a guard against divergence."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, Literal

import torch
from pydantic import BeforeValidator, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

from bench.adaptation.fused_optimizer import fused_optimizer
from bench.adaptation.stack import Stack
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
        if self.suspects(size):
            self.return_if(lambda: self.did_better(size, loss_of))
            loss = loss_of()
            size = float(loss.detach())
        if not math.isfinite(size):
            return
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.prepare(size)
        self.optimizer.step()
        self.taken += 1

    def suspects(self, size: float) -> bool:
        """Whether a loss is not finite, or far beyond the usual."""
        return bool(self.taken) and not size <= SUSPECT * self._usual

    def prepare(self, size: float) -> None:
        """Before a step: clip its gradient, follow the usual loss, and now and then copy weights that are good."""
        if self.config.online_clip is not None:
            nn.utils.clip_grad_norm_(self.parameters, self.config.online_clip)
        if not self.taken:
            self._usual = size
        self._usual += USUAL_RATE * (min(size, 2 * self._usual) - self._usual)
        if size <= self._usual and self.taken - self._kept_at >= KEPT_EVERY:
            self._keep()

    def sound(self, forecast_of: Callable[[], Tensor]) -> Tensor:
        """A forecast; of the last good weights, which are restored, where only these make one that is finite."""
        forecast = forecast_of()
        if self.taken and not forecast.isfinite().all():
            self.return_if(lambda: bool(forecast_of().isfinite().all()))
            return forecast_of()
        return forecast

    def did_better(self, size: float, loss_of: Callable[[], Tensor]) -> bool:
        """Whether the weights now in place have a far smaller loss."""
        with torch.no_grad():
            good = float(loss_of())
        return math.isfinite(good) and not size <= SUSPECT * good

    def return_if(self, are_better: Callable[[], bool]) -> bool:
        """Go back to the last good weights if they are found to be better, and say whether."""
        present = [p.detach().clone() for p in self.parameters]
        self.put(self._good)
        if are_better():
            self.start_afresh()
            self.returns += 1
            return True
        self.put(present)
        return False

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


class StackedOptimizer:
    """Steps of M stacked models, each as its own `OnlineOptimizer` takes it, guards included.

    Args:
        stack: The models' weights; those that learn require a gradient.
        members: The optimiser of each model, whose counts and copies of good weights go on.
    """

    def __init__(self, stack: Stack, members: Sequence[OnlineOptimizer]) -> None:
        self.members = list(members)
        self._leaves = [weight for weight in stack.weights.values() if weight.requires_grad]
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for member in self.members:
            rates = member.config.online_lr, member.config.weight_decay
            groups.setdefault(rates, []).extend(member.parameters)
        self._optimizer = optimizer_of(
            [{"params": own, "lr": lr, "weight_decay": decay} for (lr, decay), own in groups.items()],
            self.members[0].config,
        )

    def learn(self, losses_of: Callable[[], Tensor]) -> None:
        """Take the configured number of steps.

        Args:
            losses_of: Computes the loss of each model with the present weights: ``(M,)`` with a graph.
        """
        if self.members[0].learns:
            for _ in range(self.members[0].config.steps):
                self._step(losses_of)

    def _step(self, losses_of: Callable[[], Tensor]) -> None:
        losses = losses_of()
        sizes = losses.tolist()
        if suspects := [i for i, member in enumerate(self.members) if member.suspects(sizes[i])]:
            for i in suspects:
                self._check(i, lambda member, i=i: member.did_better(sizes[i], lambda: losses_of()[i]))  # type: ignore[misc]
            losses = losses_of()
            sizes = losses.tolist()
        # a gradient that is not contiguous gives wrong steps in torch's fused kernels
        slopes = [slope.contiguous() for slope in torch.autograd.grad(losses.sum(), self._leaves)]
        stepping = [math.isfinite(size) for size in sizes]
        for member, own, steps in zip(self.members, zip(*slopes, strict=True), stepping, strict=True):
            for parameter, slope in zip(member.parameters, own, strict=True):
                parameter.grad = slope if steps else None
        for member, size, steps in zip(self.members, sizes, stepping, strict=True):
            if steps:
                member.prepare(size)
        self._optimizer.step()
        for member, steps in zip(self.members, stepping, strict=True):
            member.taken += steps

    def sound(self, forecasts_of: Callable[[], Tensor]) -> Tensor:
        """Forecasts ``(M, ...)``; those of each model as by `OnlineOptimizer.sound`."""
        forecasts = forecasts_of()
        if forecasts.isfinite().all():
            return forecasts
        for i, fit in enumerate(forecasts.isfinite().flatten(1).all(dim=1).tolist()):
            if self.members[i].taken and not fit:
                self._check(i, lambda _, i=i: bool(forecasts_of()[i].isfinite().all()))  # type: ignore[misc]
        return forecasts_of()

    def _check(self, i: int, are_better: Callable[[OnlineOptimizer], bool]) -> None:
        """Go back to one model's last good weights if they are found to be better."""
        member = self.members[i]
        if member.return_if(lambda: are_better(member)):
            for parameter in member.parameters:
                self._optimizer.state.pop(parameter, None)


def optimizer_of(parameters: list[nn.Parameter] | list[dict[str, Any]], config: Any) -> torch.optim.Optimizer:
    """A new optimiser with the options of an `OnlineConfig`."""
    return fused_optimizer(config.optimizer, parameters, lr=config.online_lr, weight_decay=config.weight_decay)


def mean_square(forecast: Tensor, truth: Tensor, known: Tensor | None = None) -> Tensor:
    """Mean squared error of ``(B, H, C_out)`` forecasts, over the rows ``(B, H)`` of the truth that are known."""
    if known is None:
        return nn.functional.mse_loss(forecast, truth)
    return ((forecast - truth).square() * known[..., None]).sum() / (known.sum() * truth.shape[-1])


def mean_squares(forecasts: Tensor, truth: Tensor, known: Tensor | None = None) -> Tensor:
    """`mean_square` of the forecasts ``(M, B, H, C_out)`` of each model, ``(M,)``."""
    squares = (forecasts - truth).square()
    if known is None:
        return squares.flatten(1).mean(dim=1)
    return (squares * known[..., None]).flatten(1).sum(dim=1) / (known.sum() * truth.shape[-1])
