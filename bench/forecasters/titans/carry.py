"""The memory that is carried from window to window, and when each row is written into it.

The exact rule: a window starts from a memory of the rows before it, each written once, as encoded at the head of a
window. Rows are written in units; a partial unit waits. The state depends only on how far writing has come
(`Carry.position`), not on the stride or the block.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Literal

import torch
from torch import Tensor

from bench.forecasters.titans.memory_bounds import Remedies
from bench.forecasters.titans.memory_state import MemoryCache
from bench.forecasters.titans.transformer import TimeSeriesTitansTransformer

Policy = Literal["exact", "window"]


class Carry:
    """Keeps the memory of one stream up to date.

    Args:
        model: Its weights may change between calls, the memory's shape may not.
        history: ``(N, C_in)`` rows before the first origin, at least ``lookback``.
        policy: ``exact``; or ``window``, which passes on each window's final memory even where windows overlap.
        remembered: How many earlier states are kept for `at`.
        remedies: Applied to the memory after each write.

    Attributes:
        position: ``q``: rows before it are in the memory. It starts at the first origin less the lookback.
        initial: The learned initial memory, from which carrying began.
    """

    def __init__(
        self,
        model: TimeSeriesTitansTransformer,
        history: Tensor,
        lookback: int,
        policy: Policy = "exact",
        remembered: int = 1,
        remedies: Remedies | None = None,
    ) -> None:
        self.model, self.lookback, self.policy = model, lookback, policy
        self.position = self._begun = len(history) - lookback
        self.cache = self.initial = model.initial_cache()
        self.remedies = remedies or Remedies()
        self._rows, _ = model.write_unit(lookback)
        self._step = self._rows  # rows that the latest write advanced
        self._recent = history[-lookback:]  # rows from `position` on; with the `window` policy, the latest window
        self._past = deque([(self.position, self.cache)], maxlen=remembered)

    def observe(self, rows: Tensor) -> None:
        """Add ``(n, C_in)`` rows that became visible, and write every whole unit that is no longer in the window.

        The next window's origin is the row after the last one observed.
        """
        self._recent = torch.cat([self._recent, rows])
        if self.policy == "window":
            self._recent = self._recent[-self.lookback :].clone()
            return
        while len(self._recent) >= self.lookback + self._rows:
            self._write_unit()

    def _write_unit(self) -> None:
        self._settle(self._written(self._take_window(), self.cache), self.position + self._rows)

    def _take_window(self) -> Tensor:
        """The window ``(L, C_in)`` that the next unit heads; removes the unit from the queue."""
        window, self._recent = self._recent[: self.lookback], self._recent[self._rows :]
        return window

    def _written(self, window: Tensor, cache: MemoryCache) -> MemoryCache:
        """The memory after the unit that heads a window ``(L, C_in)``."""
        return self.model.write(window[None], cache)

    def hand_over(self, cache: MemoryCache, t: int) -> None:
        """With the ``window`` policy: continue with the memory that the window of origin ``t`` left."""
        if self.policy == "window":
            self._settle(cache, t)

    def at(self, row: int) -> MemoryCache:
        """The latest remembered state whose position is at most ``row``, or else the oldest remembered."""
        fitting = [cache for position, cache in self._past if position <= row]
        return fitting[-1] if fitting else self._past[0][1]

    def norm(self) -> float:
        """Norm of the carried weights, in units of the learned initial memory's."""
        return self.cache.norm() / self.initial.norm()

    @torch.no_grad()
    def half_life(self) -> float:
        """Rows after which half of the difference between the carried memory and the learned initial one is gone.

        Measured by writing the next unit (with the ``window`` policy the latest window) into copies of both memories,
        with pull and norm bound: if a write leaves a share ``r`` of the difference of their weights and advances ``u``
        rows, ``u ln 2 / -ln r``. NaN if the two are equal or not finite, infinity if the difference does not shrink.
        """
        before = self.cache.distance(self.initial)
        if before == 0 or not math.isfinite(before):
            return math.nan
        window = self._recent[None, : self.lookback]
        carried, fresh = (
            self.remedies.tempered(
                self.model.write(window, cache)
                if self.policy == "exact"
                else self.model(window, cache, return_cache=True)[1],
                self.initial,
            )
            for cache in (self.cache, self.initial)
        )
        left = carried.distance(fresh) / before
        if left == 0:
            return 0.0
        return self._step * math.log(2) / -math.log(left) if left < 1 else math.inf

    def _settle(self, cache: MemoryCache, position: int) -> None:
        """Continue with a written memory, after the remedies."""
        before, after = self.position - self._begun, position - self._begun
        self._step = after - before
        self._keep(self.remedies.after_write(cache, self.initial, before, after), position)

    def _keep(self, cache: MemoryCache, position: int) -> None:
        self.cache, self.position = cache, position
        self._past.append((position, cache))
