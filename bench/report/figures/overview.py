"""Ratios of errors on very many datasets, a row for each entry."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from bench.report.figures.canvas import WIDE, Drawing, label_margin, log_axis, new_figure, short_name
from bench.report.figures.palette import FAINT, INK, MUTED

ROW, HEAD, FOOT = 0.2, 0.08, 0.42  # inches
EDGE = 1.06  # room beside the outermost dots, as a factor
FEW_TICKS = 5.0  # ratio of the ends of an axis
TAIL = 0.5  # percent of the dots at either end that may lie beyond the axis


def draw_overview(ratios: pd.DataFrame, tints: Mapping[str, str], reference: str) -> Drawing:
    """A dot for each dataset, on a logarithmic axis, and a stroke at their median.

    Args:
        ratios: ``(datasets, entries)``, above 0; NaN where there is no result.
        tints: Colour of each entry, first row first.
        reference: The entry that ratios are to.
    """
    names = list(tints)
    left = label_margin(names)
    height = HEAD + ROW * len(names) + FOOT
    figure = new_figure(WIDE, height)
    axes = figure.add_axes((left / WIDE, FOOT / height, (WIDE - left - 0.15) / WIDE, ROW * len(names) / height))
    known = ratios.to_numpy(dtype=float)
    known = known[np.isfinite(known)]
    low, high = np.percentile(known, [TAIL, 100 - TAIL])
    low, high = min(low, 1.0) / EDGE, max(high, 1.0) * EDGE
    for i, name in enumerate(names):
        values = ratios[name].dropna().to_numpy(dtype=float)
        axes.plot(values, np.full(len(values), i), "o", ms=3.2, mew=0, alpha=0.45, color=tints[name], label=name)
        if len(values):
            axes.plot([np.median(values)] * 2, [i - 0.32, i + 0.32], color=INK, lw=1.1, zorder=3)
    axes.axvline(1.0, color=MUTED, lw=0.7, zorder=0.5)
    axes.set_xlim(low, high)
    if high / low > FEW_TICKS:
        log_axis(axes, "x")
    else:  # powers of ten and their halves and fifths would be too few
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(FixedLocator(list(MaxNLocator(7).tick_values(low, high))))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}"))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlim(low, high)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_yticks(range(len(names)), [short_name(name) for name in names])
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", color=FAINT, lw=0.4, alpha=0.7)
    axes.set_axisbelow(True)
    axes.set_xlabel(f"MSE ÷ {short_name(reference)}'s")
    outside = int(((known < low) | (known > high)).sum())
    return Drawing(figure, f"{outside} of {len(known):,} dots lie beyond the axis." if outside else "")
