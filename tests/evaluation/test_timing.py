"""Clocks: the strategy's work is in the time and the harness's is not; accelerators are waited for at the end only."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import weakref
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from bench import BenchError, Strategy
from bench.contracts.protocol import ProtocolSpec
from bench.evaluation import run, stream
from bench.evaluation.profiling import clocks as timing
from bench.evaluation.profiling.clocks import AcceleratorStopwatch, CpuStopwatch, resolve_device, stopwatch, summarize
from bench.evaluation.profiling.profiler import WARMUP_BLOCKS
from bench.evaluation.run import RunPaths
from bench.evaluation.run_spec import RunSpec
from bench.evaluation.stream import PreparedSeries, Stream
from bench.testing import small_series

from ..busy import Busy, Clock, busy_run, clock

__all__ = ["busy_run", "clock"]

CPU = torch.device("cpu")
MS = 1_000_000


def test_the_cpu_stopwatch_counts_each_step(clock: Clock) -> None:
    watch = CpuStopwatch()
    assert watch.milliseconds().tolist() == []
    for duration in (1.5, 0.0, 20.25):
        clock.work(1000)  # between steps
        with watch:
            clock.work(duration)
    assert watch.milliseconds().tolist() == [1.5, 0.0, 20.25]


def test_the_harness_s_own_work_is_outside_the_clock(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    series = small_series()
    stage = PreparedSeries.of(series, ProtocolSpec(preset="online").resolve(series))
    for name in ("windows", "truths"):
        original = getattr(PreparedSeries, name)

        def slow(self: PreparedSeries, origins: Any, original: Any = original) -> Any:
            clock.work(10_000)
            return original(self, origins)

        monkeypatch.setattr(PreparedSeries, name, slow)
    service = Stream(stage, cast(Strategy, Busy(clock, 3)), CPU)
    start = series.split.validation
    service.run(start, start + 8, lambda *_: clock.work(10_000), lambda _: clock.work(10_000))
    assert service.predict_watch.milliseconds().tolist() == [7.0 * k for k in range(1, 7)]
    assert service.adapt_watch.milliseconds().tolist() == [5.0] * 6  # observe and adapt together
    service.start_watches()
    assert len(service.predict_watch.milliseconds()) == len(service.adapt_watch.milliseconds()) == 0
    assert service.windows_since_start(0) == 0


class PutsOff(Busy):
    """Does nothing when it is asked to, and all of it when what it was handed, or returned, is thrown away."""

    def put_off(self, thing: object, milliseconds: float) -> None:
        weakref.finalize(thing, self.clock.work, milliseconds)

    def observe(self, rows: torch.Tensor) -> None:
        self.put_off(rows, 1)

    def adapt(self, feedback: Any) -> None:
        self.put_off(feedback, 2)
        self.put_off(feedback.x, 4)
        self.put_off(feedback.y, 8)
        self.put_off(feedback.origins, 16)

    def predict(self, windows: torch.Tensor) -> torch.Tensor:
        made = windows[:, -1:].expand(-1, self.horizon, -1).clone()
        self.put_off(windows, 32)
        self.put_off(made, 64)
        return made


def test_work_put_off_into_finalizers_is_on_the_clock(clock: Clock) -> None:
    series = small_series()
    stage = PreparedSeries.of(series, ProtocolSpec(preset="online").resolve(series))
    service = Stream(stage, cast(Strategy, PutsOff(clock, 3)), CPU)
    start = series.split.validation
    service.run(start, start + 8, lambda *_: None)
    assert service.adapt_watch.milliseconds().tolist() == [31.0] * 6
    assert service.predict_watch.milliseconds().tolist() == [96.0] * 6


@dataclass
class Device:
    """An accelerator with a queue: calls return at once, work is done when somebody waits for it."""

    queue: list[Any] = field(default_factory=list)
    now: float = 0.0
    waited: int = 0

    def work(self, milliseconds: float) -> None:
        self.queue.append(milliseconds)

    def synchronize(self, device: torch.device) -> None:
        assert device.type == "cuda"
        self.waited += 1
        for item in self.queue:
            if isinstance(item, Event):
                item.stamp = self.now
            else:
                self.now += item
        self.queue.clear()


@dataclass
class Event:
    """Stands for `torch.Event`."""

    accelerator: Device
    enable_timing: bool
    stamp: float | None = None

    def record(self) -> None:
        self.accelerator.queue.append(self)

    def elapsed_time(self, end: Event) -> float:
        assert self.enable_timing
        assert self.stamp is not None, "read before the device had caught up"
        assert end.stamp is not None, "read before the device had caught up"
        return end.stamp - self.stamp


@pytest.fixture
def accelerator(monkeypatch: pytest.MonkeyPatch) -> Device:
    made = Device()

    def event(device: torch.device, *, enable_timing: bool = False) -> Event:
        assert device.type == "cuda"
        return Event(made, enable_timing)

    monkeypatch.setattr(timing, "torch", SimpleNamespace(Event=event, accelerator=made, device=torch.device))
    return made


def test_the_accelerator_stopwatch_waits_once_at_the_end(accelerator: Device) -> None:
    watch = AcceleratorStopwatch(torch.device("cuda"))
    for duration in (4.0, 0.5, 9.0):
        accelerator.work(1000)  # queued before the step
        with watch:
            accelerator.work(duration)
    assert accelerator.waited == 0
    assert watch.milliseconds().tolist() == [4.0, 0.5, 9.0]
    assert accelerator.waited == 1


def test_a_stream_on_an_accelerator_does_not_wait_inside_a_step(
    accelerator: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Served on the CPU, timed as if on an accelerator: predict and adapt apart, in the order of the queue."""
    monkeypatch.setattr(stream, "stopwatch", lambda _: AcceleratorStopwatch(torch.device("cuda")))
    series = small_series()
    stage = PreparedSeries.of(series, ProtocolSpec(preset="online").resolve(series))
    service = Stream(stage, cast(Strategy, Busy(cast(Clock, accelerator), 3)), CPU)
    start = series.split.validation
    service.run(start, start + 6, lambda *_: accelerator.work(10_000))
    assert accelerator.waited == 0
    assert service.predict_watch.milliseconds().tolist() == [7.0, 14.0, 21.0, 28.0]
    assert service.adapt_watch.milliseconds().tolist() == [5.0] * 4


