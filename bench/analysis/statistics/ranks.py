"""Average ranks over many datasets, and whether they differ significantly."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.analysis.statistics.skill_test import holm

Floats = NDArray[np.float64]
Obstacle = Literal["", "too few datasets", "too few entries"]

FEWEST_BLOCKS = 5
FEWEST_ENTRIES = 3  # for two, signed ranks suffice
LEVEL = 0.05  # of Nemenyi's test, once the entries are known to differ
FIRST_LEVEL = 0.01  # of the test whether they do: with the pairs' 5 %, a whole report stays below 7 %
PAIRS = ["one", "other", "rank_difference", "p_nemenyi", "p", "p_holm", "obstacle"]


@dataclass(frozen=True)
class RankTest:
    """Whether entries differ at all in their ranks.

    Attributes:
        blocks: ``N``, datasets.
        entries: ``k``.
        chi2: Friedman's statistic, corrected for ties; NaN if not tested.
        f: Iman and Davenport's.
        p: Of ``f``; NaN if not tested.
        obstacle: Why it was not tested; empty if it was.
    """

    blocks: int
    entries: int
    chi2: float = float("nan")
    f: float = float("nan")
    p: float = float("nan")
    obstacle: Obstacle = ""

    @property
    def differ(self) -> bool:
        """Whether p is below `FIRST_LEVEL`."""
        return self.p < FIRST_LEVEL


def block_ranks(scores: pd.DataFrame) -> pd.DataFrame:
    """Rank entries within each block, the lowest score first; equal ones share the mean of their ranks.

    Args:
        scores: ``(blocks, entries)``, lower is better, none missing; infinite ones are last.
    """
    return scores.rank(axis=1, method="average")


def dataset_scores(board: pd.DataFrame, datasets: Mapping[str, str]) -> pd.DataFrame:
    """One error for each dataset and entry, so that each dataset counts once.

    Args:
        board: From `leaderboard`.
        datasets: Dataset of each scenario that counts.

    Returns:
        ``(datasets, entries)``: geometric mean of MSE (mean over seeds) over a dataset's scenarios: its protocols and
        options share their rows, and are not independent of each other. Only entries that are ranked in every scenario.
    """
    here = board[board["scenario"].isin(list(datasets))]
    errors = here[here["rank"].notna()].pivot_table(
        index="scenario", columns="entry", values="mse", sort=False, dropna=False
    )
    errors = errors.reindex(list(datasets)).dropna(axis=1)
    by_dataset = errors.index.map(dict(datasets))
    endless = errors == np.inf
    means = _logarithms(errors.mask(endless, 1.0)).groupby(by_dataset).mean()
    return means.apply(np.exp).mask(endless.groupby(by_dataset).any(), np.inf)


def friedman(scores: pd.DataFrame) -> RankTest:
    """Test whether the entries are alike: whether every order within a block is equally likely.

    Args:
        scores: As in `block_ranks`. Blocks are to be independent of each other.

    Returns:
        Friedman's statistic and Iman and Davenport's correction of it, ``F = (N - 1) chi2 / (N (k - 1) - chi2)`` with
        ``k - 1`` and ``(k - 1) (N - 1)`` degrees of freedom. Its p-value is never below ``k! ^ (1 - N)``, the chance
        that all blocks agree, which the F distribution ignores. If all are equal everywhere p is 1.
        Fewer than `FEWEST_BLOCKS` blocks or `FEWEST_ENTRIES` entries are not tested.

    Source: Friedman (1937), "The use of ranks to avoid the assumption of normality"; Iman and Davenport (1980),
        "Approximations of the critical region of the Friedman statistic"; for comparing learners, Demsar (2006),
        "Statistical comparisons of classifiers over multiple data sets".
    """
    blocks, entries = scores.shape
    if blocks < FEWEST_BLOCKS:
        return RankTest(blocks, entries, obstacle="too few datasets")
    if entries < FEWEST_ENTRIES:
        return RankTest(blocks, entries, obstacle="too few entries")
    ranks = block_ranks(scores).to_numpy(dtype=float)
    if (ranks == ranks[:, :1]).all():
        return RankTest(blocks, entries, 0.0, 0.0, 1.0)
    from scipy.stats import friedmanchisquare

    chi2 = float(friedmanchisquare(*ranks.T).statistic)
    f, p = iman_davenport(chi2, blocks, entries)
    return RankTest(blocks, entries, chi2, f, max(p, math.exp((1 - blocks) * math.lgamma(entries + 1))))


def iman_davenport(chi2: float, blocks: int, entries: int) -> tuple[float, float]:
    """Iman and Davenport's statistic and its p-value; see `friedman`."""
    from scipy.special import fdtrc

    left = blocks * (entries - 1) - chi2
    if left <= 1e-9 * blocks:  # every block has the same order
        return float("inf"), 0.0
    f = (blocks - 1) * chi2 / left
    return f, float(fdtrc(entries - 1, (entries - 1) * (blocks - 1), f))


