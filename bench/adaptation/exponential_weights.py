"""Exponential weights: how much each of several forecasts counts, by the losses that it had."""

from __future__ import annotations

import torch
from torch import Tensor


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
