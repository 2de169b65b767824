"""A user's CSV file as numbers and times, with errors that name the row and column as seen in the file."""

from __future__ import annotations

import csv
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.series import Floats

if TYPE_CHECKING:
    import pandas as pd

FIRST_ROW = 2  # the header is row 1, in an editor and in a spreadsheet
UNNAMED = "Unnamed: 0"
OTHER_COLUMNS = "name the columns to use, inputs = [...] and targets = [...], and leave this one out"
OTHER_TIME = "name another time column with time = '...'"


@dataclass(frozen=True)
class Clock:
    """The time of each row.

    Attributes:
        column: The column it was read from; None where rows are only counted.
        values: ``(T,)`` ``datetime64`` or integers, strictly increasing.
        notes: How it was found, and what is odd about it.
    """

    column: str | None
    values: NDArray[np.datetime64] | NDArray[np.int64]
    notes: tuple[str, ...]

    @property
    def step(self) -> float | None:
        """Seconds from one row to the next (the median), or None where time is not in dates."""
        if self.values.dtype.kind != "M":
            return None
        return float(np.median(np.diff(self.values) / np.timedelta64(1, "s")))


def read_table(path: Path) -> pd.DataFrame:
    """The rows of the file: columns of numbers as numbers, others as text, empty cells (only those) as NaN.

    Raises:
        BenchError: It is not there, is not a CSV file, or has no rows.
    """
    import pandas as pd

    if not path.is_file():
        fault = "is a folder" if path.is_dir() else "there is no such file"
        raise BenchError(f"csv:{path}: {fault}. Write 'csv:PATH' with the path of a CSV file.")
    try:
        names = _read_header(path)
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # rows longer than the header
            table = pd.read_csv(
                path,
                names=names,
                header=0,
                index_col=False,
                skip_blank_lines=False,
                keep_default_na=False,
                na_values=[""],
                low_memory=False,
                encoding="utf-8-sig",
            )
    except UnicodeDecodeError as error:
        raise BenchError(f"{path}: not UTF-8 text ({error.reason}). Save it as CSV, UTF-8.") from None
    except pd.errors.ParserWarning:
        raise BenchError(f"{path}: its rows have more cells than its header. Name every column in row 1.") from None
    except (pd.errors.ParserError, csv.Error) as error:
        fault = str(error).strip().removeprefix("Error tokenizing data. C error: ")
        raise BenchError(
            f"{path}: not a table of cells between commas ({fault}). "
            "Each row needs one cell for each column of the header, and each quote its end."
        ) from None
    table = table.iloc[: _rows_until_blank_end(table)]
    if table.empty:
        raise BenchError(f"{path}: a header and no rows. Add a row for each time step.")
    return table


