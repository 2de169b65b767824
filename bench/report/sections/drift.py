"""The stream as time goes by, and what happens after a drift."""

from __future__ import annotations

import pandas as pd

from bench.report.gallery import Gallery
from bench.report.gallery.links import picture
from bench.report.render.markdown import escape, table, words
from bench.report.render.numbers import fixed, places
from bench.report.view.around_events import spans_of
from bench.report.view.highlight import shown_entries
from bench.report.view.loaded import Results

MOST_EVENTS = 3


def over_the_stream(results: Results, gallery: Gallery) -> list[str]:
    """Blocks: the rolling error of each scenario."""
    blocks = []
    for scenario in results.focus.shown:
        if shown := picture(gallery, scenario, "stream"):
            blocks += [f"### The stream of {escape(scenario)}", *shown]
    return ["## Error over the stream", *blocks] if blocks else []


def recovery(results: Results, gallery: Gallery) -> list[str]:
    """Blocks: error before and after each known drift, and forecasts around one."""
    blocks = []
    for scenario in results.focus.shown:
        found = results.recovery.get(scenario)
        tables = _tables(results, scenario, found) if found is not None else []
        shown = picture(gallery, scenario, "forecasts")
        if tables or shown:
            blocks += [f"### Drift in {escape(scenario)}", *tables, *_untold(results, scenario, found), *shown]
    if not blocks:
        return []
    return [
        "## After a drift",
        "Scaled MSE (↓), mean over seeds, of the forecasts that start within the first days (or origins) after a known "
        "drift, and of those that end before it. n is the number of forecast origins. Forecasts across the drift "
        "are in neither. A span that would reach the next drift is cut there. ÷ before compares a strategy with "
        "itself: under 1, the series became easier to forecast (a smaller one has smaller errors).",
        *blocks,
    ]


def _tables(results: Results, scenario: str, found: pd.DataFrame) -> list[str]:
    spans = [span.name for span in spans_of(results, scenario)]
    board = results.board_of(scenario)
    order, ranked = shown_entries(board), set(board.loc[board["rank"].notna(), "entry"])
    rises = found.assign(rise=found[spans].max(axis=1) / found["before"]).groupby("row")["rise"].median()
    strongest = sorted(rises.sort_values(ascending=False, kind="stable").index[:MOST_EVENTS])
    blocks = []
    if len(rises) > MOST_EVENTS:
        blocks.append(
            f"The {MOST_EVENTS} of {len(rises)} drifts after which the error rose most (median over strategies); "
            "all are in tables/recovery.csv."
        )
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
        names = [results.names[entry] for entry in event.index]
        when = _when(times, int(row))
        blocks += [
            f"**{escape(event['event'].iloc[0])}** ({when})",
            table(headers, list(zip(names, *columns, strict=True))),
        ]
    return blocks


def _untold(results: Results, scenario: str, found: pd.DataFrame | None) -> list[str]:
    """Which drifts no forecast of the stream ended before, or none began after."""
    told = set(found["row"]) if found is not None else set()
    rows = [f"{escape(name)} (row {row:,})" for row, name in results.events_of(scenario) if row not in told]
    if not rows or results.first(scenario).dataset.truth is not None:
        return []
    what = "forecasts that end before a drift are set beside those that start after it, and the stream lacks one kind"
    return [f"No table for {words(rows)}: {what}."]


def _bold_lowest(values: pd.Series, ranked: set[str], decimals: int) -> list[str]:
    lowest = values[[entry in ranked for entry in values.index]].min()
    cells = [(fixed(value, decimals), value == lowest and entry in ranked) for entry, value in values.items()]
    return [f"**{cell}**" if best else cell for cell, best in cells]


def _when(times: pd.Series, row: int) -> str:
    later = times[times.index >= row]
    stamp = later.iloc[0]
    text = str(stamp.date()) if isinstance(stamp, pd.Timestamp) else str(stamp)
    return f"row {row:,}, first forecast after it at {escape(text)}"
