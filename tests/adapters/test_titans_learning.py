"""Titans that learn in service: which pairs, from which memory, by which steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bench import BenchError, Feedback, Split, Task
from bench.contracts.config import build
from bench.contracts.strategy import STRATEGIES, StrategyContext
from bench.evaluation.pretraining import Recipe
from bench.evaluation.stream import PreparedSeries, Stream
from bench.forecasters.titans.config import TitansConfig
from bench.forecasters.titans.memory_state import MemoryCache
from bench.testing import small_series

from ..caches import same
from ..titans_in_service import (
    CPU,
    START,
    TINY,
    TRAIN,
    H,
    L,
    changed,
    enlisted,
    protocol,
    series_to,
    serve,
    spy,
    weights,
)


@dataclass
class Diary:
    """What each call of a strategy changed among its parameters."""

    entries: list[tuple[str, int, set[str]]]

    def watch(self, strategy: Any) -> None:
        for name in ("observe", "adapt", "predict"):
            setattr(strategy, name, self._noted(strategy, name, getattr(strategy, name)))

    def _noted(self, strategy: Any, name: str, call: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def noted(argument: Any) -> Any:
            before = weights(strategy)
            result = call(argument)
            pairs = len(argument) if isinstance(argument, Feedback) else 0
            self.entries.append((name, pairs, changed(strategy, before)))
            return result

        return noted


@pytest.mark.parametrize("trains", ["all", "backbone", "head"])
def test_c_learns_from_pairs_and_from_nothing_else(trains: str) -> None:
    diary = Diary([])
    rules = protocol(label_every=3, warm_start=True)
    served = serve("titans-c", rules, 90, diary.watch, trains=trains, online_lr=1e-3)
    calls = {(name, pairs > 0) for name, pairs, _ in diary.entries}
    assert calls == {("observe", False), ("adapt", False), ("adapt", True), ("predict", False)}
    for name, pairs, moved in diary.entries:
        assert bool(moved) == (pairs > 0), name
    moved = set().union(*(m for _, _, m in diary.entries))
    model = served.strategy.forecaster
    memory = {name for name in model.state_dict() if name.startswith("transformer.layers.0.4.")}
    head = {"prediction_head.weight", "prediction_head.bias"}
    assert memory
    if trains == "head":
        assert moved == head
    else:
        assert head | {"input_projection.weight", "transformer.norm.weight"} <= moved
        assert bool(moved & memory) == (trains == "all")
    assert not any(".memory_model." in name for name in moved)


def first_step(**options: Any) -> float:
    """The largest change of a parameter by the first matured pair."""
    stage = PreparedSeries.of(series_to(100), protocol())
    strategy = enlisted("titans-c", stage, **options)
    before, origins = weights(strategy), np.array([START])
    y = torch.from_numpy(stage.truths(origins)).float()
    strategy.adapt(Feedback(torch.from_numpy(stage.windows(origins)), y, origins))
    return max(
        float((p.detach() - before[n]).abs().max()) for n, p in strategy.forecaster.named_parameters() if p.numel()
    )


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_the_step_is_adams_and_is_clipped(optimizer: str) -> None:
    assert first_step(optimizer=optimizer, online_lr=1e-3) == pytest.approx(1e-3, rel=1e-2)
    assert first_step(optimizer=optimizer, online_lr=1e-4) == pytest.approx(1e-4, rel=1e-2)
    assert 0 < first_step(optimizer=optimizer, online_lr=1e-3, online_clip=1e-12) < 1e-6


def learned(releases: int = 1, pairs: int = 2, forecaster: dict[str, Any] | None = None, **options: Any) -> Any:
    """A titans-c that was given its first pairs, so many at each release."""
    stage = PreparedSeries.of(series_to(100), protocol())
    strategy = enlisted("titans-c", stage, forecaster, **options)
    for start in range(START, START + releases * pairs, pairs):
        origins = np.arange(start, start + pairs)
        y = torch.from_numpy(stage.truths(origins)).float()
        strategy.adapt(Feedback(torch.from_numpy(stage.windows(origins)), y, origins))
    return strategy


def moved_by(strategy: Any, start: dict[str, Tensor]) -> Tensor:
    """How far all learning parameters moved, in one vector."""
    return torch.cat([
        (p.detach() - start[name]).flatten()
        for name, p in strategy.forecaster.named_parameters()
        if p.requires_grad and p.grad is not None
    ])  # fmt: skip


def test_sgd_goes_down_the_gradient_no_further_than_the_clip() -> None:
    start = weights(enlisted("titans-c", PreparedSeries.of(series_to(100), protocol())))
    free = learned(optimizer="sgd", online_lr=1e-2, online_clip="none")
    gradient = torch.cat([p.grad.flatten() for p in free.learning if p.grad is not None])
    torch.testing.assert_close(moved_by(free, start), -1e-2 * gradient, atol=1e-7, rtol=1e-3)
    norm = float(gradient.norm())
    clipped, loose = (
        moved_by(learned(optimizer="sgd", online_lr=1e-2, online_clip=clip * norm), start) for clip in (0.1, 10)
    )
    assert float(clipped.norm()) == pytest.approx(1e-2 * 0.1 * norm, rel=1e-2)
    torch.testing.assert_close(loose, moved_by(free, start))


def test_weight_decay_and_momentum_do_what_they_say() -> None:
    start = weights(enlisted("titans-c", PreparedSeries.of(series_to(100), protocol())))
    sgd: dict[str, Any] = {"optimizer": "sgd", "online_lr": 1e-2, "online_clip": "none", "trains": "head"}
    plain, decayed = (learned(**sgd, weight_decay=share) for share in (0.0, 0.5))
    own = torch.cat([start[f"prediction_head.{part}"].flatten() for part in ("weight", "bias")])
    torch.testing.assert_close(moved_by(decayed, start) - moved_by(plain, start), -1e-2 * 0.5 * own, atol=1e-6, rtol=0)
    adamw = [learned(optimizer="adamw", online_lr=1e-2, trains="head", weight_decay=share) for share in (0.0, 0.5)]
    decay = moved_by(adamw[1], start) - moved_by(adamw[0], start)
    torch.testing.assert_close(decay, -1e-2 * 0.5 * own, atol=1e-6, rtol=0)
    coasting = learned(2, **sgd, momentum=0.9)
    before = weights(coasting)
    coasting.optimizer.zero_grad(set_to_none=False)
    coasting.optimizer.step()
    assert changed(coasting, before) == {"prediction_head.weight", "prediction_head.bias"}


def test_momentum_belongs_to_sgd() -> None:
    with pytest.raises(BenchError, match=r"momentum=0.9 belongs to optimizer 'sgd'; 'adam' has its own. Leave"):
        learned(momentum=0.9)


def test_several_steps_are_as_many_releases_of_the_same_pairs() -> None:
    three = learned(steps=3)
    one = learned()
    stage, origins = PreparedSeries.of(series_to(100), protocol()), np.arange(START, START + 2)
    for _ in range(2):
        y = torch.from_numpy(stage.truths(origins)).float()
        one.adapt(Feedback(torch.from_numpy(stage.windows(origins)), y, origins))
    assert changed(three, weights(one)) == set()


def noted(**options: Any) -> list[tuple[Tensor, MemoryCache, MemoryCache]]:
    """Windows, starting memory and the memory carried at the time, at every step of a stream."""
    seen: list[tuple[Tensor, MemoryCache, MemoryCache]] = []

    def watch(strategy: Any) -> None:
        adapt, forward = strategy.adapt, strategy.forecaster.forward

        def adapting(feedback: Feedback) -> None:
            def stepping(x: Tensor, cache: MemoryCache) -> Any:
                seen.append((x, cache, strategy.memory.cache))
                return forward(x, cache)

            strategy.forecaster.forward = stepping
            adapt(feedback)
            strategy.forecaster.forward = forward

        strategy.adapt = adapting

    serve("titans-c", protocol(), 100, watch, **options)
    return seen


def test_a_batch_holds_the_latest_pairs() -> None:
    rows = torch.from_numpy(PreparedSeries.of(series_to(100), protocol()).inputs)
    # A rate at which the encoding of what is written stays the same, so that states can be compared across streams.
    alone, five = noted(online_lr=1e-30), noted(online_lr=1e-30, recent_pairs=5)
    assert len(alone) == len(five) > 15
    for step, (x, cache, _) in enumerate(five):
        origins = range(START + max(0, step - 4), START + step + 1)
        assert torch.equal(x, torch.stack([rows[s - L : s] for s in origins]))
        # Each older pair still starts from the memory that held when its own window began.
        assert same(cache, MemoryCache.stack([alone[s - START][1] for s in origins]))


def test_fewer_pairs_than_were_released_leave_the_older_out() -> None:
    stage, origins = PreparedSeries.of(series_to(100), protocol()), np.arange(START, START + 6)
    strategy = enlisted("titans-c", stage, recent_pairs=2)
    y = torch.from_numpy(stage.truths(origins)).float()
    strategy.adapt(Feedback(torch.from_numpy(stage.windows(origins)), y, origins))
    assert torch.equal(strategy.recent.x, torch.from_numpy(stage.windows(origins[-2:])))
    assert torch.equal(strategy.recent.y, y[-2:])


def test_a_pair_may_start_from_the_present_memory() -> None:
    now, then = noted(pair_memory="now"), noted()
    assert all(cache is present for _, cache, present in now)
    assert not all(same(cache, present) for _, cache, present in then)
    assert all(cache is present for _, cache, present in noted(pair_memory="now", recent_pairs=4))


@pytest.mark.parametrize("trains", ["all", "backbone", "head"])
@pytest.mark.parametrize("asked", [False, True])
def test_the_anchor_stays_unless_it_is_asked_to_learn(trains: str, asked: bool) -> None:
    series = replace(small_series(hidden_targets=True, rows=100), split=Split(TRAIN, START, 100))
    stage = PreparedSeries.of(series, protocol())
    task = Task(L, H, 2, 1, None)
    config = build(TitansConfig, TINY, "forecaster 'titans'")
    cls = STRATEGIES["titans-c"].cls
    options = build(cls.Config, {"trains": trains, "trains_anchor": asked}, "titans-c")
    forecaster = Recipe("titans", config, task, seed=0).build(CPU)
    rng = np.random.default_rng(0)
    strategy: Any = cls(StrategyContext(options, forecaster, stage.history(CPU), stage.protocol, rng, CPU))
    before = weights(strategy)
    Stream(stage, strategy, CPU).run(START, 90, lambda *_: None)
    anchor = {"normalization.anchor.weight", "normalization.anchor.bias"}
    moved = changed(strategy, before)
    assert anchor <= set(before)
    assert moved & anchor == (anchor if asked else set())
    assert "prediction_head.bias" in moved


@pytest.mark.parametrize("options", [{}, {"optimizer": "adamw", "weight_decay": 0.1}, {"pair_memory": "now"}])
def test_the_learned_initial_memory_is_not_trained(options: dict[str, Any]) -> None:
    before: dict[str, Tensor] = {}
    served = serve("titans-c", protocol(), 90, lambda s: before.update(weights(s)), online_lr=1e-3, **options)
    moved = changed(served.strategy, before)
    initial = {name for name in before if ".memory_model_parameters." in name}
    assert initial
    assert not moved & initial
    assert moved & {name for name in before if name.startswith("transformer.layers.0.4.")}  # how it writes is


@pytest.mark.parametrize("carry", ["exact", "window"])
@pytest.mark.parametrize(
    ("stride", "block", "horizon", "label_every", "delay", "forecaster"),
    [
        (1, 1, 3, 1, 0, {}),
        (7, 1, 7, 1, 0, {}),
        (1, 6, 5, 2, 0, {}),
        (3, 3, 6, 1, 0, {"neural_memory_segment_len": 2}),
        (6, 2, 1, 1, 0, {"neural_memory_segment_len": 3}),
        (2, 2, 4, 3, 0, {"num_longterm_mem_tokens": 4, "segment_len": 4}),
        (5, 1, 5, 1, 0, {"neural_memory_segment_len": 1}),  # between warm start and stream lies more than a stride
        (1, 1, 3, 1, 17, {}),
        (2, 3, 4, 2, 15, {"neural_memory_segment_len": 2}),
    ],
)
def test_a_pair_of_c_starts_from_the_memory_of_its_window(
    stride: int, block: int, horizon: int, label_every: int, delay: int, forecaster: dict[str, Any], carry: str
) -> None:
    """The state at the largest ``q <= s - L``: what a forecast with origin ``s`` would have started from."""
    used: list[tuple[list[int], MemoryCache]] = []
    held: dict[str, Any] = {}

    def watch(strategy: Any) -> None:
        held["states"] = spy(strategy)
        adapt, forward = strategy.adapt, strategy.forecaster.forward

        def noted(feedback: Feedback) -> None:
            def forward_noted(x: Tensor, cache: MemoryCache) -> Any:
                used.append((feedback.origins.tolist(), cache))
                return forward(x, cache)

            strategy.forecaster.forward = forward_noted
            adapt(feedback)
            strategy.forecaster.forward = forward

        strategy.adapt = noted

    rules = protocol(stride=stride, block=block, horizon=horizon, label_every=label_every, delay=delay, warm_start=True)
    serve("titans-c", rules, 110, watch, forecaster, carry=carry)
    states = held["states"]
    assert len(states) > 3
    assert len(used) > 2
    assert [s for origins, _ in used for s in origins] == list(range(TRAIN, used[-1][0][-1] + 1, label_every))
    for origins, cache in used:
        expected = [states[max(q for q in states if q <= s - L)] for s in origins]
        assert cache.batch == len(origins)
        assert same(cache, MemoryCache.stack(expected)), origins
