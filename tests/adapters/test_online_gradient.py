"""Updates by hand: online gradient descent, replay, context selection, and statistics without labels."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from bench import Feedback, PartialLabels
from bench.adaptation.replay_buffers import ReplayBuffer
from bench.contracts.config import build
from bench.contracts.forecaster import FORECASTERS, Task

from ..literature import (
    C,
    H,
    L,
    made,
    pairs,
    slope,
)

torch.set_num_threads(1)


def test_online_gradient_descent_takes_the_step_of_the_mean_squared_error() -> None:
    strategy, new = made("ogd", optimizer="sgd", online_lr=0.1), pairs(3, 0)
    model = copy.deepcopy(strategy.forecaster)
    strategy.adapt(new)
    torch.testing.assert_close(strategy.forecaster.map.weight, model.map.weight - 0.1 * slope(model, new.x, new.y))


def test_partial_labels_count_as_far_as_they_are_known() -> None:
    young = pairs(1, 1)
    known = torch.tensor([[True, False]])
    for partial, expected in ((True, True), (False, False)):
        strategy = made("ogd", optimizer="sgd", online_lr=0.1, partial=partial)
        model = copy.deepcopy(strategy.forecaster)
        strategy.adapt(replace(pairs(0, 0), partial=PartialLabels(young.x, young.y, known, young.origins)))
        moved = model.map.weight - 0.1 * slope(model, young.x, young.y, known) if expected else model.map.weight
        torch.testing.assert_close(strategy.forecaster.map.weight, moved)


def test_a_head_alone_may_learn() -> None:
    entry = FORECASTERS["tcn"]
    tcn = entry.cls(build(entry.cls.Config, entry.cls.tiny, "tcn"), Task(L, H, C, C, (0, 1))).eval()
    strategy = made("ogd", tcn, trains="head", online_lr=0.1)
    before = copy.deepcopy(strategy.forecaster.state_dict())
    strategy.adapt(pairs(2, 0))
    moved = {name for name, value in strategy.forecaster.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {"head.0.weight", "head.0.bias"}


@pytest.mark.parametrize("name", ["er", "der-pp"])
def test_replay_adds_earlier_pairs_and_their_forecasts(name: str) -> None:
    strategy, old, new = made(name, optimizer="sgd", online_lr=0.1), pairs(1, 0), pairs(1, 1, 201)
    strategy.buffer = ReplayBuffer("reservoir", 10, strategy.rng)
    strategy.adapt(old)  # enters after the step
    model = copy.deepcopy(strategy.forecaster)
    strategy.adapt(new)
    step = slope(model, new.x, new.y) + 0.2 * slope(model, old.x, old.y)
    if name == "der-pp":
        assert old.issued is not None
        step = step + 0.2 * slope(model, old.x, old.issued)
    torch.testing.assert_close(strategy.forecaster.map.weight, model.map.weight - 0.1 * step)


def test_the_slow_stream_learns_from_its_buffer_alone() -> None:
    strategy = made("dsof-slow", optimizer="sgd", online_lr=0.1, least=3)
    strategy.buffer = ReplayBuffer("fifo", 10, strategy.rng)
    model, new = copy.deepcopy(strategy.forecaster), pairs(3, 0)
    for i in range(3):
        torch.testing.assert_close(strategy.forecaster.map.weight, model.map.weight)
        strategy.adapt(Feedback(new.x[i : i + 1], new.y[i : i + 1], new.origins[i : i + 1]))
    torch.testing.assert_close(strategy.forecaster.map.weight, model.map.weight - 0.1 * slope(model, new.x, new.y))


def test_context_is_near_and_in_phase_and_the_head_is_restored() -> None:
    strategy = made("solid", online_lr=0.1, pairs=100, nearest=1, phase=0.2)  # the season has 6 rows: 0 or 1 before
    trained = copy.deepcopy(strategy.forecaster)
    strategy.recent = ReplayBuffer("fifo", 100, strategy.rng)
    old = pairs(12, 0, first=240)
    old.x[:] = torch.arange(12.0)[:, None, None]
    strategy.adapt(old)
    strategy.origin = 302  # phase 2, so that origins of phases 1 and 2 qualify: places 1, 2, 7 and 8
    window = torch.full((1, L, C), 4.9)
    made_now = strategy.predict(window)
    stepped = copy.deepcopy(trained)
    miss = (trained(old.x[7:8]) - old.y[7:8]).detach()
    with torch.no_grad():
        stepped.map.weight -= 0.1 * slope(trained, old.x[7:8], old.y[7:8])
        stepped.map.bias -= 0.1 * 2 * miss.sum(dim=(0, 2)) / miss.numel()
    torch.testing.assert_close(made_now, stepped(window).detach())
    for name, value in strategy.forecaster.state_dict().items():
        assert torch.equal(value, trained.state_dict()[name])


def test_solid_plus_keeps_its_step() -> None:
    strategy, new = made("solid-pp", optimizer="sgd", online_lr=0.1, phase=1.0, pairs=50, nearest=50), pairs(2, 0)
    strategy.recent = ReplayBuffer("fifo", 50, strategy.rng)
    model = copy.deepcopy(strategy.forecaster)
    strategy.adapt(new)
    torch.testing.assert_close(strategy.forecaster.map.weight, model.map.weight - 0.1 * slope(model, new.x, new.y))


def test_statistics_are_exponential_means() -> None:
    strategy = made("norm-stats", rate=0.25)
    rows = torch.randn(30, C, generator=torch.Generator().manual_seed(0))
    strategy.mean, strategy.variance = torch.zeros(C), torch.ones(C)
    mean, square = np.zeros(C), np.ones(C)
    for part in rows.split([1, 4, 25]):
        strategy.observe(part)
    for row in rows.double().numpy():
        mean, square = 0.75 * mean + 0.25 * row, 0.75 * square + 0.25 * row**2
    np.testing.assert_allclose(strategy.mean, mean, rtol=1e-5)
    np.testing.assert_allclose(strategy.variance, square - mean**2, rtol=1e-5)
    window = torch.randn(1, L, C)
    deviation = strategy.variance.sqrt()
    expected = strategy.forecaster((window - strategy.mean) / deviation) * deviation + strategy.mean
    torch.testing.assert_close(strategy.predict(window), expected)


def test_statistics_take_the_place_of_the_windows_own() -> None:
    """A window's own level is then not removed: what is far from the recent rows stays far."""
    entry = FORECASTERS["tcn"]
    tcn = entry.cls(build(entry.cls.Config, entry.cls.tiny, "tcn"), Task(L, H, C, C, (0, 1))).eval()
    strategy = made("norm-stats", tcn, rate=0.1)
    window = torch.randn(1, L, C)
    assert not torch.allclose(strategy.predict(window + 5), strategy.predict(window) + 5, atol=0.1)
    off = made("norm-stats", tcn, rate=0)
    torch.testing.assert_close(off.predict(window + 5), off.predict(window) + 5, atol=1e-4, rtol=0)
