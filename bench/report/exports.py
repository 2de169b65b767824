"""Every table in full, as CSV."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from pandas.api.types import is_datetime64_any_dtype, is_numeric_dtype

from bench.analysis import divergence_counts
from bench.report.problems import bad_runs
from bench.report.results import Results
from bench.text import in_cell


def write_tables(results: Results, folder: Path) -> None:
    """Write every table that has rows.

    They are ``runs``, ``leaderboard``, ``overall``, ``pairs``, ``against_best``, ``ranks``, ``rank_pairs``, ``duels``,
    ``ratios``, ``label_curves``, ``label_worth``, ``label_gains``, ``pays``, ``contrasts``, ``trace``, ``cost``,
    ``recovery``, ``by_channel``, ``by_lead``, ``problems``, ``diverged``; and of drifts whose truth is known
    ``drift_worth``, ``drift_cost``, ``drift_recovery``, ``drift_return``, ``drift_regret``.

    Numbers have eight digits, so that the same records give the same bytes.
    """
    write_frames(_frames(results), folder)


def write_frames(frames: dict[str, pd.DataFrame], folder: Path) -> None:
    """Write frames as CSV by name; the folder is made, and one without rows is left out."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in frames.items():
        if len(frame):
            write_frame(frame, folder / f"{name}.csv")


def write_frame(frame: pd.DataFrame, file: Path) -> None:
    """Write a frame as CSV, numbers with eight digits."""
    file.write_text(csv_text(frame, "%.8g"), encoding="utf-8", newline="\n")


def csv_text(frame: pd.DataFrame, float_format: str | None = None) -> str:
    """A frame as CSV; text in it is text, for a spreadsheet too."""
    told = frame.copy(deep=False)
    for name in frame.columns:
        if not (is_numeric_dtype(frame[name]) or is_datetime64_any_dtype(frame[name])):
            told[name] = frame[name].map(_cell)
    return told.rename(columns=in_cell).to_csv(index=False, float_format=float_format, lineterminator="\n")


def _cell(value: object) -> object:
    return in_cell(value) if isinstance(value, str) else value


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
        "duels": ranking.duels if ranking else pd.DataFrame(),
        "ratios": results.ratios,
        "label_curves": results.label_curves,
        "label_worth": results.label_worth,
        "label_gains": results.label_gains,
        "pays": results.pays,
        "contrasts": results.contrasts,
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
