"""The Titans forecaster: the library's transformer, a memory handed over as a value, what anchors a forecast."""

from __future__ import annotations

import random
from dataclasses import FrozenInstanceError
from functools import partial
from typing import Any, get_args

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from bench import BenchError, Pairs, Task
from bench.config import build
from bench.forecasters.linear import Ridge, RidgeConfig
from bench.forecasters.memory import MemoryCache, MemoryState, Weights
from bench.forecasters.memory_models import memory_model, model_options
from bench.forecasters.titans import Engine, TimeSeriesTitansTransformer
from bench.forecasters.titans_limits import largest_divisor
from bench.forecasters.titans_options import Titans, TitansConfig
from bench.training import Recipe, seeded

torch.set_num_threads(1)

DIM, L, H = 8, 12, 3
few = settings(max_examples=12, deadline=None, derandomize=True)

# Every option of the library that a user can reach, alone or where it interacts.
LIBRARY: dict[str, dict[str, Any]] = {
    "plain": {},
    "long-term tokens": {"num_longterm_mem_tokens": 4, "segment_len": 4},
    "long-term tokens, chunk across segments": {"num_longterm_mem_tokens": 4, "segment_len": 6},
    "persistent tokens": {"num_persist_mem_tokens": 3},
    "residual streams": {"num_residual_streams": 4},
    "residual streams, long-term tokens": {"num_residual_streams": 4, "num_longterm_mem_tokens": 4, "segment_len": 5},
    "two memories": {"neural_memory_layers": (1, 2)},
    "three layers": {"depth": 3, "neural_memory_layers": (1, 3)},
    "memory in the second layer": {"neural_memory_layers": (2,)},
    "two heads": {"heads": 2, "memory": {"heads": 2, "dim_head": 4}},
    "short segments": {"segment_len": 5},
    "sliding attention": {"segment_len": 4, "sliding_window_attn": True},
    "chunk that does not divide": {"neural_memory_segment_len": 5},
    "writes in batches": {"neural_memory_batch_size": 4},
    "writes in larger batches": {"neural_memory_batch_size": 8, "neural_memory_layers": (1, 2)},
    "attention-pooled chunks": {"memory": {"attn_pool_chunks": True}},
    "normalised queries and keys": {"memory": {"qk_rmsnorm": True}},
    "step for each weight": {"memory": {"per_parameter_lr_modulation": True}},
    "orthogonal surprises": {"memory": {"spectral_norm_surprises": True}},
    "no momentum": {"memory": {"momentum": False}},
    "coupled memories": {"neural_mem_weight_residual": True, "neural_memory_layers": (1, 2)},
    "gated attention": {"neural_mem_gate_attn_output": True},
    "gated attention, streams": {"neural_mem_gate_attn_output": True, "num_residual_streams": 4},
    "views of other layers": {"neural_memory_qkv_receives_diff_views": True, "neural_memory_layers": (1, 2)},
    "views of other layers, streams": {
        "neural_memory_qkv_receives_diff_views": True,
        "neural_memory_layers": (1, 2),
        "num_residual_streams": 4,
    },
    "sliding attention, long-term and persistent tokens": {
        "segment_len": 4,
        "sliding_window_attn": True,
        "num_longterm_mem_tokens": 2,
        "num_persist_mem_tokens": 2,
    },
    "gated and coupled": {
        "neural_mem_gate_attn_output": True,
        "neural_mem_weight_residual": True,
        "neural_memory_layers": (1, 2),
    },
    "two momenta, combined": {
        "memory": {"momentum_order": 2, "learned_momentum_combine": True, "learned_combine_include_zeroth": True}
    },
    "two keys and values": {"memory": {"num_kv_per_token": 2, "heads": 2, "dim_head": 4}},
    "values looked ahead at": {"memory": {"store_with_lookahead_value": True}},
    "gated transition": {"neural_memory_batch_size": 4, "memory": {"gated_transition": True}},
    "gated transition, two memories": {
        "neural_memory_batch_size": 4,
        "neural_memory_layers": (1, 2),
        "memory": {"gated_transition": True},
    },
    "bounded surprise": {"memory": {"max_grad_norm": 0.1, "post_rmsnorm": True, "pre_rmsnorm": False}},
    "one initial memory for all heads": {"memory": {"heads": 2, "dim_head": 4, "per_head_learned_parameters": False}},
    "attention as memory": {"neural_memory_model": memory_model("attention", DIM, model_options("attention")[0])},
    "gated residual as memory": {
        "neural_memory_model": memory_model("gated_residual", DIM, model_options("gated_residual")[0]),
        "memory": {"mem_model_norm_add_residual": False},
    },
}


