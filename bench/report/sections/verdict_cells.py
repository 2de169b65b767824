"""How a verdict is printed."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

import numpy as np
import pandas as pd

from bench.report.blocks import Table
from bench.report.render.numbers import NONE, UNDEFINED, brief, percent

Key = TypeVar("Key", bound=Hashable)

SKILL = (
    "Skill is 1 \N{MINUS SIGN} MSE / MSE of the other, in %, in the geometric mean over stretches of the stream and "
    "over seeds: above 0 the first is better. In brackets is its 95 % interval, each by itself, over other stretches "
    "like these and other seeds."
)
RESOLUTION = (
    "*Could show* is the smallest skill that this stream and these seeds would have shown with 80 % probability, and "
    "what limits it: the number of seeds or the length of the stream."
)
IN_ONE_CELL = (
    "Each cell is a skill in % with its 95 % interval: bold and with its adjusted p where it is significant, else with "
    "the skill that could have been shown."
)
EXPLORATORY = "p-values are adjusted within each table (Benjamini and Hochberg): these verdicts are exploratory."

CLEAR, UNTESTED = ("better", "worse"), ("too short", "too few datasets", "undefined")
UNCLEAR = {
    "no significant difference": "no significant difference",
    "too short": "not tested: too few stretches",
    "too few datasets": "not tested: too few datasets",
    "undefined": "undefined: no error to compare with",
}
ANSWERS: dict[str, str] = {"better": "better", "worse": "worse"} | UNCLEAR
SIDE_BY_SIDE = 4  # datasets that a table has room for
SMALLEST_P, LEAST = 0.001, 0.1
MUCH = 0.5  # percent: smaller skills have no sign worth a word
HEADERS = ["skill, % ↑", "adjusted p", "verdict", "could show, %", "seeds"]
"""Of `verdict_cells`."""


def p_text(p: float) -> str:
    """``p = 0.012``, that it is smaller than what is worth printing, or that there is none."""
    if np.isnan(p):
        return "not tested"
    return f"p < {SMALLEST_P}" if p < SMALLEST_P else f"p = {p:.3f}"


def skill_text(row: pd.Series, apart: str = " ") -> str:
    """The skill in percent, with its interval where it has one."""
    if not np.isfinite(row["skill"]):  # one of the two has no error
        return UNDEFINED
    ends = (
        f"{apart}[{percent(row['low'])}, {percent(row['high'])}]"
        if np.isfinite([row["low"], row["high"]]).all()
        else ""
    )
    return f"{percent(row['skill'])}{ends}"


def marked_skill(row: pd.Series) -> str:
    """The skill with its interval, bold where it is significant."""
    return f"**{skill_text(row)}**" if row["verdict"] in CLEAR else skill_text(row)


def could_cell(row: pd.Series) -> str:
    """The smallest skill that would have been shown, and what limits it."""
    return f"{could_show(row['resolution'])} ({row['limit']})" if np.isfinite(row["resolution"]) else NONE


def verdict_cells(row: pd.Series, answers: Mapping[str, str] = ANSWERS) -> list[str]:
    """Cells of a verdict, under `HEADERS`.

    Args:
        row: With the columns of `bench.analysis.verdicts`.
        answers: What each verdict is called.
    """
    p = p_text(row["p_adjusted"]).removeprefix("p ").removeprefix("= ") if np.isfinite(row["p_adjusted"]) else NONE
    answer = answers[row["verdict"]]
    answer = f"**{answer}**" if row["verdict"] in CLEAR else answer
    return [skill_text(row), p, answer, could_cell(row), str(row["seeds"])]


def short_verdict(row: pd.Series) -> str:
    """A verdict in one cell: its skill, and the adjusted p where significant, else what could have been shown."""
    if row["verdict"] in CLEAR:
        return f"{marked_skill(row)}, {p_text(row['p_adjusted'])}"
    known = row["verdict"] not in UNTESTED and np.isfinite(row["resolution"])
    return (
        f"{skill_text(row)}, could show {could_show(row['resolution'])}" if known else f"{skill_text(row)}, not tested"
    )


def side_by_side(
    names: Mapping[Key, Sequence[str]], columns: Mapping[str, Mapping[Key, str]], first: Sequence[str]
) -> list[Table]:
    """Verdicts of several datasets in one table, a few datasets to a table.

    Args:
        names: First cells of each row.
        columns: Cells below each header; a dash where there is none, and no row where no header has one.
        first: Headers of the first cells.
    """
    tables = []
    for at in range(0, len(columns), SIDE_BY_SIDE):
        shown = dict(list(columns.items())[at : at + SIDE_BY_SIDE])
        rows = [
            [*named, *(cells.get(key, NONE) for cells in shown.values())]
            for key, named in names.items()
            if any(key in cells for cells in shown.values())
        ]
        tables.append(Table([*first, *shown], rows, text_columns=len(first)))
    return tables


def could_show(resolution: float) -> str:
    """The smallest skill that would have been shown, in percent."""
    return brief(resolution) if resolution >= LEAST else f"< {LEAST}"


def is_carried_by_few(row: pd.Series) -> bool:
    """Whether the mean MSE says the opposite of the skill: a few stretches decide the mean."""
    return bool(row["skill"] * row["mse_change"] > 0 and min(abs(row["skill"]), abs(row["mse_change"])) >= MUCH)
