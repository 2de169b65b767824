"""Which columns of a user's file are its clock, its inputs and its targets, where the user did not say."""

from __future__ import annotations

import numpy as np

from bench.errors import BenchError
from bench.files.time_column import Clock, TimeOptions, holds_dates, read_clock
from bench.files.user_options import UserOptions
from bench.files.user_table import UNNAMED, UserTable, is_index, is_numbered


def choose_clock(table: UserTable, options: UserOptions) -> Clock:
    """The time of each row: from the column named, else the first of dates, else an index, else row numbers."""
    frame, said = table.frame, TimeOptions(options.time_format, options.timezone)
    taken = {*(options.inputs or ()), *(options.targets or ())}
    if options.time is not None:
        table.require_columns((options.time,))
        if options.time in taken:
            raise BenchError(
                f"{table.path}: column {options.time!r} is the time column: take it out of inputs and targets."
            )
        return read_clock(table, options.time, said)
    if options.time_format is not None:
        raise BenchError(f"{table.path}: time_format needs the time column named: time = '...'")
    free = [name for name in frame.columns if name not in taken]
    for name in free:
        if holds_dates(frame[name]):
            return read_clock(table, name, said, "the first column whose values parse as dates")
    if options.timezone is not None:
        raise BenchError(f"{table.path}: timezone = {options.timezone!r}, but no column holds dates.")
    for name in free:
        if is_index(frame[name], first=name == frame.columns[0]):
            return read_clock(table, name, said, "its numbers count the rows, and no column holds dates")
    rows = np.arange(len(frame), dtype=np.int64)
    return Clock(None, rows, ("time: row numbers, as no column holds dates or counts the rows",))


def choose_columns(
    table: UserTable, clock: Clock, options: UserOptions
) -> tuple[tuple[str, ...], tuple[str, ...], list[str]]:
    """Inputs, targets, and the reasons for those that were not given."""
    inputs, targets = options.inputs, options.targets
    table.require_columns((*(inputs or ()), *(targets or ())))
    if inputs is not None:
        return inputs, inputs if targets is None else targets, [] if targets else ["targets: the inputs"]
    free = [name for name in table.frame.columns if name != clock.column]
    notes = []
    if UNNAMED in free and UNNAMED not in (targets or ()) and is_index(table.frame[UNNAMED], first=True):
        free.remove(UNNAMED)
        notes.append("the first column has no name and counts the rows: left out")
    if not free:
        raise BenchError(f"{table.path}: no columns but the time column {clock.column!r}. Add the columns to forecast.")
    if is_numbered(list(table.frame.columns)):
        notes.insert(0, "columns are called 0, 1, ...: a first row of these numbers is a header")
    others = " but the time column" if clock.column else ""
    notes.append(f"{'inputs' if targets else 'inputs and targets'}: all columns{others}: {listed(free)}")
    return tuple(free), tuple(free) if targets is None else targets, notes


def listed(names: list[str]) -> str:
    """Names for a note; of many, the first."""
    shown = ", ".join(names[:8])
    return shown if len(names) <= 8 else f"{shown}, ... ({len(names)})"
