"""What trials come to: means over seeds, the choice, each option on its own."""

from __future__ import annotations

import itertools
import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis.tuning import best_by_option, grid_table, spread_options


def trial(point: dict[str, Any], seed: int, val_mse: float, **changes: Any) -> dict[str, Any]:
    row = {"strategy": "s", "forecaster": "f", "dataset": "d", "protocol": "p", "point": json.dumps(point)}
    return row | {"seed": seed, "status": "ok", "reason": "", "val_mse": val_mse} | changes


def failed(point: dict[str, Any], seed: int, reason: str = "no luck", **changes: Any) -> dict[str, Any]:
    return trial(point, seed, float("nan"), status="failed", reason=reason, **changes)


def table(*rows: dict[str, Any]) -> pd.DataFrame:
    return grid_table(pd.DataFrame(rows))


def test_mean_and_spread_over_seeds() -> None:
    found = table(
        trial({"lr": 1}, 0, 1.0), trial({"lr": 1}, 1, 3.0), trial({"lr": 2}, 0, 1.5), trial({"lr": 2}, 1, 1.5)
    )
    assert found["val_mse"].tolist() == [2.0, 1.5]
    assert found["val_mse_sd"].tolist() == pytest.approx([np.sqrt(2), 0.0])
    assert found["seeds"].tolist() == [2, 2]
    assert found["chosen"].tolist() == [False, True]


def test_the_first_of_several_is_chosen() -> None:
    found = table(*(trial({"lr": lr}, 0, error) for lr, error in ((3, 2.0), (2, 1.0), (1, 1.0))))
    assert found.loc[found["chosen"], "point"].tolist() == ['{"lr": 2}']


def test_a_point_that_failed_is_never_chosen() -> None:
    found = table(
        trial({"lr": 1}, 0, 0.1), failed({"lr": 1}, 1), trial({"lr": 2}, 0, 0.5), trial({"lr": 2}, 1, 0.7),
        trial({"lr": 3}, 0, 0.1), trial({"lr": 3}, 1, float("inf")),
    )  # fmt: skip
    assert found["chosen"].tolist() == [False, True, False]
    assert found["failed"].tolist() == [1, 0, 1]
    assert found["reason"].tolist() == ["no luck", "", "the error is not finite"]
    assert found["val_mse"].tolist() == pytest.approx([0.1, 0.6, 0.1])


def test_nothing_is_chosen_where_everything_failed() -> None:
    found = table(failed({"lr": 1}, 0), failed({"lr": 2}, 0), trial({"lr": 1}, 0, 5.0, dataset="other"))
    assert found["chosen"].tolist() == [False, False, True]
    assert not table(failed({"lr": 1}, 0))["chosen"].any()


def test_each_group_chooses_for_itself() -> None:
    rows = [
        trial({"lr": lr}, seed, abs(lr - best) + 0.1 * seed, **{key: name})
        for key, name, best in (("dataset", "x", 1), ("dataset", "y", 2), ("strategy", "t", 3), ("forecaster", "g", 2))
        for lr in (1, 2, 3)
        for seed in (0, 1)
    ]
    found = table(*rows)
    assert found.loc[found["chosen"], "point"].tolist() == ['{"lr": 1}', '{"lr": 2}', '{"lr": 3}', '{"lr": 2}']


errors = st.floats(0.001, 1e6) | st.just(float("nan")) | st.just(float("inf"))


@given(st.lists(st.tuples(errors, errors), min_size=1, max_size=8))
def test_the_choice_is_the_lowest_mean_of_the_whole_points(values: list[tuple[float, float]]) -> None:
    rows = [trial({"lr": i}, s, e) for i, pair in enumerate(values) for s, e in enumerate(pair)]
    found = table(*rows)
    whole = {i: pd.Series(pair).mean() for i, pair in enumerate(values) if np.isfinite(pair).all()}
    expected = [json.dumps({"lr": min(whole, key=lambda i: whole[i])})] if whole else []
    assert found.loc[found["chosen"], "point"].tolist() == expected


def test_no_trials() -> None:
    columns = list(trial({}, 0, 0.0))
    assert grid_table(pd.DataFrame(columns=columns)).empty


def test_options_on_their_own() -> None:
    points = itertools.product([1, None], ["x", "y"], [7])
    rows = [trial({"a": a, "b": b, "c": c}, 0, e) for (a, b, c), e in zip(points, (4.0, 3.0, 1.0, 2.0), strict=True)]
    found = table(*rows)
    options = spread_options(found)
    assert options["a"].tolist() == [1, 1, None, None]
    assert options["b"].tolist() == ["x", "y", "x", "y"]
    best = best_by_option(found)
    assert best["option"].tolist() == ["a", "a", "b", "b"]  # c takes one value
    assert best["value"].tolist() == [1, None, "x", "y"]
    assert best["val_mse"].tolist() == [3.0, 1.0, 1.0, 2.0]
    assert json.loads(best["point"].iloc[1]) == {"a": None, "b": "x", "c": 7}


def test_a_value_without_a_whole_point_has_no_best() -> None:
    found = table(trial({"a": 1}, 0, 1.0), failed({"a": 2}, 0), failed({"a": 2}, 1))
    assert best_by_option(found)["val_mse"].tolist() == pytest.approx([1.0, float("nan")], nan_ok=True)
