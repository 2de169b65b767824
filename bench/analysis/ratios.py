"""How an entry does against a reference stretch by stretch, so that no stretch alone carries the figure."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

SMALLEST = 1e-6  # of the reference's mean error in a stretch: a sum below it counts as this


def stretch_length(origins: int, overlap: int, season: int | None) -> int:
    """Origins in a stretch: a hundredth of the stream or a season, whichever is longer, and no less than overlap.

    Args:
        origins: In the stream.
        overlap: Origins whose truths overlap, ``ceil(H / S)``.
        season: Origins in a season; None where there is none.
    """
    return max(1, math.ceil(origins / 100), overlap, season or 0)


def geometric_ratio(errors: pd.DataFrame, reference: pd.Series, stretch: int) -> float:
    """Geometric mean, over stretches of the stream and over seeds, of error relative to a reference.

    ``exp(mean of log(sum of MSE / sum of the reference's MSE))``, the sums running over a stretch's origins. A mean of
    errors is ruled by where errors are large; in this each stretch counts alike. Below 1 is better than the reference.

    Args:
        errors: ``(origins, seeds)`` MSE, index origin.
        reference: MSE of the reference, index origin.
        stretch: Least origins in a stretch; the stream is cut into stretches of equal length, to the nearest origin.

    Returns:
        The ratio; NaN where no origin is common. A sum below a millionth of the reference's mean sum counts as that,
        so that an exact forecast neither makes the ratio 0 nor endless.

    Source: Fleming and Wallace (1986), "How not to lie with statistics": ratios to a reference are averaged by the
        geometric mean.
    """
    common = errors.dropna().index.intersection(reference.dropna().index).sort_values()
    if common.empty:
        return float("nan")
    parts = np.array_split(np.arange(len(common)), max(1, len(common) // stretch))
    against = reference.loc[common].to_numpy(dtype=float)
    own = errors.loc[common].to_numpy(dtype=float)
    below = np.array([against[part].sum() for part in parts])
    above = np.stack([own[part].sum(axis=0) for part in parts])  # (stretches, seeds)
    least = SMALLEST * below.mean()
    if least == 0:
        return float("nan")
    ratios = np.log(np.maximum(above, least)) - np.log(np.maximum(below, least))[:, None]
    return float(np.exp(ratios.mean()))
