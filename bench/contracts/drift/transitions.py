"""How far a drift has come, row by row: 0 is the old law, 1 the new one."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Shape = Literal["abrupt", "sigmoid", "linear", "cosine", "recurring"]


def activation(shape: Shape, rows: int, onset: int, width: int = 0, rest: int = 0) -> Floats:
    """The transition ``a(t)`` of a drift around its onset ``p``.

    ``abrupt`` is ``1[t >= p]``; ``sigmoid`` is ``1 / (1 + exp(-4 (t - p) / w))``, taken as 0 before ``p - w`` and as 1
    after ``p + w`` (a step of 0.018 each), so that a drift has a first row; ``linear`` is
    ``u = clip((t - p) / w + 1/2, 0, 1)``; ``cosine`` is ``(1 - cos(pi u)) / 2``; ``recurring`` is
    ``1[(t - p) mod (w + rest) < w]`` from ``p`` on.

    Args:
        shape: Which of them.
        rows: ``T``.
        onset: ``p``, a row.
        width: ``w``, rows; for ``recurring``, those that the new law lasts each time. Not used by ``abrupt``.
        rest: Rows of the old law between two visits of the new one (``recurring``).

    Returns:
        ``(T,)``, from 0 to 1.

    Source: for the sigmoid, Bifet et al. (2010), "MOA: Massive Online Analysis".
    """
    t = np.arange(rows, dtype=np.float64) - onset
    if shape == "abrupt":
        return np.where(t >= 0, 1.0, 0.0)
    if shape == "recurring":
        return np.where((t >= 0) & (np.mod(t, width + rest) < width), 1.0, 0.0)
    if shape == "sigmoid":
        inside = 1 / (1 + np.exp(-4 * np.clip(t / width, -1, 1)))
        return np.where(t < -width, 0.0, np.where(t > width, 1.0, inside))
    ramp = np.clip(t / width + 0.5, 0.0, 1.0)
    return ramp if shape == "linear" else (1 - np.cos(np.pi * ramp)) / 2


def drawn_by_block(probability: Floats, onset: int, block: int, uniform: Floats) -> Floats:
    """``(T,)``, 1 for the new law, else 0: gradual drift, in which each block follows one of the two laws.

    Args:
        probability: ``(T,)``, of the new law; a block takes that of its first row.
        onset: A row at which a block begins.
        block: Rows of a block, such as a season.
        uniform: At least ``T / block + 2`` numbers from 0 to 1, one for each block.
    """
    t = np.arange(len(probability))
    number = (t - onset) // block
    first = np.maximum(number * block + onset, 0)
    return np.where(uniform[number - number[0]] < probability[first], 1.0, 0.0)
