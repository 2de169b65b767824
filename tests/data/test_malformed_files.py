"""Over 200 files that are not as they should be: refused by row and column, or read as a plain reader reads them."""

import csv
import io
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench import BenchError
from tests.conftest import Bench

from .conftest import Load

ROWS = 60
SEEDS = range(3)
Draw = np.random.Generator
Cells = list[list[str]]


def table(draw: Draw) -> Cells:
    """A header and rows of ``when,load,price`` as a careful person writes them."""
    start = np.datetime64("2024-03-01T00:00:00") + np.timedelta64(int(draw.integers(0, 5000)), "h")
    stamps = [str(start + np.timedelta64(k, "h")).replace("T", " ") for k in range(ROWS)]
    numbers = [[f"{value:.{draw.integers(0, 17)}f}" for value in row] for row in draw.normal(scale=50, size=(ROWS, 2))]
    return [["when", "load", "price"], *([stamp, *row] for stamp, row in zip(stamps, numbers, strict=True))]


def joined(cells: Cells, end: str = "\n") -> str:
    return "".join(",".join(row) + end for row in cells)


def some_row(draw: Draw) -> int:
    """A row of the table, not the first and not the last; in the file it has one more."""
    return int(draw.integers(3, ROWS - 2))


def bad_cell(text: str, column: int | None = None) -> Callable[[Draw], tuple[bytes, str]]:
    """One cell replaced: refused by its row and its column."""

    def make(draw: Draw) -> tuple[bytes, str]:
        cells, row = table(draw), some_row(draw)
        place = int(draw.integers(1, 3)) if column is None else column
        cells[row][place] = text
        return joined(cells).encode(), rf"row {row + 1}, column '{cells[0][place]}'"

    return make


def bad_line(text: str, where: str) -> Callable[[Draw], tuple[bytes, str]]:
    """One line replaced; ``where`` is what the message says after the row."""

    def make(draw: Draw) -> tuple[bytes, str]:
        lines, row = joined(table(draw)).splitlines(), some_row(draw)
        lines[row] = text.format(line=lines[row], first=lines[row].partition(",")[0])
        return ("\n".join(lines) + "\n").encode(), rf"row {row + 1}{where}"

    return make


def changed(change: Callable[[Draw, Cells], object], where: str) -> Callable[[Draw], tuple[bytes, str]]:
    def make(draw: Draw) -> tuple[bytes, str]:
        cells = table(draw)
        change(draw, cells)
        return joined(cells).encode(), where

    return make


def encoded(change: Callable[[str], bytes], where: str) -> Callable[[Draw], tuple[bytes, str]]:
    return lambda draw: (change(joined(table(draw))), where)


def set_time(cells: Cells, row: int, value: str) -> None:
    cells[row][0] = value


def at_random(change: Callable[[Draw, bytes], bytes]) -> Callable[[Draw], tuple[bytes, str]]:
    """Damage that a reader may or may not see."""
    return lambda draw: (change(draw, joined(table(draw)).encode()), EITHER)


def flip(draw: Draw, content: bytes, first: int = 0, last: int | None = None) -> bytes:
    """Three bytes replaced."""
    damaged = bytearray(content)
    for place in draw.integers(first, last or len(content), size=3):
        damaged[int(place)] = int(draw.integers(0, 256))
    return bytes(damaged)


def swap(draw: Draw, cells: Cells) -> None:
    row = some_row(draw)
    cells[row], cells[row + 1] = cells[row + 1], cells[row]


EITHER, READ, SEEN = "<read, or refused>", "<read>", "<refused, or read as if nothing had happened>"
FIRST_ROW = r"row 1\b"

