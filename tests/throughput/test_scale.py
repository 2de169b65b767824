"""Ten thousand runs: what store and scheduling cost, and how soon a finished experiment is known to be finished."""

from __future__ import annotations

import io
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.contracts.discovery import load_plugins
from bench.evaluation.profiling.clocks import resolve_device
from bench.evaluation.run import RunPaths, describe, load_series
from bench.evaluation.run_spec import RunSpec
from bench.execution.console import Screen
from bench.execution.experiment import Experiment
from bench.execution.session import run_experiment
from bench.results.record import Record
from bench.results.store import FORECASTS, ORIGINS

from ..results.test_store import ERRORS, timing

load_plugins()

RUNS = 10_000
FEW = 200
"""Where benchmarks are disabled."""


def simulated(run: RunSpec, place: RunPaths, progress: Any) -> tuple[Record, dict[str, pd.DataFrame]]:
    """A run's record and frames, as large as they are on a year of hours, at once."""
    rows = np.arange(300)
    origins = pd.DataFrame({"origin": rows, "time": rows} | dict.fromkeys(("mse", "mae"), rows * 0.1))
    forecasts = pd.DataFrame({"origin": rows, "lead": rows % 24, "channel": "OT", "forecast": 0.5, "truth": 0.4})
    record = describe(run, load_series(run), place, resolve_device(run.device))
    update = {"status": "ok", "errors": ERRORS, "timing": timing(), "seconds": 0.01}
    return record.model_copy(update=update), {ORIGINS: origins, FORECASTS: forecasts}


def experiment(folder: Path, runs: int) -> Experiment:
    t = np.arange(400)
    text = "\n".join(["a,b", *(f"{a:.4f},{b:.4f}" for a, b in zip(np.sin(t / 4), np.cos(t / 3), strict=True))])
    (folder / "waves.csv").write_text(text + "\n")
    return Experiment(
        name="many",
        protocol={"lookback": 12, "horizon": 3},
        strategies=[{"name": "rls", "ridge": 1.0 + i} for i in range(10)],
        datasets=[f"csv:{folder / 'waves.csv'}"],
        seeds=list(range(runs // 10)),
        engine="inline",
        timing_blocks=0,
    )


def test_ten_thousand_runs(benchmark: BenchmarkFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = FEW if benchmark.disabled else RUNS
    many = experiment(tmp_path, runs)
    monkeypatch.setattr("bench.execution.session.audit_missing", lambda *_, **__: None)
    made, itself = [0.0], [0.0]

    def execute(*given: Any) -> Any:
        begun = time.perf_counter()
        ended = simulated(*given)
        itself[0] += time.perf_counter() - begun
        return ended

    monkeypatch.setattr("bench.execution.worker.execute", execute)

    def session() -> Any:
        begun = time.perf_counter()
        outcome = run_experiment(many, tmp_path / "results", console=Screen(file=io.StringIO()))
        made[0] = time.perf_counter() - begun
        return outcome

    outcome = session()
    assert outcome.done == {"ok": runs}
    each = 1000 * (made[0] - itself[0]) / runs
    outcome = benchmark.pedantic(session, rounds=1)
    assert (outcome.kept, outcome.done) == (runs, {})
    benchmark.extra_info.update(kind="10,000 runs", ms_a_run=round(each, 3), decides_s=round(made[0], 3))
    print(f"\n{runs:,} simulated runs: {each:.2f} ms each; a second session decides in {made[0]:.2f} s")
    if not benchmark.disabled:
        assert each <= 5
        assert made[0] <= 3
