"""Diebold and Mariano's test: against other implementations, and by how often it is wrong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import signal, stats
from statsmodels.regression.linear_model import OLS
from statsmodels.stats.multitest import multipletests

from bench.analysis import diebold_mariano, holm
from bench.analysis.statistics.equal_accuracy import Smoothing, diebold_mariano_columns, smoothing, variance_of_mean

Floats = NDArray[np.float64]


def losses(n: int, overlap: int, memory: float, rng: np.random.Generator, noise: float = 0.0) -> Floats:
    """``(n,)`` moving means of an autoregression, as overlapping forecasts make them; standard deviation about 1."""
    steps = signal.lfilter([1.0], [1.0, -memory], rng.standard_normal(n + overlap + 199))
    sums = np.concatenate([[0.0], steps[200:].cumsum()])
    moving = (sums[overlap:] - sums[:-overlap]) * np.sqrt((1 - memory**2) / overlap)
    return np.asarray(moving + noise * rng.standard_normal(n))


def test_with_all_cosines_and_no_overlap_it_is_students_test() -> None:
    values = np.random.default_rng(0).standard_normal(50) + 0.3
    found = diebold_mariano(values, overlap=1, cosines=49)
    expected = stats.ttest_1samp(values, 0.0)
    assert found.statistic == pytest.approx(expected.statistic, rel=1e-8)
    assert found.p == pytest.approx(expected.pvalue, rel=1e-8)


def test_the_variance_is_that_of_the_cosine_averages() -> None:
    values = losses(300, 1, 0.5, np.random.default_rng(1)) + 0.2
    n, cosines = len(values), 12
    t = np.arange(n) + 0.5
    averages = [np.sqrt(2 / n) * float(values @ np.cos(np.pi * j * t / n)) for j in range(1, cosines + 1)]
    variance = np.mean(np.square(averages)) / n
    found = diebold_mariano(values, overlap=1, cosines=cosines)
    assert found.statistic == pytest.approx(values.mean() / np.sqrt(variance), rel=1e-8)
    assert found.p == pytest.approx(2 * stats.t.sf(abs(found.statistic), cosines), rel=1e-8)


def test_what_the_cosines_miss_is_given_back() -> None:
    values = losses(300, 6, 0.5, np.random.default_rng(1)) + 0.2
    by = smoothing(values, overlap=6)
    assert 0.05 < by.missed <= 0.1
    plain = variance_of_mean(values, 6, Smoothing(by.cosines))
    assert variance_of_mean(values, 6, by) == pytest.approx(plain / (1 - by.missed))
    assert diebold_mariano(values, 6).statistic == pytest.approx(values.mean() * np.sqrt((1 - by.missed) / plain))


def test_in_a_long_stream_it_agrees_with_a_hac_variance() -> None:
    values = losses(20_000, 24, 0.3, np.random.default_rng(2)) + 0.05
    fit = OLS(values, np.ones(len(values))).fit(cov_type="HAC", cov_kwds={"maxlags": 400})
    found = diebold_mariano(values, overlap=24)
    assert found.statistic == pytest.approx(float(fit.tvalues[0]), rel=0.15)


def test_overlap_is_corrected_as_harvey_leybourne_and_newbold_do() -> None:
    values = losses(100, 1, 0.0, np.random.default_rng(3))
    n, h = 100, 6
    apart, overlapping = (diebold_mariano(values, overlap=overlap, cosines=8).statistic for overlap in (1, h))
    factor = np.sqrt((n + 1 - 2 * h + h * (h - 1) / n) / n)  # equation 9 of theirs
    assert overlapping / apart == pytest.approx(factor / np.sqrt((n - 1) / n))


@pytest.mark.parametrize(
    ("n", "overlap", "memory", "noise"),
    [
        (200, 1, 0.0, 0.0),
        (600, 1, 0.5, 0.0),
        (600, 24, 0.0, 0.0),
        (600, 24, 0.5, 0.0),
        (2000, 24, 0.9, 0.0),
        (600, 1, 0.9, 0.0),
        (3000, 1, 0.97, 2.0),  # a wave that noise hides from neighbours
    ],
)
def test_equal_forecasts_are_told_apart_about_one_time_in_twenty(
    n: int, overlap: int, memory: float, noise: float
) -> None:
    rng = np.random.default_rng(4)
    found = [diebold_mariano(losses(n, overlap, memory, rng, noise), overlap) for _ in range(400)]
    tested = [result for result in found if not result.obstacle]
    assert len(tested) > 0.8 * len(found)
    assert 0.02 < np.mean([result.p < 0.05 for result in tested]) < 0.09


def test_a_difference_of_three_and_a_half_standard_errors_is_found() -> None:
    n, overlap, memory = 1000, 24, 0.5
    error = np.sqrt(overlap * (1 + memory) / (1 - memory) / n)  # of the mean, by the process's long-run variance
    rng = np.random.default_rng(5)
    found = [diebold_mariano(losses(n, overlap, memory, rng) + 3.5 * error, overlap) for _ in range(300)]
    assert np.mean([result.p < 0.05 for result in found]) > 0.8
    assert all(result.statistic > 0 for result in found if result.p < 0.05)


def test_a_random_walk_is_not_tested() -> None:
    rng = np.random.default_rng(6)
    found = [diebold_mariano(rng.standard_normal(1000).cumsum(), 1) for _ in range(100)]
    assert np.mean([result.obstacle == "too persistent" for result in found]) > 0.95
    assert np.isnan([result.p for result in found if result.obstacle]).all()


def test_too_few_forecasts_are_not_tested() -> None:
    values = np.random.default_rng(7).standard_normal(100)
    assert diebold_mariano(values, overlap=24).obstacle == "too few forecasts"
    assert diebold_mariano(values[:3], overlap=1).obstacle == "too few forecasts"
    assert diebold_mariano(values[:0], overlap=1).obstacle == "too few forecasts"


@pytest.mark.parametrize("n", [1, 3, 100])
def test_equal_losses_are_equal(n: int) -> None:
    found = diebold_mariano(np.zeros(n), overlap=24)
    assert (found.statistic, found.p, found.obstacle) == (0.0, 1.0, "")


def test_a_constant_difference_is_certain_and_an_endless_one_unknown() -> None:
    assert diebold_mariano(np.full(100, -0.1), overlap=1).p == 0.0
    assert diebold_mariano(np.full(100, -0.1), overlap=1).statistic == -np.inf
    assert diebold_mariano(np.array([1.0, np.inf] * 50), overlap=1).obstacle == "not finite"


def test_overlap_and_persistence_lower_the_number_of_cosines() -> None:
    rng = np.random.default_rng(8)
    chosen = [smoothing(losses(2000, h, m, rng), h).cosines for h, m in ((1, 0.0), (24, 0.0), (24, 0.9), (24, 0.97))]
    assert chosen == sorted(chosen, reverse=True)
    assert len(set(chosen)) == 4


@settings(max_examples=20)  # theirs takes long
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_holm_agrees_with_statsmodels(values: list[float]) -> None:
    np.testing.assert_allclose(holm(values), multipletests(values, method="holm")[1], atol=1e-12)


def test_holm_leaves_out_what_was_not_tested() -> None:
    np.testing.assert_allclose(holm([0.01, np.nan, 0.04]), [0.02, np.nan, 0.04])
    assert len(holm([])) == 0


@pytest.mark.parametrize(("n", "overlap"), [(3, 1), (20, 1), (200, 6), (600, 24)])
def test_many_pairs_at_once_are_as_one_by_one(n: int, overlap: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(n)
    columns = [losses(n, overlap, memory, rng) + shift for memory in (0.0, 0.6, 0.99) for shift in (0.0, 0.3)]
    columns += [np.zeros(n), np.full(n, 0.2), np.where(np.arange(n) == 1, np.inf, 0.1), rng.standard_normal(n).cumsum()]
    monkeypatch.setattr("bench.analysis.statistics.equal_accuracy.AT_ONCE", 3 * n)  # in parts of three
    together = diebold_mariano_columns(np.column_stack(columns), overlap)
    for found, column in zip(together, columns, strict=True):
        alone = diebold_mariano(column, overlap)
        assert (found.cosines, found.obstacle) == (alone.cosines, alone.obstacle)
        assert [found.statistic, found.p] == pytest.approx([alone.statistic, alone.p], nan_ok=True)
