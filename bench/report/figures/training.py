"""Training curves: validation error by step, beside what it must beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from bench.report.figures.canvas import (
    WIDE,
    Drawing,
    label_line_ends,
    label_margin,
    light_grid,
    log_axis,
    new_figure,
    short_name,
)
from bench.report.figures.palette import DASHES, INK, MUTED

ABREAST = 2
LEFT, PANEL, TITLE, FOOT = 0.72, 1.45, 0.24, 0.44  # inches
ALONE = 5.0  # inches, where there is one panel
LOG_FROM, FAR = 8.0, 4.0
"""Ratios of errors: a wider range has a logarithmic axis; what is further above the lowest is not drawn."""


@dataclass(frozen=True)
class Panel:
    """One forecaster on one dataset.

    Attributes:
        title: Which.
        curves: Steps and validation errors of each seed.
        kept: Step and error of the weights that were kept, of each seed where it was recorded.
        references: Names and errors of what it must beat; NaN is not drawn.
    """

    title: str
    curves: Sequence[tuple[NDArray[Any], NDArray[Any]]]
    kept: Sequence[tuple[float, float]]
    references: Sequence[tuple[str, float]]


def draw_trainings(panels: Sequence[Panel]) -> Drawing:
    """A panel for each forecaster on each dataset: a line for each seed, a dashed line for each reference."""
    across = min(ABREAST, len(panels))
    down = -(-len(panels) // across)
    margin = label_margin([name for panel in panels for name, _ in _near(panel)])
    wide, height = WIDE if across > 1 else ALONE, down * (TITLE + PANEL + FOOT)
    width = (wide - across * (LEFT + margin)) / across
    figure = new_figure(wide, height)
    far = dict[str, list[str]]()
    for i, panel in enumerate(panels):
        row, column = divmod(i, across)
        bottom = height - (row + 1) * (TITLE + PANEL + FOOT) + FOOT
        left = column * (LEFT + width + margin) + LEFT
        axes = figure.add_axes((left / wide, bottom / height, width / wide, PANEL / height))
        _draw(axes, panel)
        for name in [name for name, error in panel.references if error > 0 and (name, error) not in _near(panel)]:
            far.setdefault(name, []).append(panel.title)
    left_out = [f"{name} ({', '.join(titles)})" for name, titles in far.items()]
    return Drawing(figure, f"Far above and not drawn: {', '.join(left_out)}." if left_out else "")


def _near(panel: Panel) -> list[tuple[str, float]]:
    """The references that are not so far above the curves that these would be flat."""
    lowest, highest = _range(panel)
    return [(name, error) for name, error in panel.references if error <= max(FAR * lowest, highest)]


def _range(panel: Panel) -> tuple[float, float]:
    errors = np.concatenate([errors for _, errors in panel.curves])
    return float(errors.min()), float(errors.max())


def _draw(axes: Axes, panel: Panel) -> None:
    for steps, errors in panel.curves:
        axes.plot(steps, errors, color=INK, lw=0.9, alpha=0.7, marker="o", ms=1.8, mew=0)
    for step, error in panel.kept:
        axes.plot([step], [error], "o", ms=4.5, mfc="none", mec=INK, mew=0.8)
    near = _near(panel)
    for i, (_, value) in enumerate(near):
        axes.axhline(value, color=MUTED, lw=0.9, ls=DASHES[1 + i % (len(DASHES) - 1)], zorder=1)
    values = np.array([*_range(panel), *(value for _, value in near)])
    if values.min() > 0 and values.max() / values.min() > LOG_FROM:
        log_axis(axes, "y")
    axes.set_xlim(0, max(float(steps[-1]) for steps, _ in panel.curves))
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set_xlabel("step")
    axes.set_ylabel("validation MSE")
    axes.set_title(short_name(panel.title, 44), loc="left")
    light_grid(axes)
    label_line_ends(axes, [(name, value, MUTED) for name, value in near])
