"""Skill against frozen and persistence: with whom each entry is compared, and what the numbers are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bench.analysis import skill_intervals
from bench.analysis.leaderboard import reference_base

from .test_ablations import entries

KNOWN = entries(
    ("rls", "rls", "none", "{}"),
    ("persistence", "persistence", "none", "{}"),
    ("frozen + t", "frozen", "t", "{}"),
    ("frozen + u", "frozen", "u", "{}"),
    ("titans-a + u", "titans-a", "u", "{}"),
)


def noisy(level: float, seed: int, origins: int = 400, seeds: int = 3) -> pd.DataFrame:
    return pd.DataFrame(level * np.random.default_rng(seed).uniform(0.8, 1.2, (origins, seeds)))


ERRORS = {entry: noisy(2.0**-i, i) for i, entry in enumerate(["persistence", "frozen + t", "frozen + u", "rls"])}
ERRORS["titans-a + u"] = ERRORS["frozen + u"] * np.random.default_rng(9).uniform(0.9, 1.1, (400, 3))


def test_each_is_compared_on_its_own_forecaster() -> None:
    found = skill_intervals(KNOWN, ERRORS, 1).set_index(["entry", "reference"])
    told = {pair: (row["against"], row["verdict"]) for pair, row in found.iterrows()}
    assert told == {
        ("rls", "frozen"): ("frozen + t", "pays"),
        ("persistence", "frozen"): ("frozen + t", "costs"),
        ("titans-a + u", "frozen"): ("frozen + u", "no clear difference"),
        ("rls", "persistence"): ("persistence", "pays"),
        ("frozen + t", "persistence"): ("persistence", "pays"),
        ("frozen + u", "persistence"): ("persistence", "pays"),
        ("titans-a + u", "persistence"): ("persistence", "pays"),
    }


@pytest.mark.parametrize(
    ("bases", "base", "chosen"),
    [
        (["t", "u"], "u", "u"),
        (["t", "u"], "none", "t"),
        (["t"], "v", None),
        (["t", "none"], "v", "none"),
        (["t", "none"], "none", "none"),
        ([], "none", None),
    ],
)
def test_the_reference_s_forecaster(bases: list[str], base: str, chosen: str | None) -> None:
    assert reference_base(bases, base) == chosen


def test_skill_is_one_less_the_ratio_of_the_mean_errors() -> None:
    found = skill_intervals(KNOWN, ERRORS, 1).set_index(["entry", "reference"])
    ratio = np.log(ERRORS["rls"].mean() / ERRORS["frozen + t"].mean()).mean()
    row = found.xs(("rls", "frozen"))
    assert isinstance(row, pd.Series)
    assert row["skill"] == pytest.approx(100 * (1 - np.exp(ratio)), rel=1e-8)
    assert row["low"] < row["skill"] < row["high"] < 100
    assert (row["origins"], row["seeds"]) == (400, 3)


def test_a_short_stream_has_no_interval_and_no_verdict() -> None:
    found = skill_intervals(KNOWN, {entry: errors.head(5) for entry, errors in ERRORS.items()}, 1)
    assert set(found["verdict"]) == {"unknown"}
    assert found[["low", "high"]].isna().all(axis=None)


def test_without_a_reference_there_is_nothing_to_say() -> None:
    assert skill_intervals(KNOWN[KNOWN["strategy"] == "rls"], ERRORS, 1).empty
    assert skill_intervals(KNOWN, {"rls": ERRORS["rls"]}, 1).empty
