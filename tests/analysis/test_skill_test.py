"""One test for every verdict: it follows its definition, finds what is there and is seldom wrong."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student
from scipy.stats import ttest_1samp

from bench.analysis.statistics.skill_test import false_discovery_rate, holm, mean_skill, skill_test

from ..statistics_calibration import (
    PROCESSES,
    false_findings,
    kin,
    over_datasets,
    power,
    student_p,
    sums,
    with_seeds,
)

STREAMS = 100
"""Chance alone moves a share of 5 % of so many by 2.2 points: bounds leave room for three times that."""


def pair(seed: int, stretches: int = 57, seeds: int = 1, gain: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Errors of two equals, of which the first is then better by a gain."""
    rng = np.random.default_rng(seed)
    one, other = np.exp(0.3 * rng.standard_normal((2, stretches, seeds)))
    return (1 - gain) * one, other


def test_by_its_definition() -> None:
    one, other = pair(1)
    found, x = skill_test(one, other), np.log(one / other)[:, 0]
    n, j = len(x), np.arange(1, 9)[:, None]
    cosines = math.sqrt(2 / n) * (x * np.cos(math.pi * j * (np.arange(n) + 0.5) / n)).sum(axis=1)
    error = math.sqrt((cosines**2).mean() / n)
    assert found.log_ratio == pytest.approx(x.mean())
    assert found.error == pytest.approx(error)
    assert found.p == pytest.approx(2 * student.sf(abs(x.mean()) / error, 8))
    low, high = found.interval()
    assert (math.log(1 - high), math.log(1 - low)) == pytest.approx(student.interval(0.95, 8, x.mean(), error))


@given(st.integers(0, 10**6), st.integers(1, 5), st.floats(1e-9, 1e9), st.floats(0, 0.6))
def test_scale_order_and_side_change_nothing(seed: int, seeds: int, scale: float, gain: float) -> None:
    one, other = pair(seed, 30, seeds, gain)
    found, turned = skill_test(one, other), skill_test(other, one)
    path = scale * np.exp(np.linspace(0, 5, 30))[:, None]
    assert skill_test(path * one, path * other).p == pytest.approx(found.p, rel=1e-6)
    assert turned.p == pytest.approx(found.p, rel=1e-5)
    assert turned.log_ratio == pytest.approx(-found.log_ratio)
    low, high = found.interval()
    assert low <= found.skill <= high
    assert (low <= 0 <= high) == (found.p >= 0.05) or found.p == pytest.approx(0.05, rel=1e-3)


def test_half_the_error_on_every_stretch_is_found_however_errors_wander() -> None:
    rng = np.random.default_rng(3)
    other = np.exp(np.cumsum(rng.standard_normal((57, 1)), axis=0))
    found = skill_test(other / 2, other)
    assert found.skill == pytest.approx(0.5)
    assert found.p < 1e-10
    assert found.interval() == pytest.approx((0.5, 0.5))


def test_what_cannot_be_tested_says_why() -> None:
    one, other = pair(4, 11)
    short = skill_test(one, other)
    assert short.obstacle == "too short"
    assert short.skill == pytest.approx(1 - np.exp(np.log(one / other).mean()))
    assert math.isnan(short.p)
    assert all(map(math.isnan, (*short.interval(), short.resolution())))
    one, other = pair(5, 40)
    some = other.copy()
    some[:15] = 0  # exact there: no ratio
    assert skill_test(one, some).log_ratio == pytest.approx(np.log(one[15:] / other[15:]).mean())
    assert skill_test(one, some).stretches == 25
    some[:21] = 0
    assert skill_test(one, some).obstacle == "no ratio"
    assert math.isnan(skill_test(one, 0 * other).skill)
    assert skill_test(0 * one, other).skill == 1
    assert skill_test(one, other * np.inf).obstacle == "not finite"
    assert skill_test(one, one).p == 1
    assert skill_test(0 * one, 0 * one).p == 1


