"""Which entries are compared with which, and what a trace's median is."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bench.analysis import Question, ablations, holm, median_trace, planned_pairs, questions, seen_from, verdicts_of
from bench.results.migrations import SAID
from bench.results.record import PluginRecord

CARRYING = (Question("carrying", "titans-b", "titans-a"),)


def entries(*rows: tuple[str, str, str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["entry", "strategy", "base", "strategy_config"])


def level(value: float, origins: int = 100, seeds: int = 2) -> pd.DataFrame:
    """The same stream at another level: a difference is that of the levels."""
    return pd.DataFrame(value + np.random.default_rng(0).random((origins, seeds)))


def answered(known: pd.DataFrame, errors: dict[str, pd.DataFrame]) -> pd.DataFrame:
    return ablations(known, verdicts_of(known, errors, 1), CARRYING)


def test_every_question_that_can_be_asked_is_answered() -> None:
    names = ["frozen", "titans-a", "titans-b", "titans-b-stale", "titans-b-shuffled", "titans-b-window", "titans-c"]
    strategies = [PluginRecord(name=name, **SAID[name]) for name in names]
    known = entries(*((name, name, "titans", "{}") for name in names), ("rls", "rls", "none", "{}"))
    errors = {name: level(1.0 + i) for i, name in enumerate([*names, "rls"])}
    pairs = verdicts_of(known, errors, 1)
    found = ablations(known, pairs, questions(strategies)).set_index(["one", "other"])
    assert found["verdict"].to_dict() == {
        ("titans-a", "frozen"): "worse",
        ("titans-b", "titans-a"): "worse",
        ("titans-b", "titans-b-stale"): "better",
        ("titans-b", "titans-b-shuffled"): "better",
        ("titans-b", "titans-b-window"): "better",
        ("titans-c", "titans-b"): "worse",
    }
    change = 100 / errors["frozen"].to_numpy().mean()
    assert found.loc[("titans-a", "frozen"), "mse_change"] == pytest.approx(change)
    assert found["family"].tolist() == ["frozen", *["pairs"] * 5]
    planned = verdicts_of(
        known, errors, 1, [(one, other) for _, one, other in planned_pairs(known, questions(strategies))]
    )
    asked = ablations(known, planned, questions(strategies))
    assert asked["family"].tolist() == ["frozen", *["ablations"] * 5]
    np.testing.assert_allclose(asked["p"], found["p"])
    own = asked["family"] == "ablations"
    np.testing.assert_allclose(asked.loc[own, "p_adjusted"], holm(asked.loc[own, "p"].to_numpy()))
    assert found["p_adjusted"].tolist() == [
        seen_from(pairs, one).set_index("other").loc[other, "p_adjusted"] for one, other in found.index
    ]
    assert set(found["seeds"]) == {2}
    assert set(found["stretches"]) == {100}


def test_what_lacks_its_counterpart_is_left_out() -> None:
    known = entries(("titans-b", "titans-b", "titans", "{}"), ("titans-a", "titans-a", "titans", "{}"))
    assert answered(known, {"titans-b": level(1.0)}).empty
    other_seeds = level(1.0).rename(columns={0: 5, 1: 6})
    assert answered(known, {"titans-b": level(1.0), "titans-a": other_seeds}).empty


def test_the_counterpart_has_the_same_forecaster_and_options_if_it_can() -> None:
    known = entries(
        ("a (lr=1) + t", "titans-a", "t", '{"lr": 1}'),
        ("a + t", "titans-a", "t", "{}"),
        ("a + u", "titans-a", "u", "{}"),
        ("b + t", "titans-b", "t", "{}"),
        ("b (lr=1) + t", "titans-b", "t", '{"lr": 1}'),
        ("b (lr=2) + t", "titans-b", "t", '{"lr": 2}'),
        ("b + u", "titans-b", "u", "{}"),
        ("b + v", "titans-b", "v", "{}"),
    )
    errors = {entry: level(1.0) for entry in known["entry"]}
    found = answered(known, errors)
    assert dict(zip(found["one"], found["other"], strict=True)) == {
        "b + t": "a + t",
        "b (lr=1) + t": "a (lr=1) + t",
        "b (lr=2) + t": "a + t",
        "b + u": "a + u",
    }
    alone = pd.concat([known, entries(("a", "titans-a", "none", "{}"))])  # without a forecaster, beside any
    found = answered(alone, errors | {"a": level(1.0)})
    assert found.set_index("one")["other"].loc[["b + u", "b + v"]].tolist() == ["a + u", "a"]


def test_a_trace_is_the_median_of_its_seeds() -> None:
    def said(*values: float) -> pd.DataFrame:
        return pd.DataFrame({"origin": [3, 5], "time": [30, 50], "name": "norm", "value": values})

    found = median_trace([said(1, 2), said(5, 2), said(2, 9)])
    expected = {"origin": [3, 5], "time": [30, 50], "name": ["norm", "norm"], "value": [2.0, 2.0]}
    pd.testing.assert_frame_equal(found, pd.DataFrame(expected), check_dtype=False)
