"""Long files, a row for each series and time, as one column for each series on the grid of all times."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.contracts.errors import BenchError
from bench.contracts.series import Floats
from bench.data.user_files.cells import is_numeric
from bench.data.user_files.timestamps.time_grid import MOST_CELLS, Times
from bench.data.user_files.user_table import UserTable, is_whole


@dataclass(frozen=True)
class Pivot:
    """Series side by side.

    Attributes:
        values: ``(T, C)``; NaN where a series has no row, or an empty cell.
        time: ``(T,)``, every stamp that some series has.
        columns: The names of the series, in the order in which the file first names them.
    """

    values: Floats
    time: Times
    columns: tuple[str, ...]


def series_of_rows(table: UserTable, name: str) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Which series each row belongs to, and the series' names.

    Args:
        table: The file.
        name: The column that says so.

    Raises:
        BenchError: A cell is empty, or two names cannot be told apart.
    """
    import pandas as pd

    column = table.frame[name]
    table.require_all(name, column.notna().to_numpy(), "the name of a series", "leave the row out")
    codes, found = pd.factorize(column)
    names = tuple(str(label).strip() for label in found)
    if len(set(names)) < len(names):
        repeated = next(label for place, label in enumerate(names) if label in names[:place])
        row = int(np.argmax(codes == len(names) - 1 - names[::-1].index(repeated)))
        raise BenchError(
            f"{table.where(row, name)}: the series {repeated!r} is written with blanks around it and without. "
            "Write it in one way."
        )
    return codes.astype("int64"), names


def rows_of_series(series: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """The rows of each series, in the file's order.

    Args:
        series: ``(R,)``, as `series_of_rows` gives it.
    """
    order = np.argsort(series, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(series[order])) + 1)


def pivot(
    table: UserTable, values: Floats, time: Times, series: NDArray[np.int64], names: tuple[str, ...], column: str
) -> Pivot:
    """Put series side by side. They share one clock, so that a forecast of one may read the others.

    Args:
        table: The file, for messages.
        values: ``(R,)``, one for each row of the file; NaN where a cell is empty.
        time: ``(R,)``.
        series: ``(R,)``, which series a row belongs to.
        names: Of the series.
        column: The time column's name.

    Raises:
        BenchError: A series has two rows for one time, or the grid would not fit into memory.
    """
    grid, first_of, row_of = np.unique(time, return_index=True, return_inverse=True)
    if len(grid) * len(names) > MOST_CELLS:
        raise BenchError(
            f"{table.path}: {len(names):,} series over {len(grid):,} times are too many for one table. "
            "Give a file with fewer series."
        )
    cells = row_of * len(names) + series
    _, first, counts = np.unique(cells, return_index=True, return_counts=True)
    if (counts > 1).any():
        repeated = int(np.setdiff1d(np.arange(len(cells)), first)[0])
        before = int(np.flatnonzero(cells == cells[repeated])[0])
        raise BenchError(
            f"{table.where(repeated, column)}: the series {names[series[repeated]]!r} has a row for this time already, "
            f"row {table.row_number(before):,}. Keep one of the two."
        )
    wide = np.full(len(grid) * len(names), np.nan)
    wide[cells] = values
    return Pivot(wide.reshape(len(grid), len(names)), time[first_of], names)


def long_file_hint(table: UserTable, time: str) -> str:
    """A sentence on long files, with the options that read this one, where its times repeat and a column says why.

    Args:
        table: A file that was read as a wide one.
        time: Its time column.
    """
    names = [column for column in table.frame.columns if column != time and _names_series(table, column, time)]
    values = [
        column for column in table.frame.columns if column not in (time, *names[:1]) and is_numeric(table.frame[column])
    ]
    if not names or not values:
        return ""
    others = f" (or {', '.join(map(repr, values[1:4]))})" if len(values) > 1 else ""
    return (
        f" If {names[0]!r} says whose a row is, give time = {time!r}, id = {names[0]!r} and "
        f"value = {values[0]!r}{others}."
    )


def _names_series(table: UserTable, column: str, time: str) -> bool:
    """Whether a column of few different cells tells rows of one time apart; numbers must be whole, and times shared."""
    cells = table.frame[column]
    if not 1 < cells.nunique() <= len(cells) // 2 or table.frame.duplicated([column, time]).any():
        return False
    if not is_numeric(cells):
        return True
    shared = table.frame[time].nunique() <= 2 * len(cells) // 3
    return shared and bool(cells.notna().all()) and is_whole(cells.to_numpy("float64"))
