"""Very many datasets on one page: who is best on each, and where the rest is told."""

from __future__ import annotations

import numpy as np

from bench.analysis import contest
from bench.analysis.leaderboard import FROZEN, PERSISTENCE
from bench.report.gallery import Gallery
from bench.report.gallery.links import picture
from bench.report.gallery.overview import OVERVIEW
from bench.report.render.markdown import NONE, escape, slug, table, words
from bench.report.render.numbers import UNDEFINED, fixed, places
from bench.report.sections.accuracy import skill_cell
from bench.report.sections.significance import p_text
from bench.report.view.loaded import Results

PAGES = "datasets"
NOTE = (
    "MSE is scaled, mean over seeds. p is of the best against the next (see [Is the difference more than "
    "chance?](#is-the-difference-more-than-chance)); bold where the difference is significant, a dash where it could "
    "not be tested."
)


def overview(results: Results, gallery: Gallery) -> list[str]:
    """Blocks: what is shown in full and why, a figure, a row for each dataset; nothing where all are shown in full."""
    if not results.elsewhere:
        return []
    rows = [_row(results, scenario) for scenario in results.in_detail]
    headers = ["Dataset", "best", "next", "MSE of the best ↓", "its skill against persistence, % ↑"]
    headers += ["its skill against frozen, % ↑", "the next is above it by, %", "adjusted p"]
    blocks = [
        "## Every dataset",
        _choice(results),
        *picture(gallery, *OVERVIEW),
        table(headers, rows, text_columns=3),
        NOTE,
    ]
    aside = [scenario for scenario in results.aside if scenario in results.elsewhere]
    if aside:
        blocks.append(
            f"With fewer, later or leaked labels: {', '.join(_link(results, scenario) for scenario in aside)}."
        )
    return blocks


def page_of(scenario: str) -> str:
    """Where the page of a scenario is, from the report's folder."""
    return f"{PAGES}/{slug(scenario)}.md"


def _choice(results: Results) -> str:
    """Which scenarios have sections and figures, and why."""
    focus = results.focus
    total, shown = len(results.in_detail), len(focus.shown)
    text = f"With {total} datasets, sections and figures below are of {shown}"
    if focus.reference:
        named = [
            f"those where the best is furthest below {focus.reference} ({_names(focus.highest)})",
            f"where it is least so ({_names(focus.lowest)})",
            f"and in the middle ({_names(focus.middle)})",
        ]
        text += f": {', '.join(named)}"
    else:
        text += f", the first ({_names(focus.shown)})"
    return (
        f"{text}. Each other one has a page of its own with the same tables, linked here, without figures unless "
        f"`bench report {escape(results.store.folder.name)} --all-figures` wrote it. Every number is in tables/."
    )


def _names(scenarios: tuple[str, ...]) -> str:
    return escape(words(scenarios))


def _link(results: Results, scenario: str) -> str:
    name = escape(scenario)
    return f"[{name}]({page_of(scenario)})" if scenario in results.elsewhere else f"{name} (below)"


def _row(results: Results, scenario: str) -> list[str]:
    found = contest(results.board_of(scenario))
    if found is None:
        return [_link(results, scenario), *[NONE] * 7]
    best = found.best
    following = NONE if found.next is None else escape(found.next["entry"])
    cells = [_link(results, scenario), escape(best["entry"]), following, fixed(best["mse"], places([best["mse"]]))]
    cells += [skill_cell(best, name).removesuffix(" (worse)") for name in (PERSISTENCE, FROZEN)]
    if found.next is None:
        return [*cells, NONE, NONE]
    pairs = results.against_best(scenario)
    pair = pairs[pairs["other"] == found.next["entry"]]
    p = float(pair["p_holm"].iloc[0]) if len(pair) else float("nan")
    said = p_text(p).removeprefix("p ").removeprefix("= ") if np.isfinite(p) else NONE
    said = f"**{said}**" if len(pair) and pair["significant"].iloc[0] else said
    share = fixed(100 * found.gap / best["mse"], 1) if best["mse"] > 0 else UNDEFINED
    return [*cells, share, said]
