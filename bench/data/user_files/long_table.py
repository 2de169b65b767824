"""Long files, a row for each series and time, as one column for each series on the grid of all times."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.contracts.errors import BenchError
from bench.contracts.series import Floats
from bench.data.user_files.cells import is_numeric
from bench.data.user_files.timestamps.time_grid import MOST_CELLS, Times
from bench.data.user_files.user_table import UserTable, is_whole


def series_of_rows(table: UserTable, name: str) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """The number of each row's series, ``(R,)``, and the names of the series, by a column.

    Raises:
        BenchError: A cell is empty, or two names differ only in blanks.
    """
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
    """The rows of each series, in the file's order."""
    order = np.argsort(series, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(series[order])) + 1)


def pivot(
    table: UserTable, values: Floats, time: Times, series: NDArray[np.int64], names: tuple[str, ...], column: str
) -> tuple[Floats, Times]:
    """Series side by side, ``(T, C)``, NaN where one has no row or an empty cell; and every time that some series has.

    They share one clock, so that a forecast of one may read the others.

    Args:
        table: The file, for messages.
        values: ``(R,)``, one for each row of the file; NaN where a cell is empty.
        time: ``(R,)``.
        series: ``(R,)``, which series a row belongs to.
        names: ``C``, of the series.
        column: The time column's name.

    Raises:
        BenchError: A series has two rows for one time, or the grid would not fit into memory.
    """
    rows = pd.DataFrame({"time": time, "series": series, "value": values})
    times = rows["time"].nunique()
    if times * len(names) > MOST_CELLS:
        raise BenchError(
            f"{table.path}: {len(names):,} series over {times:,} times are too many for one table. "
            "Give a file with fewer series."
        )
    if (repeated := rows.duplicated(["time", "series"]).to_numpy()).any():
        row = int(repeated.argmax())
        before = int(((time == time[row]) & (series == series[row])).argmax())
        raise BenchError(
            f"{table.where(row, column)}: the series {names[series[row]]!r} has a row for this time already, "
            f"row {table.row_number(before):,}. Keep one of the two."
        )
    wide = rows.pivot(index="time", columns="series", values="value")
    return wide.to_numpy(), wide.index.to_numpy()


def long_file_hint(table: UserTable, time: str) -> str:
    """The options that read this file as a long one, if its times repeat and a column says why; else empty."""
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
    """Whether a column of few different cells tells rows of one time apart; numbers must be whole, times shared."""
    cells = table.frame[column]
    if not 1 < cells.nunique() <= len(cells) // 2 or table.frame.duplicated([column, time]).any():
        return False
    if not is_numeric(cells):
        return True
    shared = table.frame[time].nunique() <= 2 * len(cells) // 3
    return shared and bool(cells.notna().all()) and is_whole(cells.to_numpy("float64"))
