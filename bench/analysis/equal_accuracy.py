"""Whether two entries are equally accurate: Diebold and Mariano's test, for forecasts that overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Obstacle = Literal["", "not finite", "too few forecasts", "too persistent"]

LARGEST_BIAS = 0.1  # of the long-run variance, as a share
FEWEST_COSINES = 4  # below, Student's distribution is so wide that nothing would ever be found
FEWEST_STEPS = 16  # that a stream must hold for the step to say how persistent it is
CHANCE = 1.5  # standard errors


@dataclass(frozen=True)
class Smoothing:
    """How the long-run variance of a stream is estimated.

    Attributes:
        cosines: How many cosine averages; 0 where it cannot be done.
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
    """What a test of equal accuracy found.

    Attributes:
        statistic: Mean difference over its standard error; below 0, the first has the lower loss. NaN if not tested.
        p: Two-sided p-value; NaN if not tested.
        cosines: How many cosines estimate the long-run variance: the degrees of freedom. 0 if not tested.
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
        overlap: Origins whose truths overlap, ``ceil(H / S)``: differences less than so far apart depend on each other.
        cosines: How many; None chooses by the data (see `smoothing`).

    Returns:
        The result. Where all differences are 0, p is 1. Where fewer than `FEWEST_COSINES` cosines would do it is not
        tested: the differences are near a unit root as far as so short a stream can tell (``too persistent``), or even
        independent forecasts would be too few (``too few forecasts``).

    Source: Diebold and Mariano (1995), "Comparing predictive accuracy"; for cosines in this test, Coroneo and Iacone
        (2020), "Comparing predictive accuracy in small samples using fixed-smoothing asymptotics".
    """
    n = len(differences)
    if not np.isfinite(differences).all():
        return EqualAccuracy(float("nan"), float("nan"), 0, "not finite")
    if n and not differences.any():
        return EqualAccuracy(0.0, 1.0, 0)
    chosen = Smoothing(cosines) if cosines is not None else smoothing(differences, overlap)
    if cosines is None and not chosen.enough:
        independent = _smoothing(n, _overlap_curvature(overlap)).enough
        return EqualAccuracy(float("nan"), float("nan"), 0, "too persistent" if independent else "too few forecasts")
    return _student(differences, overlap, chosen)


def _student(differences: Floats, overlap: int, by: Smoothing) -> EqualAccuracy:
    from scipy.special import stdtr

    mean, variance = float(differences.mean()), variance_of_mean(differences, overlap, by)
    if variance <= np.square(1e-12 * mean):  # one is ahead by the same everywhere
        return EqualAccuracy(float(np.copysign(np.inf, mean)), 0.0, by.cosines)
    statistic = mean / float(np.sqrt(variance))
    return EqualAccuracy(statistic, float(2 * stdtr(by.cosines, -abs(statistic))), by.cosines)


def variance_of_mean(values: Floats, overlap: int, by: Smoothing) -> float:
    """Variance of the mean of values that depend on their neighbours.

    The long-run variance is the mean square of the first ``B`` weighted cosine averages,
    ``sqrt(2 / n) * sum of d[t] cos(pi j (t + 1/2) / n)``. The share that these are estimated to miss is given back.
    What overlap takes beyond that, the correction of Harvey, Leybourne and Newbold makes up for, relative to its value
    for forecasts that do not overlap: cosines leave the mean out by themselves.

    Args:
        values: ``(n,)``, in order.
        overlap: As in `diebold_mariano`.
        by: ``B``, above 0, and the share.

    Source: equal-weighted cosines, Lazarus, Lewis, Stock and Watson (2018), "HAR inference: recommendations for
        practice"; Harvey, Leybourne and Newbold (1997), "Testing the equality of prediction mean squared errors".
    """
    from scipy.fft import dct

    n = len(values)
    weighted = dct(values - values.mean(), type=2)[1 : by.cosines + 1] / np.sqrt(2 * n)
    correction = (n + 1 - 2 * overlap + overlap * (overlap - 1) / n) / (n - 1)
    return float(np.square(weighted).mean()) / n / correction / (1 - by.missed)


def smoothing(differences: Floats, overlap: int) -> Smoothing:
    """How many cosines may estimate the long-run variance of differences whose forecasts overlap, and what they miss.

    Their average over frequencies up to ``pi B / n`` misses the spectrum at 0 by a share of ``(pi B / n)^2 k / 6``, to
    second order, where ``k = sum of j^2 R(j) / sum of R(j)`` over autocovariances ``R``. For moving sums of ``h``, as
    overlap makes them, ``k = (h^2 - 1) / 6``. What lasts beyond is taken for an autoregression over steps of ``h`` rows
    with coefficient ``r``, which adds ``2 r h^2 / (1 - r)^2``; and, since noise hides slow waves from neighbours, over
    steps of ``2 h``, ``4 h`` and so on, between means of as many rows as leave no overlap, where ``r`` is above chance.
    The largest ``k`` counts. ``B`` is the largest number, up to ``0.4 n^(2/3)``, that misses no more than a tenth.

    Args:
        differences: ``(n,)``, in order.
        overlap: ``h``.
    """
    n = len(differences)
    if n < 4 * overlap or n < 8:
        return Smoothing(0)
    beyond, step = 0.0, overlap
    while step == overlap or n >= FEWEST_STEPS * step:
        persistence = _persistence(differences, step, rows=step - overlap + 1)
        if step == overlap or persistence > CHANCE * np.sqrt(step / n):
            persistence += (1 + 3 * persistence) * step / n  # Kendall (1954): short streams look less persistent
            if persistence >= 1:
                return Smoothing(0)
            beyond = max(beyond, 2 * persistence * (step / (1 - persistence)) ** 2)
        step *= 2
    return _smoothing(n, _overlap_curvature(overlap) + beyond)


def _persistence(values: Floats, step: int, rows: int) -> float:
    """Correlation between means of so many rows that begin a step apart."""
    sums = np.concatenate([[0.0], (values - values.mean()).cumsum()])
    means = (sums[rows:] - sums[:-rows]) / rows
    means = means - means.mean()
    variance = float(means @ means)
    return float(means[step:] @ means[:-step]) / variance if variance > 0 else 0.0


def _overlap_curvature(overlap: int) -> float:
    return (overlap**2 - 1) / 6


def _smoothing(n: int, curvature: float) -> Smoothing:
    most = 0.4 * n ** (2 / 3)
    if curvature > 0:
        most = min(most, n / np.pi * float(np.sqrt(6 * LARGEST_BIAS / curvature)))
    cosines = min(int(most), n - 1)
    return Smoothing(cosines, float(np.square(np.pi * cosines / max(n, 1))) * curvature / 6)


def holm(p: Sequence[float]) -> Floats:
    """P-values of several tests, adjusted so that any false finding at all among them is as unlikely as one test's.

    Args:
        p: One for each test; NaN where there was none, which does not count.

    Returns:
        Adjusted, in the same order; NaN stays.

    Source: Holm (1979), "A simple sequentially rejective multiple test procedure".
    """
    values = np.asarray(p, dtype=float)
    adjusted = np.full(len(values), np.nan)
    order = np.argsort(values, kind="stable")[: int(np.isfinite(values).sum())]
    steps = values[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(steps))
    return adjusted
