"""A series as it is: its parts, its known drifts and the estimated ones."""

from __future__ import annotations

from collections.abc import Sequence

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
    light_grid,
    new_figure,
    plan_events,
    short_name,
    time_axis,
)
from bench.report.figures.palette import FAINT, INK

POINTS = 1500
LEFT, RIGHT, TALL, BETWEEN, FOOT, HEAD = 0.62, 0.1, 0.8, 0.14, 0.42, 0.16  # inches
PARTS = ("training", "validation", "stream")


def draw_series(
    frame: pd.DataFrame,
    times: pd.Series,
    borders: tuple[int, int, int],
    events: Sequence[tuple[int, str]],
    estimated: Sequence[int],
) -> Drawing:
    """A panel for each column over the whole series, its training and validation rows on grey.

    Args:
        frame: ``(T, columns)``, original units, index 0, 1, ...
        times: ``(T,)`` time stamps, same index.
        borders: First validation row, first stream row, end.
        events: Row and name of each known drift.
        estimated: Rows of estimated change points.
    """
    across = WIDE - LEFT - RIGHT
    limits, events_at = along_time(times, events)
    _, estimated_at = along_time(times, [(row, ESTIMATED) for row in estimated])
    labels = plan_events(events_at, across, across + RIGHT)
    count = frame.shape[1]
    height = HEAD + labels.height + count * TALL + (count - 1) * BETWEEN + FOOT
    figure = new_figure(WIDE, height)
    top = height - HEAD - labels.height
    thinned, x = _thinned(frame, times)
    axes = []
    for name in frame.columns:
        axes.append(figure.add_axes((LEFT / WIDE, (top - TALL) / height, across / WIDE, TALL / height)))
        top -= TALL + BETWEEN
        panel = axes[-1]
        panel.plot(x, thinned[name].to_numpy(dtype=float), color=INK, lw=0.6)
        panel.set_xlim(limits[0], limits[1])
        panel.set_ylabel(short_name(str(name), 16), size=6.5)
        light_grid(panel)
        _shade_parts(panel, times, borders, named=panel is axes[0], lift=72 * labels.height)
        draw_estimated(panel, [at for at, _ in estimated_at], named=panel is axes[0])
        draw_events(panel, labels, named=panel is axes[0])
        time_axis(panel, times.to_numpy())
    for panel in axes[:-1]:
        panel.tick_params(labelbottom=False)
        panel.xaxis.get_offset_text().set_visible(False)
        panel.set_xlabel("")
    return Drawing(figure, labels.key)


def _thinned(frame: pd.DataFrame, times: pd.Series) -> tuple[pd.DataFrame, NDArray[np.float64]]:
    """At most `POINTS` means of neighbouring rows, and where they are."""
    block = -(-len(frame) // POINTS)
    groups = np.arange(len(frame)) // block
    return frame.groupby(groups).mean(), as_numbers(times.to_numpy())[::block]


def _shade_parts(axes: Axes, times: pd.Series, borders: tuple[int, int, int], *, named: bool, lift: float) -> None:
    """Grey for training, lighter for validation; named above the events."""
    stamps = as_numbers(times.to_numpy())
    edges = [stamps[0], *(stamps[min(row, len(stamps) - 1)] for row in borders)]
    for name, start, end, alpha in zip(PARTS, edges[:-1], edges[1:], (0.45, 0.2, 0.0), strict=True):
        axes.axvspan(start, end, color=FAINT, alpha=alpha, lw=0, zorder=0)
        if named and name != "validation":
            axes.annotate(
                name,
                ((start + end) / 2, 1),
                (0, lift),
                xycoords=axes.get_xaxis_transform(),
                textcoords="offset points",
                ha="center",
                size=6.5,
                color=INK,
            )
