"""Who is ahead when: skill over the stream, and before and after each known drift."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.analysis import Span, around_events, skill_along, skill_within
from bench.report.view.comparisons import REFERENCES, skill_table
from bench.report.view.loaded import Results, derived

COLUMNS = ["scenario", "row", "event", "span", "origins", "entry", "mse", "against", "skill"]


def references_on(results: Results, scenario: str) -> dict[str, str]:
    """What each ranked entry is compared with, and is not itself: frozen, or else persistence."""
    here = skill_table(results)
    here = here[here["scenario"] == scenario]
    for reference in REFERENCES:
        found = here[here["reference"] == reference]
        if len(found):
            return dict(zip(found["entry"], found["against"], strict=True))
    return {}


def skills_over_time(results: Results, scenario: str) -> dict[str, pd.DataFrame]:
    """`skill_along` of each entry of a scenario, in percent."""
    errors, stretch = results.errors_by_seed(scenario), results.stretch(scenario)
    changes = [row for row, _ in results.events_of(scenario)]
    found = {
        entry: 100 * skill_along(errors[entry], errors[against], stretch, changes)
        for entry, against in references_on(results, scenario).items()
    }
    return {entry: along for entry, along in found.items() if len(along)}


@derived
def around_drifts(results: Results) -> pd.DataFrame:
    """Before and after each known drift, unless its truth is known: `known_drifts` has more.

    Returns:
        Columns `COLUMNS`: ``span`` is ``before`` or the first days or origins after the drift, ``origins`` the number
        of forecasts in it, ``mse`` the mean over them and over seeds, ``skill`` against ``against`` in percent.
    """
    rows = []
    for scenario, errors in results.streams.items():
        first, by_seed = results.first(scenario), results.errors_by_seed(scenario)
        if first.dataset.truth is not None:
            continue
        events, spans = results.events_of(scenario), spans_of(results, scenario)
        references, stretch = references_on(results, scenario), results.stretch(scenario)
        origins = errors.index.to_numpy()
        for around in around_events(origins, events, spans, first.protocol.horizon, first.dataset.borders[2]):
            here = origins[around.origins]
            means = errors.loc[here].mean(skipna=False)
            for entry, mse in means.items():
                against = references.get(str(entry), "")
                skill = np.nan
                if against:
                    one, other = (by_seed[name][by_seed[name].index.isin(here)] for name in (str(entry), against))
                    skill = 100 * skill_within(one, other, stretch)
                rows.append((scenario, *around[:3], len(here), entry, mse, against, skill))
    return pd.DataFrame(rows, columns=COLUMNS)


def spans_of(results: Results, scenario: str) -> list[Span]:
    """What is looked at after a drift: 7 and 28 days, or 50 and 200 origins where a day holds none."""
    stride = results.first(scenario).protocol.stride
    day = rows_per_day(results.times[scenario])
    if day is not None and day >= stride:
        return [Span(f"first {n} days", n * day) for n in (7, 28)]
    return [Span(f"first {n} origins", n * stride) for n in (50, 200)]


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
