"""The Titans forecaster: what anchors a forecast, which options it refuses, and what a recipe gives."""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from bench import BenchError, Pairs, Task
from bench.contracts.config import build
from bench.evaluation.isolation import seeded
from bench.evaluation.pretraining import Recipe
from bench.forecasters.linear import Ridge, RidgeConfig
from bench.forecasters.titans.config import TitansConfig
from bench.forecasters.titans.forecaster import Titans
from bench.forecasters.titans.units import largest_divisor
from tests.small_titans import ROW_TOKENS

from ..small_titans import DIM, H, L, few, made, normal

# What anchors a forecast

shifts = st.floats(-50, 50, width=32)


@few
@given(shift=st.tuples(shifts, shifts, shifts), scale=st.floats(0.5, 20, width=32))
@torch.no_grad()
def test_a_forecast_follows_its_window(shift: tuple[float, float, float], scale: float) -> None:
    x, by = normal(2, L, 3), torch.tensor(shift)
    index = (2, 0)
    for normalize in ("last", "mean-std", "blended"):
        model = made(input_dim=3, output_dim=2, target_index=index, normalize=normalize)
        factor = scale if normalize == "mean-std" else 1.0
        expected = factor * model(x) + by[list(index)]
        torch.testing.assert_close(model(factor * x + by), expected, atol=2e-3, rtol=2e-3)


@torch.no_grad()
def test_a_blended_level_lies_between_the_last_chunk_and_the_last_row() -> None:
    x = 3 * normal(2, L, 2)
    model = made(normalize="blended")
    nn.init.zeros_(model.prediction_head.weight)
    nn.init.zeros_(model.prediction_head.bias)
    assert model.normalization.blend is not None
    mean, last = x[:, -model.chunk :].mean(dim=1), x[:, -1]
    model.normalization.blend.copy_(torch.tensor([-20.0, 0.0, 20.0]))
    torch.testing.assert_close(model(x), torch.stack([mean, (mean + last) / 2, last], dim=1))
    nn.init.constant_(model.prediction_head.bias, 1.0)
    for growth in (
        1.0,
        1e3,
    ):  # however much a channel grows, a forecast is at most one training deviation off its level
        off = model(growth * x)[:, 0] - growth * mean
        assert 0 < off.min() <= off.max() < 1.001
    assert made(normalize="last").normalization.blend is None


@torch.no_grad()
def test_without_an_anchor_a_shift_is_read_as_it_is() -> None:
    x = normal(2, L, 2)
    unanchored = made(normalize="none")
    assert not torch.allclose(unanchored(x + 5), unanchored(x) + 5, atol=0.1)
    hidden = made(output_dim=1)  # an output that is not an input: only inputs are taken off their level
    torch.testing.assert_close(hidden(x + 5), hidden(x), atol=1e-4, rtol=1e-4)


def titans(task: Task, **options: Any) -> Titans:
    tiny = ROW_TOKENS | {"dim": DIM, "heads": 1, "dim_head": 8, "neural_memory_segment_len": 4}
    with seeded(0):
        return Titans(build(TitansConfig, tiny | options, "forecaster 'titans'"), task).eval()


@torch.no_grad()
def test_hidden_targets_are_anchored_by_ridge_regression() -> None:
    task = Task(L, H, 2, 1)
    inputs = normal(80, 2)
    targets = inputs.cumsum(0)[:, :1] * 0.1 + 3
    targets[40] = torch.nan  # a hidden target; its pairs are left out
    pairs = Pairs(inputs, targets, torch.arange(L, 80 - H + 1), L, H)
    model, ridge = titans(task), Ridge(RidgeConfig(), task)
    model.prepare(pairs)
    ridge.fit(pairs, pairs)
    windows = normal(4, L, 2, seed=1)
    torch.testing.assert_close(model(windows), ridge(windows), atol=1e-4, rtol=1e-4)  # the head starts at zero
    assert model.normalization.anchor is not None
    assert not any(p.requires_grad for p in model.normalization.anchor.parameters())
    again = titans(task)
    again.load_state_dict(model.state_dict())
    assert torch.equal(again(windows), model(windows))
    nn.init.normal_(model.prediction_head.weight)
    assert not torch.allclose(model(windows), ridge(windows), atol=1e-2)


def test_targets_among_the_inputs_need_no_ridge() -> None:
    task = Task(L, H, 2, 2, (0, 1))
    model = titans(task)
    assert model.normalization.anchor is None
    before = {name: t.clone() for name, t in model.state_dict().items()}
    model.prepare(Pairs(normal(60, 2), normal(60, 2), torch.arange(L, 50), L, H))
    assert all(torch.equal(t, before[name]) for name, t in model.state_dict().items())


# Options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"neural_memory_batch_size": 6}, r"must be a multiple of the memory chunk \(4\)"),
        ({"neural_memory_layers": (1, 3)}, "names layer 3, but depth is 2"),
        ({"neural_memory_segment_len": 13}, "a window of 12 tokens holds no memory chunk of 13"),
        (
            {"neural_memory_segment_len": 21, "num_longterm_mem_tokens": 4, "segment_len": 4},
            "a window of 20 tokens holds no memory chunk of 21",
        ),
        ({"memory_dim_head": 4}, r"memory_dim_head must be dim \(8\) where memory_heads is 1"),
        ({"neural_memory_segment_len": 1, "attn_pool_chunks": True}, "needs a memory chunk of more than one row"),
        ({"memory_head": 2}, "unknown option 'memory_head'. Did you mean 'memory_heads'"),
    ],
)
def test_what_the_library_cannot_do_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BenchError, match=message):
        titans(Task(L, H, 2, 2, (0, 1)), **options)


@pytest.mark.parametrize(
    "options",
    [
        {"num_residual_streams": 4},
        {"num_longterm_mem_tokens": 4},
        {"memory_heads": 2, "neural_memory_layers": (1, 2)},
        {"memory_momentum": False, "spectral_norm_surprises": True, "neural_memory_batch_size": 8},
        {"attn_pool_chunks": True, "per_parameter_lr_modulation": True, "qk_rmsnorm": False, "memory_depth": 1},
    ],
)
def test_every_option_serves_and_learns(options: dict[str, Any]) -> None:
    model = titans(Task(L, H, 3, 2, (2, 0)), **options)
    loss = model(normal(2, L, 3)).square().mean()
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_a_recipe_gives_the_same_weights_every_time() -> None:
    """Hyper-connections choose a stream by Python's own generator, which a seed of torch does not reach."""
    recipe = Recipe("titans", TitansConfig(dim=8, num_residual_streams=4), Task(L, H, 2, 2, (0, 1)), seed=3)
    built = []
    for chance in range(4):
        random.seed(chance)
        built.append(recipe.build(torch.device("cpu")).state_dict())
    first, *others = built
    for other in others:
        assert all(torch.equal(tensor, other[name]) for name, tensor in first.items())
    random.seed(5)
    expected = random.random()
    random.seed(5)
    recipe.build(torch.device("cpu"))
    assert random.random() == expected  # nobody else's numbers are disturbed


@pytest.mark.parametrize(("number", "divisor"), [(96, 24), (12, 12), (168, 24), (97, 1), (100, 20)])
def test_largest_divisor(number: int, divisor: int) -> None:
    assert largest_divisor(number, 24) == divisor