CSV: dict[str, Callable[[Draw], tuple[bytes, str]]] = {
    **{
        f"cell {name}": bad_cell(text)
        for name, text in {
            "word": "n/a",
            "nan": "NaN",
            "infinite": "-inf",
            "beyond float": "1e999",
            "too large": "9e200",
            "quoted decimal comma": '"1,5"',
            "quoted thousands": '"1,234.5"',
            "space thousands": "1 234",
            "percent": "5%",
            "currency": "$5",
            "formula": "#REF!",
            "hex": "0x1F",
            "underscore": "1_000",
            "unicode minus": "\u22125",
            "wide digits": "\uff15",
            "no-break space": "\u00a05",
            "mark inside": "\ufeff5",
            "flag": "True",
            "date": "2024-01-01",
            "two numbers": "1.5.2",
            "blank": " ",
            "quoted blank": '" "',
            "long": "x" * 5000,
            "empty": "",
            "complex": "1+2j",
        }.items()
    },
    **{
        f"time {name}": bad_cell(text, 0)
        for name, text in {
            "word": "soon",
            "empty": "",
            "no such day": "2024-02-30 10:00:00",
            "day first": "01.03.2024 10:00",
            "number": "45000",
            "hour 25": "2024-03-03 25:00:00",
            "zone": "2024-03-03 10:00:00+01:00",
            "far": "99999-01-01 00:00:00",
        }.items()
    },
    "decimal comma": bad_line("{first},1,5,2,5", ", column 4"),
    "one cell short": bad_line("{first},1", ", column 3"),
    "one cell long": bad_line("{line},9", ", column 4"),
    "blank line": bad_line("", ", column 'when' is empty"),
    "commas only": bad_line(",,", ", column 'when' is empty"),
    "comment": bad_line("# measured by hand", ", column 2: the row ends here.*comment = '#'"),
    "open quote": bad_line('{first},"1,2', ""),
    "text after quote": bad_line('{first},"1"5,2', ""),
    "quote inside": bad_line('{first},1"5,2', ", column 'load'"),
    "header again": bad_line("when,load,price", ", column 'when'"),
    "line break in a cell": bad_line('{first},"1\n2",2', ", column 'load'"),
    "semicolons": encoded(lambda text: text.replace(",", ";").encode(), f"{FIRST_ROW}: .*sep = ';'"),
    "tabs": encoded(lambda text: text.replace(",", "\t").encode(), rf"{FIRST_ROW}: .*sep = '\\t'"),
    "utf-16": encoded(lambda text: text.encode("utf-16"), f"{FIRST_ROW}, column 1"),
    "utf-16 without a mark": encoded(lambda text: text.encode("utf-16-le"), f"{FIRST_ROW}, column 1"),
    "latin-1 header": encoded(lambda text: text.replace("price", "größe").encode("latin-1"), f"{FIRST_ROW}, column 3"),
    "trailing cells": encoded(
        lambda text: text.replace("\n", ",7\n").replace("price,7", "price,", 1).encode(),
        f"{FIRST_ROW}, column 4 has no name",
    ),
    "trailing commas below": encoded(
        lambda text: text.replace("\n", ",\n").replace("price,", "price", 1).encode(), "row 2, column 4"
    ),
    "no header": encoded(lambda text: text.partition("\n")[2].encode(), f"{FIRST_ROW} holds values"),
    "duplicate header": encoded(lambda text: text.replace("price", "load", 1).encode(), f"{FIRST_ROW} names 'load'"),
    "nameless column": encoded(lambda text: text.replace("price", "", 1).encode(), f"{FIRST_ROW}, column 3"),
    "sep line": encoded(lambda text: ("sep=,\n" + text).encode(), f"{FIRST_ROW} is no header.*skiprows = 1"),
    "empty": encoded(lambda _: b"", "first line is empty"),
    "white space": encoded(lambda _: b" \n \n", "first line is empty"),
    "header only": encoded(lambda text: text.partition("\n")[0].encode(), "no rows"),
    "few rows": encoded(lambda text: "\n".join(text.splitlines()[:20]).encode(), "19 rows are too few"),
    "swapped rows": changed(swap, r"row [\d,]+, column 'when'.*is earlier"),
    "repeated row": changed(lambda draw, cells: cells.insert(9, cells[9]), r"row 11, column 'when'.*repeats"),
    "row left out": changed(lambda draw, cells: cells.pop(9), r"row 10, column 'when'.*2 h after"),
    "repeated stamp": changed(lambda draw, cells: set_time(cells, 9, cells[8][0]), r"row 10, column 'when'.*repeats"),
    "half an hour off": changed(
        lambda draw, cells: set_time(cells, 9, cells[9][0].replace(":00:", ":30:", 1)),
        r"row 1[01], column 'when'.*the usual step is 1 h",
    ),
    "reversed": changed(lambda draw, cells: cells.__setitem__(slice(1, None), cells[:0:-1]), "row 3, column 'when'"),
    "mark": encoded(lambda text: b"\xef\xbb\xbf" + text.encode(), READ),
    "CRLF": encoded(lambda text: text.replace("\n", "\r\n").encode(), READ),
    "CR": encoded(lambda text: text.replace("\n", "\r").encode(), READ),
    "blank end": encoded(lambda text: (text + "\n\n,,\n").encode(), READ),
    "no end": encoded(lambda text: text.rstrip("\n").encode(), READ),
    "all quoted": encoded(lambda text: re.sub(r"([^,\n]+)", r'"\1"', text).encode(), READ),
    "spaces around": encoded(lambda text: re.sub(r",([^,\n]+)", r",  \1 ", text).encode(), READ),
    "many digits": changed(lambda draw, cells: cells[9].__setitem__(1, "123456789" * 5), READ),
    "tiny": changed(lambda draw, cells: cells[9].__setitem__(1, "1e-400"), READ),
    "truncated": at_random(lambda draw, content: content[: int(draw.integers(0, len(content)))]),
    "flipped bytes": at_random(flip),
    "random bytes": at_random(lambda draw, _: draw.bytes(4000)),
    "bytes left out": at_random(
        lambda draw, content: content[: (at := int(draw.integers(20, 900)))] + content[at + int(draw.integers(1, 60)) :]
    ),
    "bytes twice": at_random(
        lambda draw, content: content[: (at := int(draw.integers(20, 900)))] + content[at - int(draw.integers(1, 20)) :]
    ),
}


