"""TCN, GRU, PatchTST and iTransformer: what they read, what is their head, which tasks they serve."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench import BenchError, Pairs, Task
from bench.contracts.config import build
from bench.contracts.discovery import load_plugins
from bench.contracts.forecaster import FORECASTERS, abilities, parameters_of
from bench.contracts.protocol import ProtocolSpec
from bench.evaluation.pretraining import Recipe
from bench.evaluation.stream import PreparedSeries, Stream
from bench.forecasters.linear import Ridge, RidgeConfig
from bench.testing import check_forecaster, small_series, tiny_maker

torch.set_num_threads(1)
load_plugins()

CPU = torch.device("cpu")
L, H = 26, 3
TASK = Task(L, H, 3, 2, (2, 0))
HIDDEN = Task(L, H, 3, 2)
NETWORKS = ("tcn", "fsnet-tcn", "gru", "patchtst", "itransformer")
LINEAR = ("dlinear", "nlinear", "fits")


def model(name: str, task: Task = TASK, **options: Any) -> Any:
    """An untrained forecaster, small and in eval mode."""
    cls = FORECASTERS[name].cls
    config = build(cls.Config, cls.tiny | options, name)
    return Recipe(name, config, task, 0).build(CPU)


def windows(count: int = 4, rows: int = L) -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).normal(size=(count, rows, 3)).cumsum(axis=1)).float()


@pytest.mark.parametrize("name", ["ols", *LINEAR, *NETWORKS])
def test_it_keeps_the_contract(name: str) -> None:
    assert len(check_forecaster(name)) == 3


@pytest.mark.parametrize("strategy", ["frozen", "retrain"])
@pytest.mark.parametrize("name", ["ols", *LINEAR, *NETWORKS])
def test_strategies_serve_it(name: str, strategy: str) -> None:
    stage = PreparedSeries.of(series := small_series(), ProtocolSpec(preset="dense", block=5).resolve(series))
    served = Stream(stage, tiny_maker(strategy, forecaster=name)(stage), CPU)
    assert served.run(series.split.train, series.split.end, lambda *_: None) > 10


@pytest.mark.parametrize("name", NETWORKS)
def test_level_and_scale_of_a_window_are_those_of_its_forecast(name: str) -> None:
    made = model(name)
    x = windows()
    torch.testing.assert_close(made(3 * x + 100), 3 * made(x) + 100, atol=2e-2, rtol=1e-3)
    plain = model(name, normalize="none")
    assert not torch.allclose(plain(3 * x + 100), 3 * plain(x) + 100, atol=1, rtol=1e-2)


@pytest.mark.parametrize(
    ("name", "mixes"), [("gru", False), ("patchtst", False), ("tcn", True), ("itransformer", True)]
)
def test_a_channel_is_read_for_others_where_the_network_mixes_channels(name: str, mixes: bool) -> None:
    made, x = model(name), windows()
    other = x.clone()
    other[:, :, 2] = other[:, :, 2].flip(1)
    before, after = made(x), made(other)
    assert not torch.allclose(before[..., 0], after[..., 0])  # the first output is the third input
    assert torch.allclose(before[..., 1], after[..., 1], atol=1e-6) is not mixes


@pytest.mark.parametrize("name", NETWORKS)
def test_every_row_of_the_window_is_read(name: str) -> None:
    x = windows().requires_grad_()
    model(name, normalize="none")(x).square().sum().backward()
    assert x.grad is not None
    assert (x.grad[:, :, [2, 0]].abs().amax(dim=(0, 2)) > 0).all()


@pytest.mark.parametrize("name", NETWORKS)
def test_targets_that_are_not_inputs_start_from_ridge_regression(name: str) -> None:
    data = torch.from_numpy(np.random.default_rng(2).normal(size=(200, 3)).cumsum(axis=0)).float()
    pairs = Pairs(data, data[:, :2] + 1, torch.arange(L, 198), L, H)
    made, ridge = model(name, HIDDEN), Ridge(RidgeConfig(), HIDDEN)
    made.prepare(pairs)
    ridge.fit(pairs, pairs)
    x, _ = pairs.take(slice(0, 5))
    torch.testing.assert_close(made(x), ridge(x), atol=1e-2, rtol=1e-3)


# Head and backbone


@pytest.mark.parametrize("name", [*LINEAR, *NETWORKS])
@pytest.mark.parametrize("part", ["head", "backbone"])
def test_one_part_is_trained_and_the_other_stays(name: str, part: Any) -> None:
    made = model(name)
    trained = parameters_of(made, part)
    assert bool(trained) == (part in abilities(type(made))) == (part == "head" or name in NETWORKS)
    if not trained:
        return
    before = {key: value.clone() for key, value in made.state_dict().items()}
    optimizer = torch.optim.SGD(trained.values(), lr=0.1)
    made(windows()).square().sum().backward()
    optimizer.step()
    changed = {key for key, value in made.state_dict().items() if not torch.equal(value, before[key])}
    assert changed
    assert changed <= set(trained)


def test_a_forecaster_without_parts_has_none() -> None:
    ridge = Ridge(RidgeConfig(), TASK)
    assert parameters_of(ridge, "head") == {}
    assert not {"head", "backbone", "gradients"} & abilities(Ridge)


# Each network


def dilated(blocks: Any, x: Tensor) -> Tensor:
    """The last row of the TCN's blocks, every row computed, with convolutions that are dilated."""
    for i, block in enumerate(blocks):
        hidden = x
        for convolution in (block.first, block.second):
            padded = nn.functional.pad(nn.functional.gelu(hidden), (block.past * 2**i, 0))
            hidden = nn.functional.conv1d(padded, convolution.weight, convolution.bias, dilation=2**i)
        x = block.projection(x) + hidden
    return x[..., -1]


