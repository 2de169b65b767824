"""A page for each dataset that the report itself has no room for."""

from __future__ import annotations

import re
from pathlib import Path

from bench.report.gallery import Gallery
from bench.report.render.markdown import escape
from bench.report.sections.accuracy import errors_on
from bench.report.sections.breakdown import channels, leads
from bench.report.sections.cost import expense
from bench.report.sections.drift import over_the_stream, recovery
from bench.report.sections.memory_ablation import memory_ablation
from bench.report.sections.overview import page_of
from bench.report.sections.significance import significance
from bench.report.sections.summary import answer_line
from bench.report.view.loaded import Results

BACK = "Part of [the report](README.md), which says how to read the tables; tables/ has every number."


def write_pages(results: Results, gallery: Gallery, folder: Path) -> None:
    """Write the pages of a report, if it has any.

    Args:
        results: The experiment.
        gallery: The figures that were drawn.
        folder: Of the report.
    """
    for scenario in results.elsewhere:
        path = folder / page_of(scenario)
        path.parent.mkdir(exist_ok=True)
        path.write_text(compose_page(results, gallery, scenario), encoding="utf-8", newline="\n")


def compose_page(results: Results, gallery: Gallery, scenario: str) -> str:
    """The Markdown of one dataset's page, in a folder below the report's."""
    here = results.on(scenario)
    blocks = [
        f"# {escape(results.name)}: {escape(scenario)}",
        BACK,
        answer_line(here, scenario),
        "## Error",
        *errors_on(here, scenario),
        *significance(here),
        *memory_ablation(here, gallery),
        *expense(here, gallery),
        *over_the_stream(here, gallery),
        *recovery(here, gallery),
        *leads(here, gallery),
        *channels(here),
    ]
    return (
        re.sub(r"\]\((?=figures/|README\.md)", "](../", "\n\n".join(blocks)).replace(
            "](#problems)", "](../README.md#problems)"
        )
        + "\n"
    )
