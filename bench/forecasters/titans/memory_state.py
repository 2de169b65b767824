"""States of neural memories as immutable values."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

Weights = dict[str, Tensor]
Change = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class MemoryState:
    """The state of one memory layer between two chunks.

    Attributes:
        weights: The memory's weights after its last update, each ``(B * heads, ...)``.
        momentum: Of the surprise, each ``(order, B * heads, ...)``; empty without momentum.
    """

    weights: Weights
    momentum: Weights

    def mapped(self, weights: Change, momentum: Change | None = None) -> MemoryState:
        """Each tensor changed; ``momentum``, whose batch is the second axis, by a function of its own if given."""
        change = momentum or weights
        return MemoryState(
            {k: weights(w) for k, w in self.weights.items()}, {k: change(m) for k, m in self.momentum.items()}
        )

    def repeated(self, count: int) -> MemoryState:
        """The same, ``count`` times over."""
        return self.mapped(
            lambda w: w.repeat(count, *(1,) * (w.ndim - 1)), lambda m: m.repeat(1, count, *(1,) * (m.ndim - 2))
        )

    def __len__(self) -> int:
        return len(next(iter(self.weights.values())))


@dataclass(frozen=True)
class MemoryCache:
    """The memory that is carried from window to window: one state for each memory layer.

    Attributes:
        layers: States, first memory layer first.
        batch: ``B``, the windows that the states belong to; 1 serves any number.
    """

    layers: tuple[MemoryState, ...]
    batch: int

    def layers_for(self, batch: int) -> tuple[MemoryState, ...]:
        """The states for a forward pass of ``batch`` windows, `ValueError` if they belong to another number."""
        return self.layers if self.batch == 1 else self.expand(batch).layers

    def ordinary(self) -> MemoryCache:
        """The same values in tensors that gradients may use, if these were made in inference mode."""
        if not next(iter(self.layers[0].weights.values())).is_inference():
            return self
        return replace(self, layers=tuple(layer.mapped(Tensor.clone) for layer in self.layers))

    def detached(self) -> MemoryCache:
        """The same values, through which no gradient flows."""
        return replace(self, layers=tuple(layer.mapped(Tensor.detach) for layer in self.layers))

    def expand(self, batch: int) -> MemoryCache:
        """The same memory for ``batch`` windows."""
        if batch == self.batch:
            return self
        if self.batch != 1:
            raise ValueError(f"a cache for {self.batch} windows cannot serve {batch}")
        return MemoryCache(tuple(layer.repeated(batch) for layer in self.layers), batch)

    @staticmethod
    def stack(caches: list[MemoryCache]) -> MemoryCache:
        """One cache for a batch whose windows start from different memories."""
        layers = tuple(
            MemoryState(
                {k: torch.cat([s.weights[k] for s in states]) for k in states[0].weights},
                {k: torch.cat([s.momentum[k] for s in states], dim=1) for k in states[0].momentum},
            )
            for states in zip(*(cache.layers for cache in caches), strict=True)
        )
        return MemoryCache(layers, sum(cache.batch for cache in caches))

    def first(self, windows: int) -> MemoryCache:
        """The memories of the first windows of the batch."""
        if windows == self.batch:
            return self
        rows = len(self.layers[0]) // self.batch * windows
        return MemoryCache(
            tuple(layer.mapped(lambda w: w[:rows], lambda m: m[:, :rows]) for layer in self.layers), windows
        )

    def last(self) -> MemoryCache:
        """The memory of the last window of the batch."""
        heads = len(self.layers[0]) // self.batch
        own = (layer.mapped(lambda w: w[-heads:].clone(), lambda m: m[:, -heads:].clone()) for layer in self.layers)
        return MemoryCache(tuple(own), 1)

    def restarted(self, which: Tensor, start: MemoryCache) -> MemoryCache:
        """The same memory, with that of ``start`` (for batch 1 or B) where ``which`` ``(B,)`` is true."""
        layers = []
        for own, fresh in zip(self.layers, start.expand(self.batch).layers, strict=True):
            heads = which.repeat_interleave(len(own) // len(which))
            pick = {k: heads.view(-1, *(1,) * (w.ndim - 1)) for k, w in own.weights.items()}
            layers.append(MemoryState(
                {k: torch.where(pick[k], fresh.weights[k], w) for k, w in own.weights.items()},
                {k: torch.where(pick[k], fresh.momentum[k], m) for k, m in own.momentum.items()},
            ))  # fmt: skip
        return MemoryCache(tuple(layers), self.batch)

    def norm(self) -> float:
        """Euclidean norm of all weights."""
        return math.sqrt(sum(float(w.square().sum()) for layer in self.layers for w in layer.weights.values()))

    def distance(self, other: MemoryCache) -> float:
        """Euclidean norm of the difference of all weights."""
        return math.sqrt(sum(
            float((w - theirs.weights[name]).square().sum())
            for layer, theirs in zip(self.layers, other.layers, strict=True)
            for name, w in layer.weights.items()
        ))  # fmt: skip


@dataclass(frozen=True)
class Remembered:
    """Result of a memory layer on a window.

    Attributes:
        retrieved: ``(B, N, D)``; meaningless if nothing was read.
        state: The memory if it was asked for, or None.
        updates: The library's weights after each chunk, if the next memory layer is coupled to them.
    """

    retrieved: Tensor
    state: MemoryState | None
    updates: Any = None
