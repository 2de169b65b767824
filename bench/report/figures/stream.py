"""Error over the stream, with the known drifts marked."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from bench.analysis.streams import rolling_error, thin
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
    log_axis,
    new_figure,
    plan_events,
    short_name,
    time_axis,
)
from bench.report.figures.palette import Look

Floats = NDArray[np.float64]

POINTS = 400
LEFT, UPPER, LOWER, BETWEEN, FOOT = 0.6, 2.0, 1.15, 0.18, 0.42  # inches
LOG_FROM = 8.0  # ratio of the highest to the lowest value from which a logarithmic scale reads better


def rolling_window(origins: int, season: int | None) -> int:
    """Origins in the rolling mean: about a thirtieth of the stream, whole seasons where it can be.

    Args:
        origins: In the stream.
        season: Origins in a season; None or less than 2 where there is none.
    """
    window = max(1, round(origins / 30))
    if season is not None and 2 <= season <= origins // 4:
        window = season * max(1, round(window / season))
    return window


def draw_stream(
    errors: pd.DataFrame,
    times: pd.Series,
    events: Sequence[tuple[int, str]],
    looks: Sequence[Look],
    reference: str | None,
    window: int,
    estimated: Sequence[int] = (),
) -> Drawing:
    """Rolling MSE of each entry; below it, the same divided by a reference's.

    Args:
        errors: ``(origins, entries)`` scaled MSE, index ``origin``.
        times: Time stamp of each origin.
        events: Row and name of each drift.
        looks: What is drawn.
        reference: The entry that the lower panel divides by; None leaves that panel out.
        window: Origins in the rolling mean.
        estimated: Rows of change points that were estimated: dotted, and marked as such.
    """
    shown = [look for look in looks if look.entry in errors]
    rolling = thin(rolling_error(errors[[look.entry for look in shown]], window), POINTS)
    stamps = times.loc[rolling.index].to_numpy()
    x = as_numbers(stamps)
    margin = label_margin([look.entry for look in shown])
    across = WIDE - LEFT - margin
    limits, events_at = along_time(times, events)  # the whole stream: drifts before the first full window show
    labels = plan_events(events_at, across, across + margin)
    heights = [UPPER] if reference is None else [UPPER, LOWER]
    height = labels.height + sum(heights) + BETWEEN * (len(heights) - 1) + FOOT
    figure = new_figure(WIDE, height)
    top = height - labels.height
    axes = []
    for tall in heights:
        axes.append(figure.add_axes((LEFT / WIDE, (top - tall) / height, across / WIDE, tall / height)))
        top -= tall + BETWEEN
    _draw_panel(axes[0], x, limits, rolling, shown)
    axes[0].set_ylabel("MSE, scaled")
    if reference is not None:
        ratio = rolling.div(rolling[reference], axis=0)
        _draw_panel(
            axes[1],
            x,
            limits,
            ratio,
            [look for look in shown if look.highlighted],
            [k for k in shown if not k.highlighted],
        )
        axes[1].set_ylabel(f"MSE ÷ {short_name(reference.partition(' + ')[0], 14)}'s")  # the caption has it in full
    _, estimated_at = along_time(times, [(row, ESTIMATED) for row in estimated])
    for panel in axes:
        draw_estimated(panel, [at for at, _ in estimated_at], named=panel is axes[0])
        draw_events(panel, labels, named=panel is axes[0])
        time_axis(panel, stamps)
        if panel is not axes[-1]:
            panel.tick_params(labelbottom=False)
            panel.xaxis.get_offset_text().set_visible(False)
            panel.set_xlabel("")
    return Drawing(figure, labels.key)


def _draw_panel(
    axes: Axes, x: Floats, limits: Floats, frame: pd.DataFrame, named: Sequence[Look], nameless: Sequence[Look] = ()
) -> None:
    for look in [*nameless, *named]:
        axes.plot(x, frame[look.entry].to_numpy(dtype=float), **look.line)
    values = frame.to_numpy(dtype=float)
    values = values[np.isfinite(values)]
    if len(values) and values.min() > 0 and values.max() / values.min() > LOG_FROM:
        log_axis(axes, "y")
    light_grid(axes)
    axes.set_xlim(limits[0], limits[1])
    label_line_ends(axes, [(look.entry, float(frame[look.entry].iloc[-1]), look.name_colour) for look in named])
