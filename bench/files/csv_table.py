"""A CSV file as a `UserTable`: read once for its shape, strictly, and once for its values."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from bench.errors import BenchError
from bench.files.user_table import UNNAMED, UserTable, is_number, is_numbered

if TYPE_CHECKING:
    import pandas as pd

DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}", re.ASCII)
WIDE_ENCODINGS = (b"\xff\xfe", b"\xfe\xff")


def read_csv(path: Path, *, text: tuple[str, ...] = ()) -> UserTable:
    """The rows of a CSV file: UTF-8, commas between cells, a header in row 1.

    Columns of numbers come as numbers (as Python reads them, to the last bit), others as text.

    Args:
        path: The file.
        text: Columns that are read as text, such as the names of series: ``001`` stays ``001``.

    Raises:
        BenchError: It is not there, is not such a file, or has no rows; the row at fault is named.
    """
    import pandas as pd

    if not path.is_file():
        fault = "is a folder" if path.is_dir() else "there is no such file"
        raise BenchError(f"csv:{path}: {fault}. Write 'csv:PATH' with the path of a CSV file.")
    content = _decode(path)
    names, rows = _scan(path, content)
    try:
        frame = pd.read_csv(
            io.StringIO(content),
            names=names,
            header=0,
            index_col=False,
            skip_blank_lines=False,
            keep_default_na=False,
            na_values=[""],
            dtype={name: "str" for name in text if name in names},
            low_memory=False,
            float_precision=_exact(pd.__version__),
        ).iloc[:rows]
    except (ValueError, OverflowError, pd.errors.ParserWarning) as error:
        raise BenchError(f"{path}: not a table of cells between commas ({error}).") from None
    if is_numbered(names) and frame[names[0]].head(2).tolist() == [1, 2]:  # its first 0 begins a count of rows
        raise _no_header(path, names)
    frame = frame.iloc[: _rows_until_blank_end(frame)]
    if frame.empty:
        raise BenchError(f"{path}: a header and no rows. Add a row for each time step.")
    return UserTable(path, frame, first_row=2)


def _exact(version: str) -> Literal["round_trip"] | None:
    """What makes pandas read decimals to the last bit; from 3.1 on it always does, and warns of being told."""
    major, minor = version.split(".")[:2]
    return "round_trip" if (int(major), int(minor)) < (3, 1) else None


def _decode(path: Path) -> str:
    """The file's text.

    Raises:
        BenchError: It cannot be read, or is not UTF-8; the row and the cell are named.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BenchError(f"{path}: cannot be read ({error.strerror or error}).") from None
    if content.startswith(WIDE_ENCODINGS):
        raise BenchError(f"{path}: row 1, column 1: UTF-16 text. Save it as CSV, UTF-8.")
    bad, fault = content.find(b"\0"), "a NUL byte"
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        start = error.start + (3 if content.startswith(b"\xef\xbb\xbf") else 0)
        if bad < 0 or start < bad:
            bad, fault = start, f"not UTF-8 text ({error.reason})"
    if bad >= 0:
        line = content[content.rfind(b"\n", 0, bad) + 1 : bad]
        row, column = content.count(b"\n", 0, bad) + 1, line.count(b",") + 1
        raise BenchError(f"{path}: row {row:,}, column {column}: {fault}. Save it as CSV, UTF-8.")
    return text


def _scan(path: Path, text: str) -> tuple[list[str], int]:
    """Column names, and the number of rows below them without blank ones at the end.

    Raises:
        BenchError: A row has more or fewer cells than the header, is blank between others, or its quotes do not match.
    """
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    count = filled = 1
    try:
        names = _checked_names(path, next(reader, []))
        for count, cells in enumerate(reader, 2):
            if not any(cells) and len(cells) in (0, len(names)):
                continue
            if len(cells) != len(names):
                place = min(len(cells), len(names)) + 1
                fault = "the row ends here" if len(cells) < len(names) else "the header ends before"
                raise BenchError(
                    f"{path}: row {count:,}, column {place}: {fault}. Each row needs one cell for each column of the "
                    f"header ({len(names)}), and a decimal point, not a comma."
                )
            filled = count
    except csv.Error as error:
        raise BenchError(
            f"{path}: row {count + 1:,}: not cells between commas ({error}). "
            "Each quote needs its end, and a comma after it."
        ) from None
    return names, filled - 1


def _checked_names(path: Path, header: list[str]) -> list[str]:
    """Column names, all different; a first column without a name is called ``Unnamed: 0``, as pandas does."""
    names = [name.strip() for name in header]
    if not any(names):
        raise BenchError(f"{path}: the first line is empty. The file needs a header of column names, then the rows.")
    if len(names) == 1 and any(mark in names[0] for mark in ";\t|"):
        raise BenchError(
            f"{path}: row 1, column 1: the header is one column, {names[0]!r}. Save the file with commas between cells."
        )
    if all(is_number(name) or DATE.match(name) for name in names) and not is_numbered(names):
        raise _no_header(path, names)
    names[0] = names[0] or UNNAMED
    for place, name in enumerate(names):
        if not name:
            raise BenchError(f"{path}: row 1, column {place + 1} has no name. Name it in the header.")
        if name in names[:place]:
            first = names.index(name) + 1
            raise BenchError(f"{path}: row 1 names {name!r} twice, in columns {first} and {place + 1}. Rename one.")
    return names


def _no_header(path: Path, names: list[str]) -> BenchError:
    return BenchError(f"{path}: row 1 holds values ({', '.join(names[:3])}). Add a header of column names.")


def _rows_until_blank_end(frame: pd.DataFrame) -> int:
    """How many rows there are without those at the end that hold nothing."""
    filled = np.flatnonzero(frame.notna().any(axis=1).to_numpy())
    return int(filled[-1]) + 1 if filled.size else 0
