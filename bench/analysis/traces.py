"""What strategies said of themselves while they served."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pandas as pd


def median_trace(frames: Iterable[pd.DataFrame], by: Sequence[str] = ()) -> pd.DataFrame:
    """Median over seeds of what was said at each origin.

    Args:
        frames: For each seed, columns ``origin, time, name, value``.
        by: Further columns, of which each combination has a median of its own.

    Returns:
        The same columns, those of ``by`` first, a row for each of their combinations, name and origin, in that order.
    """
    together = pd.concat(list(frames), ignore_index=True)
    middle = together.groupby([*by, "name", "origin"], sort=True).agg(time=("time", "first"), value=("value", "median"))
    return middle.reset_index()[[*by, "origin", "time", "name", "value"]]
