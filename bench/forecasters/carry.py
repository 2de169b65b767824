"""The memory that is carried from window to window, and when each row is written into it.

The exact rule. A window starts from a memory that holds the rows which have left it, each written once, as that row
was encoded when it headed a window. Rows are written in units; fewer than one unit wait. The state depends on how far
writing has come (`Carry.position`) and on nothing else: not on the stride, not on the block.
"""

from __future__ import annotations

from collections import deque
from typing import Literal

import torch
from torch import Tensor

from bench.forecasters.memory import MemoryCache
from bench.forecasters.titans import TimeSeriesTitansTransformer

Policy = Literal["exact", "window"]


class Carry:
    """Keeps the memory of one stream up to date.

    Args:
        model: Whose memory it is; weights may change between calls, the memory's shape may not.
        history: ``(N, C_in)`` rows before the first origin; the last ``lookback`` of them are needed.
        lookback: ``L``.
        policy: ``exact``; or ``window``, which hands on each window's final memory even where windows overlap.
        remembered: How many earlier states are kept for `at`.

    Attributes:
        position: ``q``: rows before it are in the memory. It starts at the first origin less the lookback.
        cache: The memory that holds them.
    """

    def __init__(
        self,
        model: TimeSeriesTitansTransformer,
        history: Tensor,
        lookback: int,
        policy: Policy = "exact",
        remembered: int = 1,
    ) -> None:
        self.model, self.lookback, self.policy = model, lookback, policy
        self.position = len(history) - lookback
        self.cache = model.initial_cache()
        self._rows, _ = model.write_unit(lookback)
        self._recent = history[-lookback:]  # rows from `position` on; the `window` policy needs none
        self._past = deque([(self.position, self.cache)], maxlen=remembered)

    def observe(self, rows: Tensor) -> None:
        """Rows that became visible, ``(n, C_in)``; then every whole unit that has left the window is written.

        The next window's origin is the row after the last one observed.
        """
        if self.policy == "exact":
            self._recent = torch.cat([self._recent, rows])
            while len(self._recent) >= self.lookback + self._rows:
                self._write_unit()

    def _write_unit(self) -> None:
        written = self.model.write(self._recent[None, : self.lookback], self.cache)
        self._keep(written, self.position + self._rows)
        self._recent = self._recent[self._rows :].clone()

    def hand_over(self, cache: MemoryCache, t: int) -> None:
        """With the ``window`` policy: the memory as the window of origin ``t`` left it."""
        if self.policy == "window":
            self._keep(cache, t)

    def at(self, row: int) -> MemoryCache:
        """The latest remembered state whose position is at most ``row``, or else the oldest remembered."""
        fitting = [cache for position, cache in self._past if position <= row]
        return fitting[-1] if fitting else self._past[0][1]

    def _keep(self, cache: MemoryCache, position: int) -> None:
        self.cache, self.position = cache, position
        self._past.append((position, cache))
