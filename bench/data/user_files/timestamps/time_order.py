"""Time that rises from row to row, in even steps; where it does not, what the user may have meant."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from bench.contracts.errors import BenchError
from bench.contracts.series import Floats
from bench.data.user_files.cells import is_numeric
from bench.data.user_files.long_table import long_file_hint
from bench.data.user_files.timestamps.time_column import Clock, Rows, TimeOptions, read_times, spelled
from bench.data.user_files.timestamps.time_grid import Times, find_step, resample_mean, spell, step_seconds
from bench.data.user_files.timestamps.time_recognition import holds_dates, holds_number_times
from bench.data.user_files.user_options import step_of
from bench.data.user_files.user_table import UserTable

HOUR = np.timedelta64(3600, "s")
TIME_OF_DAY = re.compile(r"\d{1,2}(?:[:.h]\d\d){0,2}(?:[.,]\d+)?\s?(?:[AaPp][Mm])?|\d{3,4}")
SAYS_HOUR = re.compile(r"time|hours?|hr|hh|hhmm|hhmmss|stunde|uhrzeit|zeit|heure|hora", re.IGNORECASE)


def read_clock(
    table: UserTable, names: tuple[str, ...], options: TimeOptions, reason: str = "", groups: list[Rows] | None = None
) -> Clock:
    """The time of each row, as `read_times`, if it rises from row to row (of each series).

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
    """Sentences with options that give a rising clock: another column, one more, or one series for each name."""
    others = {str(name): cells for name, cells in table.frame.items() if name not in clock.columns}
    of_day = (name for name, cells in others.items() if all(TIME_OF_DAY.fullmatch(str(c).strip()) for c in cells[:100]))
    zone = TimeOptions(zone=options.zone)
    hour = next((name for name in of_day if _rises(table, (*clock.columns, name), zone, groups)), "")
    hint = f" If {hour!r} is the time of day, say time = {spelled((*clock.columns, hour))}." if hour else ""
    if groups is None:
        times = (name for name, cells in others.items() if holds_dates(cells) or holds_number_times(cells, name))
        if when := next((name for name in times if _rises(table, (name,), zone, groups)), ""):
            hint += f" If {when!r} is the time, say time = {when!r}."
        if not hour or (is_numeric(others[hour]) and not SAYS_HOUR.fullmatch(hour)):
            hint += long_file_hint(table, clock.columns[0])
    return hint


def _rises(table: UserTable, names: tuple[str, ...], options: TimeOptions, groups: list[Rows] | None) -> bool:
    try:
        clock = read_times(table, names, options, groups=groups)
    except BenchError:
        return False
    return all(_is_after(clock, rows).all() for rows in _groups(clock, groups))


def clock_change_hint(before: np.datetime64, after: np.datetime64) -> str:
    """A sentence on daylight saving if two stamps look like a change of the clock: Sunday night, an hour off."""
    night = (before.astype("datetime64[h]").astype("int64") % 24) <= 3
    sunday = (before.astype("datetime64[D]").astype("int64") + 4) % 7 == 0
    back_or_on = -HOUR <= after - before <= 0 * HOUR or HOUR < after - before <= 2 * HOUR
    if not (night and sunday and back_or_on):
        return ""
    return " This looks like a change to or from daylight saving: name the clock's zone, timezone = 'Europe/Berlin'."


STEPS = (1, 2, 5, 10, 15, 20, 30, *(60 * n for n in (1, 2, 3, 5, 6, 10, 12, 15, 20, 30)))
STEPS += tuple(3600 * n for n in (1, 2, 3, 4, 6, 8, 12)) + tuple(86_400 * n for n in (*range(1, 8), 14, 28))
"""Seconds of the steps that are proposed: parts of a minute, an hour, a day; days and weeks."""

NEAR = 1.1  # factor within which a step of these suits rows that are usually so far apart


def suited_step(time: Times) -> str:
    """A step for ``resample`` that fits the data; empty if none does (below a second, or months)."""
    usual = step_seconds(time)
    if usual is None or usual < 1 / NEAR or "month" in find_step(time).words:
        return ""
    nearest = min(STEPS, key=lambda step: abs(np.log(step / usual)))
    step = nearest if max(nearest / usual, usual / nearest) <= NEAR else int(np.ceil(usual))
    unit, name = next(
        (size, name) for size, name in ((86_400, "D"), (3600, "h"), (60, "min"), (1, "s")) if step % size == 0
    )
    return f"{step // unit}{name}"


def uneven_steps(where: str, time: Times, row: int) -> BenchError:
    """The error for a row that is not one step after the row before; ``where`` names file, row and column."""
    steps, counts = np.unique(np.diff(time), return_counts=True)
    ways, hint = ["irregular = 'keep' takes rows as if they were even"], ""
    if time.dtype.kind == "M":
        if step := suited_step(time):
            ways.append(f"resample = {step!r}, missing = 'ffill' takes means over even steps and fills the empty ones")
        hint = clock_change_hint(time[row - 1], time[row])
    return BenchError(
        f"{where}: {time[row]} is {spell(time[row] - time[row - 1])} after the row before, where the usual step is "
        f"{spell(steps[counts.argmax()])}. Fix the file, or say what to do: {'; '.join(ways)}.{hint}"
    )


def resampled(path: Path, values: Floats, time: Times, step: str) -> tuple[Floats, Times]:
    """Means over even steps; see `resample_mean`.

    Raises:
        BenchError: Time is not in dates; or the step is so short that most rows would hold nothing that was measured,
            or so long that there would be none.
    """
    if time.dtype.kind != "M":
        raise BenchError(f"{path}: resample = {step!r} needs a time column of dates. Name it, time = '...'")
    length, usual = step_of(step), step_seconds(time)
    if usual is not None and 2 * (length / np.timedelta64(1, "s")) < usual:
        better = suited_step(time)
        raise BenchError(
            f"{path}: resample = {step!r} is finer than the rows, which are {spell(np.median(np.diff(time)))} apart: "
            "most of its rows would hold nothing that was measured. "
            f"{f'Give resample = {better!r}' if better else 'Leave it out'}."
        )
    try:
        return resample_mean(values, time.astype("datetime64[ns]"), length)
    except BenchError as error:
        raise BenchError(f"{path}: resample = {step!r} makes {error}.") from None
