"""Walking: a walker's memory is the one that is carried in service, and gradients follow it through its writes."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench import Pairs, Task
from bench.contracts.config import build
from bench.contracts.discovery import load_plugins
from bench.contracts.forecaster import TrainingConfig
from bench.evaluation.pretraining import RandomWindows, Recipe, train_by_gradients
from bench.forecasters.titans.carry import Carry
from bench.forecasters.titans.config import TitansConfig
from bench.forecasters.titans.forecaster import Titans
from bench.forecasters.titans.memory_state import MemoryCache
from bench.forecasters.titans.walk import Walk, Walking
from tests.small_titans import ROW_TOKENS

torch.set_num_threads(1)
load_plugins()

CPU = torch.device("cpu")
L, U, H = 12, 4, 3
TINY = ROW_TOKENS | {"dim": 8, "heads": 1, "dim_head": 8, "neural_memory_segment_len": U, "num_persist_mem_tokens": 1}
CONFIGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "long-term tokens": {"num_longterm_mem_tokens": 4, "segment_len": 4},
    "two memories, streams": {"neural_memory_layers": (1, 2), "num_residual_streams": 2},
    "heads, batches": {"memory_heads": 2, "neural_memory_batch_size": 4},
    "no momentum, pooled": {"memory_momentum": False, "attn_pool_chunks": True},
}


def recipe(seed: int = 0, **options: Any) -> Recipe:
    config = build(TitansConfig, TINY | options, "forecaster 'titans'")
    return Recipe("titans", config, Task(L, H, 3, 3, (0, 1, 2)), seed)


def titans(**options: Any) -> Titans:
    """A small, untrained model."""
    model = recipe(**options).build(CPU)
    assert isinstance(model, Titans)
    return model


def rows_of(count: int, seed: int = 0) -> Tensor:
    return torch.randn(count, 3, generator=torch.Generator().manual_seed(seed))


def pairs_of(rows: Tensor, start: int = L, end: int | None = None) -> Pairs:
    """Every pair whose truth lies in rows [start, end)."""
    return Pairs(rows, rows, torch.arange(start, (end or len(rows)) - H + 1), L, H)


def walk(
    model: Titans,
    pairs: Pairs,
    validation: Pairs | None = None,
    *,
    share: float = 1.0,
    truncation: int = 2,
    age: int = 8,
    seed: int = 0,
    **training: Any,
) -> Walk:
    config = TrainingConfig(**{"batch": 8, "validation_windows": 64} | training)
    validation = validation or pairs
    plain = RandomWindows(model, pairs, validation, config, seed)
    return Walk(model, plain, pairs, validation, Walking(share, truncation, age), config, seed)


def place(walking: Walk, starts: list[int]) -> None:
    """Stand the walkers at these rows, with the initial memory, as if they had just started."""
    walking.position[:], walking.left[:] = starts, 100
    walking.cache = walking.model.initial_cache(len(starts))


def of_walker(cache: MemoryCache, i: int) -> list[Tensor]:
    """The memory of one walker among several."""
    weights = [w.unflatten(0, (cache.batch, -1))[i] for layer in cache.layers for w in layer.weights.values()]
    momentum = [m.unflatten(1, (cache.batch, -1))[:, i] for layer in cache.layers for m in layer.momentum.values()]
    return weights + momentum


def gradients(model: nn.Module, loss: Tensor) -> dict[str, Tensor]:
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    grads = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
    return {name: torch.zeros_like(p) if g is None else g for (name, p), g in zip(named.items(), grads, strict=True)}


# The exact rule


@pytest.mark.parametrize("options", CONFIGS.values(), ids=CONFIGS)
def test_a_walkers_memory_is_the_one_that_is_carried_in_service(options: dict[str, Any]) -> None:
    model, rows = titans(**options), rows_of(150)
    walking = walk(model, pairs_of(rows), truncation=2, age=100)
    place(walking, [0, 3, 20, 50])
    for _ in range(3):
        walking.loss(8)
    for i, start in enumerate((0, 3, 20, 50)):
        carry = Carry(model, rows[: start + L], L)
        carry.observe(rows[start + L : walking.position[i] + L])
        assert carry.position == walking.position[i] == start + 6 * walking.unit
        layers = carry.cache.layers
        expected = [w for layer in layers for w in layer.weights.values()]
        expected += [m for layer in layers for m in layer.momentum.values()]
        for ours, theirs in zip(of_walker(walking.cache, i), expected, strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)
            assert not ours.requires_grad


# The gradient


def later_loss(model: Titans, rows: Tensor, *, detach: bool = False) -> Tensor:
    """Error of the third forecast in a row: it depends on two writes."""
    cache = model.initial_cache(detach=False)
    for q in (0, U):
        cache = model.written(rows[None, q : q + L], cache)
    forecast, _ = model.run(rows[None, 2 * U : 2 * U + L], cache.detached() if detach else cache)
    return (forecast - rows[None, 2 * U + L : 2 * U + L + H]).square().mean()


@pytest.mark.parametrize("options", CONFIGS.values(), ids=CONFIGS)
def test_the_gradient_through_the_writes_is_that_of_finite_differences(options: dict[str, Any]) -> None:
    options = options | {"num_residual_streams": 1}  # hyper-connections compute in float32
    model, rows = titans(**options).double(), rows_of(60).double()
    memory = model.memories[0]
    chosen = {
        "decay": memory.to_decay_factor[0].bias,
        "step": memory.to_adaptive_step[0].weight,
        "keys": memory.to_keys.weight,
        "initial memory": memory.memory_model_parameters[0],
        "projection": model.input_projection.weight,
    }
    loss = later_loss(model, rows)
    grads = dict(zip(chosen, torch.autograd.grad(loss, list(chosen.values())), strict=True))
    detached = torch.autograd.grad(later_loss(model, rows, detach=True), list(chosen.values()), allow_unused=True)
    for (name, parameter), without in zip(chosen.items(), detached, strict=True):
        assert grads[name].abs().max() > 1e-9, name
        assert without is None or not torch.allclose(grads[name], without, rtol=1e-3), name
        direction, at = torch.sign(grads[name]), 1e-5
        with torch.no_grad():
            parameter += at * direction
            above = later_loss(model, rows)
            parameter -= 2 * at * direction
            below = later_loss(model, rows)
            parameter += at * direction
        slope = float((above - below) / (2 * at))
        assert slope == pytest.approx(float((grads[name] * direction).sum()), rel=1e-4), name


@pytest.mark.parametrize(("truncation", "cuts"), [(4, ()), (2, (1,)), (1, (0, 1, 2))])
def test_truncation_is_where_the_gradient_is_cut(truncation: int, cuts: tuple[int, ...]) -> None:
    model, rows = titans(), rows_of(60)
    walking = walk(model, pairs_of(rows), truncation=truncation, batch=truncation)
    place(walking, [0])
    ours: dict[str, Tensor] = {}
    for _ in range(4 // truncation):
        for name, grad in gradients(model, truncation * walking.loss(truncation)).items():
            ours[name] = ours.get(name, torch.zeros(())) + grad

    def by_hand(cuts: tuple[int, ...]) -> dict[str, Tensor]:
        cache, total = model.initial_cache(), torch.zeros(())
        for i in range(4):
            forecast, after = model.run(rows[None, i * U : i * U + L], cache, U)
            total = total + (forecast - rows[None, i * U + L : i * U + L + H]).square().mean()
            assert after is not None
            cache = after.detached() if i in cuts else after
        return gradients(model, total)

    expected, uncut = by_hand(cuts), by_hand(())
    for name, grad in ours.items():
        torch.testing.assert_close(grad, expected[name], atol=1e-6, rtol=1e-3)
    decay = next(name for name in ours if "to_decay_factor" in name and name.endswith("bias"))
    assert torch.allclose(ours[decay], uncut[decay], rtol=1e-3) == (not cuts)


def test_only_a_walker_that_starts_afresh_trains_the_initial_memory() -> None:
    model = titans()
    walking = walk(model, pairs_of(rows_of(400)), age=8, batch=2)

    def trained() -> bool:
        grads = gradients(model, walking.loss(2))
        return any(bool(g.abs().max() > 0) for name, g in grads.items() if "memory_model_parameters" in name)

    walking._rng = _Zeros()  # type: ignore[assignment]
    assert [trained() for _ in range(9)] == [i % 4 == 0 for i in range(9)]


class _Zeros:
    """Draws the first row there is."""

    def integers(self, high: int, size: int) -> Any:
        assert high > 0
        return torch.zeros(size, dtype=torch.int64).numpy()


# Where walkers go


def test_walkers_start_anywhere_live_for_their_age_and_stay_within_the_pairs() -> None:
    model, rows = titans(), rows_of(200)
    pairs = pairs_of(rows, start=30, end=150)
    walking = walk(model, pairs, truncation=2, age=8)
    assert len(walking.position) == 4
    ages = torch.zeros(4, dtype=torch.int64).numpy()
    seen, starts, stood = [], set(), []
    for _ in range(40):
        before = walking.position.copy()
        with torch.no_grad():
            walking.loss(8)
        fresh = walking.position - 2 * U != before
        fresh |= ages == 0
        ages[fresh] = 0
        starts |= set((walking.position - 2 * U)[fresh].tolist())
        ages += 2
        seen.append(tuple(ages.tolist()))
        stood += [*(walking.position - U).tolist(), *(walking.position - 2 * U).tolist()]
    assert set(seen[0]) == {2}
    assert {age for step in seen for age in step} == {2, 4, 6, 8}
    assert sum(len(set(step)) > 1 for step in seen) > 30  # a step sees several ages
    assert len(starts) > 20
    assert min(stood) >= 30 - L
    assert max(stood) <= 150 - L - H
    assert max(stood) > 150 - L - H - 3 * U


def test_first_lives_differ_in_length() -> None:
    walking = walk(titans(), pairs_of(rows_of(300)), truncation=2, age=8)
    walking.loss(8)
    assert walking.left.tolist() == [0, 2, 4, 6]
    place(walking, [0, 10, 20, 30])
    walking.left[:] = 0
    walking.loss(8)
    assert walking.left.tolist() == [6, 6, 6, 6]  # later ones do not


def test_nothing_is_learned_from_beyond_the_training_rows() -> None:
    rows = rows_of(200)
    hidden = rows.clone()
    hidden[120:] = torch.nan
    hidden[: 30 - L] = torch.nan
    losses = [
        [walking.loss(8).item() for _ in range(15)]
        for data in (rows, hidden)
        for walking in [walk(titans(), pairs_of(data, start=30, end=120), share=0.5, age=8)]
    ]
    assert losses[0] == losses[1]
    assert all(loss == loss for loss in losses[0])


def test_a_truth_that_is_not_among_the_pairs_is_not_learned_from() -> None:
    rows = rows_of(100)
    origins = torch.arange(L, 100, 3)
    targets = torch.full_like(rows, torch.nan)
    targets[origins] = rows[origins]
    single = Pairs(rows, targets, origins, L, 1)
    model = Recipe("titans", build(TitansConfig, TINY, "test"), Task(L, 1, 3, 3, (0, 1, 2)), 0).build(CPU)
    walking = walk(model, single, truncation=2, age=4)
    for _ in range(20):
        loss = walking.loss(8)
        loss.backward()
        assert loss.isfinite()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


def test_a_step_takes_as_many_windows_as_the_recipe_says() -> None:
    rows, asked = rows_of(200), list[int]()

    class Plain:
        def loss(self, windows: int) -> Tensor:
            asked.append(windows)
            return torch.tensor(1.0)

        def validation_error(self) -> float:
            return 0.0

    for share, truncation, batch in ((0.5, 4, 32), (0.5, 3, 32), (1.0, 4, 16), (0.25, 4, 8), (1.0, 5, 32), (0.1, 4, 2)):
        asked.clear()
        config, walking = TrainingConfig(batch=batch), Walking(share, truncation, 8)
        made = Walk(titans(), Plain(), pairs_of(rows), pairs_of(rows), walking, config, 0)
        walked = [len(made.position) * made.truncation]
        made.loss(batch)
        assert sum(asked + walked) == batch
        assert 0 < walked[0] <= max(1, round(share * batch))
        assert walked[0] > share * batch - truncation


def test_the_loss_is_the_mean_over_all_windows() -> None:
    model, rows = titans(), rows_of(100)
    pairs = pairs_of(rows)

    class Plain:
        def loss(self, windows: int) -> Tensor:
            assert windows == 6
            return torch.tensor(5.0)

        def validation_error(self) -> float:
            return 0.0

    walking = Walk(model, Plain(), pairs, pairs, Walking(0.25, 1, 8), TrainingConfig(batch=8), 0)
    place(walking, [10, 30])
    x, y = pairs.take(torch.tensor([10, 30]))
    expected = (2 * (model(x) - y).square().mean() + 6 * 5.0) / 8
    assert walking.loss(8).item() == pytest.approx(expected.item(), rel=1e-5)


def test_few_pairs_shorten_the_walk() -> None:
    model, rows = titans(), rows_of(60)
    for count, expected in ((1, 1), (U, 1), (U + 1, 2), (2 * U + 1, 3), (10 * U, 4)):
        pairs = pairs_of(rows, end=L + H - 1 + count)
        assert len(pairs) == count
        walking = walk(model, pairs, truncation=4)
        assert walking.truncation == expected
        for _ in range(5):
            assert walking.loss(8).isfinite()


# The recipe


def test_training_walks_where_the_configuration_says_so() -> None:
    rows = rows_of(300)
    learn, check = pairs_of(rows, end=200), pairs_of(rows, start=200)
    quick = {"steps": 3, "batch": 4, "evaluations": 2, "validation_windows": 8}

    def weights(**options: Any) -> Tensor:
        model = recipe(**options, training=quick).train(learn, check, CPU)
        return torch.cat([p.detach().flatten() for p in model.parameters()])

    plain, walked = weights(walk_share=0.0), weights(walk_share=0.5)
    assert torch.equal(plain, weights(walk_share=0.0, walk_age=3))
    assert torch.equal(walked, weights(walk_share=0.5))
    others = [
        weights(walk_share=1.0),
        weights(walk_share=0.5, walk_truncation=2),
        weights(walk_share=0.5, walk_age=4),
        weights(walk_share=0.5, seed=1),
    ]
    assert not any(torch.equal(one, other) for one, other in pairwise([plain, walked, *others]))


def test_how_training_walks_is_in_the_name_of_the_checkpoint() -> None:
    options: list[dict[str, Any]] = [{}, {"walk_share": 0.5}, {"walk_truncation": 2}, {"walk_age": 9}]
    assert len({recipe(**each).key("data", CPU) for each in options}) == 4


def test_validation_carries_a_memory_through_the_validation_rows_in_order() -> None:
    model, rows = titans(), rows_of(300)
    check = pairs_of(rows, start=200)
    walking = walk(model, pairs_of(rows, end=200), check, validation_windows=15)
    carry, errors = Carry(model, rows[:200], L), []
    for t in range(200, 200 + 15 * U, U):
        with torch.no_grad():
            forecast = model(rows[None, t - L : t], carry.cache)
        errors.append((forecast - rows[None, t : t + H]).square().mean().item())
        carry.observe(rows[t : t + U])
    assert walking.carried_error() == pytest.approx(sum(errors) / 15, rel=1e-5)
    assert walking.carried_error() != pytest.approx(walking.plain.validation_error(), rel=1e-3)
    both = (walking.plain.validation_error() + walking.carried_error()) / 2
    assert walking.validation_error() == pytest.approx(both)
    assert not model.training


def test_validation_leaves_the_walkers_where_they_are() -> None:
    rows = rows_of(300)
    once, twice = (walk(titans(), pairs_of(rows, end=200), pairs_of(rows, start=200), share=0.5) for _ in range(2))
    for _ in range(4):
        twice.validation_error()
        assert once.loss(8).item() == twice.loss(8).item()


def test_a_walk_can_be_learned() -> None:
    t = torch.arange(400)[:, None]
    rows = torch.sin(t / 5 + torch.arange(3)) + 0.1 * rows_of(400)
    config = TrainingConfig(steps=40, batch=8, evaluations=2, lr=1e-2)
    model = titans(walk_share=0.5)
    learn, check = pairs_of(rows, end=300), pairs_of(rows, start=300)
    before = walk(model, learn, check).validation_error()
    train_by_gradients(model, learn, check, config, 0)
    assert walk(model, learn, check).validation_error() < 0.5 * before
