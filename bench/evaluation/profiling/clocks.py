"""Stopwatches and memory measurement for any device."""

from __future__ import annotations

import contextlib
import platform
import resource
import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch

from bench.evaluation.profiling.allocator import give_back_freed_memory
from bench.results.record import StepTimes

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Stopwatch(Protocol):
    """Times steps: ``with watch: ...`` is one step."""

    name: str

    def __enter__(self) -> object: ...

    def __exit__(self, *_: object) -> None: ...

    def milliseconds(self) -> NDArray[np.float64]:
        """Duration of each step so far; waits for the device."""
        ...


class CpuStopwatch:
    """For work that ends when the call returns, by the performance counter."""

    name = "perf_counter"

    def __init__(self) -> None:
        self._nanoseconds: list[int] = []
        self._start = 0

    def __enter__(self) -> None:
        self._start = time.perf_counter_ns()

    def __exit__(self, *_: object) -> None:
        self._nanoseconds.append(time.perf_counter_ns() - self._start)

    def milliseconds(self) -> NDArray[np.float64]:
        """Duration of each step so far."""
        return np.asarray(self._nanoseconds, dtype=np.float64) / 1e6


class AcceleratorStopwatch:
    """For work that an accelerator does after the call returned, by events in its queue.

    Nothing waits for the device inside a step; durations are read once, at the end.
    """

    name = "torch.Event"

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._events: list[tuple[torch.Event, torch.Event]] = []

    def __enter__(self) -> None:
        begin, end = (torch.Event(self._device, enable_timing=True) for _ in range(2))
        begin.record()
        self._events.append((begin, end))

    def __exit__(self, *_: object) -> None:
        self._events[-1][1].record()

    def milliseconds(self) -> NDArray[np.float64]:
        """Duration of each step so far, once the device has finished."""
        torch.accelerator.synchronize(self._device)
        return np.asarray([begin.elapsed_time(end) for begin, end in self._events], dtype=np.float64)


def stopwatch(device: torch.device) -> Stopwatch:
    """The right stopwatch for a device."""
    return CpuStopwatch() if device.type == "cpu" else AcceleratorStopwatch(device)


def summarize(milliseconds: NDArray[np.float64], warmup: int) -> StepTimes:
    """Statistics of the steps after the first ``warmup``."""
    steps = milliseconds[warmup:]
    if len(steps) == 0:
        return StepTimes(steps=0, total_ms=0.0, p50_ms=0.0, p95_ms=0.0, p99_ms=0.0)
    p50, p95, p99 = (float(q) for q in np.percentile(steps, [50, 95, 99]))
    return StepTimes(steps=len(steps), total_ms=float(steps.sum()), p50_ms=p50, p95_ms=p95, p99_ms=p99)


class PeakMemory:
    """Peak of the memory in use since it was made, above what was in use then.

    On an accelerator the device allocator's peak. On a CPU the growth of the process's resident memory: on Linux the
    larger of its high-water mark, which is reset first, and of its anonymous part at each reading (the system
    may drop pages of files meanwhile, and so hide growth from the mark); elsewhere only growth past the process's own
    earlier peak is seen.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        if device.type != "cpu":
            with contextlib.suppress(RuntimeError, AttributeError):  # not every backend keeps count
                torch.accelerator.reset_peak_memory_stats(device)
        else:
            give_back_freed_memory()
            _reset_high_water_mark()
            self._baseline, self._anonymous = _resident_kib("VmRSS"), _resident_kib("RssAnon")
            self._peak = 0

    def megabytes(self) -> float:
        """Peak so far, in 10^6 bytes; NaN on an accelerator whose backend does not tell."""
        if self._device.type != "cpu":
            try:
                return torch.accelerator.max_memory_allocated(self._device) / 1e6
            except (RuntimeError, AttributeError):
                return float("nan")
        grown = max(_resident_kib("VmHWM") - self._baseline, _resident_kib("RssAnon") - self._anonymous)
        self._peak = max(self._peak, grown)
        return self._peak * 1024 / 1e6


def _reset_high_water_mark() -> None:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:  # not Linux, or not allowed: the mark then covers the process's whole life
        return


def _resident_kib(key: str) -> int:
    try:
        return int(Path("/proc/self/status").read_text().partition(f"{key}:")[2].split()[0])
    except (OSError, IndexError):  # not Linux, or a sandbox that does not tell
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak // 1024 if platform.system() == "Darwin" else peak


def resolve_device(name: str) -> torch.device:
    """``auto`` (an accelerator if there is one), ``cpu``, ``cuda``, ``mps``, ``cuda:1`` ...; `BenchError` otherwise."""
    from bench.contracts.errors import BenchError

    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    if name == "auto":
        return accelerator or torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise BenchError(f"Unknown device {name!r}: use auto, cpu, cuda or mps") from None
    if device.type != "cpu" and (accelerator is None or accelerator.type != device.type):
        raise BenchError(f"Device {name!r} is not available here; this machine has {accelerator or 'a CPU only'}")
    return device


def device_name(device: torch.device) -> str:
    """The device's model, as the system names it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device) if torch.cuda.is_available() else "of another machine"
    try:
        cpuinfo = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    return cpuinfo.partition("model name")[2].partition(":")[2].partition("\n")[0].strip() or platform.machine()
