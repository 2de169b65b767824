"""What got worse or slower from A to B, on frames made by hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.analysis import compare as analysis
from bench.analysis.compare import (
    BOUNDS,
    LEAST_MS,
    Bounds,
    compare_benchmarks,
    compared,
    cost_ratios,
    is_worse,
    tally,
)

MakeRuns = Callable[..., pd.DataFrame]
Errors = Mapping[str, pd.Series]
Side = Callable[..., pd.DataFrame]
NONE: Errors = {}

TIMED = {"timed_alone": True, "windows_per_s": 100.0, "predict_p50_ms": 8.0, "adapt_p50_ms": 2.0}
DEVICE = {"device": "cpu", "device_name": "one CPU", "threads": 1}


def compare_runs(
    a: pd.DataFrame, b: pd.DataFrame, bounds: Bounds = BOUNDS, *, before: Errors = NONE, after: Errors = NONE
) -> pd.DataFrame:
    """Of A and B, whose runs have those errors at origins; without any, nothing is tested."""
    return analysis.compare_runs(a, b, (before.get, after.get), bounds)


@pytest.fixture
def side(make_runs: MakeRuns) -> Side:
    """Runs of one side; each is the same unless strategy, dataset, seed or experiment differ."""

    def make(*rows: dict[str, Any]) -> pd.DataFrame:
        usual = {"experiment": "e", "fingerprint": "f", "mse": 2.0, **DEVICE, **TIMED, "timed_alone": False}
        frame = make_runs(*(usual | row for row in rows))
        cells = zip(frame["strategy"], frame["strategy_config"], frame["dataset"], frame["seed"], strict=True)
        frame["cell"] = [json.dumps(cell) for cell in cells]
        return frame

    return make


def row(changes: pd.DataFrame, measure: str, **where: Any) -> pd.Series:
    """The one row of a measure."""
    found = changes[changes["measure"] == measure]
    for name, value in where.items():
        found = found[found[name] == value]
    assert len(found) == 1, changes.to_string()
    return found.iloc[0]


def verdicts(changes: pd.DataFrame) -> dict[str, str]:
    return dict(zip(changes["measure"], changes["verdict"], strict=True))


def test_equal_sides_differ_in_nothing(side: Side) -> None:
    a = side({"seed": 0} | TIMED, {"seed": 1}, {"strategy": "frozen"}, {"seed": 2, "status": "failed", "mse": np.nan})
    changes = compare_runs(a, a)
    assert set(changes["verdict"]) == {"same"}
    assert not is_worse(changes)
    assert compared(changes, "status") == 4
    assert tally(changes) == {"same": 4}


def test_two_percent_more_error_is_higher_and_half_a_percent_is_not(side: Side) -> None:
    higher, lower = "higher (not tested)", "lower (not tested)"
    for factor, verdict in ((1.02, higher), (1.005, "same"), (0.995, "same"), (0.98, lower)):
        changes = compare_runs(side({}), side({"mse": 2.0 * factor}))
        assert verdicts(changes) == {"status": "same", "mse": verdict}
        assert is_worse(changes) == (verdict == higher)
        assert row(changes, "mse")["change"] == pytest.approx(factor - 1)
    changes = compare_runs(side({}), side({"mse": 2.04}), Bounds(worse=0.03))
    assert not is_worse(changes)


def at_origins(factor: float | np.ndarray[Any, Any], origins: int = 200) -> pd.Series:
    return pd.Series(np.exp(np.random.default_rng(1).standard_normal(origins)) * factor)


def test_all_entries_whose_errors_differ_are_one_family(side: Side) -> None:
    noise = np.exp(np.random.default_rng(2).standard_normal(200))
    unclear = 1.05 * noise / noise.mean()
    factors: dict[str, Any] = {"same": 1.0, "worse": 1.1, "unclear": unclear, "better": 0.9, "little": 1.001}
    before = {"r" + str(i): at_origins(1.0) for i in range(len(factors))}
    after = {"r" + str(i): at_origins(factor) for i, factor in enumerate(factors.values())}
    a, b = (
        side(*({"strategy": name, "mse": known[f"r{i}"].mean(), "stretch": 7} for i, name in enumerate(factors)))
        for known in (before, after)
    )
    changes = compare_runs(a, b, before=before, after=after)
    found = changes[changes["measure"] == "mse"].set_index("entry")
    told = {
        "same": "same",
        "worse": "worse",
        "unclear": "no significant difference",
        "better": "better",
        "little": "same",
    }
    assert found["verdict"].to_dict() == told
    assert found.loc["worse", "skill"] == pytest.approx(-10)
    tested = found[found["skill"].notna()]
    assert tested.index.tolist() == ["worse", "unclear", "better"]
    assert (found.loc[["unclear"], ["p_adjusted", "resolution"]] > 0).all(axis=None)
    assert is_worse(changes)
    assert not is_worse(compare_runs(a, b, Bounds(worse=0.2), before=before, after=after))
    short = {run: errors.head(50) for run, errors in after.items()}  # 7 stretches
    changes = compare_runs(a, b, before=before, after=short)
    assert row(changes, "mse", entry="worse")["verdict"] == "higher (not tested)"
    assert row(changes, "mse", entry="worse")["reason"] == "too few stretches"


def test_errors_are_paired_by_seed(side: Side) -> None:
    a = side({"seed": 0, "mse": 1.0}, {"seed": 1, "mse": 10.0}, {"seed": 2, "mse": 100.0})
    b = side({"seed": 2, "mse": 100.0}, {"seed": 0, "mse": 1.2}, {"seed": 1, "mse": 9.0})
    found = row(compare_runs(a, b), "mse")
    assert found["change"] == pytest.approx((1.2 + 0.9 + 1.0) / 3 - 1)  # the ratio of means would be below 1
    assert found["worst"] == pytest.approx(0.2)
    assert (found["worst_seed"], found["seeds"], found["verdict"]) == (0, (0, 1, 2), "higher (not tested)")
    assert (found["a"], found["b"]) == (pytest.approx(37.0), pytest.approx(110.2 / 3))


def test_only_common_seeds_are_compared_and_the_others_listed(side: Side) -> None:
    a = side({"seed": 0}, {"seed": 1, "mse": 1.0})
    b = side({"seed": 1, "mse": 1.0}, {"seed": 2, "mse": 50.0}, {"seed": 3})
    changes = compare_runs(a, b)
    assert row(changes, "mse")["seeds"] == (1,)
    assert row(changes, "status", verdict="only in A")["seeds"] == (0,)
    assert row(changes, "status", verdict="only in B")["seeds"] == (2, 3)
    assert not is_worse(changes)
    assert compared(changes, "status") == 1
    assert tally(changes) == {"only in A": 1, "only in B": 2, "same": 1}


def test_runs_of_other_options_data_sets_or_experiments_are_other_runs(side: Side) -> None:
    for other in ({"strategy_config": '{"ridge": 3}'}, {"dataset": "d2"}, {"experiment": "e2"}, {"strategy": "frozen"}):
        changes = compare_runs(side({}), side(other | {"mse": 9.0}))
        assert sorted(changes["verdict"]) == ["only in A", "only in B"]
        assert compared(changes, "status") == 0
        assert len(changes.drop_duplicates(["experiment", "scenario", "entry"])) == 2


def test_a_run_that_fails_for_the_first_time_is_worse_whatever_the_bounds(side: Side) -> None:
    a, failed = side({"seed": 0}, {"seed": 1}), {"status": "failed", "mse": np.nan, "reason": "out of memory"}
    changes = compare_runs(a, side({"seed": 0}, failed | {"seed": 1}), Bounds(worse=np.inf, slower=np.inf))
    found = row(changes, "status", verdict="newly failed")
    assert found["reason"] == "ok in A, failed in B: out of memory"
    assert found["seeds"] == (1,)
    assert is_worse(changes)
    assert row(changes, "mse")["seeds"] == (0,)
    assert compared(changes, "status") == 2


@pytest.mark.parametrize(
    ("before", "after", "verdict", "fails"),
    [
        ("ok", "skipped", "newly skipped", True),
        ("skipped", "failed", "newly failed", True),
        ("failed", "ok", "no longer failed", False),
        ("skipped", "ok", "no longer skipped", False),
        ("failed", "failed", "same", False),
    ],
)
def test_every_other_step_of_status(side: Side, before: str, after: str, verdict: str, fails: bool) -> None:
    changes = compare_runs(side({"status": before}), side({"status": after}))
    assert verdicts(changes) == {"status": verdict}
    assert is_worse(changes) == fails


def test_errors_on_other_data_are_not_compared(side: Side) -> None:
    changes = compare_runs(
        side({"seed": 0}, {"seed": 1}), side({"seed": 0, "fingerprint": "g", "mse": 9.0}, {"seed": 1})
    )
    assert row(changes, "errors")["verdict"] == "not comparable"
    assert row(changes, "errors")["reason"] == "the data differ (fingerprint)"
    assert row(changes, "errors")["seeds"] == (0,)
    assert row(changes, "mse")["seeds"] == (1,)
    assert not is_worse(changes)
    assert changes["scenario"].unique().tolist() == ["d"]  # one scenario, whatever the data


def test_errors_of_other_forecasts_are_not_compared(side: Side) -> None:
    changes = compare_runs(side({}), side({"windows": 9, "mse": 9.0}))
    assert row(changes, "errors")["reason"] == "10 forecasts scored in A, 9 in B"
    assert "mse" not in verdicts(changes)


@pytest.mark.parametrize(
    ("measure", "value", "verdict", "change"),
    [
        ("windows_per_s", 70.0, "slower", 100 / 70 - 1),
        ("windows_per_s", 85.0, "same", 100 / 85 - 1),
        ("windows_per_s", 140.0, "faster", 100 / 140 - 1),
        ("predict_p50_ms", 12.0, "slower", 0.5),
        ("predict_p50_ms", 9.0, "same", 0.125),
        ("adapt_p50_ms", 3.0, "slower", 0.5),
        ("adapt_p50_ms", 1.0, "faster", -0.5),
    ],
)
def test_slower_beyond_the_bound(side: Side, measure: str, value: float, verdict: str, change: float) -> None:
    changes = compare_runs(side(TIMED), side(TIMED | {measure: value}))
    times = dict.fromkeys(("windows_per_s", "predict_p50_ms", "adapt_p50_ms"), "same") | {measure: verdict}
    assert verdicts(changes) == {"status": "same", "mse": "same"} | times
    assert row(changes, measure)["change"] == pytest.approx(change)
    assert is_worse(changes) == (verdict == "slower")
    assert not is_worse(compare_runs(side(TIMED), side(TIMED | {measure: value}), Bounds(slower=0.6)))


def test_a_step_that_does_nothing_is_not_slower(side: Side) -> None:
    quick = TIMED | {"adapt_p50_ms": 0.1 * LEAST_MS}
    assert not is_worse(compare_runs(side(quick), side(quick | {"adapt_p50_ms": 0.9 * LEAST_MS})))
    assert is_worse(compare_runs(side(quick), side(quick | {"adapt_p50_ms": 2 * LEAST_MS})))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"device": "cuda:0"}, "device: cpu in A, cuda:0 in B"),
        ({"device_name": "another CPU"}, "device: one CPU in A, another CPU in B"),
        ({"threads": 2}, "threads: 1 in A, 2 in B"),
        ({"timed_alone": False}, "not timed alone in B"),
    ],
)
def test_times_of_another_machine_are_not_compared(side: Side, change: dict[str, Any], reason: str) -> None:
    changes = compare_runs(side(TIMED), side(TIMED | {"windows_per_s": 1.0} | change))
    assert row(changes, "speed")["reason"] == reason
    assert verdicts(changes) == {"status": "same", "mse": "same", "speed": "not comparable"}
    assert not is_worse(changes)


def test_times_of_accuracy_runs_are_never_compared(side: Side) -> None:
    assert set(verdicts(compare_runs(side({}), side({"windows_per_s": 1.0})))) == {"status", "mse"}


def test_one_side_may_be_empty(side: Side) -> None:
    a = side({})
    assert verdicts(compare_runs(a, pd.DataFrame())) == {"status": "only in A"}
    assert verdicts(compare_runs(pd.DataFrame(), a)) == {"status": "only in B"}


def test_a_run_with_two_rows_of_one_verdict_counts_once(side: Side) -> None:
    seeds = [{"seed": seed} | TIMED for seed in range(3)]
    slow = {"windows_per_s": 50.0, "predict_p50_ms": 16.0}
    changes = compare_runs(side(*seeds), side(*(seed | slow for seed in seeds)))
    assert tally(changes) == {"same": 3, "slower": 3}


def test_numbers_that_are_not_finite() -> None:
    nan, inf = float("nan"), float("inf")
    a = pd.Series([nan, inf, 0.0, 1.0, 1.0, nan, 0.0, inf])
    b = pd.Series([nan, inf, 0.0, nan, inf, 1.0, 1.0, 1.0])
    assert cost_ratios(a, b, "mse").tolist() == [1, 1, 1, inf, inf, 0, inf, 0]
    assert cost_ratios(pd.Series([4.0, nan]), pd.Series([2.0, 1.0]), "ratio").tolist() == [2.0, 0.0]


NUMBERS = st.floats(0, 1e100) | st.sampled_from([float("nan"), float("inf")])
RUN = st.fixed_dictionaries(
    {
        "strategy": st.sampled_from(["rls", "frozen", "a|b"]),
        "strategy_config": st.sampled_from(["{}", '{"ridge": 2}']),
        "dataset": st.sampled_from(["d", "d2"]),
        "seed": st.integers(0, 3),
        "status": st.sampled_from(["ok", "failed", "skipped"]),
        "fingerprint": st.sampled_from(["f", "g"]),
        "threads": st.integers(1, 2),
        "timed_alone": st.booleans(),
        **dict.fromkeys(("mse", "mae", "windows_per_s", "predict_p50_ms", "adapt_p50_ms"), NUMBERS),
    }
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
@given(rows=st.lists(RUN, min_size=1, max_size=6))
def test_nothing_is_worse_than_itself(side: Side, rows: list[dict[str, Any]]) -> None:
    runs = side(*rows)
    changes = compare_runs(runs, runs.copy(), Bounds(0, 0))
    assert set(changes["verdict"]) == {"same"}
    assert compared(changes, "status") == runs["cell"].nunique()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=25)
@given(one=st.lists(RUN, min_size=1, max_size=6), other=st.lists(RUN, min_size=1, max_size=6))
def test_every_run_is_accounted_for(side: Side, one: list[dict[str, Any]], other: list[dict[str, Any]]) -> None:
    a, b = side(*one), side(*other)
    changes = compare_runs(a, b)
    counts, common = tally(changes[changes["measure"] == "status"]), set(a["cell"]) & set(b["cell"])
    assert compared(changes, "status") == len(common)
    assert counts.get("only in A", 0) == len(set(a["cell"]) - common)
    assert counts.get("only in B", 0) == len(set(b["cell"]) - common)


def benchmarks(*rows: dict[str, Any]) -> pd.DataFrame:
    usual = {"name": "test_x", "median_ms": 10.0, "ratio": np.nan, "against": "", "machine": "one CPU"}
    return pd.DataFrame([usual | row for row in rows])


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ({}, {}, {"median_ms": "same"}),
        ({}, {"median_ms": 13.0}, {"median_ms": "slower"}),
        ({}, {"median_ms": 12.0}, {"median_ms": "same"}),
        ({}, {"median_ms": 7.0}, {"median_ms": "faster"}),
        ({}, {"median_ms": 13.0, "machine": "another"}, {"median_ms": "not comparable"}),
        ({"ratio": 3.0}, {"ratio": 3.1, "median_ms": 99.0}, {"median_ms": "judged by ratio", "ratio": "same"}),
        ({"ratio": 3.0}, {"ratio": 2.0, "median_ms": 9.0}, {"median_ms": "judged by ratio", "ratio": "slower"}),
        ({"ratio": 3.0}, {"ratio": 2.0, "machine": "another"}, {"median_ms": "judged by ratio", "ratio": "slower"}),
        ({"ratio": 3.0}, {"ratio": 1.0, "against": "another"}, {"median_ms": "same"}),
        ({"ratio": 3.0}, {"median_ms": 13.0}, {"median_ms": "slower"}),
        ({}, {"name": "test_y"}, {"median_ms": "only in B"}),
    ],
)
def test_benchmarks(a: dict[str, Any], b: dict[str, Any], expected: dict[str, str]) -> None:
    changes = compare_benchmarks(benchmarks(a), benchmarks(b))
    assert verdicts(changes) == expected
    assert is_worse(changes) == ("slower" in expected.values())
    assert compared(changes, "median_ms") == (0 if "name" in b else 1)


def test_a_ratio_that_fell_by_a_third_takes_half_as_long_again() -> None:
    changes = compare_benchmarks(benchmarks({"ratio": 3.0}), benchmarks({"ratio": 2.0}))
    assert row(changes, "ratio")["change"] == pytest.approx(0.5)


@given(st.lists(st.fixed_dictionaries({"median_ms": NUMBERS, "ratio": NUMBERS}), min_size=1, max_size=4))
def test_no_benchmark_is_slower_than_itself(rows: list[dict[str, Any]]) -> None:
    frame = benchmarks(*({"name": f"test_{i}"} | row for i, row in enumerate(rows)))
    changes = compare_benchmarks(frame, frame, Bounds(0, 0))
    assert not is_worse(changes)
    assert compared(changes, "median_ms") == len(rows)
