"""A CSV file of your own: ``csv:PATH``. What you do not say is guessed, and every guess is printed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from pydantic import PositiveInt, field_validator

from bench import BenchError, Dataset, DatasetConfig, DriftSeries, Split, register_dataset
from bench.csv_table import UNNAMED, Clock, is_index, parse_dates, read_clock, read_table, to_numbers
from bench.registry import unknown

if TYPE_CHECKING:
    import pandas as pd

FEWEST_ROWS = 40  # 20/5/75 of it leaves 8 training and 2 validation rows
HOUR, DAY = 3600.0, 86400.0


class CsvOptions(DatasetConfig):
    """Options; what is None is guessed from the file.

    Attributes:
        path: The file.
        time: The time column.
        inputs: Columns that a forecaster reads.
        targets: Columns that it forecasts.
        train: Training rows: a number of them, or a fraction of all rows.
        validation: Validation rows after those, likewise; the stream is the rest.
        lookback: Rows that a forecaster reads.
        horizon: Rows that it forecasts.
        season: Rows in one season.
    """

    path: str
    time: str | None = None
    inputs: tuple[str, ...] | None = None
    targets: tuple[str, ...] | None = None
    train: float | None = None
    validation: float | None = None
    lookback: PositiveInt | None = None
    horizon: PositiveInt | None = None
    season: PositiveInt | None = None

    @field_validator("train", "validation")
    @classmethod
    def _is_share_or_count(cls, value: float | None) -> float | None:
        if value is not None and not (0 < value < 1 or (value >= 1 and value == int(value))):
            raise ValueError("give a fraction between 0 and 1, or a whole number of rows")
        return value


@register_dataset("csv")
class UserCsv(Dataset):
    """A CSV file of your own, written 'csv:PATH': a header, then a row of numbers for each time step."""

    Config = CsvOptions

    def load(self) -> DriftSeries:
        """The series in the file; `DriftSeries.notes` has a line for each guess.

        Raises:
            BenchError: The file cannot be used; the message names it, the row (the header is row 1) and the column.
        """
        options: CsvOptions = self.config
        path = Path(options.path).expanduser()
        table = read_table(path)
        if len(table) < FEWEST_ROWS:
            raise BenchError(
                f"{path}: {len(table)} rows are too few to train and stream on. Give {FEWEST_ROWS} or more."
            )
        clock = choose_clock(path, table, options)
        inputs, targets, column_notes = choose_columns(path, table, clock, options)
        columns = tuple(name for name in table.columns if name in {*inputs, *targets})
        values = to_numbers(path, table.loc[:, list(columns)])
        split, split_notes = choose_split(path, len(table), options)
        lookback, horizon, season, size_notes = choose_sizes(clock.step, split, options)
        return DriftSeries(
            name=f"csv:{options.path}",
            values=values,
            columns=columns,
            time=clock.values,
            split=split,
            inputs=inputs,
            targets=targets,
            lookback=lookback,
            horizon=horizon,
            season=season,
            source=f"the user's file {path.name}",
            licence="the user's own",
            notes=(*clock.notes, *column_notes, *split_notes, *size_notes),
        )


def choose_clock(path: Path, table: pd.DataFrame, options: CsvOptions) -> Clock:
    """The time of each row: from the column named, else the first of dates, else an index, else row numbers."""
    taken = {*(options.inputs or ()), *(options.targets or ())}
    if options.time is not None:
        _require_columns(path, table, (options.time,))
        if options.time in taken:
            raise BenchError(f"{path}: column {options.time!r} is the time column: take it out of inputs and targets.")
        return read_clock(path, table[options.time])
    free = [name for name in table.columns if name not in taken]
    for name in free:
        if parse_dates(table[name]) is not None:
            return read_clock(path, table[name], "the first column whose values parse as dates")
    for name in free:
        if is_index(table[name], first=name == table.columns[0]):
            return read_clock(path, table[name], "its numbers count the rows, and no column holds dates")
    rows = np.arange(len(table), dtype=np.int64)
    return Clock(None, rows, ("time: row numbers, as no column holds dates or counts the rows",))


def choose_columns(
    path: Path, table: pd.DataFrame, clock: Clock, options: CsvOptions
) -> tuple[tuple[str, ...], tuple[str, ...], list[str]]:
    """Inputs, targets, and the reasons for those that were not given."""
    inputs, targets = options.inputs, options.targets
    _require_columns(path, table, (*(inputs or ()), *(targets or ())))
    if inputs is not None:
        return inputs, inputs if targets is None else targets, [] if targets else ["targets: the inputs"]
    free = [name for name in table.columns if name != clock.column]
    notes = []
    if UNNAMED in free and UNNAMED not in (targets or ()) and is_index(table[UNNAMED], first=True):
        free.remove(UNNAMED)
        notes.append("the first column has no name and counts the rows: left out")
    if not free:
        raise BenchError(f"{path}: no columns but the time column {clock.column!r}. Add the columns to forecast.")
    others = " but the time column" if clock.column else ""
    notes.append(f"{'inputs' if targets else 'inputs and targets'}: all columns{others}: {_listed(free)}")
    return tuple(free), tuple(free) if targets is None else targets, notes


def _listed(names: list[str]) -> str:
    shown = ", ".join(names[:8])
    return shown if len(names) <= 8 else f"{shown}, ... ({len(names)})"


def _require_columns(path: Path, table: pd.DataFrame, names: tuple[str, ...]) -> None:
    for name in names:
        if name not in table.columns:
            raise BenchError(f"{path}: {unknown('column', name, map(str, table.columns))}")


def choose_split(path: Path, rows: int, options: CsvOptions) -> tuple[Split, list[str]]:
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


def choose_sizes(step: float | None, split: Split, options: CsvOptions) -> tuple[int, int, int | None, list[str]]:
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
    apart = f"usual for rows {step / DAY:g} days apart" if step >= DAY else f"usual for rows {step / HOUR:.3g} h apart"
    if step <= HOUR:
        return 96, 24, day, apart
    if step < DAY:
        return round(7 * per_day), max(1, round(per_day)), day, apart
    if step < 2 * DAY:
        return 28, 7, 7, apart
    if step < 28 * DAY:
        return 36, 12, 52 if step == 7 * DAY else None, apart
    return 24, 6, 12 if step <= 31 * DAY else None, apart
