"""Corrections of forecasts: which truths they meet, and their updates by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bench import Feedback, Protocol
from bench.contracts.config import build
from bench.contracts.strategy import STRATEGIES, StrategyContext
from bench.evaluation.stream import PreparedSeries, Stream

from ..literature import (
    CPU,
    TRAIN,
    VALIDATION,
    C,
    Decay,
    H,
    L,
    decaying,
    made,
    series,
)

torch.set_num_threads(1)


BASES: dict[str, Any] = {  # where the forecaster's own forecasts stand among what waits for its truth
    "fac": lambda made: made,
    "cosa": lambda made: made[:, :H],
    "orca": lambda made: made[:, -H:],
    "elf": lambda made: made[:, 0],
    "hedge": lambda made: made[:, 2],
}


@pytest.mark.parametrize(("stride", "block"), [(1, 1), (1, 5), (2, 3), (3, 1)])
@pytest.mark.parametrize("name", BASES)
def test_what_waits_for_its_truth_meets_it(name: str, stride: int, block: int) -> None:
    """Also after the warm start, behind which origins are left out whose truth would reach into the stream."""
    cls, values = STRATEGIES[name].cls, decaying(140, 1.0)
    protocol = Protocol(lookback=L, horizon=H, stride=stride, block=block, warm_start=True)
    stage = PreparedSeries.of(series(values), protocol)
    config = build(cls.Config, dict(cls.tiny), name)
    context = StrategyContext(config, Decay(), stage.history(CPU), protocol, np.random.default_rng(0), CPU)
    stream = Stream(stage, cls(context), CPU)
    strategy: Any = stream.strategy
    plain, met = strategy.waiting.matured, list[int]()

    def matured(feedback: Feedback) -> Any:
        made, found = plain(feedback)
        for forecast, i in zip(made, found, strict=True):
            torch.testing.assert_close(BASES[name](forecast[None])[0], strategy.forecaster(feedback.x[i : i + 1])[0])
            met.append(int(feedback.origins[i]))
        return made, found

    strategy.waiting.matured = matured
    stream.run(TRAIN, VALIDATION, lambda *_: None)
    stream.run(VALIDATION, len(values), lambda *_: None)
    assert sum(origin >= VALIDATION for origin in met) > 10


def test_experts_are_weighed_by_their_share_of_the_squared_error() -> None:
    strategy = made("hedge", experts=["persistence", "frozen"], rate=2.0, kept=0.5)
    strategy.mix.losses.zero_()
    losses = torch.zeros(2, C)
    for seed in range(2):
        window, origin = torch.randn(1, L, C, generator=torch.Generator().manual_seed(seed)), strategy.waiting._now
        strategy.predict(window)
        forecasts = strategy.waiting._made[origin]  # (2, H, C)
        truth = forecasts[0] + torch.tensor([1.0, 3.0])
        strategy.adapt(Feedback(window, truth[None], np.array([origin]), now=origin + 1))
        square = (forecasts - truth).square().mean(dim=1)
        losses = losses / 2 + square / square.sum(dim=0)
    torch.testing.assert_close(strategy.mix.losses, losses)
    window = torch.randn(1, L, C)
    experts = torch.stack([expert.predict(window)[0] for expert in strategy.experts])
    weights = torch.exp(-2.0 * losses)
    expected = (weights[:, None] * experts).sum(dim=0) / weights.sum(dim=0)
    torch.testing.assert_close(strategy.predict(window)[0], expected)


def waiting(strategy: Any, window: Tensor, missed: float) -> Feedback:
    """The feedback on a forecast that is made now, and that the truth exceeds by a constant."""
    origin = strategy.waiting._now
    forecast = strategy.predict(window)
    return Feedback(window, forecast + missed, np.array([origin]))


def test_the_offset_of_frequency_0_moves_all_leads() -> None:
    """With a truth ``d`` above a forecast of 0, its gradient is ``-2 d / H``, and it adds an H-th of itself."""
    strategy = made("fac", optimizer="sgd", online_lr=0.1)
    with torch.no_grad():
        strategy.correction.offset.zero_()
        strategy.correction.gain.zero_()
    window = torch.zeros(1, L, C)
    strategy.adapt(waiting(strategy, window, 5.0))
    torch.testing.assert_close(strategy.predict(window), torch.full((1, H, C), 2 * 5.0 * 0.1 / H**2))


def test_the_gate_opens_along_the_residual() -> None:
    options = {"batch": 1, "steps": 1, "weight_decay": 0, "online_clip": "none"}
    strategy = made("cosa", optimizer="sgd", online_lr=0.1, **options)
    correction = strategy.correction
    with torch.no_grad():
        correction.gate.zero_()
    strategy.factor, window = 1.0, torch.randn(1, L, C, generator=torch.Generator().manual_seed(0))
    known = torch.cat([strategy.forecaster(window), strategy.means[None]], dim=1).detach()
    residual = correction.map(known.transpose(1, 2)).detach()
    strategy.before = math.inf
    strategy.adapt(waiting(strategy, window, 5.0))
    torch.testing.assert_close(correction.gate.detach(), 0.1 * 2 * 5.0 * residual.mean())


def test_the_context_of_a_forecast_is_that_of_its_time() -> None:
    strategy = made("cosa", context=2)
    window = torch.zeros(1, L, C)
    feedback = waiting(strategy, window, 5.0)
    before = strategy.means.clone()
    strategy.adapt(feedback)
    torch.testing.assert_close(strategy.means[-1], feedback.y[0].mean(dim=0))
    torch.testing.assert_close(strategy.batch[-1][0][H:], before)


def waves(count: int) -> Feedback:
    """Pairs of one sine at several phases, heights and levels."""
    t, rng = torch.arange(float(L + H))[:, None], np.random.default_rng(0)
    rows = [rng.normal() + rng.uniform(1, 2) * torch.sin(2 * np.pi * t / L + rng.uniform(0, 6)) for _ in range(count)]
    both = torch.stack(rows).expand(-1, -1, C).float()
    return Feedback(both[:, :L], both[:, L:], np.arange(500, 500 + count))


def test_spectra_are_regressed_and_mixed_by_their_losses() -> None:
    strategy, new = made("elf", every=60, penalty=1e-4, warmup=0, rate=100.0), waves(60)
    strategy.adapt(new)
    rows = new.x.transpose(1, 2)
    deviation = strategy._scale()
    x = torch.fft.rfft((rows - rows.mean(dim=2, keepdim=True)) / deviation)[..., : strategy.bins]
    y = torch.fft.rfft((new.y.transpose(1, 2) - rows.mean(dim=2, keepdim=True)) / deviation)
    gram = x[:, 0].mH @ x[:, 0] + 1e-4 * torch.eye(strategy.bins)
    solved = torch.linalg.solve(gram, x[:, 0].mH @ y[:, 0])
    torch.testing.assert_close(strategy.weights[0], solved, atol=1e-4, rtol=1e-4)
    first, forecast = strategy.waiting._now, strategy.predict(new.x[:3])
    own = torch.fft.irfft(x[:, 0] @ solved, n=H) * deviation[0] + rows[:, 0].mean(dim=1, keepdim=True)
    issued = torch.stack([strategy.waiting._made[first + i] for i in range(3)])
    torch.testing.assert_close(issued[:, 1, :, 0], own[:3], atol=1e-3, rtol=0)
    torch.testing.assert_close(forecast, issued[:, :2].mean(dim=1))  # no loss yet: equal weights
    strategy.adapt(Feedback(new.x, own[..., None].expand(-1, -1, C), np.arange(first, first + 60)))
    assert strategy.slow.shares()[1].min() > 0.99  # its own forecasts were right, the forecaster's wrong


def test_the_refiner_is_trusted_as_far_as_it_helps() -> None:
    strategy = made("orca", confidence=10.0, warm_up=0)
    strategy.refined = strategy.plain = 0.0
    assert strategy.trust() == 0.5
    known, y = torch.randn(4, L + H, C), torch.randn(4, H, C)
    with torch.no_grad():
        strategy.correction.time.bias.fill_(0.3)
        strategy.correction.mix.weight.copy_(torch.eye(C))
    base = known[:, -H:]
    strategy.learn(known, y)
    kept = 0.01 * 0.99 ** torch.arange(3, -1, -1)
    expected = [(kept * (made_now - y).square().mean(dim=(1, 2))).sum().item() for made_now in (base + 0.6, base)]
    assert [strategy.refined, strategy.plain] == pytest.approx(expected)
    gain = (expected[1] - expected[0]) / sum(expected)
    assert strategy.trust() == pytest.approx(1 / (1 + np.exp(-10 * gain)))
