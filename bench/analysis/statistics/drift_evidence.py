"""How far each column of a series is from what it was in training."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.analysis.statistics.change_points import seasonless_levels

Floats = NDArray[np.float64]


def drift_evidence(
    values: Floats, columns: tuple[str, ...], borders: tuple[int, int, int], season: int | None = None
) -> pd.DataFrame:
    """Mean and variance of each part against training, and where the level changes most.

    Args:
        values: ``(T, C)``, finite.
        columns: ``C`` names.
        borders: First validation row, first stream row, end.
        season: Rows in one season, or None.

    Returns:
        A row for each column: ``column``; ``validation_shift`` and ``stream_shift``, the difference of means to the
        training rows in their standard deviations; ``validation_ratio`` and ``stream_ratio``, of variances; ``row``,
        where the two levels differ most clearly if the whole series had two, and ``step``, by how many standard
        deviations of the whole. What cannot be told is NaN (row: -1).
    """
    train, validation, end = borders
    parts = {"validation": values[train:validation], "stream": values[validation:end]}
    mean, variance = values[:train].mean(axis=0), values[:train].var(axis=0)
    found = pd.DataFrame({"column": columns})
    with np.errstate(divide="ignore", invalid="ignore"):
        for name, part in parts.items():
            found[f"{name}_shift"] = (part.mean(axis=0) - mean) / np.sqrt(variance) if len(part) else np.nan
            found[f"{name}_ratio"] = part.var(axis=0) / variance if len(part) else np.nan
    found["row"], found["step"] = largest_steps(values, season)
    return found.replace([np.inf, -np.inf], np.nan)


def largest_steps(values: Floats, season: int | None = None) -> tuple[NDArray[np.int64], Floats]:
    """For each column, the best division into two levels (least squares).

    Args:
        values: ``(T, C)``, finite.
        season: Rows in one season, or None.

    Returns:
        ``(C,)`` first rows of the second level, to a block of `block_length`, and ``(C,)`` its difference to the first
        in standard deviations of the series; -1 and NaN for columns that stand still.
    """
    scaled, block, moving = seasonless_levels(values, season)
    rows, steps = np.full(values.shape[1], -1, dtype=np.int64), np.full(values.shape[1], np.nan)
    count = len(scaled)
    if count < 2 or not moving.any():
        return rows, steps
    sizes = np.arange(1, count)[:, None]
    sums = np.cumsum(scaled, axis=0)
    before, after = sums[:-1] / sizes, (sums[-1] - sums[:-1]) / (count - sizes)
    best = ((after - before) ** 2 * sizes * (count - sizes)).argmax(axis=0)
    rows[moving] = (best + 1) * block
    steps[moving] = (after - before)[best, np.arange(scaled.shape[1])]
    return rows, steps
