"""What may be said of a file of a user's own."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd
from pydantic import NonNegativeInt, PositiveInt, field_validator, model_validator

from bench.contracts.dataset import DatasetConfig
from bench.data.user_files.cells import Cells, NumberFormat
from bench.data.user_files.csv_dialect import Dialect
from bench.data.user_files.known_drifts import KnownDrift
from bench.data.user_files.timestamps import numeric_times, text_times
from bench.data.user_files.timestamps.numeric_times import SINCE

FORM_WORDS = (*text_times.WORDS, *numeric_times.WORDS)
"""What ``time_format`` may be beside letters of ``strptime`` and ``UNIT since DATE``."""


class UserOptions(DatasetConfig):
    """Options; what is None is guessed from the file.

    Attributes:
        path: The file.
        time: The time column; or several that make one side by side, such as a date and a time of day.
        time_format: How times are written: in the letters of ``strptime`` (``%d/%m/%Y %H:%M``); as ``UNIT since DATE``
            where numbers count (``seconds since 1970-01-01``); or as one of the words of `FORM_WORDS`.
        timezone: The zone of times that do not say theirs, such as ``Europe/Berlin``; all times are then UTC.
        id: In a long file, the column that names the series; each becomes a column.
        value: In a long file, the column of values.
        inputs: Columns that a forecaster reads.
        targets: Columns that it forecasts.
        train: Training rows: a number of them, or a fraction of all rows.
        validation: Validation rows after those, likewise; the stream is the rest.
        lookback: Rows that a forecaster reads.
        horizon: Rows that it forecasts.
        season: Rows in one season.
        resample: Means over even steps such as ``1h``; each is stamped with the end of its step.
        irregular: Whether uneven steps are refused, or kept as if they were even.
        missing: What becomes of empty cells: ``refuse``, or ``ffill``, the last value before in the same column.
        longest_gap: Rows of the longest run of empty cells that is filled; None for a horizon.
        na_values: What stands where a value is missing: texts such as ``NA``, and numbers such as ``-200``.
        decimal: The decimal mark of numbers that are text.
        thousands: What parts groups of three digits in them; None for nothing.
        drop: Columns, or series of a long file, that are left out.
        events: Drifts that are known: ``{ time = "2024-05-01", name = "holiday" }`` each; or a CSV file of them.
    """

    path: str
    time: str | tuple[str, ...] | None = None
    time_format: str | None = None
    timezone: str | None = None
    id: str | None = None
    value: str | None = None
    train: float | None = None
    validation: float | None = None
    lookback: PositiveInt | None = None
    horizon: PositiveInt | None = None
    season: PositiveInt | None = None
    resample: str | None = None
    irregular: Literal["refuse", "keep"] = "refuse"
    missing: Literal["refuse", "ffill", "mask"] = "refuse"
    longest_gap: NonNegativeInt | None = None
    na_values: tuple[str | float, ...] = ()
    decimal: Literal[".", ","] = "."
    thousands: Literal[",", ".", " ", "'"] | None = None
    drop: tuple[str, ...] = ()
    events: str | tuple[KnownDrift, ...] = ()

    @field_validator("na_values", "drop", mode="before")
    @classmethod
    def _is_several(cls, value: object) -> object:
        return value if isinstance(value, list | tuple) else (value,)

    @field_validator("time")
    @classmethod
    def _are_columns(cls, value: str | tuple[str, ...] | None) -> str | tuple[str, ...] | None:
        if isinstance(value, tuple) and (not value or len(set(value)) < len(value)):
            raise ValueError("name one column, or several different ones")
        return value

    @field_validator("time_format")
    @classmethod
    def _is_form(cls, value: str | None) -> str | None:
        if value is None or "%" in value or value in FORM_WORDS or SINCE.fullmatch(value):
            return value
        raise ValueError(
            "write it in the letters of strptime, '%d/%m/%Y %H:%M'; as 'seconds since 1970-01-01' (or days, hours, "
            f"minutes, milliseconds, ... since a date); or as one of {', '.join(FORM_WORDS)}"
        )

    @field_validator("train", "validation")
    @classmethod
    def _is_share_or_count(cls, value: float | None) -> float | None:
        if value is not None and not (0 < value < 1 or (value >= 1 and value == int(value))):
            raise ValueError("give a fraction between 0 and 1, or a whole number of rows")
        return value

    @field_validator("resample")
    @classmethod
    def _is_step(cls, value: str | None) -> str | None:
        if value is not None:
            step_of(value)
        return value

    @field_validator("missing")
    @classmethod
    def _is_carried(cls, value: str) -> str:
        if value == "mask":
            raise ValueError(
                "masks are not carried: windows are arrays without gaps to every strategy, and a forecast is scored "
                "against its whole truth; 'ffill' fills without looking ahead"
            )
        return value

    @model_validator(mode="after")
    def _go_together(self) -> UserOptions:
        if (self.id is None) != (self.value is None):
            raise ValueError("id and value go together: id names the column of series, value that of their values")
        if self.id is not None and self.time is None:
            raise ValueError("a long file needs its time column named, too: time = '...'")
        if self.id is not None and len({self.id, self.value, *self.time_columns}) < 2 + len(self.time_columns):
            raise ValueError("id, value and time are three different columns")
        if self.decimal == self.thousands:
            raise ValueError(f"decimal and thousands are both {self.decimal!r}: one mark cannot be both")
        if both := {*self.drop} & {*(self.inputs or ()), *(self.targets or ()), *self.time_columns}:
            raise ValueError(f"{min(both)!r} is to be left out (drop) and to be used")
        return self

    @property
    def cells(self) -> Cells:
        """How cells are read."""
        return Cells(NumberFormat(self.decimal, self.thousands), self.na_values)

    @property
    def time_columns(self) -> tuple[str, ...]:
        """The columns of the time that the user named."""
        return (self.time,) if isinstance(self.time, str) else self.time or ()

    @property
    def named_as_text(self) -> tuple[str, ...]:
        """Columns whose cells are names, even if they look like numbers."""
        return () if self.id is None else (self.id,)


class CsvOptions(UserOptions):
    r"""Options of a CSV file, besides.

    Attributes:
        sep: What stands between cells, such as ``;``; ``\t`` for a tab.
        comment: What lines begin with that are none of the table.
        skiprows: Lines above the header.
    """

    sep: str = ","
    comment: str | None = None
    skiprows: NonNegativeInt = 0

    @field_validator("sep")
    @classmethod
    def _is_one_character(cls, value: str) -> str:
        value = {"\\t": "\t", "tab": "\t"}.get(value, value)
        if len(value) != 1 or value in '"\r\n' or value.isalnum():
            raise ValueError("give one character that stands between cells, such as ';', '|' or '\\t'")
        return value

    @field_validator("comment")
    @classmethod
    def _is_some_mark(cls, value: str | None) -> str | None:
        if value is not None and (not value.strip() or '"' in value):
            raise ValueError("give what comments begin with, such as '#'")
        return value

    @property
    def dialect(self) -> Dialect:
        """How the file is written."""
        return Dialect(self.sep, self.comment and self.comment.strip(), self.skiprows)


def step_of(text: str) -> np.timedelta64:
    """The length that ``1h``, ``15min`` or ``1D`` stands for, in whole seconds; `ValueError` if it is not fixed."""
    try:
        step = pd.Timedelta(text)
        length = step.total_seconds()
    except (ValueError, OverflowError):
        length = 0.0
    if not length >= 1 or length != int(length):
        raise ValueError("give a fixed step in whole seconds, such as '1h', '15min' or '1D'")
    return np.timedelta64(int(length), "s")
