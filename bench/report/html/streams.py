"""Errors over each scenario's stream for the page: thinned, with the drifts and the views that lead to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.report.figures.palette import DASHES, Look, colours, looks
from bench.report.html.cells import number
from bench.report.html.theme import on_dark
from bench.report.render.numbers import count
from bench.report.view.detail import collapsed, detailed
from bench.report.view.highlight import highlighted_entries
from bench.report.view.loaded import Results

MOST_POINTS, FEWEST_POINTS, FEWEST_LINES = 600, 150, 6
BYTES_A_POINT = 8
DIGITS = 4  # of an error in a line
SMOOTHINGS = ((0, "none"), (0.25, "a quarter"), (1, "usual"), (3, "three times that"))


@dataclass(frozen=True)
class Limits:
    """What there is room for.

    Attributes:
        points: Of each line, about.
        lines: Of each scenario.
        scenarios: That have a plot.
    """

    points: int
    lines: int
    scenarios: int


def limits_for(lines: int, scenarios: int, room: int) -> Limits:
    """Share out the room: first lines get coarser, then the worst entries have none, then the last scenarios."""
    most = max(1, room // BYTES_A_POINT)
    points = int(np.clip(most // max(1, lines), FEWEST_POINTS, MOST_POINTS))
    if lines * points <= most:
        return Limits(points, lines, scenarios)
    each = max(FEWEST_LINES, most // (points * max(1, scenarios)))
    return Limits(points, each, min(scenarios, max(1, most // (points * each))))


def streams_payload(results: Results, room: int) -> dict[str, Any]:
    """What the page's plots are made of.

    Returns:
        ``plots``, one for each scenario, and ``left_out``: sentences on what there was no room for.
    """
    order = [*detailed(results), *collapsed(results)]
    found = [scenario for scenario in order if len(results.streams.get(scenario, ())) > 1]
    limits = limits_for(sum(results.streams[scenario].shape[1] for scenario in found), len(found), room)
    palette = colours(results.runs["strategy"], results.colours)
    plots = [_plot(results, scenario, palette, limits) for scenario in found[: limits.scenarios]]
    left_out = []
    if len(found) > len(plots):
        left_out.append(f"{count(len(found) - len(plots), 'dataset')} without a plot, to keep this page small.")
    if dropped := sum(results.streams[s].shape[1] for s in found[: len(plots)]) - sum(len(p["lines"]) for p in plots):
        left_out.append(f"{count(dropped, 'line')} of the lowest ranks left out, to keep this page small.")
    return {"plots": plots, "left_out": left_out}


def _plot(results: Results, scenario: str, palette: dict[str, str], limits: Limits) -> dict[str, Any]:
    errors, times = results.streams[scenario], results.times[scenario]
    first = results.first(scenario)
    season = first.dataset.season
    window = rolling_window(len(errors), season // first.protocol.stride if season else None)
    stretch = stretch_origins(len(errors), window, limits.points)
    board = results.board_of(scenario)
    shown = [look for look in all_looks(board, palette) if look.entry in errors][: limits.lines]
    highlighted = set(highlighted_entries(board))
    x = as_seconds(times.to_numpy())
    return {
        "scenario": results.scenarios.index(scenario),
        "dates": _are_dates(times),
        "origins": len(errors),
        "stretch": stretch,
        "x": x[last_of(len(errors), stretch)].tolist(),
        "smoothings": _smoothings(window, stretch),
        "lines": [
            {
                "entry": look.entry,
                "light": look.colour,
                "dark": on_dark(look.colour),
                "dash": _dash(look),
                "on": look.entry in highlighted,
                "y": _values(means_over(errors[look.entry], stretch)),
            }
            for look in shown
        ],
        "drifts": _drifts(results, scenario, x, window),
        "estimated": [int(at) for at in _places(errors.index, x, results.estimated_of(scenario))],
    }


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


def all_looks(board: pd.DataFrame, palette: dict[str, str]) -> list[Look]:
    """How every entry with a result is drawn, best first: those that figures show as they show them."""
    shown = {look.entry: look for look in looks(board, palette)}
    used: dict[str, int] = {}
    found = []
    for row in board[board["seeds"] > 0].itertuples(index=False):
        strategy, entry = str(row.strategy), str(row.entry)
        used[strategy] = used.get(strategy, -1) + 1
        spare = Look(entry, palette[strategy], DASHES[used[strategy] % len(DASHES)], highlighted=False)
        found.append(shown.get(entry, spare))
    return found


def stretch_origins(origins: int, window: int, points: int) -> int:
    """Origins to a point: so many that ``points`` suffice, and a divisor of the rolling ``window`` if one is near."""
    least = -(-origins // points)
    fitting = (length for length in range(least, 2 * least) if window % length == 0)
    return next(fitting, least)


def last_of(origins: int, stretch: int) -> NDArray[np.int64]:
    """Position of the last origin of each stretch."""
    return np.minimum(np.arange(stretch, origins + stretch, stretch), origins) - 1


def means_over(values: pd.Series, stretch: int) -> NDArray[np.float64]:
    """Mean of each stretch; the last one may be shorter."""
    starts = np.arange(0, len(values), stretch)
    sums: NDArray[np.float64] = np.add.reduceat(values.to_numpy(dtype=float), starts)
    return sums / np.diff(starts, append=len(values))


def as_seconds(times: NDArray[np.generic]) -> NDArray[np.int64]:
    """Time stamps as the page counts them: seconds since 1970 for dates, otherwise as they are."""
    if np.issubdtype(times.dtype, np.datetime64):
        return times.astype("datetime64[s]").astype("int64")
    return times.astype("int64")


def _are_dates(times: pd.Series) -> bool:
    return bool(np.issubdtype(times.to_numpy().dtype, np.datetime64))


def _dash(look: Look) -> str:
    """As SVG writes it, in widths of the line."""
    return "" if look.dash == "solid" else " ".join(f"{2 * length:g}" for length in look.dash[1])


def _values(means: NDArray[np.float64]) -> list[float | None]:
    """Errors as JSON holds them; gaps where one is without bound."""
    return [found if isinstance(found := number(float(mean), DIGITS), float) else None for mean in means]


def _smoothings(window: int, stretch: int) -> list[dict[str, Any]]:
    """Lengths of the rolling mean to choose from, in points; the usual one is marked."""
    found: dict[int, dict[str, Any]] = {}
    for factor, label in SMOOTHINGS:
        points = max(1, round(factor * window / stretch))
        length = count(points * stretch, "origin")
        found[points] = {"points": points, "label": f"{label} ({length})", "is_own": factor == 1}
    return list(found.values())


def _drifts(results: Results, scenario: str, x: NDArray[np.int64], window: int) -> list[dict[str, Any]]:
    """Each known drift: where its band begins and ends, and the view that shows it.

    The band begins with the first forecast whose truth reaches into the drift, and ends where the new law holds
    altogether, if that is known.
    """
    origins = results.streams[scenario].index
    first = results.first(scenario)
    ends = {drift.start: drift.end for drift in first.dataset.truth.drifts} if first.dataset.truth else {}
    span = max(3 * window, len(origins) // 40) * first.protocol.stride
    found = []
    for row, name in results.events_of(scenario):
        places = _places(
            origins, x, [row - first.protocol.horizon, row, ends.get(row, row), row - span, row + 3 * span]
        )
        keys = ("begin", "at", "end", "from", "to")
        found.append({"name": name} | {key: int(place) for key, place in zip(keys, places, strict=True)})
    return found


def _places(origins: pd.Index, x: NDArray[np.int64], rows: list[int]) -> NDArray[np.float64]:
    """Rows of the series along the x axis; those outside the stream at its ends."""
    places: NDArray[np.float64] = np.interp(rows, origins.to_numpy(dtype=float), x.astype(float))
    return places.round()
