"""Which datasets a report shows in full where there are too many for one page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bench.analysis import contest
from bench.analysis.leaderboard import FROZEN, PERSISTENCE

MOST = 12
"""Scenarios that one page shows in full; with more, it shows those that `focus_of` chooses."""
ENDS, MIDDLE = 2, 2


@dataclass(frozen=True)
class Focus:
    """What the report's page shows in full.

    Attributes:
        shown: Scenarios with sections and figures of their own.
        highest: Of these, where the best is furthest below the reference; with ``lowest`` and ``middle``, the least
            and the median; all empty where everything is shown.
        reference: What it is measured by: ``frozen`` or ``persistence``; empty where neither has results.
    """

    shown: tuple[str, ...]
    highest: tuple[str, ...] = ()
    middle: tuple[str, ...] = ()
    lowest: tuple[str, ...] = ()
    reference: str = ""


def focus_of(boards: dict[str, pd.DataFrame], scenarios: Sequence[str]) -> Focus:
    """Choose what is shown in full: all of few; of many, the ends and the middle of what the best entry gains.

    Args:
        boards: Leaderboard of each scenario, best first.
        scenarios: From which to choose.
    """
    if len(scenarios) <= MOST:
        return Focus(tuple(scenarios))
    for reference in (FROZEN, PERSISTENCE):
        gains = {scenario: _gain(boards[scenario], reference) for scenario in scenarios}
        known = sorted((s for s in scenarios if np.isfinite(gains[s])), key=lambda s: -gains[s])
        if len(known) >= 2 * ENDS + MIDDLE:
            first = (len(known) - MIDDLE) // 2
            highest, middle = tuple(known[:ENDS]), tuple(known[first : first + MIDDLE])
            lowest = tuple(known[-ENDS:])
            return Focus((*highest, *middle, *lowest), highest, middle, lowest, reference)
    return Focus(tuple(scenarios[: 2 * ENDS + MIDDLE]))


def _gain(board: pd.DataFrame, reference: str) -> float:
    """Skill of the best entry against a reference, percent."""
    found = contest(board)
    return float(found.best[f"skill_{reference}"]) if found else float("nan")
