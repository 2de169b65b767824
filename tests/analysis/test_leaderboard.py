from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench.analysis import contest, is_barred, leaderboard, overall, skill

MakeRuns = Callable[..., pd.DataFrame]


def of(table: pd.DataFrame, entry: str) -> dict[str, Any]:
    """An entry's row."""
    return {str(key): value for key, value in table.loc[entry].items()}


def test_skill_is_paired_by_seed(make_runs: MakeRuns) -> None:
    runs = make_runs(
        {"strategy": "persistence", "seed": 0, "mse": 2.0},
        {"strategy": "persistence", "seed": 1, "mse": 4.0},
        {"strategy": "rls", "seed": 0, "mse": 1.0},
        {"strategy": "rls", "seed": 1, "mse": 5.0},
        {"strategy": "rls", "seed": 2, "mse": 1.5},  # no such seed of persistence: its mean, 3
    )
    assert skill(runs, "persistence").tolist() == pytest.approx([0, 0, 50, -25, 50])


def test_skill_without_the_reference_is_unknown(make_runs: MakeRuns) -> None:
    runs = make_runs({"mse": 1.0}, {"strategy": "frozen", "status": "failed"}, {"dataset": "e", "strategy": "frozen"})
    assert skill(runs, "persistence").isna().all()
    assert skill(runs, "frozen").isna().all()


def test_frozen_is_that_of_the_same_forecaster_and_the_first_for_those_without(make_runs: MakeRuns) -> None:
    runs = make_runs(
        {"strategy": "frozen", "forecaster": "linear", "mse": 2.0},
        {"strategy": "frozen", "forecaster": "titans", "mse": 4.0},
        {"strategy": "retrain", "forecaster": "titans", "mse": 3.0},
        {"strategy": "retrain", "forecaster": "linear", "mse": 1.0},
        {"strategy": "rls", "mse": 1.0},
        {"strategy": "retrain", "forecaster": "tcn", "mse": 1.0},
    )
    values = skill(runs, "frozen")
    assert values.tolist()[:5] == pytest.approx([0, 0, 25, 50, 50])
    assert np.isnan(values.iloc[5])


def test_a_reference_without_error_gives_no_skill(make_runs: MakeRuns) -> None:
    runs = make_runs({"strategy": "persistence", "mse": 0.0}, {"mse": 1.0})
    assert skill(runs, "persistence").isna().all()
    board = leaderboard(runs).set_index("strategy")
    assert board["undefined_persistence"].all()
    assert not board["undefined_frozen"].any()  # there is no frozen
    together = overall(leaderboard(runs)).set_index("strategy")
    assert together["undefined_persistence"].all()
    assert together["skill_persistence"].isna().all()


def test_a_reference_without_bound_gives_no_skill(make_runs: MakeRuns) -> None:
    runs = make_runs({"strategy": "persistence", "mse": np.inf}, {"mse": 1.0})
    assert skill(runs, "persistence").isna().all()
    assert not leaderboard(runs)["undefined_persistence"].any()


def test_leaderboard_by_hand(make_runs: MakeRuns) -> None:
    board = leaderboard(
        make_runs(
            {"strategy": "persistence", "mse": 4.0, "val_mse": 3.0},
            {"strategy": "persistence", "mse": 4.0, "seed": 1, "val_mse": 5.0},
            {"strategy": "rls", "mse": 1.0},
            {"strategy": "rls", "mse": 3.0, "seed": 1},
            {"strategy": "oracle", "mse": 0.5, "group": "leaky"},
            {"strategy": "ogd", "status": "failed"},
            {"strategy": "ogd", "status": "skipped", "seed": 1},
        )
    ).set_index("entry")
    assert board.index.tolist() == ["rls", "persistence", "oracle", "ogd"]
    assert board["rank"].tolist()[:2] == [1, 2]
    assert board["rank"].isna().tolist()[2:] == [True, True]
    assert [of(board, "rls")[key] for key in ("mse", "mse_sd")] == pytest.approx([2, np.sqrt(2)])
    assert of(board, "rls")["skill_persistence"] == pytest.approx(50)
    assert np.isnan(of(board, "rls")["skill_frozen"])
    assert of(board, "persistence")["val_mse"] == 4
    assert np.isnan(of(board, "rls")["val_mse"])
    assert np.isnan(of(board, "oracle")["mse_sd"])
    assert [of(board, "ogd")[key] for key in ("seeds", "failed", "skipped", "windows")] == [0, 1, 1, 0]


