"""Which datasets a report shows in full on its own page, which on pages of theirs, and which it compares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bench.analysis import contest, fullest, label_curves
from bench.analysis.leaderboard import FROZEN, PERSISTENCE
from bench.report.view.loaded import Results, derived

FEW = 2
"""Scenarios that the report's own page shows in full; with more, each has a page of its own."""
MOST = 12
"""Scenarios that tables and figures compare side by side; of more, they compare what `choose_detail` chooses."""
ENDS, MIDDLE = 2, 2


@dataclass(frozen=True)
class Detail:
    """Which scenarios a page compares.

    Attributes:
        shown: Scenarios that stand side by side.
        highest: Of these, where the best is furthest below the reference; with ``lowest`` and ``middle``, the least
            and the median; all empty where everything is shown.
        reference: What it is measured by: ``frozen`` or ``persistence``; empty where neither has results.
    """

    shown: tuple[str, ...]
    highest: tuple[str, ...] = ()
    middle: tuple[str, ...] = ()
    lowest: tuple[str, ...] = ()
    reference: str = ""


def choose_detail(boards: dict[str, pd.DataFrame], scenarios: Sequence[str]) -> Detail:
    """Choose what is compared: all of few; of many, the ends and the middle of what the best entry gains.

    Args:
        boards: Leaderboard of each scenario, best first.
        scenarios: From which to choose.
    """
    if len(scenarios) <= MOST:
        return Detail(tuple(scenarios))
    for reference in (FROZEN, PERSISTENCE):
        gains = {scenario: _gain(boards[scenario], reference) for scenario in scenarios}
        known = sorted((s for s in scenarios if np.isfinite(gains[s])), key=lambda s: -gains[s])
        if len(known) >= 2 * ENDS + MIDDLE:
            first = (len(known) - MIDDLE) // 2
            highest, middle = tuple(known[:ENDS]), tuple(known[first : first + MIDDLE])
            lowest = tuple(known[-ENDS:])
            return Detail((*highest, *middle, *lowest), highest, middle, lowest, reference)
    return Detail(tuple(scenarios[: 2 * ENDS + MIDDLE]))


def _gain(board: pd.DataFrame, reference: str) -> float:
    """Skill of the best entry against a reference, percent."""
    found = contest(board)
    return float(found.best[f"skill_{reference}"]) if found else float("nan")


def detail(results: Results) -> Detail:
    """Which scenarios stand side by side on the page at hand."""
    return Detail(results.page) if results.page else _detail(results)


@derived
def _detail(results: Results) -> Detail:
    return choose_detail({scenario: results.board_of(scenario) for scenario in results.scenarios}, detailed(results))


@derived
def label_errors(results: Results) -> pd.DataFrame:
    """`label_curves` of all runs."""
    return label_curves(results.runs)


@derived
def label_families(results: Results) -> list[pd.DataFrame]:
    """The rows of each family of `label_errors`."""
    return [here for _, here in label_errors(results).groupby(["kind", "family"], sort=False)]


@derived
def detailed(results: Results) -> list[str]:
    """Of scenarios that differ in their labels alone, only the one with most of them and earliest; all others."""
    fewer = {str(s) for here in label_families(results) for s in set(here["scenario"]) - {fullest(here)}}
    return [scenario for scenario in results.scenarios if scenario not in fewer]


@derived
def collapsed(results: Results) -> list[str]:
    """The other scenarios, with fewer, later or leaked labels: their tables are folded up."""
    return [scenario for scenario in results.scenarios if scenario not in detailed(results)]


def in_full(results: Results) -> tuple[str, ...]:
    """Scenarios with sections and figures of their own on the page at hand."""
    return results.page or (() if on_own_page(results) else tuple(detailed(results)))


def on_own_page(results: Results) -> list[str]:
    """Scenarios that have a page of their own: all, where there are more than a few."""
    return [*detailed(results), *collapsed(results)] if len(detailed(results)) > FEW else []
