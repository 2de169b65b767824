"""Ablations: each part of a strategy against the strategy that lacks just that part."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.analysis.label_curves import INSTANT
from bench.analysis.leaderboard import FROZEN
from bench.report.blocks import Block, Heading, Table, bullets, escape, paragraphs
from bench.report.figures.canvas import Drawing
from bench.report.figures.memory import draw_memory
from bench.report.figures.palette import looks, palette_of
from bench.report.render.numbers import brief, count, fixed, percent, places, words
from bench.report.section import drawn, register_section
from bench.report.sections.label_curves import label_settings, with_labels
from bench.report.sections.verdict_cells import (
    HEADERS,
    IN_ONE_CELL,
    UNCLEAR,
    short_verdict,
    side_by_side,
    verdict_cells,
)
from bench.report.view.comparisons import part_ablations
from bench.report.view.detail import detail, in_full
from bench.report.view.labels import shown_families
from bench.report.view.loaded import Results

NORM, HALF_LIFE = "memory_norm", "memory_half_life"
ANSWERS = {"better": "helps", "worse": "hurts"} | UNCLEAR
HOW_TO_READ = (
    "Each row compares two strategies that differ in one part, by their skill and its verdict as above: does the "
    "memory help?"
)


@register_section("memory", after="when", on_pages=True, in_html=False)
def memory_ablation(results: Results) -> list[Block]:
    """For each memory a sentence; for each scenario a table, a figure and what was carried; else nothing."""
    found, shown = part_ablations(results), detail(results).shown
    found = found[found["scenario"].isin(shown)] if len(found) else found
    blocks: list[Block] = [*bullets(_answers(results)), *_tables(results, found)]
    for scenario in in_full(results):
        if carried := _carried(results, scenario):
            alt = f"The carried memory over the stream of {scenario}"
            blocks += paragraphs(f"**{escape(scenario)}**: {carried}")
            blocks += drawn(results, "memory", scenario, alt, _memory_figure, results, scenario)
    if not blocks:
        return []
    how = [HOW_TO_READ, IN_ONE_CELL if len(shown) > 1 else "", _unasked(results)] if len(found) else []
    return [Heading("Ablations"), *paragraphs(" ".join(part for part in how if part)), *blocks]


def _answers(results: Results) -> list[str]:
    """For each kind of memory that strategies state, what its ablations came to, and how it fares with few labels."""
    found = part_ablations(results)
    if found.empty:
        return []
    found = found[found["scenario"].isin(detail(results).shown)]
    of = found["strategy"].map(lambda name: results.strategies[name].memory_of)
    return [_answer(results, str(memory), found[of == memory]) for memory in of.unique() if memory]


def _answer(results: Results, memory: str, found: pd.DataFrame) -> str:
    parts = ["significant help: none"] if not (found["verdict"] == "better").any() else []
    for verdict, said in (("better", "help"), ("worse", "harm")):
        clear = [
            f"{escape(row['subject'])} on {escape(row['scenario'])} "
            f"({escape(row['one'])} against {escape(row['other'])}: {percent(row['skill'])} %)"
            for _, row in found[found["verdict"] == verdict].iterrows()
        ]
        parts += [f"significant {said}: {words(clear)}"] if clear else []
    rest = found[~found["verdict"].isin(["better", "worse"])]
    unclear = [
        f"{escape(str(subject))} ({' to '.join(dict.fromkeys([percent(low), percent(high)]))} %)"
        for subject, low, high in rest.groupby("subject", sort=False)["skill"].agg(["min", "max"]).itertuples(name=None)
    ]
    parts += [f"no significant difference: {words(unclear)}"] if unclear else []
    sentences = [f"**Memory of {escape(memory)}**: {'; '.join(parts)}."]
    for here in shown_families(results):
        asks = here["strategy"].map(lambda name: results.strategies[name].memory_of) == memory
        sentences += [with_few_labels(here, rows) for _, rows in here[asks].groupby("entry", sort=False)]
    return " ".join(sentence for sentence in sentences if sentence)


def with_few_labels(here: pd.DataFrame, rows: pd.DataFrame) -> str:
    """MSE of an entry with most and earliest labels, and with fewest or latest; empty where it takes none."""
    rows = rows[(rows["way"] != INSTANT) & np.isfinite(rows["mse"].astype(float))]
    settings = label_settings(here)
    rows = rows.set_index("scenario").reindex([name for name in settings if name in set(rows["scenario"])])
    if len(rows) < 2 or not rows["moves"].any():
        return ""
    decimals = places(rows["mse"])
    errors = [
        f"{fixed(rows['mse'].iloc[i], decimals)} with {with_labels(here, settings[rows.index[i]])}" for i in (0, -1)
    ]
    beside = rows["no_labels"].iloc[-1]
    frozen = f" ({FROZEN}: {fixed(beside, decimals)})" if np.isfinite(beside) else ""
    family, entry = escape(str(here["family"].iloc[0])), escape(str(rows["entry"].iloc[0]))
    return f"{entry} on {family}: MSE {errors[0]}, {errors[1]}{frozen}."


def _tables(results: Results, found: pd.DataFrame) -> list[Table]:
    """A row for each part; of several datasets a column for each."""
    parts = [(row, f"{escape(row['one'])} against {escape(row['other'])}") for _, row in found.iterrows()]
    first = ["Part of the memory", "compared"]
    if len(detail(results).shown) == 1:
        rows = [[escape(row["subject"]), compared, *verdict_cells(row, ANSWERS)] for row, compared in parts]
        return [Table([*first, *HEADERS], rows, text_columns=2)] if rows else []
    columns: dict[str, dict[str, str]] = {}
    for row, compared in parts:
        columns.setdefault(f"{escape(row['scenario'])}, % ↑", {})[compared] = short_verdict(row)
    return side_by_side({compared: [escape(row["subject"]), compared] for row, compared in parts}, columns, first)


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
