"""Replay a small stream: every forecast that a strategy makes, and the state that outlasts the strategy."""

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

    They are made, scored and traced (``asks``) as in a run. Torch's generator is seeded, and restored afterwards: who
    learns with dropout, say, is given no other.

    Raises:
        TamperingError: The harness's own rows or protocol were written to.
        OrderError: They were kept where they outlast the run.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return _forecasts_of(make, series, protocol, asks)


def _forecasts_of(make: MakeStrategy, series: DriftSeries, protocol: Protocol, asks: bool) -> Forecasts:
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
    if names := [name for name, value in _lasting(type(strategy)).items() if _reaches_harness(value)]:
        raise OrderError(
            f"keeps the harness's own rows from one run to the next, in {', '.join(names)}: what it forecasts may come "
            "from a stream that it has seen to its end"
        )
    return made


def digests_of(make: MakeStrategy, series: DriftSeries, protocol: Protocol, *, asks: bool = True) -> Digests:
    """Hash of each of `forecasts_of`, by origin: kept forecasts would be rows of the future to the next pass."""
    made = forecasts_of(make, series, protocol, asks=asks)
    return {origin: hashlib.sha256(forecast.tobytes()).digest() for origin, forecast in made.items()}


def first_difference(one: Digests, other: Digests, up_to: int) -> int | None:
    """First origin up to ``up_to`` at which the forecasts of one are not the same bits in the other."""
    return next((origin for origin in sorted(one) if origin <= up_to and one[origin] != other.get(origin)), None)


def _own(stage: PreparedSeries) -> dict[str, bytes]:
    """Digests of the harness's own rows: a copy would be one more place to find the future in."""
    rows = {
        "series": stage.series.values,
        "table of inputs": stage.inputs,
        "table of targets": stage.targets,
        "truth to score forecasts against": stage.truth,
    }
    digests = {name: hashlib.sha256(np.ascontiguousarray(values).tobytes()).digest() for name, values in rows.items()}
    return digests | {"protocol": stage.protocol.model_dump_json().encode()}


def lasting_state(cls: type[Strategy]) -> dict[str, object]:
    """The state that outlasts an instance, by name, each as something to compare."""
    found: dict[str, object] = {}
    for name, value in _lasting(cls).items():
        try:
            found[name] = pickle.dumps(value)
        except Exception:  # values that cannot be pickled raise many kinds of errors
            found[name] = id(value)
    return found


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


def _reaches_harness(value: object) -> bool:
    """Whether a series, stage or stream of the harness can be reached from a value."""
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
