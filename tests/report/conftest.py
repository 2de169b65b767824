"""Results that no run made: records and frames drawn from seeded noise, written through the store."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench.contracts.metric import METRICS
from bench.contracts.protocol import Protocol
from bench.report import write_report
from bench.results.audit import AUDITS, Audit, AuditStatus, audited_sha, write_audit
from bench.results.migrations import REMEMBERS, SAID
from bench.results.record import (
    DatasetRecord,
    Errors,
    EventRecord,
    Flops,
    MetricRecord,
    Parameters,
    PluginRecord,
    Record,
    StepTimes,
    Timing,
    Validation,
)
from bench.results.store import FORECASTS, ORIGINS, TRACE, TRAINING, Store

from ..conftest import pictures


@dataclass(frozen=True)
class FakeStrategy:
    """A strategy by the error and the cost that it is to show."""

    name: str
    error: float
    recovery: float = 1.0  # factor on the error after a drift
    predict_ms: float = 1.0
    adapt_ms: float = 0.1
    group: str = "core"
    uses_forecaster: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    noise: float = 0.02  # relative spread over seeds


STRATEGIES = (
    FakeStrategy("persistence", 0.40, 1.6, 0.02, 0.01, noise=0.0),
    FakeStrategy("seasonal-naive", 0.31, 1.5, 0.03, 0.01, noise=0.0),
    FakeStrategy("rls", 0.21, 1.2, 0.05, 1.6, noise=0.0),
    FakeStrategy("frozen", 0.24, 2.6, 5.1, 0.01, uses_forecaster=True),
    FakeStrategy("titans-a", 0.235, 2.5, 6.4, 0.01, uses_forecaster=True),
    FakeStrategy("titans-b", 0.26, 1.4, 6.6, 4.0, uses_forecaster=True),
    FakeStrategy("titans-c", 0.205, 1.3, 6.8, 31.0, uses_forecaster=True),
    FakeStrategy("retrain", 0.215, 1.5, 5.0, 55.0, uses_forecaster=True),
    FakeStrategy("titans-b-stale", 0.232, 2.3, 6.5, 0.02, group="control", uses_forecaster=True),
)
KNOWN = {name: str(said["colour"]) for name, said in SAID.items()}
ENVIRONMENT = {
    "command": "bench run default",
    "python": "3.11.7",
    "platform": "Linux-x86_64",
    "packages": {"adaptbench": "0.1.0", "torch": "2.13.0", "numpy": "2.4.6"},
    "device": "cpu",
    "device_name": "Some CPU @ 2.0 GHz",
    "threads": 1,
    "git": {"commit": "0123456789abcdef0123456789abcdef01234567", "dirty": False},
    "started": "2026-01-02T03:04:05+00:00",
}


VALIDATION = Validation(windows=256, forecaster=0.21, ridge=0.23, seasonal_naive=0.3, persistence=0.45)


def curve(seed: int) -> pd.DataFrame:
    """``training.parquet`` of one run: eight looks after the start, the last of them no better."""
    steps = np.arange(201)
    error = np.where(steps % 25 == 0, 0.21 + 0.2 * np.exp(-steps / (20.0 + seed)) + (steps == 200) * 0.001, np.nan)
    return pd.DataFrame({"step": steps, "loss": 0.3, "validation_error": error})


@dataclass(frozen=True)
class FakeScenario:
    """A dataset and a protocol, by the shape of what they leave."""

    name: str = "akl-pedestrians"
    targets: tuple[str, ...] = ("Queen St", "Quay St", "K Road")
    events: tuple[tuple[float, str], ...] = ((0.3, "lockdown"), (0.6, "reopening"))  # fraction of the stream, name
    origins: int = 60
    horizon: int = 24
    stride: int = 24
    block: int = 1
    preset: str = "day-ahead"
    dates: bool = True
    scale: float = 1.0
    regime: dict[str, Any] = field(default_factory=dict)  # of labels, as the protocol takes it

    @property
    def protocol(self) -> Protocol:
        return Protocol(
            name=self.preset,
            lookback=96,
            horizon=self.horizon,
            stride=self.stride,
            block=self.block,
            **self.regime,
        )

    @property
    def borders(self) -> tuple[int, int, int]:
        start = 1200
        return 960, start, start + (self.origins - 1) * self.stride + self.horizon

    @property
    def event_rows(self) -> list[tuple[int, str]]:
        _, start, end = self.borders
        return [(start + int(part * (end - start) / 24) * 24, name) for part, name in self.events]

    def times(self, rows: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return np.datetime64("2020-01-01T00", "ns") + rows * np.timedelta64(1, "h") if self.dates else rows

    def record(self) -> DatasetRecord:
        return DatasetRecord(
            name=self.name,
            fingerprint=hashlib.sha256(self.name.encode()).hexdigest(),
            rows=self.borders[2],
            inputs=list(self.targets),
            targets=list(self.targets),
            borders=self.borders,
            events=[
                EventRecord(row=row, time=str(self.times(np.array(row))), name=name, kind="abrupt")
                for row, name in self.event_rows
            ],
            season=24,
            source="counted by hand",
            licence="CC BY 4.0",
            notes=["2 gaps were filled forward"],
        )


def hash_text(text: str) -> int:
    return sum((i + 1) * ord(letter) for i, letter in enumerate(text))


def origin_errors(strategy: FakeStrategy, scenario: FakeScenario, seed: int) -> pd.DataFrame:
    """Weekly pattern, drift, noise: ``origins.parquet`` of one run."""
    rng = np.random.default_rng([seed, hash_text(scenario.name)])
    own = np.random.default_rng([seed, hash_text(strategy.name)])
    rows = scenario.borders[1] + scenario.stride * np.arange(scenario.origins)
    weekly = 1 + 0.5 * np.sin(2 * np.pi * rows / 168)
    drift = np.ones(len(rows))
    for row, _ in scenario.event_rows:
        after = rows >= row
        drift[after] += (0.2 + strategy.recovery) * np.exp(-(rows[after] - row) / (24 * 10 * strategy.recovery))
    common = np.exp(0.25 * rng.standard_normal(len(rows)))
    mse = scenario.scale * strategy.error * weekly * drift * common
    mse *= np.exp(0.05 * (strategy.noise > 0) * own.standard_normal(len(rows)))
    mse *= 1 + strategy.noise * own.standard_normal()
    mae = 0.8 * np.sqrt(mse)
    return pd.DataFrame(
        {
            "origin": rows,
            "time": scenario.times(rows),
            "mse": mse,
            "mae": mae,
            "mse_original": 1e4 * mse,
            "mae_original": 1e2 * mae,
        }
    )


def forecasts(strategy: FakeStrategy, scenario: FakeScenario, seed: int, origins: pd.DataFrame) -> pd.DataFrame:
    """``forecasts.parquet`` of one run: two weeks on both sides of the first event."""
    rng = np.random.default_rng([seed, 7, hash_text(strategy.name)])
    event = scenario.event_rows[0][0]
    near = origins[(origins["origin"] >= event - 14 * 24) & (origins["origin"] < event + 14 * 24)]
    near = near.iloc[:: max(1, scenario.horizon // scenario.stride)]  # those that do not overlap
    rows = near["origin"].to_numpy()[:, None, None] + np.arange(scenario.horizon)[None, :, None]
    channel = np.arange(len(scenario.targets))[None, None, :]
    rows, channel = np.broadcast_arrays(rows, channel)
    level = np.where(rows < event, 1.0, 0.35) * (channel + 1)
    truth = 300 * level * (1.1 - np.cos(2 * np.pi * rows / 24)) * (1 + 0.3 * np.sin(2 * np.pi * rows / 168))
    truth = truth + 15 * np.random.default_rng(1).standard_normal(scenario.borders[2] + 48)[rows]
    since = rows - event
    belief = np.where(since < 24, 1.0, 0.35 + 0.65 * np.exp(-since / (24 * 4 * strategy.recovery)))
    bias = np.where(since < 0, 1.0, belief / 0.35)
    noise = 80 * np.sqrt(strategy.error) * rng.standard_normal(rows.shape)
    n, H, C = rows.shape
    origin = np.repeat(near["origin"].to_numpy(), H * C)
    return pd.DataFrame(
        {
            "origin": origin,
            "time": scenario.times(rows.ravel()),
            "lead": np.tile(np.repeat(np.arange(1, H + 1), C), n),
            "channel": np.array(scenario.targets)[channel.ravel()],
            "forecast": (truth * bias + noise).ravel(),
            "truth": truth.ravel(),
        }
    )


def trace(strategy: FakeStrategy, seed: int, origins: pd.DataFrame) -> pd.DataFrame:
    """``trace.parquet`` of one run: a memory that grows a little, and a half-life that says which run it is."""
    asked = origins[["origin", "time"]].iloc[::12]
    growth = 1 + 0.5 * (1 - np.exp(-np.arange(len(asked)) / 10))
    norm = asked.assign(name="memory_norm", value=growth * (1 + 0.01 * seed))
    life = asked.assign(name="memory_half_life", value=12.0 + hash_text(strategy.name) % 7 + seed)
    return pd.concat([norm, life], ignore_index=True)


def timing(strategy: FakeStrategy, scenario: FakeScenario, alone: bool) -> Timing:
    def steps(ms: float) -> StepTimes:
        n = 40 if alone else scenario.origins - 5
        # a retraining is rare: outside the timing pass, and in the mean only
        mean = ms * (40 if strategy.name == "retrain" and not alone and ms > 50 else 1)
        return StepTimes(steps=n, total_ms=n * mean, p50_ms=ms, p95_ms=1.3 * ms, p99_ms=1.6 * ms)

    windows = (40 if alone else scenario.origins - 5) * scenario.block
    predict, adapt = steps(strategy.predict_ms), steps(strategy.adapt_ms)
    return Timing(
        alone=alone,
        windows=windows,
        windows_per_s=1000 * windows / (predict.total_ms + adapt.total_ms),
        predict=predict,
        adapt=adapt,
        warmup=5,
        first_predict_ms=10 * strategy.predict_ms,
        peak_memory_mb=20 + 3 * strategy.predict_ms,
        threads=1,
        device="cpu",
        device_name="Some CPU @ 2.0 GHz",
        clock="perf_counter",
        load=0.03,
        cores=4,
        others=3.6 if alone and strategy.name == "seasonal-naive" else 0.1,
        harness_us=21.0,
        state_bytes=0 if strategy.name == "frozen" else 4096,
        parameters=Parameters(total=50_000, trainable=40_000, updated=1_000) if strategy.predict_ms > 1 else None,
        flops=Flops(predict=2.5e6, adapt=3e5),
    )


def errors(strategy: FakeStrategy, scenario: FakeScenario, origins: pd.DataFrame) -> Errors:
    mse, mae = float(origins["mse"].mean()), float(origins["mae"].mean())
    channels = np.linspace(0.5, 1.5, len(scenario.targets)) ** 2
    channels *= len(channels) / channels.sum()
    leads = np.sqrt(np.arange(1, scenario.horizon + 1))
    leads *= len(leads) / leads.sum()
    return Errors(
        windows=len(origins),
        mae=mae,
        mse=mse,
        rmse=float(np.sqrt(mse)),
        mae_original=100 * mae,
        mse_original=1e4 * mse,
        rmse_original=100 * float(np.sqrt(mse)),
        val_mse=0.9 * strategy.error * scenario.scale,
        mse_by_channel=(mse * channels).tolist(),
        mae_by_channel=(mae * np.sqrt(channels)).tolist(),
        mse_by_lead=(mse * leads).tolist(),
        mae_by_lead=(mae * np.sqrt(leads)).tolist(),
        metrics={"mase": metric("mase", 1.7 * mae), "rmsse": metric("rmsse", 1.2 * float(np.sqrt(mse)))},
    )


def metric(name: str, value: float | None, **changes: Any) -> MetricRecord:
    cls = METRICS[name].cls
    values: dict[str, Any] = {"title": cls.title, "unit": cls.unit, "better": cls.better, "sha": "m0"}
    return MetricRecord(**(values | {"value": value, "summary": METRICS[name].summary} | changes))


def run_id(strategy: FakeStrategy, scenario: FakeScenario, seed: int) -> str:
    """Unlike for each run, and safe as a folder's name."""
    what = f"{strategy.name} {strategy.options} {scenario.name} {scenario.protocol.label} {seed}"
    return hashlib.sha256(what.encode()).hexdigest()[:12]


