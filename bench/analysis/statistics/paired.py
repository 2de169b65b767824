"""Differences and ratios of two entries' errors on the same forecasts, with intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.analysis.statistics.bootstrap import bootstrap_interval

Floats = NDArray[np.float64]
Verdict = Literal["lower", "higher", "no clear difference", "unknown", "undefined"]

SAMPLES = 2000


@dataclass(frozen=True)
class Difference:
    """The mean difference of two entries' errors, paired by origin and seed.

    Attributes:
        mean: MSE of the first less MSE of the second, scaled; below 0, the first is better.
        low: Lower end of the 95 % interval; NaN if the stream is too short for one.
        high: Upper end.
        reference: MSE of the second over the same origins and seeds.
        origins: Forecast origins that both have.
        seeds: Seeds that both have.
        block: Origins that are resampled together.
    """

    mean: float
    low: float
    high: float
    reference: float
    origins: int
    seeds: int
    block: int

    @property
    def verdict(self) -> Verdict:
        """Whether the interval is below 0, above it, contains it, or is unknown."""
        if np.isnan(self.low):
            return "unknown"
        if self.high < 0:
            return "lower"
        return "higher" if self.low > 0 else "no clear difference"

    def percent(self, value: float) -> float:
        """A difference in percent of the second's MSE; NaN if that is 0 or infinite."""
        return 100 * value / self.reference if 0 < self.reference < np.inf else float("nan")

    @property
    def row(self) -> dict[str, float | str]:
        """As columns of a table: ``difference, low, high``, each in percent, ``verdict, origins, seeds, block``."""
        percent, low, high = (self.percent(value) for value in (self.mean, self.low, self.high))
        return {
            "difference": self.mean,
            "low": self.low,
            "high": self.high,
            "percent": percent,
            "percent_low": low,
            "percent_high": high,
            "verdict": self.verdict,
            "origins": self.origins,
            "seeds": self.seeds,
            "block": self.block,
        }


@dataclass(frozen=True)
class Ratio(Difference):
    """The ratio of two entries' mean errors, paired by seed; its numbers are logarithms, below 0 the first is better.

    Attributes:
        mean: Mean over seeds of the logarithm of MSE of the first over MSE of the second; minus infinity if the
            first has no error, NaN if the second has none.
    """

    @property
    def verdict(self) -> Verdict:
        """As of a difference; undefined if there is no ratio."""
        return "undefined" if np.isnan(self.mean) else super().verdict

    def percent(self, value: float) -> float:
        """A logarithm as a difference in percent of the second's MSE; never below -100."""
        return 100 * (math.exp(value) - 1)


def paired_difference(
    one: pd.DataFrame, other: pd.DataFrame, overlap: int, samples: int = SAMPLES, seed: int = 0
) -> Difference | None:
    """Mean difference of the errors of two entries over the origins and seeds that both have.

    With ``d[o, s] = MSE of one - MSE of the other`` at origin ``o`` and seed ``s``, the mean is over seeds, then
    over origins, and the interval that of `bootstrap_interval`.

    Args:
        one: ``(origins, seeds)`` MSE, index origin, a column for each seed; ``other`` too.
        overlap: Origins whose truths overlap, ``ceil(horizon / stride)``: the least length of a block.
        samples: Resampled streams.
        seed: Of the resampling.

    Returns:
        None if no origin or no seed is common. The interval is NaN if the stream is too short, or an error infinite.
    """
    pair = _pair(one, other)
    if pair is None:
        return None
    errors, reference = pair
    with np.errstate(invalid="ignore"):  # of two errors without bound
        differences = errors - reference
    low, high, block = bootstrap_interval(differences, overlap, samples, seed)
    mean, (origins, seeds) = float(differences.mean()), differences.shape
    return Difference(mean, low, high, float(reference.mean()), origins, seeds, block)


def paired_ratio(
    one: pd.DataFrame, other: pd.DataFrame, overlap: int, samples: int = SAMPLES, seed: int = 0
) -> Ratio | None:
    """Ratio of the mean errors of two entries, with the arguments of `paired_difference`.

    The mean over seeds of ``log(A_s / B_s)``, where ``A_s`` and ``B_s`` are a seed's mean errors: ratios are not
    dominated by the seeds with most to gain, as differences are. The interval is that of
    `paired_difference` for ``log(A_s / B_s) + a[o, s] / A_s - b[o, s] / B_s``: the logarithm, linear in each error.

    Returns:
        None if no origin or no seed is common, or an error is infinite. If the first has no error at all the ratio is
        0; if either has none with some seed, there is none.

    Source: linearised ratios, Davison and Hinkley (1997), "Bootstrap Methods and their Application", section 2.7.
    """
    pair = _pair(one, other)
    if pair is None or not all(np.isfinite(errors).all() for errors in pair):
        return None
    (errors, reference), (above, below) = pair, (part.mean(axis=0) for part in pair)
    origins, seeds = errors.shape
    if not ((above > 0) & (below > 0)).all():
        ratio = float("-inf") if not above.any() and (below > 0).all() else float("nan")
        return Ratio(ratio, ratio, ratio, float(reference.mean()), origins, seeds, overlap)
    logarithms = np.log(above / below) + errors / above - reference / below
    low, high, block = bootstrap_interval(logarithms, overlap, samples, seed)
    return Ratio(float(logarithms.mean()), low, high, float(reference.mean()), origins, seeds, block)


def _pair(one: pd.DataFrame, other: pd.DataFrame) -> tuple[Floats, Floats] | None:
    """Errors ``(origins, seeds)`` of both where both have them; None if there are none."""
    if is_aligned(one, other):
        errors, reference = one.to_numpy(dtype=float), other.to_numpy(dtype=float)
        if errors.size and not np.isnan(errors).any() and not np.isnan(reference).any():
            return errors, reference
    seeds = sorted(set(one.columns) & set(other.columns))
    origins = one[seeds].dropna().index.intersection(other[seeds].dropna().index).sort_values()
    if not seeds or origins.empty:
        return None
    return one.loc[origins, seeds].to_numpy(dtype=float), other.loc[origins, seeds].to_numpy(dtype=float)


def is_aligned(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    """Whether two frames have the same rows and columns, both rising: the usual case, and quick."""
    rising = one.index.is_monotonic_increasing and one.columns.is_monotonic_increasing
    return bool(rising and one.index.equals(other.index) and one.columns.equals(other.columns))
