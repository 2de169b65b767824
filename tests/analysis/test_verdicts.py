"""Verdicts of a stream: who is compared with whom, in which family, and what a row says."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bench.analysis import (
    Pair,
    holm,
    paired_sums,
    references,
    seen_from,
    skill_test,
    unbeaten,
    verdicts,
    verdicts_of,
    verdicts_over,
)
from bench.analysis.leaderboard import reference_base

from .test_ablations import entries

KNOWN = entries(
    ("rls", "rls", "none", "{}"),
    ("titans-a + u", "titans-a", "u", "{}"),
    ("frozen + u", "frozen", "u", "{}"),
    ("frozen + t", "frozen", "t", "{}"),
    ("persistence", "persistence", "none", "{}"),
)


def noisy(level: float, seed: int, origins: int = 400, seeds: int = 3) -> pd.DataFrame:
    return pd.DataFrame(level * np.random.default_rng(seed).uniform(0.8, 1.2, (origins, seeds)))


ERRORS = {entry: noisy(2.0**i, i) for i, entry in enumerate(["rls", "frozen + u", "frozen + t", "persistence"])}
ERRORS["titans-a + u"] = ERRORS["frozen + u"] * np.random.default_rng(9).uniform(0.9, 1.1, (400, 3))


def test_every_pair_has_one_verdict_in_one_family() -> None:
    asked = verdicts_of(KNOWN, ERRORS, 7, [("persistence", "rls"), ("frozen + u", "rls")])
    assert asked.loc[asked["family"] == "ablations", ["one", "other"]].to_numpy().tolist() == [["rls", "persistence"]]
    assert asked["family"].value_counts().to_dict() == {"pairs": 6, "frozen": 3, "ablations": 1}
    found = verdicts_of(KNOWN, ERRORS, 7)
    assert len(found) == 10
    assert found[["one", "other"]].to_numpy().tolist()[:2] == [["rls", "titans-a + u"], ["rls", "frozen + u"]]
    frozen = found[found["family"] == "frozen"]
    assert frozen[["one", "other"]].to_numpy().tolist() == [
        ["rls", "frozen + u"],
        ["titans-a + u", "frozen + u"],
        ["frozen + u", "persistence"],
    ]
    for _, family in found.groupby("family"):
        np.testing.assert_allclose(family["p_adjusted"], holm(family["p"].to_numpy()))
    told = {(row["one"], row["other"]): row["verdict"] for _, row in found.iterrows()}
    assert told["titans-a + u", "frozen + u"] == "no significant difference"
    assert told["rls", "persistence"] == "better"
    assert sum(verdict == "better" for verdict in told.values()) == 9
    assert unbeaten(found, KNOWN["entry"].tolist()) == ["rls"]
    tied = found[found["one"] != "rls"]
    assert unbeaten(tied, KNOWN["entry"].tolist()) == ["rls", "titans-a + u", "frozen + u"]


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


def test_the_first_reference_on_a_forecaster_counts() -> None:
    more = pd.concat([KNOWN, entries(("frozen (x=1) + u", "frozen", "u", '{"x": 1}'))], ignore_index=True)
    expected = dict.fromkeys(["rls", "titans-a + u", "persistence"], "frozen + u")
    assert references(more, "frozen") == expected
    assert references(KNOWN, "persistence")["frozen + u"] == "persistence"
    assert references(KNOWN, "retrain") == {}


def test_the_other_side_of_a_pair_is_the_pair_turned_round() -> None:
    known = KNOWN[KNOWN["base"] != "t"]
    seen = seen_from(verdicts_of(known, ERRORS, 7), "frozen + u")
    assert seen["one"].unique().tolist() == ["frozen + u"]
    turned = verdicts_of(known.iloc[::-1], ERRORS, 7)
    expected = seen_from(turned, "frozen + u").set_index("other").loc[seen["other"]]
    numbers = ["skill", "low", "high", "p", "p_adjusted", "resolution", "mse_change"]
    np.testing.assert_allclose(seen[numbers].astype(float), expected[numbers].astype(float), rtol=1e-6)
    assert seen["verdict"].tolist() == expected["verdict"].tolist()
    assert seen["verdict"].tolist() == ["worse", "no significant difference", "better"]


def test_a_row_by_hand() -> None:
    one, other = ERRORS["rls"], ERRORS["persistence"]
    row = verdicts([Pair({"who": "rls"}, one, other)], 7).iloc[0]
    sums = paired_sums(one, other, 7)
    assert sums is not None
    test = skill_test(*sums)
    assert (row["who"], row["stretches"], row["seeds"]) == ("rls", 57, 3)
    assert row["skill"] == pytest.approx(100 * (1 - np.exp(np.log(sums[0] / sums[1]).mean())))
    assert (row["low"], row["high"]) == pytest.approx(tuple(100 * end for end in test.interval()))
    assert row["p_adjusted"] == row["p"] == test.p
    assert row["resolution"] == pytest.approx(100 * test.resolution())
    assert row["mse_change"] == pytest.approx(100 * (one.to_numpy().mean() / other.to_numpy().mean() - 1))


def test_of_a_larger_family_less_is_seen() -> None:
    pair = Pair({}, ERRORS["titans-a + u"], ERRORS["frozen + u"])
    alone, among = verdicts([pair], 7).iloc[0], verdicts([pair] * 20, 7).iloc[0]
    assert among["resolution"] > alone["resolution"]
    assert among["p_adjusted"] > alone["p_adjusted"]


def test_what_cannot_be_tested_is_in_no_family() -> None:
    errors = {entry: frame.head(30) for entry, frame in ERRORS.items()}
    short = verdicts_of(KNOWN, errors, 7)
    assert set(short["verdict"]) == {"too short"}
    assert short[["low", "high", "p", "p_adjusted", "resolution"]].isna().all(axis=None)
    assert set(short["limit"]) == {""}
    assert short["skill"].notna().all()
    assert unbeaten(short, KNOWN["entry"].tolist()) == KNOWN["entry"].tolist()
    exact = verdicts_of(KNOWN, ERRORS | {"persistence": ERRORS["persistence"] * 0}, 7)
    assert set(exact.loc[exact["other"] == "persistence", "verdict"]) == {"undefined"}


def test_only_common_origins_and_seeds_are_compared() -> None:
    later = ERRORS["rls"].iloc[100:].rename(columns={1: 7})
    row = verdicts([Pair({}, later, ERRORS["persistence"])], 7).iloc[0]
    assert (row["stretches"], row["seeds"]) == (42, 2)
    assert verdicts([Pair({}, later, later.rename(columns=lambda seed: seed + 20))], 7).empty
    assert verdicts_of(KNOWN.head(1), ERRORS, 7).empty
    assert verdicts_of(KNOWN, {}, 7).columns.tolist()[:3] == ["one", "other", "family"]


def over(skills: dict[str, list[float]], verdict: str = "better", datasets: int = 6) -> pd.DataFrame:
    """`verdicts_over` so many datasets, a scenario each."""
    rows = [
        {"scenario": f"s{i}", "entry": entry, "skill": skill, "verdict": verdict if skill > 0 else "worse"}
        for entry, values in skills.items()
        for i, skill in enumerate(values)
    ]
    return verdicts_over(pd.DataFrame(rows), {f"s{i}": f"d{min(i, datasets - 1)}" for i in range(6)})


def test_over_datasets_entries_are_one_family() -> None:
    found = over({"a": [10, 12, 8, 9, 11, 10], "b": [30, -40, 5, -8, 2, 3], "short": [1, 2, 3]})
    assert found["entry"].tolist() == ["a", "b"]
    assert found[["datasets", "scenarios", "better", "worse"]].to_numpy().tolist() == [[6, 6, 6, 0], [6, 6, 4, 2]]
    assert found["verdict"].tolist() == ["better", "no significant difference"]
    np.testing.assert_allclose(found["p_adjusted"], holm(found["p"].to_numpy()))
    expected = -np.expm1(np.log1p(-np.array([10, 12, 8, 9, 11, 10]) / 100).mean())
    assert found["skill"].iloc[0] == pytest.approx(100 * expected)
    assert set(found["limit"]) == {"datasets"}


def test_scenarios_of_a_dataset_count_once_and_few_datasets_are_not_tested() -> None:
    found = over({"a": [10, 12, 8, 9, 11, 10]}, datasets=4).iloc[0]
    assert (found["verdict"], found["datasets"], found["scenarios"], found["better"]) == ("too few datasets", 4, 6, 6)
    assert np.isnan(found["p_adjusted"])
    logs = np.log1p(-np.array([10, 12, 8, 9, 11, 10]) / 100)
    assert found["skill"] == pytest.approx(-100 * np.expm1(np.mean([*logs[:3], logs[3:].mean()])))


def test_one_undefined_skill_leaves_the_mean_undefined() -> None:
    assert over({"a": [10] * 6}, verdict="undefined")["verdict"].tolist() == ["undefined"]
    assert verdicts_over(pd.DataFrame(columns=["scenario", "entry"]), {}).empty
