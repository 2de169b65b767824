"""Whether a column of a user's file looks like its time, and how to say so where it is not read."""

from __future__ import annotations

import re
from typing import Any

import pandas as pd

from bench.data.user_files.timestamps.numeric_times import as_numbers, clock_reading, says_time
from bench.data.user_files.timestamps.text_times import (
    BY_CELL,
    Reading,
    looks_like_time,
    read_texts,
    span_starts,
    text_readings,
)
from bench.data.user_files.timestamps.time_zones import ZonedTexts, split_zones
from bench.data.user_files.user_table import UserTable

HOUR = re.compile(r"\d{1,2}:\d\d(:\d\d([.,]\d+)?)?( ?[AaPp][Mm])?")


def holds_dates(column: pd.Series[Any]) -> bool:
    """Whether most of a column's first thousand cells are dates."""
    if column.dtype.kind == "M" or not _is_text(column):
        return column.dtype.kind == "M"
    return bool(text_readings(split_texts(column.dropna().head(1000)).local))


def holds_number_times(column: pd.Series[Any], name: str) -> str:
    """The format in which a column's numbers say the time, as `clock_reading` judges; empty if they do not."""
    numbers = as_numbers(column)
    reading = None if numbers is None else clock_reading(numbers, name, chosen=False)
    return "" if reading is None else reading.form


def unread_hint(table: UserTable, name: str) -> str:
    """The options that read texts of an unknown format; empty if they do not look like times."""
    column = table.frame[name]
    if not _is_text(column):
        return ""
    first = split_texts(column.dropna().head(1)).local.iloc[0]
    if not looks_like_time(first) and not (says_time(name) and any(letter.isdigit() for letter in first)):
        return ""
    if HOUR.fullmatch(first):
        return "It is a time of day: add a column of dates"
    options = by_cell_hint(table, name) or f"time = {name!r}, time_format = '...' (in the letters of strptime)"
    return f"If it is the time, say so: {options}"


def by_cell_hint(table: UserTable, name: str) -> str:
    """The options that read each cell by itself; empty if that does not give rising times."""
    local = split_texts(table.frame[name]).local
    readings = [Reading(form, read_texts(local, form)) for form in BY_CELL]
    good = [reading for reading in readings if reading.fit[:2] == (len(local), True)]
    if len(good) == 2 and (good[0].stamps == good[1].stamps).all():
        good = good[:1]
    forms = " or ".join(f"time_format = {reading.form!r}" for reading in good)
    return f"time = {name!r}, {forms} (each cell is read by itself)" if good else ""


def split_texts(column: pd.Series[Any]) -> ZonedTexts:
    """The cells as texts: the first moments of spans, without their zones."""
    text = column.map(str, na_action="ignore").astype("str")
    starts = span_starts(text)
    return split_zones(text if starts is None else starts)


def _is_text(column: pd.Series[Any]) -> bool:
    return column.dtype.kind in "OT" and isinstance(next(iter(column.dropna()), None), str)
