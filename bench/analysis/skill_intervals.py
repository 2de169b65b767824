"""Skill of each entry against the frozen forecaster and against persistence, with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from bench.analysis.leaderboard import FROZEN, PERSISTENCE, reference_base
from bench.analysis.statistics.paired import paired_ratio

REFERENCES = (FROZEN, PERSISTENCE)
COLUMNS = ["entry", "strategy", "reference", "against", "skill", "low", "high", "verdict", "origins", "seeds", "block"]
ANSWERS = {"lower": "pays", "higher": "costs"}


def skill_intervals(entries: pd.DataFrame, errors: Mapping[str, pd.DataFrame], overlap: int) -> pd.DataFrame:
    """Skill of every entry of a scenario against each reference (as in `skill`), paired by origin and seed.

    Args:
        entries: Columns ``entry, strategy, base``, a row for each entry; of several references on one forecaster the
            first counts.

    Returns:
        Columns ``entry, strategy, reference`` (a strategy), ``against`` (the reference's entry), ``skill, low, high``
        (1 - MSE / MSE of the reference, geometric mean over seeds, percent; above 0 the entry is better; ends of the
        95 % interval, NaN if the stream is too short), ``verdict`` (``pays``, ``costs``, ``no clear difference``,
        ``unknown``, or ``undefined`` if the reference has no error), ``origins, seeds, block``; see `paired_ratio`.
        Pairs without a common origin and seed, or that diverged, are left out.
    """
    known: list[dict[Any, Any]] = [row for row in entries.to_dict("records") if row["entry"] in errors]
    rows = []
    for reference in REFERENCES:
        candidates: dict[str, str] = {}  # by forecaster, the first
        for row in known:
            if row["strategy"] == reference:
                candidates.setdefault(row["base"], row["entry"])
        for entry in (row for row in known if row["strategy"] != reference):
            base = reference_base(candidates, entry["base"])
            if base is None:
                continue
            against = candidates[base]
            if found := paired_ratio(errors[entry["entry"]], errors[against], overlap):
                skill = (-found.percent(value) for value in (found.mean, found.high, found.low))
                verdict = ANSWERS.get(found.verdict, found.verdict)
                named = (entry["entry"], entry["strategy"], reference, against)
                rows.append((*named, *skill, verdict, found.origins, found.seeds, found.block))
    return pd.DataFrame(rows, columns=COLUMNS)
