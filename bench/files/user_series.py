"""A file of a user's own as a `DriftSeries`. What is not said is guessed, and every guess is printed.

The series of a long file become columns of one `DriftSeries`, not streams of their own: there is one clock, one pair of
borders and one release at a time, so what is known of one at a time is known of all, a forecaster may read across them,
and nothing in the protocol has to know about groups. To treat one apart, name it as the input.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bench.dataset import Dataset
from bench.errors import BenchError
from bench.files.column_choice import choose_clock, choose_columns, listed
from bench.files.long_table import pivot, rows_of_series, series_of_rows
from bench.files.time_column import Clock, TimeOptions
from bench.files.time_grid import Times, fill_forward, first_irregular, resample_mean, spell
from bench.files.time_order import clock_change_hint, read_clock
from bench.files.user_options import UserOptions, step_of
from bench.files.user_table import UserTable
from bench.files.window_sizes import choose_sizes, choose_split
from bench.registry import unknown
from bench.series import DriftSeries, Floats

FEWEST_ROWS = 40  # 20/5/75 of it leaves 8 training and 2 validation rows


@dataclass(frozen=True)
class Rows:
    """What a file holds, before it is cut.

    Attributes:
        values: ``(T, C)``; NaN where something is missing.
        clock: The time of each row.
        columns: Names.
        inputs: Columns to read.
        targets: Columns to forecast.
        notes: What was guessed or mended.
        place: The words for where a row and column are in the file.
    """

    values: Floats
    clock: Clock
    columns: tuple[str, ...]
    inputs: tuple[str, ...]
    targets: tuple[str, ...]
    notes: tuple[str, ...]
    place: Callable[[int, int], str]


class UserFile(Dataset):
    """A file of the user's own; a subclass says how it is read."""

    Config = UserOptions

    def read(self, path: Path) -> UserTable:
        """The rows of the file.

        Raises:
            BenchError: It is not there, or not of the kind.
        """
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
        values, time, mended = _mended(path, rows, options)
        _require_enough(path, len(values))
        split, split_notes = choose_split(path, len(values), options)
        lookback, horizon, season, size_notes = choose_sizes(time, split, options)
        return DriftSeries(
            name=f"{self.name.partition(':')[0]}:{options.path}",
            values=values,
            columns=rows.columns,
            time=time,
            split=split,
            inputs=rows.inputs,
            targets=rows.targets,
            lookback=lookback,
            horizon=horizon,
            season=season,
            source=f"the user's file {path.name}",
            licence="the user's own",
            notes=(*rows.clock.notes, *rows.notes, *mended, *split_notes, *size_notes),
        )


def _require_enough(path: Path, rows: int) -> None:
    if rows < FEWEST_ROWS:
        raise BenchError(f"{path}: {rows} rows are too few to train and stream on. Give {FEWEST_ROWS} or more.")


def _wide_rows(table: UserTable, options: UserOptions) -> Rows:
    """Rows of a file with a column for each series."""
    if options.resample is None:
        _require_enough(table.path, len(table.frame))
    clock = choose_clock(table, options)
    inputs, targets, notes = choose_columns(table, clock, options)
    columns = tuple(name for name in table.frame.columns if name in {*inputs, *targets})
    values = np.column_stack([table.numbers(name) for name in columns])
    return Rows(
        values, clock, columns, inputs, targets, tuple(notes), lambda row, column: table.where(row, columns[column])
    )


