"""An entry's error against a reference, stretch by stretch, so that no single stretch dominates."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.analysis.statistics.paired import is_aligned

SMALLEST = 1e-6  # of the reference's mean error in a stretch: a sum below it counts as this
DEFINED = 0.5  # of the stretches must have a ratio for a mean of them to be one of the stream


def stretch_length(origins: int, overlap: int, season: int | None) -> int:
    """Origins in a stretch: the longest of 1 % of the stream, a season (None: there is none) and the overlap."""
    return max(1, math.ceil(origins / 100), overlap, season or 0)


def geometric_ratio(errors: pd.DataFrame, reference: pd.DataFrame, stretch: int) -> float:
    """Geometric mean, over stretches of the stream and over seeds, of error relative to a reference; below 1 is better.

    ``exp(mean of log(sum of MSE / sum of the reference's MSE))``, with sums over a stretch's origins. Each stretch
    counts alike, while a mean of errors is dominated by those with large errors. Stretches where the reference has no
    error are left out. A sum below a millionth of the reference's mean sum counts as that, so that an exact forecast
    does not make the ratio 0.

    Args:
        reference: ``(origins, seeds)``; a seed that it lacks is compared with its mean over seeds.
        stretch: Least origins in a stretch; the stream is cut into stretches of equal length, to the nearest origin.

    Returns:
        The ratio; NaN if no origin is common, an error of the reference is infinite, or most stretches are left out.

    Source: Fleming and Wallace (1986), "How not to lie with statistics": ratios to a reference are averaged by the
        geometric mean.
    """
    found = _log_ratios(errors, reference, stretch)
    return float(np.exp(found.mean())) if found is not None else float("nan")


def median_ratio(errors: pd.DataFrame, reference: pd.DataFrame, stretch: int) -> float:
    """As `geometric_ratio`, but the median: if the two lie on different sides of 1, few stretches decide the mean."""
    found = _log_ratios(errors, reference, stretch)
    return float(np.exp(np.median(found))) if found is not None else float("nan")


def exact_stretches(reference: pd.DataFrame, stretch: int) -> tuple[int, int]:
    """Number of stretches in which the reference has no error with some seed, and number of all stretches."""
    sums = _sums(reference.to_numpy(dtype=float), stretch)
    return int((sums == 0).any(axis=1).sum()), len(sums)


def _log_ratios(errors: pd.DataFrame, reference: pd.DataFrame, stretch: int) -> NDArray[np.float64] | None:
    """Logarithms of the ratios of all stretches and seeds that have one; None if these are fewer than half."""
    if is_aligned(errors, reference) and errors.notna().all(axis=None) and reference.notna().all(axis=None):
        own, against = errors.to_numpy(dtype=float), reference.to_numpy(dtype=float)
    else:
        common = errors.dropna().index.intersection(reference.dropna().index).sort_values()
        pooled = reference.mean(axis=1)
        columns = {seed: reference.get(seed, pooled) for seed in errors.columns}
        own, against = (frame.loc[common].to_numpy(dtype=float) for frame in (errors, pd.DataFrame(columns)))
    if not own.size:
        return None
    above, below = _sums(own, stretch), _sums(against, stretch)
    defined, least = below > 0, SMALLEST * below.mean()
    if defined.mean() < DEFINED or not np.isfinite(least):
        return None
    return np.asarray(np.log(np.maximum(above, least)) - np.log(np.maximum(below, least)))[defined]


def _sums(errors: NDArray[np.float64], stretch: int) -> NDArray[np.float64]:
    """``(origins, seeds)`` errors as sums over stretches, ``(stretches, seeds)``."""
    starts = np.linspace(0, len(errors), max(1, len(errors) // stretch), endpoint=False).round().astype(int)
    return np.asarray(np.add.reduceat(errors, starts))
