"""Exponential weights: how much each of several forecasts counts, by the losses that it had."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.contracts.protocol import Protocol
from bench.contracts.strategy import Feedback


class ExponentialWeights:
    """Weights proportional to ``exp(-rate * losses)``.

    Source: exponentially weighted average forecasts, Cesa-Bianchi and Lugosi (2006), "Prediction, learning, and
        games", section 2.1; with a discount, section 2.11.

    Args:
        losses: ``(E, ...)``, at first: E forecasts, and weights of their own for each place of the other dimensions.
        rate: Learning rate; 0 weighs all alike.
        kept: What one unit of new losses leaves of those before it; 1 forgets nothing.

    Attributes:
        losses: The discounted sum.
    """

    def __init__(self, losses: Tensor, rate: float, kept: float = 1.0) -> None:
        self.losses, self.rate, self.kept = losses, rate, kept

    def update(self, losses: Tensor, amount: float = 1.0) -> None:
        """Add losses ``(E, ...)``, as an amount of one unit."""
        self.losses = self.kept**amount * self.losses + amount * losses

    def shares(self) -> Tensor:
        """Weights ``(E, ...)``, which add up to 1."""
        return torch.softmax(-self.rate * self.losses, dim=0)


class WaitingForecasts:
    """What was forecast, by origin, until its truth is known.

    Args:
        protocol: It says how many origins wait at most. The oldest are forgotten: their labels are not released.
        rows: Rows of the history.

    Attributes:
        now: Rows that are visible: the next origin.
    """

    def __init__(self, protocol: Protocol, rows: int) -> None:
        self._stride, self.now = protocol.stride, rows
        self._most = protocol.lag // protocol.stride + 2 * protocol.block + 2
        self._made: dict[int, Tensor] = {}

    def see(self, rows: int) -> None:
        """Count rows that became visible: the next origin stands after them."""
        self.now += rows

    def add(self, forecasts: Tensor) -> None:
        """Keep what was forecast for a block of K origins, ``(K, ...)``."""
        for i, forecast in enumerate(forecasts.unbind()):
            self._made[self.now + i * self._stride] = forecast
        for origin in list(self._made)[: -self._most]:
            del self._made[origin]

    def matured(self, feedback: Feedback) -> tuple[Tensor, list[int]]:
        """What was forecast for new pairs, ``(P', ...)``, and the places of these among the pairs; it waits no longer.

        Pairs whose origins were not forecast, as between strides, are left out.
        """
        found = [i for i, origin in enumerate(feedback.origins.tolist()) if origin in self._made]
        made = [self._made.pop(int(feedback.origins[i])) for i in found]
        return torch.stack(made) if made else torch.empty(0), found