def make_record(strategy: FakeStrategy, scenario: FakeScenario, seed: int, /, **changes: Any) -> Record:
    """A record of a run that ended well, but for ``changes``."""
    forecaster = PluginRecord(name="titans", summary="Memory as context, as released.", config={"dim": 32}, sha="f0")
    values: dict[str, Any] = {
        "run_id": run_id(strategy, scenario, seed),
        "experiment": "default",
        "status": "ok",
        "strategy": PluginRecord(
            name=strategy.name,
            summary=f"What {strategy.name} does, in a line.",
            given=strategy.options,
            sha="s0",
            group=strategy.group,
            carries="memory" if strategy.name.startswith("titans-b") else "nothing",
            memory_of=REMEMBERS.get(strategy.name, ""),
            **SAID.get(strategy.name, {}),
        ),
        "forecaster": forecaster if strategy.uses_forecaster else None,
        "training": {"steps": 200, "batch": 32, "patience": 4} if strategy.uses_forecaster else None,
        "validation": VALIDATION if strategy.uses_forecaster else None,
        "dataset": scenario.record(),
        "protocol": scenario.protocol,
        "seed": seed,
        "seconds": 12.5,
        "environment": ENVIRONMENT,
    }
    return Record(**(values | changes))


def write_verdict(store: Store, record: Record, status: AuditStatus = "passed", reason: str = "") -> None:
    """Write what the leak canary said of a record's strategy."""
    forecaster = record.forecaster
    audit = Audit(
        strategy=record.strategy.name,
        forecaster=forecaster.name if forecaster else "",
        sha=audited_sha(record.strategy.sha, forecaster.sha if forecaster else ""),
        status=status,
        reason=reason,
        quick=True,
        code="c0",
        packages={"torch": "2.13.0"},
        date="2026-01-02T03:04:05+00:00",
        seconds=1.5,
    )
    write_audit(store.folder.parent / AUDITS, audit)