class Stash(nn.Module):
    """A token embedding that ignores the positions it is given and answers with rows laid out before."""

    def __init__(self, rows: Tensor) -> None:
        super().__init__()
        self.rows = rows

    def forward(self, positions: Tensor) -> Tensor:
        assert positions.shape == self.rows.shape[:2]
        return self.rows


def made(memory: dict[str, Any] | None = None, **options: Any) -> TimeSeriesTitansTransformer:
    """A small model in ``eval()`` whose parameters, those that start at zero too, are all moved off their start."""
    settled: dict[str, Any] = {
        "input_dim": 2,
        "output_dim": 2,
        "pred_len": H,
        "dim": DIM,
        "depth": 2,
        "segment_len": L,
        "neural_memory_segment_len": 4,
        "dim_head": 8,
        "heads": 1,
    }
    step = {"default_step_transform_max_lr": 0.1, "default_model_kwargs": {"depth": 2, "expansion_factor": 2.0}}
    with seeded(1):
        model = TimeSeriesTitansTransformer(
            **settled | options, neural_memory_kwargs=step | (memory or {"dim_head": DIM})
        )
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def tensors(cache: MemoryCache) -> list[Tensor]:
    return [t for layer in cache.layers for part in (layer.weights, layer.momentum) for t in part.values()]


def same(one: MemoryCache, other: MemoryCache) -> bool:
    return all(torch.equal(a, b) for a, b in zip(tensors(one), tensors(other), strict=True))


@torch.no_grad()
def written(model: TimeSeriesTitansTransformer, rows: Tensor, cache: MemoryCache | None = None) -> MemoryCache:
    _, after = model(rows, cache, return_cache=True)
    assert isinstance(after, MemoryCache)
    return after


# The library's own forward pass


@torch.no_grad()
def compare_with_the_library(model: TimeSeriesTitansTransformer, values: Tensor, tolerance: float = 1e-5) -> None:
    library = model.transformer
    library.token_emb = Stash(values)
    for layer in library.layers:  # the library's softmax is in float32, whatever the weights are in
        layer[5].attend.attn_fn = partial(nn.functional.softmax, dim=-1, dtype=values.dtype)
    positions = torch.arange(values.shape[1]).expand(len(values), -1)
    expected, (_, _, expected_states) = library(positions, return_cache=True)
    for engine in get_args(Engine):
        model.memory_engine = engine
        hidden, states = model._encode(values, None, model._whole_chunks(values.shape[1]))
        torch.testing.assert_close(hidden, expected[:, -1], atol=tolerance, rtol=tolerance)
        assert len(states) == len(expected_states)
        for state, theirs in zip(states, expected_states, strict=True):
            weights, momentum = theirs.states
            if model.memories[0].to_momentum is None:  # which the library hands on where no chunk was full
                momentum = {}
            for ours, other in ((state.weights, weights), (state.momentum, momentum)):
                assert set(ours) == set(other.keys())
                for name, tensor in ours.items():
                    torch.testing.assert_close(tensor, other[name], atol=tolerance, rtol=tolerance)


@pytest.mark.parametrize("length", [L, 13, 7])
@pytest.mark.parametrize("options", LIBRARY.values(), ids=LIBRARY)
def test_the_transformer_is_the_librarys(options: dict[str, Any], length: int) -> None:
    # Hyper-connections balance their streams in float32 whatever they are given.
    tolerance = 1e-6 if options.get("num_residual_streams", 1) > 1 else 1e-9
    compare_with_the_library(made(**options).double(), normal(3, length, DIM).double(), tolerance)


