"""A file of a user's own as a `DriftSeries`. What is not said is guessed, and every guess is printed.

The series of a long file become columns of one `DriftSeries`, not streams of their own: there is one clock, one pair of
borders and one release at a time, so what is known of one at a time is known of all, a forecaster may read across them,
and nothing in the protocol has to know about groups. To treat one apart, name it as the input.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from bench.contracts.dataset import Dataset
from bench.contracts.errors import BenchError
from bench.contracts.registry import unknown
from bench.contracts.rounding import is_flat
from bench.contracts.series import DriftSeries, Floats
from bench.data.user_files.column_choice import choose_clock, choose_columns, drop_option, listed, unlike_numbers
from bench.data.user_files.gaps import (
    Filled,
    fill,
    require_complete,
    require_short,
    require_some,
    sentinel_notes,
    stream_shares,
)
from bench.data.user_files.known_drifts import known_drifts
from bench.data.user_files.long_table import pivot, rows_of_series, series_of_rows
from bench.data.user_files.lookahead import told_ahead
from bench.data.user_files.timestamps.time_column import Clock, TimeOptions
from bench.data.user_files.timestamps.time_grid import first_irregular
from bench.data.user_files.timestamps.time_order import read_clock, resampled, uneven_steps
from bench.data.user_files.user_options import UserOptions
from bench.data.user_files.user_table import UserTable
from bench.data.user_files.window_sizes import choose_sizes, choose_split

MOST_COMPARED = 4096  # pairs of an input and a target; bench check compares all
FEWEST_ROWS = 40  # 20/5/75 of it leaves 8 training and 2 validation rows


@dataclass(frozen=True)
class Rows:
    """What a file holds, before it is split."""

    values: Floats  # (T, C); NaN where something is missing
    clock: Clock  # the time of each row
    columns: tuple[str, ...]
    inputs: tuple[str, ...]
    targets: tuple[str, ...]
    notes: tuple[str, ...]  # what was guessed or mended
    place: Callable[[int, int], str]  # the words for where a row and column are in the file
    leave_out: Callable[[list[str]], str]  # the option that leaves columns out; empty where none would be left


class UserFile(Dataset):
    """A user's file; a subclass says how it is read."""

    Config = UserOptions

    def read(self, path: Path) -> UserTable:
        """The rows of the file; `BenchError` if it is missing or not of the kind."""
        raise NotImplementedError

    def load(self) -> DriftSeries:
        """The series in the file; `DriftSeries.notes` has a line for each guess.

        Raises:
            BenchError: The file cannot be used; the message names it, the row (as the file counts) and the column.
        """
        options: UserOptions = self.config
        path = Path(options.path).expanduser()
        table = self.read(path)
        rows = _long_rows(table, options) if options.id is not None else _wide_rows(table, options)
        mended = _mended(path, rows, options)
        _require_enough(path, len(mended.values))
        split, split_notes = choose_split(path, len(mended.values), options)
        lookback, horizon, season, size_notes = choose_sizes(mended.time, split, options)
        require_short(mended, rows.columns, str(path), options.longest_gap, horizon, rows.leave_out)
        series = DriftSeries(
            name=f"{self.name.partition(':')[0]}:{options.path}",
            values=mended.values,
            columns=rows.columns,
            time=mended.time,
            split=split,
            inputs=rows.inputs,
            targets=rows.targets,
            events=known_drifts(path, options.events, mended.time, options.timezone) if options.events else (),
            lookback=lookback,
            horizon=horizon,
            season=season,
            source=f"the user's file {path.name}",
            licence="the user's own",
            notes=(*table.notes, *rows.clock.notes, *rows.notes, *mended.notes, *split_notes, *size_notes),
            filled=stream_shares(mended, rows.columns, split),
        )
        _require_usable(path, series, rows.leave_out, options)
        few = len(series.inputs) * len(series.targets) <= MOST_COMPARED
        ahead = told_ahead(series) if few else ""
        return replace(series, notes=(*series.notes, ahead)) if ahead else series


def _require_enough(path: Path, rows: int) -> None:
    if rows < FEWEST_ROWS:
        raise BenchError(f"{path}: {rows} rows are too few to train and stream on. Give {FEWEST_ROWS} or more.")


