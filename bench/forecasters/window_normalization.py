"""Level and scale that are removed from each window before a network sees it, and restored in the forecast."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from bench.contracts.forecaster import Pairs, Task
from bench.forecasters.linear import normal_equations

Normalization = Literal["none", "last", "mean-std", "last-std", "blended"]
BLEND_GAIN = 10.0  # so that the blend moves as fast as the weights do
AFFINE_EPS = 1e-10  # a gain is divided by, as in RevIN
VARIANCE_EPS = 1e-5


class WindowNormalization(nn.Module):
    """A window's level and scale.

    Args:
        kind: ``none``; ``last``, subtract the last row; ``mean-std``, mean and deviation; ``last-std``, the last row
            and the deviation, and then the forecast's scale is never more than one deviation of the training rows (a
            channel that grows tenfold does not make its errors grow tenfold); ``blended``, the same with the mean of
            the latest rows in place of the last, and the forecast's level is a learned blend of both, for each lead.
        shape: ``(H, C_out)`` of a forecast.
        target_index: Position of each output among the inputs; empty if outputs are not inputs.
        latest: Rows of a window whose mean ``blended`` takes.
        affine: Whether each column then has a learned gain and shift, undone on the forecast. Source: RevIN, Kim
            and others (ICLR 2022).
        anchor_rows: Rows of a whole window, from which a ridge regression then gives the forecast's level: of its own
            channel, in steps from the last row, with weights that all channels share; or, where outputs are not inputs,
            of all columns. 0 has no such level.
        step_bound: Deviation of a channel's window, in training deviations, beyond which the regression's steps from
            the last row no longer grow with it; None has no bound.

    Attributes:
        blend: ``(H,)`` logits, or None.
        affine: ``(2, C_in)``, gains and shifts, or None.
        anchor: The ridge regression, which gradients leave alone, or None.
    """

    def __init__(
        self,
        kind: Normalization,
        columns: int,
        shape: tuple[int, int],
        target_index: tuple[int, ...],
        latest: int,
        *,
        affine: bool = False,
        anchor_rows: int = 0,
        step_bound: float | None = None,
    ) -> None:
        super().__init__()
        self.kind, self.shape, self.latest = kind, shape, latest
        self.target_index, self.step_bound, self.anchor_rows = target_index, step_bound, anchor_rows
        self.blend: nn.Parameter | None = None
        if kind == "blended" and target_index and not anchor_rows:
            self.blend = nn.Parameter(torch.zeros(shape[0]))
        self.affine: nn.Parameter | None = None
        if affine:
            self.affine = nn.Parameter(torch.stack([torch.ones(columns), torch.zeros(columns)]))
        self.anchor: nn.Linear | None = None
        if anchor_rows:
            shared = bool(target_index)
            self.anchor = nn.Linear(anchor_rows * (1 if shared else columns), shape[0] * (1 if shared else shape[1]))
            self.anchor.requires_grad_(requires_grad=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Windows ``(B, L, C_in)`` without their level and scale, and the forecast's level and scale.

        The latter two broadcast to ``(B, H, C_out)``.
        """
        taken, std = self._statistics(x)
        rows = self._taken_off(x, taken, std)
        if not self.target_index:
            if self.anchor is None:
                return rows, x.new_zeros(()), x.new_ones(())
            latest = x[:, -self.anchor_rows :].flatten(1)
            return rows, self.anchor(latest).unflatten(1, self.shape), x.new_ones(())
        last = x[:, -1:]
        level = torch.zeros_like(last) if taken is None else taken
        scale = torch.ones_like(last) if std is None else std
        if std is not None and self.kind != "mean-std":
            scale = std / (1 + std.square()).sqrt()
        if self.blend is not None:
            level = torch.lerp(level, last, torch.sigmoid(BLEND_GAIN * self.blend)[:, None])
        if self.affine is not None:
            gain, shift = self.affine
            scale = scale / (gain + AFFINE_EPS)
            level = level - shift * scale
        if self.target_index != tuple(range(x.shape[-1])):
            index = list(self.target_index)
            level, scale, x = level[..., index], scale[..., index], x[..., index]
        return rows, level if self.anchor is None else self._regressed(x), scale

    def _regressed(self, targets: Tensor) -> Tensor:
        """The anchor's forecast ``(B, H, C_out)`` for windows of the targets ``(B, L, C_out)``."""
        assert self.anchor is not None
        last = targets[:, -1:]
        steps: Tensor = self.anchor((targets - last).transpose(1, 2)).transpose(1, 2)
        if self.step_bound is not None:
            deviation = targets.std(dim=1, keepdim=True, correction=0)
            steps = steps / (deviation / self.step_bound).clamp(min=1)
        return last + steps

    def head(self, x: Tensor, rows: int) -> Tensor:
        """The first rows of a window without its level and scale: ``(B, L, C_in)`` to ``(B, rows, C_in)``."""
        return self._taken_off(x[:, :rows], *self._statistics(x))

    def prepare(self, pairs: Pairs) -> None:
        """Solve the ridge regression, if there is one."""
        if self.anchor is None:
            return
        index = self.target_index or None
        task = Task(pairs.lookback, pairs.horizon, pairs.inputs.shape[1], pairs.targets.shape[1], index)
        gram, moment = normal_equations(pairs, task, "last", constant=True)
        solution = torch.from_numpy(np.linalg.solve(gram + np.eye(len(gram)), moment))
        with torch.no_grad():
            self.anchor.weight.copy_(solution[:-1].T)
            self.anchor.bias.copy_(solution[-1])

    def _statistics(self, x: Tensor) -> tuple[Tensor | None, Tensor | None]:
        """What is subtracted from a window, and its divisor, ``(B, 1, C_in)`` each; None for nothing."""
        if self.kind == "none":
            return None, None
        if self.kind == "last":
            return x[:, -1:], None
        variance, mean = torch.var_mean(x, dim=1, keepdim=True, correction=0)
        if self.kind == "last-std":
            mean = x[:, -1:]
        if self.kind == "blended":
            mean = x[:, -self.latest :].mean(dim=1, keepdim=True)
        return mean, variance.add_(VARIANCE_EPS).sqrt_()

    def _taken_off(self, rows: Tensor, taken: Tensor | None, std: Tensor | None) -> Tensor:
        rows = rows if taken is None else rows - taken
        rows = rows if std is None else rows / std
        if self.affine is None:
            return rows
        gain, shift = self.affine
        return torch.addcmul(shift, rows, gain)
