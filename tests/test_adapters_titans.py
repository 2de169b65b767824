"""Titans in service: what each mode carries, what it changes, and what it leaves alone."""

from __future__ import annotations

import gc
import math
import types
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench import BenchError, DriftSeries, Feedback, Protocol, Split, Task
from bench.config import build
from bench.forecasters.fast import perceptron, surprises
from bench.forecasters.memory import MemoryCache
from bench.forecasters.titans_options import TitansConfig
from bench.plugins import load_plugins
from bench.strategy import STRATEGIES, Service
from bench.stream import Stage, Stream
from bench.testing import small_series
from bench.training import Recipe

torch.set_num_threads(1)
load_plugins()

CPU = torch.device("cpu")
L, H, U = 12, 3, 4
TRAIN, START = 60, 74  # first row of the warm start, first row of the stream
TINY = {"dim": 8, "heads": 1, "dim_head": 8, "neural_memory_segment_len": U, "num_persist_mem_tokens": 1}
CARRYING = ("titans-b", "titans-c", "titans-b-stale")

Forecasts = dict[int, NDArray[np.float32]]
Watch = Callable[[Any], None]


@dataclass(frozen=True)
class Served:
    """A strategy after its stream, and what it forecast at each origin."""

    strategy: Any
    forecasts: Forecasts


def series_to(end: int) -> DriftSeries:
    return replace(small_series(rows=end), split=Split(TRAIN, START, end))


def protocol(**changes: Any) -> Protocol:
    return Protocol.model_validate({"lookback": L, "horizon": H, "stride": 1, "warm_start": False} | changes)


def enlisted(name: str, stage: Stage, forecaster: dict[str, Any] | None = None, **options: Any) -> Any:
    """A strategy ready for its first block, on a small model that has not been trained."""
    task = Task(L, stage.protocol.horizon, 3, 3, (0, 1, 2))
    config = build(TitansConfig, TINY | (forecaster or {}), "forecaster 'titans'")
    cls = STRATEGIES[name].cls
    service = Service(
        build(cls.Config, options, f"strategy {name!r}"),
        Recipe("titans", config, task, seed=0).build(CPU),
        stage.history(CPU),
        stage.protocol,
        np.random.default_rng(0),
        CPU,
    )
    return cls(service)


def serve(
    name: str,
    rules: Protocol,
    end: int = 100,
    watch: Watch = lambda _: None,
    forecaster: dict[str, Any] | None = None,
    **options: Any,
) -> Served:
    """The whole stream, the warm start first where there is one.

    Args:
        name: Of the strategy.
        rules: The protocol.
        end: Where the series ends.
        watch: Called with the strategy before its first block.
        forecaster: Options of the forecaster.
        **options: Options of the strategy.
    """
    stage = Stage.of(series_to(end), rules)
    strategy = enlisted(name, stage, forecaster, **options)
    watch(strategy)
    forecasts: Forecasts = {}

    def score(origins: NDArray[np.int64], made: NDArray[np.float32]) -> None:
        forecasts.update(zip(origins.tolist(), made, strict=True))

    stream = Stream(stage, strategy, CPU)
    if rules.warm_start:
        stream.run(TRAIN, START, score)
    stream.run(START, end, score)
    return Served(strategy, forecasts)


def weights(strategy: Any) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in strategy.forecaster.state_dict().items()}


def changed(strategy: Any, before: dict[str, Tensor]) -> set[str]:
    return {name for name, tensor in strategy.forecaster.state_dict().items() if not torch.equal(tensor, before[name])}


def tensors(cache: MemoryCache) -> list[Tensor]:
    return [t for layer in cache.layers for part in (layer.weights, layer.momentum) for t in part.values()]


def same(one: MemoryCache, other: MemoryCache) -> bool:
    return all(torch.equal(a, b) for a, b in zip(tensors(one), tensors(other), strict=True))


def spy(strategy: Any) -> dict[int, MemoryCache]:
    """Every state that a strategy comes to carry from now on, by position."""
    memory = strategy.memory
    seen, keep = {memory.position: memory.cache}, memory._keep

    def record(cache: MemoryCache, position: int) -> None:
        seen[position] = cache
        keep(cache, position)

    memory._keep = record
    return seen


# A and B


@pytest.mark.parametrize(("stride", "block"), [(1, 1), (3, 1), (1, 5), (2, 3)])
@pytest.mark.parametrize(
    ("forecaster", "unit"),
    [({}, U), ({"num_longterm_mem_tokens": 4, "segment_len": 4}, 4), ({"neural_memory_batch_size": 4}, U)],
    ids=["plain", "long-term tokens", "writes in batches"],
)
def test_b_is_a_until_the_first_unit_is_written(stride: int, block: int, forecaster: dict[str, Any], unit: int) -> None:
    rules = protocol(stride=stride, block=block)
    a, b = (serve(name, rules, forecaster=forecaster).forecasts for name in ("titans-a", "titans-b"))
    assert list(a) == list(b) == list(range(START, 98, stride))
    blocks = [list(a)[i : i + block] for i in range(0, len(a), block)]
    before = [t for origins in blocks for t in origins if origins[0] < START + unit]
    assert 0 < len(before) < len(a)
    for t in a:
        assert np.array_equal(a[t], b[t]) == (t in before), t


