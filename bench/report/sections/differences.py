"""How a paired difference is printed."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.report.render.numbers import NONE, UNDEFINED, fixed, percent

EACH_FOR_ITSELF = "Each interval stands for itself: of twenty, one may miss by chance."

PERCENT = (
    "In %: all three as shares of the other's mean MSE, which is not resampled, so that an end may lie beyond "
    "\N{MINUS SIGN}100."
)

CLEAR = ("lower", "higher")
"""Verdicts whose interval does not hold 0."""


def difference_cells(row: pd.Series, decimals: int) -> list[str]:
    """The difference and its share in percent (undefined of no error), each with its interval where it has one."""
    interval = _interval(fixed(row["low"], decimals), fixed(row["high"], decimals))
    share = _interval(percent(row["percent_low"]), percent(row["percent_high"]))
    no_share = np.isfinite(row["difference"]) and np.isnan(row["percent"])  # the other has no error
    in_percent = UNDEFINED if no_share else f"{percent(row['percent'])} {share}".rstrip()
    return [f"{fixed(row['difference'], decimals)} {interval}".rstrip(), in_percent]


def answer_cell(row: pd.Series, answers: dict[str, str]) -> str:
    """The verdict in words, bold where it is clear."""
    text = answers[row["verdict"]]
    return f"**{text}**" if row["verdict"] in CLEAR else text


def origins_cell(row: pd.Series) -> str:
    """How many origins were compared, and how many are resampled together."""
    return f"{row['origins']:,} ({row['block']:,} at a time)"


def _interval(low: str, high: str) -> str:
    return "" if NONE in (low, high) else f"[{low}, {high}]"
