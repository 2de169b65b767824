"""Which figures a report has, and where they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from bench.report.figures.canvas import Drawing, drawing_style, save
from bench.report.figures.palette import colours
from bench.report.gallery.drift import drift_drawings
from bench.report.gallery.label_curves import label_drawings
from bench.report.gallery.overview import overview_drawings
from bench.report.gallery.ranks import rank_drawings
from bench.report.gallery.scenario import scenario_drawings
from bench.report.gallery.skill import skill_drawings
from bench.report.render.markdown import slug
from bench.report.view.loaded import Results


@dataclass(frozen=True)
class Picture:
    """A figure on disk.

    Attributes:
        stem: File name without its ending.
        alt: What it shows, in a few words.
        caption: What to read out of it; plain text.
    """

    stem: str
    alt: str
    caption: str


Gallery = dict[tuple[str, str], Picture]


def draw_figures(results: Results, folder: Path, *, everything: bool = False) -> Gallery:
    """Draw every figure that the results have the data for.

    Args:
        results: The experiment.
        folder: Where ``<stem>.svg`` and ``<stem>.png`` go; made, even if there is no figure.
        everything: Whether scenarios that have a page of their own get figures too.

    Returns:
        Pictures by scenario and kind: ``contrast``, ``memory``, ``stream``, ``cost``, ``lead``, ``forecasts``; by
        family of label regimes, ``labels`` and ``delay``; of known drifts, by their size, ``worth`` and ``recovery``;
        of `DATASETS`, ``skill`` and ``ranks``; of very many datasets together, ``overview``.
    """
    gallery: Gallery = {}
    palette = colours(results.runs["strategy"])
    folder.mkdir(parents=True, exist_ok=True)
    with drawing_style():
        scenarios = results.in_detail if everything else results.focus.shown
        for scenario, kind, drawing, alt in chain(
            overview_drawings(results, palette),
            drawings(results, palette, scenarios),
            rank_drawings(results, palette),
            drift_drawings(results, palette),
        ):
            picture = Picture(f"{kind}-{slug(scenario)}", alt, drawing.caption)
            save(drawing.figure, folder / picture.stem)
            gallery[scenario, kind] = picture
    return gallery


def drawings(
    results: Results, palette: dict[str, str], scenarios: Sequence[str]
) -> Iterator[tuple[str, str, Drawing, str]]:
    """Scenario, kind, figure and what it shows: of each of these scenarios, of the shown ones together, of labels."""
    yield from scenario_drawings(results, palette, scenarios)
    yield from skill_drawings(results, palette)
    yield from label_drawings(results, palette, scenarios)
