"""A grid of trials: a line for each option, or a heat map of two."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

from bench.report.figures.canvas import CHARACTER, Drawing, light_grid, log_axis, new_figure, short_name
from bench.report.figures.palette import FAINT, INK
from bench.report.render.numbers import fixed, places
from bench.results.trials import value_text

DECADES = 10.0
"""Values that span more are drawn on a logarithmic axis."""
PANEL, HEIGHT = 2.4, 2.3
COLOURS = "cividis"

Floats = NDArray[np.float64]


def draw_options(best: pd.DataFrame, chosen: Mapping[str, Any], colour: str, *, linked: bool = True) -> Drawing:
    """A panel for each option, a point for each of its values, linked on a grid, bars for the spread over seeds."""
    options = list(dict.fromkeys(best["option"]))
    left, gap, bottom = 0.72, 0.18, 0.46
    width = left + len(options) * PANEL + (len(options) - 1) * gap + (1.4 if len(options) == 1 else 0.12)
    panel = PANEL + (1.28 if len(options) == 1 else 0)
    figure = new_figure(width, HEIGHT)
    limits = _error_limits(best)
    for i, option in enumerate(options):
        rows = best[best["option"] == option]
        at = (left + i * (panel + gap)) / width, bottom / HEIGHT, panel / width, 1 - (bottom + 0.1) / HEIGHT
        axes = figure.add_axes(at)
        x = _place(axes, rows["value"].tolist(), named=linked)
        y, sd = (rows[name].to_numpy(dtype=float) for name in ("val_mse", "val_mse_sd"))
        line = {"lw": 1.2} if linked else {"ls": "none"}
        axes.errorbar(x, y, np.nan_to_num(sd), color=colour, elinewidth=0.8, capsize=2, marker="o", ms=3.5, **line)
        here = [json.dumps(value) == json.dumps(chosen[option]) for value in rows["value"]] if option in chosen else []
        for j in np.flatnonzero(here):
            axes.plot(x[j], y[j], "o", ms=9, mfc="none", mec=INK, mew=0.9, label="chosen", zorder=4)
        axes.set_ylim(*limits)
        if limits[0] > 0 and limits[1] / limits[0] > DECADES:
            log_axis(axes, "y")
        light_grid(axes)
        axes.set_xlabel(short_name(option, 34))
        if i:
            axes.tick_params(axis="y", labelleft=False)
        else:
            axes.set_ylabel("MSE on validation rows")
    caption = "Mean over seeds, bars their standard deviation (lower is better). The ring is what was chosen."
    if len(options) > 1 and linked:
        caption = f"For each value, the best of the other options. {caption}"
    return Drawing(figure, _with_missing(caption, best["val_mse"]))


def _error_limits(best: pd.DataFrame) -> tuple[float, float]:
    mean, sd = best["val_mse"], best["val_mse_sd"].fillna(0.0)
    low, high = float((mean - sd).min()), float((mean + sd).max())
    if low > 0 and high / low > DECADES:
        return low / 1.2, high * 1.2
    margin = 0.12 * (high - low) or 0.05 * abs(high) or 1.0
    return low - margin, high + margin


def _place(axes: Axes, values: Sequence[Any], *, named: bool) -> Floats:
    """Where values stand on the x axis: numbers in their place, each named if asked for; anything else side by side."""
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        x = np.asarray(values, dtype=float)
        span = x.max() / x.min() if x.min() > 0 else 0.0
        margin = 0.08 * (x.max() - x.min())
        axes.set_xlim(x.min() - margin, x.max() + margin)
        if span >= DECADES:
            axes.set_xlim(x.min() / span**0.08, x.max() * span**0.08)
            log_axis(axes, "x")
        if not named:
            if span < DECADES:
                axes.xaxis.set_major_locator(MaxNLocator(4))
            return x
    else:
        x = np.arange(len(values), dtype=float)
        axes.set_xlim(-0.4, len(values) - 0.6)
    names = [short_name(value_text(value), 12) for value in values]
    if len(set(x)) <= 8:
        axes.xaxis.set_major_locator(FixedLocator(x.tolist()))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xticks(x, names)
    return x


def draw_heat(table: pd.DataFrame, options: pd.DataFrame) -> Drawing:
    """A cell for each pair of values, the chosen one framed.

    Args:
        table: From `bench.analysis.tuning.grid_table`, one search.
        options: Two columns, on the same index.
    """
    down, across = options.columns
    keys = options.map(json.dumps)
    rows, columns = (list(dict.fromkeys(keys[option])) for option in (down, across))
    whole = table["val_mse"].where(table["failed"] == 0)
    best = table.assign(val_mse=whole, down=keys[down], across=keys[across]).sort_values("val_mse", kind="stable")
    best = best.drop_duplicates(["down", "across"])
    grid = best.pivot(index="down", columns="across", values="val_mse").reindex(index=rows, columns=columns)
    values = grid.to_numpy(dtype=float)
    names = {key: short_name(value_text(json.loads(key)), 14) for key in (*rows, *columns)}
    left = 0.5 + 1.15 * CHARACTER * max(len(names[key]) for key in rows)
    cell, tall = max(0.78, 1.3 * CHARACTER * max(len(names[key]) for key in columns)), 0.36
    width, height = left + cell * len(columns) + 0.15, 0.5 + tall * len(rows) + 0.12
    width = max(width, left + 1.3 * CHARACTER * len(across))
    figure = new_figure(width, height)
    axes = figure.add_axes((left / width, 0.5 / height, cell * len(columns) / width, tall * len(rows) / height))
    norm = _norm(values)
    colours = mpl.colormaps[COLOURS].with_extremes(bad=FAINT)
    axes.imshow(np.ma.masked_invalid(values), cmap=colours, norm=norm, aspect="auto")
    decimals = places(values.ravel())
    for (i, j), value in np.ndenumerate(values):
        ink = "white" if np.isfinite(value) and float(norm(value)) < 0.55 else INK
        text = fixed(value, decimals) if np.isfinite(value) else "failed"
        axes.text(j, i, text, ha="center", va="center_baseline", size=7.5, color=ink)
    for _, row in best[best["chosen"]].iterrows():
        i, j = rows.index(row["down"]), columns.index(row["across"])
        axes.add_patch(Rectangle((j - 0.5, i - 0.5), 1, 1, fill=False, ec="#d55e00", lw=2, clip_on=False, zorder=4))
    axes.set_xticks(range(len(columns)), [names[key] for key in columns])
    axes.set_yticks(range(len(rows)), [names[key] for key in rows])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel(short_name(across, 34))
    axes.set_ylabel(short_name(down, 34))
    caption = "MSE on the validation rows, mean over seeds (darker is lower, and better). The frame is what was chosen."
    return Drawing(figure, caption)


def _norm(values: Floats) -> Normalize:
    finite = values[np.isfinite(values)]
    low, high = float(finite.min()), float(finite.max())
    if low == high:
        return Normalize(low - 1, high)
    return LogNorm(low, high) if low > 0 and high / low > DECADES else Normalize(low, high)


def _with_missing(caption: str, values: pd.Series) -> str:
    missing = int(values.isna().sum())
    return f"{caption} Values without a point: {missing}, where runs failed." if missing else caption
