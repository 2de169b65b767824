"""A user's time column as time stamps: formats found, zones converted, what is odd named."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.files.long_table import long_file_hint
from bench.files.time_grid import Times, is_regular, seconds
from bench.files.user_table import OTHER_TIME, UserTable, first_cell, is_number, is_numeric, is_whole

if TYPE_CHECKING:
    import pandas as pd

AWARE = re.compile(r"(:\d\d|T\d\d)(\.\d+)?\s*(Z|[+-]\d\d:?\d\d)\s*$")
YEAR_DAY = re.compile(r"%Y\W*%d")  # that nobody writes
HOUR = np.timedelta64(3600, "s")


@dataclass(frozen=True)
class Clock:
    """The time of each row.

    Attributes:
        column: The column it was read from; None where rows are only counted.
        values: ``(T,)`` ``datetime64`` (UTC where a zone is known) or integers.
        notes: How it was found, and what was done to it.
    """

    column: str | None
    values: Times
    notes: tuple[str, ...]


@dataclass(frozen=True)
class TimeOptions:
    """What the user said of the time column; None is found out.

    Attributes:
        form: Its format, in the letters of ``strptime``.
        zone: The zone of times that do not say theirs, such as ``Europe/Berlin``.
    """

    form: str | None = None
    zone: str | None = None


def holds_dates(column: pd.Series[Any]) -> bool:
    """Whether most cells of a column are dates."""
    return column.dtype.kind == "M" or bool(_readings(column))


def read_clock(
    table: UserTable, name: str, options: TimeOptions, reason: str = "", groups: NDArray[np.int64] | None = None
) -> Clock:
    """Time from one column.

    Args:
        table: The file.
        name: The column.
        options: What the user said of it.
        reason: Why this column was chosen, for the notes; empty where the user named it.
        groups: ``(T,)`` the number of the series that each row belongs to; None where there is one.

    Raises:
        BenchError: A cell is not a time, its format or zone leaves a choice, or the times do not rise from row to row
            (of one series).
    """
    column = table.frame[name]
    notes = [f"time column {name!r}: {reason}"] if reason else []
    values: Times
    if options.form is None and (is_numeric(column) or is_number(first_cell(column))):
        _refuse_zone(table, name, options.zone)
        values = _counted(table, name, notes)
    else:
        stamps = _stamps(table, name, options, notes)
        values = _in_utc(table, name, stamps, options.zone, groups, notes)
    for rows in _by_group(groups, len(values)):
        _require_rising(table, name, values, rows)
    return Clock(name, values, tuple(notes))


def _counted(table: UserTable, name: str, notes: list[str]) -> NDArray[np.int64]:
    numbers = table.numbers(name, OTHER_TIME, may_be_empty=False)
    table.require_all(name, np.isfinite(numbers), "a number", OTHER_TIME)
    if is_whole(numbers):
        return numbers.astype("int64")
    steps = np.diff(numbers)
    if len(steps) and (steps > 0).all() and np.allclose(steps, steps[0], rtol=1e-6):
        notes.append(f"time column {name!r}: not in whole numbers, so rows are counted instead")
        return np.arange(len(numbers), dtype=np.int64)
    row = int(np.argmax(~np.isclose(steps, steps[0], rtol=1e-6))) + 1 if len(steps) else 0
    raise BenchError(
        f"{table.where(row, name)}: {table.frame[name].iloc[row]} is not one step after the row before, and times that "
        f"are not whole numbers must rise evenly. Mend the column, or {OTHER_TIME}."
    )


def _stamps(table: UserTable, name: str, options: TimeOptions, notes: list[str]) -> pd.Series[pd.Timestamp]:
    """The column as times, naive or aware; every cell is one."""
    import pandas as pd

    column = table.frame[name]
    if column.dtype.kind == "M":
        table.require_all(name, column.notna().to_numpy(), "a date", OTHER_TIME)
        return column
    if options.form is not None:
        text = column.map(str, na_action="ignore")
        try:
            stamps = pd.to_datetime(text, format=options.form, errors="coerce", utc="%z" in options.form)
        except ValueError as error:
            raise BenchError(f"{table.path}: time_format = {options.form!r} is no format of times ({error}).") from None
        table.require_all(name, stamps.notna().to_numpy(), f"a date like {options.form}", OTHER_TIME)
        return stamps
    readings = _readings(column)
    if not readings:
        raise BenchError(
            f"{table.where(0, name)} is not a date ({first_cell(column)!r}). "
            f"Say its format, time_format = '%Y-%m-%d %H:%M', leave time out, or {OTHER_TIME}."
        )
    stamps, form = readings[0]
    table.require_all(name, stamps.notna().to_numpy(), "a date", OTHER_TIME)
    _require_one_reading(table, name, readings)
    if form.startswith(("%d", "%m")):
        notes.append(f"time column {name!r}: read as {form}")
    return stamps if _all_aware(table, name) else stamps.dt.tz_localize(None)


def _readings(column: pd.Series[Any]) -> list[tuple[pd.Series[pd.Timestamp], str]]:
    """Ways to read a column of text as times (as UTC), and their formats; the best first, none that fails for most."""
    import pandas as pd
    from pandas.tseries.api import guess_datetime_format

    first = first_cell(column)
    if is_numeric(column) or is_number(first) or not isinstance(next(iter(column.dropna()), None), str):
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # "year first, although day first was asked for": both are tried
        guessed = [guess_datetime_format(first, dayfirst=day_first) for day_first in (False, True)]
    forms = [form for form in dict.fromkeys(guessed) if form and not YEAR_DAY.match(form)]
    found = {form: pd.to_datetime(column, format=form, errors="coerce", utc=True) for form in forms}
    if found and first[:4].isdecimal():
        found["ISO8601"] = pd.to_datetime(column, format="ISO8601", errors="coerce", utc=True)
    good = [(stamps, form) for form, stamps in found.items() if stamps.notna().mean() > 0.5]
    return sorted(good, key=lambda reading: _fit(reading[0]), reverse=True)


def _fit(stamps: pd.Series[pd.Timestamp]) -> tuple[int, bool, bool]:
    """How much speaks for a reading: the cells it takes, whether they rise, whether evenly."""
    taken, rises = int(stamps.notna().sum()), bool(stamps.is_monotonic_increasing)
    return taken, rises, rises and taken == len(stamps) and is_regular(stamps.dt.tz_localize(None).to_numpy())


def _require_one_reading(table: UserTable, name: str, readings: list[tuple[pd.Series[pd.Timestamp], str]]) -> None:
    """Refuse days that could be months, where nothing in the file decides."""
    best, form = readings[0]
    for other, otherwise in readings[1:]:
        differs = (best != other).to_numpy()
        if _fit(other) == _fit(best) and differs.any():
            row = int(np.argmax(differs))
            raise BenchError(
                f"{table.where(row, name)}: {table.frame[name].iloc[row]!r} may be read as {form} or as {otherwise}. "
                f"Say which: time_format = {form!r}"
            )


def _all_aware(table: UserTable, name: str) -> bool:
    """Whether the cells say their zone.

    Raises:
        BenchError: Some do and some do not.
    """
    aware = np.array([AWARE.search(cell) is not None for cell in table.frame[name]], dtype=bool)
    if aware.all() or not aware.any():
        return bool(aware.all())
    row = int(np.argmax(aware != aware[0]))
    cell = table.frame[name].iloc[row]
    raise BenchError(
        f"{table.where(row, name)}: {cell!r} {'has' if aware[row] else 'has not'} a time zone, the rows before it "
        f"{'have none' if aware[row] else 'have one'}. Write all times with their zone, or none."
    )


def _in_utc(
    table: UserTable,
    name: str,
    stamps: pd.Series[pd.Timestamp],
    zone: str | None,
    groups: NDArray[np.int64] | None,
    notes: list[str],
) -> NDArray[np.datetime64]:
    if stamps.dt.tz is not None:
        _refuse_zone(table, name, zone)
        notes.append(f"time column {name!r}: its times are converted to UTC")
        return seconds(stamps.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy())
    local = seconds(stamps.to_numpy())
    if zone is None:
        return local
    summer, winter = _localised(table, name, local, zone)
    chosen = summer.copy()
    for rows in _by_group(groups, len(local)):
        _follow(chosen, winter, rows)
    told = int((summer != winter).sum())
    ambiguous = f"; {told:,} in the hour that comes twice, told apart by the order of rows" if told else ""
    notes.append(f"time column {name!r}: times of {zone} converted to UTC{ambiguous}")
    return chosen


def _localised(
    table: UserTable, name: str, local: NDArray[np.datetime64], zone: str
) -> tuple[NDArray[np.datetime64], NDArray[np.datetime64]]:
    """Local times as UTC, taken for the first and for the second time that the clock shows them."""
    import pandas as pd

    index = pd.DatetimeIndex(local)
    try:
        placed = [
            index.tz_localize(zone, ambiguous=np.full(len(index), first), nonexistent="NaT") for first in (True, False)
        ]
    except (KeyError, ValueError, OSError) as error:
        raise BenchError(
            f"{table.path}: timezone = {zone!r} is not known ({error}). Write one such as 'Europe/Berlin'."
        ) from None
    missing = np.asarray(placed[0].isna())
    if missing.any():
        row = int(np.argmax(missing))
        raise BenchError(
            f"{table.where(row, name)}: {table.frame[name].iloc[row]} does not exist in {zone}: the clock was put "
            "forward over it. Are the times of another zone?"
        )
    summer, winter = (stamps.tz_convert("UTC").tz_localize(None).to_numpy().astype(local.dtype) for stamps in placed)
    return summer, winter


def _follow(chosen: NDArray[np.datetime64], later: NDArray[np.datetime64], rows: NDArray[np.int64]) -> None:
    """Within the hour that comes twice, take the second time where the first would not rise any more."""
    for previous, row in pairwise(rows):
        if chosen[row] <= chosen[previous] < later[row]:
            chosen[row] = later[row]


def _by_group(groups: NDArray[np.int64] | None, count: int) -> list[NDArray[np.int64]]:
    """The rows of each series, in the file's order."""
    if groups is None:
        return [np.arange(count)]
    order = np.argsort(groups, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)


