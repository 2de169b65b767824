"""Error by lead: how it grows with the distance forecast."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.ticker import MaxNLocator

from bench.report.figures.canvas import Drawing, label_line_ends, label_margin, light_grid, log_axis, new_figure
from bench.report.figures.palette import Look

LOG_FROM = 20.0


def draw_leads(by_lead: pd.DataFrame, looks: Sequence[Look]) -> Drawing:
    """A line for each entry.

    Args:
        by_lead: Columns ``entry, lead, mse`` of one scenario.
        looks: What is drawn.
    """
    table = by_lead.pivot(index="lead", columns="entry", values="mse")
    shown = [look for look in looks if look.entry in table]
    width = 5.6
    figure = new_figure(width, 2.7)
    right = 1 - label_margin([look.entry for look in shown]) / width
    axes = figure.add_axes((0.1, 0.155, right - 0.1, 0.82))
    leads = table.index.to_numpy(dtype=float)
    for look in shown:
        axes.plot(
            leads, table[look.entry].to_numpy(dtype=float), marker="o" if len(leads) <= 12 else "", ms=2.5, **look.line
        )
    values = table[[look.entry for look in shown]].to_numpy(dtype=float).ravel()
    values = values[np.isfinite(values)]
    if len(values) and values.min() > 0 and values.max() / values.min() > LOG_FROM:
        log_axis(axes, "y")
    else:
        axes.set_ylim(bottom=0)
    axes.set_xlim(leads[0] - 0.01 * len(leads), leads[-1])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("lead, rows")
    axes.set_ylabel("MSE, scaled")
    light_grid(axes)
    label_line_ends(axes, [(look.entry, float(table[look.entry].iloc[-1]), look.name_colour) for look in shown])
    return Drawing(figure, "")
