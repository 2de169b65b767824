"""Updates by hand: calibration layers around a fixed forecaster."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from ..literature import (
    C,
    H,
    L,
    decaying,
    made,
    serve,
)

torch.set_num_threads(1)


def test_calibration_is_a_gated_map_before_and_after() -> None:
    strategy, x = made("tafas"), torch.randn(3, L, C)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in strategy.layers.parameters():
            parameter.normal_()

    def mapped(layer: Any, rows: Tensor) -> Any:
        out = torch.einsum("cij,bjc->bic", layer.weight, rows) + layer.bias.T
        return rows + torch.tanh(layer.gate) * out

    expected = mapped(strategy.layers["forecast"], strategy.forecaster(mapped(strategy.layers["window"], x)))
    torch.testing.assert_close(strategy.predict(x), expected.detach())
    shared = made("tafas", shared=True, calibrates_input=False)
    assert {name: tuple(p.shape) for name, p in shared.layers.named_parameters()} == {
        "forecast.weight": (1, H, H), "forecast.bias": (1, H), "forecast.gate": (1,)
    }  # fmt: skip


def test_the_low_rank_map_has_its_gate_inside() -> None:
    strategy, x = made("petsa", rank=3, calibrates_input=False), torch.randn(3, L, C)
    layer = strategy.layers["forecast"]
    with torch.no_grad():
        layer.up.normal_()
        layer.bias.normal_()
    y = strategy.forecaster(x).detach()
    maps = torch.einsum("ir,crj->cij", layer.down, layer.up)
    expected = y + torch.einsum("cij,bic->bjc", maps, torch.tanh(layer.gate * y)) + layer.bias.T
    torch.testing.assert_close(strategy.predict(x), expected.detach())


def test_the_loss_of_petsa_compares_shapes() -> None:
    strategy, truth = made("petsa", spectrum=0.1, structure=1.0), torch.randn(2, 6, C)
    assert strategy.loss(truth, truth, None).item() == pytest.approx(0, abs=1e-6)
    higher = strategy.loss(truth + 2, truth, None).item()  # Huber 0.5 (2 - 0.25); spectrum 12 of 4 frequencies; mean 2
    assert higher == pytest.approx(0.5 * 1.75 + 0.1 * 12 / 4 + 2, rel=1e-4)
    turned = strategy.loss(2 * truth.mean(dim=1, keepdim=True) - truth, truth, None).item()
    assert turned > 2  # a correlation of -1
    known = torch.tensor([[True] * 6, [True] * 3 + [False] * 3])
    moved = truth.clone()
    moved[1, 3:] += 9  # not known yet
    assert strategy.loss(moved, truth, known).item() == pytest.approx(0, abs=1e-6)


def test_the_step_of_dynatta_follows_the_shift() -> None:
    calm, values = decaying(400, 0.0), decaying(400, 0.0)
    values[300:] *= 5.0
    rates = {}
    for name, rows in (("calm", calm), ("moved", values)):
        strategy = serve("dynatta", rows, tiny=False, end=320, online_lr=1e-3, smoothing=1.0).strategy
        rates[name] = strategy.rate
        assert strategy.online.optimizer.param_groups[0]["lr"] <= 1e-3
    assert 1e-4 <= rates["calm"] < rates["moved"] <= 1e-3
    assert len(strategy.best_windows) == strategy.config.best
    assert (strategy.lowest.diff() >= 0).all()
