from __future__ import annotations

import numpy as np
import pandas as pd

from bench.analysis import BEFORE, Span, around_events, mean_over_seeds, thin


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


def test_thin_keeps_both_ends() -> None:
    frame = pd.DataFrame({"x": np.arange(1001)})
    thinned = thin(frame, 50)
    assert len(thinned) == 50
    assert thinned["x"].iloc[[0, -1]].tolist() == [0, 1000]
    assert len(thin(frame, 2000)) == 1001


SPANS = [Span("2 rows", 2), Span("4 rows", 4)]


def around(origins: range, *events: tuple[int, str], horizon: int, end: int) -> dict[tuple[str, str], list[int]]:
    """The origins of each span of each event."""
    rows = np.array(origins)
    found = around_events(rows, events, SPANS, horizon, end)
    return {(each.event, each.span): rows[each.origins].tolist() for each in found}


def test_around_an_event_by_hand() -> None:
    found = around(range(100, 108), (103, "jump"), horizon=2, end=109)
    assert found == {
        ("jump", BEFORE): [100, 101],  # the forecast from 102 lies across the jump
        ("jump", "2 rows"): [103, 104],
        ("jump", "4 rows"): [103, 104, 105, 106],
    }


def test_spans_are_cut_at_the_next_event() -> None:
    found = around(range(100, 108), (103, "one"), (105, "two"), horizon=1, end=108)
    assert found["one", "2 rows"] == [103, 104]
    assert ("one", "4 rows") not in found  # it would reach the second event and add nothing
    assert found["two", BEFORE] == [103, 104]  # from the first event on
    assert found["two", "4 rows"] == [105, 106, 107]


def test_events_at_the_ends_have_nothing_to_compare() -> None:
    assert not around(range(100, 103), (100, "start"), (103, "end"), horizon=1, end=104)
    assert not around(range(100, 103), horizon=1, end=104)