def write_run(store: Store, strategy: FakeStrategy, scenario: FakeScenario, seed: int, /, **changes: Any) -> Record:
    """Write one run that ended well, audited, and timed alone if its seed is 0."""
    origins = origin_errors(strategy, scenario, seed)
    record = make_record(strategy, scenario, seed, **changes)
    record = record.model_copy(
        update={
            "errors": record.errors or errors(strategy, scenario, origins),
            "timing": timing(strategy, scenario, alone=False),
        }
    )
    frames = {ORIGINS: origins}
    if scenario.events:
        frames[FORECASTS] = forecasts(strategy, scenario, seed, origins)
    if strategy.uses_forecaster:
        frames[TRAINING] = curve(seed)
    if strategy.name.startswith(("titans-b", "titans-c")):
        frames[TRACE] = trace(strategy, seed, origins)
    store.write(record, frames)
    write_verdict(store, record)
    if seed == 0:
        store.write_timing(record.run_id, timing(strategy, scenario, alone=True))
    return record


def write_failure(store: Store, strategy: FakeStrategy, scenario: FakeScenario, seed: int, /, **changes: Any) -> Record:
    """Write one run that left nothing but a reason."""
    values = {"status": "failed", "reason": "RuntimeError: the loss is not finite", **changes}
    record = make_record(strategy, scenario, seed, **values)
    store.write(record, {})
    return record


