"""Which columns of a user's file are its clock, its inputs and its targets, where the user did not say."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import takewhile

import numpy as np
import pandas as pd

from bench.contracts.errors import BenchError
from bench.data.user_files.cells import is_numeric
from bench.data.user_files.timestamps.numeric_times import (
    UNIX,
    Numbers,
    as_numbers,
    counts_rows,
    number_readings,
    rises,
    says_counter,
    says_time,
)
from bench.data.user_files.timestamps.time_column import Clock, TimeOptions
from bench.data.user_files.timestamps.time_order import read_clock
from bench.data.user_files.timestamps.time_recognition import holds_dates, holds_number_times, unread_hint
from bench.data.user_files.user_options import UserOptions
from bench.data.user_files.user_table import UNNAMED, UserTable, first_cell, is_numbered

PARTS = {
    r"years?|yr|yyyy": ("year",),
    r"months?|mon|mo|mnth|mm|quarters?|qtr|weeks?|wk": ("month", "quarter", "week"),
    r"days?|dom|dd": ("day",),
    r"hours?|hrs?|hh": ("hour",),
    r"minutes?|mins?|mi": ("minute",),
    r"seconds?|secs?|ss": ("second",),
}
"""What columns are called that hold a part of the time each, the longest first, and what pandas calls those parts."""


def why_not_measured(table: UserTable, name: str, clock: Clock) -> str:
    """Why a column is no measurement, to stand behind its name; empty if it may be one."""
    column = table.frame[name]
    numbers = as_numbers(column)
    if numbers is None:
        if is_numeric(column):
            return "counts the rows" if _counts_with_gaps(column.to_numpy("float64")) else ""
        return "holds one date" if holds_dates(column) and column.nunique() == 1 else ""
    if form := holds_number_times(column, name):
        return f"says the time ({form})"
    if counts_rows(numbers):
        return "counts the rows"
    if says_counter(name) and numbers.dtype.kind == "i" and rises(numbers):
        return "counts rows, of which some are left out"
    return "says a part of the time" if _is_part(clock, name, numbers) else ""


def _counts_with_gaps(numbers: Numbers) -> bool:
    """Whether the numbers of a column with gaps count the rows."""
    known = np.flatnonzero(np.isfinite(numbers))
    if len(known) < 3:
        return False
    between = np.arange(known[0], known[-1] + 1)
    return counts_rows(np.interp(between, known, numbers[known]))


def _is_part(clock: Clock, name: str, numbers: Numbers) -> bool:
    """Whether the column has the name and the values of a part of the time: its year, month and so on."""
    parts = next((parts for called, parts in PARTS.items() if re.fullmatch(called, name, re.IGNORECASE)), ())
    if not parts or clock.values.dtype.kind != "M":
        return False
    times = pd.DatetimeIndex(clock.values)
    found = [times.isocalendar()["week"] if part == "week" else getattr(times, part) for part in parts]
    return any((np.asarray(values, dtype=int) == numbers).all() for values in found)


def choose_clock(table: UserTable, options: UserOptions) -> Clock:
    """The time of each row: the named column; else dates; else numbers that say dates; else a row counter."""
    said = TimeOptions(options.time_format, options.timezone)
    taken = {*(options.inputs or ()), *(options.targets or ())}
    if options.time_columns:
        table.require_columns(options.time_columns)
        if both := taken.intersection(options.time_columns):
            raise BenchError(
                f"{table.path}: column {min(both)!r} is the time column: take it out of inputs and targets."
            )
        return read_clock(table, options.time_columns, said)
    if options.time_format is not None:
        raise BenchError(f"{table.path}: time_format needs the time column named: time = '...'")
    free = [name for name in table.frame.columns if name not in taken]
    clock = _of_dates(table, free, said) or _of_numbers(table, free, said) or _of_parts(table, free, said)
    if clock is not None:
        return clock
    if options.timezone is not None:
        raise BenchError(f"{table.path}: timezone = {options.timezone!r}, but no column holds dates.")
    _refuse_unread(table, free, options)
    return _of_counter(table, free, options)


def _of_dates(table: UserTable, free: list[str], said: TimeOptions) -> Clock | None:
    """The first column of dates that holds more than one date, if any does."""
    dates = [name for name in free if holds_dates(table.frame[name])]
    constant = list(takewhile(lambda name: table.frame[name].nunique() == 1, dates))
    if not dates:
        return None
    if len(constant) == len(dates):
        constant = []
    name = dates[len(constant)]
    passed = f", but for {_listed(constant)}, where all rows have one date" if constant else ""
    return read_clock(table, (name,), said, f"the first column whose values parse as dates{passed}")


def _of_numbers(table: UserTable, free: list[str], said: TimeOptions) -> Clock | None:
    for name in free:
        if holds_number_times(table.frame[name], name):
            return read_clock(table, (name,), said, "no column holds dates, and its numbers are times")
    return None


def _of_parts(table: UserTable, free: list[str], said: TimeOptions) -> Clock | None:
    """Columns of year, month and so on: as many as are needed for the time to rise."""
    named = [[name for name in free if re.fullmatch(part, name, re.IGNORECASE)] for part in PARTS]
    names = tuple(found[0] for found in takewhile(len, named))
    for count in range(2, len(names) + 1):
        try:
            return read_clock(table, names[:count], said, "named for the parts of a time")
        except BenchError:
            continue
    return None


def _refuse_unread(table: UserTable, free: list[str], options: UserOptions) -> None:
    """Raise if the only clock of a file may be one in an unknown format."""
    for name in free if options.inputs is None else ():
        if hint := unread_hint(table, name):
            cell = first_cell(table.frame[name])
            raise BenchError(
                f"{table.where(0, name)} looks like a time that is not read ({cell!r}). {hint}. "
                "Otherwise name the columns to use, inputs = [...] and targets = [...]."
            )


def _of_counter(table: UserTable, free: list[str], options: UserOptions) -> Clock:
    for name in free:
        numbers = as_numbers(table.frame[name])
        if numbers is None or not rises(numbers):
            continue
        if counts_rows(numbers) or (says_counter(name) and numbers.dtype.kind == "i"):
            forms = [reading.form for reading in number_readings(numbers) if reading.fit[2]]
            other = f"; time = {name!r}, time_format = {forms[0]!r} reads them as dates" if forms else ""
            why = f"its numbers count the rows, and no column holds dates{other}"
            return read_clock(table, (name,), TimeOptions("count"), why)
        is_first = name == table.frame.columns[0] and numbers.dtype.kind == "i"
        if (is_first or says_time(name)) and options.inputs is None:
            raise _may_be_either(table, name, numbers)
    rows = np.arange(len(table.frame), dtype=np.int64)
    return Clock((), rows, ("time: row numbers, as no column holds dates or counts the rows",))


def _may_be_either(table: UserTable, name: str, numbers: Numbers) -> BenchError:
    steps = np.diff(numbers)
    last = int(np.argmax(steps != steps[0]))
    forms = [reading.form for reading in number_readings(numbers)] or [f"seconds {UNIX}"] * (numbers.dtype.kind == "f")
    form = f", time_format = {forms[0]!r}" if forms else ""
    columns = [str(column) for column in table.frame.columns]
    return BenchError(
        f"{table.where(last + 1, name)}: this column only rises, by {steps[last - 1]:,g} and then by {steps[last]:,g}, "
        f"so it may say the time, or be measured, such as a meter. Say which: time = {name!r}{form}, "
        f"irregular = 'keep' takes it for the time; inputs = {columns} for a measurement."
    )


def choose_columns(
    table: UserTable, clock: Clock, options: UserOptions
) -> tuple[tuple[str, ...], tuple[str, ...], list[str]]:
    """Inputs, targets, and the reasons for those that were not given."""
    inputs, targets = options.inputs, options.targets
    table.require_columns((*(inputs or ()), *(targets or ())))
    if inputs is not None:
        return inputs, inputs if targets is None else targets, [] if targets else ["targets: the inputs"]
    free = [name for name in table.frame.columns if name not in clock.columns]
    if not free:
        but = f"but the time column {clock.name!r} " if clock.columns else ""
        raise BenchError(f"{table.path}: no column {but}is left. Leave a column to forecast: drop fewer, or add one.")
    reasons = {name: why_not_measured(table, name, clock) for name in free if name not in (targets or ())}
    left = {name: reason for name, reason in reasons.items() if reason}
    chosen = [name for name in free if name not in left]
    if not chosen:
        raise BenchError(
            f"{table.path}: no columns to forecast but {_listed(list(left))}, whose numbers count the rows or say the "
            f"time. If that is meant, name them: inputs = {list(left)}"
        )
    who = {UNNAMED: "the first column has no name and"}
    notes = [f"{who.get(name, f'column {name!r}')} {reason}: left out" for name, reason in left.items()]
    if is_numbered(list(table.frame.columns)):
        notes.insert(0, "columns are called 0, 1, ...: a first row of these numbers is a header")
    apart = " and ".join(["the time column"] * bool(clock.columns) + ["what is left out"] * bool(left))
    others = f" but {apart}" if apart else ""
    notes.append(f"{'inputs' if targets else 'inputs and targets'}: all columns{others}: {listed(chosen)}")
    return tuple(chosen), tuple(chosen) if targets is None else targets, notes


def _listed(names: list[str]) -> str:
    return ", ".join(map(repr, names))


def listed(names: list[str]) -> str:
    """Names for a note; the first of many."""
    shown = ", ".join(names[:8])
    return shown if len(names) <= 8 else f"{shown}, ... ({len(names)})"


def drop_option(columns: Sequence[str], options: UserOptions, names: Sequence[str]) -> str:
    """The options that leave columns out, beside what the user gave; empty if no column would be left."""
    given = {"inputs": options.inputs, "targets": options.targets}
    left = {role: [name for name in said or () if name not in names] for role, said in given.items()}
    if not set(columns) - set(names) or any(said and not left[role] for role, said in given.items()):
        return ""
    said = [f"{role} = {left[role]}" for role in given if given[role] and len(left[role]) < len(given[role] or ())]
    others = [name for name in names if not any(name in (given[role] or ()) for role in given)]
    return ", ".join(said + ([f"drop = {[*options.drop, *others]}"] if others else []))


def unlike_numbers(table: UserTable, columns: Sequence[str]) -> list[str]:
    """The columns of which less than half is numbers."""
    texts = [name for name in columns if not is_numeric(table.frame[name])]
    return [name for name in texts if np.isfinite(table.cells.to_numbers(table.frame[name])).mean() < 0.5]
