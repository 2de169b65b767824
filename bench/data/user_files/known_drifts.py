"""Drifts that a user knows of, by date and name, as rows of a series."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field

from bench.contracts.config import Config, build
from bench.contracts.errors import BenchError
from bench.contracts.series import DriftEvent
from bench.data.user_files.csv_table import read_csv
from bench.data.user_files.timestamps.time_grid import Times
from bench.data.user_files.timestamps.time_zones import are_dates


class KnownDrift(Config):
    """A drift that is known.

    Attributes:
        time: When it began: a date, or a date and a time of day; a number where the rows are only counted.
        name: What happened, in a few words.
        kind: ``abrupt`` or ``gradual``.
    """

    time: int | str
    name: str = Field(min_length=1, max_length=60)
    kind: Literal["abrupt", "gradual"] = "abrupt"


def known_drifts(
    path: Path, said: str | tuple[KnownDrift, ...], time: Times, zone: str | None
) -> tuple[DriftEvent, ...]:
    """The drifts, in order of their rows: each begins at the first row at its time or later.

    Args:
        path: The user's file, for messages.
        said: The drifts; or a CSV file with the columns ``time``, ``name`` and perhaps ``kind``.
        time: ``(T,)`` the rows' times.
        zone: The zone of times that do not say theirs; None: they are as the rows' are.

    Raises:
        BenchError: A time cannot be read, or is not within the series; or the file is not one of drifts.
    """
    drifts = _read(Path(said).expanduser()) if isinstance(said, str) else said
    rows = [_row(path, drift, time, zone) for drift in drifts]
    events = [DriftEvent(row, drift.name, drift.kind) for row, drift in zip(rows, drifts, strict=True)]
    return tuple(sorted(events, key=lambda event: event.row))


def _read(file: Path) -> tuple[KnownDrift, ...]:
    table = read_csv(file, text=("name",))
    table.require_columns(("time", "name"))
    rows = table.frame.to_dict("records")
    return tuple(
        build(KnownDrift, {str(key): value for key, value in row.items() if not pd.isna(value)}, f"{file}: row {place}")
        for place, row in enumerate(rows, table.first_row)
    )


def _row(path: Path, drift: KnownDrift, time: Times, zone: str | None) -> int:
    who = f"{path}: the drift {drift.name!r}"
    is_dated = time.dtype.kind == "M"
    try:
        when = _moment(str(drift.time), time.astype("datetime64[us]"), zone) if is_dated else np.int64(drift.time)
    except (ValueError, OverflowError):
        wanted = "a date, such as 2024-05-01 or 2024-05-01 14:00" if is_dated else "a number, as the rows are counted"
        raise BenchError(f"{who}: its time {drift.time!r} is not {wanted}.") from None
    if not time[0] <= when <= time[-1]:
        raise BenchError(f"{who}: its time {drift.time} is not within the rows, {time[0]} to {time[-1]}.")
    return int(np.searchsorted(time, when))


def _moment(text: str, time: NDArray[np.datetime64], zone: str | None) -> np.datetime64:
    """A time as the rows have it: in UTC where it has a zone, or one is given; but dates are dates of their place."""
    stamp = pd.Timestamp(text)
    if pd.isna(stamp):
        raise ValueError(text)
    if are_dates(time):
        return stamp.tz_localize(None).to_datetime64()
    if stamp.tzinfo is None and zone is not None:
        stamp = stamp.tz_localize(zone, ambiguous=True, nonexistent="shift_forward")
    if stamp.tzinfo is not None:
        stamp = stamp.tz_convert("UTC").tz_localize(None)
    return stamp.to_datetime64()
