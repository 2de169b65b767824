"""Zones of times: what is written behind them, and what the clock of a place shows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

MAY_BE_ZONE = r"[A-Za-z\])]\s*$|[+-]\d\d?(?::?\d\d)?\s*$"
ZONE = re.compile(
    r"(?<=[\dMm])\s*"  # the last digit of a time, or its AM or PM
    r"(?:(?P<shift>[+-]\d\d(?::?\d\d)?)|(?P<universal>Z|UTC|GMT)(?P<ahead>[+-]\d\d?(?::?\d\d)?)?|(?P<name>[A-Z]{3,5}))"
    r"(?:\s*\[[^\]]*\]|\s*\([^)]*\))?\s*$"  # [Europe/Berlin], (Central European Standard Time)
)
TIME_OF_DAY = re.compile(r"(?:[:T]\d\d(?:\d\d){0,2}(?:[.,]\d+)?|[AaPp][Mm])$")
ISO_DATE = re.compile(r"\d{4}-\d\d-\d\d")
FARTHEST = 14 * 60  # minutes: Kiribati


@dataclass(frozen=True)
class ZonedTexts:
    """Times, and their zones apart."""

    local: pd.Series[str]  # (T,), the texts without their zones
    offset: NDArray[np.float64]  # (T,), minutes that the written zone is ahead of UTC; NaN where none is written
    named: NDArray[np.bool_]  # (T,), whether the zone is written in letters that do not say an offset, such as CET


def split_zones(texts: pd.Series[str]) -> ZonedTexts:
    """Texts ``(T,)`` without their zones: ``Z``, ``UTC``, ``+01``, ``+0100``, ``+01:00``, ``GMT+0100``, ``CET``."""
    offset, named = np.full(len(texts), np.nan), np.zeros(len(texts), dtype=bool)
    tails = texts.str.slice(-8).str.contains(MAY_BE_ZONE, na=False)
    rows = np.flatnonzero(tails.to_numpy(dtype=bool))
    if not len(rows):
        return ZonedTexts(texts, offset, named)
    local = texts.to_numpy(dtype=object, copy=True)
    for row in rows:
        local[row], offset[row], named[row] = _split(local[row])
    return ZonedTexts(texts.__class__(local, index=texts.index, name=texts.name), offset, named)


def _split(text: str) -> tuple[str, float, bool]:
    """A time without its zone, the zone's minutes, and whether it is only a name."""
    found = ZONE.search(text)
    if found is None:
        return text, np.nan, False
    local, shift = text[: found.start()], found["shift"] or found["ahead"] or "+00"
    if found["name"]:
        return (local, np.nan, True) if ":" in local else (text, np.nan, False)
    digits = shift[1:].replace(":", "")
    hours, minutes = (digits[:-2], digits[-2:]) if len(digits) > 2 else (digits, "0")
    ahead = 60.0 * int(hours) + int(minutes)
    after_date = ISO_DATE.fullmatch(local) and shift[0] == "+"
    if ahead > FARTHEST or (found["shift"] and not (TIME_OF_DAY.search(local) or after_date)):
        return text, np.nan, False
    return local, -ahead if shift[0] == "-" else ahead, False


def to_utc(local: NDArray[np.datetime64], offset: NDArray[np.float64]) -> NDArray[np.datetime64]:
    """Local times ``(T,)`` as UTC, given how many minutes each zone is ahead."""
    ahead: NDArray[np.timedelta64] = (offset * 60).astype("timedelta64[s]")
    return np.subtract(local, ahead)


def are_dates(local: NDArray[np.datetime64]) -> bool:
    """Whether times are days or longer: all at one hour, no two on one day.

    In local time such days have 23 or 25 hours twice a year; as UTC they would not be even.
    """
    days = np.unique(local).astype("datetime64[D]")
    within = local - local.astype("datetime64[D]")
    return bool((within == within[0]).all() and len(days) > 1)


def from_place(
    local: NDArray[np.datetime64], zone: str, groups: list[NDArray[np.int64]]
) -> tuple[NDArray[np.datetime64], NDArray[np.bool_]]:
    """Local times ``(T,)`` of a zone as UTC, NaT if the clock never shows them; and which it shows twice.

    Within the hour that comes twice, the order of rows in each of ``groups`` tells the two apart.

    Raises:
        ValueError: The zone is unknown; or `KeyError`, or `OSError`.
    """
    index = pd.DatetimeIndex(local)
    placed = [
        index.tz_localize(zone, ambiguous=np.full(len(index), first), nonexistent="NaT") for first in (True, False)
    ]
    summer, winter = (stamps.tz_convert("UTC").tz_localize(None).to_numpy().astype(local.dtype) for stamps in placed)
    chosen = summer.copy()
    for rows in groups:
        _follow(chosen, winter, rows)
    return chosen, (summer != winter) & ~np.isnat(summer)


def _follow(chosen: NDArray[np.datetime64], later: NDArray[np.datetime64], rows: NDArray[np.int64]) -> None:
    """Within the repeated hour, take the second time once the first would no longer rise."""
    for previous, row in pairwise(rows):
        if chosen[row] <= chosen[previous] < later[row]:
            chosen[row] = later[row]
