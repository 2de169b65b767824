"""A carried memory of the same rows, written in shuffled order: a memory without time."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from bench.forecasters.titans.carry import Carry
from bench.forecasters.titans.memory_bounds import Remedies
from bench.forecasters.titans.transformer import TimeSeriesTitansTransformer


class ShuffledCarry(Carry):
    """Units that have left the window wait in a pool; when it is full, one of them, drawn at random, is written.

    Each unit is written exactly once, after it has left, encoded at the head of its own window, as in order, but from
    the memory at the time of writing. A unit waits for ``most - 1`` others on average. Draws depend only on how many
    units have left, so a state still depends on `position` alone.

    Args:
        rng: Draws what is written.
        most: Units in a full pool; 1 writes in order, as `Carry` does.
        remembered: How many earlier states are kept for `at`.

    Attributes:
        position: Rows before it have been written or wait in the pool.
    """

    def __init__(
        self,
        model: TimeSeriesTitansTransformer,
        history: Tensor,
        lookback: int,
        rng: np.random.Generator,
        most: int,
        remembered: int = 1,
        remedies: Remedies | None = None,
    ) -> None:
        super().__init__(model, history, lookback, remembered=remembered, remedies=remedies)
        self._rng, self._most = rng, most
        self._pool: list[Tensor] = []

    def _write_unit(self) -> None:
        self._pool.append(self._take_window().clone())
        position = self.position + self._rows
        if len(self._pool) < self._most:
            self._keep(self.cache, position)
        else:
            window = self._pool.pop(int(self._rng.integers(self._most)))
            self._settle(self._written(window, self.cache), position)