def test_b_with_the_window_policy_is_a_in_the_first_block_only() -> None:
    rules = protocol()
    a, b = (serve("titans-a", rules).forecasts, serve("titans-b", rules, carry="window").forecasts)
    assert [t for t in a if np.array_equal(a[t], b[t])] == [START]


def test_a_carries_nothing() -> None:
    rules = protocol(stride=2)
    once = serve("titans-a", rules)
    stage = Stage.of(series_to(100), rules)
    strategy = enlisted("titans-a", stage)
    for t in reversed(once.forecasts):
        assert np.array_equal(strategy.predict(torch.from_numpy(stage.windows(np.array([t])))), once.forecasts[t][None])


def test_what_is_written_can_be_set_in_service() -> None:
    rules = protocol()
    trained, same_step, smaller, batches = (
        serve("titans-b", rules),
        serve("titans-b", rules, memory_max_lr=0.1),
        serve("titans-b", rules, memory_max_lr=0.01),
        serve("titans-b", rules, neural_memory_batch_size=4),
    )
    assert all(np.array_equal(trained.forecasts[t], same_step.forecasts[t]) for t in trained.forecasts)
    assert not same(smaller.strategy.memory.cache, trained.strategy.memory.cache)
    assert not np.array_equal(smaller.forecasts[97], trained.forecasts[97])
    assert not np.array_equal(batches.forecasts[START], trained.forecasts[START])
    with pytest.raises(BenchError, match=r"neural_memory_batch_size=6 must be a multiple of the memory chunk \(4\)"):
        serve("titans-a", rules, neural_memory_batch_size=6)


# What stays as it was


@pytest.mark.parametrize("carry", ["exact", "window"])
@pytest.mark.parametrize("name", ["frozen", "titans-a", "titans-b", "titans-b-stale"])
def test_no_parameter_moves_where_the_backbone_is_fixed(name: str, carry: str) -> None:
    options: dict[str, Any] = {"carry": carry} if name in CARRYING else {}
    before: dict[str, Tensor] = {}
    served = serve(name, protocol(stride=2, warm_start=True), watch=lambda s: before.update(weights(s)), **options)
    assert before
    assert changed(served.strategy, before) == set()
    assert not any(p.grad is not None for p in served.strategy.forecaster.parameters())


def test_frozen_never_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[int] = []
    surprise = perceptron.surprise

    def counted(*args: Any) -> Any:
        writes.append(1)
        return surprise(*args)

    def count(_: Any) -> None:  # in service, not in training
        monkeypatch.setattr(surprises, "surprise", counted)

    frozen = serve("frozen", protocol(), watch=count)
    assert writes == []
    monkeypatch.undo()
    within = serve("titans-a", protocol(), watch=count)
    assert len(writes) == len(within.forecasts)
    assert not np.allclose(frozen.forecasts[START], within.forecasts[START], atol=1e-6)


def test_b_leaves_only_the_memories_trainable() -> None:
    strategy = enlisted("titans-b", Stage.of(series_to(100), protocol()))
    memory = {id(p) for m in strategy.forecaster.memories for p in m.parameters()}
    assert {id(p) for p in strategy.forecaster.parameters() if p.requires_grad} == memory


# C


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
    stage = Stage.of(series_to(100), protocol())
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
    stage = Stage.of(series_to(100), protocol())
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
    start = weights(enlisted("titans-c", Stage.of(series_to(100), protocol())))
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
    start = weights(enlisted("titans-c", Stage.of(series_to(100), protocol())))
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
    stage, origins = Stage.of(series_to(100), protocol()), np.arange(START, START + 2)
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
    rows = torch.from_numpy(Stage.of(series_to(100), protocol()).inputs)
    # A rate at which the encoding of what is written stays the same, so that states can be compared across streams.
    alone, five = noted(online_lr=1e-30), noted(online_lr=1e-30, recent_pairs=5)
    assert len(alone) == len(five) > 15
    for step, (x, cache, _) in enumerate(five):
        origins = range(START + max(0, step - 4), START + step + 1)
        assert torch.equal(x, torch.stack([rows[s - L : s] for s in origins]))
        # Each older pair still starts from the memory that held when its own window began.
        assert same(cache, MemoryCache.stack([alone[s - START][1] for s in origins]))


