"""Known drifts: what adapting is worth for each kind, and how errors come down again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from bench.analysis import RECOVERED, mean_interval, thin
from bench.report.figures.canvas import CHARACTER, WIDE, Drawing, light_grid, log_axis, new_figure, short_name
from bench.report.figures.palette import FAINT, INK, MUTED, Look
from bench.report.render.numbers import fixed

CELL, TALL, HEAD = 0.56, 0.3, 1.0  # inches
COLOURS = "RdBu_r"
FOLD = 4.0
"""An error so many times as large, or as small, has the strongest colour."""
LONGEST = 24
ACROSS, LEFT, PANEL, GAP, FOOT, TITLE = 3, 0.5, 1.25, 0.24, 0.42, 0.2  # inches, but for panels side by side
POINTS = 200
FEWEST = 3
"""Repetitions from which an interval is drawn."""


def draw_worth(percent: pd.DataFrame, clear: pd.DataFrame) -> Drawing:
    """A cell for each entry and drift set: its error against the frozen forecaster's.

    Args:
        percent: ``(entries, sets)``: difference in MSE, percent; NaN where there is none.
        clear: Likewise: whether the interval is without 0; what is not is printed in grey.
    """
    left = 0.2 + 1.1 * CHARACTER * max(len(short_name(name, LONGEST)) for name in percent.index)
    width = left + CELL * percent.shape[1] + 0.75
    height = HEAD + TALL * len(percent) + 0.08
    figure = new_figure(width, height)
    box = (left / width, 0.08 / height, CELL * percent.shape[1] / width, TALL * len(percent) / height)
    axes = figure.add_axes(box)
    values = percent.to_numpy(dtype=float)
    folds = np.log(np.maximum(1 + values / 100, 1e-9)) / np.log(FOLD)
    norm = Normalize(-1, 1, clip=True)
    axes.imshow(
        np.ma.masked_invalid(folds), cmap=mpl.colormaps[COLOURS].with_extremes(bad="#f2f2f2"), norm=norm, aspect="auto"
    )
    for (i, j), value in np.ndenumerate(values):
        sure = bool(clear.iat[i, j])
        ink = ("white" if abs(folds[i, j]) > 0.7 else INK) if sure else MUTED
        rounded = round(value) + 0.0 if np.isfinite(value) else value  # no negative zero
        text = "" if np.isnan(value) else fixed(rounded, 0) if rounded <= 0 else f"+{fixed(rounded, 0)}"
        axes.text(j, i, text, ha="center", va="center_baseline", size=7.5, color=ink)
    axes.set_yticks(range(len(percent)), [short_name(name, LONGEST) for name in percent.index])
    axes.set_xticks(range(percent.shape[1]), [short_name(name, LONGEST) for name in percent.columns])
    axes.tick_params(length=0, top=False, labeltop=True, bottom=False, labelbottom=False, pad=2)
    for label in axes.get_xticklabels():
        label.set(rotation=35, ha="left", rotation_mode="anchor")
    axes.spines[:].set_visible(False)
    return Drawing(figure, "")


@dataclass(frozen=True)
class Aligned:
    """One panel of the recovery figure.

    Attributes:
        title: The drift set.
        curves: For each entry, index rows since the change, a column for each repetition.
        switches: Rows since the change at which there are others.
    """

    title: str
    curves: dict[str, pd.DataFrame]
    switches: tuple[int, ...]


def draw_recovery(panels: Sequence[Aligned], looks: Sequence[Look], before: int) -> Drawing:
    """A panel for each drift set: errors over what can be had, aligned at the change; geometric means, intervals."""
    across = min(ACROSS, len(panels))
    down = -(-len(panels) // across)
    shown = [look for look in looks if any(look.entry in panel.curves for panel in panels)]
    rows_of_names = _rows_of_names(shown)
    legend = 0.18 * len(rows_of_names) + 0.06
    height = legend + down * (TITLE + PANEL) + (down - 1) * GAP + FOOT
    panel_width = (WIDE - LEFT - 0.1 - GAP * (across - 1)) / across
    figure = new_figure(WIDE, height)
    low, high = _limits(panels, shown, before)
    last = max(int(curve.index[-1]) for panel in panels for curve in panel.curves.values())
    for number, panel in enumerate(panels):
        row, column = divmod(number, across)
        bottom = height - legend - (row + 1) * (TITLE + PANEL) - row * GAP
        x = LEFT + column * (panel_width + GAP)
        axes = figure.add_axes((x / WIDE, bottom / height, panel_width / WIDE, PANEL / height))
        _draw_panel(axes, panel, shown, before)
        axes.set_ylim(low, high)
        log_axis(axes, "y")
        light_grid(axes)
        axes.set_title(short_name(panel.title, 36), loc="left", pad=3)
        axes.set_xlim(-before, last)
        if column:
            axes.tick_params(labelleft=False)
        if number + across >= len(panels):
            axes.set_xlabel("rows since the drift began")
        else:
            axes.tick_params(labelbottom=False)
    middle = (FOOT + height - legend - TITLE) / 2 / height
    figure.text(0.04 / WIDE, middle, "MSE ÷ what can be had", rotation=90, va="center", size=8)
    for line, names in enumerate(rows_of_names):
        _draw_names(figure, names, 1 - (0.12 + 0.18 * line) / height)
    return Drawing(figure, "")


def _rows_of_names(shown: Sequence[Look]) -> list[list[tuple[Look, float]]]:
    """The key's entries and where each begins (inches), row by row; grey ones are not named."""
    rows: list[list[tuple[Look, float]]] = [[]]
    x = LEFT
    for look in shown:
        if not look.highlighted:
            continue
        width = 0.45 + 1.05 * CHARACTER * len(short_name(look.entry))
        if x + width > WIDE and rows[-1]:
            rows.append([])
            x = LEFT
        rows[-1].append((look, x))
        x += width
    return rows


