"""Buffers of matured pairs to learn from again, and which of them to take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

Kind = Literal["reservoir", "fifo"]
Samples = tuple[Tensor, ...]


class ReplayBuffer:
    """A bounded number of samples, each a tuple of tensors.

    Args:
        kind: ``fifo`` keeps the latest samples; ``reservoir`` keeps each of all samples so far with the same chance
            (Vitter's algorithm R, 1985).
        size: Most samples; 0 keeps none.
        rng: Draws what is replaced and what is sampled.

    Attributes:
        seen: Samples that were added so far.
    """

    def __init__(self, kind: Kind, size: int, rng: np.random.Generator) -> None:
        self.kind, self.size, self.seen, self._rng = kind, size, 0, rng
        self._held: Samples = ()

    def __len__(self) -> int:
        return min(self.seen, self.size)

    def add(self, *columns: Tensor) -> None:
        """Add samples in order: ``(P, ...)`` tensors, which are copied."""
        if not self.size:
            return
        if not self._held:
            self._held = tuple(column.new_empty(self.size, *column.shape[1:]) for column in columns)
        for i in range(len(columns[0])):
            place = self._place()
            self.seen += 1
            if place < self.size:
                for held, column in zip(self._held, columns, strict=True):
                    held[place] = column[i]

    def _place(self) -> int:
        if self.seen < self.size:
            return self.seen
        return self.seen % self.size if self.kind == "fifo" else int(self._rng.integers(self.seen + 1))

    def draw(self, count: int) -> Samples:
        """Samples without replacement, ``(count, ...)`` each, or all of them if there are fewer."""
        chosen = self._rng.choice(len(self), min(count, len(self)), replace=False)
        return self.take(torch.from_numpy(chosen))

    def take(self, index: Tensor) -> Samples:
        """The samples at some places."""
        return tuple(held[index.to(held.device)] for held in self._held)

    def newest_first(self) -> Tensor:
        """Places of a ``fifo``'s samples, the newest first."""
        return (self.seen - 1 - torch.arange(len(self))) % max(1, self.size)


def most_interfered(
    parameters: list[nn.Parameter], new_loss: Tensor, rate: float, loss_of_each: Callable[[], Tensor], count: int
) -> Tensor:
    """Candidates whose loss a step along the gradient of new pairs would raise most.

    Args:
        parameters: What that step moves; they are as before afterwards.
        new_loss: A scalar with a graph.
        rate: Size of the step.
        loss_of_each: Losses ``(N,)`` of the candidates with the present weights.
        count: So many of them.

    Returns:
        Their places, ``(count,)``, the most interfered first.

    Source: Aljundi and others, "Online continual learning with maximal interfered retrieval" (NeurIPS 2019).
    """
    gradients = torch.autograd.grad(new_loss, parameters, allow_unused=True)
    with torch.no_grad():
        before = loss_of_each()
        kept = [parameter.clone() for parameter in parameters]
        for parameter, gradient in zip(parameters, gradients, strict=True):
            if gradient is not None:
                parameter.sub_(gradient, alpha=rate)
        rise = loss_of_each() - before
        for parameter, value in zip(parameters, kept, strict=True):
            parameter.copy_(value)
    return rise.nan_to_num(nan=torch.inf).topk(min(count, len(rise))).indices
