"""The optimiser that strategies share: its guard, clipping and modes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench.adaptation.online_optimizer import OnlineConfig, OnlineOptimizer
from bench.contracts.config import build

torch.set_num_threads(1)


def online(**options: Any) -> tuple[nn.Linear, OnlineOptimizer]:
    model = nn.Linear(1, 1, bias=False)
    nn.init.ones_(model.weight)
    return model, OnlineOptimizer(model, model.parameters(), OnlineConfig(optimizer="sgd", **options))


def test_diverged_weights_return_to_the_last_good_ones() -> None:
    """Each step multiplies the error by -9."""
    model, optimizer = online(online_lr=5.0)
    for _ in range(40):
        optimizer.learn(lambda: (model.weight - 0.9).square().sum())
        assert model.weight.detach().abs() < 1e4
    assert optimizer.returns > 0
    assert optimizer.taken == 40


def test_a_loss_that_is_not_finite_takes_no_step() -> None:
    model, optimizer = online(online_lr=0.1)
    optimizer.learn(lambda: model.weight.sum() * torch.nan)
    assert model.weight.item() == 1
    assert optimizer.taken == optimizer.returns == 0


def test_no_forecast_is_made_with_weights_that_are_not_finite() -> None:
    model, optimizer = online(online_lr=0.1)
    optimizer.learn(lambda: (model.weight - 1).abs().sqrt().sum())  # 0, with a gradient that is not a number
    assert model.weight.isnan().all()
    assert optimizer.sound(lambda: model(torch.ones(1, 1))).item() == 1
    assert optimizer.returns == 1
    assert optimizer.sound(lambda: model(torch.full((1, 1), torch.nan))).isnan().all()  # the window's own
    assert optimizer.returns == 1


def test_where_the_data_jump_learning_goes_on() -> None:
    model, optimizer = online(online_lr=0.25)
    for target in [1.1] * 10 + [100.0] * 30:
        optimizer.learn(lambda target=target: (model.weight - target).square().sum())  # type: ignore[misc]
    assert abs(model.weight.item() - 100) < 0.1
    assert optimizer.returns == 0


def test_gradients_are_clipped() -> None:
    model, optimizer = online(online_lr=1.0, online_clip=0.5)
    optimizer.learn(lambda: 8 * model.weight.sum())
    assert model.weight.item() == pytest.approx(0.5)


def test_dropout_is_on_in_train_mode_only() -> None:
    for mode in ("eval", "train"):
        model, modes = nn.Sequential(nn.Linear(1, 1), nn.Dropout()).eval(), list[bool]()

        def loss(model: nn.Module = model, modes: list[bool] = modes) -> Tensor:
            modes.append(model.training)
            return model(torch.ones(1, 1)).sum()  # type: ignore[no-any-return]

        OnlineOptimizer(model, model.parameters(), build(OnlineConfig, {"mode": mode}, "")).learn(loss)
        assert modes == [mode == "train"]
        assert not model.training
