"""Forecasts that wait for their truth."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.contracts.protocol import Protocol
from bench.contracts.strategy import Feedback


class WaitingForecasts:
    """What was forecast, by origin, until its truth is known.

    Ask `matured` at each block, also for one without pairs: the feedback says where the block's origins begin.

    Args:
        protocol: It says how many origins wait at most. The oldest are forgotten: their labels are not released.
    """

    def __init__(self, protocol: Protocol) -> None:
        self._stride, self._now = protocol.stride, 0
        self._most = protocol.lag // protocol.stride + 2 * protocol.block + 2
        self._made: dict[int, Tensor] = {}

    def add(self, forecasts: Tensor) -> None:
        """Keep what was forecast for a block of K origins, ``(K, ...)``."""
        for i, forecast in enumerate(forecasts.unbind()):
            self._made[self._now + i * self._stride] = forecast
        for origin in list(self._made)[: -self._most]:
            del self._made[origin]

    def matured(self, feedback: Feedback) -> tuple[Tensor, list[int]]:
        """What was forecast for new pairs, ``(P', ...)``, and the places of these among the pairs; it waits no longer.

        Pairs whose origins were not forecast, as between strides, are left out.
        """
        self._now = feedback.now
        found = [i for i, origin in enumerate(feedback.origins.tolist()) if origin in self._made]
        made = [self._made.pop(int(feedback.origins[i])) for i in found]
        return torch.stack(made) if made else torch.empty(0), found
