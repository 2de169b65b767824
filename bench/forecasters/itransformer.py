"""iTransformer: attention among channels, each of which is one token.

Source: Liu and others, "iTransformer: inverted transformers are effective for time series forecasting" (ICLR 2024).
"""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field, PositiveInt
from torch import Tensor, nn

from bench.contracts.forecaster import ForecasterConfig, Task, register_forecaster
from bench.forecasters.normalized import (
    TINY,
    ChannelHead,
    EncoderLayer,
    NetworkConfig,
    NormalizedNetwork,
    require_heads,
)


class ITransformerConfig(NetworkConfig):
    """Options of iTransformer.

    Attributes:
        width: Size of a token.
        heads: Of the attention.
        feedforward: Width of the feed-forward networks.
        depth: Layers.
        dropout: Share of values that are dropped in training.
    """

    width: PositiveInt = 128
    heads: PositiveInt = 8
    feedforward: PositiveInt = 128
    depth: PositiveInt = 2
    dropout: float = Field(0.1, ge=0, lt=1)


@register_forecaster("itransformer")
class ITransformer(NormalizedNetwork):
    """Attention among channels, the window of each being one token (Liu et al., ICLR 2024)."""

    Config: ClassVar[type[ForecasterConfig]] = ITransformerConfig
    backbone_modules: ClassVar[tuple[str, ...]] = ("normalization", "embedding", "layers", "norm")
    tiny: ClassVar[dict[str, Any]] = TINY | {"width": 4, "heads": 2, "feedforward": 4, "depth": 1}

    @classmethod
    def check_task(cls, config: ITransformerConfig, task: Task, device: str | None = None) -> None:
        """`BenchError` where heads do not divide the width."""
        del task, device
        require_heads("itransformer", config.width, config.heads)

    def __init__(self, config: ITransformerConfig, task: Task) -> None:
        super().__init__(config, task)
        self.embedding = nn.Linear(task.lookback, config.width)
        self.dropout = nn.Dropout(config.dropout)
        sizes = config.width, config.heads, config.feedforward, config.dropout, "layer"
        self.layers = nn.Sequential(*(EncoderLayer(*sizes) for _ in range(config.depth)))
        self.norm = nn.LayerNorm(config.width)
        self.head = ChannelHead(config.width, task)

    def features(self, rows: Tensor) -> Tensor:
        """``(B, L, C_in)`` to ``(B, C_in, width)``."""
        tokens = self.dropout(self.embedding(rows.transpose(1, 2)))
        return self.norm(self.layers(tokens))  # type: ignore[no-any-return]
