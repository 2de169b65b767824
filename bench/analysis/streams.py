"""Error as time goes by: over the stream, and around known drifts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd


def mean_over_seeds(streams: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Error at every origin.

    Args:
        streams: For each entry, ``(origins, seeds)`` MSE, scaled, index origin, a column for each seed.

    Returns:
        Index ``origin``, rising; a column for each entry: the mean MSE over its seeds, NaN where a seed lacks one.
    """
    errors = pd.DataFrame({entry: frame.mean(axis=1, skipna=False) for entry, frame in streams.items()})
    return errors.rename_axis(index="origin").sort_index()


def rolling_error(errors: pd.DataFrame, window: int) -> pd.DataFrame:
    """Mean over the last ``window`` origins, that one included; nothing ahead of it.

    Args:
        errors: ``(origins, entries)``.
        window: Origins.

    Returns:
        ``(origins - window + 1, entries)``: it starts where the first window is full.
    """
    return errors.rolling(window).mean().iloc[window - 1 :]


def thin(frame: pd.DataFrame, points: int) -> pd.DataFrame:
    """About ``points`` evenly spaced rows of a frame, the first and the last among them."""
    if len(frame) <= points:
        return frame
    return frame.iloc[np.unique(np.linspace(0, len(frame) - 1, points).round().astype(int))]


@dataclass(frozen=True)
class Span:
    """A stretch of time after a drift.

    Attributes:
        name: Such as ``7 days``.
        rows: Its length.
    """

    name: str
    rows: int


def around_events(
    errors: pd.DataFrame, events: Sequence[tuple[int, str]], spans: Sequence[Span], horizon: int, end: int
) -> pd.DataFrame:
    """Mean error before each drift and in the first spans after it.

    *After* are origins from the drift's row on; *before* are those whose truth ends by it, over the longest span.
    Forecasts across the drift are in neither. No span reaches into the neighbouring drift's time: it is cut there,
    and one that would add nothing to the span before it is NaN.

    Args:
        errors: ``(origins, entries)``, index ``origin``.
        events: First row and name of each drift, in order.
        spans: From short to long.
        horizon: Rows of a forecast.
        end: Row where the stream ends.

    Returns:
        Columns ``row, event, entry, before, before_origins``, and for each span ``<name>`` and ``<name>_origins``
        (the number of origins in it). Drifts without a forecast before or after them are left out.
    """
    origins = errors.index.to_numpy()
    rows = []
    for i, (row, name) in enumerate(events):
        earlier = events[i - 1][0] if i else int(origins[0])
        later = events[i + 1][0] if i + 1 < len(events) else end
        before = (origins >= max(earlier, row - spans[-1].rows - horizon)) & (origins + horizon <= row)
        parts = {"before": before}
        reached = row
        for span in spans:
            stop = min(row + span.rows, later)
            parts[span.name] = (origins >= row) & (origins < stop) & (stop > reached)
            reached = max(reached, stop)
        if not before.any() or not parts[spans[0].name].any():
            continue
        means = pd.DataFrame({part: errors[mask].mean(skipna=False) for part, mask in parts.items()})
        for part, mask in parts.items():
            means[f"{part}_origins"] = int(mask.sum())
        means.insert(0, "event", name)
        means.insert(0, "row", row)
        rows.append(means.rename_axis("entry").reset_index())
    return pd.concat(rows, ignore_index=True) if rows else pd.DataFrame()
