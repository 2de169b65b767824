"""What runs kept of their streams: errors by origin, channel and lead, traces, forecasts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def mean_over_seeds(streams: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """``(origins, entries)``: each entry's error, mean over seeds, by rising origin; NaN if a seed lacks one."""
    errors = pd.DataFrame({entry: frame.mean(axis=1, skipna=False) for entry, frame in streams.items()})
    return errors.rename_axis(index="origin").sort_index()


def thin(frame: pd.DataFrame, points: int) -> pd.DataFrame:
    """About ``points`` evenly spaced rows of a frame, the first and the last among them."""
    if len(frame) <= points:
        return frame
    return frame.iloc[np.unique(np.linspace(0, len(frame) - 1, points).round().astype(int))]


BEFORE = "before"


class Span(NamedTuple):
    """A stretch of time after a drift: its name, such as ``7 days``, and its length in rows."""

    name: str
    rows: int


class Around(NamedTuple):
    """Forecasts on one side of a drift.

    Attributes:
        row: Of the drift.
        event: Its name.
        span: `BEFORE`, or the name of the span after it.
        origins: Which origins these are, ``(origins,)``.
    """

    row: int
    event: str
    span: str
    origins: NDArray[np.bool_]


def around_events(
    origins: NDArray[np.int64], events: Sequence[tuple[int, str]], spans: Sequence[Span], horizon: int, end: int
) -> list[Around]:
    """The forecasts before each drift and in the first spans after it.

    *After* are origins from the drift's row on; *before* are those whose truth ends by it, over the longest span.
    Forecasts across the drift are in neither. Spans are cut at the neighbouring drift; one that would then add nothing
    to the span before it is left out, and so is a drift without a forecast before or after it.

    Args:
        origins: ``(origins,)``, rising rows.
        events: First row and name of each drift, in order.
        spans: From short to long.
        end: Row where the stream ends.
    """
    found: list[Around] = []
    for i, (row, name) in enumerate(events):
        earlier = events[i - 1][0] if i else int(origins[0])
        later = events[i + 1][0] if i + 1 < len(events) else end
        before = (origins >= max(earlier, row - spans[-1].rows - horizon)) & (origins + horizon <= row)
        reached = row
        parts = [Around(row, name, BEFORE, before)]
        for span in spans:
            stop = min(row + span.rows, later)
            if stop > reached:
                parts.append(Around(row, name, span.name, (origins >= row) & (origins < stop)))
            reached = max(reached, stop)
        if len(parts) > 1 and parts[0].origins.any() and parts[1].origins.any():
            found += parts
    return found


def mean_by(errors: pd.DataFrame, part: str) -> pd.DataFrame:
    """Means over seeds of ``mse`` and ``mae``, by ``scenario``, ``entry`` and ``part``: ``channel`` or ``lead``."""
    return errors.groupby(["scenario", "entry", part], sort=False)[["mse", "mae"]].mean().reset_index()


def error_shares(by_channel: pd.DataFrame) -> pd.DataFrame:
    """Add ``share``: percent of the sum over channels, so what each channel adds to an entry's pooled MSE.

    Args:
        by_channel: Columns ``scenario, entry, channel, mse``.
    """
    total = by_channel.groupby(["scenario", "entry"])["mse"].transform("sum")
    return by_channel.assign(share=100 * by_channel["mse"] / total.where(total > 0))


def median_trace(frames: Iterable[pd.DataFrame], by: Sequence[str] = ()) -> pd.DataFrame:
    """Median over seeds of each reported value at each origin.

    Args:
        frames: For each seed, columns ``origin, time, name, value``.
        by: Further columns, of which each combination has a median of its own.

    Returns:
        Columns ``*by, origin, time, name, value``, sorted by ``by``, ``name`` and ``origin``.
    """
    together = pd.concat(list(frames), ignore_index=True)
    middle = together.groupby([*by, "name", "origin"], sort=True).agg(time=("time", "first"), value=("value", "median"))
    return middle.reset_index()[[*by, "origin", "time", "name", "value"]]


def forecast_line(forecasts: pd.DataFrame, horizon: int) -> pd.DataFrame:
    """One forecast for each row of the series.

    Where forecasts do not overlap all leads are joined; where they do, the last lead is taken.

    Args:
        forecasts: Columns ``origin, time, lead, forecast, truth`` of one channel: leads count from 1, ``time`` is the
            stamp of the row that was forecast.

    Returns:
        Columns ``row, time, forecast, truth``, in time order, with a row of NaN at each gap.
    """
    frame = forecasts.assign(row=forecasts["origin"] + forecasts["lead"] - 1)
    apart = spacing(forecasts)
    if apart < horizon:
        frame = frame[frame["lead"] == frame["lead"].max()]
    frame = frame.sort_values("row", kind="stable")[["row", "time", "forecast", "truth"]].reset_index(drop=True)
    usual = 1 if apart >= horizon else apart
    breaks = frame[frame["row"].diff() > usual].assign(forecast=float("nan"), truth=float("nan"))
    return pd.concat([breaks, frame]).sort_values("row", kind="stable", ignore_index=True)


def spacing(forecasts: pd.DataFrame) -> int:
    """Rows between one origin and the next; a large number where there is only one."""
    steps = np.diff(np.unique(forecasts["origin"].to_numpy()))
    return int(steps.min()) if len(steps) else np.iinfo(np.int64).max
