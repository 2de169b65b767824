"""Paired differences: by hand, and by how often the interval holds the truth."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bench.analysis import block_length, paired_difference, paired_ratio
from bench.analysis.statistics.bootstrap import FEWEST_BLOCKS, _draws, _resampled_means


def frame(values: list[list[float]] | NDArray[np.float64], first: int = 0) -> pd.DataFrame:
    """A row for each origin, a column for each seed."""
    made = pd.DataFrame(values)
    return made.set_axis(range(first, first + len(made)))


def autoregressive(n: int, memory: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """``(n,)`` of variance 1, each value ``memory`` times the one before it and noise."""
    noise = rng.standard_normal(n + 200) * np.sqrt(1 - memory**2)
    values = np.zeros(n + 200)
    for i in range(1, n + 200):
        values[i] = memory * values[i - 1] + noise[i]
    return values[200:]


def test_the_mean_by_hand() -> None:
    one, other = frame([[1, 3], [5, 7], [2, 2]]), frame([[2, 2], [4, 4], [1, 1]])
    found = paired_difference(one, other, overlap=1)
    assert found is not None
    assert found.mean == pytest.approx((-1 + 1 + 1 + 3 + 1 + 1) / 6)
    assert found.reference == pytest.approx(14 / 6)
    assert found.percent(found.mean) == pytest.approx(100 * 6 / 14)
    assert (found.origins, found.seeds) == (3, 2)
    assert np.isnan([found.low, found.high]).all()  # three origins say nothing of others
    assert found.verdict == "unknown"


def test_it_is_paired_by_origin_and_seed() -> None:
    one = frame([[1, 10], [2, 20], [3, 30]]).set_axis([0, 1], axis=1)
    other = frame([[2, 0], [2, 0], [np.nan, 0]], first=1).set_axis([0, 7], axis=1)
    found = paired_difference(one, other, overlap=1)
    assert found is not None
    assert found.mean == pytest.approx((2 - 2 + 3 - 2) / 2)  # origins 1 and 2 of seed 0
    assert (found.origins, found.seeds) == (2, 1)
    assert paired_difference(one, other.rename(columns={0: 5}), overlap=1) is None
    assert paired_difference(one, other.set_axis(range(7, 10)), overlap=1) is None


def test_pairing_takes_out_what_both_share() -> None:
    rng = np.random.default_rng(0)
    hard = np.exp(3 * rng.standard_normal((200, 1)))  # some stretches are far harder than others
    one, other = frame(hard + 0.1 + 0.01 * rng.standard_normal((200, 1))), frame(hard)
    found = paired_difference(one, other, overlap=1)
    assert found is not None
    assert found.verdict == "higher"
    assert found.high - found.low < 0.01
    swapped = paired_difference(other, one, overlap=1)
    assert swapped is not None
    assert swapped.verdict == "lower"


def test_no_difference_is_none() -> None:
    values = frame(np.random.default_rng(0).random((100, 3)))
    found = paired_difference(values, values, overlap=1)
    assert found is not None
    assert (found.mean, found.low, found.high, found.verdict) == (0, 0, 0, "no clear difference")


def test_it_is_the_same_each_time_and_seeds_are_drawn_too() -> None:
    rng = np.random.default_rng(0)
    errors = frame(rng.standard_normal((200, 4)) * 0.01 + np.array([-1.0, 1.0, -1.0, 1.0]))  # seeds disagree
    zero = errors * 0
    found = paired_difference(errors, zero, overlap=1)
    assert found == paired_difference(errors, zero, overlap=1)
    assert found is not None
    assert found.low < -1
    assert found.high > 1
    one_seed = paired_difference(errors[[1]], zero, overlap=1)
    assert one_seed is not None
    assert one_seed.low > 0.99


def test_resampled_means_scatter_as_theory_says() -> None:
    rng = np.random.default_rng(0)
    errors = rng.standard_normal((400, 1))
    means = _resampled_means(errors, 1, 4000, seed=1)
    assert means.std() == pytest.approx(errors.std() / 20, rel=0.05)
    seeds = np.tile(rng.standard_normal(3), (50, 1))  # nothing but the seed differs
    means = _resampled_means(seeds, 5, 4000, seed=1)
    assert means.std() == pytest.approx(seeds[0].std(ddof=1) / np.sqrt(3), rel=0.05)


@pytest.mark.parametrize(("n", "block", "seeds"), [(50, 7, 3), (64, 8, 1), (200, 1, 4)])
def test_a_resampled_mean_is_that_of_the_blocks_that_were_drawn(n: int, block: int, seeds: int) -> None:
    errors = np.random.default_rng(5).random((n, seeds))
    drawn, weights = _draws(n, -(-n // block), seeds, 20, seed=3)
    expected = []
    for sample in range(20):
        firsts = np.repeat(np.arange(n), drawn.toarray()[sample].astype(int))
        rows = (firsts[:, None] + np.arange(block)).ravel() % n  # a block that leaves the stream goes on at its start
        of_seeds = errors[rows].mean(axis=0)
        expected.append(of_seeds[0] if weights is None else of_seeds @ weights[sample])
    assert _resampled_means(errors, block, 20, seed=3) == pytest.approx(np.array(expected))


def test_the_order_of_rows_and_seeds_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    one, other = frame(rng.random((120, 3))), frame(rng.random((120, 3)))
    found = paired_difference(one, other, overlap=2)
    assert found == paired_difference(one, other[[2, 0, 1]].iloc[::-1], overlap=2)


@pytest.mark.parametrize(
    ("memory", "origins", "seeds", "spread"), [(0.0, 200, 1, 0.0), (0.6, 400, 1, 0.0), (0.5, 200, 3, 0.3)]
)
def test_the_interval_holds_the_truth_about_as_often_as_it_says(
    memory: float, origins: int, seeds: int, spread: float
) -> None:
    rng = np.random.default_rng(0)
    held, naive, trials = 0, 0, 200
    for _ in range(trials):
        shared = autoregressive(origins, memory, rng)[:, None]
        own = 0.3 * rng.standard_normal((origins, seeds)) * (seeds > 1)
        errors = shared + own + spread * rng.standard_normal(seeds)
        found = paired_difference(frame(5 + errors), frame(np.full_like(errors, 5.0)), overlap=1, samples=400)
        assert found is not None
        held += found.low <= 0 <= found.high
        naive += abs(errors.mean()) <= 1.96 * errors.mean(axis=1).std() / np.sqrt(origins)
    assert 0.89 <= held / trials <= 0.98
    if memory or spread:
        assert naive / trials < 0.75  # what an interval that takes forecasts to be independent would do


def test_blocks_grow_with_dependence_and_length_and_cover_overlaps() -> None:
    rng = np.random.default_rng(0)
    short, long = rng.standard_normal(1000), rng.standard_normal(20000)
    assert block_length(short, 1) >= 10  # n ** (1 / 3)
    assert block_length(long, 1) > block_length(short, 1)
    assert block_length(short, 48) == 48
    assert block_length(autoregressive(1000, 0.9, rng), 1) > 2 * block_length(short, 1)


def test_the_rule_of_politis_and_white_for_a_known_process() -> None:
    """For an AR(1), g and G are known: the length is (3 / 2 (2 a / (1 - a^2))^2 n)^(1 / 3)."""
    a, n = 0.7, 20000
    expected = (1.5 * (2 * a / (1 - a**2)) ** 2 * n) ** (1 / 3)
    lengths = [block_length(autoregressive(n, a, np.random.default_rng(i)), 1) for i in range(8)]
    assert np.median(lengths) == pytest.approx(expected, rel=0.15)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 300), st.integers(1, 30), st.integers(0, 10_000))
def test_any_stream_has_a_block_and_an_interval_only_where_enough_blocks_fit(n: int, overlap: int, seed: int) -> None:
    values = np.random.default_rng(seed).standard_normal(n).cumsum()
    block = block_length(values, overlap)
    assert block >= overlap
    assert block == overlap or block * FEWEST_BLOCKS <= max(n, FEWEST_BLOCKS)
    found = paired_difference(frame(values[:, None] ** 2), frame(np.zeros((n, 1))), overlap, samples=50)
    assert found is not None
    assert np.isnan(found.low) == (found.block * FEWEST_BLOCKS > n)
    assert not found.low > found.mean
    assert not found.high < found.mean


def test_a_ratio_is_a_geometric_mean_over_seeds() -> None:
    noise = np.exp(0.3 * np.random.default_rng(0).standard_normal((400, 2)))
    other = pd.DataFrame(noise * [1.0, 100.0])
    one = pd.DataFrame(noise * [0.5, 12.5])
    found = paired_ratio(one, other, overlap=1)
    assert found is not None
    assert found.percent(found.mean) == pytest.approx(-75)  # 1/2 and 1/8: 1/4
    assert (found.origins, found.seeds) == (400, 2)
    assert -100 < found.percent(found.low) < -75 < found.percent(found.high)
    swapped = paired_ratio(other, one, overlap=1)
    assert swapped is not None
    assert (swapped.low, swapped.high) == pytest.approx((-found.high, -found.low))


@pytest.mark.parametrize(
    ("own", "against", "percent", "verdict"),
    [
        ([0.0, 0.0], [1.0, 1.0], -100.0, "lower"),  # exact throughout
        ([1.0, 1.0], [0.0, 0.0], float("nan"), "undefined"),
        ([0.0, 0.0], [0.0, 0.0], float("nan"), "undefined"),
        ([1.0, 1.0], [0.0, 1.0], float("nan"), "undefined"),  # the reference is exact with one seed
        ([0.0, 1.0], [1.0, 1.0], float("nan"), "undefined"),
    ],
)
def test_a_ratio_to_no_error_is_undefined(own: list[float], against: list[float], percent: float, verdict: str) -> None:
    noise = np.exp(0.3 * np.random.default_rng(0).standard_normal((400, 2)))
    found = paired_ratio(pd.DataFrame(noise * own), pd.DataFrame(noise * against), overlap=1)
    assert found is not None
    ends = [found.percent(value) for value in (found.mean, found.low, found.high)]
    assert ends == pytest.approx([percent] * 3, nan_ok=True)
    assert found.verdict == verdict


def test_errors_without_bound_have_no_ratio_and_no_interval() -> None:
    errors, endless = pd.DataFrame(np.ones((100, 2))), pd.DataFrame(np.full((100, 2), np.inf))
    for one, other, mean in ((errors, endless, -np.inf), (endless, errors, np.inf), (endless, endless, np.nan)):
        assert paired_ratio(one, other, overlap=1) is None
        found = paired_difference(one, other, overlap=1)
        assert found is not None
        assert found.mean == pytest.approx(mean, nan_ok=True)
        assert found.verdict == "unknown"
        assert np.isnan([found.low, found.high]).all()


def test_the_interval_of_a_ratio_holds_the_truth() -> None:
    held = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        one, other = (pd.DataFrame(level * np.exp(rng.standard_normal((300, 1)))) for level in (0.8, 1.0))
        found = paired_ratio(one, other, overlap=1, samples=300)
        assert found is not None
        held += found.low <= np.log(0.8) <= found.high
    assert 88 <= held <= 100
