"""The leaderboard of every scenario as one table for the page."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bench.report.html.cells import Better, Column, number, numbers, podium, spread_texts
from bench.report.render.numbers import NONE, brief
from bench.report.sections.accuracy import measured_by, skill_cell
from bench.report.sections.audits import marks
from bench.report.sections.verdict_cells import CLEAR, skill_text
from bench.report.view.comparisons import against_best, cost_of
from bench.report.view.loaded import Results

COSTS: tuple[tuple[str, str, str, Better], ...] = (
    ("stream_s_per_1000", "whole stream", "s per 1,000 windows", "lower"),
    ("windows_per_s", "throughput", "windows/s", "higher"),
    ("predict_p50_ms", "predict p50", "ms", "lower"),
    ("predict_p95_ms", "predict p95", "ms", "lower"),
    ("adapt_p50_ms", "adapt p50", "ms", "lower"),
    ("adapt_p95_ms", "adapt p95", "ms", "lower"),
    ("peak_memory_mb", "peak memory", "MB", "lower"),
)
UNITS = {"scaled": "scaled", "original": "original units", "none": ""}
STATUSES = ("failed", "skipped", "diverged")


def board_payload(results: Results) -> dict[str, Any]:
    """What the page's leaderboard is made of.

    Returns:
        ``scenarios, groups`` (names, which rows name by position), ``rows`` (entry, scenario, group, marks and notes
        of each) and ``columns`` (see `Column`). Rows are in the order of the leaderboard.
    """
    board = results.board.reset_index(drop=True)
    groups = sorted(set(board["group"]))
    scenarios = results.scenarios
    rows = [
        {
            "entry": row["entry"],
            "scenario": scenarios.index(row["scenario"]),
            "group": groups.index(row["group"]),
            "marks": [text.replace("*", "") for text in marks(row, has_result=row["seeds"] > 0)],
            "notes": ", ".join(f"{row[status]} {status}" for status in STATUSES if row[status]),
        }
        for _, row in board.iterrows()
    ]
    columns = [*_errors(results, board), *_costs(results, board), *_sample(board)]
    return {"scenarios": scenarios, "groups": groups, "rows": rows, "columns": [column.json for column in columns]}


def _errors(results: Results, board: pd.DataFrame) -> list[Column]:
    rank = [NONE if np.isnan(value) else f"{value:g}" for value in board["rank"]]
    columns = [Column("rank", "rank", "by MSE", "lower", "error", numbers(board["rank"]), rank)]
    for metric in results.metrics:
        if metric.is_shown_first:
            better: Better = "" if metric.better == "neither" else metric.better
            described = metric.name, metric.title, UNITS[metric.unit], better
            columns.append(_ranked(board, board[metric.name], described, spread_texts(board, metric.name)))
    columns += [_skill(board, name) for name in measured_by(board)]
    return [*columns, *_against_best(results, board)]


def _ranked(board: pd.DataFrame, values: pd.Series, head: tuple[str, str, str, Better], texts: list[str]) -> Column:
    key, label, unit, better = head
    family: Any = "cost" if key in {cost[0] for cost in COSTS} else "error"
    best, second = podium(board, values, better) if better else ([], [])
    return Column(key, label, unit, better, family, numbers(values), texts, best, second)


def _skill(board: pd.DataFrame, reference: str) -> Column:
    values = board[f"skill_{reference}"].astype(float)
    texts = [skill_cell(row, reference).removesuffix(" (worse)") for _, row in board.iterrows()]
    return _ranked(board, values, (f"skill_{reference}", f"MSE below {reference}", "%", "higher"), texts)


def _against_best(results: Results, board: pd.DataFrame) -> list[Column]:
    """The skill of the best of each scenario over every other entry, with its interval."""
    pairs = {
        (scenario, pair["other"]): pair
        for scenario in results.scenarios
        for _, pair in against_best(results, scenario).iterrows()
    }
    if not pairs:
        return []
    found = [pairs.get(key) for key in zip(board["scenario"], board["entry"], strict=True)]
    return [
        Column(
            key="against",
            label="the best against it",
            unit="skill, %; 95\N{NO-BREAK SPACE}% interval",
            better="",
            family="error",
            values=[None if pair is None else number(float(pair["skill"])) for pair in found],
            texts=[_pair_text(pair, rank) for pair, rank in zip(found, board["rank"], strict=True)],
            intervals=[None if pair is None else _interval(pair) for pair in found],
        )
    ]


def _interval(pair: pd.Series) -> list[float] | None:
    ends = [number(float(pair[end])) for end in ("low", "high")]
    known = [end for end in ends if isinstance(end, float)]
    return known if len(known) == len(ends) else None


def _pair_text(pair: pd.Series | None, rank: float) -> str:
    if pair is None:
        return "the best" if rank == 1 else NONE
    return f"{skill_text(pair)}, significant" if pair["verdict"] in CLEAR else skill_text(pair)


def _costs(results: Results, board: pd.DataFrame) -> list[Column]:
    keys = ["scenario", "entry"]
    cost = board[keys].merge(cost_of(results), on=keys, how="left").set_axis(board.index)
    known = [head for head in COSTS if cost[head[0]].notna().any()]
    return [_ranked(board, cost[head[0]], head, [brief(value) for value in cost[head[0]]]) for head in known]


def _sample(board: pd.DataFrame) -> list[Column]:
    seeds, windows = board["seeds"], board["windows"]
    return [
        Column("seeds", "seeds", "n", "", "sample", numbers(seeds), [f"{value:,}" for value in seeds]),
        Column("windows", "windows", "n a seed", "", "sample", numbers(windows), [f"{value:,}" for value in windows]),
    ]
