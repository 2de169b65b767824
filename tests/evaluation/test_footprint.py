"""What a strategy holds and computes: each byte once, what it was given not at all, each operation in its step."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench.contracts.discovery import load_plugins
from bench.contracts.protocol import ProtocolSpec
from bench.contracts.strategy import STRATEGIES, Strategy
from bench.evaluation.profiling.footprint import FlopCount, ParameterCount, state_bytes
from bench.evaluation.profiling.profiler import count_flops
from bench.evaluation.stream import PreparedSeries, Stream
from bench.testing import small_series, tiny_maker


@dataclass
class Cache:
    layers: tuple[dict[str, Tensor], ...]


def holder(forecaster: Any = None, **held: Any) -> Strategy:
    history = SimpleNamespace(inputs=torch.zeros(1000, 7), targets=torch.zeros(1000, 7))
    own = {"parts": None, "history": history, "protocol": None, "config": None, "rng": np.random.default_rng(0)}
    strategy = object.__new__(Strategy)
    vars(strategy).update(own | {"forecaster": forecaster} | held)
    return strategy


def test_what_is_given_is_no_state() -> None:
    model = nn.Linear(10, 10)
    strategy = holder(model)
    assert state_bytes(strategy) == 0
    strategy.rows = strategy.history.inputs[-5:]  # type: ignore[attr-defined]  # a view of what is there anyway
    strategy.head = model.weight  # type: ignore[attr-defined]
    assert state_bytes(strategy) == 0


def test_tensors_and_arrays_are_found_wherever_they_are() -> None:
    assert state_bytes(holder(memory=torch.zeros(10))) == 40
    assert state_bytes(holder(memory=np.zeros(10))) == 80
    assert state_bytes(holder(memory=Cache(({"w": torch.zeros(10)}, {"w": torch.zeros(5)})))) == 60
    assert state_bytes(holder(recent=deque([torch.zeros(2), [torch.zeros(3)]]), text="abc", none=None)) == 20


def test_storage_that_is_shared_counts_once_and_whole() -> None:
    block, array = torch.zeros(100), np.zeros(100)
    assert state_bytes(holder(a=block, b=block[:10], c=[block.view(10, 10)])) == 400
    assert state_bytes(holder(a=array[::2], b=array[:10])) == 800  # a view keeps all of it


def test_cycles_end() -> None:
    one: dict[str, Any] = {"x": torch.zeros(1)}
    one["self"] = one
    assert state_bytes(holder(a=one)) == 4


def test_an_optimiser_s_moments_are_state_and_its_parameters_are_not() -> None:
    model = nn.Linear(10, 10)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.zeros(1, 10)).sum().backward()
    optimizer.step()
    model.zero_grad()
    moments = 2 * 4 * 110 + 2 * 4  # two for each parameter, and a step count for each tensor
    assert state_bytes(holder(model, optimizer=optimizer)) == moments


def test_parameters_that_change_are_told_from_those_that_may() -> None:
    below, above = nn.Linear(3, 4), nn.Linear(4, 5)
    model = nn.Sequential(below, above)
    below.requires_grad_(requires_grad=False)
    count = ParameterCount(holder(model))
    unchanged = count.now(holder(model))
    assert unchanged is not None
    assert (unchanged.total, unchanged.trainable, unchanged.updated) == (16 + 25, 25, 0)
    with torch.no_grad():
        above.bias[2] += 1  # a tensor counts as a whole
    changed = count.now(holder(model))
    assert changed is not None
    assert changed.updated == 5
    assert ParameterCount(holder()).now(holder()) is None
    replaced = count.now(holder(nn.Linear(3, 4)))  # another one, whatever its names
    assert replaced is not None
    assert replaced.updated == replaced.total == 16


def test_what_learns_beside_the_forecaster_is_counted_and_what_is_fixed_is_no_state() -> None:
    class Around(Strategy):
        gain: nn.Parameter
        generator: nn.Module

        def learned(self) -> list[nn.Parameter]:
            return [self.gain]

        def fixed(self) -> list[nn.Module]:
            return [*super().fixed(), self.generator]

    around = object.__new__(Around)
    vars(around).update(vars(holder(nn.Linear(3, 4), parts=nn.Linear(2, 2), generator=nn.Linear(6, 6))))
    around.gain = nn.Parameter(torch.ones(7))
    count = ParameterCount(around)
    with torch.no_grad():
        around.gain.add_(1)
    found = count.now(around)
    assert found is not None
    assert (found.total, found.trainable, found.updated) == (16 + 7, 7, 7)
    assert state_bytes(around) == 4 * 7


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_operations_of_a_step_are_counted_whatever_the_mode(context: Any) -> None:
    layer, x, count = nn.Linear(8, 16), torch.zeros(4, 8), FlopCount()
    for _ in range(3):
        with count, context():
            layer(x)
    assert count.total == 3 * 2 * 4 * 8 * 16


def stream_of(name: str, preset: str = "dense") -> Stream:
    load_plugins()
    series = small_series()
    stage = PreparedSeries.of(series, ProtocolSpec(preset=preset, warm_start=False).resolve(series))
    return Stream(stage, tiny_maker(name)(stage), torch.device("cpu"))


def test_operations_of_service_by_step() -> None:
    within, carried, frozen, persistence = (
        count_flops(s, s.stage.first_origin, len(s.stage.series))
        for s in map(stream_of, ("titans-a", "titans-b", "frozen", "persistence"))
    )
    assert within is not None
    assert carried is not None
    assert frozen is not None
    assert persistence is not None
    assert persistence.predict == persistence.adapt == within.adapt == frozen.adapt == 0
    assert within.predict > frozen.predict > 0  # writing within the window costs
    assert carried.adapt > 0  # and so does carrying


def test_a_stream_that_is_over_has_no_operations_to_count() -> None:
    stream = stream_of("frozen")
    assert count_flops(stream, len(stream.stage.series), len(stream.stage.series)) is None


def test_what_cannot_be_counted_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = stream_of("frozen")

    def refuse(windows: Tensor) -> Tensor:
        raise NotImplementedError("under a counter")

    monkeypatch.setattr(stream.strategy, "predict", refuse)
    assert count_flops(stream, stream.stage.first_origin, len(stream.stage.series)) is None


def test_counting_changes_no_forecast() -> None:
    counted, plain = stream_of("titans-b"), stream_of("titans-b")
    start, end = counted.stage.first_origin, len(counted.stage.series)
    count_flops(counted, start, start + 27)
    plain.run(start, start + 27, lambda *_: None, limit=8)
    made: list[list[Any]] = []
    for stream in (counted, plain):
        stream.run(start + 27, end, lambda _, forecasts, own=made: own.append(forecasts.tolist()))  # type: ignore[misc]
    assert made[0] == made[1]


def test_who_holds_what() -> None:
    held = {name: state_bytes(stream_of(name).strategy) for name in ("persistence", "titans-a", "titans-b", "rls")}
    assert held["titans-a"] == 0
    assert held["persistence"] == 12  # three targets
    assert held["titans-b"] > held["persistence"]
    assert held["rls"] > 0
    assert {entry.name for entry in STRATEGIES} >= held.keys()
