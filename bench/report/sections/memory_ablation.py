"""Does the memory help? Each part of it against the strategy that lacks just that part."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.analysis import MEMORY_QUESTIONS
from bench.report.gallery import Gallery
from bench.report.gallery.links import picture
from bench.report.render.markdown import count, escape, table, words
from bench.report.render.numbers import brief, percent, places
from bench.report.sections.differences import (
    CLEAR,
    EACH_FOR_ITSELF,
    PERCENT,
    answer_cell,
    difference_cells,
    origins_cell,
)
from bench.report.view.loaded import Results

NORM, HALF_LIFE = "memory_norm", "memory_half_life"
ANSWERS = {
    "lower": "helps",
    "higher": "hurts",
    "no clear difference": "no clear difference",
    "unknown": "too few forecasts to tell",
}
HOW_TO_READ = (
    "Each row compares two strategies that differ in one thing, on the same forecasts: MSE of the first less MSE of "
    "the second, scaled, paired by origin and seed and averaged over both; below 0 the first is better. In brackets "
    "is the 95 % interval, from streams resampled in blocks of neighbouring origins (as long as the differences depend "
    "on each other, and no shorter than forecasts overlap) and, where there are several, from resampled seeds. Where "
    f"it holds 0 there is no clear difference. {PERCENT} {EACH_FOR_ITSELF}"
)


def memory_ablation(results: Results, gallery: Gallery) -> list[str]:
    """Blocks: for each scenario a sentence, a table, a figure and what was carried; nothing without such strategies."""
    blocks = []
    for scenario in results.focus.shown:
        here = results.ablations
        here = here[here["scenario"] == scenario] if len(here) else here
        carried = _carried(results, scenario)
        if here.empty and not carried:
            continue
        blocks.append(f"### Memory on {escape(scenario)}")
        if len(here):
            blocks += [_answer(here), _table(here), *picture(gallery, scenario, "contrast")]
        blocks += [*_unasked(here), *carried, *picture(gallery, scenario, "memory")]
    return ["## Does the memory help?", HOW_TO_READ, *blocks] if blocks else []


def _answer(here: pd.DataFrame) -> str:
    """The sentence: what helps, what hurts, and what cannot be told; each question by the first pair that asks it."""
    first = here.drop_duplicates("subject")
    parts = []
    for verdict in ANSWERS:
        found = first[first["verdict"] == verdict]
        if found.empty:
            continue
        if verdict not in CLEAR:
            parts.append(f"{ANSWERS[verdict]}: {words(found['subject'].tolist())}")
            continue
        named = [f"{s} (MSE {percent(p)} %)" for s, p in zip(found["subject"], found["percent"], strict=True)]
        verb = ANSWERS[verdict] if len(named) == 1 else ANSWERS[verdict].removesuffix("s")
        parts.append(f"{words(named)} **{verb}**")
    text = "; ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def _table(here: pd.DataFrame) -> str:
    decimals = places(here[["difference", "low", "high"]].to_numpy().ravel(), 3)
    rows = []
    for _, row in here.iterrows():
        rows.append(
            [
                escape(row["subject"]),
                f"{escape(row['one'])} against {escape(row['other'])}",
                *difference_cells(row, decimals),
                answer_cell(row, ANSWERS),
                origins_cell(row),
                str(row["seeds"]),
            ]
        )
    headers = ["Does it help:", "compared", "MSE difference ↓", "in %", "answer", "origins", "seeds"]
    return table(headers, rows, text_columns=2)


def _unasked(here: pd.DataFrame) -> list[str]:
    """Which questions have no answer, for want of what to compare with."""
    asked = set(here["subject"]) if len(here) else set()
    missing = [q for q in MEMORY_QUESTIONS if q.subject not in asked]
    if not missing:
        return []
    named = [f"{q.subject} ({q.one} against {q.other})" for q in missing]
    return [f"Not told here, as one of the two did not run, or not with the same seeds: {words(named)}."]


def _carried(results: Results, scenario: str) -> list[str]:
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
        return []
    n = trace["origin"].nunique()
    return [f"{' '.join(lines)} Measured {count(n, 'time')} over the stream; median over seeds."]


def _range(values: pd.Series) -> str:
    low, high = brief(values.min()), brief(values.max())
    return low if low == high else f"{low} to {high}"


def _seasons(rows: float, season: int | None) -> str:
    return f" ({brief(rows / season)})" if season and np.isfinite(rows) else ""
