"""Passes over a small stream: every forecast that a strategy makes, and what outlasts the strategy."""

from __future__ import annotations

import gc
import hashlib
import pickle
import sys
from collections.abc import Callable
from types import FunctionType, ModuleType

import numpy as np
import torch
from numpy.typing import NDArray

from bench.contracts.protocol import Protocol
from bench.contracts.series import DriftSeries
from bench.contracts.strategy import Strategy
from bench.evaluation.serving import serve_stream, warm_up
from bench.evaluation.stream import PreparedSeries, Stream
from bench.evaluation.trace_sampler import TIMES_ASKED
from bench.testing.findings import OrderError, TamperingError

MOST_VISITED = 5000  # objects behind one name

CPU = torch.device("cpu")
Singles = NDArray[np.float32]
Forecasts = dict[int, Singles]
Digests = dict[int, bytes]
MakeStrategy = Callable[[PreparedSeries], Strategy]


def forecasts_of(make: MakeStrategy, series: DriftSeries, protocol: Protocol, *, asks: bool = True) -> Forecasts:
    """Forecasts ``(H, C_out)`` by origin, warm start included, up to where the strategy gave up (on NaN, it may).

    They are made, scored and watched as those of a run.

    Args:
        make: Builds the strategy.
        series: What is streamed.
        protocol: The schedule.
        asks: Whether the strategy is asked for its trace, as it is in a run.

    Raises:
        TamperingError: The harness's own rows or protocol were written to.
        OrderError: They were kept where they outlast the run.
    """
    stage = PreparedSeries.of(series, protocol)
    before = _own(stage)
    strategy = make(stage)
    stream = Stream(stage, strategy, CPU, finite=False)
    made: Forecasts = {}

    def keep(origins: NDArray[np.int64], forecasts: Singles) -> None:
        made.update(zip(origins.tolist(), forecasts, strict=True))

    disturbed = not np.isfinite(series.values).all()
    try:
        warm_up(stream, score=keep)
        serve_stream(stream, score=keep, asked=TIMES_ASKED if asks else 0)
    except Exception:
        if not disturbed:
            raise
    for name, digest in _own(stage).items():
        if digest != before[name]:
            raise TamperingError(
                f"tampers: its run left the harness with another {name} than it began with. It got hold of it by the "
                "frames of its callers or by the garbage collector, and wrote to it; its score means nothing"
            )
    if names := _harness_kept_by(type(strategy)):
        raise OrderError(
            f"keeps the harness's own rows from one run to the next, in {', '.join(names)}: what it forecasts may come "
            "from a stream that it has seen to its end"
        )
    return made


def marks_of(make: MakeStrategy, series: DriftSeries, protocol: Protocol, *, asks: bool = True) -> Digests:
    """A mark for each origin that stands for the bits of its forecast: the same takes and errors as `forecasts_of`.

    Marks are compared where forecasts would do, as forecasts that a cheat made are rows of the future to the next one.
    """
    made = forecasts_of(make, series, protocol, asks=asks)
    return {origin: hashlib.sha256(forecast.tobytes()).digest() for origin, forecast in made.items()}


def first_difference(one: Digests, other: Digests, up_to: int) -> int | None:
    """First origin up to ``up_to`` at which the forecasts of one are not the same bits in the other."""
    return next((origin for origin in sorted(one) if origin <= up_to and one[origin] != other.get(origin)), None)


def _own(stage: PreparedSeries) -> dict[str, bytes]:
    """Digests of what the harness goes by: a copy would be one more place to find the future in."""
    rows = {
        "series": stage.series.values,
        "table of inputs": stage.inputs,
        "table of targets": stage.targets,
        "truth to score forecasts against": stage.truth,
    }
    digests = {name: hashlib.sha256(np.ascontiguousarray(values).tobytes()).digest() for name, values in rows.items()}
    return digests | {"protocol": stage.protocol.model_dump_json().encode()}


def lasting_state(cls: type[Strategy]) -> dict[str, object]:
    """What outlasts an instance, by name, each as something to compare."""
    return {name: _comparable(value) for name, value in _lasting(cls).items()}


def _lasting(cls: type[Strategy]) -> dict[str, object]:
    """Data in the strategy's classes and in their modules, by name."""
    found: dict[str, object] = {}
    for owner in cls.__mro__:
        if owner.__module__.partition(".")[0] in ("bench", "builtins"):
            continue
        for scope, where in ((owner, owner.__qualname__), (sys.modules[owner.__module__], owner.__module__)):
            for name, value in vars(scope).items():
                if not name.startswith("__") and not callable(value) and not isinstance(value, ModuleType):
                    found[f"{where}.{name}"] = value
    return found


def _comparable(value: object) -> object:
    try:
        return pickle.dumps(value)
    except Exception:  # what cannot be pickled says so in many ways
        return id(value)


def _harness_kept_by(cls: type[Strategy]) -> list[str]:
    """Names behind which the harness's series, stages or streams outlast the strategy."""
    return [name for name, value in _lasting(cls).items() if _reaches_harness(value)]


def _reaches_harness(value: object) -> bool:
    seen, waiting = {id(value)}, [value]
    while waiting and len(seen) < MOST_VISITED:
        one = waiting.pop()
        if isinstance(one, DriftSeries | PreparedSeries | Stream):
            return True
        for other in gc.get_referents(one):
            if id(other) not in seen and not isinstance(other, type | ModuleType | FunctionType):
                seen.add(id(other))
                waiting.append(other)
    return False
