"""The documents of a report: its README, and a page for each dataset that it has no room for."""

from __future__ import annotations

from collections.abc import Iterator

from bench.report.blocks import Block, Bullets, Heading, Paragraph, escape
from bench.report.section import compose
from bench.report.sections import (  # noqa: F401 - each registers what it holds
    accuracy,
    breakdown,
    cost,
    known_drift,
    label_curves,
    memory_ablation,
    overview,
    problems,
    ranks,
    reproduction,
    significance,
    skill,
    summary,
    training,
    tuning,
    when,
)
from bench.report.sections.accuracy import errors_on
from bench.report.sections.summary import answer_line
from bench.report.view.detail import detail, detailed
from bench.report.view.loaded import Results

BACK = "Part of [the report](README.md), which says how to read the tables; tables/ has every number."


def report(results: Results) -> Iterator[Block]:
    """The whole report, section by section; those without data are left out."""
    return compose(results)


def in_html(results: Results) -> list[Block]:
    """What the HTML page has besides its own parts."""
    return list(compose(results, lambda placement: placement.in_html))


def dataset_page(results: Results, scenario: str, *, figures: bool) -> list[Block]:
    """One dataset's page, in a folder below the report's."""
    drawn = detailed(results) if figures else detail(results).shown
    here = results.on(scenario, draws=scenario in drawn)
    return [
        Heading(f"{escape(results.name)}: {escape(scenario)}", 1),
        Paragraph(BACK),
        Bullets([answer_line(here, scenario)]),
        Heading("Error"),
        *errors_on(here, scenario),
        *compose(here, lambda placement: placement.on_pages),
    ]
