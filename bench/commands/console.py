"""What the command line writes on."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

out = Console(soft_wrap=True, emoji=False)  # `:x:` in a path is no cross
err = Console(stderr=True, soft_wrap=True, emoji=False)


UNENDING = 10_000
"""Columns of a file or a pipe, which has no edge to break lines at."""

LONGEST_NAME = 24
"""Characters up to which the first column is kept on one line in a narrow terminal."""


def say_left_alone(*folders: Path) -> None:
    """Name what is neither a file nor a folder in folders of results, such as a link: no command touches it."""
    from bench.storage.upkeep import not_ours

    for finding in (finding for folder in folders for finding in not_ours(folder)):
        err.print(f"{finding.path} {finding.reason}", markup=False, highlight=False)


def print_table(title: str, columns: Iterable[str], rows: Iterable[tuple[str, ...]]) -> None:
    """Print rows of text under a title, a line each where the output is no terminal (and ``COLUMNS`` is not set)."""
    rows = list(rows)
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    is_short = max((len(row[0]) for row in rows), default=0) <= LONGEST_NAME
    for index, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=index == 0 and is_short)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console(width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else UNENDING).print(table)
