"""Channels as independent streams, each with a memory of its own; inputs that are not targets; normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from bench import Feedback, Protocol, Task
from bench.contracts.config import build
from bench.contracts.discovery import load_plugins
from bench.contracts.strategy import STRATEGIES, History, StrategyContext
from bench.evaluation.isolation import seeded
from bench.forecasters.titans.carry import Carry
from bench.forecasters.titans.channels import ChannelFold
from bench.forecasters.titans.config import TitansConfig
from bench.forecasters.titans.forecaster import Titans
from bench.forecasters.titans.memory_state import MemoryCache, MemoryState
from tests.small_titans import ROW_TOKENS

torch.set_num_threads(1)
load_plugins()

CPU = torch.device("cpu")
L, H = 12, 3
CONFIGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "heads, two coupled memories": {
        "memory_heads": 2,
        "neural_memory_layers": (1, 2),
        "neural_mem_weight_residual": True,
    },
    "streams, long-term tokens, batches": {
        "num_residual_streams": 2,
        "num_longterm_mem_tokens": 4,
        "segment_len": 4,
        "neural_memory_batch_size": 8,
    },
    "attention memory, last": {"memory_model": "attention", "normalize": "last", "memory_momentum": False},
    "learned normalisation": {"revin_affine": True, "normalize": "mean-std", "memory_momentum_order": 2},
}


def titans(inputs: int, index: tuple[int, ...], **options: Any) -> Titans:
    """A small model, all of whose parameters are moved off their start."""
    tiny = ROW_TOKENS | {"dim": 8, "heads": 1, "dim_head": 8, "neural_memory_segment_len": 4}
    config = build(TitansConfig, tiny | options, "forecaster 'titans'")
    with seeded(0):
        model = Titans(config, Task(L, H, inputs, len(index), index)).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def close(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.allclose(one, other, atol=1e-5, rtol=1e-4)


def alone(model: Titans, columns: tuple[int, ...], **options: Any) -> Titans:
    """The model of one channel with the same weights, on the columns of its sequence, its target first."""
    single = titans(len(columns), (0,), **options)
    weights = dict(model.state_dict())
    if "normalization.affine" in weights:
        weights["normalization.affine"] = weights["normalization.affine"][:, list(columns)]
    single.load_state_dict(weights)
    return single


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def of_channel(cache: MemoryCache, channel: int, channels: int) -> MemoryCache:
    """The memories of one channel: states hold windows x channels x heads."""

    def pick(t: Tensor, axis: int) -> Tensor:
        parts = t.unflatten(axis, (cache.batch, channels, -1)).select(axis + 1, channel)
        picked: Tensor = parts.flatten(axis, axis + 1)
        return picked

    return MemoryCache(
        tuple(
            MemoryState(
                {k: pick(w, 0) for k, w in s.weights.items()},
                {k: pick(m, 1) for k, m in s.momentum.items()},
            )
            for s in cache.layers
        ),
        cache.batch,
    )


def assert_same(one: MemoryCache, other: MemoryCache) -> None:
    assert one.batch == other.batch
    for a, b in zip(one.layers, other.layers, strict=True):
        assert set(a.momentum) == set(b.momentum)
        for ours, theirs in ((a.weights, b.weights), (a.momentum, b.momentum)):
            for name, tensor in ours.items():
                assert close(tensor, theirs[name])


@given(batch=st.integers(1, 3), inputs=st.integers(1, 5), data=st.data())
@settings(max_examples=30, deadline=None, derandomize=True)
def test_folding_gives_each_target_its_own_sequence(batch: int, inputs: int, data: st.DataObject) -> None:
    index = tuple(data.draw(st.permutations(range(inputs)))[: data.draw(st.integers(1, inputs))])
    fold, rows = ChannelFold.of(inputs, index), normal(batch, L, inputs)
    folded = fold.fold(rows)
    assert folded.shape == (batch * len(index), L, 1 + inputs - len(index))
    assert fold.width == folded.shape[2]
    exogenous = [c for c in range(inputs) if c not in index]
    for b in range(batch):
        for place, target in enumerate(index):
            assert torch.equal(folded[b * len(index) + place], rows[b][:, [target, *exogenous]])
    assert torch.equal(fold.unfold(folded[:, :H, :1]), rows[:, :H, list(index)])


@pytest.mark.parametrize(("inputs", "index"), [(3, (0, 1, 2)), (4, (2, 0))], ids=["all targets", "two exogenous"])
@pytest.mark.parametrize("options", CONFIGS.values(), ids=CONFIGS)
@torch.no_grad()
def test_independent_channels_are_models_of_one_channel(
    options: dict[str, Any], inputs: int, index: tuple[int, ...]
) -> None:
    """The same weights, one channel at a time: equal forecasts, and equal memories, from window to window."""
    model, channels = titans(inputs, index, channels="independent", **options), len(index)
    fold = ChannelFold.of(inputs, index)
    singles = [alone(model, columns, **options) for columns in fold.columns]
    cache: Any = None
    caches: list[MemoryCache | None] = [None] * channels
    for step in range(3):
        x = 2 * normal(2, L, inputs, seed=step)
        if step:
            assert not close(model(x), model(x, cache))  # what was written is read
        forecast, cache = model(x, cache, return_cache=True)
        assert cache.batch == 2
        for c, (single, columns) in enumerate(zip(singles, fold.columns, strict=True)):
            expected, caches[c] = single(x[:, :, list(columns)], caches[c], return_cache=True)
            assert close(forecast[:, :, c : c + 1], expected)
            after = caches[c]
            assert after is not None
            assert_same(of_channel(cache, c, channels), after)
    assert_same(cache.last(), MemoryCache.stack([cache, cache.last()]).last())
    one = cache.last()
    assert close(model(x, one), model(x, one.expand(2)))
    assert close(model(x, cache)[1:], model(x[1:], one))
    assert_same(of_channel(one.expand(3), 0, channels), of_channel(one, 0, channels).expand(3))
    model.memory_writes = False
    silent = [alone(model, columns, **options) for columns in fold.columns]
    for c, (single, columns) in enumerate(zip(silent, fold.columns, strict=True)):
        single.memory_writes = False
        assert close(model(x, one)[:, :, c], single(x[:, :, list(columns)], of_channel(one, c, channels))[..., 0])


@pytest.mark.parametrize("options", CONFIGS.values(), ids=CONFIGS)
@torch.no_grad()
def test_each_channel_carries_its_own_memory(options: dict[str, Any]) -> None:
    model, rows = titans(3, (0, 1, 2), channels="independent", **options), normal(L + 13, 3)
    together = Carry(model, rows[:L], L)
    assert_same(together.cache, model.initial_cache(1))
    together.observe(rows[L:])
    assert together.position > 0
    for c in range(3):
        single = Carry(alone(model, (c,), **options), rows[:L, c : c + 1], L)
        single.observe(rows[L:, c : c + 1])
        assert single.position == together.position
        assert_same(of_channel(together.cache, c, 3), single.cache)


@torch.no_grad()
def test_a_channel_is_deaf_to_the_other_targets_and_hears_what_is_exogenous() -> None:
    model, x = titans(3, (0, 1), channels="independent"), normal(2, L, 3)
    before = model(x)
    for column, reacts_to in ((0, [True, False]), (1, [False, True]), (2, [True, True])):
        changed = x.clone()
        changed[:, :, column] += normal(2, L, seed=1)
        after = model(changed)
        assert [not torch.equal(before[..., c], after[..., c]) for c in range(2)] == reacts_to
    mixed = titans(3, (0, 1))
    changed = x.clone()
    changed[:, :, 1] += normal(2, L, seed=1)
    assert not torch.equal(mixed(x)[..., 0], mixed(changed)[..., 0])


def service(name: str, model: Titans, rows: Tensor) -> Any:
    entry = STRATEGIES[name]
    history = History(rows, rows, tuple(range(rows.shape[1])), None, len(rows))
    protocol = Protocol(lookback=L, horizon=H, stride=5, warm_start=False)
    options = {"online_lr": 1e-2} if name == "titans-c" else {}
    return entry.cls(
        StrategyContext(entry.cls.Config(**options), model, history, protocol, np.random.default_rng(0), CPU)
    )


@pytest.mark.parametrize("name", ["titans-a", "titans-b", "titans-c", "titans-b-stale"])
def test_every_mode_serves_independent_channels(name: str) -> None:
    """A mode on independent channels forecasts as on each of them alone, until the backbone learns from them all."""
    model, rows = titans(2, (0, 1), channels="independent"), normal(60, 2)
    strategies = [service(name, model, rows[:20])]
    strategies += [service(name, alone(model, (c,)), rows[:20, c : c + 1]) for c in range(2)]
    for t in range(20, 50, 5):
        forecasts = [
            s.predict(part[None, t - L : t])
            for s, part in zip(strategies, (rows, rows[:, :1], rows[:, 1:]), strict=True)
        ]
        assert forecasts[0].shape == (1, H, 2)
        assert close(forecasts[0], torch.cat(forecasts[1:], dim=2))
        for s, part in zip(strategies, (rows, rows[:, :1], rows[:, 1:]), strict=True):
            s.observe(part[t : t + 5])
    origins = np.arange(L, 40)
    pairs = Feedback(
        torch.stack([rows[s - L : s] for s in origins]), torch.stack([rows[s : s + H] for s in origins]), origins
    )
    before = strategies[0].predict(rows[None, -L:])
    strategies[0].adapt(pairs)
    after = strategies[0].predict(rows[None, -L:])
    assert torch.isfinite(after).all()
    assert torch.equal(before, after) == (name != "titans-c")


# Inputs and outputs


@pytest.mark.parametrize("channels", ["mixed", "independent"])
@pytest.mark.parametrize(
    ("inputs", "index"),
    [(3, (0, 1, 2)), (3, (1,)), (1, (0,)), (4, (3, 1))],
    ids=["multivariate", "one target", "univariate", "exogenous"],
)
def test_every_shape_learns(channels: str, inputs: int, index: tuple[int, ...]) -> None:
    model = titans(inputs, index, channels=channels)
    x, y = normal(4, L, inputs), normal(4, H, len(index))
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    losses = []
    for _ in range(15):
        loss = nn.functional.mse_loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_one_channel_is_the_same_either_way() -> None:
    x = normal(2, L, 1)
    assert torch.equal(titans(1, (0,))(x), titans(1, (0,), channels="independent")(x))


@pytest.mark.parametrize("channels", ["mixed", "independent"])
@pytest.mark.parametrize("normalize", ["mean-std", "blended"])
@torch.no_grad()
def test_a_learned_gain_and_shift_are_undone_on_the_forecast(channels: str, normalize: str) -> None:
    """An output of the head that equals the shift is a forecast at the window's level."""
    model = titans(3, (2, 0), revin_affine=True, normalize=normalize, channels=channels)
    assert model.normalization.affine is not None
    x, level = 3 * normal(2, L, 3), titans(3, (2, 0), normalize=normalize)
    for head in (model.prediction_head, level.prediction_head):
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
    if model.normalization.blend is not None and level.normalization.blend is not None:
        level.normalization.blend.copy_(model.normalization.blend)
    model.normalization.affine[1] = 0.5
    model.prediction_head.bias.fill_(0.5)
    assert close(model(x), level(x))
    model.normalization.affine[0] = 2.0
    model.prediction_head.bias.fill_(2.5)  # gain 2, shift 0.5: one deviation
    one = model(x)
    model.normalization.affine[0] = 1.0
    model.prediction_head.bias.fill_(1.5)
    assert close(one, model(x))
    assert not close(one, level(x))
