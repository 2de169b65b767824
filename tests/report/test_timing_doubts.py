"""Where a timing pass and its run part, the table of cost says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.report import write_report
from bench.report.sections.timing_doubts import doubts, usual_us
from bench.results.record import Record, Replay, StepTimes, Timing


def steps(p50_ms: float, n: int = 40, mean_ms: float | None = None) -> StepTimes:
    return StepTimes(steps=n, total_ms=n * (mean_ms or p50_ms), p50_ms=p50_ms, p95_ms=2 * p50_ms, p99_ms=3 * p50_ms)


def timing(predict: StepTimes, adapt: StepTimes, /, **changes: Any) -> Timing:
    values: dict[str, Any] = {
        "alone": True, "windows": predict.steps, "windows_per_s": 1.0, "predict": predict, "adapt": adapt, "warmup": 3,
        "first_predict_ms": 1.0, "peak_memory_mb": 1.0, "threads": 1, "device": "cpu", "device_name": "a CPU",
        "clock": "perf_counter", "load": 0.0, "cores": 4, "others": 0.0, "own": 1.0, "harness_us": 40.0,
        "trace_us": 0.0,
    }  # fmt: skip
    return Timing(**values | changes)


@pytest.fixture
def run(fakes: Any) -> Callable[..., tuple[Timing, Record]]:
    """A pass and the record of its run, alike but for what is said: of the pass first, of the run as ``own_...``."""

    def make(**changes: Any) -> tuple[Timing, Record]:
        own = {key.removeprefix("own_"): changes.pop(key) for key in list(changes) if key.startswith("own_")}
        alone = timing(changes.pop("predict", steps(2.0)), changes.pop("adapt", steps(3.0)), **changes)
        shared = timing(
            own.pop("predict", steps(2.0, 400)), own.pop("adapt", steps(3.0, 400)), **{"alone": False} | own
        )
        record = fakes.record(fakes.strategies[0], fakes.Scenario(), 0, timing=shared)
        return alone, record

    return make


LEAKS = Replay(verdict="leaks", origins=50, reason="leaks: ...")

CASES: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({}, ""),
    "the same again": ({"replay": Replay(verdict="same", origins=50)}, ""),
    "a leak": ({"replay": LEAKS}, "its forecasts are others where the rows to come are out of reach"),
    "no repetition": (
        {"replay": LEAKS.model_copy(update={"verdict": "differs"})},
        "its forecasts are others when its run is served again",
    ),
    "elsewhere": (
        {"replay": LEAKS.model_copy(update={"verdict": "unclear"})},
        "its forecasts are others when its run is served again",
    ),
    "threads": ({"threads": 4}, "it set torch to 4 threads, where it was given 1"),
    "fewer threads are no excuse": ({"threads": 2, "own": 1.9}, "it set torch to 2 threads, where it was given 1"),
    "threads of its own": ({"own": 1.9}, "it kept 1.90 cores busy, where it was given 1"),
    "a little more than one core": ({"own": 1.15}, ""),
    "a quicker pass": ({"own_predict": steps(20.0, 400)}, "a usual block takes 4.60 times as long in its run"),
    "a quicker adapt": ({"adapt": steps(0.0)}, "a usual block takes 2.50 times as long in its run"),
    "a slower pass": ({"predict": steps(20.0)}, "a usual block takes 0.217 times as long in its run"),
    "a little slower": ({"own_predict": steps(3.0, 400)}, ""),
    "work after the pass": (
        {"own_adapt": steps(3.0, 400, mean_ms=60.0)},
        "a window costs 12.4 times as much over the whole stream",
    ),
    "work off the clock": (
        {"own_harness_us": 9000.0},
        "9,000 µs a block pass outside its steps, where 40.0 are usual",
    ),
    "a little more": ({"own_harness_us": 150.0}, ""),
    "work in its trace": ({"own_trace_us": 6000.0}, "its trace takes longer than its service"),
    "a trace that costs something": ({"own_trace_us": 2000.0}, ""),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_odd_about_a_timing_pass(case: str, run: Callable[..., tuple[Timing, Record]]) -> None:
    changes, expected = CASES[case]
    assert doubts(*run(**changes), usual=40.0) == ([expected] if expected else [])


def test_the_usual_time_is_the_median_of_those_that_leave_traces_out() -> None:
    times = [timing(steps(1.0), steps(1.0), harness_us=us) for us in (30.0, 40.0, 9000.0)]
    old = timing(steps(1.0), steps(1.0), harness_us=1e6, trace_us=float("nan"))
    assert usual_us([*times, old]) == 40.0


def test_a_record_from_before_says_nothing_odd(run: Callable[..., tuple[Timing, Record]]) -> None:
    nan = float("nan")
    before = {"own": nan, "trace_us": nan, "own_own": nan, "own_trace_us": nan, "own_harness_us": 9000.0}
    assert doubts(*run(**before), usual=usual_us([])) == []


def test_the_table_marks_who_is_to_be_taken_with_care(tmp_path: Path, fakes: Any) -> None:
    store = fakes.write_results(tmp_path / "results" / "default", strategies=fakes.strategies[:3], seeds=1)
    runs = {r.strategy.name: r for r in store.records() if r.seed == 0 and store.read_timing(r.run_id)}
    record = runs["rls"]
    alone = store.read_timing(record.run_id)
    assert alone is not None
    store.write_timing(record.run_id, alone.model_copy(update={"replay": LEAKS, "threads": 3}))
    readme = write_report(store.folder, tmp_path / "reports" / "default")
    text = readme.read_text(encoding="utf-8")
    assert (
        "rls: its forecasts are others where the rows to come are out of reach, and it set torch to 3 threads" in text
    )
    (row,) = [line for line in text.splitlines() if line.startswith("| rls") and "†" in line]
    assert "FAILED the leak canary" in row
    assert any(
        line.startswith("| rls") and "leaks: ... (on akl-pedestrians, in its" in line for line in text.splitlines()
    )
