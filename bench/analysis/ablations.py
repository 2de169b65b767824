"""Pairs of strategies that differ in one thing, so that their difference says what that thing is worth."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.analysis.entries import as_untuned, is_tuned
from bench.analysis.verdicts import seen_from
from bench.results.record import PluginRecord


@dataclass(frozen=True)
class Question:
    """What a pair of strategies answers.

    Attributes:
        subject: What strategy ``one`` does and ``other`` does not, as the subject of a sentence.
    """

    subject: str
    one: str
    other: str


def questions(strategies: Iterable[PluginRecord]) -> list[Question]:
    """What strategies say of each other in ``ablation_of`` and ``lacks``, in the order of the first strategy's name."""
    found: dict[Question, None] = {}
    for strategy in strategies:
        found |= {Question(part, strategy.name, other): None for part, other in strategy.ablation_of.items()}
        found |= {Question(part, other, strategy.name): None for part, other in strategy.lacks.items()}
    return sorted(found, key=lambda question: question.one)


def planned_pairs(entries: pd.DataFrame, questions: Sequence[Question]) -> list[tuple[Question, str, str]]:
    """The pairs of entries that answer each question.

    Entries are paired on the same forecaster, or with one that takes no forecaster. If ``other`` ran with several
    options, the entry with the options of ``one`` is taken, else the one with defaults, else the first.

    Args:
        entries: Columns ``entry, strategy, base, strategy_config``, a row for each entry.

    Returns:
        Question, entry of ``one``, entry of ``other``.
    """
    known: list[dict[Any, Any]] = entries.to_dict("records")
    return [
        (question, first["entry"], second)
        for question in questions
        for first in known
        if first["strategy"] == question.one
        and (second := _counterpart(first, [row for row in known if row["strategy"] == question.other])) is not None
    ]


def tuned_pairs(entries: pd.DataFrame) -> list[tuple[str, str]]:
    """Each entry that was tuned, with the same as it is without: columns as `planned_pairs` takes them."""
    known: list[dict[Any, Any]] = entries.to_dict("records")
    plain = {(row["strategy"], row["base"], row["strategy_config"]): row["entry"] for row in known}
    pairs = []
    for row, tuned in zip(known, is_tuned(entries["strategy_config"]), strict=True):
        if tuned:
            base = row["base"].removesuffix(" (tuned)")
            other = plain.get((row["strategy"], base, as_untuned(row["strategy_config"])))
            pairs += [(row["entry"], other)] if other else []
    return pairs


def ablations(entries: pd.DataFrame, pairs: pd.DataFrame, questions: Sequence[Question]) -> pd.DataFrame:
    """Answer every question that the verdicts of one scenario can answer.

    Args:
        entries: As `planned_pairs` takes them.
        pairs: From `verdicts_of` the entries.

    Returns:
        Columns ``subject, strategy, against`` (strategies), and those of ``pairs``.
    """
    found = []
    for question, first, second in planned_pairs(entries, questions):
        seen = seen_from(pairs, first)
        named = {"subject": question.subject, "strategy": question.one, "against": question.other}
        found.append(seen[seen["other"] == second].assign(**named))
    if not found:
        return pd.DataFrame()
    rows = pd.concat(found, ignore_index=True)
    return rows[["subject", "strategy", "against", *pairs.columns]]


def _counterpart(entry: dict[Any, Any], candidates: Sequence[dict[Any, Any]]) -> str | None:
    """The entry on the same forecaster, or else on none, with the most similar options."""
    same = [row for base in (entry["base"], "none") for row in candidates if row["base"] == base]
    same = [row for row in same if row["base"] == same[0]["base"]]
    for options in (entry["strategy_config"], "{}"):
        if alike := [row["entry"] for row in same if row["strategy_config"] == options]:
            return str(alike[0])
    return str(same[0]["entry"]) if same else None