def _require_usable(
    path: Path, series: DriftSeries, leave_out: Callable[[list[str]], str], options: UserOptions
) -> None:
    """Refuse what `DriftSeries.validated` would, with the option that mends it."""
    flat = [series.columns[c] for c in map(int, np.flatnonzero(is_flat(series.values[: series.split.train])))]
    if flat and (way := leave_out(flat)):
        raise BenchError(
            f"{path}: column {flat[0]!r} is constant over the {series.split.train:,} training rows and cannot be "
            f"scaled. Leave out what is: {way}."
        )
    for place, name in enumerate(series.columns):
        if not flat and (row := series.row_beyond_float32(place)) is not None:
            value = float(series.values[row, place])
            raise BenchError(
                f"{path}: column {name!r} at {series.time[row]} is {value:.3g}, so many standard deviations of the "
                "training rows from their mean that float32, in which strategies compute, cannot square them. If it "
                f"marks a missing value give {options.cells.with_marks([value])}, missing = 'ffill'."
            )


def _wide_rows(table: UserTable, options: UserOptions) -> Rows:
    table.require_columns(options.drop)
    table = replace(table, frame=table.frame.drop(columns=list(options.drop)))
    if options.resample is None:
        _require_enough(table.path, len(table.frame))
    clock = choose_clock(table, options)
    inputs, targets, notes = choose_columns(table, clock, options)
    columns = tuple(name for name in table.frame.columns if name in {*inputs, *targets})
    leave_out = partial(drop_option, columns, options)
    values = _measured(table, columns, leave_out)
    notes += sentinel_notes(values, columns, options.cells)
    return Rows(
        values,
        clock,
        columns,
        inputs,
        targets,
        tuple(notes),
        lambda row, column: table.where(row, columns[column]),
        leave_out,
    )


def _measured(table: UserTable, columns: tuple[str, ...], leave_out: Callable[[list[str]], str]) -> Floats:
    """Columns as numbers, ``(T, C)``; the error for one without numbers proposes to leave out all of its kind."""
    others = unlike_numbers(table, columns)
    numbers = []
    for name in columns:
        way = leave_out([other for other in columns if other == name or other in others])
        numbers.append(table.numbers(name, f"leave out such columns, {way}" if way else ""))
    return np.column_stack(numbers)


def _long_rows(table: UserTable, options: UserOptions) -> Rows:
    """Rows of a file with a row for each series and time."""
    assert options.id is not None
    assert options.value is not None
    table.require_columns((*options.time_columns, options.id, options.value))
    series, names = series_of_rows(table, options.id)
    said = TimeOptions(options.time_format, options.timezone)
    clock = read_clock(table, options.time_columns, said, groups=rows_of_series(series))
    numbers = table.numbers(options.value, "name another column of values, value = '...'")
    values, time = pivot(table, numbers, clock.values, series, names, clock.name)
    inputs = options.inputs or tuple(name for name in names if name not in options.drop)
    targets = options.targets or inputs
    for name in (*inputs, *targets, *options.drop):
        if name not in names:
            raise BenchError(f"{table.path}: {unknown('series', name, names)}")
    kept = [place for place, name in enumerate(names) if name in {*inputs, *targets}]
    columns, values = tuple(names[place] for place in kept), values[:, kept]
    note = f"{len(columns)} series of column {options.id!r} side by side: {listed(list(columns))}"

    def place(row: int, column: int) -> str:
        return f"{table.path}: series {columns[column]!r} at {time[row]}"

    return Rows(
        values,
        replace(clock, values=time),
        columns,
        inputs,
        targets,
        (note, *sentinel_notes(values, columns, options.cells)),
        place,
        partial(drop_option, columns, options),
    )


def _mended(path: Path, rows: Rows, options: UserOptions) -> Filled:
    """Values without gaps on even steps, and a note for each change; raises for what the options do not allow."""
    values, time, notes = rows.values, rows.clock.values, list[str]()
    require_some(values, rows.columns, str(path), rows.leave_out)
    if options.missing == "refuse":
        require_complete(values, rows.columns, rows.place, rows.leave_out)
    if options.resample is not None:
        values, time = resampled(path, values, time, options.resample)
        notes.append(f"resampled: each row is the mean of the {options.resample} that ended with its time stamp")
        if options.missing == "refuse":
            stamps = time
            require_complete(
                values,
                rows.columns,
                lambda row, column: f"{path}: column {rows.columns[column]!r} at {stamps[row]}",
                rows.leave_out,
            )
    elif uneven := first_irregular(time):
        if options.irregular == "refuse":
            where, _, in_row = rows.place(uneven, 0).partition(", column")
            raise uneven_steps(f"{where if in_row else path}, column {rows.clock.name!r}", time, uneven)
        notes.append(f"time column {rows.clock.name!r}: uneven steps, kept as if they were even")
    if options.missing == "ffill":
        filled = fill(values, time, rows.columns)
        return replace(filled, notes=(*notes, *filled.notes))
    return Filled(values, time, np.zeros(values.shape, dtype=bool), tuple(notes))
