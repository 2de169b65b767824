"""Change points of the level, estimated from a series alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.contracts.rounding import is_flat

Floats = NDArray[np.float64]

POINTS = 2000
"""Most block means that a series is brought to."""
MOST = 8
"""Most change points of one series."""
SHARE = 0.02
"""Least share of the series between two change points."""
STRICTNESS = 3.0
"""A change point must lower the cost by so many times ``log n`` long-run variances."""
LEAST_POINTS = 40
LEAST_LENGTH = 100
"""Points for each change point that is allowed for when judging how persistent the series is."""
COLUMNS = ("row", "shift", "column")


def is_available() -> bool:
    """Whether ``ruptures``, which searches for change points (extra ``drift``), is installed."""
    from importlib.util import find_spec

    return find_spec("ruptures") is not None


def change_points(values: Floats, columns: tuple[str, ...], season: int | None = None) -> pd.DataFrame:
    """Rows at which the level of a multivariate series ``(T, C)`` changes; ``season`` is in rows.

    The best segmentations of `seasonless_levels` into up to ``MOST + 1`` pieces of constant level are found exactly
    (least squares over all columns), and their number is chosen by a penalty. A lasting trend comes out as several.

    Returns:
        ``row`` (the first of the new level, to a block), ``shift`` (of the level of the column that moved most, in its
        standard deviations, signed) and ``column``, in order of rows; empty without changes, or with too few rows.

    Source: exact segmentation, Celisse, Marot, Pierre-Jean and Rigaill (2018), "New efficient algorithms for multiple
        change-point detection with reproducing kernels", as implemented in ruptures.
    """
    scaled, block, moving = seasonless_levels(values, season)
    if len(scaled) < LEAST_POINTS or not moving.any():
        return pd.DataFrame(columns=list(COLUMNS))
    borders = _best_borders(scaled)
    names = [name for name, moves in zip(columns, moving, strict=True) if moves]
    return _as_frame(scaled, borders, block, names)


def seasonless_levels(values: Floats, season: int | None) -> tuple[Floats, int, NDArray[np.bool_]]:
    """``(T, C)`` values as means of blocks, in standard deviations, without their seasonal pattern.

    Returns:
        ``(N, M)`` means of the columns that move, the rows in a block, and ``(C,)`` whether a column moves.
    """
    block = block_length(len(values), season)
    means = _block_means(values, block)
    moving = ~is_flat(means)
    scaled = (means[:, moving] - means[:, moving].mean(axis=0)) / means[:, moving].std(axis=0)
    return _without_season(scaled, season // block if season else 1), block, moving


def block_length(rows: int, season: int | None) -> int:
    """Least number of rows in a block with at most `POINTS` blocks, and whole blocks in a season where possible."""
    least = max(1, -(-rows // POINTS))
    if season is None or season < least:
        return least
    return next(length for length in range(least, season + 1) if season % length == 0)


def _block_means(values: Floats, block: int) -> Floats:
    whole = len(values) // block
    return np.asarray(values[: whole * block].reshape(whole, block, -1).mean(axis=1))


def _without_season(scaled: Floats, period: int) -> Floats:
    """The series less the mean of each phase of its season, if it has at least four seasons."""
    if period < 2 or len(scaled) < 4 * period:
        return scaled
    left = scaled.copy()
    for phase in range(period):
        left[phase::period] -= scaled[phase::period].mean(axis=0)
    return left


def _best_borders(scaled: Floats) -> list[int]:
    """Where pieces of constant level begin, the first one left out."""
    from ruptures import KernelCPD

    least = max(2, int(SHARE * len(scaled)))
    most = min(MOST, len(scaled) // least - 1)
    search = KernelCPD(kernel="linear", min_size=least).fit(scaled)
    # the best borders for each number of change points, and the cost of each
    found = [[], *([int(b) for b in search.predict(n_bkps=count)[:-1]] for count in range(1, most + 1))]
    costs = np.array([np.square(_residuals(scaled, borders)).sum() for borders in found])
    # the price of one more change point grows with the autocorrelation of the residuals: a slow wave is no change
    supple = found[min(most, len(scaled) // LEAST_LENGTH)]  # remaining steps would look like waves
    variance = _long_run_variance(_residuals(scaled, supple), len(supple) + 1)
    price = STRICTNESS * np.log(len(scaled)) * variance
    return found[int(np.argmin(costs + price * np.arange(len(found))))]


def _residuals(scaled: Floats, borders: list[int]) -> Floats:
    pieces = np.split(scaled, borders)
    return np.concatenate([piece - piece.mean(axis=0) for piece in pieces])


def _long_run_variance(residuals: Floats, pieces: int) -> float:
    """Of a first-order autoregression fitted to each column, summed over columns."""
    variance = residuals.var(axis=0)
    lagged = (residuals[1:] * residuals[:-1]).mean(axis=0)
    rho = lagged / np.maximum(variance, 1e-12)
    rho = np.clip(rho + (1 + 3 * rho) * pieces / len(residuals), 0.0, 0.98)
    return float((variance * (1 + rho) / (1 - rho)).sum())


def _as_frame(scaled: Floats, borders: list[int], block: int, names: list[str]) -> pd.DataFrame:
    levels = np.array([piece.mean(axis=0) for piece in np.split(scaled, borders)])
    shifts = np.diff(levels, axis=0)
    moved = np.abs(shifts).argmax(axis=1)
    return pd.DataFrame(
        {
            "row": np.asarray(borders, dtype=np.int64) * block,
            "shift": shifts[np.arange(len(borders)), moved],
            "column": [names[column] for column in moved],
        },
        columns=list(COLUMNS),
    )


def drift_evidence(
    values: Floats, columns: tuple[str, ...], borders: tuple[int, int, int], season: int | None = None
) -> pd.DataFrame:
    """Mean and variance of each part against training, and where the level changes most.

    Args:
        values: ``(T, C)``, finite.
        borders: First validation row, first stream row, end.
        season: Rows in one season, or None.

    Returns:
        A row for each column: ``column``; ``validation_shift`` and ``stream_shift``, the difference of means to the
        training rows in their standard deviations; ``validation_ratio`` and ``stream_ratio``, of variances; ``row``
        and ``step`` of `largest_steps`. Unknown values are NaN (row: -1).
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

    Returns:
        ``(C,)`` first rows of the second level, to a block of `block_length`, and ``(C,)`` its difference to the first
        in standard deviations of the series; -1 and NaN for constant columns.
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
