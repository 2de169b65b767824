"""Linear forecasters: DLinear, trained by gradients, and ridge regression, in closed form."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor, nn

from bench.contracts.forecaster import ForecasterConfig, Pairs, Task, register_forecaster

Anchor = Literal["last", "mean"]


def anchored(windows: Tensor, task: Task, anchor: Anchor) -> tuple[Tensor, Tensor]:
    """Windows ``(B, L, C_in)`` as a shared-weight linear map sees them, for a task whose targets are among the inputs.

    Returns:
        Rows ``(B, C_out, L)``, one for each target, less their level (the window's last value or its mean), and levels
        ``(B, C_out, 1)``.
    """
    assert task.target_index is not None
    if task.target_index != tuple(range(task.inputs)):
        windows = windows[:, :, list(task.target_index)]
    rows = windows.transpose(1, 2)
    level = rows[..., -1:] if anchor == "last" else rows.mean(dim=-1, keepdim=True)
    return rows - level, level


def design(windows: Tensor, task: Task, anchor: Anchor, constant: bool) -> tuple[Tensor, Tensor]:
    """Regressors of a linear forecaster for windows ``(B, L, C_in)``, and the level that its forecast is added to.

    Targets that are inputs share weights: one row for each window and channel. Otherwise the whole window, flattened,
    is one row. With ``constant``, a 1 is appended to each.

    Returns:
        ``(B, R, F)`` and ``(B, R, 1)``, where R is ``C_out`` with shared weights and 1 without.
    """
    if task.target_index is None:
        rows = windows.flatten(1)[:, None]
        level = torch.zeros_like(rows[..., :1])
    else:
        rows, level = anchored(windows, task, anchor)
    if constant:
        rows = nn.functional.pad(rows, (0, 1), value=1.0)
    return rows, level


def outcome(truths: Tensor, level: Tensor, task: Task) -> Tensor:
    """What `design` rows are regressed on, for truths ``(B, H, C_out)`` and levels ``(B, R, 1)``.

    Returns:
        ``(B, R, M)``: M is H with shared weights, ``H * C_out`` without.
    """
    if task.target_index is None:
        return truths.flatten(1)[:, None]
    return truths.transpose(1, 2) - level


def forecast(rows: Tensor, level: Tensor, weights: Tensor, task: Task) -> Tensor:
    """Apply ``weights (F, M)`` to `design` rows; returns ``(B, H, C_out)``."""
    out = rows @ weights + level
    return out[:, 0].unflatten(1, (task.horizon, task.targets)) if task.target_index is None else out.transpose(1, 2)


def normal_equations(
    pairs: Pairs, task: Task, anchor: Anchor, constant: bool, batch: int = 4096
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gram matrix ``(F, F)`` and moment ``(F, M)`` of all pairs without a hidden target, in float64."""
    gram = moment = None
    for start in range(0, len(pairs), batch):
        x, y = pairs.take(slice(start, start + batch))
        known = ~y.isnan().flatten(1).any(dim=1)
        rows, level = design(x[known].double(), task, anchor, constant)
        target = outcome(y[known].double(), level, task)
        rows, target = rows.flatten(0, 1), target.flatten(0, 1)
        gram = rows.T @ rows if gram is None else gram + rows.T @ rows
        moment = rows.T @ target if moment is None else moment + rows.T @ target
    assert gram is not None
    assert moment is not None
    return gram.cpu().numpy(), moment.cpu().numpy()


class RidgeConfig(ForecasterConfig):
    """Options of ridge regression.

    Attributes:
        penalty: Added to every diagonal element of the Gram matrix, the constant's too; 0 is ordinary least squares.
        anchor: The level subtracted from each window: its last value or its mean.
        constant: Whether a constant is appended to the window's values.
    """

    penalty: NonNegativeFloat = 1.0
    anchor: Anchor = "last"
    constant: bool = True


@register_forecaster("ridge")
class Ridge(nn.Module):
    """Ridge regression on the window, weights shared by all channels."""

    Config: ClassVar[type[ForecasterConfig]] = RidgeConfig
    reads_exogenous: ClassVar[bool] = False

    def __init__(self, config: RidgeConfig, task: Task) -> None:
        super().__init__()
        self.config, self.task = config, task
        shared = task.target_index is not None
        features = task.lookback * (1 if shared else task.inputs) + config.constant
        outputs = task.horizon * (1 if shared else task.targets)
        self.weights: Tensor
        self.register_buffer("weights", torch.zeros(features, outputs, dtype=torch.float64))

    def fit(self, pairs: Pairs, validation: Pairs) -> None:
        """Solve the normal equations of the training pairs."""
        del validation
        gram, moment = normal_equations(pairs, self.task, self.config.anchor, self.config.constant)
        gram = gram + self.config.penalty * np.eye(len(gram))
        try:
            solution = np.linalg.solve(gram, moment)
        except np.linalg.LinAlgError:  # singular without a penalty: take the smallest solution
            solution = np.linalg.lstsq(gram, moment, rcond=None)[0]
        self.weights = torch.from_numpy(solution).to(self.weights.device)

    def forward(self, windows: Tensor) -> Tensor:
        """``(B, L, C_in)`` to ``(B, H, C_out)``."""
        rows, level = design(windows.double(), self.task, self.config.anchor, self.config.constant)
        return forecast(rows, level, self.weights, self.task).to(windows.dtype)


class DLinearConfig(ForecasterConfig):
    """Options of DLinear.

    Attributes:
        kernel: Rows of the moving average that is the trend.
    """

    kernel: PositiveInt = 25


@register_forecaster("dlinear")
class DLinear(nn.Module):
    """Two linear maps, one for the moving average and one for the remainder (Zeng et al., AAAI 2023)."""

    Config: ClassVar[type[ForecasterConfig]] = DLinearConfig
    reads_exogenous: ClassVar[bool] = False
    tiny: ClassVar[dict[str, Any]] = {"kernel": 3, "training": {"steps": 4, "batch": 4, "evaluations": 1}}

    def __init__(self, config: DLinearConfig, task: Task) -> None:
        super().__init__()
        self.task, self.kernel = task, config.kernel
        shared = task.target_index is not None
        features = task.lookback * (1 if shared else task.inputs)
        outputs = task.horizon * (1 if shared else task.targets)
        self.trend = nn.Linear(features, outputs)
        self.seasonal = nn.Linear(features, outputs)
        for layer in (self.trend, self.seasonal):  # both start as the mean of the window
            nn.init.constant_(layer.weight, 1.0 / features)

    def forward(self, windows: Tensor) -> Tensor:
        """``(B, L, C_in)`` to ``(B, H, C_out)``."""
        front, back = (self.kernel - 1) // 2, self.kernel // 2
        rows = windows.transpose(1, 2)
        padded = torch.cat([rows[..., :1].expand(-1, -1, front), rows, rows[..., -1:].expand(-1, -1, back)], dim=-1)
        trend = nn.functional.avg_pool1d(padded, self.kernel, stride=1)
        parts = []
        for part, layer in ((trend, self.trend), (rows - trend, self.seasonal)):
            x, level = design(part.transpose(1, 2), self.task, "last", constant=False)
            parts.append(forecast(layer(x), level, torch.eye(layer.out_features, device=x.device), self.task))
        return parts[0] + parts[1]
