"""The geometric mean and the median over stretches: by hand, and what it is proof against."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis import exact_stretches, geometric_ratio, median_ratio, stretch_length


def errors(*seeds: list[float]) -> pd.DataFrame:
    return pd.DataFrame(np.array(seeds, dtype=float).T)


@pytest.mark.parametrize(
    ("origins", "overlap", "season", "length"),
    [(10_753, 24, 24, 108), (397, 1, 7, 7), (397, 1, None, 4), (60, 24, 0, 24), (1, 1, None, 1)],
)
def test_a_stretch_is_a_hundredth_of_the_stream_or_a_season_or_the_overlap(
    origins: int, overlap: int, season: int | None, length: int
) -> None:
    assert stretch_length(origins, overlap, season) == length


def test_by_hand() -> None:
    reference = errors([1.0, 3.0, 2.0, 2.0])
    one, other = [4.0, 4.0, 1.0, 1.0], [4.0, 4.0, 4.0, 4.0]  # ratios of the two stretches: 2 and 1/2; 2 and 2
    assert geometric_ratio(errors(one), reference, 2) == pytest.approx(1.0)
    assert geometric_ratio(errors(other), reference, 2) == pytest.approx(2.0)
    assert geometric_ratio(errors(one, other), reference, 2) == pytest.approx(np.sqrt(2))
    assert geometric_ratio(errors(one), reference, 4) == pytest.approx(10 / 8)


def test_a_seed_is_compared_with_the_same_seed_or_else_with_all() -> None:
    own, reference = errors([2.0, 2.0], [8.0, 8.0]), errors([1.0, 1.0], [4.0, 4.0])
    assert geometric_ratio(own, reference, 1) == pytest.approx(2.0)
    assert geometric_ratio(own.set_axis([5, 6], axis=1), reference, 1) == pytest.approx(4.0 / 2.5)


def test_a_last_stretch_that_is_too_short_joins_the_others() -> None:
    reference = errors([1.0] * 5)
    assert geometric_ratio(errors([4, 4, 1, 1, 1]), reference, 2) == pytest.approx(np.sqrt(8 / 2 * 3 / 3))
    assert geometric_ratio(errors([4, 4, 1, 1, 1]), reference, 9) == pytest.approx(11 / 5)


def test_a_hard_stretch_rules_the_mean_and_not_this() -> None:
    reference = errors([1.0] * 98 + [1000.0] * 2)
    own = errors([2.0] * 98 + [500.0] * 2)
    assert own[0].mean() < reference[0].mean()
    assert geometric_ratio(own, reference, 2) > 1.9


def test_a_few_stretches_carry_the_mean_and_not_the_median() -> None:
    reference = errors([1.0] * 5)
    own = errors([0.9, 0.9, 0.9, 50.0, 50.0])
    assert geometric_ratio(own, reference, 1) == pytest.approx((0.9**3 * 50**2) ** (1 / 5))
    assert median_ratio(own, reference, 1) == pytest.approx(0.9)
    assert median_ratio(errors([4.0, 1.0]), errors([1.0, 1.0]), 1) == pytest.approx(2.0)  # between 4 and 1
    assert median_ratio(errors([2.0], [3.0], [8.0]), errors([1.0], [1.0], [1.0]), 1) == pytest.approx(3.0)
    assert np.isnan(median_ratio(own, reference * 0, 1))


def test_only_common_origins_count() -> None:
    reference = errors([1.0, 1.0, 7.0]).set_axis([1, 2, 9])
    assert geometric_ratio(errors([50, 2, 2]), reference, 1) == pytest.approx(2.0)
    assert np.isnan(geometric_ratio(errors([50]), reference, 1))


def test_an_exact_forecast_does_not_make_it_nothing() -> None:
    reference = errors([1.0, 2.0])
    assert geometric_ratio(errors([0.0, 2.0]), reference, 1) == pytest.approx(np.sqrt(1.5e-6))
    assert 0 < geometric_ratio(errors([0.0, 0.0]), reference, 1) < 1e-5


def test_stretches_in_which_the_reference_has_no_error_have_no_ratio() -> None:
    reference = errors([0.0, 0.0, 2.0, 4.0])
    assert geometric_ratio(errors([7.0, 0.0, 1.0, 1.0]), reference, 1) == pytest.approx(np.sqrt(1 / 2 * 1 / 4))
    assert median_ratio(errors([7.0, 0.0, 1.0, 1.0]), reference, 1) == pytest.approx(np.sqrt(1 / 2 * 1 / 4))
    assert exact_stretches(reference, 1) == (2, 4)
    assert exact_stretches(reference, 2) == (1, 2)
    assert exact_stretches(reference, 4) == (0, 1)
    for mostly in (errors([0.0, 0.0, 0.0, 4.0]), reference * 0):
        assert np.isnan(geometric_ratio(reference, mostly, 1))
        assert np.isnan(median_ratio(reference, mostly, 1))


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=40), st.integers(1, 50), st.floats(0.01, 100))
def test_a_factor_is_that_factor(values: list[float], stretch: int, factor: float) -> None:
    reference = errors(values)
    assert geometric_ratio(reference * factor, reference, stretch) == pytest.approx(factor)
    assert median_ratio(reference * factor, reference, stretch) == pytest.approx(factor)
