"""A user's time column, or several joined, as time stamps: formats found, zones converted, faults named."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.contracts.errors import BenchError
from bench.data.user_files.cells import is_numeric
from bench.data.user_files.timestamps.numeric_times import (
    COUNT,
    UNIX,
    Numbers,
    as_numbers,
    clock_reading,
    counts_rows,
    is_of_numbers,
    read_numbers,
)
from bench.data.user_files.timestamps.text_times import (
    ISO,
    Stamps,
    ends_days,
    read_texts,
    span_starts,
    text_readings,
)
from bench.data.user_files.timestamps.time_grid import Times, seconds
from bench.data.user_files.timestamps.time_recognition import by_cell_hint, split_texts, unread_hint
from bench.data.user_files.timestamps.time_zones import ZonedTexts, are_dates, from_place, to_utc
from bench.data.user_files.user_table import OTHER_TIME, UserTable, first_cell, is_number

LETTERS = {"Q": "quarters?|qtr", "W": "weeks?|wk"}  # what stands before a number whose column is called so
MIDNIGHT = r"[ T]00:00(?::00(?:\.0+)?)?$"


def joined(table: UserTable, names: tuple[str, ...]) -> tuple[UserTable, str]:
    """The table with one more column, the cells of several joined by blanks, and its name; one column stays as it is.

    Whole numbers are padded, so that 30 and 930 are 0030 and 0930, or ``Q1`` and ``W05`` in a column of that name; a
    date loses its midnight.
    """
    if len(names) == 1:
        return table, names[0]
    text = reduce(lambda left, right: left + " " + right, (_cells(table.frame[name], name) for name in names))
    name = " + ".join(names)
    return replace(table, frame=pd.concat([table.frame, text.rename(name)], axis=1)), name


def _cells(column: pd.Series[Any], name: str) -> pd.Series[str]:
    numbers = as_numbers(column)
    if numbers is not None and numbers.dtype.kind == "i" and numbers.min() >= 0:
        letter = next((letter for letter, called in LETTERS.items() if re.fullmatch(called, name, re.IGNORECASE)), "")
        width = 1 if letter == "Q" else max(2, len(str(int(numbers.max()))))
        cells = [f"{letter}{number:0{width}d}" for number in numbers.tolist()]
        return column.__class__(cells, index=column.index, dtype="str")
    text = column.map(str, na_action="ignore").astype("str").str.strip()
    is_date = bool(text.str.contains(MIDNIGHT, na=False).all())
    return text.str.replace(MIDNIGHT, "", regex=True) if is_date else text


Rows = NDArray[np.int64]
SAY_FORMAT = "Say its format, time_format = '%Y-%m-%d %H:%M'"


@dataclass(frozen=True)
class Clock:
    """The time of each row."""

    columns: tuple[str, ...]  # those it was read from; none where rows are only counted
    values: Times  # (T,) datetime64 (UTC where a zone is known, unless rows are days) or integers
    notes: tuple[str, ...]  # how it was found, and what was done to it

    @property
    def name(self) -> str:
        """Its name in messages."""
        return " + ".join(self.columns)


@dataclass(frozen=True)
class TimeOptions:
    """What the user said of the time column; None is detected."""

    form: str | None = None  # its format, as time_format takes it
    zone: str | None = None  # the zone of times that do not say theirs, such as Europe/Berlin


def spelled(names: tuple[str, ...]) -> str:
    """Columns in the syntax of the option ``time``."""
    return repr(names[0]) if len(names) == 1 else repr(list(names))


def read_times(
    table: UserTable, names: tuple[str, ...], options: TimeOptions, reason: str = "", groups: list[Rows] | None = None
) -> Clock:
    """Time from a column, or from several side by side. It need not rise.

    Args:
        table: The file.
        names: The columns.
        options: What the user said of them.
        reason: Why they were chosen, for the notes; empty if the user named them.
        groups: The rows of each series, in the file's order; None for one series.

    Raises:
        BenchError: A cell is not a time, or its format or zone is ambiguous.
    """
    whole, name = joined(table, names)
    groups = [np.arange(len(table.frame))] if groups is None else groups
    column = _TimeColumn(whole, name, names, options, groups, not reason, [])
    if reason:
        column.note(reason)
    return Clock(names, column.read(), tuple(column.notes))


@dataclass(frozen=True)
class _TimeColumn:
    """A column that is being read as a clock; `notes` collects what is found and done."""

    table: UserTable
    name: str  # what messages call the column
    names: tuple[str, ...]  # the columns that it was made of
    options: TimeOptions  # what the user said of it
    groups: list[Rows]
    chosen: bool  # whether the user named it
    notes: list[str]  # what was found and done

    @property
    def cells(self) -> pd.Series[Any]:
        return self.table.frame[self.name]

    @property
    def rows(self) -> Rows:
        """Rows of the longest series, by which formats are compared."""
        return max(self.groups, key=len)

    def note(self, text: str) -> None:
        self.notes.append(f"time column {self.name!r}: {text}")

    def require(self, good: NDArray[np.bool_], wanted: str, otherwise: str = OTHER_TIME) -> None:
        self.table.require_all(self.name, good, wanted, otherwise)

    def read(self) -> Times:
        form = self.options.form
        if self.cells.dtype.kind == "M":
            return self._of_dates()
        if form is None:
            return (
                self._of_numbers() if is_numeric(self.cells) or is_number(first_cell(self.cells)) else self._of_text()
            )
        try:
            return self._of_numbers() if is_numeric(self.cells) or is_of_numbers(form) else self._of_text()
        except (ValueError, re.error) as error:
            raise BenchError(f"{self.table.path}: time_format = {form!r} is no format of times ({error}).") from None

    def _of_dates(self) -> Times:
        self.require(self.cells.notna().to_numpy(), "a date")
        if self.cells.dt.tz is None:
            return self._placed(self.cells.to_numpy())
        local = self.cells.dt.tz_localize(None).to_numpy()
        ahead = local - self.cells.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy()
        return self._placed(local, ahead / np.timedelta64(1, "m"))

    def _of_numbers(self) -> Times:
        found, form = as_numbers(self.cells), self.options.form
        numbers = self.table.numbers(self.name, OTHER_TIME, may_be_empty=False) if found is None else found
        self.require(np.isfinite(numbers), "a number")
        if form is None:
            reading = clock_reading(numbers[self.rows], self.name, chosen=self.chosen)
            form = COUNT if reading is None else reading.form
        if form == COUNT or UNIX in form:
            self._refuse_zone()
        if form == COUNT:
            return self._counted(numbers)
        stamps = read_numbers(numbers, form)
        self.require(~np.isnat(stamps), f"a date like {form}")
        if self.options.form is None:
            self.note(f"its numbers are read as {form}, from {stamps[0].astype('datetime64[s]')}")
        return self._placed(stamps)

    def _counted(self, numbers: Numbers) -> NDArray[np.int64]:
        if numbers.dtype.kind == "i":
            return numbers.astype("int64")
        if counts_rows(numbers) and numbers[-1] > numbers[0]:
            self.note("not in whole numbers, so rows are counted instead")
            return np.arange(len(numbers), dtype=np.int64)
        steps = np.diff(numbers)
        row = int(np.argmax(~np.isclose(steps, steps[0], rtol=1e-6, atol=0))) + 1 if len(steps) else 0
        raise BenchError(
            f"{self.table.where(row, self.name)}: {self.cells.iloc[row]} is not one step after the row before, and "
            f"times that are not whole numbers must rise evenly. Fix the column, or {OTHER_TIME}."
        )

    def _of_text(self) -> Times:
        zoned, form = split_texts(self.cells), self.options.form
        if form is None:
            form = self._found_form(zoned.local)
            stamps = read_texts(zoned.local, form)
        else:
            stamps, zoned = _as_said(self.cells.map(str, na_action="ignore").astype("str"), zoned, form)
        if np.isnat(stamps).any():
            wanted = "a date" if self.options.form is None else f"a date like {form}"
            by_cell = by_cell_hint(self.table, self.name) if len(self.names) == 1 else ""
            self.require(~np.isnat(stamps), wanted, f"say {by_cell}, or {OTHER_TIME}" if by_cell else OTHER_TIME)
        if self.options.form is None and not form.startswith(("%Y", ISO)):
            self.note(f"read as {form}, from {stamps[0].astype('datetime64[s]')}")
        if span_starts(self.cells) is not None:
            self.note("a span of time is known by its first moment")
        if ends_days(zoned.local, form).any():
            self.note("24:00 is read as the midnight that ends the day")
        return self._placed(stamps, self._offset(zoned))

    def _found_form(self, local: pd.Series[str]) -> str:
        """The format of texts without zones; raises if none fits, or if days could be months."""
        readings = text_readings(local.iloc[self.rows])
        if not readings:
            raise BenchError(
                f"{self.table.where(0, self.name)} is not a date ({first_cell(self.cells)!r}). "
                f"{unread_hint(self.table, self.name) or SAY_FORMAT}, leave time out, or {OTHER_TIME}."
            )
        best, *others = readings
        differing = {
            other.form: int(np.argmax(differs))
            for other in others
            if other.fit == best.fit
            and (differs := ~np.isnat(best.stamps) & ~np.isnat(other.stamps) & (best.stamps != other.stamps)).any()
        }
        if differing:
            row = int(self.rows[min(differing.values())])
            raise BenchError(
                f"{self.table.where(row, self.name)}: {self.cells.iloc[row]!r} may be read as {best.form} or as "
                f"{' or as '.join(differing)}. Say which: time = {spelled(self.names)}, time_format = {best.form!r}"
            )
        return best.form

    def _offset(self, zoned: ZonedTexts) -> NDArray[np.float64] | None:
        """Minutes ahead of UTC, None if no zone is written; raises if only some cells have one."""
        if zoned.named.any() and self.options.zone is None:
            row = int(np.argmax(zoned.named))
            raise BenchError(
                f"{self.table.where(row, self.name)}: {self.cells.iloc[row]!r} names its zone by letters that several "
                "places share. Name the zone of the clock: timezone = 'Europe/Berlin'"
            )
        aware = ~np.isnan(zoned.offset)
        if aware.all() or not aware.any():
            return zoned.offset if aware.any() else None
        row = int(np.argmax(aware != aware[0]))
        raise BenchError(
            f"{self.table.where(row, self.name)}: {self.cells.iloc[row]!r} {'has' if aware[row] else 'has not'} a time "
            f"zone, the rows before it {'have none' if aware[row] else 'have one'}. "
            "Write all times with their zone, or none."
        )

    def _placed(self, local: Stamps, offset: NDArray[np.float64] | None = None) -> Times:
        """Local times as UTC; but dates stay dates, since a local day is not always 24 hours of UTC."""
        zone, local = self.options.zone, seconds(local)
        if offset is not None:
            self._refuse_zone()
            if are_dates(local):
                self.note("its times are dates with a zone, and kept as dates of that place")
                return local
            self.note("its times are converted to UTC")
            return seconds(to_utc(local, offset))
        if zone is None:
            return local
        try:
            chosen, twice = from_place(local, zone, self.groups)
        except (KeyError, ValueError, OSError) as error:
            fault = f"timezone = {zone!r} is not known ({error}). Write one such as 'Europe/Berlin'."
            raise BenchError(f"{self.table.path}: {fault}") from None
        if are_dates(local):
            self.note(f"its times are dates, and kept as dates of {zone}")
            return local
        if np.isnat(chosen).any():
            row = int(np.argmax(np.isnat(chosen)))
            raise BenchError(
                f"{self.table.where(row, self.name)}: {self.cells.iloc[row]} does not exist in {zone}: the clock was "
                "put forward over it. Are the times of another zone?"
            )
        told = int(twice.sum())
        ambiguous = f"; {told:,} in the hour that comes twice, told apart by the order of rows" if told else ""
        self.note(f"times of {zone} converted to UTC{ambiguous}")
        return chosen

    def _refuse_zone(self) -> None:
        if self.options.zone is not None:
            raise BenchError(
                f"{self.table.path}: column {self.name!r} needs no timezone = {self.options.zone!r}: its times are "
                "numbers, or say their own. Leave timezone out."
            )


def _as_said(text: pd.Series[str], zoned: ZonedTexts, form: str) -> tuple[Stamps, ZonedTexts]:
    """Texts as times in the user's format, which may itself contain a zone."""
    stamps = read_texts(zoned.local, re.sub(r"\s*(?:UTC|GMT)?%[zZ]", "", form))
    if not np.isnat(stamps).any():
        return stamps, zoned
    whole = read_texts(text, form)
    if np.isnat(whole).any():
        return stamps, zoned
    written = 0.0 if "%z" in form or "%Z" in form else np.nan  # pandas gives UTC
    return whole, ZonedTexts(text, np.full(len(text), written), np.zeros(len(text), dtype=bool))
