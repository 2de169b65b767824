"""How a drift sets in: each formula at rows worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.contracts.drift.transitions import drawn_by_block
from bench.data.synthetic import Drift, Shape, activation

RAMPS: tuple[Shape, ...] = ("sigmoid", "linear", "cosine")


def test_abrupt() -> None:
    assert activation("abrupt", 5, 3).tolist() == [0, 0, 0, 1, 1]


def test_sigmoid_is_the_formula_within_its_width_and_settled_outside() -> None:
    a = activation("sigmoid", 400, 200, 80)
    assert a[200] == 0.5
    assert a[220] == pytest.approx(1 / (1 + math.exp(-1)))
    assert a[120] == pytest.approx(1 / (1 + math.exp(4)))
    assert (a[119], a[281]) == (0, 1)


def test_linear_and_cosine() -> None:
    linear, cosine = (activation(shape, 400, 200, 80) for shape in ("linear", "cosine"))
    assert linear[[160, 180, 200, 240]].tolist() == [0, 0.25, 0.5, 1]
    assert cosine[[160, 200, 240]] == pytest.approx([0, 0.5, 1])
    assert cosine[180] == pytest.approx((1 - math.cos(math.pi / 4)) / 2)


def test_recurring_comes_and_goes_and_was_never_there_before() -> None:
    assert activation("recurring", 12, 4, 2, 3).tolist() == [0, 0, 0, 0, 1, 1, 0, 0, 0, 1, 1, 0]
    drift = Drift(kind="mean", onset=4, transition="recurring", width=2, rest=3)
    assert drift.switches(12) == [(4, True), (6, False), (9, True), (11, False)]


@given(st.sampled_from(("abrupt", *RAMPS)), st.integers(0, 300), st.integers(1, 300))
def test_a_transition_rises_from_0_to_1_between_its_start_and_its_end(shape: Shape, onset: int, width: int) -> None:
    drift = Drift(kind="mean", onset=onset, transition=shape, width=width)
    a = drift.activation(800)
    assert ((a >= 0) & (a <= 1)).all()
    assert (np.diff(a) >= 0).all()
    assert (a[: drift.start] == 0).all()
    assert (a[drift.end :] == 1).all()
    assert (a[drift.start : drift.end] < 1).all()
    if drift.start:
        assert drift.switches(800) == [(drift.start, True)]


@given(st.integers(0, 300), st.integers(1, 100), st.integers(1, 100))
def test_a_recurring_drift_is_there_or_not(onset: int, width: int, rest: int) -> None:
    a = activation("recurring", 800, onset, width, rest)
    assert set(a.tolist()) <= {0.0, 1.0}
    assert (a[:onset] == 0).all()
    assert (a[onset : onset + width] == 1).all()
    assert (a[onset + width : onset + width + rest] == 0).all()


def test_gradual_drift_draws_whole_blocks_and_draws_the_new_law_as_often_as_it_should() -> None:
    a = activation("linear", 48_000, 24_012, 24_000)
    drawn = drawn_by_block(a, 24_012, 24, np.random.default_rng(0).random(2002))
    blocks = drawn[12 : 12 + 24 * 1999].reshape(-1, 24)
    assert (blocks == blocks[:, :1]).all()
    assert set(np.unique(drawn)) == {0.0, 1.0}
    third = blocks[:, 0][(a[12 : 12 + 24 * 1999 : 24] > 0.2) & (a[12 : 12 + 24 * 1999 : 24] < 0.4)]
    assert third.mean() == pytest.approx(0.3, abs=0.1)
    assert (drawn[: 24_012 - 12_000] == 0).all()
    assert (drawn[24_012 + 12_024 :] == 1).all()
