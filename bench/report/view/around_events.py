"""What follows a drift: errors before and after it, over spans of days or of origins."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.analysis import Span, around_events
from bench.report.view.loaded import Results, derived


@derived
def around_drifts(results: Results) -> dict[str, pd.DataFrame]:
    """`around_events` of each scenario that has a drift, unless its truth is known: `known_drifts` has more."""
    found = {}
    for scenario, errors in results.streams.items():
        record = results.first(scenario)
        if record.dataset.truth is not None:
            continue
        table = around_events(
            errors,
            results.events_of(scenario),
            spans_of(results, scenario),
            record.protocol.horizon,
            record.dataset.borders[2],
        )
        if len(table):
            found[scenario] = table
    return found


def spans_of(results: Results, scenario: str) -> list[Span]:
    """What is looked at after a drift: 1, 7 and 28 days, or 10, 50 and 200 origins where a day holds none."""
    stride = results.first(scenario).protocol.stride
    day = rows_per_day(results.times[scenario])
    if day is not None and day >= stride:
        return [Span("1 day", day), Span("7 days", 7 * day), Span("28 days", 28 * day)]
    return [Span(f"{n} origins", n * stride) for n in (10, 50, 200)]


def rows_per_day(times: pd.Series) -> int | None:
    """Rows of a series in a day; None where time stamps are no dates, or rows further apart than a day.

    Args:
        times: Time stamps of some of its rows, by row, in order.
    """
    if len(times) < 2 or not isinstance(times.iloc[0], pd.Timestamp):
        return None
    steps = np.diff(times.to_numpy()) / np.diff(times.index.to_numpy())
    rows = np.timedelta64(1, "D") / np.median(steps)
    return round(float(rows)) if rows >= 0.99 else None
