"""The fast memory engine against the library's neural memory: same parameters, same answers, states and gradients."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from titans_pytorch import NeuralMemory
from titans_pytorch.memory_models import MemorySwiGluMLP
from torch import Tensor, nn

from bench.evaluation.isolation import seeded
from bench.forecasters.titans.fast_engine import memory as engine
from bench.forecasters.titans.fast_engine.gates import products, recurrence
from bench.forecasters.titans.fast_engine.memory import remember, uncovered
from bench.forecasters.titans.fast_engine.orthogonal import BLOCK, orthogonalized
from bench.forecasters.titans.memory_state import MemoryState, Remembered
from bench.forecasters.titans.reference import remember_by_library

torch.set_num_threads(1)

DIM = 8
many = settings(max_examples=120, deadline=None, derandomize=True)
some = settings(max_examples=40, deadline=None, derandomize=True)


@dataclass(frozen=True)
class Case:
    """A memory, what it is given, and what it starts from."""

    options: dict[str, Any]
    batch: int
    length: int
    seed: int
    carried: bool  # from a memory that was carried, with momentum; not from the learned initial one
    same_view: bool
    builds: bool = False  # whether the weights after each chunk are built, whatever it costs

    @property
    def written(self) -> int:
        chunk: int = self.options["chunk_size"]
        return self.length // chunk * chunk

    def memory(self, dtype: torch.dtype) -> Any:
        with seeded(self.seed):
            memory = NeuralMemory(**self.options)
            for i, parameter in enumerate(memory.memory_model_parameters):  # expanded views are not leaves
                memory.memory_model_parameters[i] = nn.Parameter(parameter.detach().clone())
            memory.memory_model.requires_grad_(requires_grad=False)
            with torch.no_grad():
                for parameter in memory.parameters():
                    parameter.add_(0.1 * torch.randn_like(parameter))
        return memory.to(dtype)

    def views(self, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
        with seeded(self.seed):
            q, k, v = torch.randn(3, self.batch, self.length, DIM).to(dtype)
        return (q, q, q) if self.same_view else (q, k, v)

    def start(self, memory: Any, dtype: torch.dtype) -> MemoryState | None:
        if not self.carried:
            return None
        with seeded(self.seed), torch.no_grad():
            weights = memory.init_weights(self.batch)
            momentum = memory.init_momentum(self.batch) if memory.to_momentum is not None else {}
            return MemoryState(
                {k: (w.float() + 0.1 * torch.randn(w.shape)).to(dtype) for k, w in weights.items()},
                {k: (0.1 * torch.randn(m.shape)).to(dtype) for k, m in momentum.items()},
            )


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Everything that the engine says it covers."""
    chunk, heads = draw(st.sampled_from([1, 2, 4])), draw(st.integers(1, 3))
    momentum = draw(st.booleans())
    order = draw(st.integers(1, 3)) if momentum else 1
    combine = order > 1 and draw(st.booleans())
    options = {
        "dim": DIM,
        "chunk_size": chunk,
        "batch_size": draw(st.sampled_from([None, chunk, 2 * chunk])),
        "heads": heads,
        "dim_head": DIM if heads == 1 else draw(st.sampled_from([4, 8])),
        "momentum": momentum,
        "momentum_order": order,
        "learned_momentum_combine": combine,
        "learned_combine_include_zeroth": combine and draw(st.booleans()),
        "num_kv_per_token": draw(st.integers(1, 2)),
        "qkv_receives_diff_views": True,
        "attn_pool_chunks": chunk > 1 and draw(st.booleans()),
        "max_grad_norm": draw(st.sampled_from([None, 0.5])),
        "default_model_kwargs": {"depth": draw(st.integers(1, 3)), "expansion_factor": 2.0},
    }
    for switch in (
        "pre_rmsnorm",
        "post_rmsnorm",
        "qk_rmsnorm",
        "spectral_norm_surprises",
        "gated_transition",
        "mem_model_norm_add_residual",
        "per_parameter_lr_modulation",
        "per_head_learned_parameters",
    ):
        options[switch] = draw(st.booleans())
    length = draw(st.integers(0, 4)) * chunk + draw(st.integers(0, chunk - 1))
    return Case(
        options,
        batch=draw(st.integers(1, 3)),
        length=max(2, length),
        seed=draw(st.integers(0, 1000)),
        carried=draw(st.booleans()),
        same_view=draw(st.booleans()),
        builds=draw(st.booleans()),
    )


