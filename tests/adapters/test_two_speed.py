"""Updates by hand: a student and its teacher, two branches, generated weights, and controllers."""

from __future__ import annotations

import copy
from dataclasses import replace

import torch
from torch import Tensor, nn

from bench import Feedback
from bench.adaptation.replay_buffers import ReplayBuffer
from bench.forecasters.fsnet_tcn import ControlledConv

from ..literature import (
    C,
    Decay,
    H,
    L,
    made,
    pairs,
    slope,
)

torch.set_num_threads(1)


def test_the_student_learns_slowly_from_pairs_and_fast_from_rows() -> None:
    """Each by hand, on a student that is one linear layer."""
    strategy = made("dsof", optimizer="sgd", online_lr=0.1, student_lr=0.2, fast_lr=0.3, least=1, batch=2, size=2)
    student = strategy.parts
    student.layers = nn.Sequential(nn.Linear(L + H, H))
    strategy.slow, strategy.fast = strategy._optimizer(0.2), strategy._optimizer(0.3)
    strategy.buffer, strategy._before, strategy._since = ReplayBuffer("fifo", 2, strategy.rng), None, []
    new, teacher, layer = pairs(2, 0), copy.deepcopy(strategy.forecaster), copy.deepcopy(student.layers[0])
    strategy.adapt(new)
    torch.testing.assert_close(strategy.forecaster.map.weight, teacher.map.weight - 0.1 * slope(teacher, new.x, new.y))
    forecasts = teacher(new.x).detach()
    read = torch.cat([new.x, forecasts], dim=1)
    miss = forecasts + student_of(layer, read) - new.y
    step = (2 * torch.einsum("phc,plc->hl", miss, read) / miss.numel()).detach()
    torch.testing.assert_close(student.layers[0].weight, layer.weight - 0.2 * step)
    layer, present, row = copy.deepcopy(student.layers[0]), torch.randn(L, C), torch.randn(1, C)
    strategy.observe(row)
    strategy.adapt(Feedback(new.x[:0], new.y[:0], new.origins[:0], present=present))
    assert new.present is not None
    taught, now = strategy.forecaster(torch.stack([new.present, present])).detach().split(1)
    target, read = torch.cat([row, now[0, :1]])[None], torch.cat([new.present[None], taught], dim=1)
    miss = (taught + student_of(layer, read) - target) * torch.tensor([1.0, 0.9])[:, None]
    step = (2 * torch.einsum("phc,plc->hl", miss, read) / miss.numel()).detach()
    torch.testing.assert_close(student.layers[0].weight, layer.weight - 0.3 * step)


def student_of(layer: nn.Linear, read: Tensor) -> Tensor:
    out: Tensor = layer(read.mT)
    return out.mT


def test_the_ensemble_leans_to_the_better_branch() -> None:
    strategy = made("onenet", branch="nlinear", optimizer="sgd", online_lr=0.0, mix_lr=0.5)
    strategy.parts = Decay(0.0)
    new = pairs(3, 0)
    truth = replace(new, y=strategy.forecaster(new.x).detach())  # the first branch is right
    w, y1, y2 = strategy.mixture["w"].detach().clone(), truth.y, strategy.parts(new.x).detach()
    strategy.adapt(truth)
    share = torch.sigmoid(w)
    miss = share * y1 + (1 - share) * y2 - truth.y
    slope_of_w = (2 * miss * share * (1 - share) * (y1 - y2)).sum(dim=(0, 1)) / miss.numel()
    torch.testing.assert_close(strategy.mixture["w"].detach(), w - 0.5 * slope_of_w)
    assert (strategy.mixture["w"] > 0).all()
    assert strategy.trace()["first_share"] > 0.5


def test_weights_follow_the_drift_of_each_window() -> None:
    strategy = made("proceed", optimizer="sgd", online_lr=0.1)
    generator, model, x = strategy.parts, strategy.forecaster, torch.randn(3, L, C)
    torch.testing.assert_close(strategy.predict(x), model(x).detach())  # the identity before it is trained
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.normal_()
    strategy.newest = torch.randn(1, 3)
    drifts = generator.drift(x, strategy.newest.expand(3, -1))
    assert (drifts.norm(dim=1) <= 1 + 1e-6).all()
    expected = []
    for drift, window in zip(drifts, x, strict=True):
        hidden = torch.sigmoid(generator.modulation.down["group0"](drift) + generator.modulation.biases["map"])
        rows, columns, scale, shift = generator.modulation.up["group0"](hidden).split([H, L, H, H])
        weight = model.map.weight * torch.outer(1 + rows, 1 + columns)
        expected.append((weight @ window).T + model.map.bias * (1 + scale) + shift)
    torch.testing.assert_close(strategy.predict(x), torch.stack(expected).mT.detach())


def test_a_pair_is_learned_from_with_the_drift_that_was_known_at_its_origin() -> None:
    strategy = made("proceed")
    strategy.known = [(10, torch.zeros(1, 3)), (12, torch.ones(1, 3)), (14, torch.full((1, 3), 2.0))]
    assert [float(strategy._concept_at(origin)[0, 0]) for origin in (9, 10, 13, 14, 99)] == [0, 0, 1, 2, 2]


def test_controllers_follow_the_gradient_and_recall_where_it_turns() -> None:
    torch.manual_seed(0)
    layer = ControlledConv(2, 3, 2, control=4, slots=3)
    with torch.no_grad():
        layer.memory /= 2 * layer.memory.norm(dim=0)  # a column that is not written is not clipped either
        for own in (layer.of_weights, layer.of_outputs):
            own.weight.normal_()
    first, x = layer.multipliers(), torch.randn(1, 2, 5)
    weights, bias, features = first.split([4, 3, 3])
    plain = nn.functional.conv1d(x, layer.weight * weights.view(2, 2), layer.bias * bias) * features[:, None]
    torch.testing.assert_close(layer(x), plain)
    gradient = torch.randn(3, 2, 2)
    unit = gradient / gradient.norm(dim=1, keepdim=True)
    for _ in range(30):
        layer.weight.grad = gradient
        assert not layer.take_in(remembers=True)
    torch.testing.assert_close(layer.slow, unit * (1 - 0.9**30))
    torch.testing.assert_close(layer.fast, unit)
    assert not torch.allclose(layer.multipliers(), first)
    for _ in range(3):
        layer.weight.grad = -gradient
        before = layer.memory.clone()
        recalled = layer.take_in(remembers=True)
        if recalled:
            break
    assert recalled
    assert (layer.memory != before).any(dim=0).sum() == 2
    recalling = layer.multipliers()
    layer.share.zero_()
    torch.testing.assert_close(recalling, 0.75 * layer.multipliers() + 0.25 * layer.read)
