"""DLinear and NLinear: linear maps of the window that gradients train.

Source: Zeng and others, "Are transformers effective for time series forecasting?" (AAAI 2023).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from bench.contracts.errors import BenchError
from bench.contracts.forecaster import ForecasterConfig, Task, TrainingConfig, register_forecaster
from bench.forecasters.linear import in_columns, in_rows

TINY: dict[str, Any] = {"training": {"steps": 4, "epochs": 1, "batch": 4, "evaluations": 1}}


class LinearOfChannel(nn.Module):
    """As many linear maps as channels: ``(B, C, F)`` to ``(B, C, M)``."""

    def __init__(self, channels: int, features: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels, outputs, features))
        self.bias = nn.Parameter(torch.empty(channels, outputs))

    def forward(self, rows: Tensor) -> Tensor:
        """Each channel by its own map."""
        return torch.einsum("bcf,cmf->bcm", rows, self.weight) + self.bias


class WindowMap(nn.Module):
    """A linear map from a window to its forecast, shared by all channels or one for each; it starts as the mean.

    Targets that are not inputs have one map, from the whole window.
    """

    def __init__(self, task: Task, individual: bool) -> None:
        super().__init__()
        self.task = task
        pasts, futures = (task.inputs, task.targets) if task.target_index is None else (1, 1)
        features, outputs = task.lookback * pasts, task.horizon * futures
        self.layer = LinearOfChannel(task.targets, features, outputs) if individual else nn.Linear(features, outputs)
        nn.init.constant_(self.layer.weight, 1 / features)
        nn.init.zeros_(self.layer.bias)

    def forward(self, windows: Tensor) -> Tensor:
        """``(B, L, C_in)`` to ``(B, H, C_out)``."""
        return in_columns(self.layer(in_rows(windows, self.task)), self.task)

    def stacked(self, weight: Tensor, bias: Tensor, windows: Tensor) -> Tensor:
        """``(M, B, H, C_out)`` of the same windows by M maps that all channels share, ``(M, O, F)`` and ``(M, O)``."""
        rows = in_rows(windows, self.task)
        made = torch.addmm(bias.flatten(), rows.flatten(0, 1), weight.flatten(0, 1).T)
        made = made.view(*rows.shape[:2], *bias.shape).movedim(2, 0)
        return in_columns(made.flatten(0, 1), self.task).unflatten(0, made.shape[:2])  # type: ignore[no-any-return]


def moving_average(windows: Tensor, kernel: int) -> Tensor:
    """Means over ``kernel`` rows of ``(B, L, C)``, as many rows; the first and last row are repeated at the ends."""
    front, back = (kernel - 1) // 2, kernel // 2
    rows = nn.functional.pad(windows.transpose(1, 2), (front, back), mode="replicate")
    return nn.functional.avg_pool1d(rows, kernel, stride=1).transpose(1, 2)


def last_values(windows: Tensor, task: Task) -> Tensor:
    """The last value of each target, ``(B, 1, C_out)``; 0 for targets that are not inputs."""
    return windows[:, -1:, list(task.target_index)] if task.target_index else windows.new_zeros(())


class LinearConfig(ForecasterConfig):
    """Options of NLinear.

    Attributes:
        individual: Whether each channel has weights of its own.
    """

    individual: bool = False
    training: TrainingConfig = TrainingConfig(steps=2000, evaluations=30, patience=10)


class DLinearConfig(LinearConfig):
    """Options of DLinear.

    Attributes:
        kernel: Rows of the moving average that is the trend.
    """

    kernel: PositiveInt = 25


def refuse_individual(config: LinearConfig, task: Task, device: str) -> None:
    """A `check_task`: weights of its own for each channel need channels that are inputs and targets."""
    del device
    if config.individual and task.target_index is None:
        raise BenchError(
            "individual = true gives each channel a map of its own past, and the targets here are not inputs. "
            "Leave it out, or make the targets inputs."
        )


@register_forecaster("dlinear")
class DLinear(nn.Module):
    """Two linear maps, one for the moving average and one for the remainder (Zeng et al., AAAI 2023)."""

    Config: ClassVar[type[ForecasterConfig]] = DLinearConfig
    reads_exogenous: ClassVar[bool] = False
    provides: ClassVar[frozenset[str]] = frozenset({"functional"})
    head_modules: ClassVar[tuple[str, ...]] = ("trend", "seasonal")
    tiny: ClassVar[dict[str, Any]] = TINY | {"kernel": 3}
    check_task = staticmethod(refuse_individual)

    def __init__(self, config: DLinearConfig, task: Task) -> None:
        super().__init__()
        self.kernel = config.kernel
        self.trend = WindowMap(task, config.individual)
        self.seasonal = WindowMap(task, config.individual)

    def forward(self, windows: Tensor) -> Tensor:
        """``(B, L, C_in)`` to ``(B, H, C_out)``."""
        trend = moving_average(windows, self.kernel)
        return self.trend(trend) + self.seasonal(windows - trend)  # type: ignore[no-any-return]

    @property
    def stacks(self) -> bool:
        """Whether `forward_stacked` covers the options: weights that all channels share."""
        return isinstance(self.trend.layer, nn.Linear)

    def forward_stacked(self, weights: Mapping[str, Tensor], windows: Tensor) -> Tensor:
        """``(M, B, H, C_out)`` by M models; see `bench.Forecaster`."""
        trend = moving_average(windows, self.kernel)
        parts = ("trend", self.trend, trend), ("seasonal", self.seasonal, windows - trend)
        one, other = (
            part.stacked(weights[f"{name}.layer.weight"], weights[f"{name}.layer.bias"], rows)
            for name, part, rows in parts
        )
        return one + other


@register_forecaster("nlinear")
class NLinear(nn.Module):
    """One linear map of the window less its last value, which is added back (Zeng et al., AAAI 2023)."""

    Config: ClassVar[type[ForecasterConfig]] = LinearConfig
    reads_exogenous: ClassVar[bool] = False
    provides: ClassVar[frozenset[str]] = frozenset({"functional"})
    head_modules: ClassVar[tuple[str, ...]] = ("map",)
    tiny: ClassVar[dict[str, Any]] = TINY
    check_task = staticmethod(refuse_individual)

    def __init__(self, config: LinearConfig, task: Task) -> None:
        super().__init__()
        self.task = task
        self.map = WindowMap(task, config.individual)

    def forward(self, windows: Tensor) -> Tensor:
        """``(B, L, C_in)`` to ``(B, H, C_out)``."""
        rows = windows - windows[:, -1:] if self.task.target_index else windows
        return self.map(rows) + last_values(windows, self.task)  # type: ignore[no-any-return]

    @property
    def stacks(self) -> bool:
        """Whether `forward_stacked` covers the options: weights that all channels share."""
        return isinstance(self.map.layer, nn.Linear)

    def forward_stacked(self, weights: Mapping[str, Tensor], windows: Tensor) -> Tensor:
        """``(M, B, H, C_out)`` by M models; see `bench.Forecaster`."""
        rows = windows - windows[:, -1:] if self.task.target_index else windows
        made = self.map.stacked(weights["map.layer.weight"], weights["map.layer.bias"], rows)
        return made + last_values(windows, self.task)
