"""Error against the share of labels, or their delay, drawn for each family of label regimes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from bench.analysis import fullest
from bench.analysis.label_curves import DELAY, SHARE
from bench.analysis.leaderboard import FROZEN
from bench.report.figures.canvas import Drawing
from bench.report.figures.label_curve import draw_label_curve
from bench.report.figures.palette import Look, looks
from bench.report.view.highlight import MOST_BRIGHT, MOST_SHOWN
from bench.report.view.loaded import Results

LABEL_FIGURES = {SHARE: "labels", DELAY: "delay"}


def label_drawings(
    results: Results, palette: dict[str, str], scenarios: Sequence[str]
) -> Iterator[tuple[str, str, Drawing, str]]:
    """Family, kind, figure and what it shows, of the families whose fullest scenario is one of these."""
    for here in (here for here in results.label_families if fullest(here) in scenarios):
        if shown := _label_looks(results, here, palette):
            kind, family = here["kind"].iloc[0], str(here["family"].iloc[0])
            what = "share of labels" if kind == SHARE else "delay of labels"
            yield family, LABEL_FIGURES[kind], draw_label_curve(here, shown), f"Error by {what} on {family}"


def _label_looks(results: Results, curves: pd.DataFrame, palette: dict[str, str]) -> list[Look]:
    """What takes labels and frozen in colour, the rest in grey; twelve in all."""
    known = curves[np.isfinite(curves["mse"].astype(float))]
    board = results.board_of(fullest(curves))
    board = board[board["entry"].isin(known["entry"])]
    takers = [e for e in board["entry"] if known.loc[known["entry"] == e, "moves"].any()]
    frozen = board.loc[board["strategy"] == FROZEN, "entry"].head(1).tolist()
    bright = dict.fromkeys([*takers[: MOST_BRIGHT - len(frozen)], *frozen])
    kept = list(dict.fromkeys([*bright, *takers, *board["entry"]]))[:MOST_SHOWN]
    return [replace(look, bright=look.entry in bright) for look in looks(board[board["entry"].isin(kept)], palette)]