def test_seeds_add_their_variance() -> None:
    one, other = pair(6, 57, 3, 0.3)
    alike = skill_test(one[:, :1].repeat(3, axis=1), other[:, :1].repeat(3, axis=1))
    alone = skill_test(one[:, :1], other[:, :1])
    assert alike.p == pytest.approx(alone.p, rel=1e-5)
    levels = np.array([0.5, 1.0, 2.0])
    spread = skill_test(one * levels, other)
    assert spread.limit == "seeds"
    assert spread.p > 0.2 > skill_test(one, other).p
    assert spread.between == pytest.approx(np.log(one * levels / other).mean(axis=0).var(ddof=1) / 3)
    assert replace(spread, log_ratio=0.0).p == 1


def test_the_resolution_is_found_in_four_of_five_streams() -> None:
    rng, found = np.random.default_rng(7), 0
    for _ in range(STREAMS):
        errors = sums(kin(400, rng)[:2], 7)[..., None]
        known = skill_test(*errors).resolution()
        found += skill_test((1 - known) * errors[0], errors[1]).p < 0.05
    assert 0.68 <= found / STREAMS <= 0.92


@pytest.mark.parametrize("name", PROCESSES)
def test_equals_are_seldom_told_apart(name: str) -> None:
    assert max(false_findings(PROCESSES[name], STREAMS)) <= (0.15 if "0.9" in name else 0.13)


def test_what_is_better_is_found_and_the_more_so_the_better_it_is() -> None:
    for name, process in PROCESSES.items():
        found = [power(process, gain, 40) for gain in (0.05, 0.1, 0.2, 0.3, 0.5)]
        assert found == sorted(found), name
        assert not process.small or found[1] >= (0.9 if "rows" in name else 0.95)
        assert "0.5" not in name or found[3] >= 0.8


@pytest.mark.parametrize("noise", [0.03, 0.1])
def test_three_seeds_are_not_taken_for_more(noise: float) -> None:
    assert with_seeds(noise, 3, 0.1, STREAMS)[0] <= 0.14
    assert with_seeds(noise, 10, 0.1, 30)[1] >= (0.9 if noise < 0.05 else 0)


def test_the_mean_over_datasets_is_students_test_of_their_log_ratios() -> None:
    ratios = np.log1p(-np.array([0.1, 0.25, -0.05, 0.3, 0.2, 0.15]))
    found, expected = mean_skill(ratios), ttest_1samp(ratios, 0)
    assert (found.log_ratio, found.p) == pytest.approx((ratios.mean(), expected.pvalue))
    low, high = expected.confidence_interval()
    assert found.interval() == pytest.approx((1 - math.exp(high), 1 - math.exp(low)))
    assert mean_skill(ratios[:4]).obstacle == "too few datasets"
    assert mean_skill(ratios[:4]).log_ratio == pytest.approx(ratios[:4].mean())
    assert math.isnan(mean_skill(ratios[:4]).p)
    assert mean_skill(np.array([*ratios, np.nan])).obstacle == "no ratio"
    assert mean_skill(np.zeros(6)).p == 1


def test_equals_on_average_are_seldom_told_apart_over_datasets_and_a_gain_on_each_is_found() -> None:
    for mixed in (False, True):
        found = over_datasets(student_p, 40, mixed=mixed)
        assert max(wrong for wrong, _ in found.values()) <= 0.2
        assert found[0.1, 5][1] <= found[0.1, 10][1] <= found[0.1, 20][1]
        assert found[0.1, 20][1] >= 0.6
        assert mixed or found[0.0, 5][1] >= 0.95


def test_adjustments() -> None:
    p = np.array([0.01, 0.04, np.nan, 0.03, 0.005])
    assert holm(p) == pytest.approx([0.03, 0.06, np.nan, 0.06, 0.02], nan_ok=True)
    assert false_discovery_rate(p) == pytest.approx([0.02, 0.04, np.nan, 0.04, 0.02], nan_ok=True)
    assert np.isnan(holm(np.array([np.nan]))).all()
    assert np.isnan(false_discovery_rate(np.array([np.nan]))).all()
