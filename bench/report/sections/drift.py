"""The stream as time goes by, and what happens after a drift."""

from __future__ import annotations

import pandas as pd

from bench.analysis import forecast_line
from bench.analysis.leaderboard import FROZEN, PERSISTENCE
from bench.analysis.streams import spacing
from bench.report.blocks import Block, Heading, Paragraph, Table, escape, paragraphs
from bench.report.figures.canvas import Drawing, short_name
from bench.report.figures.forecasts import draw_forecasts
from bench.report.figures.palette import looks_of
from bench.report.figures.stream import draw_stream, rolling_window
from bench.report.render.numbers import count, fixed, places, words
from bench.report.section import drawn, register_section
from bench.report.sections.audits import entry_names
from bench.report.view.around_events import around_drifts, rows_per_day, spans_of
from bench.report.view.detail import detail
from bench.report.view.error_parts import by_channel
from bench.report.view.highlight import shown_entries
from bench.report.view.loaded import Results

MOST_EVENTS = 3
MOST_ROWS = 800  # of the series, in a figure of forecasts
HOW_TO_READ = (
    "Scaled MSE (↓), mean over seeds, of the forecasts that start within the first days (or origins) after a known "
    "drift, and of those that end before it. n is the number of forecast origins. Forecasts across the drift "
    "are in neither. A span that would reach the next drift is cut there. ÷ before compares a strategy with "
    "itself: under 1, the series became easier to forecast (a smaller one has smaller errors)."
)


@register_section("stream", after="known-drift", on_pages=True, in_html=False)
def over_the_stream(results: Results) -> list[Block]:
    """The rolling error of each scenario."""
    blocks: list[Block] = []
    for scenario in detail(results).shown:
        alt = f"Rolling error over the stream of {scenario}"
        if shown := drawn(results, "stream", scenario, alt, _stream_figure, results, scenario):
            blocks += [Heading(f"The stream of {escape(scenario)}", 3), *shown]
    return [Heading("Error over the stream"), *blocks] if blocks else []


@register_section("recovery", after="stream", on_pages=True, in_html=False)
def recovery(results: Results) -> list[Block]:
    """Error before and after each known drift, and forecasts around one."""
    blocks: list[Block] = []
    for scenario in detail(results).shown:
        found = around_drifts(results).get(scenario)
        tables = _tables(results, scenario, found) if found is not None else []
        alt = f"Forecasts and truth around a drift of {scenario}"
        shown = drawn(results, "forecasts", scenario, alt, _forecast_figure, results, scenario)
        if tables or shown:
            blocks.append(Heading(f"Drift in {escape(scenario)}", 3))
            blocks += [*tables, *paragraphs(_without_table(results, scenario, found)), *shown]
    return [Heading("After a drift"), Paragraph(HOW_TO_READ), *blocks] if blocks else []


def _tables(results: Results, scenario: str, found: pd.DataFrame) -> list[Block]:
    spans = [span.name for span in spans_of(results, scenario)]
    board = results.board_of(scenario)
    order, ranked = shown_entries(board), set(board.loc[board["rank"].notna(), "entry"])
    rises = found.assign(rise=found[spans].max(axis=1) / found["before"]).groupby("row")["rise"].median()
    strongest = sorted(rises.sort_values(ascending=False, kind="stable").index[:MOST_EVENTS])
    blocks: list[Block] = []
    if len(rises) > MOST_EVENTS:
        text = f"The {MOST_EVENTS} of {len(rises)} drifts after which the error rose most (median over strategies); "
        blocks.append(Paragraph(f"{text}all are in tables/recovery.csv."))
    times = results.times[scenario]
    for row in strongest:
        event = found[found["row"] == row].set_index("entry").reindex(order).dropna(subset=["before"])
        kept = [span for span in spans if event[span].notna().any()]
        n = {part: int(event[f"{part}_origins"].iloc[0]) for part in ("before", *kept)}
        headers = ["Strategy", f"before (n={n['before']:,})", *(f"first {span} (n={n[span]:,})" for span in kept)]
        headers.append(f"first {kept[-1]} ÷ before")
        decimals = places(event[["before", *kept]].to_numpy().ravel())
        columns = [_bold_lowest(event[part], ranked, decimals) for part in ("before", *kept)]
        columns.append([f"{fixed(value, 2)}" for value in event[kept[-1]] / event["before"]])
        names = [entry_names(results)[entry] for entry in event.index]
        blocks.append(Paragraph(f"**{escape(event['event'].iloc[0])}** ({_when(times, int(row))})"))
        blocks.append(Table(headers, list(zip(names, *columns, strict=True))))
    return blocks


