"""A small dataset, and runs on it: carried out, written, and timed, as a session does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from bench import Dataset, DriftSeries, Strategy, register_dataset, register_strategy
from bench.contracts.config import build
from bench.contracts.drift.truth import Truth
from bench.contracts.protocol import ProtocolSpec
from bench.evaluation.run import RunPaths, execute
from bench.evaluation.run_spec import Choice, RunSpec
from bench.evaluation.timing_pass import time_alone
from bench.results.record import Record, Replay, Timing
from bench.results.store import Store
from bench.testing import small_series


class Small(Dataset):
    """The small series, as if it had been made."""

    def load(self) -> DriftSeries:
        return small()


def small() -> DriftSeries:
    """What the dataset loads; kept nowhere, since cheats look everywhere."""
    series = replace(small_series(rows=200), name="small")
    return replace(series, truth=Truth((), series.values - 1.0))


def run_of(strategy: type[Strategy] | str, preset: str = "online", **options: Any) -> RunSpec:
    """A run of a strategy on the dataset; both are registered."""
    if not isinstance(strategy, str):
        register_strategy("served")(strategy)
    register_dataset("small")(Small)
    spec = build(ProtocolSpec, {"preset": preset, "block": 5 if preset == "dense" else None} | options, "test")
    name = strategy if isinstance(strategy, str) else "served"
    return RunSpec(
        "e",
        Choice(name, {}),
        None,
        Choice("small", {}),
        spec.resolve(small()),
        seed=0,
        device="cpu",
        threads=1,
        run_id="id",
    )


def carried_out(run: RunSpec, folder: Path) -> Record:
    """The run's record, which is on disk with its frames."""
    place = place_in(folder)
    record, frames = execute(run, place)
    assert record.status == "ok", record.traceback
    Store(place.results).write(record, frames)
    return record


def timed(run: RunSpec, folder: Path, blocks: int = 12) -> Timing:
    """Its timing pass."""
    return time_alone(run, place_in(folder), blocks)


def replayed(strategy: type[Strategy] | str, folder: Path, preset: str = "online", **options: Any) -> Replay:
    """What comes of serving a strategy's run again."""
    run = run_of(strategy, preset, **options)
    carried_out(run, folder)
    replay = timed(run, folder).replay
    assert replay is not None
    return replay


def place_in(folder: Path) -> RunPaths:
    """Where the run's results and checkpoints are."""
    return RunPaths(folder / "results" / "e", folder / "results" / ".checkpoints")
