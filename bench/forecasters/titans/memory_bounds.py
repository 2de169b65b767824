"""Remedies that bound a carried memory: a pull towards the learned initial memory, a norm bound, a reset."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.forecasters.titans.memory_state import MemoryCache, MemoryState


@dataclass(frozen=True)
class Remedies:
    """What is done to a carried memory after each write, in this order; by default nothing.

    All three move along the straight line to the learned initial memory, so that what was learned in training never
    shrinks; momentum shrinks by the same share.

    Attributes:
        pull: Share of the way back after each write, from 0 (none) to 1 (nothing is carried).
        norm_bound: Largest norm of each memory layer's weights, in units of the initial memory's, at least 1: beyond
            it, the layer goes back to the bound. None has no bound.
        reset_every: Rows between two returns to the initial memory, counted from where carrying began; each
            follows the write that reaches or passes the multiple. None never returns.
    """

    pull: float = 0.0
    norm_bound: float | None = None
    reset_every: int | None = None

    def after_write(self, cache: MemoryCache, initial: MemoryCache, before: int, after: int) -> MemoryCache:
        """The memory to continue with, given rows since carrying began before and after this write."""
        if self.reset_every and after // self.reset_every > before // self.reset_every:
            return initial.expand(cache.batch)
        return self.tempered(cache, initial)

    def tempered(self, cache: MemoryCache, initial: MemoryCache) -> MemoryCache:
        """The memory after the pull and the norm bound; the same object if there is neither."""
        initial = initial.expand(cache.batch)
        if self.pull:
            share = torch.full((cache.batch,), 1 - self.pull)
            cache = _moved(cache, initial, [share] * len(cache.layers))
        if self.norm_bound is not None:
            shares = [
                _share_within(layer, start, self.norm_bound, cache.batch)
                for layer, start in zip(cache.layers, initial.layers, strict=True)
            ]
            if any(bool((share < 1).any()) for share in shares):
                cache = _moved(cache, initial, shares)
        return cache


def _moved(cache: MemoryCache, initial: MemoryCache, shares: list[Tensor]) -> MemoryCache:
    """Each layer at ``shares`` ``(B,)`` of the way from the initial memory (0) to its value (1)."""
    layers = []
    for layer, start, share in zip(cache.layers, initial.layers, shares, strict=True):
        weights = {name: start.weights[name].lerp(w, _spread(share, w)) for name, w in layer.weights.items()}
        momentum = {name: m * _spread(share, m[0]) for name, m in layer.momentum.items()}
        layers.append(MemoryState(weights, momentum))
    return MemoryCache(tuple(layers), cache.batch)


def _spread(share: Tensor, like: Tensor) -> Tensor:
    """``(B,)`` as ``(B * heads, 1, ...)``, to multiply a tensor ``(B * heads, ...)``."""
    return share.to(like).repeat_interleave(len(like) // len(share)).reshape(-1, *(1,) * (like.ndim - 1))


def _share_within(layer: MemoryState, start: MemoryState, bound: float, batch: int) -> Tensor:
    """The largest share of the way from the start, ``(B,)``, at which the norm is within the bound; at most 1."""

    def dot(one: dict[str, Tensor], other: dict[str, Tensor]) -> Tensor:
        return sum((one[k] * other[k]).reshape(batch, -1).sum(dim=1) for k in one)  # type: ignore[return-value]

    way = {name: w - start.weights[name] for name, w in layer.weights.items()}
    # |start + share * way|^2 = (bound * |start|)^2, solved for the share.
    square, cross, room = dot(way, way), dot(start.weights, way), (bound**2 - 1) * dot(start.weights, start.weights)
    share = ((cross.square() + square * room).sqrt() - cross) / square.clamp_min(torch.finfo(square.dtype).tiny)
    within = square + 2 * cross <= room
    return torch.where(within, torch.ones_like(share), share.clamp(0, 1))
