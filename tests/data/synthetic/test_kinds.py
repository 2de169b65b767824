"""What was asked for is what can be measured in the values."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from bench import BenchError
from bench.contracts.drift.kinds import EFFECTS, Kind, Law
from bench.data.synthetic import Base, Drift, generate
from bench.data.synthetic.generator import autoregress, correlate, law_of, weight

Floats = NDArray[np.float64]

ROWS, ONSET = 96_000, 48_000
BASE = Base()
NOISE_ONLY = Base(amplitudes=(0.0,))


def made(base: Base, drift: Drift, *, twin: bool = False, rows: int = ROWS, seed: int = 3) -> Floats:
    return generate(base, [drift], rows, seed, twin=twin)


def law(drift: Drift, base: Base = BASE, rows: int = 3000) -> Law:
    return law_of(base, [drift], [weight(drift, 0, rows, 0)], rows)


def lag_one(x: Floats) -> Floats:
    centred = x - x.mean(axis=0)
    return np.asarray((centred[1:] * centred[:-1]).sum(axis=0) / (centred**2).sum(axis=0))


def frequencies(x: Floats) -> Floats:
    """Frequency of the strongest wave of each channel, in cycles for each row, between the bins of the spectrum."""
    window = np.hanning(len(x))[:, None]
    power = np.abs(np.fft.rfft((x - x.mean(axis=0)) * window, axis=0))
    found = []
    for c in range(x.shape[1]):
        k = int(power[:, c].argmax())
        low, top, high = np.log(power[k - 1 : k + 2, c])
        found.append((k + 0.5 * (low - high) / (low - 2 * top + high)) / len(x))
    return np.asarray(found)


@pytest.mark.parametrize("d", [0.5, 1.0, 2.0, -1.0])
def test_the_mean_moves_by_d_deviations(d: float) -> None:
    values = made(BASE, Drift(kind="mean", onset=ONSET, magnitude=d))
    sigma = values[:ONSET].std(axis=0)
    moved = (values[ONSET:].mean(axis=0) - values[:ONSET].mean(axis=0)) / sigma
    assert sigma == pytest.approx(np.full(4, BASE.sigma), rel=0.02)
    assert moved.mean() == pytest.approx(d, rel=0.02)


@pytest.mark.parametrize("d", [0.5, 1.0, 2.0, -0.5])
def test_the_noise_grows_by_the_factor_1_plus_d(d: float) -> None:
    values = made(NOISE_ONLY, Drift(kind="variance", onset=ONSET, magnitude=d))
    before, after = values[:ONSET].var(axis=0), values[ONSET + 100 :].var(axis=0)
    assert (after / before).mean() == pytest.approx((1 + d) ** 2, rel=0.05)
    assert before.mean() == pytest.approx(BASE.noise**2, rel=0.05)


def test_half_way_the_noise_has_grown_by_the_root_of_the_factor() -> None:
    drift = Drift(kind="variance", onset=1500, magnitude=3.0, transition="linear", width=1000)
    assert law(drift).scale[1500] == pytest.approx(2 * BASE.noise)


def test_the_trend_is_continuous_and_gains_d_deviations_in_1000_rows() -> None:
    drift = Drift(kind="trend", onset=2000, magnitude=1.5, transition="linear", width=1000)
    gained = made(BASE, drift, rows=6000) - made(BASE, drift, rows=6000, twin=True)
    assert gained[5000] - gained[4000] == pytest.approx(np.full(4, 1.5 * BASE.sigma), rel=1e-6)
    assert np.abs(np.diff(gained, axis=0)).max() <= 1.5 * BASE.sigma / 1000 + 1e-8
    assert np.abs(np.diff(gained, n=2, axis=0)).max() <= 1.5 * BASE.sigma / 1000 / 1000 + 1e-8  # the slope too


@pytest.mark.parametrize("d", [0.5, 2.0])
def test_amplitudes_grow_by_the_factor_1_plus_d(d: float) -> None:
    values = made(BASE, Drift(kind="amplitude", onset=ONSET, magnitude=d))
    t = np.arange(ROWS)

    def amplitude(rows: slice, k: int) -> Floats:
        wave = np.exp(-2j * math.pi * k * t[rows] / 24)
        return np.asarray(2 * np.abs((values[rows] * wave[:, None]).mean(axis=0)))

    for k, before in ((1, 1.0), (2, 0.35)):
        assert amplitude(slice(ONSET), k) == pytest.approx(np.full(4, before), rel=0.05)
        assert amplitude(slice(ONSET, None), k) == pytest.approx(np.full(4, before * (1 + d)), rel=0.05)


@pytest.mark.parametrize("d", [0.5, 1.0, 2.0])
def test_the_frequency_by_spectrum(d: float) -> None:
    values = made(BASE, Drift(kind="frequency", onset=ONSET, magnitude=d))
    assert frequencies(values[:ONSET]) == pytest.approx(np.full(4, 1 / 24), rel=1e-3)
    assert frequencies(values[ONSET:]) == pytest.approx(np.full(4, (1 + d / 4) / 24), rel=1e-3)


@pytest.mark.parametrize("onset", [1000, 1019, 1032])  # without adding phases up, 1032 were half a cycle off
def test_the_phase_is_continuous_where_the_frequency_changes(onset: int) -> None:
    quiet = Base(noise=1e-9)
    values = made(quiet, Drift(kind="frequency", onset=onset, magnitude=2.0), rows=3000)
    fastest = 2 * math.pi / 24 * 1.5 * (1.0 + 2 * 0.35)  # no step is longer than the waves are steep
    assert np.abs(np.diff(values, axis=0)).max() <= fastest
    jump = made(quiet, Drift(kind="phase", onset=onset, magnitude=4.0), rows=3000)
    assert np.abs(np.diff(jump, axis=0)).max() > fastest  # the test can fail


def test_the_frequency_passes_through_what_lies_between() -> None:
    """A slow change makes as many cycles as its mean frequency says."""
    slow = Drift(kind="frequency", onset=2000, magnitude=2.0, transition="linear", width=1000)
    values = made(Base(noise=1e-9, amplitudes=(1.0,)), slow, rows=3000)[1500:2500, 0] - BASE.level
    rising = int(((values[:-1] < 0) & (values[1:] >= 0)).sum())
    assert rising == pytest.approx(1000 * 1.25 / 24, abs=1)


def test_the_season_moves_by_d_eighths_of_a_cycle() -> None:
    drift = Drift(kind="phase", onset=ONSET, magnitude=1.0)
    values, twin = (made(BASE, drift, twin=twin) for twin in (False, True))
    t = np.arange(ONSET, ROWS)
    wave = np.exp(-2j * math.pi * t / 24)[:, None]
    turned = np.angle((values[ONSET:] * wave).mean(axis=0) / (twin[ONSET:] * wave).mean(axis=0))
    assert turned == pytest.approx(np.full(4, math.pi / 4), rel=0.02)


@pytest.mark.parametrize(("d", "after"), [(0.5, 0.351), (1.0, -0.132), (2.0, -0.812), (-1.0, 0.953)])
def test_the_autoregression_by_estimate_its_variance_kept(d: float, after: float) -> None:
    drift = Drift(kind="autoregression", onset=ONSET, magnitude=d)
    values = made(NOISE_ONLY, drift)
    assert math.tanh(math.atanh(0.7) - d) == pytest.approx(after, abs=1e-3)
    assert lag_one(values[:ONSET]) == pytest.approx(np.full(4, 0.7), abs=0.02)
    assert lag_one(values[ONSET:]) == pytest.approx(np.full(4, after), abs=0.02)
    assert values[ONSET:].var(axis=0).mean() == pytest.approx(0.25, rel=0.05)


def test_the_variance_is_kept_at_every_row_of_a_slow_change() -> None:
    drift = Drift(kind="autoregression", onset=100, magnitude=3.0, transition="linear", width=60)
    changing = law(drift, rows=200)
    rng = np.random.default_rng(0)
    paths = np.stack([autoregress(changing, rng.standard_normal((200, 4))) for _ in range(3000)])
    assert paths.var(axis=0).mean(axis=1) == pytest.approx(np.full(200, 0.25), rel=0.06)


@pytest.mark.parametrize("d", [0.5, 1.0, 2.0])
def test_the_correlation_by_estimate_each_channel_as_before(d: float) -> None:
    values = made(NOISE_ONLY, Drift(kind="correlation", onset=ONSET, magnitude=d, channels=(0, 1)))
    before, after = (np.asarray(np.corrcoef(part.T)) for part in (values[:ONSET], values[ONSET + 100 :]))
    apart = np.ix_([0, 1], [2, 3])
    assert before[apart] == pytest.approx(np.full((2, 2), 0.6), abs=0.03)
    assert after[apart] == pytest.approx(np.full((2, 2), 0.6 * (1 - d)), abs=0.03)
    assert after[[0, 2], [1, 3]] == pytest.approx([0.6, 0.6], abs=0.03)
    assert values[ONSET:].var(axis=0).mean() == pytest.approx(0.25, rel=0.05)


def test_the_concept_by_regression() -> None:
    base = Base(concept=True)
    values = made(base, Drift(kind="concept", onset=ONSET, magnitude=2.0))
    twin = made(base, Drift(kind="concept", onset=ONSET, magnitude=2.0), twin=True)
    assert (values[:, :4] == twin[:, :4]).all()  # P(x) is fixed
    z = (values[:, :4] - base.level) / base.sigma
    before, after = (
        np.linalg.lstsq(z[rows][:-24], values[rows][24:, 4], rcond=None)[0]
        for rows in (slice(ONSET), slice(ONSET, None))
    )
    assert before == pytest.approx(np.full(4, 0.5), abs=0.02)
    assert after == pytest.approx(np.array([0.5, -0.5, 0.5, -0.5]), abs=0.02)  # a quarter of a circle


def test_stuck_sensors_repeat_what_they_read_before() -> None:
    drift = Drift(kind="stuck", onset=2400, magnitude=1.0, channels=(1,))
    values, twin = (made(BASE, drift, rows=24_000, twin=twin) for twin in (False, True))
    repeats = np.diff(values, axis=0) == 0
    assert (values[:, [0, 2, 3]] == twin[:, [0, 2, 3]]).all()
    assert not repeats[:2399].any()
    assert repeats[2400:, 1].mean() == pytest.approx(0.5, abs=0.05)  # d / (1 + d) of the blocks
    held = np.flatnonzero(repeats[:, 1]) + 1
    assert (values[held, 1] == values[held - 1, 1]).all()
    assert ((values == twin)[1:, 1] | repeats[:, 1]).all()


def test_sensors_that_drop_out_read_zero() -> None:
    drift = Drift(kind="dropout", onset=2400, magnitude=2.0, block=12)
    values = made(BASE, drift, rows=24_000)
    lost = values == 0
    assert not lost[:2400].any()
    assert lost[2400:].mean() == pytest.approx(2 / 3, abs=0.04)
    blocks = lost[2400:].reshape(-1, 12, 4)
    assert (blocks == blocks[:, :1]).all()


@pytest.mark.parametrize(("kind", "d"), [("gain", 0.5), ("bias", 2.0), ("late", 1.0)])
def test_other_faults_by_their_formula(kind: Kind, d: float) -> None:
    drift = Drift(kind=kind, onset=500, magnitude=d, transition="linear", width=200, channels=(0, 3))
    values, twin = (made(BASE, drift, rows=1000, twin=twin) for twin in (False, True))
    healthy = generate(BASE, [], 1000, 3)
    a = np.array([0.0, 0.5, 1.0])
    rows = np.array([300, 500, 700])
    for c in (0, 3):
        true = healthy[rows, c]
        expected = {
            "gain": true * (1 + d * a),
            "bias": true + d * BASE.sigma * a,
            "late": 4 + (true - 4) * 10 ** (-d * (1 - a)),
        }[kind]
        assert values[rows, c] == pytest.approx(expected, abs=1e-8)
    assert (values[:, [1, 2]] == healthy[:, [1, 2]]).all()
    assert (values[:400] == twin[:400]).all()


@pytest.mark.parametrize("kind", [kind for kind in EFFECTS if kind != "concept"])
def test_only_the_channels_of_the_mask_drift(kind: Kind) -> None:
    drift = Drift(kind=kind, onset=500, magnitude=1.0, channels=(2,))
    values, twin = (made(BASE, drift, rows=1500, twin=twin) for twin in (False, True))
    if kind == "correlation":  # it is of two channels: what the others read is spared where they come first
        assert (values[:, :2] == twin[:, :2]).all()
    else:
        assert (values[:, [0, 1, 3]] == twin[:, [0, 1, 3]]).all()
    assert (values[500:, 2] != twin[500:, 2]).any()


def test_correlations_that_cannot_be_are_refused() -> None:
    noise = np.ones((2, 3))
    impossible = np.broadcast_to([[1.0, 0.9, -0.9], [0.9, 1.0, 0.9], [-0.9, 0.9, 1.0]], (2, 3, 3))
    with pytest.raises(BenchError, match="not positive definite"):
        correlate(impossible, noise)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "correlation", "magnitude": 2.5}, "a magnitude of 2.5 is none for 'correlation'"),
        ({"kind": "variance", "magnitude": -1.0}, "take one from -0.9"),
        ({"kind": "mean", "transition": "sigmoid"}, "needs a width"),
        ({"kind": "mean", "transition": "recurring", "width": 5}, "needs a rest"),
    ],
)
def test_drifts_that_cannot_be_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Drift.model_validate({"onset": 10} | fields)


def test_channels_that_are_not_there_are_refused() -> None:
    with pytest.raises(BenchError, match="channel 4 is not there; the last is 3"):
        made(BASE, Drift(kind="mean", onset=10, channels=(4,)), rows=50)
    with pytest.raises(BenchError, match="no target that follows"):
        made(BASE, Drift(kind="concept", onset=10), rows=50)
