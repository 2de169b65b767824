"""Passes over a small stream: every forecast that a strategy makes, and what outlasts the strategy."""

from __future__ import annotations

import contextlib
import pickle
import sys
from collections.abc import Callable, Iterator
from types import ModuleType

import numpy as np
import torch
from numpy.typing import NDArray

from bench.metrics import ErrorSums
from bench.protocol import Protocol
from bench.series import DriftSeries
from bench.strategy import Strategy
from bench.stream import Stage, Stream
from bench.testing.findings import TamperingError
from bench.trace import Watch
from bench.training import seeded

CPU = torch.device("cpu")
Singles = NDArray[np.float32]
Forecasts = dict[int, Singles]
MakeStrategy = Callable[[Stage], Strategy]


def forecasts_of(make: MakeStrategy, series: DriftSeries, protocol: Protocol, *, asks: bool = False) -> Forecasts:
    """Forecasts ``(H, C_out)`` by origin, warm start included, up to where the strategy gave up (on NaN, it may).

    Args:
        make: Builds the strategy.
        series: What is streamed.
        protocol: The schedule.
        asks: Whether the strategy is asked for its trace after every block.

    Raises:
        TamperingError: The harness's own rows were written to.
    """
    stage = Stage.of(series, protocol)
    before = {name: rows.copy() for name, rows in _own_rows(stage).items()}
    strategy = make(stage)
    stream = Stream(stage, strategy, CPU, finite=False)
    sums = ErrorSums(series.scaler.select(series.target_column).std, protocol.horizon)
    made: Forecasts = {}

    def keep(origins: NDArray[np.int64], forecasts: Singles) -> None:
        # scored as in a run: who reads the truth through its scorer must find one here too
        with np.errstate(all="ignore"):
            sums.add(forecasts, stage.truths(origins))
        made.update(zip(origins.tolist(), forecasts, strict=True))

    split = series.split
    disturbed = not np.isfinite(series.values).all()
    try:
        for start, end in [(split.train, split.validation)] * protocol.warm_start + [(split.validation, split.end)]:
            watch = Watch.over(strategy, protocol, start, end, times=len(series))
            stream.run(start, end, keep, watch.after_block if asks else lambda _: None)
    except Exception:
        if not disturbed:
            raise
    for name, rows in _own_rows(stage).items():
        if not np.array_equal(rows, before[name], equal_nan=True):
            raise TamperingError(
                f"tampers: its run left other {name} in the harness than there were. It got hold of them by the frames "
                "of its callers or by the garbage collector, and wrote to them; its score means nothing"
            )
    return made


def _own_rows(stage: Stage) -> dict[str, NDArray[np.floating]]:
    return {
        "values of the series": stage.series.values,
        "inputs": stage.inputs,
        "targets": stage.targets,
        "truth (what forecasts are scored against)": stage.truth,
    }


def first_difference(one: Forecasts, other: Forecasts, up_to: int) -> int | None:
    """First origin up to ``up_to`` at which the forecasts of one are not the same bits in the other."""
    for origin in sorted(one):
        if origin > up_to:
            return None
        if origin not in other or not np.array_equal(one[origin], other[origin], equal_nan=True):
            return origin
    return None


@contextlib.contextmanager
def generators_pinned(seed: int) -> Iterator[None]:
    """The generators that all code shares (numpy's, torch's, Python's) start from ``seed``, and go on as before."""
    before = np.random.get_state()  # noqa: NPY002 - the shared one is meant
    np.random.seed(seed)  # noqa: NPY002
    try:
        with seeded(seed):
            yield
    finally:
        np.random.set_state(before)  # noqa: NPY002


def lasting_state(cls: type[Strategy]) -> dict[str, object]:
    """What outlasts an instance, by name: data in its classes and in their modules, each as something to compare."""
    found: dict[str, object] = {}
    for owner in cls.__mro__:
        if owner.__module__.partition(".")[0] in ("bench", "builtins"):
            continue
        for scope, where in ((owner, owner.__qualname__), (sys.modules[owner.__module__], owner.__module__)):
            for name, value in vars(scope).items():
                if not name.startswith("__") and not callable(value) and not isinstance(value, ModuleType):
                    found[f"{where}.{name}"] = _comparable(value)
    return found


def _comparable(value: object) -> object:
    try:
        return pickle.dumps(value)
    except Exception:  # what cannot be pickled says so in many ways
        return id(value)
