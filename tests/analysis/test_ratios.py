"""Stretches of a stream: how long they are, their sums, and the median of their ratios."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bench.analysis import exact_stretches, median_ratio, paired_sums, stretch_length, stretch_sums


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


def test_a_few_stretches_decide_the_mean_and_not_the_median() -> None:
    one = np.array([[0.9, 0.9, 0.9, 50.0, 50.0]]).T
    assert median_ratio(one, np.ones((5, 1))) == pytest.approx(0.9)
    assert median_ratio(np.array([[4.0], [1.0]]), np.ones((2, 1))) == pytest.approx(2.0)  # between 4 and 1
    assert median_ratio(np.array([[2.0, 3.0, 8.0]]), np.ones((1, 3))) == pytest.approx(3.0)
    assert np.isnan(median_ratio(one, 0 * one))
    assert median_ratio(one, np.array([[0.0, 1, 1, 1, 1]]).T) == pytest.approx(np.sqrt(0.9 * 50))


def test_stretches_without_error_are_counted() -> None:
    reference = np.array([[0.0], [0.0], [2.0], [4.0]])
    assert exact_stretches(reference) == (2, 4)
    assert exact_stretches(stretch_sums(reference, 4)) == (0, 1)