def fast(case: Case) -> Any:
    """The engine, made to answer in one of its two ways."""

    def serve(*given: Any, **options: Any) -> Remembered:
        with mock.patch.object(engine, "BUILDING_PAYS", 0.0 if case.builds else torch.inf):
            return remember(*given, **options)

    return serve


def outcome(serve: Any, case: Case, dtype: torch.dtype) -> tuple[Remembered, dict[str, Tensor]]:
    """What the memory answers and becomes, and the gradients of a function of both at every parameter."""
    memory = case.memory(dtype)
    remembered = serve(memory, case.views(dtype), case.start(memory, dtype), after=case.written)
    assert remembered.state
    loss = remembered.retrieved.sin().sum()
    for t in (*remembered.state.weights.values(), *remembered.state.momentum.values()):
        loss = loss + t.sin().sum()
    parameters = {name: p for name, p in memory.named_parameters() if p.requires_grad}
    grads = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
    named = zip(parameters.items(), grads, strict=True)
    return remembered, {name: torch.zeros_like(p) if g is None else g for (name, p), g in named}


def compared(
    one: tuple[Remembered, dict[str, Tensor]], other: tuple[Remembered, dict[str, Tensor]]
) -> Iterator[tuple[str, Tensor, Tensor]]:
    (a, grads), (b, other_grads) = one, other
    assert a.state
    assert b.state
    assert set(a.state.weights) == set(b.state.weights)
    assert set(a.state.momentum) == set(b.state.momentum)
    yield "answers", a.retrieved.detach(), b.retrieved.detach()
    for name in sorted(a.state.weights):
        yield f"weights {name}", a.state.weights[name].detach(), b.state.weights[name].detach()
    for name in sorted(a.state.momentum):
        yield f"momentum {name}", a.state.momentum[name].detach(), b.state.momentum[name].detach()
    for name in sorted(grads):
        yield f"gradient {name}", grads[name], other_grads[name]


@many
@given(case=cases())
def test_answers_states_and_gradients_are_the_librarys(case: Case) -> None:
    assert not uncovered(case.memory(torch.float64))
    ours, theirs = (outcome(serve, case, torch.float64) for serve in (fast(case), remember_by_library))
    for name, a, b in compared(ours, theirs):
        assert a.shape == b.shape, name
        assert float((a - b).norm()) <= 1e-9 * (1 + float(b.norm())), name


@some
@given(case=cases())
def test_float32_rounds_no_worse_than_the_library(case: Case) -> None:
    """Error against float64, over all that is compared, by norm."""
    exact = outcome(remember_by_library, case, torch.float64)
    ours, theirs = (outcome(serve, case, torch.float32) for serve in (fast(case), remember_by_library))
    mine, library, size = (torch.zeros(()) for _ in range(3))
    for (_, a, b), (_, c, _) in zip(compared(ours, exact), compared(theirs, exact), strict=True):
        mine, library = mine + (a - b).square().sum(), library + (c - b).square().sum()
        size = size + b.square().sum()
    # where the library is exact by chance, a rounding of the last digit is no fault of ours
    assert mine.sqrt() <= 4 * library.sqrt() + 1e-6 * size.sqrt()