def nul(draw: Draw) -> tuple[bytes, str]:
    cells, row = table(draw), some_row(draw)
    cells[row][1] = "1\0" + "5"
    return joined(cells).encode(), rf"row {row + 1}, column 2: a NUL byte"


def latin(draw: Draw) -> tuple[bytes, str]:
    cells, row = table(draw), some_row(draw)
    cells[row][2] = "5\u20ac"
    return joined(cells).encode("cp1252"), rf"row {row + 1}, column 3: not UTF-8"


CSV |= {"NUL": nul, "cp1252 cell": latin}


def plain_csv(content: bytes) -> tuple[list[str], np.ndarray, list[datetime]]:
    """What the standard library makes of a file; any fault raises."""
    rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True))
    while rows and not any(rows[-1]):
        rows.pop()
    header, *body = rows
    values = np.array([[float(cell) for cell in row[1:]] for row in body])
    return [name.strip() for name in header[1:]], values, [datetime.fromisoformat(row[0]) for row in body]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", CSV)
def test_csv(load: Load, bench: Bench, tmp_path: Path, kind: str, seed: int) -> None:
    content, expected = CSV[kind](np.random.default_rng([seed, len(kind), *kind.encode()]))
    path = tmp_path / "my.csv"
    path.write_bytes(content)
    try:
        series = load(f"csv:{path}")
    except BenchError as error:
        _is_clear(bench, f"csv:{path}", str(error), expected)
        return
    assert expected in (EITHER, READ)
    columns, values, times = plain_csv(content)
    assert list(series.columns) == columns
    assert series.values.tobytes() == (values + 0.0).tobytes()  # -0.0 is 0.0
    assert series.time.astype("datetime64[us]").tolist() == times


def _is_clear(bench: Bench, name: str, message: str, expected: str) -> None:
    assert expected != READ, message
    assert name.partition(":")[2] in message
    assert "\n" not in message
    if expected not in (EITHER, SEEN):
        assert re.search(expected, message), message
    ran = bench("data", "describe", name)
    assert ran.status == 2
    assert ran.out == ""
    assert ran.err.replace("\n", "").startswith("Error: ")
    assert "Traceback" not in ran.err


Columns = dict[str, object]


def columns(draw: Draw) -> Columns:
    stamps = np.datetime64("2024-03-01T00", "us") + np.arange(ROWS) * np.timedelta64(3600, "s")
    return {"when": stamps, "load": draw.normal(size=ROWS), "price": draw.normal(size=ROWS)}


def written(table: pa.Table, path: Path) -> bytes:
    pq.write_table(table, path, write_page_checksum=True, compression="none")
    return path.read_bytes()


def bad_value(value: object, kind: pa.DataType | None = None) -> Callable[[Draw, Path], tuple[bytes, str]]:
    def make(draw: Draw, path: Path) -> tuple[bytes, str]:
        row, found = some_row(draw), columns(draw)
        listed: list[object] = list(np.asarray(found["price"]).tolist())
        if kind is not None:
            listed = [str(number) if kind == pa.string() else number for number in listed]
        listed[row] = value
        found["price"] = pa.array(listed, kind)
        return written(pa.table(found), path), rf"row {row + 1}, column 'price'"

    return make


def bad_stamp(shift: int, fault: str) -> Callable[[Draw, Path], tuple[bytes, str]]:
    def make(draw: Draw, path: Path) -> tuple[bytes, str]:
        row, found = some_row(draw), columns(draw)
        stamps = np.asarray(found["when"]).copy()
        stamps[row] += np.timedelta64(shift, "m")
        return written(pa.table(found | {"when": stamps}), path), rf"row {row + 1}, column 'when'.*{fault}"

    return make


