"""Pairs of entries: direction, adjustment, and when a difference counts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bench.analysis import all_pairs, holm, over_scenarios, with_intervals

Errors = dict[str, pd.DataFrame]


@pytest.fixture
def errors() -> Errors:
    rng = np.random.default_rng(0)
    common = np.exp(rng.standard_normal((400, 1)))
    levels = {"a": 0.0, "b": 0.02, "c": 0.3}
    return {e: pd.DataFrame(common + level + 0.1 * rng.standard_normal((400, 2))) for e, level in levels.items()}


def test_every_pair_once_with_its_direction(errors: Errors) -> None:
    pairs = all_pairs(errors, ["b", "a", "c", "absent"], overlap=1)
    assert pairs[["one", "other"]].to_numpy().tolist() == [["b", "a"], ["b", "c"], ["a", "c"]]
    last = pairs.iloc[2]
    assert last["difference"] == pytest.approx((errors["a"] - errors["c"]).to_numpy().mean())
    assert last["percent"] == pytest.approx(100 * last["difference"] / errors["c"].to_numpy().mean())
    assert last["statistic"] < 0
    assert (last["origins"], last["seeds"]) == (400, 2)
    np.testing.assert_allclose(pairs["p_holm"], holm(pairs["p"].tolist()))
    assert (pairs["p_holm"] >= pairs["p"]).all()


def test_only_common_origins_and_seeds_are_compared(errors: Errors) -> None:
    errors["a"] = errors["a"].iloc[100:].rename(columns={1: 7})
    errors["d"] = errors["c"].rename(columns={0: 8, 1: 9})
    pairs = all_pairs(errors, list(errors), overlap=1)
    first = pairs.iloc[0]
    assert (first["origins"], first["seeds"]) == (300, 1)
    assert "d" not in set(pairs["other"])


def test_entries_of_unlike_origins_and_seeds_are_as_pair_by_pair(errors: Errors) -> None:
    errors |= {"d": errors["a"].iloc[:350] * 1.1, "e": errors["b"][[0]], "f": errors["c"] * 0.9}
    order = ["d", "a", "e", "f", "b", "c"]
    pairs = all_pairs(errors, order, overlap=2).drop(columns="p_holm")
    one_by_one = [all_pairs(errors, [a, b], overlap=2) for i, a in enumerate(order) for b in order[i + 1 :]]
    pd.testing.assert_frame_equal(pairs, pd.concat(one_by_one, ignore_index=True).drop(columns="p_holm"))


def test_a_difference_counts_if_seeds_agree_on_it(errors: Errors) -> None:
    shown = with_intervals(all_pairs(errors, ["a", "c"], overlap=1), errors, overlap=1)
    assert shown["significant"].tolist() == [True]
    assert shown["low"].iloc[0] < shown["difference"].iloc[0] < shown["high"].iloc[0] < 0
    torn = {"a": errors["a"] + np.array([-0.3, 0.2]), "b": errors["b"]}  # one seed far better, one far worse
    shown = with_intervals(all_pairs(torn, ["a", "b"], overlap=1), torn, overlap=1)
    assert shown["p_holm"].iloc[0] < 1e-6
    assert shown["verdict"].tolist() == ["no clear difference"]
    assert shown["significant"].tolist() == [False]


def test_entries_that_forecast_alike_are_equal(errors: Errors) -> None:
    same = {"a": errors["a"], "b": errors["a"]}
    shown = with_intervals(all_pairs(same, ["a", "b"], overlap=1), same, overlap=1)
    assert shown[["difference", "p", "p_holm", "significant"]].to_numpy().tolist() == [[0.0, 1.0, 1.0, False]]


def test_an_error_without_bound_is_said_to_be_that(errors: Errors) -> None:
    errors["c"].iloc[3] = np.inf
    pairs = all_pairs(errors, ["a", "c"], overlap=1)
    assert pairs["obstacle"].tolist() == ["not finite"]
    assert np.isnan(pairs["p_holm"].to_numpy(dtype=float)).all()


def test_nothing_to_compare(errors: Errors) -> None:
    assert with_intervals(all_pairs(errors, ["a"], overlap=1), errors, overlap=1).empty


def test_p_values_are_adjusted_for_all_scenarios_together(errors: Errors) -> None:
    found = {
        "d": all_pairs(errors, ["a", "b", "c"], overlap=1),
        "alone": all_pairs(errors, ["a"], overlap=1),
        "e": all_pairs(errors, ["b", "a"], overlap=1),
    }
    together = over_scenarios(found)
    assert together.columns[0] == "scenario"
    assert together["scenario"].tolist() == ["d", "d", "d", "e"]
    np.testing.assert_array_equal(together["p"], [*found["d"]["p"], *found["e"]["p"]])
    np.testing.assert_allclose(together["p_holm"], holm(together["p"].tolist()))
    assert (together["p_holm"].iloc[:3].to_numpy() > found["d"]["p_holm"].to_numpy()).any()
    assert over_scenarios({"alone": found["alone"]}).empty
