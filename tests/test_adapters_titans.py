"""Titans in service: what each mode carries, what it changes, and what it leaves alone."""

from __future__ import annotations

import gc
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
from bench.forecasters.fast import memory, perceptron
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
        monkeypatch.setattr(memory, "surprise", counted)

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


def test_the_step_is_adams_and_is_clipped() -> None:
    assert first_step(online_lr=1e-3) == pytest.approx(1e-3, rel=1e-2)
    assert first_step(online_lr=1e-4) == pytest.approx(1e-4, rel=1e-2)
    assert 0 < first_step(online_lr=1e-3, online_clip=1e-12) < 1e-6


@pytest.mark.parametrize("carry", ["exact", "window"])
@pytest.mark.parametrize(
    ("stride", "block", "horizon", "label_every", "forecaster"),
    [
        (1, 1, 3, 1, {}),
        (7, 1, 7, 1, {}),
        (1, 6, 5, 2, {}),
        (3, 3, 6, 1, {"neural_memory_segment_len": 2}),
        (6, 2, 1, 1, {"neural_memory_segment_len": 3}),
        (2, 2, 4, 3, {"num_longterm_mem_tokens": 4, "segment_len": 4}),
        (5, 1, 5, 1, {"neural_memory_segment_len": 1}),  # between warm start and stream lies more than a stride
    ],
)
def test_a_pair_of_c_starts_from_the_memory_of_its_window(
    stride: int, block: int, horizon: int, label_every: int, forecaster: dict[str, Any], carry: str
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

    rules = protocol(stride=stride, block=block, horizon=horizon, label_every=label_every, warm_start=True)
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
    [("titans-b", {}), ("titans-b", {"carry": "window"}), ("titans-b-stale", {}), ("titans-c", {"online_lr": 1e-4})],
    ids=["b", "b, window", "stale", "c"],
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
