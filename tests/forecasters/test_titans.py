"""The Titans transformer: the library's, with a memory that is handed over as a value."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from functools import partial
from typing import Any, get_args

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import Tensor, nn

from bench import BenchError
from bench.forecasters.titans.memory_models import memory_model, model_options
from bench.forecasters.titans.memory_state import MemoryCache, MemoryState, Weights
from bench.forecasters.titans.transformer import Engine, TimeSeriesTitansTransformer

from ..caches import same, tensors
from ..small_titans import DIM, H, L, few, made, normal

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
    assume("neural_memory_model" not in options or options.get("memory", {}).get("heads", 1) == 1)  # built for one head
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
        with pytest.raises(BenchError, match=rf"units of {unit[0]} tokens.*fewer than a window's {unit[0]}"):
            model.write_unit(unit[0])


def test_norm_of_a_cache() -> None:
    weights: Weights = {"w": torch.tensor([[3.0, 4.0]])}
    cache = MemoryCache((MemoryState(weights, {}), MemoryState({"w": torch.tensor([[12.0]])}, {})), 1)
    assert cache.norm() == pytest.approx(13.0)
