"""Titans in service: what each mode carries, what it changes, and what it leaves alone."""

from __future__ import annotations

import gc
import math
import types
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bench import BenchError, Planned, Task
from bench.contracts.config import build
from bench.contracts.forecaster import FORECASTERS
from bench.contracts.strategy import STRATEGIES
from bench.evaluation.stream import PreparedSeries, Stream
from bench.forecasters.titans.fast_engine import perceptron

from ..caches import same
from ..titans_in_service import (
    CARRYING,
    CPU,
    START,
    TINY,
    H,
    L,
    U,
    changed,
    enlisted,
    protocol,
    series_to,
    serve,
    weights,
)

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
    stage = PreparedSeries.of(series_to(100), rules)
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


@pytest.mark.parametrize(("batch", "refusal"), [(4, ""), (16, "16 is more than the 12 tokens of a window")])
def test_writes_in_service_that_never_end_are_refused(batch: int, refusal: str) -> None:
    titans, cls = FORECASTERS["titans"].cls, STRATEGIES["titans-b"].cls
    planned = Planned(protocol(), Task(L, H, 3, 3, (0, 1, 2)), 60, titans, build(titans.Config, TINY, "titans"))
    with pytest.raises(BenchError, match=refusal) if refusal else nullcontext():
        cls.check_service(build(cls.Config, {"neural_memory_batch_size": batch}, "titans-b"), planned)


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
        monkeypatch.setattr(perceptron, "surprise", counted)

    frozen = serve("frozen", protocol(), watch=count)
    assert writes == []
    monkeypatch.undo()
    within = serve("titans-a", protocol(), watch=count)
    assert len(writes) == len(within.forecasts)
    assert not np.allclose(frozen.forecasts[START], within.forecasts[START], atol=1e-6)


def test_b_leaves_only_the_memories_trainable() -> None:
    strategy = enlisted("titans-b", PreparedSeries.of(series_to(100), protocol()))
    memory = {id(p) for m in strategy.forecaster.memories for p in m.parameters()}
    assert {id(p) for p in strategy.forecaster.parameters() if p.requires_grad} == memory


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
def test_a_hundred_windows_later_nothing_more_is_held(name: str, options: dict[str, Any]) -> None:
    end = START + 164 + H - 1
    stage = PreparedSeries.of(series_to(end), protocol())
    strategy = enlisted(name, stage, **options)
    stream, sizes = Stream(stage, strategy, CPU), {}
    done = 0
    for windows in (52, 164):  # as many rows wait for their unit
        stream.run(START + done, START + windows + H - 1, lambda *_: None)
        done = windows
        gc.collect()
        sizes[windows] = held(strategy)
    assert sizes[52] == sizes[164]
    assert sizes[164][2] == 0
    assert strategy.memory._past.maxlen is not None
    assert len(strategy.memory._past) <= strategy.memory._past.maxlen
    assert strategy.memory.position == (START - L if name == "titans-b-stale" else strategy.memory.position)
