"""Ranks over datasets: against Demsar's published example, scipy, and by how often they are wrong."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bench.analysis import dataset_scores, rank_test
from bench.analysis.statistics.skill_test import FEWEST_DATASETS

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


def scores(blocks: int, entries: int, seed: int = 0, slope: float = 0.0) -> pd.DataFrame:
    """Errors of entries that get worse by ``slope`` from one to the next."""
    noise = np.random.default_rng(seed).standard_normal((blocks, entries))
    return pd.DataFrame(np.exp(noise + slope * np.arange(entries)), columns=[f"e{i}" for i in range(entries)])


def test_demsars_example() -> None:
    found = rank_test(DEMSAR)
    assert found.means.round(3).to_dict() == {"C4.5+m+cf": 1.964, "C4.5+m": 2.0, "C4.5+cf": 2.893, "C4.5": 3.143}
    ties = sum(n**3 - n for row in DEMSAR.to_numpy() for n in np.unique(row, return_counts=True)[1])
    assert round(found.statistic * (1 - ties / (14 * 4 * 15)), 2) == 9.28  # he leaves ties out
    assert found.differ
    # his critical differences: 1.25 ranks at 5 %, 1.12 at 10 %
    p = dict(zip(zip(found.pairs["one"], found.pairs["other"], strict=True), found.pairs["p_nemenyi"], strict=True))
    assert all((p[pair] < 0.05) == (found.means[pair[1]] - found.means[pair[0]] > 1.25) for pair in p)
    assert [pair for pair in p if p[pair] < 0.10] == [("C4.5+m+cf", "C4.5"), ("C4.5+m", "C4.5")]
    assert (found.pairs["rank_difference"] <= 0).all()


@pytest.mark.parametrize(("datasets", "entries"), [(5, 3), (12, 6), (40, 9)])
def test_it_is_friedmans_and_nemenyis_test(datasets: int, entries: int) -> None:
    errors = scores(datasets, entries, slope=0.6).round(1)  # some are equal
    found = rank_test(errors)
    expected = stats.friedmanchisquare(*errors.to_numpy().T)
    assert (found.statistic, found.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert len(found.pairs) == math.comb(entries, 2)
    if found.differ:
        gap = -found.pairs["rank_difference"] / math.sqrt(entries * (entries + 1) / (12 * datasets))
        np.testing.assert_allclose(
            found.pairs["p_nemenyi"], stats.studentized_range.sf(gap, entries, np.inf), atol=1e-8
        )


def test_equal_entries_share_their_ranks_and_do_not_differ() -> None:
    found = rank_test(pd.DataFrame(np.ones((6, 3)), columns=["a", "b", "c"]))
    assert found.ranks.to_numpy().tolist() == [[2.0, 2.0, 2.0]] * 6
    assert found.p == 1.0
    assert found.pairs["p_nemenyi"].isna().all()


def test_one_that_diverged_is_last() -> None:
    errors = scores(6, 3)
    errors.loc[2, "e0"] = np.inf
    assert rank_test(errors).ranks.loc[2, "e0"] == 3


def test_too_few_are_not_tested() -> None:
    few = rank_test(scores(FEWEST_DATASETS - 1, 4))
    assert few.obstacle == "too few datasets"
    assert math.isnan(few.p)
    assert not few.differ
    assert few.pairs["p_nemenyi"].isna().all()
    assert rank_test(scores(9, 2)).obstacle == "too few entries"


@pytest.mark.parametrize(("datasets", "entries"), [(5, 4), (7, 8), (15, 8)])
def test_equal_entries_seldom_differ(datasets: int, entries: int) -> None:
    rng = np.random.default_rng(1)
    assert np.mean([rank_test(pd.DataFrame(rng.random((datasets, entries)))).differ for _ in range(400)]) <= 0.07


def test_a_clear_order_is_found() -> None:
    found = rank_test(scores(12, 5, slope=1.0))
    assert found.p < 1e-3
    assert found.pairs.set_index(["one", "other"])["p_nemenyi"].idxmin() == ("e0", "e4")


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


def test_a_test_is_equal_to_itself_alone() -> None:
    """Frames in it have no one answer to whether they are equal."""
    one, other = (rank_test(scores(5, 3)) for _ in range(2))
    assert one in {one}
    assert one != other
