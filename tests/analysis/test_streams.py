from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bench.analysis import Span, around_events, mean_over_seeds, rolling_error, thin


def stream(*seeds: list[float], start: int = 100, stride: int = 1) -> pd.DataFrame:
    """A column for each seed."""
    return pd.DataFrame(
        {i: pd.Series(mse, index=start + stride * np.arange(len(mse))) for i, mse in enumerate(seeds)}, dtype=float
    )


def test_mean_over_seeds() -> None:
    errors = mean_over_seeds({"a": stream([1, 2], [3, 6]), "b": stream([7, 8])})
    assert errors.index.tolist() == [100, 101]
    assert errors["a"].tolist() == [2, 4]
    assert errors["b"].tolist() == [7, 8]


def test_a_seed_that_lacks_an_origin_leaves_its_mean_unknown() -> None:
    errors = mean_over_seeds({"a": stream([1, 2], [3])})
    assert errors["a"].isna().tolist() == [False, True]


def test_the_rolling_mean_looks_back_only() -> None:
    errors = mean_over_seeds({"a": stream([1, 2, 6, 100])})
    rolling = rolling_error(errors, 3)
    assert rolling.index.tolist() == [102, 103]
    assert rolling["a"].tolist() == pytest.approx([3, 36])


def test_thin_keeps_both_ends() -> None:
    frame = pd.DataFrame({"x": np.arange(1001)})
    thinned = thin(frame, 50)
    assert len(thinned) == 50
    assert thinned["x"].iloc[[0, -1]].tolist() == [0, 1000]
    assert len(thin(frame, 2000)) == 1001


SPANS = [Span("2 rows", 2), Span("4 rows", 4)]


def test_around_an_event_by_hand() -> None:
    errors = mean_over_seeds({"a": stream([1, 3, 50, 10, 20, 30, 40, 0])})  # origins 100 to 107
    table = around_events(errors, [(103, "jump")], SPANS, horizon=2, end=109)
    row = table.iloc[0]
    assert (row["row"], row["event"], row["entry"]) == (103, "jump", "a")
    assert row["before"] == 2  # origins 100 and 101; the forecast from 102 lies across the jump
    assert row["before_origins"] == 2
    assert (row["2 rows"], row["4 rows"]) == (15, 25)
    assert (row["2 rows_origins"], row["4 rows_origins"]) == (2, 4)


def test_spans_are_cut_at_the_next_event() -> None:
    errors = mean_over_seeds({"a": stream([1, 1, 1, 10, 20, 30, 40, 50])})
    table = around_events(errors, [(103, "one"), (105, "two")], SPANS, horizon=1, end=108)
    first, second = table.iloc[0], table.iloc[1]
    assert first["2 rows"] == 15
    assert np.isnan(first["4 rows"])  # it would reach the second event and add nothing
    assert second["before"] == 15  # from the first event on
    assert second["4 rows"] == 40
    assert second["4 rows_origins"] == 3


def test_events_at_the_ends_have_nothing_to_compare() -> None:
    errors = mean_over_seeds({"a": stream([1, 1, 1])})
    assert around_events(errors, [(100, "start"), (103, "end")], SPANS, horizon=1, end=104).empty
    assert around_events(errors, [], SPANS, horizon=1, end=104).empty
