"""By how much one entry's error differs from another's on the same forecasts, and how sure that is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Verdict = Literal["lower", "higher", "no clear difference", "unknown"]

SAMPLES = 2000
FEWEST_BLOCKS = 8  # with fewer, a resampled stream is nearly the stream itself


@dataclass(frozen=True)
class Difference:
    """The mean difference of two entries' errors, paired by origin and seed.

    Attributes:
        mean: MSE of the first less MSE of the second, scaled; below 0, the first is better.
        low: Lower end of the 95 % interval; NaN where the stream is too short for one.
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
        """Whether the interval lies below 0, above it, holds it, or is unknown."""
        if np.isnan(self.low):
            return "unknown"
        if self.high < 0:
            return "lower"
        return "higher" if self.low > 0 else "no clear difference"

    def percent(self, value: float) -> float:
        """A difference as a share of the second's MSE, in percent; NaN where that is 0."""
        return 100 * value / self.reference if self.reference > 0 else float("nan")

    @property
    def row(self) -> dict[str, float | str]:
        """As columns of a table: ``difference, low, high``, each in percent, ``verdict, origins, seeds, block``."""
        return {
            "difference": self.mean,
            "low": self.low,
            "high": self.high,
            "percent": self.percent(self.mean),
            "percent_low": self.percent(self.low),
            "percent_high": self.percent(self.high),
            "verdict": self.verdict,
            "origins": self.origins,
            "seeds": self.seeds,
            "block": self.block,
        }


@dataclass(frozen=True)
class Ratio(Difference):
    """The ratio of two entries' mean errors, paired by seed; its numbers are logarithms, below 0 the first is better.

    Attributes:
        mean: Mean over seeds of the logarithm of MSE of the first over MSE of the second.
    """

    def percent(self, value: float) -> float:
        """A logarithm as a difference in percent of the second's MSE; never below -100."""
        return 100 * (math.exp(value) - 1)


def paired_difference(
    one: pd.DataFrame, other: pd.DataFrame, overlap: int, samples: int = SAMPLES, seed: int = 0
) -> Difference | None:
    """Mean difference of the errors of two entries over the origins and seeds that both have.

    With ``d[o, s] = MSE of one - MSE of the other`` at origin ``o`` and seed ``s``, the mean is that over seeds, then
    over origins. The interval is the 2.5th and 97.5th percentile of that mean over ``samples`` resampled streams, moved
    away from it as far as Student's distribution asks for where blocks or seeds are few. A
    stream is resampled along both of its random parts at once: origins in blocks of neighbours, drawn with replacement
    from the stream closed to a circle; seeds singly, with replacement, the deviations of their weights from 1 / n
    widened by ``sqrt(n / (n - 1))``, without which the spread of so few would be underestimated. All seeds share the
    same blocks. A single seed is not resampled: the interval then speaks of that seed.

    Args:
        one: ``(origins, seeds)`` MSE, index origin, a column for each seed.
        other: Likewise.
        overlap: Origins whose truths overlap, ``ceil(H / S)``: the least length of a block.
        samples: Resampled streams.
        seed: Of the resampling.

    Returns:
        The difference; None where no origin or no seed is common. The interval is NaN where fewer than
        `FEWEST_BLOCKS` blocks fit into the stream.

    Source: circular block bootstrap, Politis and Romano (1992); two factors at once, Owen (2007), "The pigeonhole
        bootstrap"; widened weights, Rao and Wu (1988), "Resampling inference with complex survey data";
        stretched percentiles, Hesterberg (2015), "What teachers should know about the bootstrap"; degrees of freedom,
        Satterthwaite (1946).
    """
    pair = _pair(one, other)
    if pair is None:
        return None
    errors, reference = pair
    low, high, block = _interval(errors - reference, overlap, samples, seed)
    mean, (origins, seeds) = float((errors - reference).mean()), errors.shape
    return Difference(mean, low, high, float(reference.mean()), origins, seeds, block)


def paired_ratio(
    one: pd.DataFrame, other: pd.DataFrame, overlap: int, samples: int = SAMPLES, seed: int = 0
) -> Ratio | None:
    """Ratio of the mean errors of two entries over the origins and seeds that both have.

    The mean over seeds of ``log(A_s / B_s)``, where ``A_s`` and ``B_s`` are a seed's mean errors: where seeds differ in
    how much there is to gain, differences are ruled by the largest, and ratios are not. The interval is that of
    `paired_difference` for ``log(A_s / B_s) + a[o, s] / A_s - b[o, s] / B_s``: the logarithm, linear in each error.

    Args:
        one: As in `paired_difference`.
        other: Likewise.
        overlap: Likewise.
        samples: Likewise.
        seed: Likewise.

    Returns:
        The ratio; None where no origin or no seed is common, or a mean error is not above 0.

    Source: linearised ratios, Davison and Hinkley (1997), "Bootstrap Methods and their Application", section 2.7.
    """
    pair = _pair(one, other)
    if pair is None or not all((errors.mean(axis=0) > 0).all() for errors in pair):
        return None
    (errors, reference), (above, below) = pair, (part.mean(axis=0) for part in pair)
    logarithms = np.log(above / below) + errors / above - reference / below
    low, high, block = _interval(logarithms, overlap, samples, seed)
    mean, (origins, seeds) = float(logarithms.mean()), errors.shape
    return Ratio(mean, low, high, float(reference.mean()), origins, seeds, block)


def _pair(one: pd.DataFrame, other: pd.DataFrame) -> tuple[Floats, Floats] | None:
    """Errors ``(origins, seeds)`` of both where both have them; None where there are none."""
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


