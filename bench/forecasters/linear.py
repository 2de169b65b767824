"""Linear forecasters in closed form: ridge regression and ordinary least squares."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import NonNegativeFloat
from torch import Tensor, nn

from bench.contracts.config import Search
from bench.contracts.forecaster import ForecasterConfig, Pairs, Task, register_forecaster

Anchor = Literal["last", "mean"]


def in_rows(windows: Tensor, task: Task) -> Tensor:
    """What shared weights are applied to: of windows ``(B, L, C_in)``, ``(B, R, F)``.

    A row is the past of a target. Where targets are not inputs, one row is the whole window, flattened.
    """
    if task.target_index is None:
        return windows.flatten(1)[:, None]
    if task.target_index != tuple(range(task.inputs)):
        windows = windows[:, :, list(task.target_index)]
    return windows.transpose(1, 2)


def in_columns(rows: Tensor, task: Task) -> Tensor:
    """Forecasts ``(B, H, C_out)`` of what a map gives for `in_rows`, ``(B, R, M)``."""
    return rows[:, 0].unflatten(1, (task.horizon, task.targets)) if task.target_index is None else rows.transpose(1, 2)


def anchored(windows: Tensor, task: Task, anchor: Anchor) -> tuple[Tensor, Tensor]:
    """Windows ``(B, L, C_in)`` as a shared-weight linear map sees them, for a task whose targets are among the inputs.

    Returns:
        Rows ``(B, C_out, L)``, one for each target, less their level (the window's last value or its mean), and levels
        ``(B, C_out, 1)``.
    """
    rows = in_rows(windows, task)
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
        rows = in_rows(windows, task)
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
    return in_columns(rows @ weights + level, task)


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

    penalty: Annotated[NonNegativeFloat, Search(1e-2, 1e3, log=True)] = 1.0
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


class OLSConfig(RidgeConfig):
    """Options of ordinary least squares, as of ridge regression; the penalty is there for a singular Gram matrix."""

    penalty: Annotated[NonNegativeFloat, Search(1e-8, 1e-2, log=True)] = 1e-6
    anchor: Anchor = "mean"
    constant: bool = False


@register_forecaster("ols")
class OLS(Ridge):
    """Ordinary least squares on the window less its mean, weights shared by all channels (Toner, Darlow, ICML 2024)."""

    Config: ClassVar[type[ForecasterConfig]] = OLSConfig
