"""Paper, pen and print: sizes, fonts, labels at line ends, drift events, and files that are the same every time."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from bench.contracts.text import one_line
from bench.report.figures.labels import spread_out, stack_labels
from bench.report.figures.palette import FAINT, INK, MUTED

WIDE = 7.0  # inches: both columns of a paper
CHARACTER = 0.058  # inches that a letter of a label takes
LONGEST_NAME = 26
METADATA: Any = {".svg": {"Date": None}, ".png": {"Software": None}}
ESTIMATED = "estimated"
DOTTED: Any = (0, (1, 2))
ON_PAPER: Any = {"fc": "white", "ec": "none", "pad": 0.6}
EVENT_ROW = 9.5  # points from one row of event names to the next
_DRAWING = threading.RLock()  # matplotlib's settings belong to the process, so one thread draws at a time

STYLE: Any = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "axes.linewidth": 0.6,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "text.color": INK,
    "text.parse_math": False,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "svg.hashsalt": "bench",
    "path.simplify": True,
}


@dataclass(frozen=True)
class Drawing:
    """A figure and what stands under it (plain text, not Markdown)."""

    figure: Figure
    caption: str


@contextmanager
def drawing_style() -> Iterator[None]:
    """Our fonts and lines; the user's own settings are left out, so that figures are the same everywhere.

    Another thread that wants to draw waits.
    """
    with _DRAWING, mpl.rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        yield


def new_figure(width: float, height: float) -> Figure:
    """An empty figure, inches."""
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, stem: Path) -> None:
    """Write ``stem.svg`` and ``stem.png``, without dates in them."""
    for ending in METADATA:
        save_as(figure, stem.with_name(stem.name + ending))


def save_as(figure: Figure, path: Path) -> None:
    """Write one file, as its ending says (one of `METADATA`), without a date in it."""
    figure.savefig(path, dpi=170, metadata=METADATA[path.suffix])


def short_name(text: str, longest: int = LONGEST_NAME) -> str:
    """A name as it is drawn: one line, not too long."""
    line = one_line(text)
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def size_of(axes: Axes) -> tuple[float, float]:
    """Width and height, inches."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    width, height = axes.get_position().size * figure.get_size_inches()
    return float(width), float(height)


def label_margin(names: Sequence[str]) -> float:
    """Inches to keep free beside the axes for labels at line ends."""
    return 0.22 + CHARACTER * max((len(short_name(name)) for name in names), default=0)


def label_line_ends(axes: Axes, ends: Sequence[tuple[str, float, str]], size: float = 7.5) -> None:
    """Name lines at the right border, each in its colour; a thin stroke leads from the line's end to its name.

    Args:
        axes: With final limits.
        ends: Name, value at the right end (data units) and colour of each line.
        size: Of the letters, points.
    """
    ends = [end for end in ends if np.isfinite(end[1])]
    height = 72 * size_of(axes)[1]
    to_axes = axes.transData + axes.transAxes.inverted()
    at = [float(np.clip(to_axes.transform((axes.get_xlim()[1], value))[1], 0, 1)) for _, value, _ in ends]
    places = spread_out(at, 1.25 * size / height, 0.0, 1.0)
    for (name, _, colour), start, place in zip(ends, at, places, strict=True):
        axes.plot(
            [1.0, 1.012, 1.022], [start, place, place], transform=axes.transAxes, clip_on=False, color=colour, lw=0.6
        )
        axes.text(
            1.028, place, short_name(name), transform=axes.transAxes, color=colour, size=size, va="center_baseline"
        )


@dataclass(frozen=True)
class EventLabels:
    """Drift events along an x axis, and where their names go above it.

    Attributes:
        at: Position of each event, as a fraction of the axis.
        names: What is written; numbers where the names would not fit.
        starts: Where each name begins, as a fraction of the axis.
        rows: In which row above the axes it stands, 0 the lowest.
        key: What the numbers mean; empty where the names fit.
    """

    at: list[float]
    names: list[str]
    starts: list[float]
    rows: list[int]
    key: str

    @property
    def height(self) -> float:
        """Inches that the names take above the axes."""
        return (4 + EVENT_ROW * (1 + max(self.rows))) / 72 if self.rows else 0.04


