"""A column of the page's leaderboard: numbers to sort by, texts to show, and which of them are best."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd

from bench.report.render.numbers import places, with_spread

Better = Literal["lower", "higher", ""]
DIGITS = 6  # of the numbers that are sorted by


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        key: Names it for the script.
        label: Its head.
        unit: Of its numbers.
        better: Which way is better; empty where none is.
        family: ``error``, ``cost`` or ``sample``: columns that are shown or hidden together.
        values: A number for each row: None where there is none, ``"inf"`` for an error without bound.
        texts: What is shown, for each row.
        best: Rows that are best in their scenario.
        second: Rows that are next to those.
        intervals: Ends of a 95 % interval for each row, in the column's unit; empty where the column has none.
    """

    key: str
    label: str
    unit: str
    better: Better
    family: Literal["error", "cost", "sample"]
    values: list[float | str | None]
    texts: list[str]
    best: list[int] = field(default_factory=list)
    second: list[int] = field(default_factory=list)
    intervals: list[list[float] | None] = field(default_factory=list)

    @property
    def json(self) -> dict[str, Any]:
        """As the script reads it."""
        return asdict(self)


def number(value: float, digits: int = DIGITS) -> float | str | None:
    """A float as JSON can hold it, with so many digits that count."""
    if np.isnan(value):
        return None
    return "inf" if np.isinf(value) else float(f"{value:.{digits}g}")


def numbers(values: Sequence[float] | pd.Series, digits: int = DIGITS) -> list[float | str | None]:
    """`number` of each."""
    return [number(float(value), digits) for value in values]


def spread_texts(board: pd.DataFrame, metric: str) -> list[str]:
    """``mean ± sd`` of each row, with the decimals that its scenario's column calls for."""
    texts: list[str] = []
    for _, here in _scenarios(board):
        decimals = places(here[metric])
        pairs = zip(here[metric], here[f"{metric}_sd"], strict=True)
        texts += [with_spread(value, sd, decimals) for value, sd in pairs]
    return texts


def podium(board: pd.DataFrame, values: pd.Series, better: Better) -> tuple[list[int], list[int]]:
    """Rows of the best and of the second value among the ranked entries of each scenario; ties share a place."""
    keyed = -values if better == "higher" else values
    ranked = board["rank"].notna() & np.isfinite(values.to_numpy(dtype=float))
    place = keyed.where(ranked).groupby(board["scenario"], sort=False).rank(method="dense")
    rows = np.arange(len(board))
    return rows[(place == 1).to_numpy()].tolist(), rows[(place == 2).to_numpy()].tolist()


def _scenarios(board: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    for scenario, here in board.groupby("scenario", sort=False):
        yield str(scenario), here
