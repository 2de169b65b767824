"""A CSV file as a `UserTable`: decoded, read once for its shape, strictly, and once for its values."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bench.contracts.errors import BenchError
from bench.data.user_files.cells import PLAIN, Cells
from bench.data.user_files.csv_dialect import (
    COMMENTS,
    SEPARATORS,
    Body,
    Dialect,
    body_of,
    found_dialect,
    found_numbers,
    holds_values,
)
from bench.data.user_files.user_table import UNNAMED, UserTable, is_numbered, shortened

WIDE_ENCODINGS = (b"\xff\xfe", b"\xfe\xff")
KINDS = {  # what files begin with that are taken for CSV, and what to do with them
    b"\x1f\x8b": "a gzip archive, not text. Unpack it: gunzip",
    b"PK\x03\x04": "a zip archive, as spreadsheets are, not text. Unpack it, or save the sheet as CSV, UTF-8",
    b"BZh": "a bzip2 archive, not text. Unpack it: bunzip2",
    b"\xfd7zXZ\x00": "an xz archive, not text. Unpack it: unxz",
    b"\x28\xb5\x2f\xfd": "a zstd archive, not text. Unpack it: unzstd",
    b"PAR1": "a Parquet file, not text. Write 'parquet:' before its path, in place of 'csv:'",
    b"\xd0\xcf\x11\xe0": "an old spreadsheet (.xls), not text. Save the sheet as CSV, UTF-8",
}


def decode(path: Path) -> str:
    """The text of a UTF-8 file; raises with row and column if it is not one."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BenchError(f"{path}: cannot be read ({error.strerror or error}).") from None
    for start, kind in KINDS.items():
        if content.startswith(start):
            raise BenchError(f"{path}: {kind}.")
    if content.startswith(WIDE_ENCODINGS):
        raise BenchError(f"{path}: row 1, column 1: UTF-16 text. Save it as CSV, UTF-8.")
    bad, fault = content.find(b"\0"), "a NUL byte"
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        start_of_text = 3 if content.startswith(b"\xef\xbb\xbf") else 0
        if bad < 0 or error.start + start_of_text < bad:
            bad, fault = error.start + start_of_text, f"not UTF-8 text ({error.reason})"
    if bad >= 0:
        line = content[content.rfind(b"\n", 0, bad) + 1 : bad]
        row, column = content.count(b"\n", 0, bad) + 1, line.count(b",") + 1
        raise BenchError(f"{path}: row {row:,}, column {column}: {fault}. Save it as CSV, UTF-8.")
    return text


def read_csv(
    path: Path, dialect: Dialect | None = None, cells: Cells | None = None, *, text: tuple[str, ...] = ()
) -> UserTable:
    """The rows of a CSV file: UTF-8, a header, then as many cells in each row.

    Columns of numbers come as numbers (as Python reads them, to the last bit), others as text.

    Args:
        path: The file.
        dialect: How it is written; by default commas between cells, and a header in row 1.
        cells: How its cells are read.
        text: Columns that are read as text, such as the names of series: ``001`` stays ``001``.

    Raises:
        BenchError: It is missing, is not such a file, or has no rows; the row at fault is named, and the options that
            read the file if it is written in another way.
    """
    if not path.is_file():
        fault = "is a folder" if path.is_dir() else "there is no such file"
        raise BenchError(f"csv:{path}: {fault}. Write 'csv:PATH' with the path of a CSV file.")
    dialect, cells = dialect or Dialect(), cells or Cells()
    content = decode(path)
    body = body_of(content, dialect)
    try:
        shape = _scan(body, dialect.sep)
        if len(shape.header) == 1 and (hint := _hint(content, dialect, cells)):
            raise _ShapeError(hint)
    except _ShapeError as error:
        raise BenchError(f"{path}: {_hint(content, dialect, cells) or error}") from None
    frame = _values(path, body, shape, dialect.sep, cells, text)
    if is_numbered(list(frame.columns)) and frame.iloc[:, 0].head(2).tolist() == [1, 2]:  # its 0 begins a count of rows
        raise BenchError(f"{path}: {_no_header(list(frame.columns), body.first_row)}")
    filled = np.flatnonzero(frame.notna().any(axis=1).to_numpy())
    frame = frame.iloc[: filled[-1] + 1 if filled.size else 0]
    if frame.empty:
        raise BenchError(f"{path}: a header and no rows. Add a row for each time step.")
    if cells.begins_with_words(frame):
        words = ", ".join(frame.iloc[0].dropna().astype(str))
        row = body.row_number(2)
        raise BenchError(
            f"{path}: row {row} holds words ({shortened(words)}), the rows below it "
            f"numbers. Take it out if it holds units; if it is the header give skiprows = {row - 1}."
        )
    return UserTable(path, frame, first_row=2, skipped=body.skipped, cells=cells, notes=shape.notes)


class _ShapeError(Exception):
    """Lines that are no table; the message names the row and the way out."""


