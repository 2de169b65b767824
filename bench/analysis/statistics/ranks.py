"""Average ranks over many datasets, and whether they differ significantly."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
import pandas as pd

from bench.analysis.statistics.skill_test import FEWEST_DATASETS, LEVEL

Obstacle = Literal["", "too few datasets", "too few entries"]

FEWEST_ENTRIES = 3
PAIRS = ["one", "other", "rank_difference", "p_nemenyi"]


@dataclass(frozen=True, eq=False)
class RankTest:
    """Average ranks of entries over datasets, and whether they differ.

    Attributes:
        ranks: ``(datasets, entries)``, the best average first; 1 has the lowest score, equal ones share the mean.
        statistic: Friedman's, corrected for ties; NaN if not tested.
        p: Its p-value; NaN if not tested.
        alike: ``(entries, entries)`` Nemenyi's p-value of each pair; NaN where Friedman's test finds no difference.
        obstacle: Why it was not tested; empty if it was.
    """

    ranks: pd.DataFrame
    statistic: float
    p: float
    alike: pd.DataFrame
    obstacle: Obstacle = ""

    @property
    def means(self) -> pd.Series:
        """Average rank of each entry (index), best first."""
        return self.ranks.mean()

    @property
    def differ(self) -> bool:
        """Whether any two entries differ significantly in their ranks."""
        return self.p < LEVEL

    @property
    def pairs(self) -> pd.DataFrame:
        """A row for each pair, the better average rank first: columns ``one, other, rank_difference, p_nemenyi``."""
        means = self.means
        rows = [
            (one, other, means[one] - means[other], self.alike.loc[one, other])
            for one, other in combinations(means.index, 2)
        ]
        return pd.DataFrame(rows, columns=PAIRS)


def rank_test(scores: pd.DataFrame) -> RankTest:
    """Test whether entries differ in their ranks within datasets, and which do.

    Args:
        scores: ``(datasets, entries)``, lower is better, none missing; infinite ones are last. Datasets are to be
            independent of each other.

    Returns:
        Friedman's test, and Nemenyi's of all pairs. Fewer than 5 datasets or 3 entries are not tested.

    Source: Friedman (1937); Nemenyi (1963); for comparing learners, Demsar (2006), "Statistical comparisons of
        classifiers over multiple data sets".
    """
    ranks = scores.rank(axis=1, method="average")
    ranks = ranks[ranks.mean().sort_values(kind="stable").index]
    datasets, entries = ranks.shape
    alike = pd.DataFrame(math.nan, index=ranks.columns, columns=ranks.columns)
    if datasets < FEWEST_DATASETS:
        return RankTest(ranks, math.nan, math.nan, alike, "too few datasets")
    if entries < FEWEST_ENTRIES:
        return RankTest(ranks, math.nan, math.nan, alike, "too few entries")
    if (ranks.nunique(axis=1) == 1).all():
        return RankTest(ranks, 0.0, 1.0, alike)
    from scipy.stats import friedmanchisquare

    found = friedmanchisquare(*ranks.to_numpy().T)
    if found.pvalue < LEVEL:
        from scikit_posthocs import posthoc_nemenyi_friedman

        alike[:] = posthoc_nemenyi_friedman(ranks.to_numpy()).to_numpy()
    return RankTest(ranks, float(found.statistic), float(found.pvalue), alike)


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
    with np.errstate(divide="ignore"):  # of an entry without error
        means = errors.mask(endless, 1.0).apply(np.log).groupby(by_dataset).mean()
    return means.apply(np.exp).mask(endless.groupby(by_dataset).any(), np.inf)
