"""Drift detectors, and what follows their alarms."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from bench.adaptation.drift_detectors import detector
from bench.adaptation.replay_buffers import ReplayBuffer

from ..literature import (
    Decay,
    made,
    pairs,
    slope,
)

torch.set_num_threads(1)


@pytest.mark.parametrize("kind", ["z-test", "page-hinkley", "adwin", "kswin"])
def test_a_detector_sees_a_jump_and_little_else(kind: Any) -> None:
    if kind in ("adwin", "kswin"):
        pytest.importorskip("river")
    calm = np.random.default_rng(0).gamma(2.0, 0.5, 400)
    found = detector(kind, 0)
    alarms = [t for t, error in enumerate([*calm, *(3 + calm[:100])]) if found.update(float(error))]
    assert sum(t < 400 for t in alarms) <= 8
    assert any(400 <= t < 450 for t in alarms)


def test_the_z_test_by_hand() -> None:
    rng = np.random.default_rng(1)
    errors, found = rng.random(60).tolist() + [2.0] * 10, detector("z-test", 0)
    start = 0
    for t, error in enumerate(errors):
        seen = np.array(errors[start : t + 1])
        score = (seen[-16:].mean() - seen.mean()) / (seen.std() / np.sqrt(len(seen))) if len(seen) >= 16 else 0
        alarmed = found.update(error)
        assert alarmed == (score > 2.97)
        start = t + 1 if alarmed else start
    assert start > 60


def test_the_detector_is_fed_one_error_in_a_horizon() -> None:
    strategy, fed = made("detect-retrain"), list[float]()
    strategy.fed_until, strategy.count, strategy.usual = 0, 16, 2.0
    strategy.detector = SimpleNamespace(update=lambda error: bool(fed.append(error)))  # type: ignore[func-returns-value]
    new = pairs(5, 0)
    assert new.issued is not None
    new.issued[2] = torch.nan  # between strides
    strategy.adapt(new)
    errors = (new.issued - new.y).square().mean(dim=(1, 2)) / 2
    assert fed == pytest.approx(errors[[0, 3]].tolist())


@pytest.mark.parametrize("action", ["retrain", "raise-rate", "reset"])
def test_what_an_alarm_does(action: str) -> None:
    strategy, new = made("detect-retrain", action=action, optimizer="sgd", online_lr=0.1, raised_blocks=2), pairs(4, 0)
    model = copy.deepcopy(strategy.forecaster)
    strategy.detector = SimpleNamespace(update=lambda _: False)
    strategy.adapt(new)
    after = model.map.weight - (0 if action == "retrain" else 0.1 * slope(model, new.x, new.y))
    torch.testing.assert_close(strategy.forecaster.map.weight, after)
    strategy.recent, strategy.fed_until = ReplayBuffer("fifo", 4, strategy.rng), 0
    strategy.detector = SimpleNamespace(update=lambda _: True)
    model = copy.deepcopy(strategy.forecaster)
    strategy.adapt(new)
    rate = {"retrain": 0.1, "raise-rate": 1.0, "reset": 0.1}[action]
    start = Decay() if action == "reset" else model
    expected = start.map.weight - rate * slope(start, new.x, new.y)
    torch.testing.assert_close(strategy.forecaster.map.weight, expected)
    assert strategy.trace()["alarms"] == 2


def test_d3a_learns_beside_what_was_before() -> None:
    strategy, new = made("d3a", optimizer="sgd", online_lr=0.1, pairs=3, before=3, epochs=1, replay=0.5), pairs(3, 0)
    old, model = strategy.before, copy.deepcopy(strategy.forecaster)
    strategy.recent, strategy.detector = ReplayBuffer("fifo", 3, strategy.rng), SimpleNamespace(update=lambda _: True)
    strategy.adapt(new)
    step = slope(model, new.x, new.y) + 0.5 * slope(model, *old)
    torch.testing.assert_close(strategy.forecaster.map.weight, model.map.weight - 0.1 * step)
    assert sorted(strategy.before[0].flatten().tolist()) == sorted(new.x.flatten().tolist())