@dataclass(frozen=True)
class _Shape:
    """What a table is before its cells are read."""

    header: list[str]  # names of all columns
    places: list[int]  # columns that have a name or a value
    rows: int  # how many there are, without blank ones at the end

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out."""
        left = len(self.header) - len(self.places)
        return (f"{left} column{'s' * (left > 1)} without a name and without a value: left out",) if left else ()


def _scan(body: Body, sep: str) -> _Shape:
    """The shape of a table; raises `_ShapeError` if header, rows or quotes are wrong.

    A nameless first column gets a name.
    """
    reader = csv.reader(io.StringIO(body.text, newline=""), delimiter=sep, strict=True)
    count = 0
    try:
        header = _checked_header([name.strip() for name in next(reader, [])], body.first_row, sep)
        nameless = [place for place, name in enumerate(header) if not name]
        filled = count = 1
        for count, cells in enumerate(reader, 2):
            if not any(cells) and len(cells) in (0, len(header)):
                continue
            if len(cells) != len(header):
                raise _ShapeError(_ragged(body.row_number(count), cells, len(header), sep))
            filled = count
            if named := [place + 1 for place in nameless if cells[place].strip()]:
                raise _ShapeError(f"row {body.first_row}, column {named[0]} has no name. Name it in the header.")
    except csv.Error as error:
        between = SEPARATORS.get(sep, repr(sep))
        raise _ShapeError(
            f"row {body.row_number(count + 1):,}: not cells between {between} ({error}). Each quote needs its end, and "
            f"{repr(sep) if sep != ',' else 'a comma'} after it."
        ) from None
    return _Shape(header, [place for place in range(len(header)) if place not in nameless], filled - 1)


def _checked_header(header: list[str], row: int, sep: str) -> list[str]:
    """Column names, all different; empty for a column without one."""
    names = [name if name.strip("".join(SEPARATORS)) else "" for name in header]
    if not any(names):
        raise _ShapeError(
            f"row {row}: the first line is empty. The file needs a header of column names, then the rows."
        )
    if len(names) == 1 and (other := next((mark for mark in SEPARATORS if mark != sep and mark in names[0]), None)):
        raise _ShapeError(
            f"row {row}, column 1: the header is one column, {names[0]!r}. If {other!r} stands between cells give "
            f"sep = {other!r}."
        )
    if holds_values(names):
        raise _ShapeError(_no_header(names, row))
    names[0] = names[0] or UNNAMED
    for place, name in enumerate(names):
        if name and name in names[:place]:
            first = names.index(name) + 1
            raise _ShapeError(f"row {row} names {name!r} twice, in columns {first} and {place + 1}. Rename one.")
    return names


def _no_header(names: list[str], row: int) -> str:
    return f"row {row} holds values ({', '.join(names[:3])}). Add a header of column names."


def _ragged(row: int, cells: list[str], width: int, sep: str) -> str:
    comment = next((mark for mark in COMMENTS if cells and cells[0].lstrip().startswith(mark)), None)
    fault = "the row ends here" if len(cells) < width else "the header ends before"
    decimal = ", and a decimal point, not a comma" if sep == "," else ""
    hint = f" If such lines are comments give comment = {comment!r}." if comment else ""
    if cells[width:] and not any(cells[width:]):
        hint = f" The cells beyond are empty: end the header with {sep!r}, too, as often as the rows do."
    return (
        f"row {row:,}, column {min(len(cells), width) + 1}: {fault}. Each row needs one cell for each column of the "
        f"header ({width}){decimal}.{hint}"
    )


def _hint(content: str, dialect: Dialect, cells: Cells) -> str:
    """What is wrong with header or separator, and the options that fix it; empty if none do."""
    found = found_dialect(content, dialect)
    if found is None:
        return ""
    best, header_row = found
    body = body_of(content, dialect)
    is_moved, other_sep = header_row != body.first_row, best.sep != dialect.sep
    changes = {name: getattr(best, name) for name in ("sep", "skiprows", "comment" if is_moved else "sep")}
    said = [f"{name} = {value!r}" for name, value in changes.items() if value != getattr(dialect, name)]
    if not said:
        return ""
    if other_sep and cells.numbers == PLAIN and (numbers := found_numbers(content, best)) != PLAIN:
        said.append(numbers.options)
    line = body.text.partition("\n")[0].strip()
    fault = f"row {body.first_row}"
    if is_moved:
        fault += f" is no header ({shortened(line)!r}), row {header_row} is"
    if other_sep:
        between = SEPARATORS.get(dialect.sep, repr(dialect.sep))
        fault += f"{',' if is_moved else ':'} its cells stand between {SEPARATORS[best.sep]}, not {between}"
    return f"{fault}. Give {', '.join(said)}."


def _values(path: Path, body: Body, shape: _Shape, sep: str, cells: Cells, text: tuple[str, ...]) -> pd.DataFrame:
    names = [name or f"Unnamed: {place}" for place, name in enumerate(shape.header)]
    version = tuple(map(int, pd.__version__.split(".")[:2]))
    kinds: Any = {name: "str" for name in text if name in names} if cells.numbers == PLAIN else "str"
    try:
        frame = pd.read_csv(
            io.StringIO(body.text),
            sep=sep,
            names=names,
            header=0,
            index_col=False,
            skip_blank_lines=False,
            keep_default_na=False,
            na_values=[""],
            dtype=kinds,
            low_memory=False,
            float_precision="round_trip" if version < (3, 1) else None,  # later versions always are, and warn
        ).iloc[: shape.rows, shape.places]
    except (ValueError, OverflowError, pd.errors.ParserWarning) as error:
        raise BenchError(f"{path}: not a table of cells between {SEPARATORS.get(sep, repr(sep))} ({error}).") from None
    if cells.numbers != PLAIN:
        frame = frame.apply(lambda column: column if column.name in text else cells.numbers.column(column))
    return frame
