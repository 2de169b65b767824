"""Does adapting pay? The skill of each entry against the frozen forecaster and against persistence, with intervals."""

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
    """Skill of every entry of a scenario against each reference, paired by origin and seed.

    Whom an entry is compared with is as in `skill` (see `reference_base`).

    Args:
        entries: Columns ``entry, strategy, base``, a row for each entry; of several references on one forecaster the
            first counts.
        errors: For each entry, ``(origins, seeds)`` MSE.
        overlap: Origins whose truths overlap, ``ceil(H / S)``.

    Returns:
        Columns ``entry, strategy, reference`` (a strategy), ``against`` (the reference's entry), ``skill, low, high``
        (1 - MSE / MSE of the reference, geometric mean over seeds, in percent; above 0 the entry is better; the ends
        of the 95 % interval, NaN where the stream is too short), ``verdict`` (``pays``, ``costs``,
        ``no clear difference``, ``unknown``, or ``undefined`` where the reference has no error), ``origins, seeds,
        block``; see `paired_ratio`. Pairs without a common origin and seed, or that diverged, are left out.
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
            found = paired_ratio(errors[entry["entry"]], errors[against], overlap)
            if found is None:
                continue
            values = {
                "entry": entry["entry"],
                "strategy": entry["strategy"],
                "reference": reference,
                "against": against,
                "skill": -found.percent(found.mean),
                "low": -found.percent(found.high),
                "high": -found.percent(found.low),
                "verdict": ANSWERS.get(found.verdict, found.verdict),
                "origins": found.origins,
                "seeds": found.seeds,
                "block": found.block,
            }
            rows.append(values)
    return pd.DataFrame(rows, columns=COLUMNS)