@few
@given(data=st.data())
def test_the_transformer_is_the_librarys_whatever_the_options(data: st.DataObject) -> None:
    options: dict[str, Any] = {}
    for name in data.draw(st.sets(st.sampled_from(sorted(LIBRARY)), min_size=2, max_size=4)):
        chosen = dict(LIBRARY[name])
        memory = {**options.get("memory", {}), **chosen.pop("memory", {})}
        options |= chosen | ({"memory": memory} if memory else {})
    if options.get("neural_memory_batch_size", 0) % options.get("neural_memory_segment_len", 4):
        options["neural_memory_batch_size"] = options["neural_memory_segment_len"]
    values = normal(data.draw(st.integers(1, 3)), data.draw(st.integers(2, 20)), DIM)
    # Orthogonalised surprises amplify float32's rounding past any bound; in float64 there is no room for excuses.
    # Hyper-connections balance their streams in float32 whatever they are given.
    tolerance = 1e-6 if options.get("num_residual_streams", 1) > 1 else 1e-9
    compare_with_the_library(made(**options).double(), values.double(), tolerance)


def test_the_comparison_notices_a_difference() -> None:
    model = made()
    model.memory_writes = False
    with pytest.raises(AssertionError):
        compare_with_the_library(model, normal(2, L, DIM))


# The cache is a value


@pytest.mark.parametrize("options", [LIBRARY["plain"], LIBRARY["two heads"], LIBRARY["no momentum"]])
def test_a_cache_is_immutable_and_detached(options: dict[str, Any]) -> None:
    model = made(**options)
    forecast, cache = model(normal(2, L, 2), return_cache=True)
    assert forecast.shape == (2, H, 2)
    assert forecast.requires_grad
    assert (cache.batch, len(cache.layers)) == (2, 1)
    assert not any(t.requires_grad for t in tensors(cache))
    for holder, attribute in ((cache, "batch"), (cache, "layers"), (cache.layers[0], "weights")):
        with pytest.raises(FrozenInstanceError):
            setattr(holder, attribute, None)
    copies = [t.clone() for t in tensors(cache)]
    model(normal(2, L, 2, seed=1), cache, return_cache=True)[0].sum().backward()
    assert all(torch.equal(t, copy) for t, copy in zip(tensors(cache), copies, strict=True))


@pytest.mark.parametrize("options", LIBRARY.values(), ids=LIBRARY)
@torch.no_grad()
def test_the_learned_initial_memory_is_what_no_cache_means(options: dict[str, Any]) -> None:
    model, x = made(**options), normal(3, L, 2)
    forecast = model(x)
    assert torch.equal(forecast, model(x, model.initial_cache()))
    torch.testing.assert_close(forecast, model(x, model.initial_cache(3)), atol=1e-5, rtol=1e-5)
    assert same(written(model, x), written(model, x, model.initial_cache()))