def _long_rows(table: UserTable, options: UserOptions) -> Rows:
    """Rows of a file with a row for each series and time."""
    assert options.id is not None
    assert options.value is not None
    table.require_columns((*options.time_columns, options.id, options.value))
    series, names = series_of_rows(table, options.id)
    said = TimeOptions(options.time_format, options.timezone)
    clock = read_clock(table, options.time_columns, said, groups=rows_of_series(series))
    wide = pivot(table, table.numbers(options.value), clock.values, series, names, clock.name)
    inputs = options.inputs or wide.columns
    targets = options.targets or inputs
    for name in (*inputs, *targets):
        if name not in wide.columns:
            raise BenchError(f"{table.path}: {unknown('series', name, wide.columns)}")
    kept = [place for place, name in enumerate(wide.columns) if name in {*inputs, *targets}]
    columns = tuple(wide.columns[place] for place in kept)
    note = f"{len(columns)} series of column {options.id!r} side by side: {listed(list(columns))}"

    def place(row: int, column: int) -> str:
        return f"{table.path}: series {columns[column]!r} at {wide.time[row]}"

    kept_clock = replace(clock, values=wide.time)
    return Rows(wide.values[:, kept], kept_clock, columns, inputs, targets, (note,), place)


def _mended(path: Path, rows: Rows, options: UserOptions) -> tuple[Floats, Times, list[str]]:
    """Values without gaps on even steps, and a line for each thing that was done to them.

    Raises:
        BenchError: Something is missing or uneven, and nothing was said of it.
    """
    values, time, place, notes = rows.values, rows.clock.values, rows.place, list[str]()
    if options.missing == "refuse":
        _require_complete(values, place)
    if options.resample is not None:
        values, time = _resampled(path, values, time, options.resample)
        notes.append(f"resampled: each row is the mean of the {options.resample} that ended with its time stamp")
        if options.missing == "refuse":
            _require_complete(values, lambda row, column: f"{path}: column {rows.columns[column]!r} at {time[row]}")
    elif uneven := first_irregular(time):
        if options.irregular == "refuse":
            raise _irregular(path, rows, uneven)
        notes.append(f"time column {rows.clock.name!r}: uneven steps, kept as if they were even")
    if options.missing == "ffill":
        values, time, more = _filled(values, time)
        notes += more
    return values, time, notes


def _require_complete(values: Floats, place: Callable[[int, int], str]) -> None:
    missing = np.isnan(values)
    if missing.any():
        row, column = map(int, np.argwhere(missing)[0])
        raise BenchError(
            f"{place(row, column)} is empty, expected a number. Fill it first (forward-fill does not look ahead, "
            "interpolation does; missing = 'ffill' fills forward), or name the columns to use, inputs = [...] and "
            "targets = [...], and leave this one out."
        )


def _resampled(path: Path, values: Floats, time: Times, step: str) -> tuple[Floats, Times]:
    if time.dtype.kind != "M":
        raise BenchError(f"{path}: resample = {step!r} needs a time column of dates. Name it, time = '...'")
    try:
        return resample_mean(values, time.astype("datetime64[ns]"), step_of(step))
    except BenchError as error:
        raise BenchError(f"{path}: resample = {step!r} makes {error}.") from None


def _irregular(path: Path, rows: Rows, row: int) -> BenchError:
    time, column = rows.clock.values, rows.clock.name
    where, _, in_row = rows.place(row, 0).partition(", column")
    steps, counts = np.unique(np.diff(time), return_counts=True)
    ways, hint = "", ""
    if time.dtype.kind == "M":
        ways = "resample = '1h' takes means over even steps (and missing = 'ffill' fills the empty ones), "
        hint = clock_change_hint(time[row - 1], time[row])
    return BenchError(
        f"{where if in_row else path}, column {column!r}: {time[row]} is {spell(time[row] - time[row - 1])} after "
        f"the row before, where the usual step is {spell(steps[counts.argmax()])}. Mend the file, or say what to do: "
        f"{ways}irregular = 'keep' takes rows as if they were even.{hint}"
    )


def _filled(values: Floats, time: Times) -> tuple[Floats, Times, list[str]]:
    missing = np.isnan(values)
    filled = fill_forward(values)
    complete = np.isfinite(filled).all(axis=1)
    first = int(np.argmax(complete)) if complete.any() else len(values)
    count = int(missing[first:].sum())
    notes = [f"{count:,} missing values filled with the column's last one before"] if count else []
    if first:
        notes.append(f"{first:,} rows dropped at the start: a column had nothing to be filled from yet")
    return filled[first:], time[first:], notes
