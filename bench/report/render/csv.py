"""Every table in full, as CSV."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from bench.analysis import divergence_counts
from bench.report.sections.problems import bad_runs
from bench.report.view.comparisons import (
    cost_of,
    part_ablations,
    skill_table,
    tuned_beside_default,
    verdict_table,
)
from bench.report.view.detail import label_errors
from bench.report.view.drift_measures import known_drifts
from bench.report.view.error_parts import by_channel, by_lead
from bench.report.view.labels import gains_from_labels, worth_of_labels
from bench.report.view.loaded import Results
from bench.report.view.rankings import rank_entries, skill_over_datasets
from bench.report.view.training import trainings
from bench.report.view.tuning import Tuning
from bench.report.view.when import around_drifts
from bench.results.csv_text import write_frames


def write_tables(results: Results, folder: Path) -> None:
    """Write every table that has rows.

    They are ``runs``, ``leaderboard``, ``overall``, ``pairs``, ``ranks``, ``rank_pairs``, ``win_tie_loss``,
    ``label_curves``, ``label_worth``, ``label_gains``, ``skill``, ``skill_over_datasets``, ``ablations``, ``tuned``,
    ``trace``, ``cost``, ``drifts``, ``by_channel``, ``by_lead``, ``training``, ``problems``, ``diverged``; and of
    drifts whose truth is known ``drift_worth``, ``drift_cost``, ``drift_recovery``, ``drift_return``, ``drift_regret``.

    Numbers have eight digits, so that the same records give the same bytes.
    """
    write_frames(_frames(results), folder)


def write_tuning(tuning: Tuning, folder: Path) -> None:
    """Write ``tuning.csv``, a row for each trial, and ``tuning_runs.csv``, one for each run of it."""
    write_frames({"tuning": tuning.table, "tuning_runs": tuning.trials.drop(columns=["seconds"])}, folder)


def _frames(results: Results) -> dict[str, pd.DataFrame]:
    first = ["scenario", "entry", "seed", "status"]
    runs = results.runs[[*first, *(column for column in results.runs if column not in first)]]
    known, ranking = known_drifts(results), rank_entries(results)
    return {
        "runs": runs.sort_values(first, kind="stable"),
        "leaderboard": results.board,
        "overall": results.overall,
        "pairs": verdict_table(results),
        "ranks": ranking.table if ranking else pd.DataFrame(),
        "rank_pairs": ranking.test.pairs if ranking else pd.DataFrame(),
        "win_tie_loss": ranking.win_tie_loss if ranking else pd.DataFrame(),
        "label_curves": label_errors(results),
        "label_worth": worth_of_labels(results),
        "label_gains": gains_from_labels(results),
        "skill": skill_table(results),
        "skill_over_datasets": skill_over_datasets(results),
        "ablations": part_ablations(results),
        "tuned": tuned_beside_default(results),
        "trace": results.traces,
        "cost": cost_of(results),
        "drifts": around_drifts(results),
        "drift_worth": known.worth,
        "drift_cost": known.costs,
        "drift_recovery": known.recoveries,
        "drift_return": known.returns,
        "drift_regret": known.regrets,
        "by_channel": by_channel(results),
        "by_lead": by_lead(results),
        "training": trainings(results).drop(columns="curve", errors="ignore"),
        "problems": bad_runs(results),
        "diverged": divergence_counts(results.runs),
    }
