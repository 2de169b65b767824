"""Channels as independent streams: each target is a sequence of its own, through shared weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from bench.contracts.errors import BenchError

Channels = Literal["mixed", "independent"]
HIDDEN_TARGETS = (
    'channels = "independent" needs targets among the inputs: a target that is not read has no stream of its '
    'own. Name it among the inputs too, or use channels = "mixed".'
)


@dataclass(frozen=True)
class ChannelFold:
    """For each target, the columns of its sequence: itself, then the inputs that are not targets."""

    columns: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, inputs: int, target_index: tuple[int, ...]) -> ChannelFold:
        """Sequences for windows of ``inputs`` columns with targets at ``target_index``; `BenchError` without any."""
        if not target_index:
            raise BenchError(f"titans: {HIDDEN_TARGETS}")
        exogenous = tuple(c for c in range(inputs) if c not in target_index)
        return cls(tuple((target, *exogenous) for target in target_index))

    @property
    def width(self) -> int:
        """Columns of one sequence."""
        return len(self.columns[0])

    def fold(self, rows: Tensor) -> Tensor:
        """``(B, L, C_in)`` to ``(B * C_out, L, width)``, window-major."""
        index = [list(columns) for columns in self.columns]
        return rows[:, :, index].transpose(1, 2).flatten(0, 1)

    def unfold(self, out: Tensor) -> Tensor:
        """``(B * C_out, H, 1)`` to ``(B, H, C_out)``."""
        return out.view(-1, len(self.columns), out.shape[1]).transpose(1, 2)
