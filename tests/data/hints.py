"""Does what messages about a user's file say to do, until the file loads."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench import BenchError, DriftSeries
from bench.data.user_files.proposals import Options, proposals

from .conftest import Load

DEEPEST = 6


@dataclass(frozen=True)
class Broken:
    """A file that is not read as it is.

    Attributes:
        content: Of the file.
        truth: What it holds, by column; NaN fits any value.
        ending: Of its name.
        options: What is said of it from the start.
    """

    content: str | bytes
    truth: dict[str, list[float]]
    ending: str = "csv"
    options: Options = field(default_factory=dict)


def paths(load: Load, file: Path, options: Options, depth: int = 0) -> Iterator[DriftSeries]:
    """The series at the end of each way that messages lead."""
    try:
        yield load(f"{file.suffix[1:]}:{file}", **options)
        return
    except BenchError as error:
        message = str(error)
    assert depth < DEEPEST, message
    ways = [options | way for way in proposals(message) if not way.items() <= options.items()]
    for way in ways:
        yield from paths(load, file, way, depth + 1)
    if not ways or "Take it out" in message:
        yield from paths(load, mend(file, message), options, depth + 1)


def mend(file: Path, message: str) -> Path:
    """The file as a message says that it is to be; a new one beside it."""
    for pattern, change in MENDERS.items():
        if found := re.search(pattern, message):
            new = file.with_name(f"mended-{file.name}")
            content = change(file.read_bytes(), found)
            assert content != file.read_bytes(), message
            new.write_bytes(content)
            return new
    raise AssertionError(f"no way out: {message}")


def lines_changed(change: Callable[[list[str], re.Match[str]], list[str]]) -> Callable[[bytes, re.Match[str]], bytes]:
    return lambda content, found: "\n".join(change(content.decode().split("\n"), found)).encode()


def row_of(found: re.Match[str]) -> int:
    return int(found[1].replace(",", "")) - 1


def put(lines: list[str], row: int, line: str) -> list[str]:
    return [*lines[:row], line, *lines[row + 1 :]]


MENDERS: dict[str, Callable[[bytes, re.Match[str]], bytes]] = {
    r"a gzip archive": lambda content, _: gzip.decompress(content),
    r"UTF-16 text": lambda content, _: content.decode("utf-16").encode(),
    r"not UTF-8 text": lambda content, _: content.decode("latin-1").encode(),
    r"row (\d+) holds values .*Add a header": lines_changed(
        lambda lines, found: [
            *lines[: row_of(found)],
            ",".join(["when", *"abcdefgh"][: lines[row_of(found)].count(",") + 1]),
            *lines[row_of(found) :],
        ]
    ),
    r"row (\d+) names '(\w+)' twice": lines_changed(
        lambda lines, found: put(lines, row_of(found), lines[row_of(found)].replace(found[2], f"{found[2]}2", 1))
    ),
    r"row (\d+), column (\d+) has no name": lines_changed(
        lambda lines, found: put(lines, row_of(found), re.sub(r",(,|$)", r",named\1", lines[row_of(found)], count=1))
    ),
    r"The cells beyond are empty: end the header with '(.)'": lines_changed(
        lambda lines, found: [lines[0] + found[1] * (lines[1].count(found[1]) - lines[0].count(found[1])), *lines[1:]]
    ),
    r"row ([\d,]+), column \d+: (?:the row ends here|the header ends before)": lines_changed(
        lambda lines, found: put(lines, row_of(found), lines[row_of(found) - 1].replace(":00,", ":30,", 1))
    ),
    r"row ([\d,]+): not cells between commas": lines_changed(
        lambda lines, found: put(lines, row_of(found), lines[row_of(found)].replace('"', ""))
    ),
    r"row ([\d,]+), .* (?:is earlier than|repeats) the row before": lines_changed(
        lambda lines, found: [lines[0], *sorted({line.split(",")[0]: line for line in lines[1:] if line}.values())]
    ),
    r"Write the numbers without (.*)\. Or fix": lambda content, found: re.sub(
        "|".join(re.escape(part) for part in re.findall("'([^']+)'", found[1])), "", content.decode()
    ).encode(),
    r"row (\d+) holds words .* Take it out": lines_changed(
        lambda lines, found: [line for row, line in enumerate(lines) if row != row_of(found)]
    ),
    r"row ([\d,]+), column '\w+' is (?:empty, expected a date|not a date|not a number)": lines_changed(
        lambda lines, found: [line for row, line in enumerate(lines) if row != row_of(found)]
    ),
}
"""What a message says to do with the file; the first that is found in it."""


def follow(load: Load, folder: Path, broken: Broken) -> list[DriftSeries]:
    file = folder / f"my.{broken.ending}"
    file.write_bytes(broken.content if isinstance(broken.content, bytes) else broken.content.encode())
    return list(paths(load, file, broken.options))
