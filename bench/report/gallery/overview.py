"""Every strategy on every dataset in one figure, where there are very many of these."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from bench.analysis.leaderboard import FROZEN, PERSISTENCE
from bench.report.figures.canvas import Drawing
from bench.report.figures.overview import draw_overview
from bench.report.render.markdown import count
from bench.report.view.loaded import Results

OVERVIEW = "datasets", "overview"
MOST_ROWS = 24


def overview_drawings(results: Results, palette: dict[str, str]) -> Iterator[tuple[str, str, Drawing, str]]:
    """Key, kind, figure and what it shows; nothing where every dataset has its own, or no ratio is defined."""
    if not results.elsewhere:
        return
    mse = results.board.pivot(index="scenario", columns="entry", values="mse").loc[results.in_detail]
    ranked = results.overall[results.overall["mean_rank"].notna()]
    for name in (FROZEN, PERSISTENCE):
        reference = ranked.loc[ranked["strategy"] == name, "entry"].head(1).tolist()
        if reference:
            break
    else:
        return
    ratios = mse.div(mse[reference[0]], axis=0)
    ratios = ratios.where(np.isfinite(ratios) & (ratios > 0))
    shown = ranked.head(MOST_ROWS)
    if ratios[shown["entry"]].isna().all(axis=None):
        return
    tints = {entry: palette[strategy] for entry, strategy in zip(shown["entry"], shown["strategy"], strict=True)}
    drawing = draw_overview(ratios[list(tints)], tints, reference[0])
    caption = f"A dot is a dataset: MSE ÷ {reference[0]}'s, mean over seeds, under 1 is better; stroke: median. "
    caption += "Best average rank first."
    if exact := int((mse[reference[0]] == 0).sum()):
        caption += f" Without {count(exact, 'dataset')} on which {reference[0]} has no error: the ratio is undefined."
    if len(ranked) > MOST_ROWS:
        caption += f" The best {MOST_ROWS} of {len(ranked)}."
    key, kind = OVERVIEW
    yield key, kind, Drawing(drawing.figure, f"{caption} {drawing.caption}".rstrip()), "Error on every dataset"
