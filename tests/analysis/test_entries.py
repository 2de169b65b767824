from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest

from bench.analysis import latest, with_entries

MakeRuns = Callable[..., pd.DataFrame]


def test_names_are_short_where_nothing_else_differs(make_runs: MakeRuns) -> None:
    runs = with_entries(make_runs({"strategy": "rls"}, {"strategy": "frozen", "forecaster": "titans"}))
    assert runs["scenario"].tolist() == ["d", "d"]
    assert runs["entry"].tolist() == ["rls", "frozen"]
    assert runs["base"].tolist() == ["none", "titans"]
    assert runs["protocol_label"].unique().tolist() == ["day-ahead (L=96, H=24, S=24, K=1)"]


def test_options_stand_behind_the_name(make_runs: MakeRuns) -> None:
    runs = with_entries(make_runs({"strategy_config": '{"lr": 0.001, "head": "last", "on": true}'}))
    assert runs["entry"].tolist() == ["rls (lr=0.001, head=last, on=true)"]


def test_the_forecaster_is_named_once_there_are_two(make_runs: MakeRuns) -> None:
    names = [("frozen", "titans"), ("frozen", "linear"), ("titans-b", "titans"), ("rls", "none")]
    runs = with_entries(make_runs(*({"strategy": s, "forecaster": f} for s, f in names)))
    assert runs["entry"].tolist() == ["frozen + titans", "frozen + linear", "titans-b + titans", "rls"]


def test_forecasters_with_other_options_are_others(make_runs: MakeRuns) -> None:
    runs = make_runs({"strategy": "frozen", "forecaster": "titans"}, {"strategy": "frozen", "forecaster": "titans"})
    runs["forecaster_options"] = ["{}", '{"dim": 16}']
    assert with_entries(runs)["entry"].tolist() == ["frozen + titans", "frozen + titans (dim=16)"]


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"protocol": "dense", "stride": 1}, ["d, day-ahead", "d, dense"]),
        (
            {"horizon": 48},
            ["d (L=96, H=24, S=24, K=1)", "d (L=96, H=48, S=24, K=1)"],
        ),
        ({"dataset": "e", "horizon": 48}, ["d", "e"]),
        ({"dataset_options": '{"split": "online"}'}, ["d", "d (split=online)"]),
        ({"fingerprint": "0123456789"}, ["d [abc]", "d [01234567]"]),
        ({"label_every": 10}, ["d, all labels", "d, every 10th label"]),
        (
            {"label_every": 10, "warm_start": False},
            ["d (L=96, H=24, S=24, K=1)", "d (L=96, H=24, S=24, K=1, cold start)"],
        ),
        ({"label_rate": 0.1, "delay": 5}, ["d, all labels", "d, 10 % of labels, labels 5 rows late"]),
        ({"labels": "instant"}, ["d, all labels", "d, instant labels (leaky)"]),
    ],
)
def test_scenarios_are_named_by_what_tells_them_apart(
    make_runs: MakeRuns, changes: dict[str, Any], names: list[str]
) -> None:
    base = {"dataset_options": "{}", "fingerprint": "abc", "label_rate": 1.0, "delay": 0, "labels": "matured"}
    assert with_entries(make_runs(base, base | changes))["scenario"].tolist() == names


def versions(make_runs: MakeRuns, *rows: dict[str, Any]) -> list[str]:
    base = {"dataset_options": "{}", "fingerprint": "f", "version": "a", "started": "2026-01-01"}
    kept: list[str] = latest(make_runs(*(base | row for row in rows)))["run_id"].tolist()
    return kept


def test_the_newest_run_of_a_seed_counts(make_runs: MakeRuns) -> None:
    rows: list[dict[str, Any]] = [{"started": "2026-01-03"}, {"started": "2026-01-02"}, {"seed": 1}]
    assert versions(make_runs, *rows) == ["r0", "r2"]


def test_seeds_of_an_older_version_do_not_mix_with_the_newest(make_runs: MakeRuns) -> None:
    rows: list[dict[str, Any]] = [
        {"seed": 0},
        {"seed": 1},
        {"seed": 0, "version": "b", "started": "2026-01-02"},
        {"strategy": "frozen"},
    ]
    assert versions(make_runs, *rows) == ["r2", "r3"]


def test_runs_on_data_as_they_were_are_left_out(make_runs: MakeRuns) -> None:
    rows: list[dict[str, Any]] = [
        {"seed": 0},
        {"strategy": "frozen", "fingerprint": "g", "started": "2026-01-02"},
        {"dataset": "e"},
    ]
    assert versions(make_runs, *rows) == ["r1", "r2"]
