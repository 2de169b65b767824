"""Who is ahead when: skill over the stream, before and after each known drift, and forecasts around one."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.analysis import BEFORE, forecast_line
from bench.analysis.ratios import NEIGHBOURS
from bench.analysis.streams import spacing
from bench.report.blocks import Block, Heading, Paragraph, Table, escape, paragraphs
from bench.report.figures.canvas import Drawing, short_name
from bench.report.figures.forecasts import draw_forecasts
from bench.report.figures.palette import looks_of
from bench.report.figures.when import draw_when
from bench.report.render.numbers import count, fixed, percent, places, words
from bench.report.section import drawn, register_section
from bench.report.view.detail import in_full
from bench.report.view.error_parts import by_channel
from bench.report.view.loaded import Results
from bench.report.view.when import around_drifts, references_on, rows_per_day, skills_over_time

MOST_EVENTS = 3
MOST_ROWS = 800  # of the series, in a figure of forecasts
ONE_DRIFT = (
    "**One drift is one observation**: the table says what happened around each known drift, in {reference}'s MSE "
    "(scaled) and in skill against {reference}, %. It is no verdict and says nothing about drifts in general. Before: "
    "forecasts that end before the drift, over the longest span. Spans are cut at other drifts."
)
BAND = (
    " Bands, of the best two: 95 % interval of each point by itself, as if stretches were independent (too narrow if "
    "errors persist). They are no test of who is ahead when."
)


@register_section("when", after="known-drift", on_pages=True, in_html=False)
def when(results: Results) -> list[Block]:
    """For each scenario a figure of skill over its stream, and what is known around its drifts."""
    blocks: list[Block] = []
    for scenario in in_full(results):
        alt = f"Skill over the stream of {scenario}"
        around = f"Forecasts and truth around a drift of {scenario}"
        found = [
            *drawn(results, "when", scenario, alt, _figure, results, scenario),
            *_around_drifts(results, scenario),
            *drawn(results, "forecasts", scenario, around, _forecast_figure, results, scenario),
        ]
        if found:
            blocks += [Heading(f"The stream of {escape(scenario)}", 3), *found]
    return [Heading("Who is ahead when"), *blocks] if blocks else []


def _figure(results: Results, scenario: str) -> Drawing | None:
    skills, shown = skills_over_time(results, scenario), looks_of(results, scenario)
    reference = next((look for look in shown if look.entry in references_on(results, scenario).values()), None)
    times = results.times.get(scenario, ())
    if reference is None or len(times) < 2 or not any(look.entry in skills for look in shown):
        return None
    events, estimated = results.events_of(scenario), results.estimated_of(scenario)
    drawing = draw_when(skills, results.times[scenario], events, shown, reference, estimated)
    known = references_on(results, scenario)
    against = list(dict.fromkeys(known[look.entry] for look in shown if look.entry in known))
    own = ", whichever serves the same forecaster" if len(against) > 1 else ""
    caption = f"Skill against {words(against, 'or')}{own}; higher is better. Each point: {_length(results, scenario)}"
    caption += ", none of them across a known drift." if events else "."
    if any(skills[look.entry]["low"].notna().any() for look in shown if look.highlighted and look.entry in skills):
        caption += BAND
    if estimated:
        caption += " Dotted: change points estimated from the data alone, afterwards; no strategy was told of one."
    if missing := len(skills) - sum(look.entry in skills for look in shown):
        caption += f" The best {len(shown)}; {count(missing, 'entry', 'entries')} more not drawn."
    return Drawing(drawing.figure, f"{caption} {drawing.caption}".rstrip())


def _length(results: Results, scenario: str) -> str:
    """Over what a point of the figure is a mean."""
    origins, stride = results.stretch(scenario), results.first(scenario).protocol.stride
    day = rows_per_day(results.times[scenario])
    days = origins * stride / day if day else 0
    length = f"{days:.3g} days" if days >= 2 else count(origins, "origin")
    return f"the mean over {2 * NEIGHBOURS + 1} neighbouring stretches of {length} and over seeds"


def _around_drifts(results: Results, scenario: str) -> list[Block]:
    """A row for each span, a column for each entry in colour."""
    found = around_drifts(results)
    here = found[found["scenario"] == scenario]
    blocks = paragraphs(_without_table(results, scenario, here))
    known = references_on(results, scenario)
    entries = [look.entry for look in looks_of(results, scenario) if look.highlighted and look.entry in known]
    if here.empty or not entries:
        return blocks
    reference = known[entries[0]]
    middle = here.pivot_table(index="row", columns="span", values="mse", aggfunc="median")
    rises = middle.drop(columns=BEFORE).max(axis=1) / middle[BEFORE]
    strongest = rises.sort_values(ascending=False, kind="stable").index[:MOST_EVENTS]
    text = ONE_DRIFT.format(reference=escape(reference))
    if len(rises) > MOST_EVENTS:
        text += f" The {MOST_EVENTS} of {len(rises)} drifts after which the error rose most: tables/drifts.csv has all."
    rows, decimals = [], places(here.loc[here["entry"] == reference, "mse"])
    for _, part in here[here["row"].isin(strongest)].groupby(["row", "span"], sort=False):
        values, (row, event, span, n) = part.set_index("entry"), part[["row", "event", "span", "origins"]].iloc[0]
        cells = [fixed(values["mse"].get(reference, np.nan), decimals)]
        cells += [percent(values["skill"].get(entry, np.nan)) for entry in entries]
        when = f"{escape(event)} ({_when(results, scenario, int(row))})" if span == BEFORE else ""
        rows.append([when, escape(span), f"{n:,}", *cells])
    headers = ["Drift", "forecasts", "n", f"MSE of {escape(reference)} ↓", *(f"{escape(e)} ↑" for e in entries)]
    return [*blocks, Paragraph(text), Table(headers, rows, text_columns=2)]


def _without_table(results: Results, scenario: str, here: pd.DataFrame) -> str:
    """Which drifts no forecast of the stream ended before, or none began after."""
    if scenario not in results.streams:
        return ""
    told = set(here["row"])
    rows = [f"{escape(name)} (row {row:,})" for row, name in results.events_of(scenario) if row not in told]
    if not rows or results.first(scenario).dataset.truth is not None:
        return ""
    return f"Without forecasts on both sides, so not in a table: {words(rows)}."


def _when(results: Results, scenario: str, row: int) -> str:
    """The day of a drift, or its row where there are no dates."""
    if not isinstance(results.times[scenario].iloc[0], pd.Timestamp):
        return f"row {row:,}"
    stamp = next(event.time for event in results.first(scenario).dataset.events if event.row == row)
    return escape(pd.Timestamp(stamp).date())


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
