"""Carried memories looked into, and held against each other."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.forecasters.titans.memory_state import MemoryCache


def tensors(cache: MemoryCache) -> list[Tensor]:
    """Weights and momentum of every layer, first layer first."""
    return [t for layer in cache.layers for part in (layer.weights, layer.momentum) for t in part.values()]


def same(one: MemoryCache, other: MemoryCache) -> bool:
    """Whether two memories are the same bits."""
    return all(torch.equal(a, b) for a, b in zip(tensors(one), tensors(other), strict=True))