@pytest.mark.parametrize("rows", [1, 5, 26, 96])
@pytest.mark.parametrize("kernel", [2, 3])
@pytest.mark.parametrize("depth", [None, 1, 4])
def test_the_tcn_computes_the_rows_that_reach_its_output(rows: int, kernel: int, depth: int | None) -> None:
    made = model("tcn", Task(rows, H, 3, 3, (0, 1, 2)), kernel=kernel, depth=depth, normalize="none").double()
    embedded = made.embedding(windows(rows=rows).double()).transpose(1, 2)
    torch.testing.assert_close(made.blocks(embedded)[..., -1], dilated(made.blocks, embedded))
    if depth is None:
        seen = 1 + sum(2 * (kernel - 1) * 2**i for i in range(len(made.blocks)))
        assert seen >= rows
        assert len(made.blocks) == 1 or seen - 2 * (kernel - 1) * 2 ** (len(made.blocks) - 1) < rows


@pytest.mark.parametrize(("norm", "batch"), [("layer", False), ("batch", True)])
def test_patchtst_keeps_statistics_of_batches_only_where_asked(norm: str, batch: bool) -> None:
    made = model("patchtst", norm=norm)
    assert any("running_mean" in key for key in made.state_dict()) is batch
    made.train()
    assert made(windows()).shape == (4, H, 2)


@pytest.mark.parametrize(("patch", "stride"), [(4, 2), (26, 1), (5, 7), (1, 1)])
def test_patches_cover_the_window_and_its_repeated_end(patch: int, stride: int) -> None:
    made = model("patchtst", patch=patch, stride=stride)
    assert len(made.positions) == (L - patch) // stride + 2
    assert made(windows()).shape == (4, H, 2)


@pytest.mark.parametrize("step", [1, 4, 13, 40])
def test_the_gru_repeats_the_first_row_where_its_steps_need_it(step: int) -> None:
    made = model("gru", step=step, normalize="none")
    x = windows()
    longer = torch.cat([x[:, :1].expand(-1, -L % step, -1), x], dim=1)
    assert longer.shape[1] % step == 0
    whole = model("gru", Task(longer.shape[1], H, 3, 2, (2, 0)), step=step, normalize="none")
    whole.load_state_dict(made.state_dict())
    assert torch.equal(made(x), whole(longer))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("patchtst", {"patch": 30}, r"patch=30 is longer than lookback=26\. Give patch=4, or a longer lookback"),
        ("patchtst", {"width": 6, "heads": 4}, r"width=6 is no multiple of heads=4\. Give width=8, or other heads"),
        ("itransformer", {"width": 1, "heads": 4}, r"width=1 is no multiple of heads=4\. Give width=4"),
    ],
)
def test_what_cannot_be_served_is_refused_with_a_way_out(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(BenchError, match=message):
        model(name, **options)


@pytest.mark.parametrize("name", [*LINEAR, *NETWORKS])
def test_training_ends_early_where_validation_no_longer_improves(name: str) -> None:
    training = FORECASTERS[name].cls.Config().training
    assert training.patience < training.evaluations
    assert training.steps == (600 if name in NETWORKS else 2000)
