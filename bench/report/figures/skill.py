"""Skill with its interval, strategies one below the other, datasets side by side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from bench.report.figures.canvas import CHARACTER, ON_PAPER, WIDE, Drawing, new_figure, short_name
from bench.report.figures.palette import FAINT, INK, MUTED
from bench.report.render.numbers import percent

ROW, FOOT, HEAD, GAP, BETWEEN = 0.22, 0.42, 0.26, 0.16, 0.26  # inches
MOST_ABREAST = 4
MEAN = "all datasets"
"""Name of the line that holds the mean over datasets."""
WORST = -100.0
"""Skill below which a dot has a number at the left border instead: how much worse matters to nobody."""


def draw_skills(skills: pd.DataFrame, reference: str, palette: dict[str, str], *, forest: bool = False) -> Drawing:
    """A dot and its 95 % interval for each strategy and dataset; hollow and grey where not significant.

    Args:
        skills: Columns ``scenario, entry, strategy, skill, low, high, verdict``, against one reference, in the order in
            which they are to stand; those of ``scenario`` `MEAN`, over all datasets, are drawn as diamonds.
        reference: Its name.
        palette: Colour of each strategy.
        forest: Whether there is a panel for each entry with a line for each scenario; otherwise the other way round.
    """
    panel, row = ("entry", "scenario") if forest else ("scenario", "entry")
    panels, rows = list(dict.fromkeys(skills[panel])), sorted(dict.fromkeys(skills[row]), key=lambda name: name == MEAN)
    names = [short_name(name) for name in rows]
    grid = _Grid(min(len(panels), MOST_ABREAST), len(panels), len(rows), max(len(name) for name in names))
    figure = new_figure(WIDE, grid.height)
    for i, about in enumerate(panels):
        axes = figure.add_axes(grid.box(i))
        here = skills[skills[panel] == about]
        for _, one in here[np.isfinite(here["skill"])].iterrows():
            draw = _write_one if one["skill"] < WORST else _draw_mean if one["scenario"] == MEAN else _draw_one
            draw(axes, rows.index(one[row]), one, palette[one["strategy"]])
        _dress(axes, names if i % grid.abreast == 0 else [""] * len(names))
        axes.set_title(short_name(about, int(grid.wide / CHARACTER)), loc="left")
    label = f"skill against {reference}, % (right of 0 is better)"
    figure.text((grid.left + (WIDE - grid.left) / 2) / WIDE, 0.06 / grid.height, label, ha="center")
    caption = "Dot: skill; bar: 95 % interval; hollow and grey: not significant."
    caption += " Diamond: mean over datasets and its 95 % interval." if MEAN in rows else ""
    return Drawing(figure, caption + (" A number at the left: far worse." if (skills["skill"] < WORST).any() else ""))


@dataclass(frozen=True)
class _Grid:
    """Where the panels are, inches.

    Attributes:
        abreast: Panels in a row.
        panels: All of them.
        lines: In each.
        longest: Letters of the longest name.
    """

    abreast: int
    panels: int
    lines: int
    longest: int

    @property
    def left(self) -> float:
        return 0.15 + CHARACTER * self.longest

    @property
    def wide(self) -> float:
        return (WIDE - self.left - 0.1 - GAP * (self.abreast - 1)) / self.abreast

    @property
    def tall(self) -> float:
        return ROW * self.lines

    @property
    def height(self) -> float:
        rows = -(-self.panels // self.abreast)
        return rows * (HEAD + self.tall) + (rows - 1) * BETWEEN + FOOT

    def box(self, i: int) -> tuple[float, float, float, float]:
        """Of panel ``i``, as fractions of the figure."""
        row, column = divmod(i, self.abreast)
        bottom = self.height - (row + 1) * (HEAD + self.tall) - row * BETWEEN
        left = self.left + column * (self.wide + GAP)
        return left / WIDE, bottom / self.height, self.wide / WIDE, self.tall / self.height


def _draw_one(axes: Axes, at: int, one: pd.Series, own: str) -> None:
    clear = one["verdict"] in ("better", "worse")
    colour = own if clear else MUTED
    if np.isfinite([one["low"], one["high"]]).all():
        axes.plot([one["low"], one["high"]], [at, at], color=colour, lw=1.6, solid_capstyle="butt", zorder=2)
    face = colour if clear else "white"
    axes.plot([one["skill"]], [at], "o", ms=4.5, mec=colour, mfc=face, zorder=3, label=one["entry"])


def _draw_mean(axes: Axes, at: int, one: pd.Series, own: str) -> None:
    colour = own if one["verdict"] in ("better", "worse") else MUTED
    ends = [one["low"], one["skill"], one["high"], one["skill"]]
    axes.fill(ends, [at, at - 0.3, at, at + 0.3], fc=colour if colour == own else "white", ec=colour, lw=1, zorder=3)


def _write_one(axes: Axes, at: int, one: pd.Series, own: str) -> None:
    text = f"\N{BLACK LEFT-POINTING SMALL TRIANGLE} {percent(one['skill'])}"
    axes.text(
        0.01, at, text, transform=axes.get_yaxis_transform(), color=own, size=7, va="center_baseline", bbox=ON_PAPER
    )


def _dress(axes: Axes, names: list[str]) -> None:
    axes.axvline(0, color=INK, lw=0.8, zorder=1)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=FAINT, lw=0.4, alpha=0.7)
    axes.set_axisbelow(True)
    axes.locator_params(axis="x", nbins=5)
