"""What else keeps a machine busy: told apart from this process's own work, and never guessed from too short a time."""

from __future__ import annotations

import math
from collections import namedtuple

import pytest

from bench.evaluation.profiling import machine
from bench.evaluation.profiling.machine import BusyCores, power_state
from bench.results.record import Timing

Times = namedtuple("Times", "user system idle iowait steal guest")
Own = namedtuple("Own", "user system")


class Kernel:
    """Counters that move only when they are told to."""

    def __init__(self) -> None:
        self.now, self.total, self.own = 100.0, [50.0, 20.0, 900.0, 5.0, 1.0, 7.0], [3.0, 1.0]

    def cpu_times(self) -> Times:
        return Times(*self.total)

    def Process(self) -> Kernel.Here:  # noqa: N802 - the name that psutil has for it
        return Kernel.Here(self)

    def perf_counter(self) -> float:
        return self.now

    class Here:
        def __init__(self, kernel: Kernel) -> None:
            self.kernel = kernel

        def cpu_times(self) -> Own:
            return Own(*self.kernel.own)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    made = Kernel()
    monkeypatch.setattr(machine, "psutil", made)
    monkeypatch.setattr(machine, "time", made)
    return made


def test_own_work_is_not_others(kernel: Kernel) -> None:
    others = BusyCores()
    kernel.now += 10
    kernel.total[0] += 12  # ten seconds of ours, and two of somebody's
    kernel.own[0] += 10
    assert others.own_and_others()[1] == pytest.approx(0.2)


def test_idle_and_waiting_are_not_work_and_stolen_time_is(kernel: Kernel) -> None:
    others = BusyCores()
    kernel.now += 10
    kernel.total[2] += 15
    kernel.total[3] += 5
    assert others.own_and_others()[1] == 0
    kernel.total[4] += 3  # the host gave it to another guest
    assert others.own_and_others()[1] == pytest.approx(0.3)


def test_a_guest_s_time_counts_once(kernel: Kernel) -> None:
    others = BusyCores()
    kernel.now += 10
    kernel.total[0] += 4  # which holds the guest's
    kernel.total[5] += 4
    assert others.own_and_others()[1] == pytest.approx(0.4)


def test_too_short_to_tell(kernel: Kernel) -> None:
    others = BusyCores()
    kernel.now += 0.01
    assert math.isnan(others.own_and_others()[1])


def test_counters_that_run_backwards_are_no_negative_work(kernel: Kernel) -> None:
    others = BusyCores()
    kernel.now += 10
    kernel.own[0] += 1
    assert others.own_and_others()[1] == 0


def test_the_power_state_is_text_or_nothing() -> None:
    assert isinstance(power_state(), str)


@pytest.mark.parametrize(
    ("cores", "threads", "others", "disturbed"),
    [
        (2, 1, 1.1, False),  # there is a core for each
        (2, 1, 1.3, True),
        (2, 2, 0.1, False),
        (2, 2, 0.3, True),
        (64, 8, 50.0, False),
        (64, 8, 57.0, True),
        (2, 1, math.nan, False),  # not known
    ],
)
def test_disturbed_is_who_cannot_have_had_its_cores(
    cores: int, threads: int, others: float, disturbed: bool, plain_timing: Timing
) -> None:
    timing = plain_timing.model_copy(update={"cores": cores, "threads": threads, "others": others})
    assert timing.is_disturbed is disturbed


@pytest.fixture
def plain_timing() -> Timing:
    steps = {"steps": 1, "total_ms": 1.0, "p50_ms": 1.0, "p95_ms": 1.0, "p99_ms": 1.0}
    return Timing.model_validate({
        "alone": True, "windows": 1, "windows_per_s": 1.0, "predict": steps, "adapt": steps, "warmup": 0,
        "first_predict_ms": 1.0, "peak_memory_mb": 1.0, "threads": 1, "device": "cpu", "device_name": "a CPU",
        "clock": "perf_counter", "load": 0.0,
    })  # fmt: skip
