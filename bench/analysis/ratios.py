"""An entry's error against a reference, stretch by stretch, so that no single stretch dominates."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.analysis.statistics.skill_test import FEWEST_STRETCHES, SkillTest, skill_test

Floats = NDArray[np.float64]

FEWEST_TRUTHS = 24  # in a stretch: a ratio of fewer errors is mostly noise
NEIGHBOURS = 2
"""Stretches on either side that join a stretch in a point of `skill_along`."""


def stretch_length(origins: int, overlap: int, season: int | None, horizon: int = FEWEST_TRUTHS) -> int:
    """Origins in a stretch: the longest of 1 % of the stream, a season (None: there is none), overlap and 24 truths."""
    return max(1, math.ceil(origins / 100), overlap, season or 0, math.ceil(FEWEST_TRUTHS / horizon))


def stretch_starts(origins: int, stretch: int) -> NDArray[np.int64]:
    """Position of the first origin of each stretch: they have equal length, to the nearest origin."""
    return np.linspace(0, origins, max(1, origins // stretch), endpoint=False).round().astype(np.int64)


def stretch_sums(errors: Floats, stretch: int) -> Floats:
    """``(origins, ...)`` errors as sums over stretches: ``(stretches, ...)``."""
    return np.asarray(np.add.reduceat(errors, stretch_starts(len(errors), stretch)))


def paired_sums(one: pd.DataFrame, other: pd.DataFrame, stretch: int) -> tuple[Floats, Floats] | None:
    """`stretch_sums` of two entries over the origins and seeds that both have, ``(stretches, seeds)`` each.

    Returns:
        None if no origin or no seed is common.
    """
    found = _paired(one, other)
    return None if found is None else (stretch_sums(found[0], stretch), stretch_sums(found[1], stretch))


def _paired(one: pd.DataFrame, other: pd.DataFrame) -> tuple[Floats, Floats, NDArray[np.int64]] | None:
    """Errors of both at the origins and seeds that both have, and these origins."""
    if not (_is_rising(one) and all(map(pd.Index.equals, one.axes, other.axes))):
        seeds = sorted(set(one.columns) & set(other.columns))
        origins = one.index.intersection(other.index).sort_values()
        one, other = one.loc[origins, seeds], other.loc[origins, seeds]
    own, against = one.to_numpy(dtype=float), other.to_numpy(dtype=float)
    kept = ~(np.isnan(own) | np.isnan(against)).any(axis=1)
    if not own.size or not kept.any():
        return None
    return own[kept], against[kept], one.index.to_numpy(dtype=np.int64)[kept]


def _is_rising(frame: pd.DataFrame) -> bool:
    return bool(frame.index.is_monotonic_increasing and frame.columns.is_monotonic_increasing)


def skill_along(one: pd.DataFrame, other: pd.DataFrame, stretch: int, changes: Sequence[int] = ()) -> pd.DataFrame:
    """The skill of one entry over another as the stream goes by.

    Each point is the mean over a stretch and the two on either side of it, and its interval is by Student's
    distribution: of that point alone, and as if stretches were independent. No stretch and no mean reaches over a
    change: next to one, and at the ends, a mean is over fewer.

    Args:
        one: ``(origins, seeds)`` errors.
        other: Likewise.
        stretch: Origins in a stretch at least.
        changes: Rows of the known drifts.

    Returns:
        Index ``origin``, the middle of each stretch; columns ``skill, low, high``, shares. The ends are NaN if there
        are fewer than 12 stretches; a stretch in which either has no error is left out.
    """
    found = _paired(one, other)
    if found is None:
        return pd.DataFrame(columns=["skill", "low", "high"])
    borders = np.searchsorted(found[2], sorted(changes))
    parts = zip(*(np.split(values, borders) for values in found), strict=True)
    frames = [_along(own, against, origins, stretch) for own, against, origins in parts if len(origins)]
    along = pd.concat(frames).rename_axis("origin")
    return along if len(along) >= FEWEST_STRETCHES else along.assign(low=np.nan, high=np.nan)


def _along(own: Floats, against: Floats, origins: NDArray[np.int64], stretch: int) -> pd.DataFrame:
    """`skill_along` from one change to the next."""
    starts = stretch_starts(len(origins), stretch)
    middles = origins[(starts + np.append(starts[1:], len(origins))) // 2]
    one, other = stretch_sums(own, stretch), stretch_sums(against, stretch)
    defined = ((one > 0) & (other > 0) & np.isfinite(one) & np.isfinite(other)).all(axis=1)
    ratios = np.log(one[defined] / other[defined])
    points = [_point(ratios[max(0, i - NEIGHBOURS) : i + NEIGHBOURS + 1]) for i in range(len(ratios))]
    return pd.DataFrame(points, columns=["skill", "low", "high"], index=middles[defined])


def _point(ratios: Floats) -> tuple[float, float, float]:
    """Skill and its interval from the log ratios ``(stretches, seeds)`` of some neighbours."""
    n, seeds = ratios.shape
    if n < 2:
        return -math.expm1(float(ratios.mean())), math.nan, math.nan
    along = float(ratios.mean(axis=1).var(ddof=1)) / n
    between = float(ratios.mean(axis=0).var(ddof=1)) / seeds if seeds > 1 else 0.0
    test = SkillTest(float(ratios.mean()), n, seeds, along, between, n - 1)
    return (test.skill, *test.interval())


def skill_within(one: pd.DataFrame, other: pd.DataFrame, stretch: int) -> float:
    """The skill of one entry over another on some origins, a share; NaN where there is none."""
    sums = paired_sums(one, other, stretch)
    return math.nan if sums is None else skill_test(*sums).skill
