"""An entry's error against a reference, stretch by stretch, so that no single stretch dominates."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.analysis.statistics.skill_test import DEFINED

Floats = NDArray[np.float64]

FEWEST_TRUTHS = 24  # in a stretch: a ratio of fewer errors is mostly noise


def stretch_length(origins: int, overlap: int, season: int | None, horizon: int = FEWEST_TRUTHS) -> int:
    """Origins in a stretch: the longest of 1 % of the stream, a season (None: there is none), overlap and 24 truths."""
    return max(1, math.ceil(origins / 100), overlap, season or 0, math.ceil(FEWEST_TRUTHS / horizon))


def stretch_sums(errors: Floats, stretch: int) -> Floats:
    """``(origins, ...)`` errors as sums over stretches of equal length, to the nearest origin: ``(stretches, ...)``."""
    starts = np.linspace(0, len(errors), max(1, len(errors) // stretch), endpoint=False).round().astype(int)
    return np.asarray(np.add.reduceat(errors, starts))


def paired_sums(one: pd.DataFrame, other: pd.DataFrame, stretch: int) -> tuple[Floats, Floats] | None:
    """`stretch_sums` of two entries over the origins and seeds that both have, ``(stretches, seeds)`` each.

    Returns:
        None if no origin or no seed is common.
    """
    if not (_is_rising(one) and all(map(pd.Index.equals, one.axes, other.axes))):
        seeds = sorted(set(one.columns) & set(other.columns))
        origins = one.index.intersection(other.index).sort_values()
        one, other = one.loc[origins, seeds], other.loc[origins, seeds]
    own, against = one.to_numpy(dtype=float), other.to_numpy(dtype=float)
    kept = ~(np.isnan(own) | np.isnan(against)).any(axis=1)
    if not own.size or not kept.any():
        return None
    return stretch_sums(own[kept], stretch), stretch_sums(against[kept], stretch)


def _is_rising(frame: pd.DataFrame) -> bool:
    return bool(frame.index.is_monotonic_increasing and frame.columns.is_monotonic_increasing)


def median_ratio(one: Floats, other: Floats) -> float:
    """Median of the ratios of two entries' `paired_sums`, ``(stretches, seeds)``; NaN if most stretches have none.

    If it lies on the other side of 1 than the geometric mean of the ratios, a few stretches decide that mean.
    """
    defined = ((one > 0) & (other > 0) & np.isfinite(one) & np.isfinite(other)).all(axis=1)
    if not defined.any() or defined.mean() < DEFINED:
        return float("nan")
    return float(np.exp(np.median(np.log(one[defined]) - np.log(other[defined]))))


def exact_stretches(reference: Floats) -> tuple[int, int]:
    """Number of stretches ``(stretches, seeds)`` in which the reference has no error with some seed, and of all."""
    return int((reference == 0).any(axis=1).sum()), len(reference)
