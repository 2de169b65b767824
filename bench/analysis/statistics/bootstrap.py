"""Intervals of a mean over a stream and over seeds: the block bootstrap, stretched where it would be too narrow."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.analysis.statistics.equal_accuracy import smoothing, variance_of_mean

Floats = NDArray[np.float64]

ROUNDING = 1e-12  # of the largest value: a smaller spread counts as none
FEWEST_BLOCKS = 8  # with fewer, a resampled stream is nearly the stream itself


def bootstrap_interval(values: Floats, overlap: int, samples: int, seed: int) -> tuple[float, float, int]:
    """The 95 % interval of the mean of ``(origins, seeds)`` values, and the origins in a block, at least ``overlap``.

    A stream is resampled ``samples`` times along both random parts at once, origins in blocks and seeds; a single seed
    is not, and the interval is then for that seed. The ends are NaN if fewer than `FEWEST_BLOCKS` blocks fit, or a
    value is not finite.

    Source: circular block bootstrap, Politis and Romano (1992); two factors at once, Owen (2007), "The pigeonhole
        bootstrap"; widened weights, Rao and Wu (1988), "Resampling inference with complex survey data";
        stretched percentiles, Hesterberg (2015), "What teachers should know about the bootstrap"; degrees of freedom,
        Satterthwaite (1946).
    """
    if not np.isfinite(values).all():
        return float("nan"), float("nan"), overlap
    block = block_length(values.mean(axis=1), overlap)
    if block * FEWEST_BLOCKS > len(values):
        return float("nan"), float("nan"), block
    means = _resampled_means(values, block, samples, seed)
    # percentiles are moved away from the mean as far as Student's distribution asks where blocks or seeds are few
    stretch, middle = _stretch(values, block, overlap, float(means.var())), values.mean()
    low, high = (float(middle + stretch * (end - middle)) for end in np.quantile(means, [0.025, 0.975]))
    return low, high, block


def _resampled_means(errors: Floats, block: int, samples: int, seed: int) -> Floats:
    """``(samples,)``: the mean of each resampled stream."""
    n, seeds = errors.shape
    # blocks of neighbours, the same for all seeds, from the stream closed to a circle
    closed = np.concatenate([np.zeros((1, seeds)), errors, errors[: block - 1]]).cumsum(axis=0)
    sums = closed[block:] - closed[:-block]  # (n, seeds): of the block that begins at each origin
    blocks = -(-n // block)
    drawn, weights = _draws(n, blocks, seeds, samples, seed)
    by_seed = (drawn @ sums) / (blocks * block)
    return np.asarray(by_seed[:, 0] if weights is None else (by_seed * weights).sum(axis=1))


@lru_cache(maxsize=16)
def _draws(n: int, blocks: int, seeds: int, samples: int, seed: int) -> tuple[Any, Floats | None]:
    """How often each resampled stream takes each block, ``(samples, n)``; its weights of seeds, None for one seed."""
    from scipy.sparse import csr_array

    rng = np.random.default_rng(seed)
    first = rng.integers(n, size=(samples, blocks)).ravel()
    ends = np.arange(0, samples * blocks + 1, blocks)
    drawn = csr_array((np.ones(len(first)), first, ends), shape=(samples, n))
    if seeds == 1:
        return drawn, None
    # deviations from 1 / seeds are widened: the spread of so few seeds would be underestimated
    shares = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=samples) / seeds
    return drawn, 1 / seeds + np.sqrt(seeds / (seeds - 1)) * (shares - 1 / seeds)


def _stretch(errors: Floats, block: int, overlap: int, variance: float) -> float:
    """How much wider than the resampled means an interval must be: blocks and seeds are few, and blocks end."""
    n, seeds = errors.shape
    if variance == 0:
        return 1.0
    between = float(errors.mean(axis=0).var(ddof=1)) / seeds if seeds > 1 else 0.0
    stretch = _student(between, seeds - 1, max(variance - between, 0.0), n / block - 1)
    pooled = errors.mean(axis=1)
    by = smoothing(pooled, overlap)
    if not by.enough or np.ptp(pooled) <= ROUNDING * np.abs(pooled).max():
        return stretch
    along = variance_of_mean(pooled, overlap, by)
    wider = float(np.sqrt((between + along) / variance))
    return max(stretch, wider * _student(between, seeds - 1, along, by.cosines))


def _student(between: float, seeds: int, along: float, freedom: float) -> float:
    """How much wider than the normal distribution Student's is, given two variances and the freedom of each."""
    from scipy.special import ndtri, stdtrit

    if between + along == 0:
        return 1.0
    both = (between + along) ** 2 / (between**2 / max(seeds, 1) + along**2 / freedom)
    return float(stdtrit(both, 0.975) / ndtri(0.975))


def block_length(values: Floats, overlap: int) -> int:
    """How many neighbours must be resampled together to keep their dependence; at least ``overlap``.

    The rule of Politis and White for the circular bootstrap, ``(3 / 2 * (G / g)^2 * n)^(1/3)`` with
    ``g = sum of w(k) R(k)`` and ``G = sum of w(k) |k| R(k)`` over lags ``k`` of both signs, ``R`` the autocovariance
    and ``w`` the flat-top window (1 up to half its width, then falling to 0); the window is twice as wide as the lag
    after which the next few autocorrelations are all within ``2 sqrt(log10(n) / n)``. At least ``n^(1/3)``, at most
    ``3 sqrt(n)`` and the part of the stream that lets `FEWEST_BLOCKS` blocks fit.

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