def write_results(
    folder: Path,
    scenarios: Sequence[FakeScenario] = (FakeScenario(),),
    strategies: Sequence[FakeStrategy] = STRATEGIES,
    seeds: int = 3,
) -> Store:
    """A whole experiment in which every run ended well."""
    store = Store(folder)
    for scenario in scenarios:
        for strategy in strategies:
            for seed in range(seeds):
                write_run(store, strategy, scenario, seed)
    return store


class Fakes:
    """What tests need of this file, as a fixture: tests are not importable from each other."""

    Strategy = FakeStrategy
    Scenario = FakeScenario
    strategies = STRATEGIES
    write_results = staticmethod(write_results)
    write_run = staticmethod(write_run)
    write_failure = staticmethod(write_failure)
    write_verdict = staticmethod(write_verdict)
    record = staticmethod(make_record)
    errors = staticmethod(errors)


@pytest.fixture(scope="session")
def fakes() -> type[Fakes]:
    return Fakes


@pytest.fixture(scope="session")
def two_datasets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """9 strategies x 2 datasets x 3 seeds, small; one more strategy failed, one was skipped."""
    folder = tmp_path_factory.mktemp("results") / "default"
    other = FakeScenario("etth2", ("HUFL",), (), origins=96, horizon=24, stride=1, block=24, preset="dense", scale=4)
    store = write_results(folder, (FakeScenario(), other))
    broken = FakeStrategy("ogd", 0.2, group="user", uses_forecaster=True)
    for seed in range(3):
        write_failure(store, broken, FakeScenario(), seed)
        write_failure(store, broken, other, seed, status="skipped", reason="needs gradients")
    return folder


@pytest.fixture(scope="session")
def readme(two_datasets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of `two_datasets`, with its figures."""
    with pictures():
        return write_report(two_datasets, tmp_path_factory.mktemp("reports") / "default")
