"""Very many datasets on one page: who is best on each, and where the rest is told."""

from __future__ import annotations

import numpy as np

from bench.analysis import contest
from bench.analysis.leaderboard import FROZEN, PERSISTENCE
from bench.report.blocks import Block, Heading, Paragraph, Table, escape, paragraphs
from bench.report.figures.canvas import Drawing
from bench.report.figures.overview import draw_overview
from bench.report.figures.palette import palette_of
from bench.report.render.numbers import NONE, UNDEFINED, count, fixed, places, words
from bench.report.section import drawn, register_section
from bench.report.sections.accuracy import skill_cell
from bench.report.sections.verdict_cells import CLEAR, p_text
from bench.report.view.comparisons import against_best
from bench.report.view.detail import collapsed, detail, detailed, on_own_page
from bench.report.view.loaded import Results
from bench.results.disk import slug

PAGES = "datasets"
MOST_ROWS = 24  # of the figure
NOTE = (
    "MSE is scaled, mean over seeds. p is of the best against the next (see [Statistical "
    "significance](#statistical-significance)); bold where the difference is significant, a dash where it could "
    "not be tested."
)


@register_section("overview", after="answer", in_html=False)
def overview(results: Results) -> list[Block]:
    """A figure, and a row for each dataset with a link to its page; nothing where all are shown in full here."""
    if not on_own_page(results):
        return []
    rows = [_row(results, scenario) for scenario in detailed(results)]
    headers = ["Dataset", "best", "next", "MSE of the best ↓", "MSE below persistence, % ↑"]
    headers += ["MSE below frozen, % ↑", "the next is above it by, %", "adjusted p"]
    blocks: list[Block] = [
        Heading("Every dataset"),
        Paragraph(_choice(results)),
        *drawn(results, "overview", "datasets", "Error on every dataset", _figure, results),
        Table(headers, rows, text_columns=3),
        Paragraph(NOTE),
    ]
    links = ", ".join(map(_link, collapsed(results)))
    return [*blocks, *paragraphs(f"With fewer, later or leaked labels: {links}." if links else "")]


def page_of(scenario: str) -> str:
    """Where the page of a scenario is, from the report's folder."""
    return f"{PAGES}/{slug(scenario)}.md"


def _choice(results: Results) -> str:
    """What is on the pages of the datasets, and which datasets are compared here."""
    chosen = detail(results)
    total, shown = len(detailed(results)), len(chosen.shown)
    text = "Each dataset has a page of its own, linked here: all errors, cost, what happened when, carried memories."
    if shown == total:
        return text
    text += f" Of {total} datasets, tables that compare them have {shown}"
    if chosen.reference:
        named = [
            f"those where the best is furthest below {chosen.reference} ({_names(chosen.highest)})",
            f"where it is least so ({_names(chosen.lowest)})",
            f"and in the middle ({_names(chosen.middle)})",
        ]
        text += f": {', '.join(named)}"
    else:
        text += f", the first ({_names(chosen.shown)})"
    return (
        f"{text}. The pages of the others are without figures, unless `bench report "
        f"{escape(results.store.folder.name)} --all-figures` wrote them. Every number is in tables/."
    )


def _names(scenarios: tuple[str, ...]) -> str:
    return escape(words(scenarios))


def _link(scenario: str) -> str:
    return f"[{escape(scenario)}]({page_of(scenario)})"


def _row(results: Results, scenario: str) -> list[str]:
    found = contest(results.board_of(scenario))
    if found is None:
        return [_link(scenario), *[NONE] * 7]
    best = found.best
    following = NONE if found.next is None else escape(found.next["entry"])
    cells = [_link(scenario), escape(best["entry"]), following, fixed(best["mse"], places([best["mse"]]))]
    cells += [skill_cell(best, name).removesuffix(" (worse)") for name in (PERSISTENCE, FROZEN)]
    if found.next is None:
        return [*cells, NONE, NONE]
    pairs = against_best(results, scenario)
    pair = pairs[pairs["other"] == found.next["entry"]]
    p = float(pair["p_adjusted"].iloc[0]) if len(pair) else float("nan")
    said = p_text(p).removeprefix("p ").removeprefix("= ") if np.isfinite(p) else NONE
    said = f"**{said}**" if len(pair) and pair["verdict"].iloc[0] in CLEAR else said
    share = fixed(100 * found.gap / best["mse"], 1) if best["mse"] > 0 else UNDEFINED
    return [*cells, share, said]


def _figure(results: Results) -> Drawing | None:
    """Every strategy on every dataset; None where no ratio is defined."""
    mse = results.board.pivot(index="scenario", columns="entry", values="mse").loc[detailed(results)]
    ranked = results.overall[results.overall["mean_rank"].notna()]
    for name in (FROZEN, PERSISTENCE):
        reference = ranked.loc[ranked["strategy"] == name, "entry"].head(1).tolist()
        if reference:
            break
    else:
        return None
    ratios = mse.div(mse[reference[0]], axis=0)
    ratios = ratios.where(np.isfinite(ratios) & (ratios > 0))
    shown = ranked.head(MOST_ROWS)
    if ratios[shown["entry"]].isna().all(axis=None):
        return None
    palette = palette_of(results)
    tints = {entry: palette[strategy] for entry, strategy in zip(shown["entry"], shown["strategy"], strict=True)}
    drawing = draw_overview(ratios[list(tints)], tints, reference[0])
    caption = f"A dot is a dataset: MSE ÷ {reference[0]}'s, mean over seeds, under 1 is better; stroke: median. "
    caption += "Best average rank first."
    if exact := int((mse[reference[0]] == 0).sum()):
        caption += f" Without {count(exact, 'dataset')} on which {reference[0]} has no error: the ratio is undefined."
    if len(ranked) > MOST_ROWS:
        caption += f" The best {MOST_ROWS} of {len(ranked)}."
    return Drawing(drawing.figure, f"{caption} {drawing.caption}".rstrip())