def _interval(values: Floats, overlap: int, samples: int, seed: int) -> tuple[float, float, int]:
    """Ends of the interval of a mean over ``(origins, seeds)``, NaN where it has none, and the length of a block."""
    block = block_length(values.mean(axis=1), overlap)
    if block * FEWEST_BLOCKS > len(values):
        return float("nan"), float("nan"), block
    means = _resampled_means(values, block, samples, seed)
    stretch, middle = _stretch(values, block, float(means.var())), values.mean()
    low, high = (float(middle + stretch * (end - middle)) for end in np.quantile(means, [0.025, 0.975]))
    return low, high, block


def _resampled_means(errors: Floats, block: int, samples: int, seed: int) -> Floats:
    """``(samples,)``: the mean of each resampled stream; see `paired_difference`."""
    n, seeds = errors.shape
    closed = np.concatenate([np.zeros((1, seeds)), errors, errors[: block - 1]]).cumsum(axis=0)
    sums = closed[block:] - closed[:-block]  # (n, seeds): of the block that begins at each origin
    blocks = -(-n // block)
    drawn, weights = _draws(n, blocks, seeds, samples, seed)
    by_seed = (drawn @ sums) / (blocks * block)
    return np.asarray(by_seed[:, 0] if weights is None else (by_seed * weights).sum(axis=1))


@lru_cache(maxsize=16)
def _draws(n: int, blocks: int, seeds: int, samples: int, seed: int) -> tuple[Any, Floats | None]:
    """How often each resampled stream takes each block, and its weights of seeds: the same for all pairs of a stream.

    Returns:
        A sparse matrix ``(samples, n)``, and ``(samples, seeds)``, None where there is one seed.
    """
    from scipy.sparse import csr_array

    rng = np.random.default_rng(seed)
    first = rng.integers(n, size=(samples, blocks)).ravel()
    ends = np.arange(0, samples * blocks + 1, blocks)
    drawn = csr_array((np.ones(len(first)), first, ends), shape=(samples, n))
    if seeds == 1:
        return drawn, None
    shares = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=samples) / seeds
    return drawn, 1 / seeds + np.sqrt(seeds / (seeds - 1)) * (shares - 1 / seeds)


def _stretch(errors: Floats, block: int, variance: float) -> float:
    """How much wider than the resampled means an interval must be, as blocks and seeds are few.

    The 97.5th percentile of Student's distribution over that of the normal one. The degrees of freedom are those of a
    sum of two variances, each with its own: of the seeds' means, and of the blocks.
    """
    from scipy.special import ndtri, stdtrit

    n, seeds = errors.shape
    if variance == 0:
        return 1.0
    between = float(errors.mean(axis=0).var(ddof=1)) / seeds if seeds > 1 else 0.0
    within = max(variance - between, 0.0)
    freedom = (between + within) ** 2 / (between**2 / max(seeds - 1, 1) + within**2 / (n / block - 1))
    return float(stdtrit(freedom, 0.975) / ndtri(0.975))


def block_length(values: Floats, overlap: int) -> int:
    """How many neighbours must be resampled together so that their dependence is kept.

    The rule of Politis and White for the circular bootstrap, ``(3 / 2 * (G / g)^2 * n)^(1/3)`` with
    ``g = sum of w(k) R(k)`` and ``G = sum of w(k) |k| R(k)`` over lags ``k`` of both signs, ``R`` the autocovariance
    and ``w`` the flat-top window (1 up to half its width, then falling to 0); the window is twice as wide as the lag
    after which the next few autocorrelations are all within ``2 sqrt(log10(n) / n)``. At least ``n^(1/3)``, at most
    ``3 sqrt(n)`` and the part of the stream that lets `FEWEST_BLOCKS` blocks fit, but never less than ``overlap``.

    Args:
        values: ``(n,)``, in order.
        overlap: Least length.

    Source: Politis and White (2004), "Automatic block-length selection for the dependent bootstrap", with the
        correction by Patton, Politis and White (2009).
    """
    n = len(values)
    least = n ** (1 / 3)
    most = max(1, min(int(3 * np.sqrt(n)), n // FEWEST_BLOCKS))
    return max(overlap, min(most, int(np.ceil(max(least, _dependence(values))))))


def _dependence(values: Floats) -> float:
    """The block length of Politis and White, without bounds."""
    n = len(values)
    centred = values - values.mean()
    variance = float(centred @ centred) / n
    if n < 10 or variance == 0:
        return 1.0
    insignificant = max(5, int(np.ceil(np.sqrt(np.log10(n)))))
    lags = min(n - 1, int(np.ceil(np.sqrt(n))) + insignificant)
    covariance = np.array([centred[k:] @ centred[: n - k] for k in range(lags + 1)]) / n
    large = np.abs(covariance[1:] / variance) >= 2 * np.sqrt(np.log10(n) / n)
    runs = (lag for lag in range(lags - insignificant + 1) if not large[lag : lag + insignificant].any())
    last = next(runs, int(np.flatnonzero(large)[-1]) + 1 if large.any() else 0)
    width = min(2 * max(last, 1), lags)
    k = np.arange(width + 1)
    flat_top = np.clip(2 * (1 - k / width), 0.0, 1.0)
    both_signs = np.where(k == 0, 1.0, 2.0) * flat_top * covariance[: width + 1]
    g, slope = float(both_signs.sum()), float((k * both_signs).sum())
    return float((1.5 * (slope / g) ** 2 * n) ** (1 / 3)) if g != 0 else 1.0
