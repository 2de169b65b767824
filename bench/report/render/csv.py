"""Every table in full, as CSV."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from bench.analysis import divergence_counts
from bench.report.sections.problems import bad_runs
from bench.report.view.loaded import Results
from bench.results.csv_text import write_frames


def write_tables(results: Results, folder: Path) -> None:
    """Write every table that has rows.

    They are ``runs``, ``leaderboard``, ``overall``, ``pairs``, ``against_best``, ``ranks``, ``rank_pairs``,
    ``win_tie_loss``, ``ratios``, ``label_curves``, ``label_worth``, ``label_gains``, ``skill_intervals``,
    ``ablations``, ``trace``, ``cost``, ``recovery``, ``by_channel``, ``by_lead``, ``problems``, ``diverged``; and
    of drifts whose truth is known ``drift_worth``, ``drift_cost``, ``drift_recovery``, ``drift_return``,
    ``drift_regret``.

    Numbers have eight digits, so that the same records give the same bytes.
    """
    write_frames(_frames(results), folder)


def _frames(results: Results) -> dict[str, pd.DataFrame]:
    first = ["scenario", "entry", "seed", "status"]
    runs = results.runs[[*first, *(column for column in results.runs if column not in first)]]
    known, ranking = results.known_drifts, results.ranking
    recovery = [table.assign(scenario=scenario) for scenario, table in results.recovery.items()]
    return {
        "runs": runs.sort_values(first, kind="stable"),
        "leaderboard": results.board,
        "overall": results.overall,
        "pairs": results.pairs,
        "against_best": pd.concat([results.against_best(scenario) for scenario in results.scenarios]),
        "ranks": ranking.table if ranking else pd.DataFrame(),
        "rank_pairs": ranking.pairs if ranking else pd.DataFrame(),
        "win_tie_loss": ranking.win_tie_loss if ranking else pd.DataFrame(),
        "ratios": results.ratios,
        "label_curves": results.label_curves,
        "label_worth": results.label_worth,
        "label_gains": results.label_gains,
        "skill_intervals": results.skill_intervals,
        "ablations": results.ablations,
        "trace": results.traces,
        "cost": results.cost,
        "recovery": _first_column(pd.concat(recovery), "scenario") if recovery else pd.DataFrame(),
        "drift_worth": known.worth,
        "drift_cost": known.costs,
        "drift_recovery": known.recoveries,
        "drift_return": known.returns,
        "drift_regret": known.regrets,
        "by_channel": results.by_channel,
        "by_lead": results.by_lead,
        "problems": bad_runs(results),
        "diverged": divergence_counts(results.runs),
    }


def _first_column(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    return frame[[name, *(column for column in frame if column != name)]]
