"""An experiment's entries over its datasets: their skill against frozen, and their ranks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from bench.analysis import RankTest, dataset_scores, leaky_scenarios, rank_test, verdicts_over, win_tie_loss
from bench.analysis.leaderboard import FROZEN
from bench.report.view.comparisons import skill_table, verdict_table
from bench.report.view.detail import detailed
from bench.report.view.loaded import Results, derived

FEWEST_DATASETS = 2


@derived
def datasets_of(results: Results) -> dict[str, str]:
    """The dataset of each scenario that counts: none with fewer, later or leaked labels; empty with one dataset."""
    leaky = leaky_scenarios(results.runs)
    found = {
        scenario: results.first(scenario).dataset.name
        for scenario in detailed(results)
        if scenario not in leaky and results.board_of(scenario)["rank"].notna().any()
    }
    return found if len(set(found.values())) >= FEWEST_DATASETS else {}


@derived
def skill_over_datasets(results: Results) -> pd.DataFrame:
    """`verdicts_over` all datasets, of each entry against frozen, best average rank first."""
    skills = skill_table(results)
    found = verdicts_over(skills[skills["reference"] == FROZEN], datasets_of(results))
    order = results.overall["entry"].tolist()
    return found.sort_values("entry", key=lambda names: names.map(order.index), kind="stable", ignore_index=True)


@dataclass(frozen=True, eq=False)
class Ranking:
    """Entries over at least two datasets.

    Attributes:
        results: The experiment.
        scenarios: Those that count, in order.
        test: Of the ranks of all entries with a result on each dataset (see `dataset_scores`).
    """

    results: Results
    scenarios: tuple[str, ...]
    test: RankTest

    @property
    def left_out(self) -> list[str]:
        """Entries that may be ranked but lack a result on a dataset."""
        board = self.results.board
        ranked = board.loc[board["scenario"].isin(self.scenarios) & board["rank"].notna(), "entry"]
        return sorted(set(ranked) - set(self.test.ranks.columns))

    @cached_property
    def table(self) -> pd.DataFrame:
        """A row for each entry, best first: columns ``entry, mean_rank``, and ``rank <dataset>`` for each one."""
        ranks = self.test.ranks.T.add_prefix("rank ")
        ranks.insert(0, "mean_rank", self.test.means)
        return ranks.rename_axis("entry").reset_index()

    @cached_property
    def win_tie_loss(self) -> pd.DataFrame:
        """`win_tie_loss` over the scenarios, of all entries that are ranked in any of them."""
        found = verdict_table(self.results)
        return win_tie_loss(found[found["scenario"].isin(self.scenarios)], self.results.ok)


@derived
def rank_entries(results: Results) -> Ranking | None:
    """The entries of an experiment over its datasets; None with fewer than two, or nobody to compare."""
    datasets = datasets_of(results)
    if not datasets:
        return None
    scores = dataset_scores(results.board, datasets).sort_index(axis=1)  # ties stand as in the Leaderboard
    return Ranking(results, tuple(datasets), rank_test(scores)) if scores.shape[1] > 1 else None
