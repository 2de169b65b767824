"""Average ranks along a line, with bars that join what does not differ significantly: a critical-difference diagram."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.report.figures.canvas import WIDE, label_margin, new_figure, short_name
from bench.report.figures.palette import FAINT, INK, MUTED

ROW, BAR, HEAD, SCALE, FOOT = 0.19, 0.085, 0.06, 0.48, 0.1  # inches
SIZE = 7.5


def draw_ranks(means: pd.Series, groups: Sequence[Sequence[str]], apart: float, colour_of: Mapping[str, str]) -> Figure:
    """Draw entries along their average ranks, the best to the left; the better half is named left, the others right.

    Args:
        means: Average rank of each entry (index), best first; at least two.
        groups: Entries that do not differ significantly, each drawn as a bar.
        apart: The critical difference, drawn to scale above the line; infinite leaves it out.
        colour_of: Colour of each entry.

    Source: Demsar (2006), "Statistical comparisons of classifiers over multiple data sets", figure 1.
    """
    names = [str(name) for name in means.index]
    left = (len(names) + 1) // 2
    margins = label_margin(names[:left]), label_margin(names[left:])
    rows, levels = left, _levels(means, groups)
    below = 0.08 + BAR * (max(levels, default=-1) + 1)
    height = HEAD + SCALE + below + ROW * rows + FOOT
    figure = new_figure(WIDE, height)
    axes = figure.add_axes((margins[0] / WIDE, 0, (WIDE - sum(margins)) / WIDE, 1))
    axes.set_axis_off()
    axes.set_xlim(1, len(names))
    axes.set_ylim(height, 0)  # inches from above
    line = HEAD + SCALE
    _draw_scale(axes, len(names), line)
    if np.isfinite(apart):
        _draw_critical_difference(axes, apart, len(names))
    for group, level in zip(groups, levels, strict=True):
        ends = float(means[group[0]]), float(means[group[-1]])
        _draw_bar(axes, ends, line + 0.08 + BAR * level)
    for i, (name, mean) in enumerate(zip(names, means, strict=True)):
        on_left = i < left
        row = i if on_left else len(names) - 1 - i
        at = line + below + ROW * (row + 0.5)
        _draw_entry(axes, name, float(mean), line, at, on_left, colour_of[name])
    return figure


def _levels(means: pd.Series, groups: Sequence[Sequence[str]]) -> list[int]:
    """Below which other bars each bar goes, so that no two touch."""
    levels: list[int] = []
    ends: list[float] = []
    for group in groups:
        start = float(means[group[0]])
        free = next((level for level, end in enumerate(ends) if end < start - 0.1), len(ends))
        ends[free : free + 1] = [float(means[group[-1]])]
        levels.append(free)
    return levels


def _draw_scale(axes: Axes, most: int, line: float) -> None:
    axes.plot([1, most], [line, line], color=MUTED, lw=0.8, clip_on=False)
    step = 1 if most <= 16 else 2
    ticks = range(1, most + 1, step)
    for rank in ticks:
        axes.plot([rank, rank], [line - 0.06, line], color=MUTED, lw=0.8, clip_on=False)
        axes.text(rank, line - 0.09, str(rank), size=SIZE, color=INK, ha="center", va="bottom")
    for one, other in pairwise(ticks):
        middle = (one + other) / 2
        axes.plot([middle, middle], [line - 0.03, line], color=FAINT, lw=0.8, clip_on=False)


def _draw_critical_difference(axes: Axes, apart: float, most: int) -> None:
    end, at = 1 + apart, HEAD + 0.1
    axes.plot([1, min(end, most)], [at, at], color=INK, lw=1.2, clip_on=False, solid_capstyle="butt")
    for x in (1.0, min(end, most)):
        axes.plot([x, x], [at - 0.035, at + 0.035], color=INK, lw=0.8, clip_on=False)
    text = f"critical difference {apart:.2f}"
    axes.annotate(text, (min(end, most), at), (5, 0), textcoords="offset points", size=SIZE, color=INK, va="center")


def _draw_bar(axes: Axes, ends: tuple[float, float], at: float) -> None:
    axes.plot(ends, [at, at], color=INK, lw=2.2, clip_on=False, solid_capstyle="round", zorder=3, label="alike")


def _draw_entry(axes: Axes, name: str, mean: float, line: float, at: float, on_left: bool, colour: str) -> None:
    edge, points = (axes.get_xlim()[0], -5) if on_left else (axes.get_xlim()[1], 5)
    axes.plot([mean, mean, edge], [line, at, at], color=colour, lw=0.9, clip_on=False, zorder=2, label=name)
    axes.plot([mean], [line], "o", ms=3.5, color=colour, clip_on=False, zorder=4)
    axes.annotate(
        short_name(name),
        (edge, at),
        (points, 0),
        textcoords="offset points",
        size=SIZE,
        color=colour,
        ha="right" if on_left else "left",
        va="center",
        annotation_clip=False,
    )
