"""A gated recurrent network over each channel, in steps of several rows."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import PositiveInt
from torch import Tensor, nn

from bench.contracts.forecaster import ForecasterConfig, Task, TrainingConfig, register_forecaster
from bench.forecasters.normalized import TINY, ChannelHead, NetworkConfig, NormalizedNetwork, trained_at


class GRUConfig(NetworkConfig):
    """Options of the GRU.

    Attributes:
        width: Size of the state.
        depth: Recurrent layers.
        step: Rows that it reads at a time; where the window is no multiple, its first row is repeated before it.
    """

    width: PositiveInt = 128
    depth: PositiveInt = 1
    step: PositiveInt = 24
    training: TrainingConfig = trained_at(3e-3)


@register_forecaster("gru")
class GRU(NormalizedNetwork):
    """A gated recurrent network over each channel, weights shared by all; its last state is read (Cho et al., 2014).

    It reads several rows at a time, as SegRNN does (Lin and others, 2023).
    """

    Config: ClassVar[type[ForecasterConfig]] = GRUConfig
    provides: ClassVar[frozenset[str]] = frozenset({"any-window"})  # torch.func cannot map its recurrence over weights
    backbone_modules: ClassVar[tuple[str, ...]] = ("normalization", "network")
    tiny: ClassVar[dict[str, Any]] = TINY | {"width": 4, "step": 5}

    def __init__(self, config: GRUConfig, task: Task) -> None:
        super().__init__(config, task)
        self.step = config.step
        self.network = nn.GRU(config.step, config.width, config.depth, batch_first=True)
        self.head = ChannelHead(config.width, task)

    def features(self, rows: Tensor) -> Tensor:
        """``(B, L, C_in)`` to ``(B, C_in, width)``."""
        channels = nn.functional.pad(rows.transpose(1, 2), (-rows.shape[1] % self.step, 0), mode="replicate")
        steps = channels.unflatten(2, (-1, self.step)).flatten(0, 1)  # (B * C_in, T, step)
        states, _ = self.network(steps)
        return states[:, -1].unflatten(0, channels.shape[:2])  # type: ignore[no-any-return]
