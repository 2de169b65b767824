"""One look for each strategy, the same in every figure, told apart by colour-blind readers too."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.analysis.leaderboard import PERSISTENCE
from bench.contracts.strategy import COLOUR
from bench.report.view.highlight import highlighted_entries, shown_entries
from bench.report.view.loaded import Results

INK, MUTED, FAINT, GREY_NAME = "#222222", "#6b6b6b", "#c9c9c9", "#8f8f8f"

# What this package brings has Okabe and Ito's palette, then Tol's muted one; greys and black for what does not adapt.
SPARE = ("#aa4499", "#999933", "#661100", "#6a51a3", "#44aa99", "#cc6677", "#117733", "#4a6a8a", "#b2a2e0", "#ddcc77")
SHADES = (0.0, -0.35, 0.4)  # how far a spare colour is moved to black, or to white
DASHES: tuple[Any, ...] = ("solid", (0, (5, 1.5)), (0, (1.5, 1.2)), (0, (5, 1.2, 1.2, 1.2)))
DASHED = {PERSISTENCE: 1, "seasonal-naive": 2}


@dataclass(frozen=True)
class Look:
    """How an entry is drawn.

    Attributes:
        entry: Its name in tables.
        colour: Of its strategy.
        dash: Tells apart the entries of one strategy.
        highlighted: Drawn in colour; otherwise a thin grey line.
    """

    entry: str
    colour: str
    dash: Any
    highlighted: bool

    @property
    def line(self) -> dict[str, Any]:
        """Arguments for matplotlib's ``plot``."""
        if self.highlighted:
            order = 2.5 if len({*re.findall("[0-9a-f]{2}", self.colour)}) == 1 else 3  # what is grey hides nobody
            return {"color": self.colour, "ls": self.dash, "lw": 1.2, "zorder": order, "label": self.entry}
        return {"color": FAINT, "lw": 0.8, "zorder": 2, "label": self.entry}

    @property
    def name_colour(self) -> str:
        """Of its label."""
        return self.colour if self.highlighted else GREY_NAME


def colours(strategies: Iterable[str], stated: Mapping[str, str] | None = None) -> dict[str, str]:
    """A colour for each strategy: its own where it states one, otherwise the next spare one in the order of hashes.

    Args:
        strategies: Their names.
        stated: The colours that they state, by name; what is no colour is as good as none.
    """
    names = set(strategies)
    own = {name: colour for name, colour in (stated or {}).items() if re.fullmatch(COLOUR, colour)}
    strangers = sorted(names - set(own), key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    spare = {name: _spare(i) for i, name in enumerate(strangers)}
    return {name: own.get(name) or spare[name] for name in names}


def _spare(number: int) -> str:
    """The spare colours in turn, then darker ones, then lighter ones, and then from the start."""
    turn, place = divmod(number, len(SPARE))
    colour, shade = SPARE[place], SHADES[turn % len(SHADES)]
    channels = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    mixed = (round(channel + abs(shade) * ((255 if shade > 0 else 0) - channel)) for channel in channels)
    return "#" + "".join(f"{channel:02x}" for channel in mixed)


def looks(board: pd.DataFrame, palette: dict[str, str]) -> list[Look]:
    """How the entries of one scenario are drawn, best first; those that there is no room for are left out.

    Args:
        board: The scenario's leaderboard, best first.
        palette: From `colours`.
    """
    highlighted, shown = highlighted_entries(board), shown_entries(board)
    found, used = [], dict.fromkeys(board["strategy"], 0)
    for entry, strategy in zip(board["entry"], board["strategy"], strict=True):
        if entry in shown:
            dash = DASHES[(DASHED.get(strategy, 0) + used[strategy]) % len(DASHES)]
            used[strategy] += 1
            found.append(Look(entry, palette[strategy], dash, entry in highlighted))
    return found


def palette_of(results: Results) -> dict[str, str]:
    """A colour for each strategy of an experiment."""
    return colours(results.runs["strategy"], results.colours)


def looks_of(results: Results, scenario: str) -> list[Look]:
    """How the entries of one scenario are drawn."""
    return looks(results.board_of(scenario), palette_of(results))
