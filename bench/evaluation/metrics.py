"""Errors of a stream: sums by lead and channel, and a mean for each origin."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from bench.contracts.rounding import is_exact
from bench.results.record import Errors

Floats = NDArray[np.float64]


@dataclass
class ErrorSums:
    """Sums of errors by lead and channel, and the mean error of each origin.

    Attributes:
        std: ``(C,)`` deviation of each target in original units for one scaled unit.
        horizon: ``H``.
    """

    std: Floats
    horizon: int
    windows: int = 0
    squares: Floats = field(init=False)
    absolutes: Floats = field(init=False)
    by_origin: list[Floats] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.squares = np.zeros((self.horizon, len(self.std)))
        self.absolutes = np.zeros_like(self.squares)

    def add(self, forecast: NDArray[np.floating], truth: Floats) -> None:
        """Count some forecasts; one that is exact but for the rounding of float32 has no error.

        Args:
            forecast: ``(n, H, C)``, scaled.
            truth: ``(n, H, C)``, scaled.
        """
        error = np.asarray(forecast, dtype=np.float64) - truth
        square = np.square(error)
        exact = is_exact(square.mean(axis=(1, 2)), truth)
        if exact.any():
            error[exact], square[exact] = 0.0, 0.0
        absolute = np.abs(error)
        self.windows += len(error)
        self.squares += square.sum(axis=0)
        self.absolutes += absolute.sum(axis=0)
        square_by_channel, absolute_by_channel = square.mean(axis=1), absolute.mean(axis=1)
        self.by_origin.append(
            np.stack(
                [
                    square_by_channel.mean(axis=1),
                    absolute_by_channel.mean(axis=1),
                    (square_by_channel * self.std**2).mean(axis=1),
                    (absolute_by_channel * self.std).mean(axis=1),
                ],
                axis=1,
            )
        )

    @property
    def origin_errors(self) -> Floats:
        """``(windows, 4)``: MSE, MAE, MSE in original units, MAE in original units, for each origin in order."""
        return np.concatenate(self.by_origin) if self.by_origin else np.empty((0, 4))

    @property
    def mse(self) -> float:
        """Mean squared error over windows, leads and channels, scaled; NaN before the first window."""
        return float(self.squares.sum() / (self.windows * self.squares.size)) if self.windows else float("nan")

    def errors(self, val_mse: float | None) -> Errors:
        """The record's summary. The means pool windows, leads and channels.

        Args:
            val_mse: Scaled MSE over the validation rows, where they were streamed.
        """
        square = self.squares / self.windows
        absolute = self.absolutes / self.windows
        mse, mse_original = float(square.mean()), float((square * self.std**2).mean())
        return Errors(
            windows=self.windows,
            mae=float(absolute.mean()),
            mse=mse,
            rmse=mse**0.5,
            mae_original=float((absolute * self.std).mean()),
            mse_original=mse_original,
            rmse_original=mse_original**0.5,
            val_mse=val_mse,
            mse_by_channel=square.mean(axis=0).tolist(),
            mae_by_channel=absolute.mean(axis=0).tolist(),
            mse_by_lead=square.mean(axis=1).tolist(),
            mae_by_lead=absolute.mean(axis=1).tolist(),
        )
