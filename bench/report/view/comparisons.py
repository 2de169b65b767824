"""Entries of a scenario held against each other, scenario by scenario."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.analysis import (
    ablations,
    all_pairs,
    cost_table,
    exact_stretches,
    geometric_ratio,
    median_ratio,
    over_scenarios,
    skill_intervals,
    stretch_length,
    with_intervals,
)
from bench.analysis.leaderboard import PERSISTENCE
from bench.analysis.skill_intervals import COLUMNS as SKILLS
from bench.analysis.statistics.pairs import LEVEL
from bench.report.view.loaded import Results, derived

ENTRY = ["entry", "strategy", "base", "strategy_config"]


@derived
def persistence_ratios(results: Results) -> pd.DataFrame:
    """`geometric_ratio` and `median_ratio` of each entry to persistence; scenarios without it are left out.

    Returns:
        Columns ``scenario, entry, ratio, median, stretch``, and ``exact, stretches``: in how many of the stretches
        persistence has no error.
    """
    rows = []
    for scenario, errors in results.streams.items():
        board = results.board_of(scenario)
        reference = [e for e in board.loc[board["strategy"] == PERSISTENCE, "entry"] if e in errors]
        if not reference:
            continue
        stretch = stretch_length(len(errors), results.overlap(scenario), results.season(scenario))
        by_seed = results.errors_by_seed(scenario)
        exact = exact_stretches(by_seed[reference[0]], stretch)
        for entry, own in sorted(by_seed.items()):
            ratios = (measure(own, by_seed[reference[0]], stretch) for measure in (geometric_ratio, median_ratio))
            rows.append((scenario, entry, *ratios, stretch, *exact))
    return pd.DataFrame(rows, columns=["scenario", "entry", "ratio", "median", "stretch", "exact", "stretches"])


@derived
def part_ablations(results: Results) -> pd.DataFrame:
    """`ablations` of each scenario for what strategies say of each other, with a column ``scenario`` in front."""
    frames = []
    first = results.ok.drop_duplicates(["scenario", "entry"])[["scenario", *ENTRY]]
    entries = {str(scenario): here for scenario, here in first.groupby("scenario", sort=False)}
    for scenario in results.scenarios:
        if scenario not in entries:
            continue
        found = ablations(
            entries[scenario], results.errors_by_seed(scenario), results.overlap(scenario), results.questions
        )
        if len(found):
            found.insert(0, "scenario", scenario)
            frames.append(found)
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


@derived
def skill_table(results: Results) -> pd.DataFrame:
    """`skill_intervals` of the ranked entries of each scenario, best first, with a column ``scenario`` in front."""
    frames = [pd.DataFrame(columns=["scenario", *SKILLS])]
    entries = results.ok.drop_duplicates(["scenario", "entry"])
    for scenario in results.scenarios:
        board = results.board_of(scenario)
        ranked = board.loc[board["rank"].notna(), "entry"].tolist()
        here = entries[(entries["scenario"] == scenario) & entries["entry"].isin(ranked)]
        found = skill_intervals(here, results.errors_by_seed(scenario), results.overlap(scenario))
        found.insert(0, "scenario", scenario)
        places = found["entry"].map(ranked.index).to_numpy()
        frames.append(found.iloc[np.argsort(places, kind="stable")])
    return pd.concat([frame for frame in frames if len(frame)] or frames[:1], ignore_index=True)


@derived
def pair_table(results: Results) -> pd.DataFrame:
    """`all_pairs` of the ranked entries of each scenario, `over_scenarios`."""
    found = {}
    for scenario in results.scenarios:
        board = results.board_of(scenario)
        entries = board.loc[board["rank"].notna(), "entry"].tolist()
        found[scenario] = all_pairs(results.errors_by_seed(scenario), entries, results.overlap(scenario))
    return over_scenarios(found)


@derived
def _pairs(results: Results) -> dict[str, pd.DataFrame]:
    return {str(scenario): pairs for scenario, pairs in pair_table(results).groupby("scenario", sort=False)}


def pairs_of(results: Results, scenario: str) -> pd.DataFrame:
    """The pairs of one scenario."""
    return _pairs(results).get(scenario, pair_table(results).head(0))


def against_best(results: Results, scenario: str) -> pd.DataFrame:
    """The pairs of a scenario's best entry, in the order of the leaderboard, `with_intervals`."""
    return _pairs_of_the_best(results)[scenario]


@derived
def _pairs_of_the_best(results: Results) -> dict[str, pd.DataFrame]:
    """For each scenario, the pairs of its best entry, in the order of the leaderboard, `with_intervals`."""
    found = {}
    for scenario in results.scenarios:
        board = results.board_of(scenario)
        best = board.loc[board["rank"].notna(), "entry"].head(1).tolist()
        pairs = pairs_of(results, scenario)
        pairs = pairs[pairs["one"].isin(best)]
        found[scenario] = with_intervals(pairs, results.errors_by_seed(scenario), results.overlap(scenario))
    return found


def judged(results: Results, scenario: str) -> pd.DataFrame:
    """All pairs of a scenario's ranked entries: columns ``scenario, one, other, difference, significant, obstacle``."""
    best = against_best(results, scenario)
    rest = pairs_of(results, scenario)
    rest = rest[~rest.index.isin(best.index)]
    near, overlap = rest["p_holm"] < LEVEL, results.overlap(scenario)
    parts = [best, with_intervals(rest[near], results.errors_by_seed(scenario), overlap)]
    parts.append(rest[~near].assign(significant=False))
    columns = ["scenario", "one", "other", "difference", "significant", "obstacle"]
    kept = [part[columns] for part in parts if len(part)]
    return pd.concat(kept) if kept else pd.DataFrame(columns=columns)


@derived
def cost_of(results: Results) -> pd.DataFrame:
    """`cost_table` of all runs."""
    return cost_table(results.runs)
