"""A file of a user's own as a `DriftSeries`. What is not said is guessed, and every guess is printed.

The series of a long file become columns of one `DriftSeries`, not streams of their own: there is one clock, one pair of
borders and one release at a time, so what is known of one at a time is known of all, a forecaster may read across them,
and nothing in the protocol has to know about groups. To treat one apart, name it as the input.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.dataset import Dataset
from bench.errors import BenchError
from bench.files.long_table import pivot, series_of_rows
from bench.files.time_column import Clock, TimeOptions, clock_change_hint, holds_dates, read_clock
from bench.files.time_grid import Times, fill_forward, first_irregular, resample_mean, spell, step_seconds
from bench.files.user_options import UserOptions, step_of
from bench.files.user_table import UNNAMED, UserTable, is_index
from bench.registry import unknown
from bench.series import DriftSeries, Floats, Split

FEWEST_ROWS = 40  # 20/5/75 of it leaves 8 training and 2 validation rows
HOUR, DAY = 3600.0, 86400.0


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
        lookback, horizon, season, size_notes = choose_sizes(step_seconds(time), split, options)
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
    assert options.time is not None
    table.require_columns((options.time, options.id, options.value))
    series, names = series_of_rows(table, options.id)
    clock = read_clock(table, options.time, TimeOptions(options.time_format, options.timezone), groups=series)
    wide = pivot(table, table.numbers(options.value), clock.values, series, names, options.time)
    inputs = options.inputs or wide.columns
    targets = options.targets or inputs
    for name in (*inputs, *targets):
        if name not in wide.columns:
            raise BenchError(f"{table.path}: {unknown('series', name, wide.columns)}")
    kept = [place for place, name in enumerate(wide.columns) if name in {*inputs, *targets}]
    columns = tuple(wide.columns[place] for place in kept)
    note = f"{len(columns)} series of column {options.id!r} side by side: {_listed(list(columns))}"

    def place(row: int, column: int) -> str:
        return f"{table.path}: series {columns[column]!r} at {wide.time[row]}"

    kept_clock = Clock(clock.column, wide.time, clock.notes)
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
        notes.append(f"time column {rows.clock.column!r}: uneven steps, kept as if they were even")
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
    time, column = rows.clock.values, rows.clock.column
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
    others = " but the time column" if clock.column else ""
    notes.append(f"{'inputs' if targets else 'inputs and targets'}: all columns{others}: {_listed(free)}")
    return tuple(free), tuple(free) if targets is None else targets, notes


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:8])
    return shown if len(names) <= 8 else f"{shown}, ... ({len(names)})"


def choose_split(path: Path, rows: int, options: UserOptions) -> tuple[Split, list[str]]:
    """Borders from fractions or counts; 20/5/75 for what is not given.

    Raises:
        BenchError: A part would be empty.
    """
    train = 0.20 if options.train is None else options.train
    validation = 0.05 if options.validation is None else options.validation
    if train < 1 and validation < 1:
        split = Split.by_fraction(rows, train, validation)
    else:
        border = int(train if train >= 1 else train * rows)
        split = Split(border, border + int(validation if validation >= 1 else validation * rows), rows)
    parts = (split.train, split.validation - split.train, rows - split.validation)
    if min(parts) < 1:
        raise BenchError(
            f"{path}: train = {train:g} and validation = {validation:g} make {parts[0]:,} training, {parts[1]:,} "
            f"validation and {parts[2]:,} stream rows of {rows:,}; each part needs some. "
            "Give fractions of all rows, or numbers of rows."
        )
    if options.train is not None and options.validation is not None:
        return split, []
    return split, [
        f"split: {parts[0]:,} training, {parts[1]:,} validation, {parts[2]:,} stream rows (usual: 20/5/75 %)"
    ]


def choose_sizes(step: float | None, split: Split, options: UserOptions) -> tuple[int, int, int | None, list[str]]:
    """Lookback, horizon, season, and the reasons for those that were not given.

    Args:
        step: Seconds from one row to the next, or None where time is not in dates.
        split: The borders that the windows must fit into.
        options: What the user gave.
    """
    usual_lookback, usual_horizon, season, reason = usual_sizes(step)
    # Training keeps half of its rows to slide the window over; every part holds one horizon.
    room = min(split.train // 4, split.validation - split.train, split.end - split.validation)
    lookback = options.lookback or max(1, min(usual_lookback, split.train // 2))
    horizon = options.horizon or max(1, min(usual_horizon, room))
    notes = []
    for name, given, size, usual in (
        ("lookback", options.lookback, lookback, usual_lookback),
        ("horizon", options.horizon, horizon, usual_horizon),
    ):
        if given is None:
            notes.append(
                f"{name} {size}: {reason if size == usual else f'as many as the split has room for ({usual})'}"
            )
    if options.season is None:
        if season is not None and season > split.train:
            season, reason = None, f"one of {season} rows is longer than the training rows"
        notes.append(f"season {season or 'none'}: {reason}")
    return lookback, horizon, options.season or season, notes


def usual_sizes(step: float | None) -> tuple[int, int, int | None, str]:
    """Lookback, horizon and season that suit rows ``step`` seconds apart, and the words for it."""
    if step is None:
        return 96, 24, None, "usual where time is not in dates"
    per_day = DAY / step
    day = round(per_day) if per_day >= 2 and abs(per_day - round(per_day)) < 1e-6 else None
    days = f"{step / DAY:g} day{'' if step == DAY else 's'}"
    apart = f"usual for rows {days if step >= DAY else f'{step / HOUR:.3g} h'} apart"
    if step <= HOUR:
        return 96, 24, day, apart
    if step < DAY:
        return round(7 * per_day), max(1, round(per_day)), day, apart
    if step < 2 * DAY:
        return 28, 7, 7, apart
    if step < 28 * DAY:
        return 36, 12, 52 if step == 7 * DAY else None, apart
    return 24, 6, 12 if step <= 31 * DAY else None, apart
