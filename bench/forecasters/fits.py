"""FITS: interpolation of a window's spectrum to that of window and forecast together.

Source: Xu and others, "FITS: modeling time series with 10k parameters" (ICLR 2024).
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from bench.contracts.errors import BenchError
from bench.contracts.forecaster import ForecasterConfig, Task, TrainingConfig, register_forecaster

VARIANCE_EPS = 1e-5


class FITSConfig(ForecasterConfig):
    """Options of FITS.

    Attributes:
        bins: Frequencies of the window that are read, the mean's among them, from the lowest; None reads all.
        reconstruction: Whether it is trained on window and forecast together, as published, or on the forecast alone.
    """

    bins: PositiveInt | None = None
    reconstruction: bool = False
    training: TrainingConfig = TrainingConfig(steps=2000, lr=3e-3, evaluations=30, patience=10)


@register_forecaster("fits")
class FITS(nn.Module):
    """A complex linear map from the low frequencies of a window to those of window and forecast (Xu et al., ICLR 2024).

    Its weights are shared by all channels.
    """

    Config: ClassVar[type[ForecasterConfig]] = FITSConfig
    reads_exogenous: ClassVar[bool] = False
    provides: ClassVar[frozenset[str]] = frozenset({"functional"})
    head_modules: ClassVar[tuple[str, ...]] = ("weight", "bias")
    tiny: ClassVar[dict[str, Any]] = {"bins": 4, "training": {"steps": 4, "batch": 4, "evaluations": 1}}

    @classmethod
    def check_task(cls, config: FITSConfig, task: Task, device: str | None = None) -> None:
        """`BenchError` for targets that are not inputs."""
        del config, device
        if task.target_index is None:
            raise BenchError(
                "fits: it continues the window of each target, and the targets here are not inputs. "
                "Make them inputs, or choose a forecaster that reads other columns, such as ridge or tcn."
            )

    def __init__(self, config: FITSConfig, task: Task) -> None:
        super().__init__()
        self.config, self.task = config, task
        self.rows = task.lookback + task.horizon
        frequencies = task.lookback // 2 + 1
        self.read = min(config.bins or frequencies, frequencies)
        self.written = min(self.read * self.rows // task.lookback, self.rows // 2 + 1)
        bound = self.read**-0.5
        self.weight = nn.Parameter(torch.empty(2, self.written, self.read).uniform_(-bound, bound))  # real, imaginary
        self.bias = nn.Parameter(torch.zeros(2, self.written))

    def continued(self, windows: Tensor) -> Tensor:
        """Windows ``(B, L, C_in)`` to what they were made of and go on as: ``(B, L + H, C_out)``."""
        assert self.task.target_index is not None
        rows = windows[:, :, list(self.task.target_index)].transpose(1, 2)
        variance, mean = torch.var_mean(rows, dim=2, keepdim=True)
        scale = (variance + VARIANCE_EPS).sqrt()
        spectrum = torch.fft.rfft((rows - mean) / scale)[..., : self.read]
        weight, bias = torch.complex(*self.weight), torch.complex(*self.bias)
        longer = torch.fft.irfft(nn.functional.linear(spectrum, weight, bias), n=self.rows)
        made: Tensor = longer * (self.rows / self.task.lookback) * scale + mean
        return made.transpose(1, 2)

    def forward(self, windows: Tensor) -> Tensor:
        """``(B, L, C_in)`` to ``(B, H, C_out)``."""
        return self.continued(windows)[:, -self.task.horizon :]

    def training_loss(self, windows: Tensor, truths: Tensor) -> Tensor:
        """MSE of the recipe: of ``(B, L, C_in)`` and ``(B, H, C_out)`` together, or of the latter alone."""
        if not self.config.reconstruction:
            return nn.functional.mse_loss(self(windows), truths)
        assert self.task.target_index is not None
        both = torch.cat([windows[:, :, list(self.task.target_index)], truths], dim=1)
        return nn.functional.mse_loss(self.continued(windows), both)
