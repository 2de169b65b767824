"""What a report is made of: blocks, from which `bench.report.render` writes Markdown, LaTeX and the page.

A text is written in a small notation: ``**strong**``, ``*emphasis*``, code between back-ticks, and
``[link](#section)``. Whatever comes from a record or a file goes through `escape` first, so that no name can be taken
for notation.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from bench.contracts.text import one_line

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure as Canvas

START, END = "\x02", "\x03"
"""Around a name: `one_line` leaves no control character in it."""

NAME = re.compile(f"{START}([^{END}]*){END}")
TOKENS = re.compile(
    rf"{START}(?P<name>[^{END}]*){END}|(?P<strong>\*\*)|(?P<em>\*)|`(?P<code>[^`]*)`"
    rf"|\[(?P<link>[^\]]*)\]\((?P<target>[^)]*)\)|(?P<plain>[^*`\[{START}]+|.)",
    flags=re.DOTALL,
)


def escape(text: object) -> str:
    """Any text as one line that the notation leaves alone."""
    line = one_line(text)
    return f"{START}{line}{END}" if line else ""


class Run(NamedTuple):
    """A piece of a text.

    Attributes:
        text: What it says.
        style: ``strong``, ``em``, ``code`` or ``link``; empty where it is plain.
        target: Of a link.
    """

    text: str
    style: str = ""
    target: str = ""


def runs(text: str) -> list[Run]:
    """The pieces of a text in the notation.

    Examples:
        >>> [tuple(run) for run in runs(f"**{escape('a*b')}** < [c](#c)")]
        [('a*b', 'strong', ''), (' < ', '', ''), ('c', 'link', '#c')]
    """
    found: list[Run] = []
    strong = em = False
    for token in TOKENS.finditer(text):
        kind = token.lastgroup
        if kind == "strong":
            strong = not strong
        elif kind == "em":
            em = not em
        elif kind == "target":
            found.append(Run(plain(token["link"]), "link", token["target"]))
        elif kind == "code":
            found.append(Run(plain(token["code"]), "code"))
        else:
            said, style = str(token[str(kind)]), "strong" if strong else "em" if em else ""
            if found and found[-1][1:] == (style, ""):
                found[-1] = Run(found[-1].text + said, style)
            else:
                found.append(Run(said, style))
    return found


def plain(text: str) -> str:
    """A text without the marks of `escape`."""
    return NAME.sub(r"\1", text)


@dataclass(frozen=True)
class Heading:
    """A heading; level 1 is the report's title, 2 a section's."""

    text: str
    level: int = 2


@dataclass(frozen=True)
class Paragraph:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Bullets:
    """A list."""

    items: Sequence[str]


@dataclass(frozen=True)
class Code:
    """Lines as they stand: text of any kind, not in the notation."""

    text: str
    language: str = ""


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        headers: One for each column.
        rows: Cells, in the notation.
        text_columns: So many first columns are left-aligned, the others right-aligned.
        caption: What the page says of it to those who do not see it.
    """

    headers: Sequence[str]
    rows: Sequence[Sequence[str]]
    text_columns: int = 1
    caption: str = ""

    @classmethod
    def of(cls, frame: pd.DataFrame, columns: Mapping[str, str]) -> Table:
        """A table of a frame; text comes before numbers, and a column of numbers has the decimals that it calls for.

        Args:
            frame: A row for each row.
            columns: Which of its columns, and the header of each, in the notation.
        """
        from bench.report.render.numbers import fixed, places

        cells: list[list[str]] = []
        numeric = [frame[column].dtype.kind in "iuf" for column in columns]
        for column, is_number in zip(columns, numeric, strict=True):
            values = frame[column].tolist()
            decimals = places(values) if frame[column].dtype.kind == "f" else 0
            cells.append([fixed(value, decimals) if is_number else escape(value) for value in values])
        text_columns = numeric.index(True) if any(numeric) else len(numeric)
        return cls(list(columns.values()), list(zip(*cells, strict=True)), text_columns)


@dataclass(frozen=True, eq=False)
class Figure:
    """A figure, and what stands under it.

    Attributes:
        kind: What it shows, such as ``cost``; with the subject it makes the file's name.
        subject: Of what, such as a scenario; any text.
        alt: What it shows, in a few words; any text.
        canvas: The figure.
        caption: What to read out of it; any text.
    """

    kind: str
    subject: str
    alt: str
    canvas: Canvas
    caption: str = ""


@dataclass(frozen=True)
class Details:
    """Blocks that are folded up until a reader wants them."""

    summary: str
    blocks: Sequence[Block]


Block = Heading | Paragraph | Bullets | Code | Table | Figure | Details


def paragraphs(*texts: str) -> list[Block]:
    """A paragraph for each text; empty ones are left out."""
    return [Paragraph(text) for text in texts if text]


def bullets(items: Sequence[str]) -> list[Block]:
    """The list of these items; nothing without any."""
    return [Bullets(items)] if items else []


def figures_in(blocks: Iterable[Block]) -> Iterator[Figure]:
    """Every figure, folded ones too."""
    for block in blocks:
        if isinstance(block, Figure):
            yield block
        elif isinstance(block, Details):
            yield from figures_in(block.blocks)
