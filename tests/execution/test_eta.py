"""How long runs will take, and in which order they are begun."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path

import pytest

from bench.contracts.discovery import load_plugins
from bench.execution.eta import Kind, RuntimeEstimator, about, is_heavy
from bench.execution.experiment import Experiment, expand
from bench.execution.plan import SessionOptions, plan
from bench.results.store import Store

load_plugins()


def kind(strategy: str, dataset: str = "a") -> Kind:
    return strategy, "titans", dataset, "day-ahead"


def test_a_kind_is_known_by_itself_then_by_its_strategy_then_by_those_as_heavy() -> None:
    estimator = RuntimeEstimator()
    assert math.isnan(estimator.expect(kind("rls")))
    estimator.learn(kind("rls"), 1.0)
    estimator.learn(kind("rls"), 3.0)
    estimator.learn(kind("rls", "b"), 8.0)
    assert estimator.expect(kind("rls")) == 2.0
    assert estimator.expect(kind("rls", "c")) == estimator.expect(kind("frozen")) == 4.0
    assert math.isnan(estimator.expect(kind("retrain")))  # a hundred times as long, maybe: nobody knows yet
    estimator.learn(kind("retrain"), 100.0)
    assert estimator.expect(kind("retrain", "b")) == estimator.expect(kind("titans-c")) == 100.0
    assert estimator.expect(kind("frozen")) == 4.0


def test_a_strategy_that_is_gone_is_light() -> None:
    assert not is_heavy(kind("no-such-strategy"))


def test_no_time_is_told_while_a_kind_is_not_known() -> None:
    estimator, left = RuntimeEstimator(), Counter({kind("rls"): 6, kind("retrain"): 2})
    estimator.learn(kind("rls"), 1.0)
    assert about(estimator.left(left, 2)) == ""
    estimator.learn(kind("retrain"), 57.0)
    assert about(estimator.left(left, 2)) == "about 60 s"
    assert estimator.left(left, 100) == 15.0  # no more at a time than there are


@pytest.mark.parametrize(
    ("seconds", "said"), [(0.2, "about 1 s"), (89, "about 89 s"), (90, "about 1.5 min"), (86_400, "about 24 h")]
)
def test_a_time_as_one_says_it(seconds: float, said: str) -> None:
    assert about(seconds) == said


def test_the_first_of_each_light_kind_comes_first_then_what_is_heavy(tmp_path: Path) -> None:
    experiment = Experiment(
        name="order", strategies=["retrain", "frozen", "persistence", "titans-c"], forecasters=["titans"],
        datasets=["realistic-drift"], seeds=[0, 1],
    )  # fmt: skip
    ahead = plan(expand(experiment, "cpu"), Store(tmp_path), SessionOptions())
    begun = [(run.strategy.name, run.seed) for run in ahead.missing]
    assert begun[:2] == [("frozen", 0), ("persistence", 0)]
    assert Counter(begun[2:6]) == Counter([("retrain", 0), ("retrain", 1), ("titans-c", 0), ("titans-c", 1)])
    assert begun[6:] == [("frozen", 1), ("persistence", 1)]
