"""Where the error sits: by lead and by channel."""

from __future__ import annotations

import pandas as pd

from bench.analysis.leaderboard import PERSISTENCE
from bench.report.blocks import Block, Bullets, Heading, Paragraph, escape
from bench.report.figures.canvas import Drawing
from bench.report.figures.lead import draw_leads
from bench.report.figures.palette import looks_of
from bench.report.render.numbers import count, fixed, words
from bench.report.section import drawn, register_section
from bench.report.view.detail import in_full
from bench.report.view.error_parts import by_channel, by_lead
from bench.report.view.loaded import Results

MOST_CHANNELS = 3
NOTE = "MSE is scaled, mean over windows and seeds. Every number is in tables/by_lead.csv and tables/by_channel.csv."


@register_section("parts", after="strategies", on_pages=True, in_html=False)
def parts(results: Results) -> list[Block]:
    """For each scenario a sentence on its channels and a figure of error by lead, where there are several."""
    lines = [line for scenario in in_full(results) if (line := _channels(results, scenario))]
    figures: list[Block] = []
    for scenario in in_full(results):
        figures += drawn(results, "lead", scenario, f"Error by lead on {scenario}", _figure, results, scenario)
    blocks = [*([Bullets(lines)] if lines else []), *figures]
    return [Heading("Where the error is"), Paragraph(NOTE), *blocks] if blocks else []


def _figure(results: Results, scenario: str) -> Drawing | None:
    shown, here = looks_of(results, scenario), by_lead(results)[by_lead(results)["scenario"] == scenario]
    return draw_leads(here, shown) if shown and here["lead"].nunique() > 1 else None


def _channels(results: Results, scenario: str) -> str:
    """Which channels carry the error of the best, and on how many each is better than persistence."""
    here = by_channel(results)[by_channel(results)["scenario"] == scenario]
    board = results.board_of(scenario)
    ranked = [entry for entry in board.loc[board["rank"].notna(), "entry"] if entry in set(here["entry"])]
    if here["channel"].nunique() < 2 or not ranked:
        return ""
    best = here[here["entry"] == ranked[0]].sort_values("share", ascending=False, kind="stable")
    largest = [f"{escape(c)} {fixed(s, 1)} %" for c, s in zip(best["channel"], best["share"], strict=True)]
    text = f"**{escape(scenario)}**: of {count(len(best), 'channel')}, the most of {escape(ranked[0])}'s MSE is of "
    text += f"{words(largest[:MOST_CHANNELS])}."
    return f"{text} {_wins(board, here, ranked)}".rstrip()


def _wins(board: pd.DataFrame, here: pd.DataFrame, ranked: list[str]) -> str:
    persistence = [entry for entry in board.loc[board["strategy"] == PERSISTENCE, "entry"] if entry in ranked]
    if not persistence or len(ranked) < 2:
        return ""
    mse = here.pivot(index="channel", columns="entry", values="mse")
    wins = mse[ranked].lt(mse[persistence[0]], axis=0).sum().drop(persistence[0])
    if (wins == len(mse)).all():
        return "Every other entry is better than persistence on all of them."
    few = [f"{escape(entry)} on {number}" for entry, number in wins.items() if number < len(mse)]
    return f"Better than persistence on all of them, but for {words(few)}."
