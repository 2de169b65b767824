"""Verdicts of one stream: who is better than whom, by how much, how sure that is, and what could have been found.

Every verdict is a `skill_test`, and verdicts of one family are adjusted for each other: the chance that any of them is
false is at most 5 %. A stream has three families: each entry against the frozen forecaster, the ablations that
strategies state of themselves with what tuning changed, and all other pairs. A pair has one verdict, wherever it
stands. Over several datasets each entry has a verdict against the frozen forecaster, one family again. Verdicts on
anything else are exploratory: of what they find, a share of at most 5 % is false on average.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.analysis.leaderboard import FROZEN, reference_base
from bench.analysis.ratios import paired_sums
from bench.analysis.statistics.skill_test import LEVEL, SkillTest, holm, mean_skill, skill_test

Verdict = Literal["better", "worse", "no significant difference", "too short", "too few datasets", "undefined"]
Adjust = Callable[[NDArray[np.float64]], NDArray[np.float64]]

SURE = ["skill", "low", "high", "p", "p_adjusted", "verdict", "resolution", "limit"]
COLUMNS = [*SURE, "mse_change", "stretches", "seeds"]
"""Of a frame of verdicts, after those that name the pair.

``skill, low, high``: of the first over the second, in percent, with its 95 % interval; ``p`` and, for its family,
``p_adjusted``; ``verdict`` on the first; ``resolution``: the smallest skill in percent that this family would have
found with 80 % probability, and what limits it (``limit``: ``seeds``, ``length`` or, over datasets, ``datasets``);
``mse_change``: of the mean MSE, in percent of the second's; ``stretches`` and ``seeds`` that were compared.
"""
FAMILIES = ("frozen", "ablations", "pairs")
OVER = ["entry", "datasets", "scenarios", "better", "worse"]


class Pair(NamedTuple):
    """What one verdict is about.

    Attributes:
        names: Columns of its row that say so.
        one: ``(origins, seeds)`` MSE of the entry that is judged.
        other: Of the entry that it is compared with.
        stretch: Origins in a stretch at least, where the family has pairs of several streams.
    """

    names: dict[str, Any]
    one: pd.DataFrame
    other: pd.DataFrame
    stretch: int = 0


def verdicts(
    family: Iterable[Pair], stretch: int = 0, adjust: Adjust = holm, names: Sequence[str] = ()
) -> pd.DataFrame:
    """The verdict on each pair of a family.

    Args:
        family: Pairs without an origin and a seed in common are left out.
        stretch: Origins in a stretch at least, see `bench.analysis.ratios.stretch_length`; a pair's own comes first.
        adjust: From p-values to adjusted ones, NaN for NaN.
        names: Columns of an empty family.

    Returns:
        A row for each pair: its names, then `COLUMNS`.
    """
    found = [
        (pair.names, skill_test(*sums), _mse_change(*sums))
        for pair in family
        if (sums := paired_sums(pair.one, pair.other, pair.stretch or stretch)) is not None
    ]
    adjusted = adjust(np.array([test.p for _, test, _ in found]))
    tests = int(np.isfinite(adjusted).sum())
    rows = [
        names | _row(test, float(p), tests) | {"mse_change": change, "stretches": test.stretches, "seeds": test.seeds}
        for (names, test, change), p in zip(found, adjusted, strict=True)
    ]
    return pd.DataFrame(rows, columns=None if rows else [*names, *COLUMNS])


def verdicts_of(
    entries: pd.DataFrame,
    errors: Mapping[str, pd.DataFrame],
    stretch: int,
    planned: Iterable[tuple[str, str]] = (),
) -> pd.DataFrame:
    """One verdict on each pair of a stream's entries.

    An entry and the frozen forecaster (see `reference_base`) are of one family, planned pairs of another, and all other
    pairs of a third.

    Args:
        entries: Columns ``entry, strategy, base``, a row for each entry, best first; of several references on one
            forecaster the first counts.
        planned: Pairs of entries that were to be compared before any result was known.

    Returns:
        Columns ``one, other`` (the better place first), ``family`` (`FAMILIES`) and `COLUMNS`.
    """
    known = entries[entries["entry"].isin(list(errors))]
    order, frozen = known["entry"].tolist(), references(known, FROZEN)
    asked = {frozenset(pair) for pair in planned}
    families: dict[str, list[Pair]] = {family: [] for family in FAMILIES}
    for one, other in combinations(order, 2):
        family = "ablations" if {one, other} in asked else "pairs"
        if other == frozen.get(one) or one == frozen.get(other):
            family = "frozen"
        families[family].append(Pair({"one": one, "other": other, "family": family}, errors[one], errors[other]))
    frames = [verdicts(family, stretch, names=["one", "other", "family"]) for family in families.values()]
    found = pd.concat([frame for frame in frames if len(frame)] or frames[:1], ignore_index=True)
    places = found[["one", "other"]].map(order.index)
    return found.loc[places.sort_values(["one", "other"]).index].reset_index(drop=True)


def references(entries: pd.DataFrame, strategy: str) -> dict[str, str]:
    """The entry of a reference strategy that each other entry is compared with, see `reference_base`."""
    candidates: dict[str, str] = {}  # by forecaster, the first
    found: dict[str, str] = {}
    rows: list[dict[Any, Any]] = entries.to_dict("records")
    for row in rows:
        if row["strategy"] == strategy:
            candidates.setdefault(row["base"], row["entry"])
    for row in rows:
        if row["strategy"] != strategy and (base := reference_base(candidates, row["base"])) is not None:
            found[row["entry"]] = candidates[base]
    return found


def seen_from(pairs: pd.DataFrame, entry: str) -> pd.DataFrame:
    """The pairs of one entry, with the verdict on that entry: it is ``one`` in every row."""
    return pd.concat([pairs[pairs["one"] == entry], turned(pairs[pairs["other"] == entry])]).sort_index()


def turned(pairs: pd.DataFrame) -> pd.DataFrame:
    """The same pairs with the verdict on the other entry."""
    found = pairs.copy()
    found[["one", "other"]] = found[["other", "one"]].to_numpy()
    with np.errstate(divide="ignore"):  # of an entry without error
        ratios = 1 / (1 - found[["skill", "high", "low"]].to_numpy(dtype=float) / 100)
        change = 1 / (1 + found["mse_change"].to_numpy(dtype=float) / 100)
    found[["skill", "low", "high"]], found["mse_change"] = 100 * (1 - ratios), 100 * (change - 1)
    found["verdict"] = found["verdict"].replace({"better": "worse", "worse": "better"})
    return found


def unbeaten(pairs: pd.DataFrame, entries: Sequence[str]) -> list[str]:
    """The entries that no other one is significantly better than.

    Args:
        pairs: From `verdicts_of` the entries.
        entries: In any order, which is kept.
    """
    beaten = set(pairs.loc[pairs["verdict"] == "better", "other"]) | set(pairs.loc[pairs["verdict"] == "worse", "one"])
    return [entry for entry in entries if entry not in beaten]


def verdicts_over(skills: pd.DataFrame, datasets: Mapping[str, str]) -> pd.DataFrame:
    """The verdict on each entry over all datasets, one family: see `mean_skill`.

    Args:
        skills: Columns ``scenario, entry, skill, verdict``: of each entry against its reference.
        datasets: Dataset of each scenario that counts. Those of one dataset share their rows, and count as one: the
            mean of their log ratios.

    Returns:
        A row for each entry that has a verdict in every scenario: columns ``entry, datasets``, ``scenarios`` and in how
        many of them it is significantly ``better`` and ``worse``, then of `COLUMNS` those up to ``limit``. The verdict
        is ``too few datasets`` with fewer than 5, and ``undefined`` where that of any scenario is.
    """
    here = skills[skills["scenario"].isin(list(datasets))]
    names, tests = [], []
    for entry, rows in here.groupby("entry", sort=False):
        if len(rows) == here["scenario"].nunique():
            defined = not (rows["verdict"] == "undefined").any()
            ratios = np.log1p(-(rows["skill"] if defined else np.nan * rows["skill"]) / 100)
            ratios = ratios.groupby(rows["scenario"].map(dict(datasets))).mean()
            better, worse = (int((rows["verdict"] == verdict).sum()) for verdict in ("better", "worse"))
            names.append(dict(zip(OVER, (entry, len(ratios), len(rows), better, worse), strict=True)))
            tests.append(mean_skill(ratios.to_numpy(dtype=float)))
    adjusted = holm(np.array([test.p for test in tests]))
    family = int(np.isfinite(adjusted).sum())
    found = [
        name | _row(test, float(p), family) | {"limit": "" if test.obstacle else "datasets"}
        for name, test, p in zip(names, tests, adjusted, strict=True)
    ]
    return pd.DataFrame(found, columns=[*OVER, *SURE])


def _row(test: SkillTest, p: float, tests: int) -> dict[str, Any]:
    low, high = test.interval()
    return {
        "skill": 100 * test.skill,
        "low": 100 * low,
        "high": 100 * high,
        "p": test.p,
        "p_adjusted": p,
        "verdict": _verdict(test, p),
        "resolution": 100 * test.resolution(max(1, tests)),
        "limit": "" if test.obstacle else test.limit,
    }


def _verdict(test: SkillTest, p: float) -> Verdict:
    if test.obstacle in ("too short", "too few datasets"):
        return test.obstacle
    if test.obstacle:
        return "undefined"
    if not p < LEVEL:
        return "no significant difference"
    return "better" if test.log_ratio < 0 else "worse"


def _mse_change(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Of the mean MSE, in percent of the second's; NaN if that is 0 or infinite."""
    reference = float(other.sum())
    return 100 * (float(one.sum()) / reference - 1) if 0 < reference < np.inf else float("nan")
