"""Sampling of a strategy's trace while it serves, outside of timing."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import torch

from bench.contracts.protocol import Protocol
from bench.contracts.strategy import Strategy, has_own
from bench.evaluation.stream import StreamError

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

TIMES_ASKED = 200


@dataclass
class TraceSampler:
    """Asks a strategy for its trace after some of the blocks, evenly over the stream, the first and last among them.

    Attributes:
        asked: First origins of the blocks after which it is asked.
        rows: Its answers: origin, name and value.
        seconds: Time that asking took.
    """

    strategy: Strategy
    asked: frozenset[int]
    rows: list[tuple[int, str, float]] = field(default_factory=list)
    seconds: float = 0.0

    @classmethod
    def over(
        cls, strategy: Strategy, protocol: Protocol, start: int, end: int, times: int = TIMES_ASKED
    ) -> TraceSampler:
        """Sample the blocks of rows ``start`` to ``end``, at most so many times."""
        if not has_own(strategy, "trace"):
            return cls(strategy, frozenset())
        firsts = np.asarray(protocol.origins(start, end), dtype=np.int64)[:: protocol.block]
        chosen = np.linspace(0, len(firsts) - 1, min(times, len(firsts))).round().astype(int)
        return cls(strategy, frozenset(firsts[chosen].tolist()))

    def after_block(self, origin: int) -> None:
        """Ask, if it is time to; torch's generator is restored.

        Raises:
            StreamError: The answer is not a dictionary of numbers by name.
        """
        if origin not in self.asked:
            return
        begun = time.perf_counter()
        with torch.random.fork_rng(devices=[]):
            answer = self.strategy.trace()
        self.seconds += time.perf_counter() - begun
        try:
            self.rows += [(origin, str(name), float(value)) for name, value in answer.items()]
        except (AttributeError, TypeError, ValueError):
            raise StreamError(f"trace returned {answer!r}, expected numbers by name, such as {{'norm': 1.2}}") from None

    def frame(self, time: NDArray[np.generic]) -> pd.DataFrame | None:
        """``trace.parquet``: columns ``origin, time, name, value``; None if there was no answer."""
        import pandas as pd

        if not self.rows:
            return None
        frame = pd.DataFrame(self.rows, columns=["origin", "name", "value"])
        frame.insert(1, "time", time[frame["origin"].to_numpy()])
        return frame