def _without_table(results: Results, scenario: str, found: pd.DataFrame | None) -> str:
    """Which drifts no forecast of the stream ended before, or none began after."""
    told = set(found["row"]) if found is not None else set()
    rows = [f"{escape(name)} (row {row:,})" for row, name in results.events_of(scenario) if row not in told]
    if not rows or results.first(scenario).dataset.truth is not None:
        return ""
    what = "forecasts that end before a drift are set beside those that start after it, and the stream lacks one kind"
    return f"No table for {words(rows)}: {what}."


def _bold_lowest(values: pd.Series, ranked: set[str], decimals: int) -> list[str]:
    lowest = values[[entry in ranked for entry in values.index]].min()
    cells = [(fixed(value, decimals), value == lowest and entry in ranked) for entry, value in values.items()]
    return [f"**{cell}**" if best else cell for cell, best in cells]


def _when(times: pd.Series, row: int) -> str:
    later = times[times.index >= row]
    stamp = later.iloc[0]
    text = str(stamp.date()) if isinstance(stamp, pd.Timestamp) else str(stamp)
    return f"row {row:,}, first forecast after it at {escape(text)}"


def _stream_figure(results: Results, scenario: str) -> Drawing | None:
    errors, shown = results.streams.get(scenario), looks_of(results, scenario)
    if not shown or errors is None or len(errors) < 2:
        return None
    first = results.first(scenario)
    season = first.dataset.season
    window = rolling_window(len(errors), season // first.protocol.stride if season else None)
    strategies = results.board_of(scenario).set_index("entry")["strategy"]
    named = [look.entry for look in shown if look.highlighted]
    reference = next((e for name in (FROZEN, PERSISTENCE) for e in named if strategies[e] == name), None)
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
    return Drawing(drawing.figure, f"{caption} {drawing.caption}".rstrip())


def _forecast_figure(results: Results, scenario: str) -> Drawing | None:
    shown = looks_of(results, scenario)
    protocol, events = results.first(scenario).protocol, results.events_of(scenario)
    found = {look.entry: results.forecasts(scenario, look.entry) for look in shown if look.highlighted}
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
    several = len(results.first(scenario).dataset.targets) > 1
    why = ", of those kept the one with the largest error" if several else ""
    caption = f"Grey: truth; colour: forecast (one seed). Channel: {channel}{why}."
    apart = spacing(first)
    if apart < protocol.horizon:
        caption += f" Forecasts overlap; shown is lead {protocol.horizon}, the last."
    elif protocol.stride < protocol.horizon:
        caption += f" Forecasts overlap; shown are those that start {apart} rows apart, all leads."
    return Drawing(drawing.figure, f"{caption} {drawing.caption}".rstrip())


def _worst_channel(results: Results, scenario: str, kept: list[str]) -> str:
    """Of the channels whose forecasts were kept, the one with the largest share of the error, mean over entries."""
    here = by_channel(results)[by_channel(results)["scenario"] == scenario]
    shares = here[here["channel"].isin(kept)].groupby("channel", sort=False)["share"].mean()
    return str(shares.idxmax()) if shares.notna().any() else kept[0]


def _around_event(line: pd.DataFrame, events: list[tuple[int, str]]) -> pd.DataFrame:
    """At most `MOST_ROWS` rows of the series, a quarter of them before the drift."""
    first, last = int(line["row"].iloc[0]), int(line["row"].iloc[-1])
    if last - first < MOST_ROWS:
        return line
    middle = (first + last) / 2
    centre = min((row for row, _ in events if first <= row <= last), key=lambda row: abs(row - middle), default=middle)
    start = max(first, int(centre) - MOST_ROWS // 4)
    return line[(line["row"] >= start) & (line["row"] < start + MOST_ROWS)]