def _draw_names(figure: Figure, names: Sequence[tuple[Look, float]], y: float) -> None:
    for look, x in names:
        line = Line2D(
            [x / WIDE, (x + 0.22) / WIDE], [y, y], color=look.colour, ls=look.dash, lw=1.2, transform=figure.transFigure
        )
        figure.add_artist(line)
        figure.text((x + 0.27) / WIDE, y, short_name(look.entry), color=look.colour, size=7.5, va="center_baseline")


def _limits(panels: Sequence[Aligned], shown: Sequence[Look], before: int) -> tuple[float, float]:
    """Of the means of all panels, at least from half to twice what can be had."""
    low, high = 0.7, 2.0
    for panel in panels:
        for look in shown:
            if look.entry in panel.curves:
                curve = panel.curves[look.entry]
                values = curve[curve.index >= -before].mean(axis=1).to_numpy(dtype=float)
                values = values[np.isfinite(values) & (values > 0)]
                if len(values):
                    low, high = min(low, float(values.min())), max(high, float(values.max()))
    return max(low / 1.1, 0.5), high * 1.1


def _draw_panel(axes: Axes, panel: Aligned, shown: Sequence[Look], before: int) -> None:
    for look in shown:
        if look.entry not in panel.curves:
            continue
        curve = panel.curves[look.entry]
        logarithms = curve[curve.index >= -before].clip(lower=1e-6).map(math.log)
        means = thin(mean_interval(logarithms), POINTS).map(math.exp)
        x = means.index.to_numpy(dtype=float)
        if look.highlighted and curve.shape[1] >= FEWEST:
            low, high = (means[end].to_numpy(dtype=float) for end in ("low", "high"))
            axes.fill_between(x, low, high, color=look.colour, alpha=0.15, lw=0, zorder=1.5)
        axes.plot(x, means["mean"].to_numpy(dtype=float), **look.line)
    axes.axhline(RECOVERED, color=MUTED, lw=0.7, ls=(0, (5, 2)), zorder=1)
    for at in (0, *panel.switches):
        axes.axvline(at, color=MUTED if at == 0 else FAINT, lw=0.7, zorder=0.5)
