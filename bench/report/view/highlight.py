"""Which entries are shown where there is no room for all: the best, and what they are measured by."""

from __future__ import annotations

import pandas as pd

from bench.analysis.leaderboard import FROZEN, PERSISTENCE

MOST_SHOWN, MOST_HIGHLIGHTED = 12, 6


def highlighted_entries(board: pd.DataFrame) -> list[str]:
    """Persistence, the best frozen entry and the best others: six in all, none of them leaky."""
    ranked = board[board["rank"].notna()]
    chosen: list[str] = []
    for name in (PERSISTENCE, FROZEN):
        chosen += ranked.loc[ranked["strategy"] == name, "entry"].head(1).tolist()
    others = [entry for entry in ranked["entry"] if entry not in chosen]
    return chosen + others[: MOST_HIGHLIGHTED - len(chosen)]


def shown_entries(board: pd.DataFrame) -> list[str]:
    """The highlighted entries and the next best, twelve in all, best first; those without a result are left out."""
    entries = board.loc[board["seeds"] > 0, "entry"].tolist()
    highlighted = highlighted_entries(board)
    rest = [entry for entry in entries if entry not in highlighted]
    kept = {*highlighted, *rest[: MOST_SHOWN - len(highlighted)]}
    return [entry for entry in entries if entry in kept]
