"""What is kept from parameters is forgotten as soon as one of them changes, however it changes."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from bench.evaluation.isolation import seeded
from bench.forecasters.titans.fast_engine.derived import Derived
from bench.forecasters.titans.transformer import TimeSeriesTitansTransformer


def in_place(layer: nn.Linear) -> None:
    with torch.no_grad():
        layer.weight.add_(1.0)


def stepped(layer: nn.Linear) -> None:
    layer(torch.ones(1, 3)).sum().backward()
    torch.optim.Adam(layer.parameters()).step()


def replaced(layer: nn.Linear) -> None:
    layer.weight = nn.Parameter(layer.weight.detach() + 1.0)


def loaded(layer: nn.Linear) -> None:
    layer.load_state_dict({name: t + 1.0 for name, t in layer.state_dict().items()})


def assigned(layer: nn.Linear) -> None:
    layer.load_state_dict({name: t + 1.0 for name, t in layer.state_dict().items()}, assign=True)


def pointed_elsewhere(layer: nn.Linear) -> None:
    layer.weight.data = layer.weight.data + 1.0


def written_behind_torch(layer: nn.Linear) -> None:
    layer.weight.data.add_(1.0)


def written_by_numpy(layer: nn.Linear) -> None:
    layer.weight.detach().numpy()[0, 0] += 1.0


CHANGES = [in_place, stepped, replaced, loaded, assigned, pointed_elsewhere, written_behind_torch, written_by_numpy]


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_a_parameter_is_seen(change: Callable[[nn.Linear], None]) -> None:
    model = nn.Sequential(nn.Linear(3, 2))
    derived, layer = Derived(model), model[0]
    assert isinstance(layer, nn.Linear)

    def total() -> Tensor:
        derived.begin()
        with torch.inference_mode():
            return derived("total", lambda: layer.weight.sum().clone())

    first = total()
    assert total() is first
    change(layer)
    assert total() is not first
    assert torch.equal(total(), layer.weight.sum())


def test_nothing_is_kept_where_gradients_may_be_asked_for() -> None:
    model = nn.Linear(3, 2)
    derived = Derived(model)
    derived.begin()
    made = [derived("double", lambda: model.weight * 2) for _ in range(2)]
    assert made[0] is not made[1]
    assert made[0].requires_grad


@torch.no_grad()
@pytest.mark.parametrize("behind_torch", [False, True])
@pytest.mark.parametrize("copied", [False, True])
def test_a_model_in_service_follows_its_parameters(copied: bool, behind_torch: bool) -> None:
    """Every parameter of the transformer in turn: a forecast after a change is that of a model which kept nothing."""
    with seeded(0):
        model = TimeSeriesTitansTransformer(2, 2, 3, dim=8, depth=2, segment_len=8, neural_memory_segment_len=4)
        x = torch.randn(1, 8, 2)
    if copied:
        model(x)
        model = copy.deepcopy(model)
    for name, parameter in model.named_parameters():
        cache = model.write(x, model.initial_cache())
        (parameter.data if behind_torch else parameter).add_(0.1 * torch.randn_like(parameter))
        fresh = copy.deepcopy(model)
        fresh._derived = Derived()
        assert torch.equal(model(x, cache), fresh(x, cache)), name
        assert torch.equal(model.write(x, cache).layers[0].weights["norm.gamma"],
                           fresh.write(x, cache).layers[0].weights["norm.gamma"]), name  # fmt: skip


def test_a_carried_memory_takes_part_in_training() -> None:
    """Memories made in inference mode are handed to gradients as ordinary tensors."""
    with seeded(0):
        model = TimeSeriesTitansTransformer(2, 2, 3, dim=8, depth=2, segment_len=8, neural_memory_segment_len=4)
        x = torch.randn(1, 8, 2)
    cache = model.write(x, model.initial_cache())
    model(x, cache).sum().backward()
    plain = cache.ordinary()
    next(iter(model.written(x, plain).layers[0].weights.values())).sum().backward()
    assert plain is not cache
    assert plain.ordinary() is plain
