"""Runs of several sources: what is pooled, what is told apart, what counts once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.analysis.pooling import PARTS, pool, pooled_board, version_differences

MakeRuns = Callable[..., pd.DataFrame]
PLAIN = {"source": 1, "fingerprint": "f" * 16, "version": "v" * 12, "started": "2026-01-01", "mse": 1.0}


def runs(make_runs: MakeRuns, *rows: dict[str, Any]) -> pd.DataFrame:
    return make_runs(*(PLAIN | row for row in rows))


def test_seeds_of_two_machines_are_pooled(make_runs: MakeRuns) -> None:
    found = pool(runs(make_runs, {"seed": 0, "mse": 1.0}, {"seed": 1, "mse": 3.0, "source": 2}))
    board = pooled_board(found.runs)
    assert board[["entry", "seeds", "mse", "sources"]].to_numpy().tolist() == [["rls", 2, 2.0, "1, 2"]]
    assert found.doubled == 0


def test_the_same_run_in_two_folders_counts_once(make_runs: MakeRuns) -> None:
    twice = [{"run_id": "a", "source": 2}, {"run_id": "a", "source": 1}]
    found = pool(runs(make_runs, *twice))
    assert pooled_board(found.runs)[["seeds", "sources"]].to_numpy().tolist() == [[1, "1"]]
    assert (found.doubled, found.differing) == (1, [])


def test_a_run_that_ended_well_somewhere_counts(make_runs: MakeRuns) -> None:
    failed = {"run_id": "a", "status": "failed", "mse": float("nan")}
    found = pool(runs(make_runs, failed, {"run_id": "a", "source": 2}))
    assert found.runs[["status", "source"]].to_numpy().tolist() == [["ok", 2]]


def test_one_id_with_two_errors_is_named(make_runs: MakeRuns) -> None:
    found = pool(runs(make_runs, {"run_id": "a"}, {"run_id": "a", "source": 2, "mse": 2.0}))
    assert found.differing == ["a"]
    assert found.runs["mse"].tolist() == [1.0]


@pytest.mark.parametrize(
    "other", [{"fingerprint": "g" * 16}, {"horizon": 48}, {"label_every": 2}, {"warm_start": False}, {"dataset": "e"}]
)
def test_other_data_or_another_protocol_is_another_table(make_runs: MakeRuns, other: dict[str, Any]) -> None:
    found = pool(runs(make_runs, {}, {"source": 2, "seed": 1, "mse": 9.0} | other))
    board = pooled_board(found.runs)
    assert board["scenario"].nunique() == 2
    assert sorted(board["mse"]) == [1.0, 9.0]


def test_versions_of_one_strategy_are_different_entries(make_runs: MakeRuns) -> None:
    found = pool(runs(make_runs, {}, {"source": 2, "version": "w" * 12, "mse": 2.0}, {"strategy": "frozen"}))
    board = pooled_board(found.runs)
    assert board.set_index("entry")["mse"].to_dict() == {"rls [1]": 1.0, "rls [2]": 2.0, "frozen": 1.0}
    assert found.doubled == 0


def test_versions_in_one_source_are_told_apart_by_themselves(make_runs: MakeRuns) -> None:
    found = pool(runs(make_runs, {}, {"version": "w" * 12}))
    assert sorted(found.runs["entry"]) == ["rls [1, vvvvvv]", "rls [1, wwwwww]"]


def test_of_two_runs_of_one_seed_the_newest_counts(make_runs: MakeRuns) -> None:
    found = pool(runs(make_runs, {"mse": 5.0, "started": "2026-02-01"}, {"source": 2}))
    assert found.runs["mse"].tolist() == [5.0]
    assert found.doubled == 1


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "run_id": st.sampled_from("abcdef"),
                "source": st.integers(1, 3),
                "seed": st.integers(0, 2),
                "fingerprint": st.sampled_from(["f", "g"]),
                "version": st.sampled_from(["v", "w"]),
                "horizon": st.sampled_from([24, 48]),
            }
        ),
        min_size=1,
        max_size=12,
    )
)
def test_nothing_unlike_is_ever_pooled(make_runs: MakeRuns, rows: list[dict[str, Any]]) -> None:
    """In a cell of the board, data, protocol and version are one, and each seed is there once."""
    found = pool(runs(make_runs, *rows))
    for _, cell in found.runs.groupby(["scenario", "entry"]):
        assert len(cell[["fingerprint", "version", "horizon"]].drop_duplicates()) == 1
        assert cell["seed"].is_unique
    assert found.runs["run_id"].is_unique
    assert len(found.runs) + found.doubled == len(rows)


def test_what_differs_between_versions_is_said_once_for_all_that_differ_alike(make_runs: MakeRuns) -> None:
    code, harness = PARTS[0], "harness"
    here = {code: "a", harness: "h"}
    there = {"source": 2, "version": "w" * 12, code: "a", harness: "i"}
    found = pool(
        runs(
            make_runs,
            *({"strategy": name, **here} for name in ("frozen", "ogd", "rls")),
            *({"strategy": name, **there} for name in ("frozen", "ogd")),
            {"strategy": "rls", **there, code: "b"},
            {"strategy": "same", **here},
            {"strategy": "same", **here, "source": 2, "seed": 1},
        )
    )
    assert version_differences(found.runs) == {(harness,): ["frozen", "ogd"], (code, harness): ["rls"]}
