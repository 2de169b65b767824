"""A clock that rises from row to row; where a column does not, what the user may have meant."""

from __future__ import annotations

import re

import numpy as np

from bench.contracts.errors import BenchError
from bench.data.user_files.cells import is_numeric
from bench.data.user_files.long_table import long_file_hint
from bench.data.user_files.timestamps.time_column import Clock, Rows, TimeOptions, read_times, spelled
from bench.data.user_files.timestamps.time_recognition import holds_dates, holds_number_times
from bench.data.user_files.user_table import UserTable

HOUR = np.timedelta64(3600, "s")
TIME_OF_DAY = re.compile(r"\d{1,2}(?:[:.h]\d\d){0,2}(?:[.,]\d+)?\s?(?:[AaPp][Mm])?|\d{3,4}")
SAYS_HOUR = re.compile(r"time|hours?|hr|hh|hhmm|hhmmss|stunde|uhrzeit|zeit|heure|hora", re.IGNORECASE)


def read_clock(
    table: UserTable, names: tuple[str, ...], options: TimeOptions, reason: str = "", groups: list[Rows] | None = None
) -> Clock:
    """Time from a column, or from several side by side, that rises from row to row (of one series).

    Args:
        table: The file.
        names: The columns.
        options: What the user said of them.
        reason: Why they were chosen, for the notes; empty where the user named them.
        groups: The rows of each series, in the file's order; None where there is one.

    Raises:
        BenchError: As `read_times`; or the times do not rise.
    """
    clock = read_times(table, names, options, reason, groups)
    for rows in _groups(clock, groups):
        wrong = np.flatnonzero(~_is_after(clock, rows))
        if wrong.size:
            raise _fall(table, clock, options, groups, int(rows[wrong[0]]), int(rows[wrong[0] + 1]))
    return clock


def _groups(clock: Clock, groups: list[Rows] | None) -> list[Rows]:
    return [np.arange(len(clock.values))] if groups is None else groups


def _is_after(clock: Clock, rows: Rows) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Whether each row but the first is after the one before."""
    return np.diff(clock.values[rows]).astype("int64") > 0


def _fall(
    table: UserTable, clock: Clock, options: TimeOptions, groups: list[Rows] | None, before: int, row: int
) -> BenchError:
    earlier, later = clock.values[before], clock.values[row]
    cell = " ".join(str(table.frame[name].iloc[row]) for name in clock.columns)
    change = clock_change_hint(earlier, later) if clock.values.dtype.kind == "M" else ""
    fault = "repeats" if earlier == later else "is earlier than"
    return BenchError(
        f"{table.where(row, clock.name)}: {cell} {fault} the row before. "
        "Each time may have one row only: sort the rows by time, and drop or average repeated ones."
        f"{_meant(table, clock, options, groups)}{change}"
    )


def _meant(table: UserTable, clock: Clock, options: TimeOptions, groups: list[Rows] | None) -> str:
    """Sentences with options that give a clock that rises: another column, one more, or one series for each name."""
    others = [name for name in table.frame.columns if name not in clock.columns]
    zone = TimeOptions(zone=options.zone)
    hours = [name for name in others if _is_of_day(table, name) and _rises(table, (*clock.columns, name), zone, groups)]
    sentences = [
        f" If {name!r} is the time of day, say time = {spelled((*clock.columns, name))}." for name in hours[:1]
    ]
    if groups is None:
        clocks = [name for name in others if _holds_times(table, name) and _rises(table, (name,), zone, groups)]
        sentences += [f" If {name!r} is the time, say time = {name!r}." for name in clocks[:1]]
        if not any(not is_numeric(table.frame[name]) or SAYS_HOUR.fullmatch(name) for name in hours[:1]):
            sentences.append(long_file_hint(table, clock.columns[0]))
    return "".join(sentences)


def _is_of_day(table: UserTable, name: str) -> bool:
    return all(TIME_OF_DAY.fullmatch(str(cell).strip()) for cell in table.frame[name].iloc[:100])


def _holds_times(table: UserTable, name: str) -> bool:
    column = table.frame[name]
    return holds_dates(column) or bool(holds_number_times(column, name))


def _rises(table: UserTable, names: tuple[str, ...], options: TimeOptions, groups: list[Rows] | None) -> bool:
    try:
        clock = read_times(table, names, options, groups=groups)
    except BenchError:
        return False
    return all(_is_after(clock, rows).all() for rows in _groups(clock, groups))


def clock_change_hint(before: np.datetime64, after: np.datetime64) -> str:
    """A sentence on daylight saving where two stamps look like a change of the clock: a Sunday night, an hour off."""
    night = (before.astype("datetime64[h]").astype("int64") % 24) <= 3
    sunday = (before.astype("datetime64[D]").astype("int64") + 4) % 7 == 0
    back_or_on = -HOUR <= after - before <= 0 * HOUR or HOUR < after - before <= 2 * HOUR
    if not (night and sunday and back_or_on):
        return ""
    return " This looks like a change to or from daylight saving: say where the clock hung, timezone = 'Europe/Berlin'."
