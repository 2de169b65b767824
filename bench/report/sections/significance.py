"""Which differences are statistically significant: the best of each dataset against every other entry."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.report.blocks import Block, Heading, Paragraph, Table, escape
from bench.report.render.numbers import NONE, count, places, words
from bench.report.section import register_section
from bench.report.sections.audits import entry_names
from bench.report.sections.differences import PERCENT, difference_cells
from bench.report.view.comparisons import against_best, pair_table
from bench.report.view.detail import detail
from bench.report.view.loaded import Results

OBSTACLES = {
    "not finite": "an error is without bound",
    "too few forecasts": "too few forecasts",
    "too persistent": "too persistent",
}
PERSISTENT = (
    "Too persistent: as far as this stream can tell, the difference is near a unit root, and no p-value would mean "
    "anything."
)
SMALLEST_P = 0.001
HOW_TO_READ = (
    "MSE of the best less MSE of each other ranked entry, scaled, at the same origins with the same seeds; below 0 the "
    "best is better. In brackets is the 95 % block-bootstrap interval over origins and seeds, each row by itself. "
    f"{PERCENT} p is the two-sided p-value of Diebold and Mariano's test on the mean over seeds (long-run variance by "
    "cosines, which covers the overlap of forecasts), adjusted after Holm over all pairs of ranked entries on all "
    "datasets of this report that can be tested. A difference is **significant** where the adjusted p is below 0.05 "
    "and the interval does not hold 0."
)


@register_section("significance", after="cost", on_pages=True, in_html=False)
def significance(results: Results) -> list[Block]:
    """For each scenario a table of the best against the others; nothing where there is nobody to compare."""
    blocks: list[Block] = []
    for scenario in detail(results).shown:
        found = against_best(results, scenario)
        if len(found):
            blocks += [Heading(f"The best on {escape(scenario)}", 3), _table(results, found)]
            blocks.append(Paragraph(_note(results, scenario, found)))
    return [Heading("Statistical significance"), Paragraph(HOW_TO_READ), *blocks] if blocks else []


def p_text(p: float) -> str:
    """``p = 0.012``, that it is smaller than what is worth telling apart, or that there is none."""
    if np.isnan(p):
        return "not tested"
    return f"p < {SMALLEST_P}" if p < SMALLEST_P else f"p = {p:.3f}"


def difference_sentence(pair: pd.Series) -> str:
    """Whether the best differs significantly from another entry, as the end of a sentence."""
    if pair["p"] == 1:
        return "no difference at all."
    difference = difference_cells(pair, places([pair["difference"]], 3))[0]
    difference += "" if pair["seeds"] > 1 else ", one seed only"
    if pair["obstacle"]:
        return f"not tested, {OBSTACLES[pair['obstacle']]} (in MSE {difference})."
    what = "**a significant difference**" if pair["significant"] else "no significant difference"
    return f"{what} (in MSE {difference}, adjusted {p_text(pair['p_holm'])})."


def _table(results: Results, found: pd.DataFrame) -> Table:
    decimals = places(found[["difference", "low", "high"]].to_numpy(dtype=float).ravel(), 3)
    rows = [
        [entry_names(results)[row["other"]], *difference_cells(row, decimals), _p(row), _answer(row), str(row["seeds"])]
        for _, row in found.iterrows()
    ]
    headers = [f"{escape(found['one'].iloc[0])} against", "MSE difference ↓", "in %", "adjusted p", "answer", "seeds"]
    return Table(headers, rows)


def _p(row: pd.Series) -> str:
    return NONE if row["obstacle"] else p_text(row["p_holm"]).removeprefix("p ").removeprefix("= ")


def _answer(row: pd.Series) -> str:
    if row["obstacle"]:
        return f"not tested: {OBSTACLES[row['obstacle']]}"
    if row["significant"]:
        return "**significant**"
    return "no difference at all" if row["p"] == 1 else "no significant difference"


def _note(results: Results, scenario: str, found: pd.DataFrame) -> str:
    lengths = sorted({int(length) for length in found["block"].dropna()})
    blocks = " to ".join(f"{length:,}" for length in dict.fromkeys([*lengths[:1], *lengths[-1:]]))
    facts = [f"n = {count(int(found['origins'].max()), 'origin')}, in blocks of {blocks}"]
    overlap = results.overlap(scenario)
    if overlap > 1:
        facts.append(f"forecasts less than {count(overlap, 'origin')} apart overlap")
    tested = int(pair_table(results)["p"].notna().sum())
    if tested:
        facts.append(f"p adjusted over {count(tested, 'pair')}")
    text = f"{'; '.join(facts)}. All pairs are in tables/pairs.csv."
    unresolved = [escape(str(entry)) for entry in found["other"][~found["significant"]]]
    if len(unresolved) < len(found) and unresolved:
        text += f" No significant difference from the best: {words(unresolved)}."
    return f"{text} {PERSISTENT}" if (found["obstacle"] == "too persistent").any() else text
