"""A temporal convolutional network: dilated causal convolutions over all channels.

The body that FSNet and OneNet adapt (TS2Vec's encoder; Yue and others, AAAI 2022), with convolutions that look back
only, and without calendar features, which a forecaster is not given here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any, ClassVar, cast

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from bench.contracts.forecaster import ForecasterConfig, Task, register_forecaster
from bench.forecasters.normalized import TINY, NetworkConfig, NormalizedNetwork


class TCNConfig(NetworkConfig):
    """Options of the TCN.

    Attributes:
        width: Channels between convolutions.
        depth: Blocks; the dilation doubles from one to the next. None takes as many as it needs to see all rows.
        kernel: Rows that a convolution reads.
        output: Features that the head reads.
        dropout: Share of features that are dropped before the head in training.
    """

    width: PositiveInt = 64
    depth: PositiveInt | None = None
    kernel: int = Field(3, ge=2)
    output: PositiveInt = 320
    dropout: float = Field(0.1, ge=0, lt=1)


class Block(nn.Module):
    """Two causal convolutions, GELU before each, around which the input is added.

    Outputs are computed at every second row, counted from the last: a block after this one, whose dilation is twice
    as large, reads no others. The rows that it reads are then next to each other, so that no convolution is dilated.
    A convolution has no weights for rows before the first.

    Args:
        rows: Of the input, ``T``.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, rows: int) -> None:
        super().__init__()
        self.first, self.second = nn.Conv1d(inputs, outputs, kernel), nn.Conv1d(outputs, outputs, kernel, stride=2)
        self.past, self.rows, self.skipped = min(kernel, rows) - 1, rows, (rows - 1) % 2
        for convolution in (self.first, self.second):
            convolution.weight = nn.Parameter(convolution.weight[..., -(self.past + 1) :].detach().clone())
        self.projection = nn.Conv1d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """``(B, inputs, T)`` to ``(B, outputs, (T + 1) // 2)``: the last row, and every second before it."""
        if self.rows == 1:
            return self.projection(x) + self._of_row(self._of_row(x.flatten(1), self.first), self.second)[..., None]  # type: ignore[no-any-return]
        hidden = self.first(self._before(x, self.past))
        return self.projection(x[..., self.skipped :: 2]) + self.second(self._before(hidden, self.past - self.skipped))  # type: ignore[no-any-return]

    def stacked(self, weights: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """``(M, inputs, B, T)`` to ``(M, outputs, B, (T + 1) // 2)`` by M blocks; weights by name, ``(M, ...)``."""
        first, second = ((weights[f"{name}.weight"], weights[f"{name}.bias"]) for name in ("first", "second"))
        hidden = _stacked_convolution(self._before(x, self.past), *first)
        hidden = _stacked_convolution(self._before(hidden, self.past - self.skipped), *second, stride=2)
        kept = x[..., self.skipped :: 2]
        if "projection.weight" in weights:
            kept = _stacked_convolution(kept, weights["projection.weight"], weights["projection.bias"])
        return kept + hidden

    def _before(self, x: Tensor, past: int) -> Tensor:
        """What a convolution reads: rows of zeros stand before the first."""
        return nn.functional.pad(nn.functional.gelu(x), (past, 0))

    def _of_row(self, x: Tensor, convolution: nn.Conv1d) -> Tensor:
        """The convolution of a single row, ``(B, inputs)``, without the cost of one."""
        return nn.functional.linear(nn.functional.gelu(x), convolution.weight.flatten(1), convolution.bias)


def _stacked_convolution(x: Tensor, weight: Tensor, bias: Tensor, stride: int = 1) -> Tensor:
    """``(M, I, B, T)`` to ``(M, O, B, T')``, each by its own weights ``(M, O, I, k)`` and ``(M, O)``.

    One batched matrix product: for a single window, far quicker than a grouped convolution and its gradient.
    """
    kernel, windows = weight.shape[3], x.shape[2]
    rows = (x.shape[3] - kernel) // stride + 1
    taps = torch.stack([x[..., j : j + (rows - 1) * stride + 1 : stride] for j in range(kernel)], dim=2)
    taps = taps.flatten(3).flatten(1, 2)
    return torch.baddbmm(bias[..., None], weight.flatten(2), taps).unflatten(2, (windows, rows))  # type: ignore[no-any-return]


@register_forecaster("tcn")
class TCN(NormalizedNetwork):
    """Dilated causal convolutions over all channels, read at the last row (TS2Vec's encoder, as in FSNet)."""

    Config: ClassVar[type[ForecasterConfig]] = TCNConfig
    backbone_modules: ClassVar[tuple[str, ...]] = ("normalization", "embedding", "blocks")
    tiny: ClassVar[dict[str, Any]] = TINY | {"width": 4, "output": 6}

    def __init__(self, config: TCNConfig, task: Task) -> None:
        super().__init__(config, task)
        depth, seen = config.depth or 1, 1 + 2 * (config.kernel - 1)
        while config.depth is None and seen < task.lookback:
            seen += 2 * (config.kernel - 1) * 2**depth
            depth += 1
        widths = [*[config.width] * depth, config.output]
        self.embedding = nn.Linear(task.inputs, config.width)
        rows = [-(-task.lookback // 2**i) for i in range(len(widths))]
        self.blocks = nn.Sequential(
            *(self.block(a, b, config.kernel, t) for (a, b), t in zip(pairwise(widths), rows, strict=False))
        )
        self.dropout = nn.Dropout(config.dropout)
        outputs = task.horizon, task.targets
        self.head = nn.Sequential(nn.Linear(config.output, math.prod(outputs)), nn.Unflatten(1, outputs))

    def block(self, inputs: int, outputs: int, kernel: int, rows: int) -> nn.Module:
        """One block."""
        return Block(inputs, outputs, kernel, rows)

    def features(self, rows: Tensor) -> Tensor:
        """``(B, L, C_in)`` to ``(B, output)``."""
        return self.dropout(self.blocks(self.embedding(rows).transpose(1, 2))[..., -1])  # type: ignore[no-any-return]

    @property
    def stacks(self) -> bool:
        """Whether `forward_stacked` covers the options: windows are normalised without weights."""
        return not any(True for _ in self.normalization.parameters())

    def forward_stacked(self, weights: Mapping[str, Tensor], windows: Tensor) -> Tensor:
        """``(M, B, H, C_out)`` by M models; see `bench.Forecaster`."""
        rows, level, scale = self.normalization(windows)
        embedding = weights["embedding.weight"]
        flat = rows.flatten(0, 1).T.expand(len(embedding), -1, -1)
        x = torch.baddbmm(weights["embedding.bias"][..., None], embedding, flat).unflatten(2, rows.shape[:2])
        for name, block in enumerate(cast("Iterable[Block]", self.blocks)):
            before = f"blocks.{name}."
            own = {key.removeprefix(before): value for key, value in weights.items() if key.startswith(before)}
            x = block.stacked(own, x)
        made = torch.baddbmm(weights["head.0.bias"][..., None], weights["head.0.weight"], self.dropout(x[..., -1]))
        return made.transpose(1, 2).unflatten(2, (self.task.horizon, self.task.targets)) * scale + level  # type: ignore[no-any-return]