def test_fewer_pairs_than_were_released_leave_the_older_out() -> None:
    stage, origins = Stage.of(series_to(100), protocol()), np.arange(START, START + 6)
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
    stage = Stage.of(series, protocol())
    task = Task(L, H, 2, 1, None)
    config = build(TitansConfig, TINY, "forecaster 'titans'")
    cls = STRATEGIES["titans-c"].cls
    options = build(cls.Config, {"trains": trains, "trains_anchor": asked}, "titans-c")
    forecaster = Recipe("titans", config, task, seed=0).build(CPU)
    rng = np.random.default_rng(0)
    strategy: Any = cls(Service(options, forecaster, stage.history(CPU), stage.protocol, rng, CPU))
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


# The stale control


@pytest.mark.parametrize("carry", ["exact", "window"])
@pytest.mark.parametrize(("stride", "block"), [(1, 1), (3, 2), (5, 1)])
def test_stale_keeps_the_memory_of_the_streams_start(stride: int, block: int, carry: str) -> None:
    rules = protocol(stride=stride, block=block, warm_start=True)
    states: dict[str, dict[int, MemoryCache]] = {}

    def watch(strategy: Any) -> None:
        states[type(strategy).__name__] = spy(strategy)

    b, stale = (serve(name, rules, watch=watch, carry=carry) for name in ("titans-b", "titans-b-stale"))
    carried, kept = states["TitansCarried"], states["TitansStale"]
    reached = max(q for q in carried if q <= (START - L if carry == "exact" else START - H))
    assert max(kept) == reached > min(kept)
    assert stale.strategy.memory.cache is kept[reached]
    assert all(same(kept[q], carried[q]) for q in kept)
    assert max(carried) > reached
    assert not same(b.strategy.memory.cache, stale.strategy.memory.cache)
    for t, forecast in b.forecasts.items():
        equal = np.array_equal(forecast, stale.forecasts[t])
        assert equal or t > START, t
    assert not np.array_equal(b.forecasts[max(b.forecasts)], stale.forecasts[max(b.forecasts)])


def test_stale_from_a_cold_start_is_a() -> None:
    a, stale = (serve(name, protocol()).forecasts for name in ("titans-a", "titans-b-stale"))
    assert all(np.array_equal(a[t], stale[t]) for t in a)


# The other controls


@pytest.mark.parametrize(("stride", "block"), [(1, 1), (3, 2)])
def test_the_window_control_is_b_with_the_window_policy(stride: int, block: int) -> None:
    rules = protocol(stride=stride, block=block, warm_start=True)
    control, b = serve("titans-b-window", rules), serve("titans-b", rules, carry="window")
    assert all(np.array_equal(control.forecasts[t], b.forecasts[t]) for t in b.forecasts)
    assert same(control.strategy.memory.cache, b.strategy.memory.cache)
    with pytest.raises(BenchError, match="unknown option 'carry'"):
        serve("titans-b-window", rules, carry="exact")


