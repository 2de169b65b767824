"""A Parquet file as a `UserTable`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.files.user_table import UserTable


def read_parquet(path: Path, *, text: tuple[str, ...] = ()) -> UserTable:
    """The rows of a Parquet file; checksums of its pages are verified where it has them.

    Decimals and flags come as numbers, dates as times, categories as what they stand for. An index that pandas wrote
    is a column like any other.

    Args:
        path: The file.
        text: Columns that are read as text, such as the names of series.

    Raises:
        BenchError: It is not there, is not such a file, or has no rows.
    """
    import pandas as pd
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        fault = "is a folder" if path.is_dir() else "there is no such file"
        raise BenchError(f"parquet:{path}: {fault}. Write 'parquet:PATH' with the path of a Parquet file.")
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            columns = file.read()
        names = _checked_names(path, columns.column_names)
        arrays = {name: _plain(columns.column(i), name in text).to_pandas() for i, name in enumerate(names)}
    except (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError) as error:
        fault = str(error).strip().partition("\n")[0]
        raise BenchError(f"{path}: not a whole Parquet file ({fault}). Write the file again.") from None
    frame = pd.DataFrame(arrays)
    if frame.empty:
        raise BenchError(f"{path}: no rows or no columns. Add a row for each time step.")
    return UserTable(path, frame, first_row=1)


def _checked_names(path: Path, header: list[str]) -> list[str]:
    names = [name.strip() for name in header]
    for place, name in enumerate(names):
        if not name:
            raise BenchError(f"{path}: column {place + 1} has no name. Name it.")
        if name in names[:place]:
            first = names.index(name) + 1
            raise BenchError(f"{path}: two columns are called {name!r}, {first} and {place + 1}. Rename one.")
    return names


def _plain(column: Any, as_text: bool) -> Any:
    """A column in a type that pandas takes as numbers, times or text, where there is one.

    Args:
        column: Of the file.
        as_text: Whether numbers are wanted as their digits.
    """
    import pyarrow as pa

    kind = column.type
    if pa.types.is_dictionary(kind):
        return _plain(column.cast(kind.value_type), as_text)
    if as_text and (pa.types.is_integer(kind) or pa.types.is_decimal(kind)):
        return column.cast(pa.string())
    if pa.types.is_decimal(kind):
        return column.cast(pa.string()).cast(pa.float64())  # by its digits, as in a CSV file: to the last bit
    if pa.types.is_boolean(kind):
        return column.cast(pa.uint8())
    if pa.types.is_date(kind):
        return column.cast(pa.date32()).cast(pa.timestamp("s"))
    return column
