"""Whether one entry is better than another on a stream, by how much, and what so short a stream could have shown.

And whether it is better over many datasets: the mean of its skills on their streams.

One estimand, one interval and one test serve every verdict of a report. The stream is cut into stretches (see
`bench.analysis.ratios`). In each, ``x = log(MSE of one / MSE of the other)``; the skill is ``1 - exp(mean x)``. Ratios
do not change with the scale of the data, which over a drifting stream may change tenfold.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Obstacle = Literal["", "too short", "too few datasets", "no ratio", "not finite"]
Limit = Literal["seeds", "length"]

LEVEL = 0.05
POWER = 0.8
"""A resolution is the smallest skill that is found with this probability."""

MOST_COSINES = 8
STRETCHES_PER_COSINE = 3
FEWEST_STRETCHES = 12
SMALLEST_P = 1e-12
DEFINED = 0.5
"""Share of the stretches that must have a ratio."""
FEWEST_DATASETS = 5


@dataclass(frozen=True)
class SkillTest:
    """The skill of one entry over another on one stream, or its mean over datasets (`mean_skill`).

    Attributes:
        log_ratio: Mean over stretches and seeds of ``log(MSE of one / MSE of the other)``; below 0 the first is better.
            NaN where there is no ratio, minus infinity where the first is exact throughout.
        stretches: Stretches that have a ratio; of a mean, datasets.
        seeds: Seeds that both have; of a mean, 1.
        along: Variance of ``log_ratio`` that the length of the stream (or the number of datasets) leaves; NaN if not
            tested.
        between: Variance that the number of seeds leaves.
        freedom: Degrees of freedom of ``along``.
        obstacle: Why it was not tested; empty if it was.
    """

    log_ratio: float
    stretches: int
    seeds: int
    along: float = math.nan
    between: float = 0.0
    freedom: int = 0
    obstacle: Obstacle = ""

    @property
    def skill(self) -> float:
        """``1 - exp(log_ratio)``: 0.2 where the error is a fifth lower."""
        return -math.expm1(self.log_ratio)

    @property
    def error(self) -> float:
        """Standard error of ``log_ratio``; NaN if not tested."""
        return math.sqrt(self.along + self.between)

    @property
    def limit(self) -> Limit:
        """What most of the variance comes from: few ``seeds``, or the ``length`` of the stream."""
        return "seeds" if self.between > self.along else "length"

    @cached_property
    def p(self) -> float:
        """Two-sided p-value of equal skill; NaN if not tested."""
        from scipy.optimize import brentq
        from scipy.special import stdtr

        if self.obstacle:
            return math.nan
        if self.error <= 1e-12 * abs(self.log_ratio):  # ahead by the same factor everywhere, or equal
            return 0.0 if self.log_ratio else 1.0
        found = abs(self.log_ratio) / self.error
        if not self.between:
            return 2 * float(stdtr(self.freedom, -found))
        low = math.log(SMALLEST_P)
        if found > self._quantile(1 - SMALLEST_P / 2):
            return SMALLEST_P
        return math.exp(brentq(lambda log_p: self._quantile(1 - math.exp(log_p) / 2) - found, low, 0.0, xtol=1e-6))

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """The interval of the skill that misses it with probability ``level``: its ends; NaN if not tested."""
        away = self._quantile(1 - level / 2) * self.error if self.error else self.error
        return -math.expm1(self.log_ratio + away), -math.expm1(self.log_ratio - away)

    def resolution(self, tests: int = 1) -> float:
        """The smallest skill that such a stream and such seeds would show with 80 % probability.

        Args:
            tests: In the family; each is then at ``LEVEL / tests``, as Holm's procedure begins.

        Returns:
            A skill between 0 and 1; NaN if not tested.

        Source: sum of Student's quantiles for level and power, Bloom (1995), "Minimum detectable effects".
        """
        return -math.expm1(-(self._quantile(1 - LEVEL / tests / 2) + self._quantile(POWER)) * self.error)

    def _quantile(self, probability: float) -> float:
        """Of ``log_ratio / error`` between equals: Student's of each variance, weighted by its share in the sum.

        Source: Cochran and Cox (1950), "Experimental designs", section 4.14.
        """
        from scipy.special import stdtrit

        along = self.along * float(stdtrit(self.freedom, probability)) if self.along else 0.0
        between = self.between * float(stdtrit(self.seeds - 1, probability)) if self.between else 0.0
        return (along + between) / (self.along + self.between) if self.along + self.between else 0.0


def skill_test(one: Floats, other: Floats) -> SkillTest:
    """Compare two entries by their errors in each stretch.

    The variance of the mean over stretches is the mean square of the first ``B = min(8, stretches // 3)`` cosine
    averages of the mean over seeds, which keep what neighbouring stretches have in common, and has ``B`` degrees of
    freedom. The variance over ``S`` seeds is added, with ``S - 1``.

    Args:
        one: ``(stretches, seeds)`` sums of squared errors; a column for each seed that both have, in one order.
        other: Likewise.

    Returns:
        The skill and its test. Stretches in which either has no error have no ratio and are left out; where these are
        most, there is none at all. With fewer than 12 stretches there is a skill and no test.

    Source: equal-weighted cosines, Lazarus, Lewis, Stock and Watson (2018), "HAR inference: recommendations for
        practice". Size and power by simulation: docs/statistics.md.
    """
    stretches, seeds = one.shape
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        return SkillTest(math.nan, stretches, seeds, obstacle="not finite")
    if stretches and (one == other).all():
        return SkillTest(0.0, stretches, seeds, along=0.0)
    defined = ((one > 0) & (other > 0)).all(axis=1)
    found = int(defined.sum())
    if found < max(1, DEFINED * stretches):
        exact = not one.any() and (other > 0).any()
        return SkillTest(-math.inf if exact else math.nan, found, seeds, obstacle="no ratio")
    ratios = np.log(one[defined]) - np.log(other[defined])
    mean = float(ratios.mean())
    if found < FEWEST_STRETCHES:
        return SkillTest(mean, found, seeds, obstacle="too short")
    along, cosines = variance_of_mean(ratios.mean(axis=1))
    between = float(ratios.mean(axis=0).var(ddof=1)) / seeds if seeds > 1 else 0.0
    return SkillTest(mean, found, seeds, along, between, cosines)


def variance_of_mean(values: Floats) -> tuple[float, int]:
    """Variance of the mean of values that depend on their neighbours, and its degrees of freedom, the cosines.

    Args:
        values: ``(n,)``, in order; ``n`` is 3 or more.
    """
    from scipy.fft import dct

    n = len(values)
    cosines = min(MOST_COSINES, n // STRETCHES_PER_COSINE)
    averages = dct(values - values.mean(), type=2)[1 : cosines + 1] / math.sqrt(2 * n)
    return float(np.square(averages).mean()) / n, cosines


def mean_skill(log_ratios: Floats) -> SkillTest:
    """The mean over datasets of skills that differ from dataset to dataset.

    The datasets are taken for a sample of all like them, so that what differs between them is part of the error. Each
    has the same weight: weights by standard errors, which are estimates themselves, give more false findings.

    Args:
        log_ratios: ``(datasets,)`` of each dataset's test.

    Returns:
        The mean and Student's test of it, with one degree of freedom less than datasets. With fewer than 5 datasets
        there is a mean and no test. Size and power by simulation: docs/statistics.md.
    """
    datasets, mean = len(log_ratios), float(np.mean(log_ratios))
    if not np.isfinite(log_ratios).all():
        return SkillTest(math.nan, datasets, 1, obstacle="no ratio")
    if datasets < FEWEST_DATASETS:
        return SkillTest(mean, datasets, 1, obstacle="too few datasets")
    return SkillTest(mean, datasets, 1, float(log_ratios.var(ddof=1)) / datasets, freedom=datasets - 1)


def holm(p: Floats) -> Floats:
    """P-values ``(tests,)``, adjusted so that any false finding is as unlikely as one test's; NaN, no test, stays.

    Source: Holm (1979), "A simple sequentially rejective multiple test procedure".
    """
    values = np.asarray(p, dtype=float)
    order = np.argsort(values, kind="stable")[: int(np.isfinite(values).sum())]
    adjusted = np.full(len(values), np.nan)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(values[order] * np.arange(len(order), 0, -1)))
    return adjusted


def false_discovery_rate(p: Floats) -> Floats:
    """P-values ``(tests,)``, adjusted so that at most a share of the findings, the level, is false; NaN stays.

    Source: Benjamini and Hochberg (1995), "Controlling the false discovery rate".
    """
    from scipy.stats import false_discovery_control

    values = np.asarray(p, dtype=float)
    adjusted, tested = np.full(len(values), np.nan), np.isfinite(values)
    if tested.any():
        adjusted[tested] = false_discovery_control(values[tested])
    return adjusted
