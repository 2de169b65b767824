"""Sections: the order in which a report has them, and their figures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import ParamSpec

from bench.contracts.errors import BenchError, words_of
from bench.contracts.registry import unknown
from bench.contracts.section import PLACEMENTS, SECTIONS, Placement, register_section
from bench.report.blocks import Block, Figure, Heading, Paragraph, escape
from bench.report.figures.canvas import Drawing
from bench.report.view.loaded import Results

__all__ = ["compose", "drawn", "register_section"]

Given = ParamSpec("Given")


def compose(results: Results, chosen: Callable[[Placement], bool] = lambda _: True) -> Iterator[Block]:
    """The blocks of all sections, top down; a section is composed when its turn comes."""
    for name in ordered():
        if chosen(PLACEMENTS[name]):
            yield from _blocks_of(name, results)


def _blocks_of(name: str, results: Results) -> list[Block]:
    """Of one section; where a plug-in's fails, the report says so in its place, and has all others."""
    entry = SECTIONS[name]
    try:
        found = list(entry.cls(results))
        if wrong := [block for block in found if not isinstance(block, Block)]:
            raise TypeError(f"{type(wrong[0]).__name__} is no block")
    except Exception as error:
        if entry.cls.__module__.startswith("bench."):
            raise
        return [Heading(name), Paragraph(f"**This section failed**: {escape(words_of(error))} ({escape(entry.file)})")]
    return found


def ordered() -> list[str]:
    """Names of all sections from top to bottom; of several that follow the same, those with the fewest behind first.

    Raises:
        BenchError: A section follows one that is not there.
    """
    names = [entry.name for entry in SECTIONS]
    for name in names:
        if (after := PLACEMENTS[name].after) and after not in names:
            raise unknown("section", after, names)

    def behind(name: str) -> list[str]:
        chains = [[each, *behind(each)] for each in names if PLACEMENTS[each].after == name]
        return [each for found in sorted(chains, key=len) for each in found]

    found = behind("")
    if missing := sorted({*names} - {*found}):
        raise BenchError(f"Sections {', '.join(missing)} follow each other in a circle, or none is first")
    return found


def drawn(
    results: Results,
    kind: str,
    subject: str,
    alt: str,
    draw: Callable[Given, Drawing | None],
    *args: Given.args,
    **kwargs: Given.kwargs,
) -> list[Block]:
    """A figure as blocks; nothing on a page without figures, or where there is nothing to draw.

    Args:
        results: The experiment.
        kind: What it shows; with the subject it makes the file's name.
        subject: Of what, such as a scenario.
        alt: What it shows, in a few words.
        draw: Draws it.
        *args: What it is given.
        **kwargs: What it is given by name.
    """
    drawing = draw(*args, **kwargs) if results.draws else None
    return [Figure(kind, subject, alt, drawing.figure, drawing.caption)] if drawing else []