@some
@given(case=cases(), data=st.data())
def test_the_state_after_any_chunk_is_that_of_a_shorter_window(case: Case, data: st.DataObject) -> None:
    memory = case.memory(torch.float64)
    views, start = case.views(torch.float64), case.start(memory, torch.float64)
    after = data.draw(st.integers(0, case.length // memory.store_chunk_size)) * memory.store_chunk_size
    with torch.no_grad():
        there = fast(case)(memory, views, start, after=after).state
        shorter = (views[0][:, : max(after, 1)], views[1][:, : max(after, 1)], views[2][:, : max(after, 1)])
        alone = remember(memory, shorter, start, reads=False, after=after).state
    assert there
    assert alone
    for name, weights in there.weights.items():
        torch.testing.assert_close(weights, alone.weights[name], atol=1e-10, rtol=1e-10)
    for name, momentum in there.momentum.items():
        torch.testing.assert_close(momentum, alone.momentum[name], atol=1e-10, rtol=1e-10)


@some
@given(case=cases())
def test_reads_without_writes_are_the_librarys(case: Case) -> None:
    memory = case.memory(torch.float64)
    views, start = case.views(torch.float64), case.start(memory, torch.float64)
    with torch.no_grad():
        ours, theirs = (serve(memory, views, start, writes=False) for serve in (remember, remember_by_library))
    assert ours.state is None
    torch.testing.assert_close(ours.retrieved, theirs.retrieved, atol=1e-9, rtol=1e-9)


def test_one_carried_memory_serves_a_batch() -> None:
    options = {"dim": DIM, "chunk_size": 4, "heads": 2, "dim_head": 4, "default_model_kwargs": {"depth": 2}}
    case = Case(options, batch=1, length=12, seed=0, carried=True, same_view=True)
    memory = case.memory(torch.float64)
    start, views = case.start(memory, torch.float64), replace(case, batch=3).views(torch.float64)
    assert start
    with torch.no_grad():
        one, each = (remember(memory, views, s, after=12) for s in (start, start.repeated(3)))
    torch.testing.assert_close(one.retrieved, each.retrieved)
    assert one.state
    assert len(one.state) == 6


@pytest.mark.parametrize(
    ("dim", "chunk", "length", "builds"), [(8, 8, 64, True), (8, 2, 16, False), (16, 4, 32, False), (8, 8, 15, False)]
)
def test_weights_are_built_where_that_takes_fewer_products(dim: int, chunk: int, length: int, *, builds: bool) -> None:
    options = {"dim": dim, "chunk_size": chunk, "qkv_receives_diff_views": True, "default_model_kwargs": {"depth": 2}}
    case = Case(options, batch=2, length=length, seed=0, carried=False, same_view=True)
    memory = case.memory(torch.float64)
    x = torch.randn(2, length, dim, dtype=torch.float64)
    build = engine._Segment._with_weights_built
    with torch.no_grad(), mock.patch.object(engine._Segment, "_with_weights_built", autospec=True) as built:
        built.side_effect = build
        answer = remember(memory, (x, x, x), None, after=0).retrieved
        assert built.called == builds
        remember(memory, (x, x, x), None, reads=False, after=length // chunk * chunk)  # no query, nothing to build
        assert built.call_count == builds
    torch.testing.assert_close(answer, remember_by_library(memory, (x, x, x), None).retrieved, atol=1e-9, rtol=1e-9)


def test_what_it_does_not_cover_it_names() -> None:
    def memory(**options: Any) -> Any:
        return NeuralMemory(dim=DIM, chunk_size=4, dim_head=DIM, heads=1, **options)

    assert "SwiGlu" in uncovered(memory(model=MemorySwiGluMLP(DIM, depth=2)))
    assert "loss" in uncovered(memory(store_memory_loss_fn=lambda a, b: (a - b).abs().mean(dim=-1)))
    assert "residual" in uncovered(memory(accept_weight_residual=True))
    assert not uncovered(memory())


# Its parts


@some
@given(n=st.integers(1, 6), seed=st.integers(0, 99))
def test_products_of_gates(n: int, seed: int) -> None:
    with seeded(seed):
        gates = torch.rand(2, n, dtype=torch.float64)
    total, runs = products(gates.log())
    torch.testing.assert_close(total, gates.cumprod(-1))
    for i in range(n):
        for j in range(n):
            expected = gates[:, j + 1 : i + 1].prod(-1) if j <= i else torch.zeros(2, dtype=torch.float64)
            torch.testing.assert_close(runs[:, i, j], expected)


def test_a_gate_that_is_shut_leaves_nothing_and_no_nan() -> None:
    decay = torch.tensor([[[200.0, 0.0, -200.0]]], requires_grad=True)
    scan = recurrence(torch.stack([-decay, decay]))
    assert scan.keep[0, 0].tolist() == pytest.approx([1, 0, 0, 0])
    scan.surprise.sum().backward()
    assert decay.grad is not None
    assert torch.isfinite(decay.grad).all()


@pytest.mark.parametrize("shape", [(3, 4, 6), (2, 5, 7, 3), (1, 1), (BLOCK // 16 + 3, 4, 4)])
def test_orthogonalised_matrices_do_not_depend_on_blocks(shape: tuple[int, ...]) -> None:
    with seeded(0):
        matrices = torch.randn(shape, dtype=torch.float64)
    out = orthogonalized(matrices)
    singular = torch.linalg.svdvals(out[..., :, :])
    assert out.shape == matrices.shape
    assert float(singular.max()) < 1.3
    some_rows = orthogonalized(matrices[:2])
    torch.testing.assert_close(out[:2], some_rows)


def test_the_gradient_of_orthogonalisation() -> None:
    with seeded(1):
        matrices = torch.randn(3, 2, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(orthogonalized, (matrices,))
    assert torch.autograd.gradcheck(orthogonalized, (matrices.detach().transpose(1, 2).requires_grad_(),))
