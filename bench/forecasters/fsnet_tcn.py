"""FSNet's network: a TCN whose convolutions are scaled by controllers, which read an average of their own gradients.

Source: Pham, Liu, Sahoo and Hoi, "Learning fast and slow for online time series forecasting" (ICLR 2023). Convolutions
look back only, as those of `tcn`, and there are no calendar features. Without its controllers it is `tcn`.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from pydantic import Field, PositiveInt
from torch import Tensor, nn

from bench.contracts.forecaster import ForecasterConfig, Task, register_forecaster
from bench.forecasters.normalized import TINY
from bench.forecasters.tcn import TCN, Block, TCNConfig

SLOW, FAST = 0.9, 0.3
"""What a new gradient leaves of the slow and of the fast average."""

CONFLICT = -0.75
"""Cosine of the two averages below which the memory is read and written."""

MULTIPLIERS_KEPT, COLUMNS_KEPT, QUERY_KEPT = 0.75, 0.75, 0.7
TEMPERATURE, READ = 0.5, 2


class FSNetConfig(TCNConfig):
    """Options of the TCN, and of its controllers.

    Attributes:
        control: Width of a controller's hidden layer.
        slots: Columns of each convolution's memory.
        dropout: Share of features that are dropped before the head in training.
    """

    control: PositiveInt = 64
    slots: PositiveInt = 32
    dropout: float = Field(0.0, ge=0, lt=1)


class ControlledConv(nn.Conv1d):
    """A convolution whose weights, bias and outputs are multiplied by what its controller says.

    The controller reads the slow average of the weights' normalised gradients, a chunk for each input. Multipliers of
    weights are one for each input and row of the kernel, the same for all outputs.

    Attributes:
        slow: ``(out, in, k)``, the slow average of gradients; ``fast`` likewise.
        memory: ``(M, slots)``, earlier multipliers.
        query: ``(M,)``, a smoothed copy of the multipliers.
        read: ``(M,)``, what was read from the memory for the next forecasts.
        share: Its share of the multipliers, a scalar: 0 where nothing was read.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, control: int, slots: int, stride: Literal[1, 2] = 1
    ) -> None:
        super().__init__(inputs, outputs, kernel, stride=stride)
        self.controller = nn.Sequential(nn.Linear(outputs * kernel, control), nn.SiLU())
        self.of_weights, self.of_outputs = nn.Linear(control, kernel), nn.Linear(control * inputs, 2 * outputs)
        size = inputs * kernel + 2 * outputs
        zeros = torch.zeros(outputs, inputs, kernel)
        self.slow: Tensor
        self.fast: Tensor
        self.memory: Tensor
        self.query: Tensor
        self.read: Tensor
        self.share: Tensor
        self.register_buffer("slow", zeros)
        self.register_buffer("fast", zeros.clone())
        self.register_buffer("memory", torch.randn(size, slots) / size**0.5)
        self.register_buffer("query", torch.zeros(size))
        self.register_buffer("read", torch.zeros(size))
        self.register_buffer("share", torch.zeros(()))
        for layer in (self.of_weights, self.of_outputs):  # multipliers are 1 at first
            nn.init.normal_(layer.weight, std=1e-2)
            nn.init.ones_(layer.bias)

    def multipliers(self) -> Tensor:
        """``(M,)``: of weights ``(in, k)``, then of the bias ``(out,)``, then of the outputs ``(out,)``."""
        hidden = self.controller(self.slow.transpose(0, 1).flatten(1))
        own = torch.cat([self.of_weights(hidden).flatten(), self.of_outputs(hidden.flatten())])
        return own + self.share * (self.read - own)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, in, T)`` to ``(B, out, T - k + 1)``, or every second row of it."""
        outputs, inputs, kernel = self.weight.shape
        weights, bias, features = self.multipliers().split([inputs * kernel, outputs, outputs])
        assert self.bias is not None
        made = nn.functional.conv1d(x, self.weight * weights.view(inputs, kernel), self.bias * bias, self.stride)
        scaled: Tensor = made * features[:, None]
        return scaled

    @torch.no_grad()
    def take_in(self, *, remembers: bool) -> bool:
        """Take the latest gradient into the averages.

        Args:
            remembers: Whether the memory is read and written where the averages conflict.

        Returns:
            Whether it was.
        """
        gradient = self.weight.grad
        if gradient is None or not bool(gradient.isfinite().all()):
            return False
        unit = nn.functional.normalize(gradient, dim=1)
        self.fast.mul_(FAST).add_(unit, alpha=1 - FAST)
        conflict = nn.functional.cosine_similarity(self.fast.flatten(), self.slow.flatten(), dim=0) < CONFLICT
        self.slow.mul_(SLOW).add_(unit, alpha=1 - SLOW)
        self.share.zero_()
        if not remembers:
            return False
        own = self.multipliers()
        self.query.mul_(QUERY_KEPT).add_(own, alpha=1 - QUERY_KEPT)
        if not bool(conflict):
            return False
        attention, slots = torch.softmax(self.query @ self.memory / TEMPERATURE, dim=0).topk(
            min(READ, self.memory.shape[1])
        )
        self.read.copy_(self.memory[:, slots] @ attention)
        self.share.fill_(1 - MULTIPLIERS_KEPT)
        written = COLUMNS_KEPT * self.memory[:, slots] + (1 - COLUMNS_KEPT) * torch.outer(own, attention)
        self.memory[:, slots] = written
        self.memory.div_(self.memory.norm(dim=0).clamp(min=1))
        return True


class ControlledBlock(Block):
    """As the TCN's block, of controlled convolutions."""

    def __init__(self, inputs: int, outputs: int, kernel: int, rows: int, control: int, slots: int) -> None:
        super().__init__(inputs, outputs, kernel, rows)
        self.first = ControlledConv(inputs, outputs, self.past + 1, control, slots)
        self.second = ControlledConv(outputs, outputs, self.past + 1, control, slots, stride=2)

    def _of_row(self, x: Tensor, convolution: nn.Conv1d) -> Tensor:
        made: Tensor = convolution(nn.functional.gelu(x)[..., None])
        return made[..., 0]


@register_forecaster("fsnet-tcn")
class FSNetTCN(TCN):
    """FSNet's network: dilated causal convolutions, scaled by controllers that read an average of their gradients."""

    Config: ClassVar[type[ForecasterConfig]] = FSNetConfig
    provides: ClassVar[frozenset[str]] = frozenset({"controllers"})
    tiny: ClassVar[dict[str, Any]] = TINY | {"width": 4, "output": 6, "control": 3, "slots": 4}

    def __init__(self, config: FSNetConfig, task: Task) -> None:
        self._options = config.control, config.slots
        super().__init__(config, task)

    def block(self, inputs: int, outputs: int, kernel: int, rows: int) -> nn.Module:
        """One block."""
        return ControlledBlock(inputs, outputs, kernel, rows, *self._options)

    def controlled(self) -> list[ControlledConv]:
        """Its convolutions."""
        return [module for module in self.modules() if isinstance(module, ControlledConv)]

    def training_loss(self, windows: Tensor, truths: Tensor) -> Tensor:
        """The mean squared error; the gradients of the step before are taken in first."""
        for convolution in self.controlled():
            convolution.take_in(remembers=False)
        return nn.functional.mse_loss(self(windows), truths)
