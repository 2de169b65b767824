"""The Titans forecaster on patches, added to a ridge regression; and what it was before, by options."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.contracts.config import build
from bench.contracts.errors import BenchError
from bench.contracts.forecaster import FORECASTERS, PARTS, Pairs, Task, TrainingConfig, abilities, parameters_of
from bench.evaluation.isolation import seeded
from bench.evaluation.pretraining import Recipe, train_by_gradients
from bench.forecasters.titans.carry import Carry
from bench.forecasters.titans.config import TitansConfig
from bench.forecasters.titans.forecaster import Titans
from tests.small_titans import ROW_TOKENS

torch.set_num_threads(1)

CPU = torch.device("cpu")
TASK = Task(12, 3, 2, 2, (0, 1))
SMALL = {"dim": 8, "heads": 1, "dim_head": 8, "patch_len": 3, "write_dropout": 0.0}


def configured(**options: Any) -> TitansConfig:
    return build(TitansConfig, SMALL | options, "forecaster 'titans'")


def titans(task: Task = TASK, **options: Any) -> Titans:
    return Recipe("titans", configured(**options), task, seed=0).build(CPU)  # type: ignore[no-any-return]


def moved(model: Titans) -> Titans:
    """The model with all parameters, those that start at zero too, off their start."""
    with seeded(1), torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def pairs_of(rows: Tensor, start: int, end: int, task: Task = TASK) -> Pairs:
    return Pairs(rows, rows[:, list(task.target_index or ())], torch.arange(start, end), task.lookback, task.horizon)


# The skip


def test_before_training_it_is_ridge_regression() -> None:
    rows = normal(200, 2).cumsum(0) / 10
    pairs = pairs_of(rows, 12, 150)
    model = titans(skip_bound=None)
    model.prepare(pairs)
    ridge = Recipe("ridge", build(FORECASTERS["ridge"].cls.Config, {}, "ridge"), TASK, 0).train(pairs, pairs, CPU)
    windows = normal(5, 12, 2, seed=3)
    torch.testing.assert_close(model(windows), ridge(windows), rtol=1e-4, atol=1e-5)


def test_a_window_far_louder_than_training_does_not_make_the_steps_of_the_regression_louder() -> None:
    model = titans(skip_bound=4.0)
    model.prepare(pairs_of(normal(200, 2), 12, 150))
    window = normal(1, 12, 2)
    window = (window - window[:, -1:]) / window.std(dim=1, keepdim=True, correction=0)  # deviation 1, last row 0
    assert model.normalization.anchor is not None
    with torch.no_grad():
        model.normalization.anchor.bias.zero_()
    quiet, at, beyond = (model(window * scale) for scale in (1.0, 4.0, 40.0))
    torch.testing.assert_close(at, 4 * quiet, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(beyond, at, rtol=1e-4, atol=1e-5)


def test_training_that_helps_nothing_leaves_the_regression() -> None:
    """White noise: the transformer can learn nothing, and the weights before the first step are the best."""
    rows = normal(400, 2)
    model = titans(dropout=0.0)
    pairs, validation = pairs_of(rows, 12, 60), pairs_of(rows, 100, 390)
    model.prepare(pairs)
    before = model(rows[None, :12])
    recipe = TrainingConfig(steps=60, batch=16, lr=3e-2, evaluations=6, patience=6, validation_windows=300)
    curve = train_by_gradients(model, pairs, validation, recipe, seed=0)
    assert min(curve.errors, key=lambda step: curve.errors[step]) == 0
    torch.testing.assert_close(model(rows[None, :12]), before)


# Patches


@pytest.mark.parametrize(
    ("lookback", "horizon", "rows"), [(168, 24, 24), (96, 24, 24), (64, 1, 8), (90, 24, 18), (13, 1, 1)]
)
def test_patches_by_default(lookback: int, horizon: int, rows: int) -> None:
    assert TitansConfig().token_rows(Task(lookback, horizon, 1, 1, (0,))) == rows


def test_a_window_that_is_not_whole_patches_is_refused_with_a_way_out() -> None:
    with pytest.raises(BenchError, match=r"12 rows is not whole tokens of patch_len=5 rows. It can with patch_len = 6"):
        Titans.check_task(configured(patch_len=5), TASK, "cpu")


def test_a_patch_is_a_token() -> None:
    """The rows of a patch reach the model through one projection."""
    model = moved(titans())
    assert model.input_projection.in_features == 3 * 2
    assert model.chunk * model.patch_len <= 24
    x = normal(1, 12, 2)
    rows, _, _ = model.normalization(x)
    tokens = torch.stack([rows[0, i : i + 3].flatten() for i in range(0, 12, 3)])
    torch.testing.assert_close(model._tokens(rows)[0], model.input_projection(tokens))


@pytest.mark.parametrize("options", [{}, {"channels": "independent"}, {"num_longterm_mem_tokens": 2, "segment_len": 2}])
def test_writing_the_head_of_a_window_is_what_the_forecast_writes(options: dict[str, Any]) -> None:
    """`written` computes less than `run` does, and leaves the same memory."""
    model = moved(titans(neural_memory_segment_len=1, **options))
    rows, tokens = model.write_unit(12)
    assert rows % 3 == 0
    x = normal(2, 12, 2)
    start = model.initial_cache(2)
    whole, part = model.run(x, start, after=tokens)[1], model.written(x, start)
    assert whole is not None
    for one, other in zip(whole.layers, part.layers, strict=True):
        for name in one.weights:
            torch.testing.assert_close(one.weights[name], other.weights[name])


def test_a_carried_memory_advances_by_whole_patches() -> None:
    model = moved(titans(neural_memory_segment_len=2))
    rows = normal(40, 2)
    carry = Carry(model, rows[:12], 12)
    carry.observe(rows[12:17])
    assert carry.position == 0
    carry.observe(rows[17:18])
    assert carry.position == 6


# What training drops


def test_dropped_writes_are_passes_that_read_only() -> None:
    model = moved(titans(dropout=0.0, write_dropout=0.5))
    x = normal(4, 12, 2)
    writing, reading = model(x).clone(), None
    model.memory_writes = False
    reading = model(x).clone()
    model.memory_writes = True
    assert not torch.allclose(writing, reading)
    model.train()
    with seeded(0):
        made = [model(x).detach() for _ in range(40)]
    kinds = [torch.allclose(one, writing, atol=1e-5) for one in made]
    assert all(
        torch.allclose(one, writing if kind else reading, atol=1e-5) for one, kind in zip(made, kinds, strict=True)
    )
    assert 8 < sum(kinds) < 32
    assert model.memory_writes


def test_nothing_is_dropped_in_service() -> None:
    model = moved(titans(dropout=0.5, write_dropout=0.5))
    x = normal(2, 12, 2)
    assert torch.equal(model(x), model(x))


# What it was before


def test_the_earlier_model_is_there_by_options() -> None:
    """A token for each row and no skip; its forecast on this input as the version before patches computed it."""
    options = ROW_TOKENS | {"dim": 8, "heads": 1, "dim_head": 8, "neural_memory_segment_len": 4, "patch_len": 1}
    model = titans(**options)
    assert model.normalization.anchor is None
    forecast = model(torch.from_numpy(np.sin(np.arange(24, dtype=np.float32)).reshape(1, 12, 2)))
    expected = [-0.34932721, -0.1884397, -0.34401718, -0.26175168, -0.00431252, -1.14859581]
    np.testing.assert_allclose(forecast.detach().flatten().tolist(), expected, rtol=1e-4)


@pytest.mark.parametrize("options", [{}, ROW_TOKENS, {"revin_affine": True}])
def test_head_and_backbone_hold_each_trained_weight_once(options: dict[str, Any]) -> None:
    model = titans(**options)
    assert {"head", "memory", "gradients"} <= abilities(Titans)
    trained = sorted(name for name, weight in model.named_parameters() if weight.requires_grad)
    assert sorted(name for part in PARTS for name in parameters_of(model, part)) == trained
    assert set(parameters_of(model, "head")) == {"prediction_head.weight", "prediction_head.bias"}
