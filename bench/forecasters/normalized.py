"""What networks share: windows without their level and scale, and a head that turns features into forecasts."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn

from bench.contracts.errors import BenchError
from bench.contracts.forecaster import ForecasterConfig, Pairs, Task, TrainingConfig
from bench.forecasters.window_normalization import Normalization, WindowNormalization

TINY: dict[str, Any] = {"training": {"steps": 3, "batch": 4, "evaluations": 1, "validation_windows": 8}}

RECIPE = TrainingConfig(steps=600, lr=1e-3, evaluations=10, patience=3)


def trained_at(lr: float) -> TrainingConfig:
    """The recipe of networks, with another learning rate."""
    return RECIPE.model_copy(update={"lr": lr})


class NetworkConfig(ForecasterConfig):
    """Options that networks share.

    Attributes:
        normalize: What each window is freed of before the network sees it, and the forecast is given back: ``mean-std``
            (as RevIN), ``last``, ``blended`` or ``none``.
        affine: Whether each column then has a learned gain and shift (RevIN's).
    """

    normalize: Normalization = "mean-std"
    affine: bool = False
    training: TrainingConfig = RECIPE


class NormalizedNetwork(nn.Module):
    """A network between the removal of each window's level and scale and their return; subclass it.

    A subclass has ``features(rows)`` and a module ``head``; all other modules are its backbone. Targets that are not
    inputs have no level of their own: a ridge regression on the window, solved before training, gives it.
    """

    provides: ClassVar[frozenset[str]] = frozenset({"functional"})
    head_modules: ClassVar[tuple[str, ...]] = ("head",)
    backbone_modules: ClassVar[tuple[str, ...]]
    head: nn.Module

    def __init__(self, config: Any, task: Task) -> None:
        super().__init__()
        self.task = task
        self.normalization = WindowNormalization(
            config.normalize,
            task.inputs,
            (task.horizon, task.targets),
            task.target_index or (),
            min(task.lookback, 24),
            affine=config.affine,
            anchor_rows=0 if task.target_index else task.lookback,
        )

    def prepare(self, pairs: Pairs) -> None:
        """Solve the regression that gives the level of targets which are not inputs; the network starts from it."""
        self.normalization.prepare(pairs)
        if self.task.target_index is None:
            for parameter in self.head.parameters():
                nn.init.zeros_(parameter)

    def forward(self, windows: Tensor) -> Tensor:
        """``(B, L, C_in)`` to ``(B, H, C_out)``."""
        rows, level, scale = self.normalization(windows)
        return self.head(self.features(rows)) * scale + level  # type: ignore[no-any-return]

    def features(self, rows: Tensor) -> Tensor:
        """``(B, L, C_in)``, without level and scale, to what the head reads."""
        raise NotImplementedError


class ChannelHead(nn.Module):
    """A linear map from the features of each target's channel to its forecast, shared by all of them.

    Targets that are not inputs are read from the features of all channels together.
    """

    def __init__(self, features: int, task: Task, dropout: float = 0.0) -> None:
        super().__init__()
        self.task, self.dropout = task, nn.Dropout(dropout)
        hidden = task.target_index is None
        self.map = nn.Linear(features * (task.inputs if hidden else 1), task.horizon * (task.targets if hidden else 1))

    def forward(self, features: Tensor) -> Tensor:
        """``(B, C_in, D)`` to ``(B, H, C_out)``."""
        index = self.task.target_index
        if index is None:
            return self.map(self.dropout(features.flatten(1))).unflatten(1, (self.task.horizon, self.task.targets))  # type: ignore[no-any-return]
        return self.map(self.dropout(features[:, list(index)])).transpose(1, 2)  # type: ignore[no-any-return]


class EncoderLayer(nn.Module):
    """Self-attention and a feed-forward network, each added to its input and then normalised.

    Source: Vaswani and others (2017). ``batch`` normalises each feature over batch and tokens, as PatchTST does,
    ``layer`` each token.
    """

    def __init__(self, width: int, heads: int, feedforward: int, dropout: float, norm: str) -> None:
        super().__init__()
        self.heads, self.dropout = heads, nn.Dropout(dropout)
        self.mixes = nn.Linear(width, 3 * width)  # queries, keys and values
        self.gathers = nn.Linear(width, width)
        self.feedforward = nn.Sequential(
            nn.Linear(width, feedforward), nn.GELU(), nn.Dropout(dropout), nn.Linear(feedforward, width)
        )
        self.norms = nn.ModuleList(TokenBatchNorm(width) if norm == "batch" else nn.LayerNorm(width) for _ in range(2))

    def forward(self, tokens: Tensor) -> Tensor:
        """``(B, N, D)`` to the same shape."""
        q, k, v = self.mixes(tokens).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed = nn.functional.scaled_dot_product_attention(q, k, v)
        tokens = self.norms[0](tokens + self.dropout(self.gathers(mixed.transpose(1, 2).flatten(2))))
        return self.norms[1](tokens + self.dropout(self.feedforward(tokens)))  # type: ignore[no-any-return]


class TokenBatchNorm(nn.BatchNorm1d):
    """Batch normalisation of features that stand last: ``(B, N, D)``."""

    def forward(self, tokens: Tensor) -> Tensor:
        """Each feature, over batch and tokens."""
        return super().forward(tokens.transpose(1, 2)).transpose(1, 2)


def require_heads(name: str, width: int, heads: int) -> None:
    """`BenchError` if a width cannot be divided among heads."""
    if width % heads:
        nearest = heads * max(1, round(width / heads))
        raise BenchError(
            f"{name}: width={width} is no multiple of heads={heads}. Give width={nearest}, or other heads."
        )
