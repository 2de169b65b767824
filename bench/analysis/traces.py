"""What strategies said of themselves while they served."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd


def median_trace(frames: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Median over seeds of what was said at each origin.

    Args:
        frames: For each seed, columns ``origin, time, name, value``.

    Returns:
        The same columns, a row for each name and origin, in that order.
    """
    together = pd.concat(list(frames), ignore_index=True)
    middle = together.groupby(["name", "origin"], sort=True).agg(time=("time", "first"), value=("value", "median"))
    return middle.reset_index()[["origin", "time", "name", "value"]]