def test_the_window_control_writes_a_row_as_often_as_windows_hold_it() -> None:
    written: dict[str, int] = {}

    def count(name: str) -> Watch:
        def watch(strategy: Any) -> None:
            model = strategy.forecaster
            run, write = model.run, model.write

            def running(x: Tensor, cache: MemoryCache | None, after: int | None = None) -> Any:
                if after is not None:  # the memory at the end of each window is handed on
                    written[name] = written.get(name, 0) + after
                return run(x, cache, after)

            def writing(x: Tensor, cache: MemoryCache) -> Any:
                written[name] = written.get(name, 0) + U
                return write(x, cache)

            model.run, model.write = running, writing

        return watch

    for name in ("titans-b", "titans-b-window"):
        serve(name, protocol(), 100, count(name))
    windows = 100 - START - H + 1
    assert written == {"titans-b": (windows - 1) // U * U, "titans-b-window": windows * L}


def test_shuffled_in_a_pool_of_one_is_b_and_otherwise_is_not() -> None:
    rules = protocol(warm_start=True)
    b = serve("titans-b", rules)
    one, four = (serve("titans-b-shuffled", rules, waiting_units=units) for units in (1, 4))
    assert all(np.array_equal(b.forecasts[t], one.forecasts[t]) for t in b.forecasts)
    assert not np.array_equal(b.forecasts[97], four.forecasts[97])
    assert four.strategy.memory.position == b.strategy.memory.position


# Traces


@pytest.mark.parametrize("name", [*CARRYING, "titans-b-window", "titans-b-shuffled"])
def test_a_trace_changes_no_result(name: str) -> None:
    """Whatever is traced, and however often."""
    traces: list[dict[str, float]] = []
    options: dict[str, Any] = {"waiting_units": 2} if name == "titans-b-shuffled" else {}

    def watch(strategy: Any) -> None:
        predict = strategy.predict

        def traced(windows: Tensor) -> Tensor:
            traces.append(strategy.trace())
            result = predict(windows)
            traces.append(strategy.trace())
            assert isinstance(result, Tensor)
            return result

        strategy.predict = traced

    rules = protocol(stride=4, warm_start=True)
    untraced, served = serve(name, rules, **options), serve(name, rules, watch=watch, **options)
    assert all(np.array_equal(untraced.forecasts[t], served.forecasts[t]) for t in untraced.forecasts)
    assert same(untraced.strategy.memory.cache, served.strategy.memory.cache)
    assert all(set(trace) == {"memory_norm", "memory_half_life"} for trace in traces)
    assert traces[0]["memory_norm"] == 1
    assert math.isnan(traces[0]["memory_half_life"])
    assert traces[-1]["memory_norm"] != 1
    assert traces[-1]["memory_half_life"] > 0
    if name != "titans-b-window":  # which may well pile up what it is given
        assert (traces[-1]["memory_half_life"] == math.inf) == (name == "titans-b-stale")


def test_what_carries_nothing_has_no_trace() -> None:
    assert serve("titans-a", protocol(), 80).strategy.trace() == {}
    assert serve("frozen", protocol(), 80).strategy.trace() == {}


def test_remedies_reach_the_carried_memory() -> None:
    rules = protocol(stride=3)
    plain, still = serve("titans-b", rules), serve("titans-b", rules, memory_pull=1.0)
    a = serve("titans-a", rules)
    assert all(np.array_equal(a.forecasts[t], still.forecasts[t]) for t in a.forecasts)  # nothing is carried
    remedies: list[dict[str, Any]] = [{"memory_pull": 0.3}, {"memory_norm_bound": 1.0}, {"memory_reset_every": U}]
    other = serve("titans-b", rules, forecaster={"memory_max_lr": 1.0})
    for options in remedies:
        remedied = serve("titans-b", rules, forecaster={"memory_max_lr": 1.0}, **options)
        assert not same(remedied.strategy.memory.cache, other.strategy.memory.cache)
    assert not same(plain.strategy.memory.cache, still.strategy.memory.cache)
    with pytest.raises(BenchError, match=r"option 'memory_norm_bound': input should be greater than or equal to 1"):
        serve("titans-b", rules, memory_norm_bound=0.5)


# A long stream


def held(root: Any) -> tuple[int, int, int]:
    """Tensors, and bytes of storage, that can be reached from an object; and how many belong to a graph."""
    skipped = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.CodeType)
    seen, waiting, storages, graphs = {id(root)}, [root], dict[int, int](), 0
    count = 0
    while waiting:
        thing = waiting.pop()
        if isinstance(thing, Tensor):
            count += 1
            storages[thing.untyped_storage().data_ptr()] = thing.untyped_storage().nbytes()
            graphs += thing.grad_fn is not None
        for inner in gc.get_referents(thing):
            if id(inner) not in seen and not isinstance(inner, skipped):
                seen.add(id(inner))
                waiting.append(inner)
    return count, sum(storages.values()), graphs


def test_what_is_held_is_counted() -> None:
    a = torch.zeros(10)
    assert held([a, a[:3], {"x": (torch.zeros(5),)}]) == (3, 60, 0)
    assert held(types.SimpleNamespace(graph=a.requires_grad_() * 2))[2] == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("titans-b", {}),
        ("titans-b-window", {}),
        ("titans-b-stale", {}),
        ("titans-b-shuffled", {"waiting_units": 3}),
        ("titans-c", {"online_lr": 1e-4}),
        ("titans-c", {"recent_pairs": 16}),
        ("titans-c", {"recent_pairs": 16, "pair_memory": "now", "optimizer": "sgd", "momentum": 0.9}),
    ],
    ids=["b", "b, window", "stale", "shuffled", "c", "c, recent pairs", "c, recent pairs, present memory"],
)
def test_five_hundred_windows_later_nothing_more_is_held(name: str, options: dict[str, Any]) -> None:
    end = START + 500 + H - 1
    stage = Stage.of(series_to(end), protocol())
    strategy = enlisted(name, stage, **options)
    stream, sizes = Stream(stage, strategy, CPU), {}
    done = 0
    for windows in (52, 500):  # as many rows wait for their unit
        stream.run(START + done, START + windows + H - 1, lambda *_: None)
        done = windows
        gc.collect()
        sizes[windows] = held(strategy)
    assert sizes[52] == sizes[500]
    assert sizes[500][2] == 0
    assert strategy.memory._past.maxlen is not None
    assert len(strategy.memory._past) <= strategy.memory._past.maxlen
    assert strategy.memory.position == (START - L if name == "titans-b-stale" else strategy.memory.position)
