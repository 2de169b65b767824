"""Forecasts of many origins and leads as one line that can be drawn over the truth."""

from __future__ import annotations

import numpy as np
import pandas as pd


def forecast_line(forecasts: pd.DataFrame, horizon: int) -> pd.DataFrame:
    """One forecast for each row of the series.

    Where forecasts do not overlap all leads are joined; where they do, the last lead is taken: every row as it was
    forecast the longest time ahead.

    Args:
        forecasts: Columns ``origin, time, lead, forecast, truth`` of one channel: leads count from 1, ``time`` is the
            stamp of the row that was forecast.
        horizon: Rows of a forecast.

    Returns:
        Columns ``row`` (that was forecast), ``time``, ``forecast``, ``truth``, in time order. A row of NaN stands
        where rows were not forecast.
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
    """Rows between one origin and the next; a large number where there is one only."""
    steps = np.diff(np.unique(forecasts["origin"].to_numpy()))
    return int(steps.min()) if len(steps) else np.iinfo(np.int64).max