def _read_header(path: Path) -> list[str]:
    """Column names, all different; a first column without a name is called ``Unnamed: 0``, as pandas does."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        names = [name.strip() for name in next(csv.reader(file), [])]
    if not any(names):
        raise BenchError(f"{path}: the first line is empty. The file needs a header of column names, then the rows.")
    if len(names) == 1 and any(mark in names[0] for mark in ";\t|"):
        raise BenchError(f"{path}: the header is one column, {names[0]!r}. Save the file with commas between cells.")
    if all(_is_number(name) for name in names):
        raise BenchError(f"{path}: row 1 holds numbers ({', '.join(names[:3])}). Add a header of column names.")
    names[0] = names[0] or UNNAMED
    for place, name in enumerate(names):
        if not name:
            raise BenchError(f"{path}: row 1, column {place + 1} has no name. Name it in the header.")
        if name in names[:place]:
            first = names.index(name) + 1
            raise BenchError(f"{path}: row 1 names {name!r} twice, in columns {first} and {place + 1}. Rename one.")
    return names


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _rows_until_blank_end(table: pd.DataFrame) -> int:
    """How many rows there are without the blank lines at the end of the file."""
    filled = np.flatnonzero(table.notna().any(axis=1).to_numpy())
    return int(filled[-1]) + 1 if filled.size else 0


def is_text(column: pd.Series[Any]) -> bool:
    """Whether the column holds something else than numbers."""
    return column.dtype.kind not in "biuf"


def is_index(column: pd.Series[Any], first: bool) -> bool:
    """Whether the numbers of a column only count the rows.

    Args:
        column: The column.
        first: Whether it is the file's first: there, whole numbers that rise are enough. Elsewhere they must rise by
            one same step, as a measured total may rise too.
    """
    if is_text(column) or column.dtype.kind == "b" or len(column) < 2:
        return False
    numbers = column.to_numpy("float64")
    if not np.isfinite(numbers).all():
        return False
    steps = np.diff(numbers)
    return bool((steps > 0).all() and (np.allclose(steps, steps[0], rtol=1e-6) or (first and _is_whole(numbers))))


def _is_whole(numbers: Floats) -> bool:
    """Whether these are integers that float64 holds exactly."""
    return bool((numbers == np.round(numbers)).all() and np.abs(numbers).max() < 2**53)


def _first(column: pd.Series[Any]) -> str:
    return str(next(iter(column.dropna()), ""))


def parse_dates(column: pd.Series[Any]) -> tuple[pd.Series[pd.Timestamp], str] | None:
    """The column as UTC times (NaT where a cell is none) and their format; None where it does not hold dates."""
    import pandas as pd
    from pandas.tseries.api import guess_datetime_format

    first = _first(column)
    if not is_text(column) or _is_number(first):  # a cell that is no number makes text of a column of numbers
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # "year first, although day first was asked for": both are tried
        formats = dict.fromkeys(guess_datetime_format(first, dayfirst=day_first) for day_first in (False, True))
    tried = [(pd.to_datetime(column, format=form, errors="coerce", utc=True), form) for form in formats if form]
    if tried and first[:4].isdecimal():
        tried.append((pd.to_datetime(column, format="ISO8601", errors="coerce", utc=True), "ISO8601"))
    if not tried:
        return None
    best = max(tried, key=lambda attempt: (attempt[0].notna().sum(), attempt[0].is_monotonic_increasing))
    return best if best[0].notna().mean() > 0.5 else None


def read_clock(path: Path, column: pd.Series[Any], reason: str = "") -> Clock:
    """Time from one column.

    Args:
        path: The file, for messages.
        column: The column, as `read_table` gave it.
        reason: Why this column was chosen, for the notes; empty where the user named it.

    Raises:
        BenchError: A cell is not a time, or the times do not rise from row to row.
    """
    import pandas as pd

    name = str(column.name)
    who = f"time column {name!r}"
    notes = [f"{who}: {reason}"] if reason else []
    values: NDArray[np.datetime64] | NDArray[np.int64]
    if is_text(column) and not _is_number(_first(column)):
        values, form = _dates(path, column)
        if form.endswith("%z"):
            notes.append(f"{who}: its times are converted to UTC")
        elif form.startswith(("%d", "%m")):
            notes.append(f"{who}: read as {form}")
        rises = np.diff(values).astype("int64")
    else:
        numbers = pd.to_numeric(column, errors="coerce").to_numpy("float64")
        _require_all(path, column, np.isfinite(numbers), "a number", OTHER_TIME)
        rises = np.sign(np.diff(numbers)).astype("int64")
        if _is_whole(numbers):
            values = numbers.astype("int64")
        else:
            values = np.arange(len(numbers), dtype=np.int64)
            notes.append(f"{who}: not in whole numbers, so rows are counted instead")
    if (wrong := np.flatnonzero(rises <= 0)).size:
        row = int(wrong[0]) + 1
        fault = "repeats the row before" if rises[row - 1] == 0 else "is earlier than the row before"
        raise BenchError(
            f"{path}: row {row + FIRST_ROW:,}, column {name!r}: {column.iloc[row]} {fault}. "
            "Each time may have one row only: sort the rows by time, and drop or average repeated ones."
        )
    steps = np.diff(values).astype("int64")
    if uneven := int((steps != np.median(steps)).sum()):
        notes.append(f"{who}: {uneven:,} of {len(steps):,} steps are longer or shorter than the usual one")
    return Clock(name, values, tuple(notes))


def _dates(path: Path, column: pd.Series[Any]) -> tuple[NDArray[np.datetime64], str]:
    parsed = parse_dates(column)
    if parsed is None:
        raise BenchError(
            f"{path}: row {FIRST_ROW}, column {column.name!r} is not a date ({_first(column)!r}). "
            f"Leave time out, or {OTHER_TIME}."
        )
    stamps, form = parsed
    _require_all(path, column, stamps.notna().to_numpy(), "a date", OTHER_TIME)
    exact = stamps.dt.tz_localize(None).to_numpy()
    seconds = exact.astype("datetime64[s]")
    return (seconds if (seconds == exact).all() else exact.astype("datetime64[ns]")), form


def to_numbers(path: Path, table: pd.DataFrame) -> Floats:
    """The cells as ``(T, C)`` float64.

    Raises:
        BenchError: A cell is empty or not a finite number; file, row, column and value are named.
    """
    import pandas as pd

    columns = []
    for name in table.columns:
        numbers = pd.to_numeric(table[name], errors="coerce").to_numpy("float64")
        _require_all(path, table[name], np.isfinite(numbers), "a number", OTHER_COLUMNS)
        columns.append(numbers)
    return np.column_stack(columns)


def _require_all(path: Path, column: pd.Series[Any], good: NDArray[np.bool_], wanted: str, otherwise: str) -> None:
    """Raise for the first cell of a column that is not what is wanted."""
    if good.all():
        return
    row = int(np.argmin(good))
    cell = column.iloc[row]
    where = f"{path}: row {row + FIRST_ROW:,}, column {column.name!r}"
    if column.isna().iloc[row]:
        raise BenchError(
            f"{where} is empty, expected {wanted}. Fill it first (forward-fill does not look ahead, interpolation "
            f"does), or {otherwise}."
        )
    raise BenchError(f"{where} is not {wanted} ({str(cell)!r}). Fix the file, or {otherwise}.")
