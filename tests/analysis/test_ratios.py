"""Stretches of a stream: how long they are, their sums, and the skill over some of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bench.analysis import paired_sums, skill_along, skill_within, stretch_length, stretch_sums


def errors(*seeds: list[float]) -> pd.DataFrame:
    return pd.DataFrame(np.array(seeds, dtype=float).T)


@pytest.mark.parametrize(
    ("origins", "overlap", "season", "horizon", "length"),
    [
        (10_753, 24, 24, 24, 108),
        (397, 1, 7, 24, 7),
        (397, 1, None, 24, 4),
        (60, 24, 0, 24, 24),
        (1, 1, None, 48, 1),
        (400, 1, None, 1, 24),
        (400, 1, None, 5, 5),
    ],
)
def test_a_stretch_is_a_hundredth_of_the_stream_or_a_season_or_the_overlap_or_24_truths(
    origins: int, overlap: int, season: int | None, horizon: int, length: int
) -> None:
    assert stretch_length(origins, overlap, season, horizon) == length


def test_sums_by_hand() -> None:
    np.testing.assert_array_equal(stretch_sums(np.array([1.0, 3, 2, 2]), 2), [4, 4])
    np.testing.assert_array_equal(stretch_sums(np.array([4.0, 4, 1, 1, 1]), 2), [8, 3])  # a short last one joins
    np.testing.assert_array_equal(stretch_sums(np.array([4.0, 4, 1, 1, 1]), 9), [11])


def test_pairs_are_of_common_origins_and_seeds() -> None:
    one, other = errors([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]), errors([1.0, 1.0, 7.0]).set_axis([1, 2, 9])
    found = paired_sums(one, other, 1)
    assert found is not None
    np.testing.assert_array_equal(found[0], [[2.0], [3.0]])
    np.testing.assert_array_equal(found[1], [[1.0], [1.0]])
    assert paired_sums(one.head(1), other, 1) is None
    assert paired_sums(one, one.set_axis([5, 6], axis=1), 1) is None
    holes = one.copy()
    holes.iloc[0, 1] = np.nan
    for pair in ((one, holes), (holes, one)):
        kept = paired_sums(*pair, 1)
        assert kept is not None
        np.testing.assert_array_equal(kept[0], [[2.0, 5.0], [3.0, 6.0]])


def ratios(*values: float, seeds: int = 1) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Errors of two entries, one origin a stretch, whose ratios are these with every seed."""
    one = pd.DataFrame(np.outer(values, np.ones(seeds)), index=10 * np.arange(len(values)))
    return one, one * 0 + 1.0


def test_skill_along_the_stream_is_a_mean_over_five_neighbours() -> None:
    values = [float(np.exp(i / 10)) for i in range(12)]
    along = skill_along(*ratios(*values), 1)
    assert along.index.tolist() == list(range(0, 120, 10))
    assert along["skill"].iloc[[0, 5, 11]].tolist() == pytest.approx([1 - values[1], 1 - values[5], 1 - values[10]])
    logs = np.arange(3.0, 8.0) / 10
    half = 2.776 * logs.std(ddof=1) / np.sqrt(5)  # Student's, 4 degrees of freedom
    low, high = along["low"].iloc[5], along["high"].iloc[5]
    assert [low, high] == pytest.approx([1 - np.exp(0.5 + half), 1 - np.exp(0.5 - half)], abs=1e-4)


def test_no_mean_reaches_over_a_change() -> None:
    along = skill_along(*ratios(*[0.5] * 7, *[2.0] * 7), 1, [70])
    assert along["skill"].tolist() == pytest.approx([0.5] * 7 + [-1.0] * 7)
    assert skill_along(*ratios(*[0.5] * 7, *[2.0] * 7), 1)["skill"].between(-0.9, 0.4).sum() == 4


def test_fewer_than_twelve_stretches_have_no_interval_and_seeds_widen_it() -> None:
    assert skill_along(*ratios(*[0.5, 0.6] * 5), 1)[["low", "high"]].isna().all(axis=None)
    one, other = ratios(*[0.5, 0.6] * 10, seeds=3)
    same = skill_along(one, other, 1)
    wide = skill_along(one * [0.8, 1.0, 1.25], other, 1)
    assert wide["skill"].to_numpy() == pytest.approx(same["skill"].to_numpy())
    assert (wide["high"] - wide["low"] > same["high"] - same["low"]).all()


def test_a_stretch_without_error_has_no_point() -> None:
    one, other = ratios(0.5, 0.5, 0.0, 0.5)
    assert skill_along(one, other, 1).index.tolist() == [0, 10, 30]
    assert skill_along(one * 0, other, 1).empty
    assert skill_along(one.head(0), other, 1).empty


def test_skill_within_some_origins() -> None:
    one, other = ratios(0.5, 0.5, 2.0)
    assert skill_within(one.head(2), other, 1) == pytest.approx(0.5)
    assert np.isnan(skill_within(one.head(0), other, 1))
