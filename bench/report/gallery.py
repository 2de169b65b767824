"""Which figures a report has, and what goes into each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd

from bench.analysis import forecast_line, fullest
from bench.analysis.forecasts import spacing
from bench.analysis.label_curves import DELAY, SHARE
from bench.analysis.leaderboard import FROZEN, PERSISTENCE
from bench.analysis.pays import REFERENCES
from bench.report.drift_pictures import drift_drawings
from bench.report.figures.canvas import Drawing, drawing_style, save, short_name
from bench.report.figures.contrast import draw_contrasts
from bench.report.figures.cost import draw_cost
from bench.report.figures.forecasts import draw_forecasts
from bench.report.figures.label_curve import draw_label_curve
from bench.report.figures.lead import draw_leads
from bench.report.figures.memory import draw_memory
from bench.report.figures.palette import Look, colours, looks
from bench.report.figures.skill import draw_skills
from bench.report.figures.stream import draw_stream, rolling_window
from bench.report.markdown import count, slug
from bench.report.overview_picture import overview_drawings
from bench.report.rank_pictures import DATASETS, rank_drawings
from bench.report.results import Results
from bench.report.selection import MOST_BRIGHT, MOST_SHOWN

LABEL_FIGURES = {SHARE: "labels", DELAY: "delay"}
MOST_CONTRASTS = 24
MOST_SKILLS = 16
MOST_ROWS = 800  # of the series, in a figure of forecasts


@dataclass(frozen=True)
class Picture:
    """A figure on disk.

    Attributes:
        stem: File name without its ending.
        alt: What it shows, in a few words.
        caption: What to read out of it; plain text.
    """

    stem: str
    alt: str
    caption: str


Gallery = dict[tuple[str, str], Picture]


def draw_figures(results: Results, folder: Path, *, everything: bool = False) -> Gallery:
    """Draw every figure that the results have the data for.

    Args:
        results: The experiment.
        folder: Where ``<stem>.svg`` and ``<stem>.png`` go; made if there is a figure.
        everything: Whether scenarios that have a page of their own get figures too.

    Returns:
        Pictures by scenario and kind: ``contrast``, ``memory``, ``stream``, ``cost``, ``lead``, ``forecasts``; by
        family of label regimes, ``labels`` and ``delay``; of known drifts, by their size, ``worth`` and ``recovery``;
        of `DATASETS`, ``skill`` and ``ranks``; of very many datasets together, ``overview``.
    """
    gallery: Gallery = {}
    palette = colours(results.runs["strategy"])
    with drawing_style():
        scenarios = results.in_detail if everything else results.focus.shown
        for scenario, kind, drawing, alt in chain(
            overview_drawings(results, palette),
            drawings(results, palette, scenarios),
            rank_drawings(results, palette),
            drift_drawings(results, palette),
        ):
            folder.mkdir(parents=True, exist_ok=True)
            picture = Picture(f"{kind}-{slug(scenario)}", alt, drawing.caption)
            save(drawing.figure, folder / picture.stem)
            gallery[scenario, kind] = picture
    folder.mkdir(parents=True, exist_ok=True)
    return gallery


def drawings(
    results: Results, palette: dict[str, str], scenarios: Sequence[str]
) -> Iterator[tuple[str, str, Drawing, str]]:
    """Scenario, kind, figure and what it shows: of these scenarios, and of every family of label regimes."""
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
    if (found := _skills(results, palette)) is not None:
        yield DATASETS, "skill", *found
    for here in (here for here in results.label_families if fullest(here) in scenarios):
        if shown := _label_looks(results, here, palette):
            kind, family = here["kind"].iloc[0], str(here["family"].iloc[0])
            what = "share of labels" if kind == SHARE else "delay of labels"
            yield family, LABEL_FIGURES[kind], draw_label_curve(here, shown), f"Error by {what} on {family}"


def _skills(results: Results, palette: dict[str, str]) -> tuple[Drawing, str] | None:
    """Against frozen, or persistence where there is none; the best of all datasets on top, as many as are shown."""
    panels = results.focus.shown
    found = results.pays[results.pays["scenario"].isin(panels)]
    reference = next((name for name in REFERENCES if (found["reference"] == name).any()), None)
    if reference is None:
        return None
    order = results.overall["entry"].tolist()
    here = found[found["reference"] == reference]
    kept = [entry for entry in order if entry in set(here["entry"])][:MOST_SKILLS]
    here = here[here["entry"].isin(kept)].sort_values("entry", key=lambda names: names.map(order.index), kind="stable")
    drawing = draw_skills(here, reference, palette)
    left = len(results.in_detail) - len(panels)
    more = f" {count(left, 'dataset')} more: see tables/pays.csv." if left else ""
    return Drawing(drawing.figure, drawing.caption + more), f"Skill of each strategy against {reference}"


def _label_looks(results: Results, curves: pd.DataFrame, palette: dict[str, str]) -> list[Look]:
    """What takes labels and frozen in colour, the rest in grey; twelve in all."""
    known = curves[np.isfinite(curves["mse"].astype(float))]
    board = results.board_of(fullest(curves))
    board = board[board["entry"].isin(known["entry"])]
    takers = [e for e in board["entry"] if known.loc[known["entry"] == e, "moves"].any()]
    frozen = board.loc[board["strategy"] == FROZEN, "entry"].head(1).tolist()
    bright = dict.fromkeys([*takers[: MOST_BRIGHT - len(frozen)], *frozen])
    kept = list(dict.fromkeys([*bright, *takers, *board["entry"]]))[:MOST_SHOWN]
    return [replace(look, bright=look.entry in bright) for look in looks(board[board["entry"].isin(kept)], palette)]


def _contrast(results: Results, scenario: str, palette: dict[str, str], _: list[Look]) -> Drawing | None:
    if results.contrasts.empty:
        return None
    here = results.contrasts[results.contrasts["scenario"] == scenario].head(MOST_CONTRASTS)
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
    day = results.rows_per_day(scenario)
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
