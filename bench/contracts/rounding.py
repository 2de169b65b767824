"""What is no more than rounding: comparisons with the size of the numbers at hand, which hold in any unit."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

STEPS = 16  # roundings of float64, at the size of the largest value, within which values count as the same
LARGEST_SINGLE = float(np.sqrt(np.finfo(np.float32).max))  # what float32 can still square


def is_flat(values: Floats) -> NDArray[np.bool_]:
    """``(C,)``: which columns of ``(T, C)`` finite values are constant but for rounding; T > 0."""
    low, high = values.min(axis=0), values.max(axis=0)
    size = np.maximum(np.abs(low), np.abs(high))
    with np.errstate(over="ignore"):  # a spread beyond float64 is no rounding
        return np.asarray(high - low <= STEPS * np.finfo(np.float64).eps * size)


def is_exact(squares: Floats, truth: Floats) -> NDArray[np.bool_]:
    """``(n,)``: which forecasts are without error, as far as float32, in which they are made, can tell.

    Args:
        squares: ``(n,)`` mean squared error of each forecast.
        truth: ``(n, H, C)``; its root mean square sets the size of rounding.
    """
    return np.asarray(squares <= np.finfo(np.float32).eps ** 2 * np.square(truth).mean(axis=(1, 2)))
