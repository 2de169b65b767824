"""A Parquet file as a `UserTable`."""

from __future__ import annotations

import json
import string
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bench.contracts.errors import BenchError
from bench.data.user_files.cells import Cells
from bench.data.user_files.user_table import UserTable

OLD_LETTERS = {"A": "Y", "H": "h", "T": "min", "S": "s", "L": "ms", "U": "us", "N": "ns"}
"""Steps as pandas wrote them until 2.1."""


def read_parquet(path: Path, cells: Cells | None = None, *, text: tuple[str, ...] = ()) -> UserTable:
    """The rows of a Parquet file; checksums of its pages are verified if it has them.

    Decimals and flags come as numbers, dates as times, categories as what they stand for, periods (months, quarters) as
    their first moment. An index that pandas wrote is a column like any other.

    Args:
        path: The file.
        cells: How its cells are read, where they are text.
        text: Columns that are read as text, such as the names of series.

    Raises:
        BenchError: It is missing, is not such a file, or has no rows.
    """
    if not path.is_file():
        fault = "is a folder" if path.is_dir() else "there is no such file"
        raise BenchError(f"parquet:{path}: {fault}. Write 'parquet:PATH' with the path of a Parquet file.")
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            columns = file.read()
        names = _checked_names(path, columns.column_names)
        arrays = {name: _cells(columns.column(i), columns.field(i), name in text) for i, name in enumerate(names)}
    except (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError) as error:
        fault = str(error).strip().partition("\n")[0]
        raise BenchError(f"{path}: not a whole Parquet file ({fault}). Write the file again.") from None
    frame = pd.DataFrame(arrays)
    if frame.empty:
        raise BenchError(f"{path}: no rows or no columns. Add a row for each time step.")
    return UserTable(path, frame, first_row=1, cells=cells or Cells())


def _checked_names(path: Path, header: list[str]) -> list[str]:
    names = [name.strip() for name in header]
    for place, name in enumerate(names):
        if not name:
            raise BenchError(f"{path}: column {place + 1} has no name. Name it.")
        if name in names[:place]:
            first = names.index(name) + 1
            raise BenchError(f"{path}: two columns are called {name!r}, {first} and {place + 1}. Rename one.")
    return names


def _cells(column: Any, field: Any, as_text: bool) -> Any:
    """The cells of a column as pandas holds them; periods, such as months, as their first moment.

    Arrow knows pandas' types once pandas has read or written such a file in this process; until then, name and options
    of the type are in the field's metadata.
    """
    kind = column.type
    extended = isinstance(kind, pa.BaseExtensionType)
    metadata = field.metadata or {}
    name = kind.extension_name if extended else metadata.get(b"ARROW:extension:name", b"").decode()
    storage = pa.chunked_array([chunk.storage for chunk in column.chunks], kind.storage_type) if extended else column
    if name != "pandas.period":
        return _plain(storage, as_text).to_pandas()
    options = kind.__arrow_ext_serialize__() if extended else metadata[b"ARROW:extension:metadata"]
    return _first_moments(storage, json.loads(options)["freq"])


def _first_moments(ordinals: Any, freq: str) -> Any:
    """The first moment of each period; periods are counted from 1970."""
    letters, dash, end = freq.partition("-")
    count = letters.rstrip(string.ascii_letters)
    letters = letters.removeprefix(count)
    known = ordinals.is_valid().to_numpy()
    counted = ordinals.fill_null(0).to_numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # periods of working days are on their way out
        kind = pd.PeriodDtype(f"{count}{OLD_LETTERS.get(letters, letters)}{dash}{end}")
    periods = pd.Series(pd.arrays.PeriodArray(counted, dtype=kind))
    return periods.dt.to_timestamp(how="start").where(known)


def _plain(column: Any, as_text: bool) -> Any:
    """A column in a type that pandas reads as numbers, times or text; numbers as digits if ``as_text``."""
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