def damaged(change: Callable[[Draw, bytes], bytes], expected: str) -> Callable[[Draw, Path], tuple[bytes, str]]:
    return lambda draw, path: (change(draw, written(pa.table(columns(draw)), path)), expected)


def footer(content: bytes) -> int:
    """Where the footer begins."""
    return len(content) - 8 - int.from_bytes(content[-8:-4], "little")


def of_table(make: Callable[[Columns], pa.Table], expected: str) -> Callable[[Draw, Path], tuple[bytes, str]]:
    return lambda draw, path: (written(make(columns(draw)), path), expected)


NOT_PARQUET = "not a whole Parquet file"

PARQUET: dict[str, Callable[[Draw, Path], tuple[bytes, str]]] = {
    "null": bad_value(None),
    "NaN": bad_value(float("nan"), pa.float64()),
    "infinite": bad_value(float("inf")),
    "too large": bad_value(1e200),
    "word": bad_value("n/a", pa.string()),
    "decimal comma": bad_value("1,5", pa.string()),
    "stamp repeated": bad_stamp(-60, "repeats"),
    "stamp early": bad_stamp(-90, "is earlier"),
    "stamp late": bad_stamp(30, "the usual step is 1 h"),
    "truncated": damaged(lambda draw, content: content[: int(draw.integers(0, len(content)))], NOT_PARQUET),
    "cut at the front": damaged(lambda draw, content: content[int(draw.integers(1, 900)) :], ""),
    "empty": damaged(lambda draw, _: b"", NOT_PARQUET),
    "random bytes": damaged(lambda draw, _: draw.bytes(4000), NOT_PARQUET),
    "a CSV file": damaged(lambda draw, _: joined(table(draw)).encode(), NOT_PARQUET),
    "flipped in the pages": damaged(lambda draw, content: flip(draw, content, 4, footer(content)), SEEN),
    "flipped in the footer": damaged(lambda draw, content: flip(draw, content, footer(content)), EITHER),
    "no rows": of_table(lambda found: pa.table(found).slice(0, 0), "no rows"),
    "few rows": of_table(lambda found: pa.table(found).slice(0, 20), "20 rows are too few"),
    "no columns": of_table(lambda found: pa.table({}), "no rows or no columns"),
    "two names alike": of_table(
        lambda found: pa.table(found).rename_columns(["when", "x", "x"]), "two columns are called 'x'"
    ),
    "no name": of_table(lambda found: pa.table(found).rename_columns(["when", "x", ""]), "column 3 has no name"),
    "nested": of_table(lambda found: pa.table(found | {"price": [[1.0]] * ROWS}), "row 1, column 'price'"),
    "bytes": of_table(lambda found: pa.table(found | {"price": [b"1"] * ROWS}), "row 1, column 'price'"),
    "second time": of_table(lambda found: pa.table(found | {"price": found["when"]}), "row 1, column 'price'"),
    "only a time": of_table(lambda found: pa.table({"when": found["when"]}), "no column but the time column 'when'"),
    "as it should be": of_table(pa.table, READ),
}


def _plain_parquet(path: Path) -> dict[str, list[object]] | None:
    """What the library itself makes of a file; None where it refuses it."""
    try:
        found: dict[str, list[object]] = pq.read_table(path).to_pydict()
    except (pa.ArrowException, OSError, ValueError):
        return None
    return found


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", PARQUET)
def test_parquet(load: Load, bench: Bench, tmp_path: Path, kind: str, seed: int) -> None:
    path = tmp_path / "my.parquet"
    content, expected = PARQUET[kind](np.random.default_rng([seed, len(kind), *kind.encode()]), path)
    if expected != SEEN:
        path.write_bytes(content)
    plain = _plain_parquet(path)
    path.write_bytes(content)
    try:
        series = load(f"parquet:{path}")
    except BenchError as error:
        _is_clear(bench, f"parquet:{path}", str(error), expected)
        return
    assert expected in (EITHER, READ, SEEN)
    assert plain is not None
    assert list(series.columns) == list(plain)[1:]
    assert series.values.T.tolist() == list(plain.values())[1:]
    assert series.time.astype("datetime64[us]").tolist() == plain["when"]


def test_there_are_200() -> None:
    assert (len(CSV) + len(PARQUET)) * len(SEEDS) >= 200
