"""Where the error sits: by lead and by channel."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.analysis.leaderboard import FROZEN, PERSISTENCE
from bench.report.gallery import Gallery
from bench.report.gallery.links import picture
from bench.report.render.markdown import count, escape, table, words
from bench.report.render.numbers import fixed, places
from bench.report.view.highlight import shown_entries
from bench.report.view.loaded import Results

MOST_CHANNELS = 5


def leads(results: Results, gallery: Gallery) -> list[str]:
    """Blocks: error by lead, where there is more than one."""
    blocks = []
    for scenario in results.focus.shown:
        here = results.by_lead[results.by_lead["scenario"] == scenario]
        wide = here.pivot(index="entry", columns="lead", values="mse")
        if wide.shape[1] < 2:
            continue
        wide = wide.reindex(shown_entries(results.board_of(scenario)))
        horizon = int(max(wide.columns))
        chosen = sorted({1, max(1, horizon // 4), max(1, horizon // 2), horizon})
        decimals = places(wide[chosen].to_numpy().ravel())
        rows = [[results.names[str(e)], *(fixed(v, decimals) for v in values)] for e, values in wide[chosen].iterrows()]
        blocks += [f"### Leads of {escape(scenario)}", *picture(gallery, scenario, "lead")]
        blocks.append(table(["Strategy", *(f"lead {lead} ↓" for lead in chosen)], rows))
    if not blocks:
        return []
    note = "Scaled MSE of some leads, mean over windows, channels and seeds; every lead is in tables/by_lead.csv."
    return ["## By lead", note, *blocks]


def channels(results: Results) -> list[str]:
    """Blocks: which channels carry the error, where there is more than one."""
    blocks = []
    for scenario in results.focus.shown:
        here = results.by_channel[results.by_channel["scenario"] == scenario]
        if here["channel"].nunique() > 1:
            blocks += [f"### Channels of {escape(scenario)}", *_one(results, scenario, here)]
    if not blocks:
        return []
    note = (
        "Share is a channel's part of the strategy's pooled MSE, in %: one channel can carry a mean. MSE is scaled, "
        "mean over windows, leads and seeds; every channel and strategy is in tables/by_channel.csv."
    )
    return ["## By channel", note, *blocks]


def _one(results: Results, scenario: str, here: pd.DataFrame) -> list[str]:
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
    headers = [
        "Channel",
        *(f"share, {escape(entry)}" for entry in shown),
        *(f"MSE ↓, {escape(entry)}" for entry in shown),
    ]
    rows = []
    for channel in worst:
        cells = [fixed(value, 1) for value in share.loc[channel, shown]]
        cells += [fixed(value, decimals) for value in mse.loc[channel, shown]]
        rows.append([escape(channel), *cells, escape(mse.loc[channel, entries].idxmin())])
    blocks = [table([*headers, "lowest MSE"], rows)]
    if len(share) > MOST_CHANNELS:
        blocks.append(f"The {MOST_CHANNELS} of {count(len(share), 'channel')} with the largest share.")
    if baselines[0]:
        persistence = baselines[0][0]
        wins = (mse[entries].lt(mse[persistence], axis=0)).sum()
        counted = [f"{escape(entry)} {wins[entry]}" for entry in entries if entry != persistence]
        blocks.append(
            f"Channels, of {len(mse)}, with a lower MSE than persistence: {words(counted)}." if counted else ""
        )
    return [block for block in blocks if block]