def plan_events(events: Sequence[tuple[float, str]], width: float, room: float) -> EventLabels:
    """Find room for the names of drift events.

    Args:
        events: Position, as a fraction of the axis, and name of each, in order.
        width: Of the axes, inches.
        room: From the left end of the axes to the right border of the figure, inches.
    """
    at = [x for x, _ in events]
    names = [short_name(name, 34) for _, name in events]
    places = stack_labels(at, [0.95 * CHARACTER * len(name) / width for name in names], room / width)
    if places is not None:
        return EventLabels(at, names, [start for start, _ in places], [row for _, row in places], "")
    key = "Events: " + ", ".join(f"{i} {name}" for i, name in enumerate(names, 1)) + "."
    return EventLabels(at, [str(i + 1) for i in range(len(at))], at, [0] * len(at), key)


def draw_events(axes: Axes, labels: EventLabels, named: bool = True, lift: float = 0.0) -> None:
    """Draw drift events as upright lines."""
    points = 72 * size_of(axes)[1]
    style: Any = {"transform": axes.transAxes, "clip_on": False, "color": MUTED, "lw": 0.7, "zorder": 0.5}
    for x, name, start, row in zip(labels.at, labels.names, labels.starts, labels.rows, strict=True):
        if not named:
            axes.plot([x, x], [0, 1], **style)
            continue
        base = 1 + (lift + 4 + EVENT_ROW * row) / points
        over = -2 if start < x else 5  # a name that begins before its stroke stands on top of it
        axes.plot([x, x], [0, base + over / points], **style)
        axes.text(start + 0.005, base, name, transform=axes.transAxes, color=INK, size=7, ha="left")


def draw_estimated(axes: Axes, at: Sequence[float], named: bool = True) -> None:
    """Draw estimated change points, at fractions of the axis, as dotted upright lines, unlike the known drifts."""
    for place, x in enumerate(at):
        axes.plot([x, x], [0, 1], transform=axes.transAxes, color=MUTED, lw=0.8, ls=DOTTED, zorder=0.4)
        if named and place == 0:
            side: Any = {"ha": "right"} if x > 0.5 else {"ha": "left"}
            gap = -0.004 if x > 0.5 else 0.004
            axes.text(
                x + gap,
                0.985,
                ESTIMATED,
                transform=axes.transAxes,
                color=MUTED,
                size=6.5,
                va="top",
                bbox=ON_PAPER,
                **side,
            )


def along_time(
    times: pd.Series, events: Sequence[tuple[int, str]]
) -> tuple[NDArray[np.float64], list[tuple[float, str]]]:
    """Where an axis over a whole stream begins and ends, and where its drift events stand on it.

    Returns:
        The limits, as the axis counts; each event within the stream as a fraction of the axis, and its name.
    """
    origins, passed = times.index.to_numpy(dtype=float), as_numbers(times.to_numpy())
    limits = passed[[0, -1]]
    inside = [(row, name) for row, name in events if origins[0] <= row <= origins[-1]]
    at = (np.interp([row for row, _ in inside], origins, passed) - limits[0]) / (limits[1] - limits[0])
    return limits, [(float(fraction), name) for fraction, (_, name) in zip(at, inside, strict=True)]


def time_axis(axes: Axes, times: NDArray[np.generic]) -> None:
    """Dates where time stamps are dates, row numbers otherwise."""
    if np.issubdtype(times.dtype, np.datetime64):
        locator = AutoDateLocator(minticks=3, maxticks=9)  # type: ignore[no-untyped-call]  # matplotlib has no types
        axes.xaxis.set_major_locator(locator)
        axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]  # nor here
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("time stamp")


def as_numbers(times: NDArray[np.generic]) -> NDArray[np.float64]:
    """Time stamps as the x axis counts them: days for dates."""
    if np.issubdtype(times.dtype, np.datetime64):
        return times.astype("datetime64[ns]").astype("int64") / 86_400e9
    return times.astype(float)


def log_axis(axes: Axes, which: Literal["x", "y"]) -> None:
    """A logarithmic scale with plain numbers, on the ``x`` or the ``y`` axis."""
    axis: Axis = axes.xaxis if which == "x" else axes.yaxis
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1.0,) if high / low > 200 else (1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: tick_text(value)))
    axis.set_minor_formatter(NullFormatter())


def tick_text(value: float) -> str:
    """A tick of a logarithmic axis in five characters at most, as axes have no room for more: ``1,000``, ``1e9``."""
    if 0.001 <= value < 10_000:
        return f"{value:,.6g}"
    digit, _, power = f"{value:.0e}".partition("e")
    return f"{digit}e{int(power)}"


def light_grid(axes: Axes) -> None:
    """Faint lines at the y axis's ticks."""
    axes.grid(axis="y", color=FAINT, lw=0.4, alpha=0.7)
    axes.set_axisbelow(True)
