"""PatchTST: a transformer over patches of each channel.

Source: Nie and others, "A time series is worth 64 words" (ICLR 2023).
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from bench.contracts.errors import BenchError
from bench.contracts.forecaster import ForecasterConfig, Task, TrainingConfig, register_forecaster
from bench.forecasters.normalized import (
    TINY,
    ChannelHead,
    EncoderLayer,
    NetworkConfig,
    NormalizedNetwork,
    require_heads,
    trained_at,
)


class PatchTSTConfig(NetworkConfig):
    """Options of PatchTST.

    Attributes:
        patch: Rows of a patch.
        stride: Rows between the starts of two patches.
        width: Size of a token.
        heads: Of the attention.
        feedforward: Width of the feed-forward networks.
        depth: Layers.
        dropout: Share of values that are dropped in training.
        norm: ``layer`` normalises each token; ``batch``, as published, each feature over a batch, with statistics that
            single windows move where a strategy trains in service.
    """

    patch: PositiveInt = 16
    stride: PositiveInt = 8
    width: PositiveInt = 16
    heads: PositiveInt = 4
    feedforward: PositiveInt = 64
    depth: PositiveInt = 2
    dropout: float = Field(0.1, ge=0, lt=1)
    norm: Literal["layer", "batch"] = "layer"
    training: TrainingConfig = trained_at(3e-3)


@register_forecaster("patchtst")
class PatchTST(NormalizedNetwork):
    """A transformer over patches of a channel, weights shared by all channels (Nie et al., ICLR 2023)."""

    Config: ClassVar[type[ForecasterConfig]] = PatchTSTConfig
    backbone_modules: ClassVar[tuple[str, ...]] = ("normalization", "embedding", "positions", "layers")
    tiny: ClassVar[dict[str, Any]] = TINY | {
        "patch": 4, "stride": 2, "width": 4, "heads": 2, "feedforward": 6, "depth": 1,
    }  # fmt: skip

    @classmethod
    def check_task(cls, config: PatchTSTConfig, task: Task, device: str | None = None) -> None:
        """`BenchError` where a patch is longer than the window, or heads do not divide the width."""
        del device
        require_heads("patchtst", config.width, config.heads)
        if config.patch > task.lookback:
            raise BenchError(
                f"patchtst: patch={config.patch} is longer than lookback={task.lookback}. "
                f"Give patch={max(1, task.lookback // 6)}, or a longer lookback."
            )

    def __init__(self, config: PatchTSTConfig, task: Task) -> None:
        super().__init__(config, task)
        self.patch, self.stride = config.patch, config.stride
        count = (task.lookback - config.patch) // config.stride + 2  # the last is half the end of the window, repeated
        self.embedding = nn.Linear(config.patch, config.width)
        self.positions = nn.Parameter(torch.empty(count, config.width).uniform_(-0.02, 0.02))
        self.dropout = nn.Dropout(config.dropout)
        sizes = config.width, config.heads, config.feedforward, config.dropout, config.norm
        self.layers = nn.Sequential(*(EncoderLayer(*sizes) for _ in range(config.depth)))
        self.head = ChannelHead(count * config.width, task)

    def features(self, rows: Tensor) -> Tensor:
        """``(B, L, C_in)`` to ``(B, C_in, D)``: the tokens of each channel, one after the other."""
        channels = nn.functional.pad(rows.transpose(1, 2), (0, self.stride), mode="replicate")
        patches = channels.unfold(2, self.patch, self.stride).flatten(0, 1)  # (B * C_in, N, patch)
        tokens = self.layers(self.dropout(self.embedding(patches) + self.positions))
        return tokens.flatten(1).unflatten(0, channels.shape[:2])  # type: ignore[no-any-return]
