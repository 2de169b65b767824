"""A clock that moves when it is told to, and a strategy whose steps move it."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from bench.contracts.protocol import ProtocolSpec
from bench.evaluation import run, timing_pass
from bench.evaluation.profiling import clocks as timing
from bench.evaluation.run_spec import Choice, RunSpec
from bench.testing import small_series

MS = 1_000_000


@dataclass
class Clock:
    """A performance counter that moves only when it is told to."""

    now: int = 0

    def perf_counter_ns(self) -> int:
        return self.now

    def perf_counter(self) -> float:
        return self.now / 1e9

    def work(self, milliseconds: float) -> None:
        self.now += int(milliseconds * MS)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock(now=123_456)
    monkeypatch.setattr(timing, "time", made)
    return made


@dataclass
class Busy:
    """Stands for a strategy whose steps take the time that is said."""

    clock: Clock
    horizon: int
    observe_ms: float = 2.0
    adapt_ms: float = 3.0
    predict_ms: float = 7.0
    served: int = 0
    forecaster: None = None
    history: Any = field(default_factory=lambda: SimpleNamespace(inputs=None, targets=None))
    protocol: None = None
    config: None = None
    rng: None = None

    def learned(self) -> list[Any]:
        return []

    fixed = learned

    def observe(self, rows: torch.Tensor) -> None:
        self.clock.work(self.observe_ms)

    def adapt(self, feedback: Any) -> None:
        self.clock.work(self.adapt_ms)

    def predict(self, windows: torch.Tensor) -> torch.Tensor:
        self.served += 1
        self.clock.work(self.predict_ms * self.served)
        return windows[:, -1:].expand(-1, self.horizon, -1)

    def trace(self) -> dict[str, float]:
        self.clock.work(1000.0)  # must show in no measurement
        return {}


@pytest.fixture
def busy_run(clock: Clock, registries: None, monkeypatch: pytest.MonkeyPatch) -> RunSpec:
    """A run on a small series whose strategy moves the clock: block ``k`` of the stream takes ``7 k`` ms."""
    series = small_series()
    for module in (run, timing_pass):
        monkeypatch.setattr(module, "load_series", lambda _: series)
    monkeypatch.setattr(run, "make_ready", lambda *_: Busy(clock, 3))
    protocol = ProtocolSpec(preset="dense", block=4).resolve(series)
    return RunSpec("e", Choice("persistence", {}), None, Choice("small", {}), protocol, 0, "cpu", 1, "id")