def _refuse_zone(table: UserTable, name: str, zone: str | None) -> None:
    if zone is not None:
        raise BenchError(
            f"{table.path}: column {name!r} needs no timezone = {zone!r}: its times are numbers, or say their own. "
            "Leave timezone out."
        )


def _require_rising(table: UserTable, name: str, values: Times, rows: NDArray[np.int64]) -> None:
    rises = np.diff(values[rows]).astype("int64")
    wrong = np.flatnonzero(rises <= 0)
    if not wrong.size:
        return
    at = int(wrong[0]) + 1
    row, cell = int(rows[at]), table.frame[name].iloc[rows[at]]
    fault = "repeats the row before" if rises[at - 1] == 0 else "is earlier than the row before"
    raise BenchError(
        f"{table.where(row, name)}: {cell} {fault}. "
        "Each time may have one row only: sort the rows by time, and drop or average repeated ones."
        + (long_file_hint(table, name) if len(rows) == len(values) else "")
        + (clock_change_hint(values[rows[at - 1]], values[row]) if values.dtype.kind == "M" else "")
    )


def clock_change_hint(before: np.datetime64, after: np.datetime64) -> str:
    """A sentence on daylight saving where two stamps look like a change of the clock: a Sunday night, an hour off."""
    night = (before.astype("datetime64[h]").astype("int64") % 24) <= 3
    sunday = (before.astype("datetime64[D]").astype("int64") + 4) % 7 == 0
    back_or_on = -HOUR <= after - before <= 0 * HOUR or HOUR < after - before <= 2 * HOUR
    if not (night and sunday and back_or_on):
        return ""
    return " This looks like a change to or from daylight saving: say where the clock hung, timezone = 'Europe/Berlin'."