def critical_difference(entries: int, blocks: int, level: float = LEVEL) -> float:
    """How far apart two average ranks must be for Nemenyi's test to tell them apart.

    Args:
        entries: ``k``, at least 2.
        blocks: ``N``.
        level: Chance that any two of ``k`` equal entries are told apart.

    Returns:
        ``q sqrt(k (k + 1) / (6 N))``, with ``q`` the studentised range's quantile for ``k`` means and infinite degrees
        of freedom, over the root of 2.

    Source: Nemenyi (1963), "Distribution-free multiple comparisons"; Demsar (2006), table 5.
    """
    from scipy.stats import studentized_range

    q = float(studentized_range.ppf(1 - level, entries, np.inf)) / math.sqrt(2)
    return q * _standard_error(entries, blocks)


def rank_pairs(scores: pd.DataFrame) -> pd.DataFrame:
    """Test each pair of entries over the blocks, in two ways.

    Args:
        scores: As in `block_ranks`; not negative.

    Returns:
        A row for each pair: columns ``one, other`` (the better average rank first), ``rank_difference`` (average rank
        of one less that of the other), ``p_nemenyi`` (of that difference, for all pairs at once), ``p``
        (`signed_ranks` of the logarithms of the scores, so that blocks with large scores do not dominate), ``p_holm``
        (adjusted after Holm over all pairs) and ``obstacle``. Fewer than `FEWEST_BLOCKS` blocks are not tested.
    """
    blocks, entries = scores.shape
    means = block_ranks(scores).mean().sort_values(kind="stable")
    few = blocks < FEWEST_BLOCKS
    logs = _logarithms(scores)
    rows = []
    for one, other in combinations(means.index, 2):
        gap = float(means[one] - means[other])
        nemenyi = float("nan") if few else _nemenyi(gap, entries, blocks)
        p = float("nan") if few else signed_ranks(logs[one].to_numpy(), logs[other].to_numpy())
        rows.append((one, other, gap, nemenyi, p, float("nan"), "too few datasets" if few else ""))
    frame = pd.DataFrame(rows, columns=PAIRS)
    frame["p_holm"] = holm(frame["p"].to_numpy())
    return frame


def signed_ranks(one: Floats, other: Floats) -> float:
    """Wilcoxon's signed-rank test of two entries' ``(blocks,)`` scores, which may be infinite: the two-sided p-value.

    1 if all are equal. Exact without ties, and with ties up to 13 blocks (by permutations).
    Ranks of zero differences are split evenly between both sides, as Demsar does.

    Source: Wilcoxon (1945), "Individual comparisons by ranking methods"; Demsar (2006), section 3.1.3.
    """
    from scipy.stats import wilcoxon

    with np.errstate(invalid="ignore"):
        differences = np.where(one == other, 0.0, one - other)
    if not differences.any():
        return 1.0
    finite = np.abs(differences[np.isfinite(differences)])
    beyond = 2 * float(finite.max(initial=1.0))  # only the order counts
    return float(wilcoxon(np.clip(differences, -beyond, beyond), zero_method="zsplit").pvalue)


def smallest_signed_rank_p(blocks: int, pairs: int) -> float:
    """The least p of a signed-rank test over so many blocks after Holm's adjustment: all agree, ``2^(1 - N)``."""
    return min(1.0, pairs * 2.0 ** (1 - blocks))


def alike(means: pd.Series, apart: float) -> list[list[str]]:
    """Largest groups of entries whose average ranks differ by less than ``apart``.

    Args:
        means: Average rank of each entry (index).
        apart: From `critical_difference`; infinite if no two differ significantly.

    Returns:
        Groups of two entries and more, best first, none part of another.
    """
    ordered = means.sort_values(kind="stable")
    values, names = ordered.to_numpy(dtype=float), [str(name) for name in ordered.index]
    groups, last = [], -1
    for i, value in enumerate(values):
        end = int(np.flatnonzero(values - value < apart)[-1])
        if end > max(i, last):
            groups.append(names[i : end + 1])
        last = max(last, end)
    return groups


def _logarithms(scores: pd.DataFrame) -> pd.DataFrame:
    with np.errstate(divide="ignore"):
        return pd.DataFrame(np.log(scores.to_numpy(dtype=float)), index=scores.index, columns=scores.columns)


def _nemenyi(gap: float, entries: int, blocks: int) -> float:
    from scipy.stats import studentized_range

    return float(studentized_range.sf(abs(gap) / _standard_error(entries, blocks) * math.sqrt(2), entries, np.inf))


def _standard_error(entries: int, blocks: int) -> float:
    """Of the difference of two average ranks."""
    return math.sqrt(entries * (entries + 1) / (6 * blocks))