def test_the_stopwatch_is_chosen_by_device() -> None:
    # an event's record raises on a CPU: the choice is by device
    assert isinstance(stopwatch(CPU), CpuStopwatch)
    for kind in ("cuda", "mps", "xpu"):
        assert isinstance(stopwatch(torch.device(kind)), AcceleratorStopwatch)


def test_statistics_leave_the_warm_up_out() -> None:
    steps = np.array([1e6, 1e5, 3.0, 1.0, 2.0, 4.0, 5.0])
    times = summarize(steps, warmup=2)
    assert times.steps == 5
    assert times.total_ms == 15.0
    assert times.p50_ms == 3.0
    assert times.p95_ms == pytest.approx(4.8)
    assert times.p99_ms == pytest.approx(4.96)
    assert summarize(steps, warmup=7).steps == 0
    assert summarize(steps, warmup=7).total_ms == 0.0


def test_a_run_s_timing(busy_run: RunSpec, tmp_path: Any) -> None:
    record, _ = run.execute(busy_run, RunPaths(tmp_path, tmp_path))
    measured = record.timing
    assert measured is not None
    windows = 51 - 3 + 1
    blocks = -(-windows // 4)
    warm_blocks = -(-(17 - 3 + 1) // 4)
    assert WARMUP_BLOCKS == measured.warmup == 3
    assert measured.windows == windows - 3 * 4
    assert measured.predict.steps == measured.adapt.steps == blocks - 3
    durations = [7.0 * k for k in range(warm_blocks + 1, warm_blocks + blocks + 1)]
    assert measured.first_predict_ms == durations[0]  # the warm start is not in the clock
    assert measured.predict.total_ms == pytest.approx(sum(durations[3:]))
    assert measured.predict.p50_ms == pytest.approx(np.median(durations[3:]))
    assert measured.adapt.p95_ms == 5.0
    seconds = (sum(durations[3:]) + 5.0 * (blocks - 3)) / 1000
    assert measured.windows_per_s == pytest.approx((windows - 12) / seconds)
    assert not measured.alone
    assert measured.clock == "perf_counter"


def test_threads_that_a_strategy_sets_are_recorded_and_put_back(
    busy_run: RunSpec, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    class Greedy(Busy):
        def predict(self, windows: torch.Tensor) -> torch.Tensor:
            torch.set_num_threads(3)
            return super().predict(windows)

    monkeypatch.setattr(run, "make_ready", lambda *_: Greedy(clock, 3))
    before = torch.get_num_threads()
    record, _ = run.execute(busy_run, RunPaths(tmp_path, tmp_path))
    assert record.timing is not None
    assert (record.timing.threads, record.environment["threads"]) == (3, 1)
    assert torch.get_num_threads() == before


def test_what_the_strategy_says_of_itself_is_measured_apart(
    busy_run: RunSpec, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    class Talks(Busy):
        def trace(self) -> dict[str, float]:
            time.sleep(0.002)
            return {}

    monkeypatch.setattr(run, "make_ready", lambda *_: Talks(clock, 3))
    record, _ = run.execute(busy_run, RunPaths(tmp_path, tmp_path))
    assert record.timing is not None
    assert record.timing.trace_us >= 2000


def test_a_stream_shorter_than_the_warm_up_is_timed_by_its_last_block(busy_run: RunSpec, tmp_path: Any) -> None:
    short = replace(busy_run, protocol=busy_run.protocol.model_copy(update={"block": 1000}))
    record, _ = run.execute(short, RunPaths(tmp_path, tmp_path))
    assert record.timing is not None
    assert record.timing.warmup == 0
    assert record.timing.predict.steps == 1
    assert record.timing.windows == 49


@pytest.mark.skipif(
    not os.access("/proc/self/clear_refs", os.W_OK), reason="the system cannot reset a process's high-water mark"
)
def test_peak_memory_sees_what_is_held_meanwhile() -> None:
    # In a process of its own: one that has run many tests may serve the block from memory that it still holds.
    program = """
import numpy as np, torch
from bench.evaluation.profiling.clocks import PeakMemory
memory = PeakMemory(torch.device("cpu"))
before = memory.megabytes()
block = np.ones(40_000_000 // 8)
held = memory.megabytes()
del block
print(before, held, memory.megabytes())
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    before, held, after = map(float, run.stdout.split())
    assert 0 <= before <= held - 30
    assert after >= held  # a peak stays


@dataclass
class Machine:
    """Stands for `torch.accelerator`."""

    kind: str | None

    def is_available(self) -> bool:
        return self.kind is not None

    def current_accelerator(self) -> torch.device | None:
        return torch.device(self.kind) if self.kind else None


def machine(monkeypatch: pytest.MonkeyPatch, kind: str | None) -> None:
    monkeypatch.setattr(timing, "torch", SimpleNamespace(accelerator=Machine(kind), device=torch.device))


def test_devices_of_a_machine_without_an_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, None)
    assert resolve_device("auto") == resolve_device("cpu") == CPU
    for name in ("cuda", "cuda:1", "mps"):
        with pytest.raises(BenchError, match=f"Device '{name}' is not available here; this machine has a CPU only"):
            resolve_device(name)


def test_devices_of_a_machine_with_one(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, "cuda")
    assert resolve_device("auto") == resolve_device("cuda") == torch.device("cuda")
    assert resolve_device("cuda:1") == torch.device("cuda:1")
    assert resolve_device("cpu") == CPU
    with pytest.raises(BenchError, match="Device 'mps' is not available here; this machine has cuda"):
        resolve_device("mps")


@pytest.mark.parametrize("name", ["gpu", "", "cuda:x", "CPU0"])
def test_a_device_that_does_not_exist(name: str) -> None:
    with pytest.raises(BenchError, match=f"Unknown device '{name}': use auto, cpu, cuda or mps"):
        resolve_device(name)
