"""Figures of one dataset under one protocol: what each shows of it, and how it is captioned."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd

from bench.analysis import forecast_line
from bench.analysis.leaderboard import FROZEN, PERSISTENCE
from bench.analysis.streams import spacing
from bench.report.figures.canvas import Drawing, short_name
from bench.report.figures.contrast import draw_contrasts
from bench.report.figures.cost import draw_cost
from bench.report.figures.forecasts import draw_forecasts
from bench.report.figures.lead import draw_leads
from bench.report.figures.memory import draw_memory
from bench.report.figures.palette import Look, looks
from bench.report.figures.stream import draw_stream, rolling_window
from bench.report.render.markdown import count
from bench.report.view.around_events import rows_per_day
from bench.report.view.loaded import Results

MOST_CONTRASTS = 24
MOST_ROWS = 800  # of the series, in a figure of forecasts


def scenario_drawings(
    results: Results, palette: dict[str, str], scenarios: Sequence[str]
) -> Iterator[tuple[str, str, Drawing, str]]:
    """Scenario, kind, figure and what it shows, scenario by scenario; what has no data is left out."""
    kinds: list[tuple[str, Callable[[Results, str, dict[str, str], list[Look]], Drawing | None], str]] = [
        ("contrast", _contrast, "What each part of the memory changes on"),
        ("memory", _memory, "The carried memory over the stream of"),
        ("stream", _stream, "Rolling error over the stream of"),
        ("cost", _cost, "Error against cost on"),
        ("lead", _lead, "Error by lead on"),
        ("forecasts", _forecasts, "Forecasts and truth around a drift of"),
    ]
    for scenario in scenarios:
        shown = looks(results.board_of(scenario), palette)
        for kind, draw, alt in kinds:
            drawing = draw(results, scenario, palette, shown) if shown else None
            if drawing is not None:
                yield scenario, kind, drawing, f"{alt} {scenario}"


def _contrast(results: Results, scenario: str, palette: dict[str, str], _: list[Look]) -> Drawing | None:
    if results.ablations.empty:
        return None
    here = results.ablations[results.ablations["scenario"] == scenario].head(MOST_CONTRASTS)
    if here.empty:
        return None
    drawing = draw_contrasts(here, palette)
    caption = "Dot: mean difference; bar: 95 % interval; hollow and grey: no clear difference."
    return Drawing(drawing.figure, _join(caption, drawing.caption))


def _memory(results: Results, scenario: str, palette: dict[str, str], _: list[Look]) -> Drawing | None:
    season = results.first(scenario).dataset.season
    known = [("memory_norm", "norm ÷ initial", 1.0), ("memory_half_life", "half-life, rows", season)]
    trace = results.traces[results.traces["scenario"] == scenario]
    trace = trace[trace["name"].isin([name for name, _, _ in known])]
    if trace["origin"].nunique() < 2:
        return None
    panels = [panel for panel in known if np.isfinite(trace.loc[trace["name"] == panel[0], "value"]).any()]
    if not panels:
        return None
    board = results.board_of(scenario)
    shown = looks(board[board["entry"].isin(trace["entry"])], palette)
    drawing = draw_memory(trace, panels, results.times[scenario], results.events_of(scenario), shown)
    caption = "Above: norm of the carried weights over that of the learned initial memory; "
    caption += "below: rows after which half of what was written is gone; median over seeds."
    if len(panels) == 1:
        only = "Norm of the carried weights over that of the learned initial memory"
        only = only if panels[0][0] == "memory_norm" else "Rows after which half of what was written is gone"
        caption = f"{only}; median over seeds."
    if season and panels[-1][0] == "memory_half_life":
        caption += f" Dashed: a season, {season:,} rows."
    lives = trace[trace["name"] == "memory_half_life"].groupby("entry")["value"]
    if len(panels) > 1 and lives.agg(lambda values: 0 < np.isinf(values).mean() < 1).any():
        caption += " Where a line is broken, nothing was being forgotten."
    return Drawing(drawing.figure, _join(caption, drawing.caption))


def _stream(results: Results, scenario: str, _: dict[str, str], shown: list[Look]) -> Drawing | None:
    errors = results.streams.get(scenario)
    if errors is None or len(errors) < 2:
        return None
    first = results.first(scenario)
    season = first.dataset.season
    window = rolling_window(len(errors), season // first.protocol.stride if season else None)
    reference = next((e for name in (FROZEN, PERSISTENCE) for e in _bright_of(results, scenario, shown, name)), None)
    events, estimated = results.events_of(scenario), results.estimated_of(scenario)
    drawing = draw_stream(errors, results.times[scenario], events, shown, reference, window, estimated)
    day = rows_per_day(results.times[scenario])
    days = window * first.protocol.stride / day if day else None
    length = count(window, "origin") + (f" ({days:.3g} days)" if days and days >= 2 else "")
    caption = f"Scaled MSE (lower is better), mean over the last {length} and over seeds."
    if window == 1:
        caption = "Scaled MSE at each origin (lower is better), mean over seeds."
    if reference is not None:
        caption += f" Below: the same divided by {reference}'s (under 1 is better than {reference})."
    if estimated:
        caption += " Dotted: change points estimated from the data alone, afterwards; no strategy was told of one."
    return Drawing(drawing.figure, _join(caption, drawing.caption))


def _cost(results: Results, scenario: str, palette: dict[str, str], _: list[Look]) -> Drawing | None:
    points = results.board_of(scenario).merge(results.cost, on=["scenario", "entry"])
    numbers = points[["mse", "stream_s_per_1000"]].to_numpy(dtype=float)
    points = points[(np.isfinite(numbers) & (numbers > 0)).all(axis=1)].head(24)
    if len(points) < 2:
        return None
    persistence = points.loc[points["strategy"] == PERSISTENCE, "mse"]
    return draw_cost(points, palette, float(persistence.iloc[0]) if len(persistence) else None)


def _lead(results: Results, scenario: str, _: dict[str, str], shown: list[Look]) -> Drawing | None:
    here = results.by_lead[results.by_lead["scenario"] == scenario]
    if here["lead"].nunique() < 2:
        return None
    return draw_leads(here, shown)


def _forecasts(results: Results, scenario: str, _: dict[str, str], shown: list[Look]) -> Drawing | None:
    protocol, events = results.first(scenario).protocol, results.events_of(scenario)
    found = {look.entry: results.forecasts(scenario, look.entry) for look in shown if look.bright}
    frames = {entry: frame for entry, frame in found.items() if frame is not None and len(frame)}
    if not frames:
        return None
    first = next(iter(frames.values()))
    channel = _worst_channel(results, scenario, [str(name) for name in first["channel"].unique()])
    lines = {}
    for entry, frame in frames.items():
        line = forecast_line(frame[frame["channel"].astype(str) == channel], protocol.horizon)
        if len(line) > 1:
            lines[entry] = _around_event(line, events)
    if not lines:
        return None
    drawing = draw_forecasts(lines, events, shown, f"{short_name(channel, 40)}, original units")
    caption = f"Grey: truth; colour: forecast (one seed). Channel: {channel}{_why(results, scenario)}."
    apart = spacing(first)
    if apart < protocol.horizon:
        caption += f" Forecasts overlap; shown is lead {protocol.horizon}, the last."
    elif protocol.stride < protocol.horizon:
        caption += f" Forecasts overlap; shown are those that start {apart} rows apart, all leads."
    return Drawing(drawing.figure, _join(caption, drawing.caption))


def _worst_channel(results: Results, scenario: str, kept: list[str]) -> str:
    """Of the channels whose forecasts were kept, the one with the largest share of the error, mean over entries."""
    here = results.by_channel[results.by_channel["scenario"] == scenario]
    shares = here[here["channel"].isin(kept)].groupby("channel", sort=False)["share"].mean()
    return str(shares.idxmax()) if shares.notna().any() else kept[0]


def _why(results: Results, scenario: str) -> str:
    several = len(results.first(scenario).dataset.targets) > 1
    return ", of those kept the one with the largest error" if several else ""


def _around_event(line: pd.DataFrame, events: list[tuple[int, str]]) -> pd.DataFrame:
    """At most `MOST_ROWS` rows of the series, a quarter of them before the drift."""
    first, last = int(line["row"].iloc[0]), int(line["row"].iloc[-1])
    if last - first < MOST_ROWS:
        return line
    middle = (first + last) / 2
    centre = min((row for row, _ in events if first <= row <= last), key=lambda row: abs(row - middle), default=middle)
    start = max(first, int(centre) - MOST_ROWS // 4)
    return line[(line["row"] >= start) & (line["row"] < start + MOST_ROWS)]


def _bright_of(results: Results, scenario: str, shown: list[Look], strategy: str) -> list[str]:
    board = results.board_of(scenario)
    entries = set(board.loc[board["strategy"] == strategy, "entry"])
    return [look.entry for look in shown if look.bright and look.entry in entries]


def _join(*sentences: str) -> str:
    return " ".join(sentence for sentence in sentences if sentence)
