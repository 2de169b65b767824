"""How an entry does against a reference stretch by stretch, so that no stretch alone carries the figure."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.analysis.statistics.paired import is_aligned

SMALLEST = 1e-6  # of the reference's mean error in a stretch: a sum below it counts as this
DEFINED = 0.5  # of the stretches must have a ratio for a mean of them to be one of the stream


def stretch_length(origins: int, overlap: int, season: int | None) -> int:
    """Origins in a stretch: a hundredth of the stream or a season, whichever is longer, and no less than overlap.

    Args:
        origins: In the stream.
        overlap: Origins whose truths overlap, ``ceil(H / S)``.
        season: Origins in a season; None where there is none.
    """
    return max(1, math.ceil(origins / 100), overlap, season or 0)


def geometric_ratio(errors: pd.DataFrame, reference: pd.DataFrame, stretch: int) -> float:
    """Geometric mean, over stretches of the stream and over seeds, of error relative to a reference.

    ``exp(mean of log(sum of MSE / sum of the reference's MSE))``, the sums running over a stretch's origins. A mean of
    errors is ruled by where errors are large; in this each stretch counts alike. Below 1 is better than the reference.

    Args:
        errors: ``(origins, seeds)`` MSE, index origin, a column for each seed.
        reference: Likewise; a seed that it lacks is compared with its mean over seeds.
        stretch: Least origins in a stretch; the stream is cut into stretches of equal length, to the nearest origin.

    Returns:
        The ratio; NaN where no origin is common, or an error of the reference is without bound. Stretches in which the
        reference has no error have no ratio and are left out; where these are most, so is the whole (NaN). A sum below
        a millionth of the reference's mean sum counts as that, so that an exact forecast does not make the ratio 0.

    Source: Fleming and Wallace (1986), "How not to lie with statistics": ratios to a reference are averaged by the
        geometric mean.
    """
    found = _log_ratios(errors, reference, stretch)
    return float(np.exp(found.mean())) if found is not None else float("nan")


def median_ratio(errors: pd.DataFrame, reference: pd.DataFrame, stretch: int) -> float:
    """Median, over stretches of the stream and over seeds, of error relative to a reference.

    What `geometric_ratio` is the geometric mean of: in half of the stretches the ratio is below it. Where it lies on
    the other side of 1 than the mean, a few stretches carry the mean.

    Args:
        errors: As in `geometric_ratio`.
        reference: Likewise.
        stretch: Likewise.

    Returns:
        The ratio (of the two middle ones their geometric mean); NaN as there.
    """
    found = _log_ratios(errors, reference, stretch)
    return float(np.exp(np.median(found))) if found is not None else float("nan")


def exact_stretches(reference: pd.DataFrame, stretch: int) -> tuple[int, int]:
    """In how many stretches a reference has no error, with some seed at least, and how many there are.

    Args:
        reference: As in `geometric_ratio`.
        stretch: Likewise.
    """
    sums = _sums(reference.to_numpy(dtype=float), stretch)
    return int((sums == 0).any(axis=1).sum()), len(sums)


def _log_ratios(errors: pd.DataFrame, reference: pd.DataFrame, stretch: int) -> NDArray[np.float64] | None:
    """Logarithms of the ratios of all stretches and seeds that have one; None where these are not half of them."""
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
