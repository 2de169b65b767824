"""Matured pairs to learn from again, each with the memory at its window's start."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bench.contracts.strategy import PartialLabels
from bench.forecasters.titans.memory_state import MemoryCache


@dataclass(frozen=True)
class RecentPairs:
    """Matured pairs, oldest first; an immutable value.

    Attributes:
        x: ``(P, L, C_in)`` windows, scaled.
        y: ``(P, H, C_out)`` truths, scaled.
        memories: What each window starts from; None if the present memory serves all.
    """

    x: Tensor
    y: Tensor
    memories: tuple[MemoryCache, ...] | None

    def none(self) -> RecentPairs:
        """No pairs, of the same shapes."""
        return RecentPairs(self.x[:0], self.y[:0], None if self.memories is None else ())

    def then(self, newer: RecentPairs, most: int) -> RecentPairs:
        """The latest ``most`` of these and the newer ones; copies, so that earlier pairs are freed."""
        memories = None
        if self.memories is not None and newer.memories is not None:
            memories = (self.memories + newer.memories)[-most:]
        x, y = (torch.cat(parts)[-most:].clone() for parts in ((self.x, newer.x), (self.y, newer.y)))
        return RecentPairs(x, y, memories)

    def with_partial(self, partial: PartialLabels, memories: tuple[MemoryCache, ...] | None) -> RecentPairs:
        """These, followed by pairs that are not complete yet; ``memories`` as in the class."""
        started = None if self.memories is None or memories is None else self.memories + memories
        return RecentPairs(torch.cat([self.x, partial.x]), torch.cat([self.y, partial.y]), started)

    def start(self, present: MemoryCache) -> MemoryCache:
        """What the windows start from, as one batch."""
        return present if self.memories is None else MemoryCache.stack(list(self.memories))
