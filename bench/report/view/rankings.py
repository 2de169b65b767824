"""An experiment's entries over its datasets: what the analysis of ranks is given, and what it makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from bench.analysis import (
    RankTest,
    alike,
    block_ranks,
    critical_difference,
    dataset_scores,
    friedman,
    leaky_scenarios,
    rank_pairs,
    smallest_signed_rank_p,
    win_tie_loss,
)
from bench.analysis.statistics.skill_test import LEVEL
from bench.report.view.comparisons import verdict_table
from bench.report.view.detail import detailed
from bench.report.view.loaded import Results, derived

FEWEST_DATASETS = 2


@dataclass(frozen=True, eq=False)
class Ranking:
    """Entries over at least two datasets.

    Attributes:
        results: The experiment.
        scenarios: Those that count, in order: none with fewer, later or leaked labels.
        scores: ``(datasets, entries)`` MSE, of entries with a result on each (see `dataset_scores`).
    """

    results: Results
    scenarios: tuple[str, ...]
    scores: pd.DataFrame

    @cached_property
    def means(self) -> pd.Series:
        """Average rank of each entry (index), best first."""
        return block_ranks(self.scores).mean().sort_values(kind="stable")

    @cached_property
    def test(self) -> RankTest:
        """`friedman` of the scores."""
        return friedman(self.scores)

    @cached_property
    def pairs(self) -> pd.DataFrame:
        """`rank_pairs` of the scores."""
        return rank_pairs(self.scores)

    @property
    def tested(self) -> bool:
        """Whether pairs were tested."""
        return bool(self.pairs["p"].notna().any())

    @property
    def signs_can_tell(self) -> bool:
        """Whether the signed ranks of so few datasets, adjusted for so many pairs, could tell anyone apart."""
        return self.tested and smallest_signed_rank_p(len(self.scores), len(self.pairs)) < LEVEL

    @property
    def apart(self) -> float:
        """Difference of average ranks that tells two entries apart; infinite where the test found no difference."""
        return critical_difference(self.test.entries, self.test.blocks) if self.test.differ else np.inf

    @cached_property
    def groups(self) -> list[list[str]]:
        """`alike`: entries that do not differ significantly."""
        return alike(self.means, self.apart)

    @property
    def left_out(self) -> list[str]:
        """Entries that may be ranked but lack a result on a dataset."""
        board = self.results.board
        ranked = board.loc[board["scenario"].isin(self.scenarios) & board["rank"].notna(), "entry"]
        return sorted(set(ranked) - set(self.scores.columns))

    @cached_property
    def table(self) -> pd.DataFrame:
        """A row for each entry, best first: columns ``entry, mean_rank``, and ``rank <dataset>`` for each one."""
        ranks = block_ranks(self.scores).T.loc[self.means.index].add_prefix("rank ")
        ranks.insert(0, "mean_rank", self.means)
        return ranks.rename_axis("entry").reset_index()

    @cached_property
    def win_tie_loss(self) -> pd.DataFrame:
        """`win_tie_loss` over the scenarios, of all entries that are ranked in any of them."""
        found = verdict_table(self.results)
        return win_tie_loss(found[found["scenario"].isin(self.scenarios)], self.results.ok)


@derived
def rank_entries(results: Results) -> Ranking | None:
    """The entries of an experiment over its datasets; None with fewer than two, or nobody to compare."""
    leaky = leaky_scenarios(results.runs)
    datasets = {
        scenario: results.first(scenario).dataset.name
        for scenario in detailed(results)
        if scenario not in leaky and results.board_of(scenario)["rank"].notna().any()
    }
    if len(set(datasets.values())) < FEWEST_DATASETS:
        return None
    scores = dataset_scores(results.board, datasets).sort_index(axis=1)  # ties stand as in the Leaderboard
    return Ranking(results, tuple(datasets), scores) if scores.shape[1] > 1 else None