def test_who_failed_the_leak_canary_is_never_ranked(make_runs: MakeRuns) -> None:
    runs = make_runs(
        {"strategy": "rls", "mse": 1.0, "audit": "passed"},
        {"strategy": "new", "mse": 0.5, "audit": "unaudited"},
        {"strategy": "peeks", "mse": 0.1, "audit": "passed"},
        {"strategy": "peeks", "mse": 0.1, "seed": 1, "audit": "failed"},
    )
    board = leaderboard(runs)
    assert board["entry"].tolist() == ["new", "rls", "peeks"]
    assert board["rank"].tolist()[:2] == [1, 2]
    assert board["audit"].tolist() == ["unaudited", "passed", "failed"]
    together = overall(board).set_index("entry")
    assert together["audit"].to_dict() == {"new": "unaudited", "rls": "passed", "peeks": "failed"}
    assert together["mean_rank"].isna().to_dict() == {"new": False, "rls": False, "peeks": True}
    assert is_barred(board).tolist() == [False, False, True]
    assert leaderboard(runs.drop(columns="audit"))["entry"].tolist() == ["peeks", "new", "rls"]


def test_one_diverged_seed_is_not_averaged_away(make_runs: MakeRuns) -> None:
    board = leaderboard(
        make_runs(
            {"strategy": "persistence", "mse": 4.0},
            {"strategy": "ogd", "mse": 1.0},
            {"strategy": "ogd", "mse": float("nan"), "seed": 1},
        )
    ).set_index("entry")
    assert of(board, "ogd")["mse"] == np.inf
    assert of(board, "ogd")["diverged"] == 1
    assert of(board, "ogd")["rank"] == 2
    assert np.isnan(of(board, "ogd")["skill_persistence"])


def test_overall_ranks_only_what_ran_everywhere(make_runs: MakeRuns) -> None:
    runs = make_runs(
        {"dataset": "d", "strategy": "persistence", "mse": 4.0},
        {"dataset": "e", "strategy": "persistence", "mse": 1.0},
        {"dataset": "d", "strategy": "rls", "mse": 2.0},
        {"dataset": "e", "strategy": "rls", "mse": 1.5},
        {"dataset": "d", "strategy": "ogd", "mse": 1.0},
    )
    table = overall(leaderboard(runs)).set_index("entry")
    assert of(table, "rls")["mean_rank"] == 2  # second of three, second of two
    assert of(table, "persistence")["mean_rank"] == 2
    assert np.isnan(of(table, "ogd")["mean_rank"])
    assert table.index[-1] == "ogd"
    assert table["scenarios"].to_dict() == {"rls": 2, "persistence": 2, "ogd": 1}
    assert of(table, "rls")["skill_persistence"] == pytest.approx((50 - 50) / 2)
    assert [of(table, "rls")[key] for key in ("mse d", "mse e")] == [2.0, 1.5]


def test_the_contest_of_the_best_two(make_runs: MakeRuns) -> None:
    runs = make_runs(
        {"strategy": "a", "mse": 1.0},
        {"strategy": "a", "mse": 1.2, "seed": 1},
        {"strategy": "b", "mse": 1.2},
        {"strategy": "b", "mse": 1.8, "seed": 1},
        {"strategy": "leak", "mse": 0.1, "group": "leaky"},
    )
    found = contest(leaderboard(runs))
    assert found is not None
    assert found.next is not None
    assert (found.best["entry"], found.next["entry"]) == ("a", "b")
    assert found.gap == pytest.approx(0.4)


def test_a_contest_of_one_and_of_none(make_runs: MakeRuns) -> None:
    alone = contest(leaderboard(make_runs({"mse": 1.0}, {"strategy": "ogd", "status": "failed"})))
    assert alone is not None
    assert alone.next is None
    assert contest(leaderboard(make_runs({"status": "failed"}))) is None


def test_what_was_served_with_instant_labels_is_listed_and_not_ranked(make_runs: MakeRuns) -> None:
    board = leaderboard(
        make_runs(
            {"strategy": "rls", "mse": 1.0, "labels": "instant"},
            {"strategy": "persistence", "mse": 2.0, "labels": "instant"},
            {"strategy": "rls", "mse": 1.5, "labels": "matured"},
            {"strategy": "persistence", "mse": 2.0, "labels": "matured"},
        )
    )
    instant = board["scenario"].str.contains("instant")
    assert instant.sum() == 2
    assert board.loc[instant, "rank"].isna().all()
    assert board.loc[~instant, "rank"].tolist() == [1, 2]


def test_instant_labels_do_not_take_the_average_rank_from_everyone(make_runs: MakeRuns) -> None:
    runs = make_runs(
        {"strategy": "rls", "mse": 1.0, "labels": "instant"},
        {"strategy": "persistence", "mse": 9.0, "labels": "instant"},
        {"strategy": "rls", "mse": 1.5, "labels": "matured"},
        {"strategy": "persistence", "mse": 2.0, "labels": "matured"},
    )
    table = overall(leaderboard(runs)).set_index("entry")
    assert table["mean_rank"].to_dict() == {"rls": 1, "persistence": 2}
    assert of(table, "rls")["skill_persistence"] == pytest.approx(25)
    assert table["scenarios"].tolist() == [2, 2]


def test_a_scenario_in_which_all_failed_leaves_no_average_rank(make_runs: MakeRuns) -> None:
    runs = make_runs({"mse": 1.0}, {"dataset": "e", "status": "failed"})
    assert overall(leaderboard(runs))["mean_rank"].isna().all()
