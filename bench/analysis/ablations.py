"""Pairs of strategies that differ in one thing, so that their difference says what that thing is worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.analysis.statistics.paired import paired_difference


@dataclass(frozen=True)
class Question:
    """What a pair of strategies answers.

    Attributes:
        subject: What the first does and the second does not, as the subject of a sentence.
        one: Name of the first strategy.
        other: Name of the second.
    """

    subject: str
    one: str
    other: str


MEMORY_QUESTIONS = (
    Question("writing within the window", "titans-a", "frozen"),
    Question("carrying the memory", "titans-b", "titans-a"),
    Question("writing on during service", "titans-b", "titans-b-stale"),
    Question("writing in order", "titans-b", "titans-b-shuffled"),
    Question("carrying exactly", "titans-b", "titans-b-window"),
    Question("training the backbone", "titans-c", "titans-b"),
)


def ablations(
    entries: pd.DataFrame, errors: Mapping[str, pd.DataFrame], overlap: int, questions: Sequence[Question]
) -> pd.DataFrame:
    """Answer every question that the entries of one scenario can answer.

    Entries are paired on the same forecaster. Where one of the two strategies ran with several options, the entry with
    the same options is taken, or else the one as registered, or else the first.

    Args:
        entries: Columns ``entry, strategy, base, strategy_config``, a row for each entry.
        errors: For each entry, ``(origins, seeds)`` MSE.
        overlap: Origins whose truths overlap, ``ceil(H / S)``.
        questions: What to ask.

    Returns:
        Columns ``subject, one, other`` (entries), ``strategy, against`` (strategies), ``difference, low, high``
        (scaled MSE; below 0 the first is better), ``percent, percent_low, percent_high`` (of the second's MSE),
        ``verdict, origins, seeds, block``; see `paired_difference`.
    """
    known: list[dict[Any, Any]] = [row for row in entries.to_dict("records") if row["entry"] in errors]
    rows = []
    for question in questions:
        for first in (row for row in known if row["strategy"] == question.one):
            second = _counterpart(first, [row for row in known if row["strategy"] == question.other])
            if second is None:
                continue
            found = paired_difference(errors[first["entry"]], errors[second], overlap)
            if found is None:
                continue
            rows.append(
                {
                    "subject": question.subject,
                    "one": first["entry"],
                    "other": second,
                    "strategy": question.one,
                    "against": question.other,
                    **found.row,
                }
            )
    return pd.DataFrame(rows)


def _counterpart(entry: dict[Any, Any], candidates: Sequence[dict[Any, Any]]) -> str | None:
    """The entry that differs from one in as little as can be, on the same forecaster."""
    same = [row for row in candidates if row["base"] == entry["base"]]
    for options in (entry["strategy_config"], "{}"):
        if alike := [row["entry"] for row in same if row["strategy_config"] == options]:
            return str(alike[0])
    return str(same[0]["entry"]) if same else None
