"""Layers around a frozen forecaster that learn in service: gated maps over time of its inputs and its outputs.

They start as the identity, and are exactly that as long as they have not learned.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

GATE = 0.01
"""Initial gate."""


def zero_linear(inputs: int, outputs: int, *, bias: bool = True) -> nn.Linear:
    """A linear layer whose weights start at 0."""
    layer = nn.Linear(inputs, outputs, bias=bias)
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


class GatedMap(nn.Module):
    """``x + tanh(g) (W x + b)`` over time: a map and a gate for each column, or one for all.

    Args:
        rows: Rows of what is calibrated, N.
        columns: Its columns, C.
        shared: Whether all columns share one map and one gate.

    Source: TAFAS, Kim and others (AAAI 2025).
    """

    def __init__(self, rows: int, columns: int, *, shared: bool = False) -> None:
        super().__init__()
        maps = 1 if shared else columns
        self.weight = nn.Parameter(torch.zeros(maps, rows, rows))
        self.bias = nn.Parameter(torch.zeros(maps, rows))
        self.gate = nn.Parameter(torch.full((maps,), GATE))

    def forward(self, x: Tensor, shift: Tensor | float = 0.0) -> Tensor:
        """``(B, N, C)`` to ``(B, N, C)``; ``shift``, ``(C,)`` or one number, is added to the gate."""
        mapped = (self.weight @ x.mT[..., None]).squeeze(-1) + self.bias
        return x + torch.tanh(self.gate + shift) * mapped.mT


class LowRankMap(nn.Module):
    """``x + (A B)' tanh(g x) + b`` over time: a map of low rank and a gate inside for each column.

    Args:
        rows: Rows of what is calibrated, N.
        columns: Its columns, C.
        rank: Of the maps; ``A``, ``(N, rank)``, is shared by all columns.

    Source: PETSA, Medeiros and others (2025, arXiv 2506.23424).
    """

    def __init__(self, rows: int, columns: int, rank: int) -> None:
        super().__init__()
        self.down = nn.Parameter(torch.empty(rows, rank))
        nn.init.kaiming_uniform_(self.down, a=5**0.5)
        self.up = nn.Parameter(torch.zeros(columns, rank, rows))
        self.bias = nn.Parameter(torch.zeros(columns, rows))
        self.gate = nn.Parameter(torch.full((columns,), GATE))

    def forward(self, x: Tensor) -> Tensor:
        """``(B, N, C)`` to ``(B, N, C)``."""
        gated = torch.tanh(self.gate * x).mT @ self.down
        return x + ((gated[..., None, :] @ self.up).squeeze(-2) + self.bias).mT
