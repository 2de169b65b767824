"""The drift sets: what each says of itself is so, and a seed means the same series everywhere."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
import pytest

from bench import BenchError, DriftSeries, Split
from bench.data.synthetic import MAGNITUDES, Base, generate

from .conftest import Load

SETS = {
    "no-drift": "58317098f215eebb",
    "abrupt-mean": "00b0117646f347f6",
    "incremental-trend": "62806593519d67fd",
    "gradual-concept": "46e66d437d4df9f5",
    "frequency": "9737f232f51d4b95",
    "variance": "dac997e05a01bca9",
    "amplitude": "53e9bb30d6d030f3",
    "phase": "c5bc52276a2847ef",
    "autoregression": "f4e00b353ee474a0",
    "correlation": "7b379512710ab3d5",
    "recurring-aba": "fb00fb2d5c19a505",
    "sensor-stuck": "67a929ae3ee19702",
    "composed-drift": "0a4e26100a0c0898",
}
DRIFTING = [name for name in SETS if name not in ("no-drift", "composed-drift")]


def digest(series: DriftSeries) -> str:
    rounded = np.round(series.values, 6) + 0.0  # no negative zero
    return hashlib.sha256(rounded.tobytes()).hexdigest()[:16]


@pytest.mark.parametrize("name", SETS)
def test_values_are_pinned(name: str, load: Load) -> None:
    assert digest(load(name)) == SETS[name]


@pytest.mark.parametrize("name", SETS)
def test_shape_roles_and_events(name: str, load: Load) -> None:
    series = load(name)
    assert len(series) == 6000
    assert series.split == Split(1200, 1500, 6000)
    assert series.inputs == ("x1", "x2", "x3", "x4")
    assert series.targets == (("target",) if name == "gradual-concept" else series.inputs)
    assert (series.lookback, series.horizon, series.season) == (96, 24, 24)
    assert series.truth is not None
    starts = {drift.start for drift in series.truth.drifts}
    assert starts <= {event.row for event in series.events}
    for row in starts:  # inside the stream, with errors to look at on both sides of it
        assert series.split.validation + 20 * series.horizon < row < 6000 - 40 * series.horizon


@pytest.mark.parametrize("name", DRIFTING)
@pytest.mark.parametrize("magnitude", ["small", "medium", "large", 1.25])
def test_three_magnitudes_and_any_number(name: str, magnitude: Any, load: Load) -> None:
    series = load(name, magnitude=magnitude)
    assert series.truth is not None
    (drift,) = series.truth.drifts
    assert drift.magnitude == MAGNITUDES.get(magnitude, magnitude)
    assert (series.values[drift.start :] != series.truth.twin[drift.start :]).any()


@pytest.mark.parametrize("name", SETS)
def test_the_twin_does_not_drift(name: str, load: Load) -> None:
    series, twin = load(name), load(name, twin=True)
    assert twin.events == ()
    assert twin.truth is not None
    assert twin.truth.drifts == ()
    assert series.truth is not None
    start = min((drift.start for drift in series.truth.drifts), default=6000)
    assert (series.values[:start] == twin.values[:start]).all()
    assert series.twin is not None
    assert series.twin.fingerprint == twin.fingerprint
    assert series.training_fingerprint == twin.training_fingerprint
    assert (series.fingerprint == twin.fingerprint) == (name == "no-drift")


def test_the_twin_of_every_set_without_a_concept_is_no_drift(load: Load) -> None:
    still = load("no-drift")
    for name in DRIFTING:
        if name != "gradual-concept":
            assert load(name, twin=True).fingerprint == still.fingerprint, name


def test_the_twin_keeps_the_columns_that_were_chosen(load: Load) -> None:
    chosen = {"inputs": ("x1", "x2"), "targets": ("x4",)}
    series = load("abrupt-mean", **chosen)
    assert series.twin is not None
    assert series.twin.fingerprint == load("no-drift", **chosen).fingerprint


def test_options(load: Load) -> None:
    series = load("incremental-trend", rows=4000, seed=3, onset=2000, width=200, drifting=(1,), channels=2)
    assert series.truth is not None
    (drift,) = series.truth.drifts
    assert (drift.onset, drift.width, drift.channels) == (2000, 200, (1,))
    assert series.split == Split(800, 1000, 4000)
    assert (series.values == generate(Base(channels=2), [drift], 4000, 3)).all()
    assert [(event.row, event.name, event.kind) for event in series.events] == [(1901, "trend", "gradual")]


def test_recurring_goes_back_to_the_first_law(load: Load) -> None:
    series = load("recurring-aba", kind="mean", magnitude=2.0)
    assert [(event.row, event.name) for event in series.events] == [(3000, "mean"), (4500, "mean as before")]
    assert series.truth is not None
    moved = series.values - series.truth.twin
    assert moved[3000:4500] == pytest.approx(np.full((1500, 4), 2 * Base().sigma), abs=1e-8)
    assert (moved[:3000] == 0).all()
    assert (moved[4500:] == 0).all()


def test_several_drifts_in_one_series(load: Load) -> None:
    drifts = [
        {"kind": "mean", "onset": 3000, "magnitude": 1.0, "channels": [0]},
        {"kind": "concept", "onset": 4000, "magnitude": 2.0},
    ]
    series = load("composed-drift", drifts=drifts)
    assert series.targets == ("target",)
    assert [(event.row, event.name) for event in series.events] == [(3000, "mean"), (4000, "concept")]


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("abrupt-mean", {"magnitude": "huge"}, "option 'magnitude"),
        ("abrupt-mean", {"onset": 900}, "'mean' would begin at row 900, outside the stream"),
        ("abrupt-mean", {"onset": 6000}, "outside the stream"),
        ("correlation", {"magnitude": 3.0}, "a magnitude of 3 is none for 'correlation'"),
        ("abrupt-mean", {"drifting": (7,)}, "channel 7 is not there"),
        ("no-drift", {"magnitude": 1.0}, "unknown option 'magnitude'"),
        ("composed-drift", {"drifts": [{"kind": "mean", "onset": 2000, "widht": 3}]}, "widht"),
    ],
)
def test_what_cannot_be_is_refused(name: str, options: dict[str, Any], message: str, load: Load) -> None:
    with pytest.raises(BenchError, match=message):
        load(name, **options)


def test_the_truth_of_the_stream_is_not_known_before_it(load: Load) -> None:
    assert load("abrupt-mean").before_stream().truth is None
