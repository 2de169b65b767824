"""What commands and sessions write on."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.contracts.text import shown, shown_lines

if TYPE_CHECKING:
    from bench.contracts.discovery import Broken


class Screen(Console):
    """A console on which text is text: nothing in it is marked up, and what would steer a terminal is spelled out."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**({"soft_wrap": True, "markup": False, "highlight": False, "emoji": False} | options))

    def say(self, line: object, style: str | None = None) -> None:
        """Print text on one line, whatever it holds."""
        self.print(shown(line), style=style)

    def render_str(self, text: str, **options: Any) -> Text:
        """As rich does it; ends of lines stay, and whoever prints text of several lines knows where they are from."""
        return super().render_str(shown_lines(text), **options)


out = Screen()
err = Screen(stderr=True)

UNENDING = 10_000
"""Columns of a file or a pipe, which has no edge to break lines at."""

LONGEST_NAME = 24
"""Characters up to which the first column is kept on one line in a narrow terminal."""


def say_left_alone(*folders: Path) -> None:
    """Name what is neither a file nor a folder in folders of results, such as a link: no command touches it."""
    from bench.results.maintenance import not_ours

    for finding in (finding for folder in folders for finding in not_ours(folder)):
        err.say(f"{finding.path} {finding.reason}")


def load_all(paths: Iterable[Path] = (), console: Screen = err) -> list[Broken]:
    """Load plug-ins; say which are the working folder's own, and which of those found by folder cannot be loaded."""
    from bench.contracts.discovery import load_plugins, working_plugins

    broken, here = load_plugins(paths), Path.cwd().resolve()
    if own := [str(file.relative_to(here)) for file in working_plugins(at_hand=True)]:
        console.say(f"Plug-ins of this folder: {', '.join(own)}")
    for file in broken:
        console.say(file, style="red")
    return broken


def print_table(title: str, columns: Iterable[str], rows: Iterable[tuple[str, ...]]) -> None:
    """Print rows of text under a title, a line each where the output is no terminal (and ``COLUMNS`` is not set)."""
    rows = list(rows)
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    is_short = max((len(row[0]) for row in rows), default=0) <= LONGEST_NAME
    for index, column in enumerate(columns):
        table.add_column(column, overflow="fold", no_wrap=index == 0 and is_short)
    for row in rows:
        table.add_row(*map(shown, row))
    Screen(soft_wrap=False, width=None if sys.stdout.isatty() or "COLUMNS" in os.environ else UNENDING).print(table)