@pytest.mark.parametrize("options", LIBRARY.values(), ids=LIBRARY)
@torch.no_grad()
def test_one_cache_serves_a_batch_as_its_copies_do(options: dict[str, Any]) -> None:
    model = made(**options)
    cache, x = written(model, normal(1, L, 2)), normal(3, L, 2, seed=1)
    forecast = model(x, cache)
    for copies in (cache.expand(3), MemoryCache.stack([cache] * 3)):
        torch.testing.assert_close(forecast, model(x, copies), atol=1e-5, rtol=1e-5)
    assert not torch.equal(forecast, model(x))  # what was written is read
    alone = torch.cat([model(x[b : b + 1], cache) for b in range(3)])
    torch.testing.assert_close(forecast, alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("options", [LIBRARY["two heads"], LIBRARY["two memories"], LIBRARY["coupled memories"]])
@torch.no_grad()
def test_stack_expand_and_last_agree(options: dict[str, Any]) -> None:
    model = made(**options)
    caches = [written(model, normal(1, L, 2, seed=i)) for i in range(3)]
    assert not same(caches[0], caches[1])
    stacked = MemoryCache.stack(caches)
    assert stacked.batch == 3
    assert same(stacked.last(), caches[2])
    assert same(MemoryCache.stack(caches[:2]).last(), caches[1])
    assert same(MemoryCache.stack([caches[0]] * 3), caches[0].expand(3))
    assert same(caches[0].expand(3).last(), caches[0])
    assert caches[0].expand(1) is caches[0]
    assert MemoryCache.stack([stacked, caches[0]]).batch == 4
    with pytest.raises(ValueError, match="a cache for 3 windows cannot serve 2"):
        model(normal(2, L, 2), stacked)
    x = normal(3, L, 2, seed=9)
    alone = torch.cat([model(x[b : b + 1], cache) for b, cache in enumerate(caches)])
    torch.testing.assert_close(model(x, stacked), alone, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_handing_over_from_window_to_window() -> None:
    model = made(**LIBRARY["two memories"])
    windows = normal(4, 1, L, 2)
    cache, norms = None, []
    for window in windows:
        cache = written(model, window, cache)
        norms.append(cache.norm())
    assert cache is not None
    assert len(set(norms)) == 4
    assert np.isfinite(norms).all()
    # the first window still matters to a forecast three windows later
    other = None
    for window in [windows[0] + torch.linspace(0, 1, L)[:, None], *windows[1:]]:
        other = written(model, window, other)
    assert not torch.equal(model(windows[0], cache), model(windows[0], other))


@few
@given(first=st.integers(1, 2), seed=st.integers(0, 99))
@torch.no_grad()
def test_a_handed_over_memory_goes_on_where_it_stopped(first: int, seed: int) -> None:
    """With weights that move after every chunk, writing in two goes is writing in one: nothing is lost between."""
    model, x = made(neural_memory_batch_size=4, normalize="none", num_longterm_mem_tokens=0), normal(2, L, 2, seed=seed)
    nn.init.zeros_(model.transformer.axial_pos_emb.mlps[0][-1].weight)  # a chunk is the same wherever it stands
    nn.init.zeros_(model.transformer.axial_pos_emb.mlps[0][-1].bias)
    _, at_once = model.run(x, None, L)
    _, begun = model.run(x, None, 4 * first)
    _, in_two = model.run(x[:, 4 * first :], begun, L - 4 * first)
    assert at_once is not None
    assert in_two is not None
    for a, b in zip(tensors(at_once), tensors(in_two), strict=True):
        torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("engine", get_args(Engine))
@pytest.mark.parametrize("options", LIBRARY.values(), ids=LIBRARY)
@torch.no_grad()
def test_a_unit_is_written_as_a_forward_pass_over_the_whole_window_writes_it(
    options: dict[str, Any], engine: Engine
) -> None:
    if options.get("num_longterm_mem_tokens") and options["segment_len"] != 4:
        options = options | {"segment_len": 4}  # a unit shorter than the window
    model, x = made(**options, memory_engine=engine).double(), normal(2, L, 2).double()
    held = written(model, normal(1, L, 2, seed=1).double())
    forecast, after = model.run(x, held, model.write_unit(L)[1])
    assert torch.allclose(forecast, model(x, held), atol=1e-12)
    assert after is not None
    for a, b in zip(tensors(model.write(x, held)), tensors(after), strict=True):
        torch.testing.assert_close(a, b, atol=1e-9, rtol=1e-9)


# Writes switched off


@torch.no_grad()
def test_without_writes_the_cache_comes_back_as_it_was() -> None:
    model = made(**LIBRARY["two memories"])
    start = written(model, normal(2, L, 2))
    model.memory_writes = False
    assert same(written(model, normal(2, L, 2, seed=1), start), start)
    assert same(written(model, normal(2, L, 2, seed=1)), model.initial_cache(2))


def without_steps(model: TimeSeriesTitansTransformer) -> TimeSeriesTitansTransformer:
    """The same model whose writes are all of size zero: no step, and no decay."""
    model.set_memory(max_lr=0.0)
    for memory in model.memories:
        nn.init.zeros_(memory.to_decay_factor[0].weight)
        nn.init.constant_(memory.to_decay_factor[0].bias, -1e9)
    return model


def at_rest(cache: MemoryCache) -> MemoryCache:
    """The same memory without momentum, which would go on moving it."""
    still = (MemoryState(s.weights, {k: torch.zeros_like(m) for k, m in s.momentum.items()}) for s in cache.layers)
    return MemoryCache(tuple(still), cache.batch)


# The library bounds a surprise by dividing by its norm, which has no answer to steps of zero.
UNBOUNDED = {name: options for name, options in LIBRARY.items() if "max_grad_norm" not in options.get("memory", {})}


@pytest.mark.parametrize("options", UNBOUNDED.values(), ids=UNBOUNDED)
@torch.no_grad()
def test_without_writes_the_memory_is_only_read(options: dict[str, Any]) -> None:
    x, model = normal(3, 13, 2), made(**options)
    held = written(model, normal(1, L, 2, seed=1))
    copies = [t.clone() for t in tensors(held)]
    model.memory_writes = False
    for cache in (None, held):
        forecast, states = model.run(x, cache)
        assert states is None
        still = without_steps(made(**options))
        torch.testing.assert_close(forecast, still(x, at_rest(cache) if cache else None), atol=1e-5, rtol=1e-5)
    assert all(torch.equal(t, copy) for t, copy in zip(tensors(held), copies, strict=True))
    silent = model(x)
    model.memory_writes = True
    assert not torch.allclose(silent, model(x), atol=1e-5)


def test_without_writes_nothing_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = made(**LIBRARY["coupled memories"], memory_engine="reference"), normal(2, L, 2)

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a memory was written")

    for memory in model.memories:
        monkeypatch.setattr(memory, "store_memories", refuse)
    with pytest.raises(AssertionError, match="a memory was written"):
        model(x)
    model.memory_writes = False
    assert model(x).shape == (2, H, 2)


# What learns


def test_freezing_leaves_the_memories_trainable() -> None:
    model = made(**LIBRARY["two memories"], num_longterm_mem_tokens=4, num_persist_mem_tokens=2)
    model.freeze_non_memory_params()
    trainable = {name for name, p in model.named_parameters() if p.requires_grad}
    layers = [f"transformer.layers.{i}.4." for i in range(2)]
    assert trainable == {name for name, _ in model.named_parameters() if name.startswith(tuple(layers))}
    assert trainable
    model(normal(2, L, 2)).sum().backward()
    with_gradient = {name for name, p in model.named_parameters() if p.grad is not None}
    assert with_gradient
    assert with_gradient <= trainable


def test_the_initial_memory_can_be_trained() -> None:
    model = made(**LIBRARY["two heads"])
    before = {name: t.clone() for name, t in model.state_dict().items()}
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    model(normal(2, L, 2)).square().mean().backward()
    optimizer.step()
    moved = {name for name, t in model.state_dict().items() if not torch.equal(t, before[name])}
    initial = {f"transformer.layers.0.4.memory_model_parameters.{i}" for i in range(3)}
    assert initial <= moved
    assert not any(".memory_model." in name for name in moved)


def test_changing_how_the_memory_writes() -> None:
    model, x = made(segment_len=L), normal(2, L, 2)
    before = model(x)
    model.set_memory()
    assert torch.equal(model(x), before)
    model.set_memory(max_lr=0.05)
    slower = model(x)
    model.set_memory(batch_size=4)
    assert len({t.sum().item() for t in (before, slower, model(x))}) == 3
    with pytest.raises(BenchError, match=r"neural_memory_batch_size=6 must be a multiple of the memory chunk \(4\)"):
        model.set_memory(batch_size=6)


@pytest.mark.parametrize(
    ("options", "unit"),
    [
        ({}, (4, 4)),
        ({"neural_memory_segment_len": 5}, (5, 5)),
        ({"num_longterm_mem_tokens": 4, "segment_len": 4}, (4, 8)),
        ({"num_longterm_mem_tokens": 4, "segment_len": 6, "neural_memory_segment_len": 4}, (12, 20)),
        ({"num_longterm_mem_tokens": 2, "segment_len": 3, "neural_memory_segment_len": 4}, (12, 20)),
        ({"num_longterm_mem_tokens": 1, "segment_len": 7, "neural_memory_segment_len": 2}, (7, 8)),
    ],
)
def test_unit_of_writing(options: dict[str, Any], unit: tuple[int, int]) -> None:
    model = made(**options)
    assert model.write_unit(100) == unit
    if model.transformer.num_longterm_mem_tokens:
        assert model.write_unit(unit[0] + 1) == unit
        with pytest.raises(BenchError, match=rf"units of {unit[0]} rows.*fewer than the lookback of {unit[0]}"):
            model.write_unit(unit[0])


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
    tiny = {"dim": DIM, "heads": 1, "dim_head": 8, "neural_memory_segment_len": 4}
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


def test_norm_of_a_cache() -> None:
    weights: Weights = {"w": torch.tensor([[3.0, 4.0]])}
    cache = MemoryCache((MemoryState(weights, {}), MemoryState({"w": torch.tensor([[12.0]])}, {})), 1)
    assert cache.norm() == pytest.approx(13.0)
