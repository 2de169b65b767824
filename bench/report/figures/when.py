"""Skill over the stream, with the known drifts marked: who is ahead when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from bench.report.figures.canvas import (
    ESTIMATED,
    WIDE,
    Drawing,
    along_time,
    as_numbers,
    draw_estimated,
    draw_events,
    label_line_ends,
    label_margin,
    light_grid,
    new_figure,
    plan_events,
    short_name,
    time_axis,
)
from bench.report.figures.palette import Look
from bench.report.render.numbers import fixed, words

Floats = NDArray[np.float64]

LEFT, TALL, FOOT = 0.6, 2.2, 0.42  # inches
FAR = -100.0
"""Percent: an entry whose median skill is lower is named in the caption and not drawn: it would flatten all others."""
TICKS = ((0, 1, 2, 5, 10, 20, 40, 60, 80, 90, 95, 98, 99), (0, -1, -2, -5, -10, -25, -50, -100, -200, -500, -1000))
"""Where the axis may have ticks, percent, from 0 up and down."""
APART = 0.2  # inches between ticks
MARGIN = 0.05
BANDS = 2
"""So many of the best entries have a band: more would hide each other."""


def draw_when(
    skills: Mapping[str, pd.DataFrame],
    times: pd.Series,
    events: Sequence[tuple[int, str]],
    looks: Sequence[Look],
    reference: Look,
    estimated: Sequence[int] = (),
) -> Drawing:
    """Skill against a reference over the stream; the axis is that of the logarithm of the ratio of errors.

    Args:
        skills: Of each entry, from `skill_along` in percent.
        times: Time stamp of each origin.
        events: Row and name of each drift: lines are broken there.
        looks: What is drawn, best first.
        reference: What skill is against.
        estimated: Rows of change points that were estimated: dotted, and marked as such.
    """
    shown = [look for look in looks if look.entry in skills]
    far = [look.entry for look in shown if skills[look.entry]["skill"].median() < FAR]
    shown = [look for look in shown if look.entry not in far] or shown
    margin = label_margin([look.entry for look in [*shown, reference]])
    across = WIDE - LEFT - margin
    limits, events_at = along_time(times, events)
    labels = plan_events(events_at, across, across + margin)
    height = labels.height + TALL + FOOT
    figure = new_figure(WIDE, height)
    axes = figure.add_axes((LEFT / WIDE, FOOT / height, across / WIDE, TALL / height))
    axes.set_xlim(limits[0], limits[1])
    changes = [row for row, _ in events]
    bands = [look for look in shown if look.highlighted][:BANDS]
    for look in shown:
        _draw_one(axes, skills[look.entry], times, changes, look, look in bands)
    axes.axhline(0.0, color=reference.colour, lw=1.2, zorder=2.2)
    drawn = np.concatenate([_height(skills[look.entry]["skill"]) for look in shown] + [np.zeros(1)])
    drawn = drawn[np.isfinite(drawn)]
    room = max(MARGIN * (drawn.max() - drawn.min()), 0.01)
    axes.set_ylim(drawn.min() - room, drawn.max() + room)
    _skill_axis(axes, reference.entry)
    draw_estimated(axes, [at for at, _ in along_time(times, [(row, ESTIMATED) for row in estimated])[1]])
    draw_events(axes, labels)
    time_axis(axes, times.to_numpy())
    light_grid(axes)
    ends = [(look.entry, float(_height(skills[look.entry]["skill"])[-1]), look.name_colour) for look in shown]
    label_line_ends(axes, [*ends, (reference.entry, 0.0, reference.name_colour)])
    left_out = [entry for entry in far if entry not in {look.entry for look in shown}]
    caption = f"Far below and not drawn: {words(left_out)}." if left_out else ""
    return Drawing(figure, f"{caption} {labels.key}".strip())


def _draw_one(
    axes: Axes, skill: pd.DataFrame, times: pd.Series, changes: Sequence[int], look: Look, band: bool
) -> None:
    """A line from each drift to the next, and its band."""
    borders = [0, *np.searchsorted(skill.index, changes), len(skill)]
    x = as_numbers(times.loc[skill.index].to_numpy())
    heights = {name: _height(skill[name]) for name in skill}
    for i, (start, stop) in enumerate(pairwise(borders)):
        part = slice(start, stop)
        line = look.line | ({} if i == 0 else {"label": f"_{look.entry}"})
        axes.plot(x[part], heights["skill"][part], **line)
        if band:
            low, high = heights["low"][part], heights["high"][part]
            axes.fill_between(x[part], low, high, color=look.colour, alpha=0.13, lw=0, zorder=1)


def _height(skill: pd.Series) -> Floats:
    """Where a skill in percent stands: minus the logarithm of the ratio of errors."""
    return np.asarray(-np.log1p(-np.minimum(skill.to_numpy(dtype=float), 100 - 1e-9) / 100))


def _skill_axis(axes: Axes, reference: str) -> None:
    """Ticks at round skills, as many as there is room for, 0 among them."""
    low, high = axes.get_ylim()
    least = APART / TALL * (high - low)
    ticks = {0.0: 0.0}
    for side in TICKS:
        last = 0.0
        for skill in side:
            height = float(-np.log1p(-skill / 100))
            if abs(height - last) >= least and low <= height <= high:
                ticks[height], last = skill, height
    signs = [f"{'+' if skill > 0 else ''}{fixed(skill, 0)}" for skill in ticks.values()]
    axes.set_yticks(list(ticks), signs)
    axes.set_ylabel(f"skill against {short_name(reference.partition(' + ')[0], 14)}, %")
