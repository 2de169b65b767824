"""Forecasts of many origins and leads as one line that can be drawn over the truth."""

from __future__ import annotations

from typing import Any

import pandas as pd


def forecast_line(forecasts: pd.DataFrame, stride: int, horizon: int) -> pd.DataFrame:
    """One forecast for each row of the series.

    Where forecasts do not overlap (``stride >= horizon``) all leads are joined; where they do, the last lead is
    taken: every row as it was forecast the longest time ahead.

    Args:
        forecasts: Columns ``origin, time, lead, forecast, truth`` of one channel. Leads count from 1 (or all from
            0); ``time`` is the stamp of the origin, or of the row that was forecast.
        stride: Rows between two origins.
        horizon: Rows of a forecast.

    Returns:
        Columns ``row`` (that was forecast), ``time`` (its stamp), ``forecast``, ``truth``, in time order. A row of
        NaN stands where rows were not forecast.
    """
    lead = forecasts["lead"] - (0 if (forecasts["lead"] == 0).any() else 1)
    frame = forecasts.assign(lead=lead, row=forecasts["origin"] + lead)
    frame["time"] = frame["time"] + _behind(frame) * frame["lead"]
    if stride < horizon:
        frame = frame[frame["lead"] == frame["lead"].max()]
    frame = frame.sort_values("row", kind="stable")[["row", "time", "forecast", "truth"]].reset_index(drop=True)
    usual = 1 if stride >= horizon else stride
    breaks = frame[frame["row"].diff() > usual].assign(forecast=float("nan"), truth=float("nan"))
    return pd.concat([breaks, frame]).sort_values("row", kind="stable", ignore_index=True)


def _behind(frame: pd.DataFrame) -> Any:
    """What one row adds to a time stamp, where stamps are those of origins; nothing where they are the rows' own."""
    stamps = frame.groupby("origin")["time"].agg(["first", "nunique"])
    zero = stamps["first"].iloc[0] - stamps["first"].iloc[0]
    if len(stamps) < 2 or (stamps["nunique"] > 1).any():
        return zero
    steps = stamps["first"].diff().iloc[1:] / stamps.index.to_series().diff().iloc[1:]
    return steps.median()
