"""Error against what it costs."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from bench.analysis import is_barred
from bench.analysis.cost import pareto_front
from bench.report.figures.canvas import Drawing, light_grid, log_axis, new_figure, short_name
from bench.report.figures.labels import Box, place_labels
from bench.report.figures.palette import FAINT, MUTED

SIZE = 7.5
CLEAR = 5.0  # pixels around a dot
LOG_FROM = 8.0

Floats = NDArray[np.float64]


def draw_cost(points: pd.DataFrame, palette: dict[str, str], persistence: float | None) -> Drawing:
    """A dot for each entry, cost to the right, error upwards; a line along the Pareto front.

    Args:
        points: Columns ``entry, strategy, group, mse, mse_sd, stream_s_per_1000``, finite and above 0, and
            perhaps ``audit``.
        palette: Colour of each strategy.
        persistence: MSE of persistence, drawn as a line; None leaves it out.
    """
    figure = new_figure(5.6, 3.7)
    axes = figure.add_axes((0.105, 0.125, 0.875, 0.85))
    x, y = points["stream_s_per_1000"].to_numpy(dtype=float), points["mse"].to_numpy(dtype=float)
    spread = points["mse_sd"].fillna(0.0).to_numpy(dtype=float)
    _set_limits(axes, x, [*y, *(y - spread), *(y + spread), *([persistence] if persistence is not None else [])])
    for i, (strategy, barred) in enumerate(zip(points["strategy"], is_barred(points), strict=True)):
        colour = palette[strategy]
        axes.errorbar(x[i], y[i], yerr=spread[i] or None, color=colour, elinewidth=0.8, zorder=2)
        face = "white" if barred else colour
        axes.plot(x[i], y[i], "o", ms=5, mec=colour, mfc=face, zorder=3, label=points["entry"].iloc[i])
    obstacles = [*_draw_front(axes, *_front(points)), *_bars(axes, x, y, spread)]
    if persistence is not None:
        axes.axhline(persistence, color=MUTED, lw=0.8, ls=(0, (5, 2)), zorder=1)
        left, level = axes.transData.transform((axes.get_xlim()[0], persistence))
        obstacles.append(Box(left, level - 1, axes.bbox.x1, level + 1))
    axes.set_xlabel("cost: predict and adapt over the whole stream, s per 1,000 windows")
    axes.set_ylabel("MSE, scaled")
    light_grid(axes)
    names = [(entry, palette[strategy]) for entry, strategy in zip(points["entry"], points["strategy"], strict=True)]
    _label(axes, names, axes.transData.transform(np.column_stack([x, y])), obstacles)
    return Drawing(figure, "")


def _set_limits(axes: Axes, x: Floats, levels: list[float]) -> None:
    """Limits that hold all points; a bar that reaches 0 is cut on a logarithmic axis."""
    axes.set_xlim(x.min() / 2, x.max() * 2)
    log_axis(axes, "x")
    low, high = min(level for level in levels if level > 0), max(levels)
    if high / low > LOG_FROM:
        margin = (high / low) ** 0.08
        axes.set_ylim(low / margin, high * margin)
        log_axis(axes, "y")
    else:
        low = min(levels)
        margin = 0.09 * (high - low) or 0.1 * high or 1.0
        axes.set_ylim(low - margin, high + margin)


def _front(points: pd.DataFrame) -> tuple[Floats, Floats]:
    """Corners of the Pareto front, cheapest first; entries that are never ranked are no part of it."""
    honest = points[~is_barred(points)]
    best = honest[pareto_front(honest["stream_s_per_1000"], honest["mse"])].sort_values("stream_s_per_1000")
    cost, error = best["stream_s_per_1000"].to_numpy(dtype=float), best["mse"].to_numpy(dtype=float)
    return np.repeat(cost, 2)[1:], np.repeat(error, 2)[:-1]


def _draw_front(axes: Axes, x: Floats, y: Floats) -> list[Box]:
    if not len(x):
        return []
    right = axes.get_xlim()[1]
    x, y = np.append(x, right), np.append(y, y[-1])
    axes.plot(x, y, color=FAINT, lw=1.2, zorder=1)
    corners = axes.transData.transform(np.column_stack([x, y]))
    return [
        Box(min(a[0], b[0]) - 1, min(a[1], b[1]) - 1, max(a[0], b[0]) + 1, max(a[1], b[1]) + 1)
        for a, b in pairwise(corners)
    ]


def _bars(axes: Axes, x: Floats, y: Floats, spread: Floats) -> list[Box]:
    """Where the bars of the standard deviations are; no lower than the axis."""
    lows = np.maximum(y - spread, axes.get_ylim()[0])
    low, high = (axes.transData.transform(np.column_stack([x, ends])) for ends in (lows, y + spread))
    return [Box(a[0] - 1, a[1], b[0] + 1, b[1]) for a, b in zip(low, high, strict=True)]


def _label(axes: Axes, names: list[tuple[str, str]], dots: Floats, obstacles: list[Box]) -> None:
    figure = axes.get_figure()
    assert figure is not None
    texts = [figure.text(0, 0, short_name(name), size=SIZE, color=c, va="center", ha="center") for name, c in names]
    extents = [text.get_window_extent() for text in texts]
    sizes = [(extent.width + 6, extent.height + 1) for extent in extents]
    frame = Box(axes.bbox.x0 + 2, axes.bbox.y0 + 2, axes.bbox.x1, axes.bbox.y1)
    boxes = place_labels([(dot[0], dot[1]) for dot in dots], sizes, frame, CLEAR, obstacles)
    to_figure = figure.transFigure.inverted()
    for text, box, dot in zip(texts, boxes, dots, strict=True):
        middle = to_figure.transform(((box.left + box.right) / 2, (box.bottom + box.top) / 2))
        text.set_position((float(middle[0]), float(middle[1])))
        near = (np.clip(dot[0], box.left, box.right), np.clip(dot[1], box.bottom, box.top))
        if np.hypot(near[0] - dot[0], near[1] - dot[1]) > 2.5 * CLEAR:
            ends = axes.transAxes.inverted().transform([dot, near])
            axes.plot(ends[:, 0], ends[:, 1], transform=axes.transAxes, color=MUTED, lw=0.5, zorder=1)
