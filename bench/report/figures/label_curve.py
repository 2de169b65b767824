"""Error against labels: the share of them that comes back, or how late they come."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, NullLocator
from numpy.typing import NDArray

from bench.analysis.label_curves import ALL, BOTH, DRAWN, EVERY, INSTANT, MATURED, SHARE
from bench.report.figures.canvas import Drawing, label_line_ends, label_margin, light_grid, log_axis, new_figure
from bench.report.figures.palette import Look
from bench.report.render.numbers import brief

WIDTH, HEIGHT = 6.4, 3.2  # inches
LOG_FROM = 8.0
FAR = 3.0
"""Times the lowest error of all: an entry whose own lowest is above it is not drawn."""
MARKERS = {ALL: "o", EVERY: "s", DRAWN: "^", BOTH: "D", MATURED: "o", INSTANT: "o"}
SHAPES = {
    EVERY: "squares: every n-th label",
    DRAWN: "triangles: labels drawn one by one",
    BOTH: "diamonds: drawn from every n-th",
    INSTANT: "hollow: instant labels, which leak and are not ranked",
}


def draw_label_curve(curves: pd.DataFrame, looks: Sequence[Look]) -> Drawing:
    """A line with its interval for each entry; a flat one where the error does not depend on labels.

    The line follows the way of releasing labels that has most points; those of another way stand beside it. Entries
    that never come near the lowest error are named in the caption and not drawn: they would flatten all others.
    """
    known = curves[np.isfinite(curves["mse"].astype(float))]
    known = known[known["entry"].isin([look.entry for look in looks])]
    lowest = known[known["way"] != INSTANT].groupby("entry")["mse"].min()
    far = lowest[lowest > FAR * lowest.min()]
    known = known[~known["entry"].isin(far.index)]
    shown = [look for look in looks if (known["entry"] == look.entry).any()]
    figure = new_figure(WIDTH, HEIGHT)
    right = 1 - label_margin([look.entry for look in shown]) / WIDTH
    axes = figure.add_axes((0.1, 0.14, right - 0.1, 0.835))
    _set_limits(axes, known)
    ends = []
    for look in shown:
        rows = known[known["entry"] == look.entry]
        path = main_path(rows)
        flat = not rows["moves"].any()
        _draw_path(axes, path, look, flat)
        if not flat:
            _draw_beside(axes, rows.drop(path.index), look)
        ends.append((look.entry, float(path["mse"].iloc[-1]), look.name_colour))
    axes.set_ylabel("MSE, scaled")
    light_grid(axes)
    label_line_ends(axes, ends)
    return Drawing(figure, _caption(known, far))


def main_path(rows: pd.DataFrame) -> pd.DataFrame:
    """The points of one entry that a line joins: those with all labels, and of the way that has most points."""
    sizes = rows["way"].value_counts()
    ways = [way for way in (EVERY, DRAWN, BOTH) if way in sizes]
    main = max(ways, key=lambda way: sizes[way], default=None)
    honest = rows[rows["way"].isin([ALL, MATURED, main])]
    return honest if len(honest) else rows


def _draw_path(axes: Axes, path: pd.DataFrame, look: Look, flat: bool) -> None:
    x, y, low, high = (_floats(path, name) for name in ("x", "mse", "low", "high"))
    if flat:
        axes.plot(axes.get_xlim(), [y[-1], y[-1]], **look.line)
        if look.highlighted:
            axes.fill_between(axes.get_xlim(), low[-1], high[-1], color=look.colour, alpha=0.07, lw=0, zorder=0.9)
        return
    axes.plot(x, y, **look.line)
    for place, value, way in zip(x, y, path["way"], strict=True):
        _mark(axes, place, value, way, look)
    if look.highlighted:
        axes.fill_between(x, low, high, color=look.colour, alpha=0.13, lw=0, zorder=1)


def _draw_beside(axes: Axes, rows: pd.DataFrame, look: Look) -> None:
    for place, value, low, high, way in rows[["x", "mse", "low", "high", "way"]].itertuples(index=False, name=None):
        if look.highlighted and np.isfinite(low):
            axes.plot([place, place], [low, high], color=look.colour, lw=0.8, zorder=2, label="_interval")
        _mark(axes, place, value, way, look)


def _mark(axes: Axes, x: float, y: float, way: str, look: Look) -> None:
    colour = look.line["color"]
    face = "white" if way == INSTANT else colour
    size = 4.5 if look.highlighted else 3
    axes.plot([x], [y], MARKERS[way], ms=size, mec=colour, mfc=face, zorder=look.line["zorder"] + 0.2, label=f"_{way}")


def _set_limits(axes: Axes, rows: pd.DataFrame) -> None:
    x = np.unique(_floats(rows, "x"))
    if rows["kind"].iloc[0] == SHARE:
        margin = (x[-1] / x[0]) ** 0.03
        axes.set_xscale("log")
        axes.set_xlim(x[0] / margin, x[-1] * margin)
        axes.xaxis.set_major_locator(FixedLocator(x.tolist()))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticks(x, [f"{100 * share:.3g} %" for share in x])
        axes.set_xlabel("share of labels that is released")
    else:
        margin = 0.03 * (x[-1] - x[0])
        axes.set_xlim(x[0] - margin, x[-1] + margin)
        axes.set_xlabel("rows from the end of a forecast's horizon to its label")
    bounds = rows[["mse", "low", "high"]].to_numpy(dtype=float)
    low, high = float(np.nanmin(bounds)), float(np.nanmax(bounds))
    least = float(rows["mse"].min())
    if least > 0 and high / least > LOG_FROM:
        low = max(low, least / 2)  # an interval may reach below 0
        axes.set_ylim(low / 1.15, high * 1.15)
        log_axis(axes, "y")
    else:
        margin = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
        axes.set_ylim(low - margin, high + margin)


def _caption(rows: pd.DataFrame, far: pd.Series) -> str:
    parts = ["Mean over seeds (lower is better); bands and bars: 95 % interval over seeds."]
    if rows["low"].isna().all():
        parts = ["Lower is better."]
    if not rows["moves"].all():
        parts.append("Flat lines: the same whatever the labels.")
    ways = set(rows.loc[rows["moves"].astype(bool), "way"])
    shapes = [text for way, text in SHAPES.items() if way in ways]
    if shapes and len(ways) > 1:
        text = "; ".join(shapes)
        parts.append(f"{text[0].upper()}{text[1:]}.")
    if len(far):
        named = ", ".join(f"{entry} ({brief(error)} at best)" for entry, error in far.items())
        parts.append(f"Too far above to be drawn: {named}.")
    return " ".join(parts)


def _floats(rows: pd.DataFrame, name: str) -> NDArray[np.float64]:
    return rows[name].to_numpy(dtype=float)
