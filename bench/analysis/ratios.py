"""How an entry does against a reference stretch by stretch, so that no stretch alone carries the figure."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.analysis.paired import is_aligned

SMALLEST = 1e-6  # of the reference's mean error in a stretch: a sum below it counts as this


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
        The ratio; NaN where no origin is common, or the reference is without error. A sum below a millionth of the
        reference's mean sum counts as that, so that an exact forecast neither makes the ratio 0 nor endless.

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


def _log_ratios(errors: pd.DataFrame, reference: pd.DataFrame, stretch: int) -> NDArray[np.float64] | None:
    """``(stretches, seeds)`` logarithms of the ratios; None where there are none."""
    if is_aligned(errors, reference) and errors.notna().all(axis=None) and reference.notna().all(axis=None):
        own, against = errors.to_numpy(dtype=float), reference.to_numpy(dtype=float)
    else:
        common = errors.dropna().index.intersection(reference.dropna().index).sort_values()
        pooled = reference.mean(axis=1)
        columns = {seed: reference.get(seed, pooled) for seed in errors.columns}
        own, against = (frame.loc[common].to_numpy(dtype=float) for frame in (errors, pd.DataFrame(columns)))
    if not own.size:
        return None
    starts = np.linspace(0, len(own), max(1, len(own) // stretch), endpoint=False).round().astype(int)
    above, below = (np.add.reduceat(part, starts) for part in (own, against))
    least = SMALLEST * below.mean()
    if least == 0:
        return None
    return np.asarray(np.log(np.maximum(above, least)) - np.log(np.maximum(below, least)))
