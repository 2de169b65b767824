"""What is carried, over the stream: how large the memory is, and how long it lasts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from bench.report.figures.canvas import (
    WIDE,
    Drawing,
    along_time,
    as_numbers,
    draw_events,
    label_line_ends,
    label_margin,
    light_grid,
    log_axis,
    new_figure,
    plan_events,
    time_axis,
)
from bench.report.figures.palette import MUTED, Look

LEFT, PANEL, BETWEEN, FOOT = 0.6, 1.35, 0.18, 0.42  # inches
LOG_FROM = 8.0


def draw_memory(
    trace: pd.DataFrame,
    panels: Sequence[tuple[str, str, float | None]],
    times: pd.Series,
    events: Sequence[tuple[int, str]],
    looks: Sequence[Look],
) -> Drawing:
    """A panel for each quantity, a line for each entry.

    Args:
        trace: Of one scenario: columns ``entry, origin, time, name, value``.
        panels: Name of each quantity, what its axis says, and a value that is marked by a dashed line, or None.
        times: Time stamp of each origin of the stream.
        events: Row and name of each drift.
        looks: What is drawn.
    """
    wide = {name: _wide(trace[trace["name"] == name]) for name, _, _ in panels}
    shown = [look for look in looks if any(look.entry in frame for frame in wide.values())]
    margin = label_margin([look.entry for look in shown])
    across = WIDE - LEFT - margin
    limits, events_at = along_time(times, events)
    labels = plan_events(events_at, across, across + margin)
    height = labels.height + PANEL * len(panels) + BETWEEN * (len(panels) - 1) + FOOT
    figure = new_figure(WIDE, height)
    top = height - labels.height
    for i, (name, says, mark) in enumerate(panels):
        axes = figure.add_axes((LEFT / WIDE, (top - PANEL) / height, across / WIDE, PANEL / height))
        top -= PANEL + BETWEEN
        axes.set_xlim(limits[0], limits[1])
        _draw_lines(axes, wide[name], shown, mark)
        axes.set_ylabel(says)
        draw_events(axes, labels, named=i == 0)
        time_axis(axes, times.to_numpy())
        if i < len(panels) - 1:
            axes.tick_params(labelbottom=False)
            axes.xaxis.get_offset_text().set_visible(False)
            axes.set_xlabel("")
    return Drawing(figure, labels.key)


def _wide(trace: pd.DataFrame) -> pd.DataFrame:
    """Index time, a column for each entry; what is not finite is not drawn."""
    wide = trace.pivot(index="time", columns="entry", values="value")
    wide.index = wide.index.infer_objects()  # datasets with clocks of different kinds share the frame it comes from
    return wide.where(np.isfinite(wide))


def _draw_lines(axes: Axes, frame: pd.DataFrame, shown: Sequence[Look], mark: float | None) -> None:
    here = [look for look in shown if look.entry in frame]
    x = as_numbers(frame.index.to_numpy())
    for look in here:
        axes.plot(x, frame[look.entry].to_numpy(dtype=float), **look.line)
    values = frame[[look.entry for look in here]].to_numpy(dtype=float).ravel()
    values = np.append(values[np.isfinite(values)], [] if mark is None else [mark])
    if len(values) and values.min() > 0 and values.max() / values.min() > LOG_FROM:
        log_axis(axes, "y")
    if mark is not None:
        axes.axhline(mark, color=MUTED, lw=0.8, ls=(0, (5, 2)), zorder=1)
    light_grid(axes)
    ends = [(look.entry, frame[look.entry].dropna(), look.name_colour) for look in here]
    label_line_ends(axes, [(entry, float(line.iloc[-1]), colour) for entry, line, colour in ends if len(line)])
