"""Whatever is composed: finite, stable, the same everywhere, and equal to its twin until something drifts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.contracts.drift.kinds import EFFECTS
from bench.data.synthetic import Base, Drift, generate
from bench.data.synthetic.generator import _draw, autoregress, correlate, law_of, weight

ROWS = 700
BASE = Base(concept=True)


@st.composite
def drifts(draw: st.DrawFn) -> Drift:
    kind = draw(st.sampled_from(sorted(EFFECTS)))
    low, high = max(EFFECTS[kind].low, -3.0), min(EFFECTS[kind].high, 3.0)
    return Drift(
        kind=kind,
        onset=draw(st.integers(250, 600)),
        magnitude=draw(st.floats(low, high)),
        transition=draw(st.sampled_from(["abrupt", "sigmoid", "linear", "cosine", "recurring"])),
        width=draw(st.integers(1, 200)),
        rest=draw(st.integers(1, 200)),
        mode=draw(st.sampled_from(["incremental", "gradual"])),
        block=draw(st.integers(1, 60)),
        channels=draw(st.none() | st.sets(st.integers(0, 3), min_size=1).map(tuple)),
    )


compositions = st.lists(drifts(), max_size=4)
seeds = st.integers(0, 2**40)


@settings(deadline=None)
@given(compositions, seeds)
def test_any_composition_is_finite_and_equal_to_its_twin_until_something_drifts(
    composed: list[Drift], seed: int
) -> None:
    values, twin = (generate(BASE, composed, ROWS, seed, twin=twin) for twin in (False, True))
    assert values.shape == twin.shape == (ROWS, 5)
    assert np.isfinite(values).all()
    assert np.isfinite(twin).all()
    start = min((drift.start for drift in composed), default=ROWS)
    assert (values[:start] == twin[:start]).all()
    if not any(drift.kind == "late" for drift in composed):  # whose twin stays as faulty as it was
        assert (twin == generate(BASE, [], ROWS, seed)).all()


@settings(deadline=None)
@given(compositions, seeds)
def test_any_law_is_stable_and_its_noise_possible_at_every_row(composed: list[Drift], seed: int) -> None:
    weights = [weight(drift, i, ROWS, seed) for i, drift in enumerate(composed)]
    law = law_of(BASE, composed, weights, ROWS)
    assert all(((own >= 0) & (own <= 1)).all() for own in weights)
    assert np.abs(law.autoregression).max() < 1  # the spectral radius of a diagonal matrix
    assert (law.scale > 0).all()
    assert np.linalg.eigvalsh(law.correlation).min() > 0
    assert law.correlation.diagonal(axis1=1, axis2=2) == pytest.approx(np.ones((ROWS, 4)))


@settings(deadline=None)
@given(seeds, st.integers(100, 600))
def test_a_longer_series_begins_as_a_shorter_one_does(seed: int, rows: int) -> None:
    composed = [Drift(kind="mean", onset=250), Drift(kind="stuck", onset=300, block=7, mode="gradual")]
    short, long = (generate(BASE, composed, n, seed) for n in (rows, ROWS))
    assert (long[:rows] == short).all()


def test_the_twin_has_the_same_noise_after_the_drift() -> None:
    """What is left of each series once its own law is taken off are the same numbers."""
    base, rows = Base(amplitudes=(0.0,)), 2000
    composed = [
        Drift(kind="mean", onset=1000, magnitude=2.0),
        Drift(kind="variance", onset=1000, magnitude=1.0),
        Drift(kind="autoregression", onset=1200, magnitude=1.0, transition="linear", width=200),
    ]
    found = []
    for twin in (False, True):
        values = generate(base, composed, rows, 5, twin=twin)
        law = law_of(base, composed, [(not twin) * drift.activation(rows) for drift in composed], rows)
        x, phi = values - law.level, law.autoregression
        found.append((x[1:] - phi[1:] * x[:-1]) / (law.scale[1:] * np.sqrt(1 - phi[1:] ** 2)))
    assert np.abs(found[0]).max() > 2
    assert found[0] == pytest.approx(found[1], abs=1e-6)


def test_seeds_differ_and_repeat() -> None:
    one, again, other = (generate(BASE, [], ROWS, seed) for seed in (1, 1, 2))
    assert (one == again).all()
    assert not (one == other).any()


def test_noise_is_correlated_and_follows_itself_as_the_law_says() -> None:
    law = BASE.law(3)
    noise = np.array([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]])
    assert correlate(law.correlation, noise)[:2, :2] == pytest.approx(np.array([[1.0, 0.6], [0, 0.8]]))
    x = autoregress(law, noise)
    assert x[0] == pytest.approx(0.5 * np.array([1, 0.6, 0.6, 0.6]))
    assert x[2] == pytest.approx(0.7 * x[1])


def test_what_is_drawn_for_one_thing_is_drawn_for_no_other() -> None:
    streams = [_draw(0, "noise"), _draw(0, "target"), _draw(0, "blocks"), _draw(0, "faults"), _draw(0, "faults", 1)]
    drawn = np.stack([stream.standard_normal(2000) for stream in streams])
    apart = np.asarray(np.corrcoef(drawn))[~np.eye(len(streams), dtype=bool)]
    assert np.abs(apart).max() < 0.1
