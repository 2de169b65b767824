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


@dataclass(frozen=True)
class MemoryCache:
    """What travels from window to window: an immutable value, detached, one state for each memory layer.

    Attributes:
        layers: States, first memory layer first.
        batch: ``B``, the windows that the states belong to; 1 serves any number.
    """

    layers: tuple[MemoryState, ...]
    batch: int

    def expand(self, batch: int) -> MemoryCache:
        """The same memory for ``batch`` windows."""
        if batch == self.batch:
            return self
        if self.batch != 1:
            raise ValueError(f"a cache for {self.batch} windows cannot serve {batch}")
        return replace(self, batch=batch, layers=tuple(
            MemoryState(
                {k: w.repeat(batch, *(1,) * (w.ndim - 1)) for k, w in layer.weights.items()},
                {k: m.repeat(1, batch, *(1,) * (m.ndim - 2)) for k, m in layer.momentum.items()},
            )
            for layer in self.layers
        ))  # fmt: skip

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

    def last(self) -> MemoryCache:
        """The memory of the last window of the batch."""
        layers = []
        for layer in self.layers:
            heads = next(iter(layer.weights.values())).shape[0] // self.batch
            weights = {k: w[-heads:].clone() for k, w in layer.weights.items()}
            layers.append(MemoryState(weights, {k: m[:, -heads:].clone() for k, m in layer.momentum.items()}))
        return MemoryCache(tuple(layers), 1)

    def norm(self) -> float:
        """Euclidean norm of all weights."""
        return math.sqrt(sum(float(w.square().sum()) for layer in self.layers for w in layer.weights.values()))


@dataclass(frozen=True)
class MemoryRead:
    """What one memory layer was given in a forward pass; enough to write a part of it again.

    Attributes:
        tokens: ``(3, B, N, D)``: queries', keys' and values' views of the tokens.
        coupled: Weights of the memory layer before, ``(B * heads, chunks, ...)``, where layers are coupled.
    """

    tokens: Tensor
    coupled: Any


def state_of(state: Any) -> MemoryState:
    """The library's state as one to start from: its last update, momentum kept, no remainder."""
    weights, momentum = state.states
    return MemoryState(
        {name: w.detach() for name, w in weights.items()}, {name: m.detach() for name, m in momentum.items()}
    )


def library_state(state: MemoryState) -> Any:
    """The same for the library: index 0, no remainder."""
    from tensordict import TensorDict
    from titans_pytorch.neural_memory import NeuralMemState

    weights, momentum = TensorDict(state.weights), TensorDict(state.momentum)
    return NeuralMemState(0, weights, None, (weights, momentum), None)
