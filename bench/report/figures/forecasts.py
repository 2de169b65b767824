"""Forecasts against the truth around a drift."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.ticker import NullLocator

from bench.report.figures.canvas import (
    WIDE,
    Drawing,
    as_numbers,
    draw_events,
    light_grid,
    new_figure,
    plan_events,
    short_name,
    time_axis,
)
from bench.report.figures.palette import Look

LEFT, PANEL, FOOT = 0.6, 0.82, 0.42  # inches
NAME = 12.0  # points that a panel's name takes above it
TRUTH = "#c4c4c4"


def draw_forecasts(
    lines: dict[str, pd.DataFrame], events: Sequence[tuple[int, str]], looks: Sequence[Look], unit: str
) -> Drawing:
    """A panel for each entry, one below the other: the truth in grey, the forecast in the entry's colour."""
    shown = [look for look in looks if look.entry in lines]
    across = WIDE - LEFT - 0.1
    first = lines[shown[0].entry]
    rows = first["row"].to_numpy(dtype=float)
    ends = (rows[0], rows[-1])
    inside = [((row - ends[0]) / (ends[1] - ends[0]), name) for row, name in events if ends[0] <= row <= ends[1]]
    labels = plan_events(inside, across, across + 0.1)
    height = labels.height + PANEL * len(shown) + FOOT
    figure = new_figure(WIDE, height)
    limits = _limits([lines[look.entry] for look in shown])
    for i, look in enumerate(shown):
        base = FOOT + PANEL * (len(shown) - 1 - i)
        axes = figure.add_axes((LEFT / WIDE, base / height, across / WIDE, (PANEL - 0.2) / height))
        line = lines[look.entry]
        stamps = line["time"].to_numpy()
        x = as_numbers(stamps)
        axes.plot(x, line["truth"], color=TRUTH, lw=2.0, label="truth", zorder=2)
        axes.plot(x, line["forecast"], color=look.colour, lw=0.9, label=look.entry, zorder=3)
        axes.set_xlim(x[0], x[-1])
        axes.set_ylim(*limits)
        if i == len(shown) - 1:
            time_axis(axes, stamps)
        else:
            axes.xaxis.set_major_locator(NullLocator())
        light_grid(axes)
        axes.locator_params(axis="y", nbins=3)
        axes.text(0.0, 1.04, short_name(look.entry, 60), transform=axes.transAxes, color=look.colour, weight="bold")
        draw_events(axes, labels, named=i == 0, lift=NAME)
    figure.text(0.012, 0.5, unit, rotation=90, va="center", ha="center")
    return Drawing(figure, labels.key)


def _limits(lines: Sequence[pd.DataFrame]) -> tuple[float, float]:
    """One y range for all panels: the truth and half as much again for forecasts that leave it."""
    truth = np.concatenate([line["truth"].to_numpy(dtype=float) for line in lines])
    values = np.concatenate([truth, *(line["forecast"].to_numpy(dtype=float) for line in lines)])
    values = values[np.isfinite(values)]
    low, high = np.nanmin(truth), np.nanmax(truth)
    room = 0.5 * (high - low) or 1.0
    low, high = max(values.min(), low - room), min(values.max(), high + room)
    edge = 0.05 * (high - low) or 1.0
    return float(low - edge), float(high + edge)
