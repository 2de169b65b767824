"""Ablations: each part of a strategy against the strategy that lacks just that part."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.report.blocks import Block, Heading, Table, escape, paragraphs
from bench.report.figures.canvas import Drawing
from bench.report.figures.memory import draw_memory
from bench.report.figures.palette import looks, palette_of
from bench.report.render.numbers import brief, count, words
from bench.report.section import drawn, register_section
from bench.report.sections.verdict_cells import (
    HEADERS,
    UNCLEAR,
    verdict_cells,
)
from bench.report.view.comparisons import part_ablations
from bench.report.view.detail import detail
from bench.report.view.loaded import Results

NORM, HALF_LIFE = "memory_norm", "memory_half_life"
ANSWERS = {"better": "helps", "worse": "hurts"} | UNCLEAR
HOW_TO_READ = "Each row compares two strategies that differ in one part, by their skill and its verdict as above."


@register_section("memory", after="when", on_pages=True, in_html=False)
def memory_ablation(results: Results) -> list[Block]:
    """For each scenario a sentence, a table, a figure and what was carried; nothing without such strategies."""
    blocks: list[Block] = []
    for scenario in detail(results).shown:
        here = part_ablations(results)
        here = here[here["scenario"] == scenario] if len(here) else here
        carried = _carried(results, scenario)
        if here.empty and not carried:
            continue
        blocks.append(Heading(f"Parts on {escape(scenario)}", 3))
        if len(here):
            blocks.append(_table(here))
        alt = f"The carried memory over the stream of {scenario}"
        blocks += paragraphs(carried)
        blocks += drawn(results, "memory", scenario, alt, _memory_figure, results, scenario)
    how = f"{HOW_TO_READ} {_unasked(results)}".rstrip() if len(part_ablations(results)) else ""
    return [Heading("Ablations"), *paragraphs(how), *blocks] if blocks else []


def _table(here: pd.DataFrame) -> Table:
    rows = [
        [
            escape(row["subject"]),
            f"{escape(row['one'])} against {escape(row['other'])}",
            *verdict_cells(row, ANSWERS),
        ]
        for _, row in here.iterrows()
    ]
    return Table(["Part of the memory", "compared", *HEADERS], rows, text_columns=2)


def _unasked(results: Results) -> str:
    """Which questions have no answer on any dataset, for want of what to compare with."""
    asked = set(part_ablations(results)["subject"])
    missing = [f"{q.subject} ({q.one} against {q.other})" for q in results.questions if q.subject not in asked]
    return f"Not compared, because one of the two has no result here: {escape(words(missing))}." if missing else ""


def _carried(results: Results, scenario: str) -> str:
    """How long the carried memory lasts and how large it gets, in a line."""
    trace = results.traces[results.traces["scenario"] == scenario]
    trace = trace[trace["name"].isin([HALF_LIFE, NORM])]
    lines = []
    season = results.first(scenario).dataset.season
    lives = trace[trace["name"] == HALF_LIFE].groupby("entry", sort=True)["value"].median()
    if len(lives):
        note = f"; in brackets in seasons of {season:,} rows" if season else ""
        named = [f"{escape(entry)} {brief(rows)} rows{_seasons(rows, season)}" for entry, rows in lives.items()]
        lines.append(f"Half-life of the carried memory (median{note}): {', '.join(named)}.")
    norms = trace[trace["name"] == NORM].groupby("entry", sort=True)["value"]
    if norms.ngroups:
        named = [f"{escape(entry)} {_range(values)}" for entry, values in norms]
        lines.append(f"Norm over that of the learned initial memory (lowest to highest): {', '.join(named)}.")
    if not lines:
        return ""
    n = trace["origin"].nunique()
    return f"{' '.join(lines)} Measured {count(n, 'time')} over the stream; median over seeds."


def _range(values: pd.Series) -> str:
    low, high = brief(values.min()), brief(values.max())
    return low if low == high else f"{low} to {high}"


def _seasons(rows: float, season: int | None) -> str:
    return f" ({brief(rows / season)})" if season and np.isfinite(rows) else ""


def _memory_figure(results: Results, scenario: str) -> Drawing | None:
    season = results.first(scenario).dataset.season
    known = [(NORM, "norm ÷ initial", 1.0), (HALF_LIFE, "half-life, rows", season)]
    trace = results.traces[results.traces["scenario"] == scenario]
    trace = trace[trace["name"].isin([name for name, _, _ in known])]
    if trace["origin"].nunique() < 2:
        return None
    panels = [panel for panel in known if np.isfinite(trace.loc[trace["name"] == panel[0], "value"]).any()]
    if not panels:
        return None
    board = results.board_of(scenario)
    shown = looks(board[board["entry"].isin(trace["entry"])], palette_of(results))
    drawing = draw_memory(trace, panels, results.times[scenario], results.events_of(scenario), shown)
    caption = "Above: norm of the carried weights over that of the learned initial memory; "
    caption += "below: rows after which half of what was written is gone; median over seeds."
    if len(panels) == 1:
        only = "Norm of the carried weights over that of the learned initial memory"
        only = only if panels[0][0] == NORM else "Rows after which half of what was written is gone"
        caption = f"{only}; median over seeds."
    if season and panels[-1][0] == HALF_LIFE:
        caption += f" Dashed: a season, {season:,} rows."
    lives = trace[trace["name"] == HALF_LIFE].groupby("entry")["value"]
    if len(panels) > 1 and lives.agg(lambda values: 0 < np.isinf(values).mean() < 1).any():
        caption += " Where a line is broken, nothing was being forgotten."
    return Drawing(drawing.figure, f"{caption} {drawing.caption}".rstrip())
