"""Neural-memory states as immutable values: what a layer holds, and what travels from window to window."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class MemoryState:
    """The state of one memory layer between two chunks.

    Attributes:
        weights: The memory's weights after its last update, each ``(B * heads, ...)``.
        momentum: Of the surprise, each ``(order, B * heads, ...)``; empty where the memory has none.
    """

    weights: Weights
    momentum: Weights

    def repeated(self, count: int) -> MemoryState:
        """The same, ``count`` times over."""
        return MemoryState(
            {k: w.repeat(count, *(1,) * (w.ndim - 1)) for k, w in self.weights.items()},
            {k: m.repeat(1, count, *(1,) * (m.ndim - 2)) for k, m in self.momentum.items()},
        )

    def __len__(self) -> int:
        return len(next(iter(self.weights.values())))


@dataclass(frozen=True)
class MemoryCache:
    """What travels from window to window: an immutable value, one state for each memory layer.

    Attributes:
        layers: States, first memory layer first.
        batch: ``B``, the windows that the states belong to; 1 serves any number.
    """

    layers: tuple[MemoryState, ...]
    batch: int

    def layers_for(self, batch: int) -> tuple[MemoryState, ...]:
        """The states, for a forward pass of ``batch`` windows; those of one window serve any number as they are.

        Raises:
            ValueError: The cache belongs to some other number of windows.
        """
        return self.layers if self.batch == 1 else self.expand(batch).layers

    def ordinary(self) -> MemoryCache:
        """The same values in tensors that gradients may be taken with, where these were made in inference mode."""
        if not next(iter(self.layers[0].weights.values())).is_inference():
            return self
        return replace(self, layers=tuple(
            MemoryState(
                {k: w.clone() for k, w in layer.weights.items()}, {k: m.clone() for k, m in layer.momentum.items()}
            )
            for layer in self.layers
        ))  # fmt: skip

    def detached(self) -> MemoryCache:
        """The same values, through which no gradient flows."""
        return replace(self, layers=tuple(
            MemoryState(
                {k: w.detach() for k, w in layer.weights.items()}, {k: m.detach() for k, m in layer.momentum.items()}
            )
            for layer in self.layers
        ))  # fmt: skip

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
        layers = []
        for layer in self.layers:
            rows = len(layer) // self.batch * windows
            weights = {k: w[:rows] for k, w in layer.weights.items()}
            layers.append(MemoryState(weights, {k: m[:, :rows] for k, m in layer.momentum.items()}))
        return MemoryCache(tuple(layers), windows)

    def last(self) -> MemoryCache:
        """The memory of the last window of the batch."""
        layers = []
        for layer in self.layers:
            heads = next(iter(layer.weights.values())).shape[0] // self.batch
            weights = {k: w[-heads:].clone() for k, w in layer.weights.items()}
            layers.append(MemoryState(weights, {k: m[:, -heads:].clone() for k, m in layer.momentum.items()}))
        return MemoryCache(tuple(layers), 1)

    def restarted(self, which: Tensor, start: MemoryCache) -> MemoryCache:
        """The same memory, where ``which`` ``(B,)`` holds that of ``start``, a cache for batch 1 or B."""
        layers = []
        for own, fresh in zip(self.layers, start.expand(self.batch).layers, strict=True):
            heads = which.repeat_interleave(next(iter(own.weights.values())).shape[0] // len(which))
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
    """What a memory layer made of a window.

    Attributes:
        retrieved: ``(B, N, D)``; of no use where nothing was to be read.
        state: The memory where it was asked for, or None.
        updates: The library's weights after each chunk, where the next memory layer is coupled to them.
    """

    retrieved: Tensor
    state: MemoryState | None
    updates: Any = None
