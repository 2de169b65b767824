"""Cost, breakdown by channel and lead, and forecasts as lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from bench.analysis import cost_table, error_shares, forecast_line, mean_by, pareto_front
from bench.results.record import COSTS

MakeRuns = Callable[..., pd.DataFrame]


def of(table: pd.DataFrame, entry: str) -> dict[str, Any]:
    """An entry's row."""
    return {str(key): value for key, value in table.loc[entry].items()}


def test_cost_takes_steps_from_the_timing_pass_only(make_runs: MakeRuns) -> None:
    slow, fast = dict.fromkeys(COSTS, 9.0), dict.fromkeys(COSTS, 1.0)
    runs = make_runs(
        {"timed_alone": True, "stream_s_per_1000": 2.0, "seed": 0, **fast},
        {"timed_alone": False, "stream_s_per_1000": 4.0, "seed": 1, **slow},
        {"strategy": "ogd", "timed_alone": False, "stream_s_per_1000": 5.0, **slow},
        {"strategy": "er", "status": "failed", "stream_s_per_1000": float("nan"), **slow},
    )
    table = cost_table(runs).set_index("entry")
    assert table.index.tolist() == ["ogd", "rls"]
    assert [of(table, "rls")[key] for key in COSTS] == [1.0] * len(COSTS)
    assert table.loc["rls", "stream_s_per_1000"] == 3.0
    assert all(np.isnan(of(table, "ogd")[key]) for key in COSTS)
    assert table.loc["ogd", "stream_s_per_1000"] == 5.0


def test_what_other_work_disturbed_is_not_in_the_table(make_runs: MakeRuns) -> None:
    quiet, disturbed = dict.fromkeys(COSTS, 1.0), dict.fromkeys(COSTS, 9.0)
    runs = make_runs(
        {"timed_alone": True, "disturbed": True, "stream_s_per_1000": 2.0, "seed": 0, **disturbed},
        {"timed_alone": True, "stream_s_per_1000": 4.0, "seed": 1, **quiet},
        {"strategy": "ogd", "timed_alone": True, "disturbed": True, "stream_s_per_1000": 5.0, **disturbed},
    )
    table = cost_table(runs).set_index("entry")
    assert [of(table, "rls")[key] for key in COSTS] == [1.0] * len(COSTS)
    assert all(np.isnan(of(table, "ogd")[key]) for key in COSTS)
    assert table.loc["ogd", "stream_s_per_1000"] == 5.0  # the accuracy run's own, which says that it was shared


def test_what_no_other_beats_in_both() -> None:
    cost = pd.Series([1.0, 2.0, 3.0, 2.0, np.nan])
    error = pd.Series([5.0, 3.0, 3.0, 4.0, 0.0])
    assert pareto_front(cost, error).tolist() == [True, True, False, False, False]


def test_equal_points_do_not_beat_each_other() -> None:
    same = pd.Series([1.0, 1.0])
    assert pareto_front(same, same).tolist() == [True, True]


def test_means_and_shares_by_channel() -> None:
    errors = pd.DataFrame(
        {
            "scenario": "d",
            "entry": "rls",
            "seed": [0, 0, 1, 1],
            "channel": ["OT", "HUFL", "OT", "HUFL"],
            "mse": [2.0, 1.0, 4.0, 1.0],
            "mae": [1.0, 1.0, 3.0, 1.0],
        }
    )
    table = error_shares(mean_by(errors, "channel"))
    assert table["channel"].tolist() == ["OT", "HUFL"]
    assert table["mse"].tolist() == [3.0, 1.0]
    assert table["mae"].tolist() == [2.0, 1.0]
    assert table["share"].tolist() == [75.0, 25.0]


def forecasts(origins: list[int], horizon: int) -> pd.DataFrame:
    rows = [(o, lead) for o in origins for lead in range(horizon)]
    return pd.DataFrame(
        {
            "origin": [o for o, _ in rows],
            "time": [np.datetime64("2020-01-01T00", "ns") + np.timedelta64(o + lead, "h") for o, lead in rows],
            "lead": [lead + 1 for _, lead in rows],
            "forecast": [float(10 * o + lead) for o, lead in rows],
            "truth": [float(o + lead) for o, lead in rows],
        }
    )


def test_forecasts_that_do_not_overlap_join_into_a_line() -> None:
    line = forecast_line(forecasts([10, 12], 2), horizon=2)
    assert line["row"].tolist() == [10, 11, 12, 13]
    assert line["truth"].tolist() == [10, 11, 12, 13]
    assert line["forecast"].tolist() == [100, 101, 120, 121]
    assert line["time"].tolist() == [pd.Timestamp("2020-01-01") + pd.Timedelta(hours=row) for row in line["row"]]


def test_of_overlapping_forecasts_the_last_lead_is_drawn() -> None:
    line = forecast_line(forecasts([10, 11, 12], 3), horizon=3)
    assert line["row"].tolist() == [12, 13, 14]
    assert line["forecast"].tolist() == [102, 112, 122]


def test_a_gap_between_forecasts_breaks_the_line() -> None:
    line = forecast_line(forecasts([10, 20], 2), horizon=2)
    assert line["row"].tolist() == [10, 11, 20, 20, 21]
    assert line["forecast"].isna().tolist() == [False, False, True, False, False]


def test_one_forecast_is_a_line() -> None:
    assert forecast_line(forecasts([10], 3), horizon=3)["forecast"].tolist() == [100, 101, 102]
