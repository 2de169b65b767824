"""Where the error sits: by lead and by channel."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.analysis.leaderboard import FROZEN, PERSISTENCE
from bench.report.blocks import Block, Heading, Paragraph, Table, escape, paragraphs
from bench.report.figures.canvas import Drawing
from bench.report.figures.lead import draw_leads
from bench.report.figures.palette import looks_of
from bench.report.render.numbers import count, fixed, places, words
from bench.report.section import drawn, register_section
from bench.report.sections.audits import entry_names
from bench.report.view.detail import detail
from bench.report.view.error_parts import by_channel, by_lead
from bench.report.view.highlight import shown_entries
from bench.report.view.loaded import Results

MOST_CHANNELS = 5


@register_section("leads", after="datasets", on_pages=True, in_html=False)
def leads(results: Results) -> list[Block]:
    """Error by lead, where there is more than one."""
    blocks: list[Block] = []
    for scenario in detail(results).shown:
        here = by_lead(results)[by_lead(results)["scenario"] == scenario]
        wide = here.pivot(index="entry", columns="lead", values="mse")
        if wide.shape[1] < 2:
            continue
        wide = wide.reindex(shown_entries(results.board_of(scenario)))
        horizon = int(max(wide.columns))
        chosen = sorted({1, max(1, horizon // 4), max(1, horizon // 2), horizon})
        decimals = places(wide[chosen].to_numpy().ravel())
        names = entry_names(results)
        rows = [[names[str(e)], *(fixed(v, decimals) for v in values)] for e, values in wide[chosen].iterrows()]
        blocks.append(Heading(f"Leads of {escape(scenario)}", 3))
        blocks += drawn(results, "lead", scenario, f"Error by lead on {scenario}", _figure, results, scenario)
        blocks.append(Table(["Strategy", *(f"lead {lead} ↓" for lead in chosen)], rows))
    if not blocks:
        return []
    note = "Scaled MSE of some leads, mean over windows, channels and seeds; every lead is in tables/by_lead.csv."
    return [Heading("By lead"), Paragraph(note), *blocks]


def _figure(results: Results, scenario: str) -> Drawing | None:
    shown = looks_of(results, scenario)
    return draw_leads(by_lead(results)[by_lead(results)["scenario"] == scenario], shown) if shown else None


@register_section("channels", after="leads", on_pages=True, in_html=False)
def channels(results: Results) -> list[Block]:
    """Which channels carry the error, where there is more than one."""
    blocks: list[Block] = []
    for scenario in detail(results).shown:
        here = by_channel(results)[by_channel(results)["scenario"] == scenario]
        if here["channel"].nunique() > 1:
            blocks += [Heading(f"Channels of {escape(scenario)}", 3), *_one(results, scenario, here)]
    if not blocks:
        return []
    note = (
        "Share is a channel's part of the strategy's pooled MSE, in %: one channel can carry a mean. MSE is scaled, "
        "mean over windows, leads and seeds; every channel and strategy is in tables/by_channel.csv."
    )
    return [Heading("By channel"), Paragraph(note), *blocks]


def _one(results: Results, scenario: str, here: pd.DataFrame) -> list[Block]:
    share = here.pivot(index="channel", columns="entry", values="share")
    mse = here.pivot(index="channel", columns="entry", values="mse")
    board = results.board_of(scenario)
    ranked = board[board["rank"].notna() & np.isfinite(board["mse"])]
    entries = ranked["entry"].tolist()
    if not entries:
        return []
    baselines = [ranked.loc[ranked["strategy"] == name, "entry"].head(1).tolist() for name in (PERSISTENCE, FROZEN)]
    shown = list(dict.fromkeys([entries[0], *(entry for found in baselines for entry in found)]))
    worst = share[shown].mean(axis=1).sort_values(ascending=False, kind="stable").index[:MOST_CHANNELS]
    decimals = places(mse.loc[worst, shown].to_numpy().ravel())
    headers = ["Channel", *(f"share, {escape(e)}" for e in shown), *(f"MSE ↓, {escape(e)}" for e in shown)]
    rows = []
    for channel in worst:
        cells = [fixed(value, 1) for value in share.loc[channel, shown]]
        cells += [fixed(value, decimals) for value in mse.loc[channel, shown]]
        rows.append([escape(channel), *cells, escape(mse.loc[channel, entries].idxmin())])
    blocks: list[Block] = [Table([*headers, "lowest MSE"], rows)]
    if len(share) > MOST_CHANNELS:
        text = f"The {MOST_CHANNELS} of {count(len(share), 'channel')} with the largest share."
        blocks.append(Paragraph(text))
    if baselines[0]:
        persistence = baselines[0][0]
        wins = (mse[entries].lt(mse[persistence], axis=0)).sum()
        counted = [f"{escape(entry)} {wins[entry]}" for entry in entries if entry != persistence]
        text = f"Channels, of {len(mse)}, with a lower MSE than persistence: {words(counted)}."
        blocks += paragraphs(text if counted else "")
    return blocks
