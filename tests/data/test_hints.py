"""What a message says to do is done, until the file loads: no hint leads nowhere, or back to another one.

Each file is a true table, written in some way that is not read without options. The options in a message are tried one
alternative after the other, and each must lead to a series; one of them to the true values. Where a message says to
mend the file, `hints.MENDERS` do as it says.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable
from itertools import islice, product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench import DriftSeries

from .conftest import Load
from .hints import Broken, follow

ROWS = 120


def table(seed: int = 0, columns: int = 2, scale: float = 1.0) -> tuple[list[str], dict[str, list[float]]]:
    """Stamps and true values with two decimals, above 0."""
    draw = np.random.default_rng(seed)
    stamps = [str(np.datetime64("2024-01-05T00", "s") + np.timedelta64(k, "h")).replace("T", " ") for k in range(ROWS)]
    values = {f"x{c}": (scale * (1.5 + np.abs(draw.normal(size=ROWS)))).round(2).tolist() for c in range(columns)}
    return stamps, values


def written(value: float, decimal: str, thousands: str) -> str:
    return f"{value:,.2f}".translate({ord(","): thousands, ord("."): decimal})


def rows(stamps: list[str], cells: dict[str, list[str]], sep: str = ",", quote: bool = False) -> str:
    lines = [["when", *cells], *map(list, zip(stamps, *cells.values(), strict=True))]

    def cell(text: str) -> str:
        return f'"{text}"' if quote or sep in text else text

    return "".join(sep.join(map(cell, line)) + "\n" for line in lines)


def plain(values: dict[str, list[float]]) -> dict[str, list[str]]:
    return {name: [f"{value:.2f}" for value in column] for name, column in values.items()}


HEADS = {
    "nothing": "",
    "comment": "# station 12\n# of the north\n",
    "percent": "% station; 12\n",
    "title": "Station 12, north\n",
    "title and blank": "Station 12\n\n",
    "blank": "\n",
    "sep": "sep={sep}\n",
}


SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "strokes"}


def written_otherwise() -> dict[str, Broken]:
    """Separators, decimal marks, thousands, quotes and lines above the header: a fifth of what may come together."""
    found: dict[str, Broken] = {}
    formats = {
        "plain": (".", ""),
        "comma": (",", ""),
        "US": (".", ","),
        "German": (",", "."),
        "French": (",", "\u202f"),
        "Swiss": (".", "'"),
    }
    every = product(SEPARATORS, formats.items(), HEADS.items(), (False, True))
    for sep, (format_, marks), (above, head), quote in islice(every, 0, None, 5):
        stamps, values = table(len(found), scale=2000.0)
        cells = {name: [written(value, *marks) for value in column] for name, column in values.items()}
        text = head.format(sep=sep) + rows(stamps, cells, sep, quote)
        found[f"{SEPARATORS[sep]}, {format_}, {above}{', quoted' * quote}"] = Broken(text, values)
    return found


WRITTEN = written_otherwise()


def is_true(series: DriftSeries, truth: dict[str, list[float]]) -> bool:
    if list(series.columns) != list(truth) or len(series) != len(next(iter(truth.values()))):
        return False
    true = np.column_stack(list(truth.values()))
    return bool(((series.values == true) | np.isnan(true)).all())


@pytest.mark.parametrize("name", WRITTEN)
def test_a_table_written_otherwise(load: Load, tmp_path: Path, name: str) -> None:
    found = follow(load, tmp_path, WRITTEN[name])
    assert any(is_true(series, WRITTEN[name].truth) for series in found)


def with_cells(
    cells: dict[tuple[str, int], str], seed: int = 1, columns: int = 3
) -> tuple[str, dict[str, list[float]]]:
    """A table in which some cells are other texts, and what they are when they are filled forward."""
    stamps, values = table(seed, columns)
    texts = plain(values)
    for (name, row), text in sorted(cells.items()):
        texts[name][row] = text
        values[name][row] = values[name][row - 1]
    return rows(stamps, texts), values


def marked(*marks: str) -> Broken:
    """Each mark in a column of its own, and all of them in the last one."""
    last = f"x{len(marks)}"
    cells = {(f"x{c}", 7 + 9 * c): mark for c, mark in enumerate(marks)}
    cells |= {(last, 40 + 3 * c): mark for c, mark in enumerate(marks)}
    return Broken(*with_cells(cells, columns=len(marks) + 1))


def without_rows(*gone: int) -> Broken:
    stamps, values = table(2)
    left = [row for row in range(ROWS) if row not in gone]
    cells = plain({name: [column[row] for row in left] for name, column in values.items()})
    return Broken(
        rows([stamps[row] for row in left], cells),
        {name: [column[row] for row in left] for name, column in values.items()},
    )


def stamped(stamps: list[str]) -> Broken:
    _, values = table(3)
    return Broken(rows(stamps, plain(values)), values)


def dates(step: str, *, without: Callable[[Any], Any] = lambda times: times) -> list[str]:
    times = without(pd.date_range("2024-01-05", periods=4 * ROWS, freq=step))[:ROWS]
    return [str(time) for time in times]


def extra(**columns: Callable[[int], str]) -> Broken:
    stamps, values = table(4)
    return Broken(
        rows(stamps, plain(values) | {name: [cell(k) for k in range(ROWS)] for name, cell in columns.items()}), values
    )


def gap(column: str, start: int, end: int) -> Broken:
    """A column without values from a row on; filled forward only where that is asked for, left out otherwise."""
    return Broken(*with_cells({(column, row): "" for row in range(start, end)}))


def long_file(codes: tuple[str, ...], **options: Any) -> Broken:
    stamps, values = table(5, len(codes))
    lines = [
        f"{code},{stamp},{value}"
        for code, column in zip(codes, values.values(), strict=True)
        for stamp, value in zip(stamps, column, strict=True)
    ]
    truth = dict(zip(codes, values.values(), strict=True))
    return Broken("\n".join(["place,when,count", *lines]), truth, options=options)


def text_of(seed: int = 6) -> tuple[str, dict[str, list[float]]]:
    stamps, values = table(seed)
    return rows(stamps, plain(values)), values


def edited(change: Callable[[str], str | bytes]) -> Broken:
    text, values = text_of()
    return Broken(change(text), values)


def line(number: int, change: Callable[[str], str]) -> Callable[[str], str]:
    """Change one line; the header is 1."""
    return lambda text: "\n".join(change(row) if n == number else row for n, row in enumerate(text.split("\n"), 1))


BROKEN: dict[str, Broken] = {
    **{
        f"mark {mark}": marked(mark)
        for mark in ("NA", "n/a", "NaN", "null", "None", "-", "--", "?", ".", "#N/A", "missing")
    },
    "marks of all kinds": marked("NA", "?", "-", "null"),
    "empty cells": gap("x1", 30, 33),
    "dead in the end": gap("x1", 60, ROWS),
    "dead for a while": gap("x2", 40, 80),
    "all die": Broken(*with_cells({(f"x{c}", row): "" for c in range(3) for row in range(90, 115)})),
    "never measured": gap("x1", 1, ROWS),
    "starts late": Broken(*with_cells({("x1", row): "" for row in range(20)})),
    "text columns": extra(place=lambda k: "north", kind=lambda k: "ab"[k % 2]),
    "a text column, a mark and a gap": extra(
        place=lambda k: "north", flow=lambda k: ["1.25", "2.5", "NA", ""][k % 4 if k > 9 else 0]
    ),
    "percent": extra(share=lambda k: f"{k % 7}.5%"),
    "units": extra(load=lambda k: f"{k % 7}.5 kW"),
    "currency": extra(price=lambda k: f"${k % 7}.5"),
    "hours left out": without_rows(50, 51, 80),
    "a day left out": without_rows(*range(40, 64)),
    "jitter": stamped(
        [str(np.datetime64("2024-01-05T00", "s") + np.timedelta64(600 * k + k * 7 % 11, "s")) for k in range(ROWS)]
    ),
    "thirds of seconds": stamped(
        [str(np.datetime64("2024-01-05T00", "ms") + np.timedelta64(k * 1000 // 3, "ms")) for k in range(ROWS)]
    ),
    "holidays": stamped(dates("B", without=lambda times: times.delete([17, 18, 30, 55]))),
    "months left out": stamped(dates("MS", without=lambda times: times.delete([17, 30]))),
    "weeks left out": stamped(dates("7D", without=lambda times: times.delete([17, 30]))),
    "quarter-hours left out": stamped(dates("15min", without=lambda times: times.delete([17, 30]))),
    "long": long_file(("north", "south")),
    "long, of numbers": long_file(("001", "010", "100")),
    "long, time alone": long_file(("001", "010"), time="when"),
    "no header": edited(lambda text: text.partition("\n")[2]),
    "header twice": edited(lambda text: text.replace("x1", "x0", 1)),
    "no name": edited(lambda text: text.replace("x1", "", 1)),
    "empty cells without a name": edited(lambda text: text.replace("\n", ",,\n")),
    "empty cells beyond the header": edited(lambda text: text.replace("\n", ",,\n").replace(",,\n", "\n", 1)),
    "row of units": edited(line(1, lambda header: header + "\n,kW,kW")),
    "row of units in all": edited(line(1, lambda header: header + "\ndate,kW,kW")),
    "short row": edited(line(30, lambda cells: cells.rpartition(",")[0])),
    "long row": edited(line(30, lambda cells: cells + ",7")),
    "comment between": edited(line(30, lambda cells: "# calibrated\n" + cells)),
    "note at the end": edited(lambda text: text + "Source: the office\n"),
    "stray quote": edited(line(30, lambda cells: cells.replace(",", ',"', 1))),
    "repeated row": edited(line(30, lambda cells: cells + "\n" + cells)),
    "reversed": edited(lambda text: "\n".join([text.split("\n")[0], *text.split("\n")[-2:0:-1]])),
    "gzip": edited(lambda text: gzip.compress(text.encode())),
    "UTF-16": edited(lambda text: text.encode("utf-16")),
    "Latin-1": edited(lambda text: text.replace("x1", "größe").encode("latin-1")),
    "resampled too finely": Broken(*text_of(), options={"resample": "10min", "missing": "ffill"}),
    "a gap too long for what is borne": Broken(
        *with_cells({("x1", row): "" for row in range(30, 40)}), options={"missing": "ffill", "longest_gap": 3}
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file(load: Load, tmp_path: Path, name: str) -> None:
    found = follow(load, tmp_path, BROKEN[name])
    assert found
    if name not in ROWS_CHANGE:
        assert any(is_true(series, BROKEN[name].truth) for series in found)


ROWS_CHANGE = (
    "never measured",
    "starts late",
    "no header",
    "header twice",
    "no name",
    "short row",
    "long row",
    "Latin-1",
    "percent",
    "units",
    "currency",
    "a text column, a mark and a gap",
    "resampled too finely",
)
"""Files whose mended rows or columns are not those of the true table."""
