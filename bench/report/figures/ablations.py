"""Skills with their intervals, one below the other."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.report.figures.canvas import CHARACTER, Drawing, new_figure, short_name
from bench.report.figures.palette import FAINT, INK, MUTED

WIDTH, ROW, FOOT, HEAD = 6.4, 0.26, 0.42, 0.08  # inches
LONGEST = 44


def draw_ablations(ablations: pd.DataFrame, palette: dict[str, str]) -> Drawing:
    """A dot and its interval for each pair, in the colour of the first entry; hollow and grey where not significant.

    Args:
        ablations: Of one scenario: columns ``one, other, strategy, skill, low, high, verdict``.
        palette: Colour of each strategy.
    """
    names = [
        short_name(f"{one} \N{MINUS SIGN} {other}", LONGEST)
        for one, other in zip(ablations["one"], ablations["other"], strict=True)
    ]
    left = 0.2 + CHARACTER * max(len(name) for name in names)
    height = HEAD + ROW * len(names) + FOOT
    figure = new_figure(WIDTH, height)
    box = (left / WIDTH, FOOT / height, (WIDTH - left - 0.12) / WIDTH, ROW * len(names) / height)
    axes = figure.add_axes(box)
    axes.axvline(0, color=INK, lw=0.8, zorder=1)
    for at, (_, row) in enumerate(ablations.iterrows()):
        clear = row["verdict"] in ("better", "worse")
        colour = palette[row["strategy"]] if clear else MUTED
        if np.isfinite([row["low"], row["high"]]).all():
            axes.plot([row["low"], row["high"]], [at, at], color=colour, lw=1.6, solid_capstyle="butt", zorder=2)
        face = colour if clear else "white"
        axes.plot([row["skill"]], [at], "o", ms=5, mec=colour, mfc=face, zorder=3, label=names[at])
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=FAINT, lw=0.4, alpha=0.7)
    axes.set_axisbelow(True)
    axes.set_xlabel("skill of the first over the second, % (right of 0: the first is better)")
    return Drawing(figure, "")
