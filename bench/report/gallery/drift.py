"""Figures of known drifts: a heat map and recovery curves for each size of drift."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pandas as pd

from bench.report.figures.canvas import Drawing
from bench.report.figures.drift import FEWEST, Aligned, draw_recovery, draw_worth
from bench.report.figures.palette import Look, looks
from bench.report.render.markdown import count
from bench.report.view.drift_measures import curves
from bench.report.view.drift_sets import DriftSet

if TYPE_CHECKING:
    from bench.report.view.loaded import Results

MOST_PANELS = 12
BEFORE = 2
"""Means of which the origins are shown before a change."""


def drift_drawings(results: Results, palette: dict[str, str]) -> Iterator[tuple[str, str, Drawing, str]]:
    """What `bench.report.gallery` draws: title, kind (``worth`` or ``recovery``), drawing, and what it shows."""
    known = results.known_drifts
    for size in known.sizes if known.sets else []:
        shown, title = known.sets_of(size), known.title(size)
        if (drawing := _worth(results, shown, size)) is not None:
            yield title, "worth", drawing, f"What adapting is worth: {title}"
        board = results.overall.assign(rank=results.overall["mean_rank"], seeds=results.overall["scenarios"])
        if (drawing := _recovery(shown, looks(board, palette))) is not None:
            yield title, "recovery", drawing, f"Recovery: {title}"


def _worth(results: Results, shown: list[DriftSet], size: str) -> Drawing | None:
    worth = results.known_drifts.worth
    here = worth[worth["size"].isin(["", size])] if len(worth) else worth
    if here.empty:
        return None
    columns = [s.name for s in shown if s.name in set(here["set"])]
    rows = [entry for entry in results.overall["entry"] if entry in set(here["entry"])]

    def wide(values: pd.Series) -> pd.DataFrame:
        return here.assign(value=values).pivot(index="entry", columns="set", values="value").loc[rows, columns]

    clear = wide(here["verdict"].isin(["lower", "higher"])).eq(other=True)
    against = " or ".join(dict.fromkeys(here["against"]))
    caption = (
        f"Difference in MSE against {against}, %: blue is lower, and better; the strongest colour is four times as low "
        "or as high. Grey numbers: the 95 % interval holds 0."
    )
    return Drawing(draw_worth(wide(here["percent"]), clear).figure, caption)


def _recovery(shown: list[DriftSet], drawn: list[Look]) -> Drawing | None:
    drifting = [s for s in shown if s.regimes]
    panels = [
        Aligned(s.name, found, tuple(row - s.regimes[0][0] for row, _, _ in s.regimes[1:]))
        for s in drifting[:MOST_PANELS]
        if (found := curves(s))
    ]
    if not panels:
        return None
    window = drifting[0].window
    drawing = draw_recovery(panels, drawn, BEFORE * window * drifting[0].stride)
    several = any(curve.shape[1] >= FEWEST for panel in panels for curve in panel.curves.values())
    caption = (
        f"MSE over what can be had (mean over the last {count(window, 'origin')}, none over a change), aligned at the "
        "first row that drifts; dashed: 10 % above it."
    )
    if several:
        caption += " Bands: 95 % intervals of the geometric mean over series, or over seeds where there is one series."
    if len(drifting) > MOST_PANELS:
        caption += f" The first {MOST_PANELS} of {len(drifting)} sets."
    return Drawing(drawing.figure, caption)
