"""What checks run on: a small series, and strategies made cheap."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.forecaster import FORECASTERS, abilities
from bench.run import make_strategy
from bench.run_spec import Choice, RunSpec
from bench.series import DriftEvent, DriftSeries, Split
from bench.strategy import STRATEGIES, Strategy
from bench.stream import Stage
from bench.testing.findings import CheckError
from bench.testing.passes import CPU, MakeStrategy


def small_series(*, hidden_targets: bool = False, rows: int = 150, seed: int = 0) -> DriftSeries:
    """A seeded series of three columns with a season of 6 and a jump, small enough for a canary.

    Args:
        hidden_targets: Whether the third column is a target and not an input; otherwise all are both.
        rows: Its length; the stream is its last third.
        seed: Of its noise.
    """
    rng = np.random.default_rng(seed)
    t = np.arange(rows)
    phase = 2 * np.pi * t / 6
    values = np.stack([np.sin(phase), np.cos(phase) + 0.01 * t, np.sin(phase + 1)], axis=1)
    values = values + 0.2 * rng.standard_normal(values.shape)
    jump = int(0.8 * rows)
    values[jump:] += 1.0
    names = ("a", "b", "c")
    return DriftSeries(
        name="small",
        values=values,
        columns=names,
        time=t.astype(np.int64),
        split=Split(int(0.55 * rows), int(0.66 * rows), rows),
        inputs=names[:2] if hidden_targets else names,
        targets=names[2:] if hidden_targets else names,
        events=(DriftEvent(jump, "jump"),),
        lookback=12,
        horizon=3,
        season=6,
    ).validated()


def tiny_maker(name: str, seed: int = 0, *, forecaster: str = "", checkpoints: Path | None = None) -> MakeStrategy:
    """A function that builds the strategy ``name``, made cheap, on a cheap forecaster that offers what it needs.

    Args:
        name: Registered name.
        seed: Of the run.
        forecaster: Which one, in its declared tiny form; by default the first by name that will do.
        checkpoints: Folder that keeps pre-trained forecasters from one call to the next; None trains each time.

    Raises:
        CheckError: No registered forecaster offers what the strategy needs.
    """
    entry = STRATEGIES[name]
    chosen = forecaster or next(iter(fitting_forecasters(entry.cls)), "")
    options: dict[str, Any] = getattr(FORECASTERS[chosen].cls, "tiny", {}) if chosen else {}

    def make(stage: Stage) -> Strategy:
        run = RunSpec(
            experiment="check",
            strategy=Choice(name, entry.cls.tiny),
            forecaster=Choice(chosen, options) if chosen else None,
            dataset=Choice("small", {}),
            protocol=stage.protocol,
            seed=seed,
            device="cpu",
            threads=1,
            run_id="",
        )
        with torch.random.fork_rng(devices=[]):
            return make_strategy(run, stage, CPU, checkpoints)

    return make


def fitting_forecasters(strategy: type[Strategy]) -> list[str]:
    """Names of the forecasters that offer what a strategy needs; none for one that adapts no forecaster.

    Raises:
        CheckError: It adapts one, and no registered one will do.
    """
    if not strategy.uses_forecaster:
        return []
    fitting = [entry.name for entry in FORECASTERS if strategy.needs <= abilities(entry.cls)]
    if not fitting:
        raise CheckError(f"no registered forecaster offers {', '.join(sorted(strategy.needs))}")
    return fitting
