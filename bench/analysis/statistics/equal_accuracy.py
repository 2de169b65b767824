"""Diebold and Mariano's test of equal accuracy, for forecasts that overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Obstacle = Literal["", "not finite", "too few forecasts", "too persistent"]

LARGEST_BIAS = 0.1  # of the long-run variance, as a share
FEWEST_COSINES = 4  # with fewer, Student's distribution is too wide to find anything
FEWEST_STEPS = 16  # in a stream, to estimate its persistence over the step
CHANCE = 1.5  # standard errors
AT_ONCE = 2**20  # numbers


@dataclass(frozen=True)
class Smoothing:
    """How the long-run variance of a stream is estimated.

    Attributes:
        cosines: Number of cosine averages; 0 if it cannot be estimated.
        missed: Share of the variance that so many are estimated to miss.
    """

    cosines: int
    missed: float = 0.0

    @property
    def enough(self) -> bool:
        """Whether there are `FEWEST_COSINES`."""
        return self.cosines >= FEWEST_COSINES


@dataclass(frozen=True)
class EqualAccuracy:
    """Result of a test of equal accuracy.

    Attributes:
        statistic: Mean difference over its standard error; below 0, the first has the lower loss. NaN if not tested.
        p: Two-sided p-value; NaN if not tested.
        cosines: Number of cosines in the long-run variance: the degrees of freedom. 0 if not tested.
        obstacle: Why it was not tested; empty if it was.
    """

    statistic: float
    p: float
    cosines: int
    obstacle: Obstacle = ""


def diebold_mariano(differences: Floats, overlap: int, cosines: int | None = None) -> EqualAccuracy:
    """Test whether the mean of loss differences is 0.

    The statistic is the mean over its standard error (see `variance_of_mean`), and follows Student's distribution with
    as many degrees of freedom as there are cosines.

    Args:
        differences: ``(n,)`` loss of the first less loss of the second, a value for each origin, in order.
        overlap: Differences closer than so many origins depend on each other.
        cosines: None chooses by the data (see `smoothing`).

    Returns:
        If all differences are 0, p is 1. If fewer than `FEWEST_COSINES` cosines may be used it is not
        tested: the differences are near a unit root as far as so short a stream can tell (``too persistent``), or even
        independent forecasts would be too few (``too few forecasts``).

    Source: Diebold and Mariano (1995), "Comparing predictive accuracy"; for cosines in this test, Coroneo and Iacone
        (2020), "Comparing predictive accuracy in small samples using fixed-smoothing asymptotics".
    """
    return diebold_mariano_columns(differences[:, None], overlap, cosines)[0]


def diebold_mariano_columns(differences: Floats, overlap: int, cosines: int | None = None) -> list[EqualAccuracy]:
    """`diebold_mariano` of each column of ``(n, pairs)`` differences."""
    n, pairs = differences.shape
    found = [EqualAccuracy(float("nan"), float("nan"), 0, "not finite")] * pairs
    finite = np.isfinite(differences).all(axis=0)
    alike = ~differences.any(axis=0) & (n > 0)
    for i in np.flatnonzero(finite & alike):
        found[i] = EqualAccuracy(0.0, 1.0, 0)
    at_once = max(1, AT_ONCE // max(n, 1))
    tested = np.flatnonzero(finite & ~alike)
    for part in (tested[i : i + at_once] for i in range(0, len(tested), at_once)):
        for i, result in zip(part, _tested(differences[:, part], overlap, cosines), strict=True):
            found[i] = result
    return found


def _tested(differences: Floats, overlap: int, cosines: int | None) -> list[EqualAccuracy]:
    n, pairs = differences.shape
    if cosines is None:
        chosen, missed = _smoothings(differences, overlap)
        kept = np.flatnonzero(chosen >= FEWEST_COSINES)
    else:
        chosen, missed, kept = np.full(pairs, cosines), np.zeros(pairs), np.arange(pairs)
    independent = _smoothed(n, np.array(_overlap_curvature(overlap)))[0] >= FEWEST_COSINES
    obstacle: Obstacle = "too persistent" if independent else "too few forecasts"
    found = [EqualAccuracy(float("nan"), float("nan"), 0, obstacle)] * pairs
    if len(kept):
        for i, result in zip(kept, _student(differences[:, kept], overlap, chosen[kept], missed[kept]), strict=True):
            found[i] = result
    return found


def _student(differences: Floats, overlap: int, cosines: Integers, missed: Floats) -> list[EqualAccuracy]:
    from scipy.special import stdtr

    mean, variance = differences.mean(axis=0), _variances(differences, overlap, cosines, missed)
    same = variance <= np.square(1e-12 * mean)  # a constant difference
    statistic = np.where(same, np.copysign(np.inf, mean), mean / np.sqrt(np.where(same, 1.0, variance)))
    p = np.where(same, 0.0, 2 * stdtr(cosines, -np.abs(statistic)))
    return [EqualAccuracy(float(s), float(q), int(b)) for s, q, b in zip(statistic, p, cosines, strict=True)]


def variance_of_mean(values: Floats, overlap: int, by: Smoothing) -> float:
    """Variance of the mean of ``(n,)`` ordered values that depend on their neighbours.

    The long-run variance is the mean square of the first ``B`` weighted cosine averages, ``sqrt(2 / n) * sum of d[t]
    cos(pi j (t + 1/2) / n)``. It is increased by the share that these are estimated to miss. The correction of Harvey,
    Leybourne and Newbold makes up for what overlap takes beyond that, relative to its value for forecasts that do not
    overlap: cosines leave the mean out by themselves.

    Args:
        by: ``B``, above 0, and the share.

    Source: equal-weighted cosines, Lazarus, Lewis, Stock and Watson (2018), "HAR inference: recommendations for
        practice"; Harvey, Leybourne and Newbold (1997), "Testing the equality of prediction mean squared errors".
    """
    return float(_variances(values[:, None], overlap, np.array([by.cosines]), np.array([by.missed]))[0])


def _variances(values: Floats, overlap: int, cosines: Integers, missed: Floats) -> Floats:
    """`variance_of_mean` of each column."""
    from scipy.fft import dct

    n, columns = values.shape
    weighted = dct(values - values.mean(axis=0), type=2, axis=0)[1 : int(cosines.max()) + 1] / np.sqrt(2 * n)
    squares = np.square(weighted).cumsum(axis=0)[cosines - 1, np.arange(columns)]
    correction = (n + 1 - 2 * overlap + overlap * (overlap - 1) / n) / (n - 1)
    return np.asarray(squares / cosines / n / correction / (1 - missed))


def smoothing(differences: Floats, overlap: int) -> Smoothing:
    """How many cosines may estimate the long-run variance of ``(n,)`` differences, and what they miss.

    Their average over frequencies up to ``pi B / n`` misses the spectrum at 0 by a share of ``(pi B / n)^2 k / 6``, to
    second order, where ``k = sum of j^2 R(j) / sum of R(j)`` over autocovariances ``R``. For moving sums of ``h``
    (the overlap), ``k = (h^2 - 1) / 6``. Longer dependence is modelled as an autoregression over steps of ``h`` rows
    with coefficient ``r``, which adds ``2 r h^2 / (1 - r)^2``; and, since noise hides slow waves from neighbours, over
    steps of ``2 h``, ``4 h`` and so on, between means of as many rows as leave no overlap, if ``r`` is significant.
    The largest ``k`` counts. ``B`` is the largest number, up to ``0.4 n^(2/3)``, that misses no more than a tenth.
    """
    cosines, missed = _smoothings(differences[:, None], overlap)
    return Smoothing(int(cosines[0]), float(missed[0]))


def _smoothings(differences: Floats, overlap: int) -> tuple[Integers, Floats]:
    """`smoothing` of each column: cosines, and shares missed."""
    n, pairs = differences.shape
    if n < 4 * overlap or n < 8:
        return np.zeros(pairs, dtype=np.int64), np.zeros(pairs)
    beyond, endless, step = np.zeros(pairs), np.zeros(pairs, dtype=bool), overlap
    while step == overlap or n >= FEWEST_STEPS * step:
        persistence = _persistence(differences, step, rows=step - overlap + 1)
        counts = (persistence > CHANCE * np.sqrt(step / n)) | (step == overlap)
        persistence = persistence + (1 + 3 * persistence) * step / n  # Kendall's (1954) correction for short streams
        endless |= counts & (persistence >= 1)
        counts &= persistence < 1
        more = 2 * persistence * (step / np.where(counts, 1 - persistence, 1.0)) ** 2
        beyond = np.where(counts, np.maximum(beyond, more), beyond)
        step *= 2
    cosines, missed = _smoothed(n, _overlap_curvature(overlap) + beyond)
    return np.where(endless, 0, cosines), np.where(endless, 0.0, missed)


def _persistence(values: Floats, step: int, rows: int) -> Floats:
    """For each column, the correlation between means of so many rows that begin a step apart."""
    sums = np.concatenate([np.zeros((1, values.shape[1])), (values - values.mean(axis=0)).cumsum(axis=0)])
    means = (sums[rows:] - sums[:-rows]) / rows
    means = means - means.mean(axis=0)
    variance = np.square(means).sum(axis=0)
    return np.asarray((means[step:] * means[:-step]).sum(axis=0) / np.where(variance > 0, variance, np.inf))


def _overlap_curvature(overlap: int) -> float:
    return (overlap**2 - 1) / 6


def _smoothed(n: int, curvature: Floats) -> tuple[Integers, Floats]:
    """Number of cosines for a curvature of the spectrum, and the share that they miss."""
    curved = curvature > 0
    bounded = n / np.pi * np.sqrt(6 * LARGEST_BIAS / np.where(curved, curvature, 1.0))
    most = np.where(curved, np.minimum(0.4 * n ** (2 / 3), bounded), 0.4 * n ** (2 / 3))
    cosines = np.minimum(most.astype(np.int64), n - 1)
    return cosines, np.asarray(np.square(np.pi * cosines / max(n, 1)) * curvature / 6)


def holm(p: Sequence[float]) -> Floats:
    """P-values of several tests, adjusted so that the chance of any false finding among them is that of one test.

    NaN, where there was no test, does not count and stays.

    Source: Holm (1979), "A simple sequentially rejective multiple test procedure".
    """
    values = np.asarray(p, dtype=float)
    adjusted = np.full(len(values), np.nan)
    order = np.argsort(values, kind="stable")[: int(np.isfinite(values).sum())]
    steps = values[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(steps))
    return adjusted
