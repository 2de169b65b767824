"""Ranks over datasets: against Demsar's published example, other libraries, and by how often they are wrong."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scikit_posthocs import posthoc_nemenyi_friedman
from scipy import stats
from statsmodels.stats.multitest import multipletests

from bench.analysis import (
    alike,
    block_ranks,
    critical_difference,
    dataset_scores,
    friedman,
    rank_pairs,
    signed_ranks,
    smallest_signed_rank_p,
)
from bench.analysis.statistics.ranks import FEWEST_BLOCKS, iman_davenport

# Demsar (2006), table 6: ranks of four variants of C4.5 on 14 datasets, by area under the curve
DEMSAR = pd.DataFrame(
    [
        (4, 3, 2, 1),
        (1, 2, 3, 4),
        (4, 1, 2, 3),
        (4, 1, 3, 2),
        (4, 2, 3, 1),
        (1, 2.5, 4, 2.5),
        (3, 2, 4, 1),
        (2.5, 2.5, 4, 1),
        (4, 3, 2, 1),
        (2.5, 2.5, 2.5, 2.5),
        (4, 2.5, 1, 2.5),
        (3, 2, 4, 1),
        (4, 1, 2, 3),
        (3, 1, 4, 2),
    ],
    columns=["C4.5", "C4.5+m", "C4.5+cf", "C4.5+m+cf"],
)
# The same, table 2: what C4.5+m is ahead of C4.5 by, in thousandths
AHEAD = [5, -8, 17, 33, 6, -5, 7, 0, 63, 0, 22, 47, 9, 21]


def scores(blocks: int, entries: int, seed: int = 0, slope: float = 0.0) -> pd.DataFrame:
    """Errors of entries that get worse by ``slope`` from one to the next."""
    noise = np.random.default_rng(seed).standard_normal((blocks, entries))
    return pd.DataFrame(np.exp(noise + slope * np.arange(entries)), columns=[f"e{i}" for i in range(entries)])


def test_demsars_example() -> None:
    assert block_ranks(DEMSAR).equals(DEMSAR)
    assert block_ranks(DEMSAR).mean().round(3).tolist() == [3.143, 2.0, 2.893, 1.964]
    found = friedman(DEMSAR)
    ties = sum(n**3 - n for row in DEMSAR.to_numpy() for n in np.unique(row, return_counts=True)[1])
    uncorrected = found.chi2 * (1 - ties / (14 * 4 * 15))  # he leaves ties out
    f, p = iman_davenport(uncorrected, 14, 4)
    assert (round(uncorrected, 2), round(f, 2)) == (9.28, 3.69)
    assert p == pytest.approx(stats.f.sf(f, 3, 39), abs=1e-8)
    assert p < 0.05  # his critical value is 2.85
    assert round(critical_difference(4, 14), 2) == 1.25
    assert round(critical_difference(4, 14, level=0.10), 2) == 1.12
    means = block_ranks(DEMSAR).mean()
    assert alike(means, critical_difference(4, 14)) == [["C4.5+m+cf", "C4.5+m", "C4.5+cf", "C4.5"]]
    at_ten = alike(means, critical_difference(4, 14, level=0.10))
    assert at_ten == [["C4.5+m+cf", "C4.5+m", "C4.5+cf"], ["C4.5+cf", "C4.5"]]


def test_demsars_table_of_critical_values() -> None:
    five = [1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164]
    ten = [1.645, 2.052, 2.291, 2.459, 2.589, 2.693, 2.780, 2.855, 2.920]
    for level, table in ((0.05, five), (0.10, ten)):
        found = [critical_difference(k, 1, level) / math.sqrt(k * (k + 1) / 6) for k in range(2, 11)]
        assert found == pytest.approx(table, abs=1.1e-3)  # he prints three digits, not all of them rounded alike


def test_signed_ranks_of_demsars_example() -> None:
    ahead = np.array(AHEAD, dtype=float)
    assert stats.wilcoxon(ahead, zero_method="zsplit").statistic == 12  # his T; 21 is critical at 5 % for 14
    p = signed_ranks(ahead, np.zeros(14))
    assert p == pytest.approx(stats.wilcoxon(ahead, zero_method="zsplit").pvalue, abs=1e-8)
    assert 0.005 < p < 0.02


@pytest.mark.parametrize(("blocks", "entries"), [(5, 3), (12, 6), (40, 9)])
def test_it_agrees_with_scipy_and_scikit_posthocs(blocks: int, entries: int) -> None:
    errors = scores(blocks, entries, slope=0.2).round(1)  # some are equal
    found = friedman(errors)
    assert found.chi2 == pytest.approx(stats.friedmanchisquare(*errors.to_numpy().T).statistic, abs=1e-8)
    f = (blocks - 1) * found.chi2 / (blocks * (entries - 1) - found.chi2)
    assert found.p == pytest.approx(stats.f.sf(f, entries - 1, (entries - 1) * (blocks - 1)), abs=1e-8)
    pairs = rank_pairs(errors)
    nemenyi = posthoc_nemenyi_friedman(errors.to_numpy())
    place = {name: i for i, name in enumerate(errors.columns)}
    expected = [nemenyi.iloc[place[one], place[other]] for one, other in zip(pairs["one"], pairs["other"], strict=True)]
    np.testing.assert_allclose(pairs["p_nemenyi"], expected, atol=1e-8)
    np.testing.assert_allclose(pairs["p_holm"], multipletests(pairs["p"], method="holm")[1], atol=1e-8)
    assert len(pairs) == math.comb(entries, 2)
    assert (pairs["rank_difference"] <= 0).all()


def test_signed_ranks_agree_with_scipy() -> None:
    errors = scores(11, 2, seed=3, slope=0.5)
    p = rank_pairs(errors)["p"].iloc[0]
    logs = np.log(errors)
    assert p == pytest.approx(stats.wilcoxon(logs["e0"], logs["e1"]).pvalue, abs=1e-8)
    assert p == pytest.approx(stats.wilcoxon(logs["e0"], logs["e1"], method="exact").pvalue, abs=1e-8)


def test_signed_ranks_at_the_edges() -> None:
    one = np.array([1.0, 2.0, np.inf, np.inf, 5.0, 6.0])
    assert signed_ranks(one, one) == 1.0
    worse = one * np.array([2, 2, 1, 1, 2, 2]) + 0
    assert 0 < signed_ranks(one, worse) < 1
    assert signed_ranks(np.arange(7.0), np.arange(7.0) + 1) == pytest.approx(smallest_signed_rank_p(7, 1))
    endless = np.array([1.0, 2.0, 3.0, 4.0, 5.0, np.inf])
    assert signed_ranks(endless, np.zeros(6)) == pytest.approx(2**-5)


def test_unanimous_ranks_are_no_less_likely_than_they_are() -> None:
    errors = pd.DataFrame([[1.0, 2.0, 3.0]] * 6)
    found = friedman(errors)
    assert found.f == np.inf
    assert found.p == pytest.approx(6.0**-5)
    assert found.differ


def test_equal_entries_share_their_ranks_and_do_not_differ() -> None:
    errors = pd.DataFrame(np.ones((6, 3)), columns=["a", "b", "c"])
    assert block_ranks(errors).to_numpy().tolist() == [[2.0, 2.0, 2.0]] * 6
    assert friedman(errors).p == 1.0
    pairs = rank_pairs(errors)
    assert pairs[["p", "p_holm"]].to_numpy().tolist() == [[1.0, 1.0]] * 3
    assert pairs["p_nemenyi"].tolist() == pytest.approx([1.0] * 3)


def test_one_that_diverged_is_last() -> None:
    errors = scores(6, 3)
    errors.loc[2, "e0"] = np.inf
    assert block_ranks(errors).loc[2, "e0"] == 3
    assert np.isfinite(rank_pairs(errors)["p"]).all()


def test_too_few_are_not_tested() -> None:
    few = scores(FEWEST_BLOCKS - 1, 4)
    assert friedman(few).obstacle == "too few datasets"
    assert np.isnan(friedman(few).p)
    assert not friedman(few).differ
    pairs = rank_pairs(few)
    assert pairs[["p", "p_holm", "p_nemenyi"]].isna().all(axis=None)
    assert set(pairs["obstacle"]) == {"too few datasets"}
    assert friedman(scores(9, 2)).obstacle == "too few entries"


@pytest.mark.parametrize(("blocks", "entries"), [(5, 4), (7, 8), (15, 8)])
def test_equal_entries_have_a_small_p_as_often_as_it_says(blocks: int, entries: int) -> None:
    rng = np.random.default_rng(1)
    draws = [pd.DataFrame(rng.random((blocks, entries))) for _ in range(400)]
    apart = critical_difference(entries, blocks)
    means = [block_ranks(errors).mean() for errors in draws]
    ranges = np.array([mean.max() - mean.min() for mean in means])
    tests = [friedman(errors) for errors in draws]
    assert 0.02 <= np.mean([test.p < 0.05 for test in tests]) <= 0.08
    assert (ranges > apart).mean() <= 0.07
    assert np.mean([test.differ for test in tests]) <= 0.03  # what a report goes by


def test_a_clear_order_is_found() -> None:
    errors = scores(12, 5, slope=1.0)
    assert friedman(errors).p < 1e-3
    means = block_ranks(errors).mean()
    groups = alike(means, critical_difference(5, 12))
    assert not any({"e0", "e4"} <= set(group) for group in groups)


@given(st.lists(st.floats(1, 12), min_size=1, max_size=12), st.floats(0.1, 6))
def test_groups_hold_just_what_is_not_told_apart(values: list[float], apart: float) -> None:
    means = pd.Series(values, index=[f"e{i}" for i in range(len(values))])
    groups = alike(means, apart)
    for one, other in combinations(means.index, 2):
        together = any({one, other} <= set(group) for group in groups)
        assert together == (abs(means[one] - means[other]) < apart)
    for one_group, other_group in combinations(groups, 2):
        assert not set(one_group) <= set(other_group)
        assert not set(other_group) <= set(one_group)
    assert all(len(group) > 1 for group in groups)


def board(*rows: tuple[str, str, float, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["scenario", "entry", "mse", "rank"])


def test_a_dataset_counts_once() -> None:
    rows = board(
        ("d, dense", "a", 1.0, 1), ("d, online", "a", 4.0, 1), ("f", "a", 9.0, 2),
        ("d, dense", "b", 3.0, 2), ("d, online", "b", 12.0, 2), ("f", "b", 2.0, 1),
        ("other", "a", 5.0, 1),
    )  # fmt: skip
    found = dataset_scores(rows, {"d, dense": "d", "d, online": "d", "f": "f"})
    assert found.index.tolist() == ["d", "f"]
    np.testing.assert_allclose(found[["a", "b"]], [[2.0, 6.0], [9.0, 2.0]])


def test_only_entries_with_a_result_on_each_dataset_are_ranked() -> None:
    rows = board(
        ("d", "a", 1.0, 1), ("f", "a", 2.0, 1),
        ("d", "b", 3.0, 2), ("f", "b", np.nan, np.nan),
        ("d", "c", np.inf, 3), ("f", "c", 4.0, 2),
        ("d", "leaky", 0.1, np.nan), ("f", "leaky", 0.1, np.nan),
    )  # fmt: skip
    found = dataset_scores(rows, {"d": "d", "f": "f"})
    assert sorted(found.columns) == ["a", "c"]
    assert found.loc["d", "c"] == np.inf


def test_errors_of_nothing_and_without_end() -> None:
    rows = board(("d1", "a", 0.0, 1), ("d2", "a", np.inf, 1), ("d1", "b", 0.0, 1), ("d2", "b", 1.0, 1))
    found = dataset_scores(rows, {"d1": "d", "d2": "d"})
    assert found.loc["d"].to_dict() == {"a": np.inf, "b": 0.0}
