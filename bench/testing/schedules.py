"""Schedules for the canary, from which both the checks and the tests draw."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bench.contracts.errors import BenchError
from bench.contracts.forecaster import FORECASTERS, Task, check_task
from bench.contracts.protocol import Protocol
from bench.contracts.series import DriftSeries
from bench.evaluation.run_spec import Choice, forecaster_config
from bench.results.audit import service_of
from bench.testing.canary import DISTURBANCES, Disturbance
from bench.testing.findings import NotReadyError, becoming_ready
from bench.testing.replay import CPU
from bench.testing.tiny import small_series

LABEL_REGIMES: tuple[dict[str, Any], ...] = (
    {},
    {"label_every": 4},
    {"label_rate": 0.4},
    {"delay": 2},
    {"labels": "partial"},
)
LOOKBACKS, HORIZONS, STRIDES, BLOCKS = (4, 6, 8), (1, 2, 3), (1, 2, 3, 5), (1, 2, 3, 5)
DRAWN_ROWS = 54

Choose = Callable[[Sequence[Any]], Any]


@dataclass(frozen=True)
class Schedule:
    """A case of the canary: rows of the series from ``cut`` on, somewhere in the stream, are disturbed."""

    series: DriftSeries
    protocol: Protocol
    cut: int
    disturbance: Disturbance

    def __str__(self) -> str:
        return f"{label_of(self.protocol, self.series)}, {self.disturbance.name} from row {self.cut} on"


def label_of(protocol: Protocol, series: DriftSeries) -> str:
    """A schedule in one line."""
    return service_of(protocol, hidden=series.target_index is None)


def draw_schedule(choose: Choose, forecaster: Choice | None = None, *, seed: int | None = 0) -> Schedule:
    """Draw a schedule: lookback, horizon, stride, block, labels, start, hidden targets or not, cut and disturbance.

    Args:
        choose: Picks one of several, the simplest first: a generator's choice, or that of a property test.
        forecaster: Only lookbacks that it can serve with its options are drawn.
        seed: Of the series' noise; None draws noise that cannot be repeated.

    Raises:
        BenchError: The forecaster serves no lookback.
    """
    series = small_series(hidden_targets=choose((False, True)), rows=DRAWN_ROWS, seed=seed)
    horizon = choose(HORIZONS)
    protocol = Protocol(
        name="drawn",
        lookback=choose(_lookbacks(series, horizon, forecaster)),
        horizon=horizon,
        stride=choose(STRIDES),
        block=choose(BLOCKS),
        labels=choose(("matured", "partial")),
        label_every=choose((1, 2, 4)),
        label_rate=choose((1.0, 0.6, 0.3)),
        label_seed=choose((0, 1)),
        delay=choose((0, 1, 3)),
        warm_start=choose((True, False)),
    )
    split = series.split
    return Schedule(series, protocol, choose(range(split.validation, split.end)), choose(DISTURBANCES))


def _lookbacks(series: DriftSeries, horizon: int, forecaster: Choice | None) -> list[int]:
    if forecaster is None:
        return list(LOOKBACKS)
    cls, config = FORECASTERS[forecaster.name].cls, forecaster_config(forecaster)
    served, refusal = [], ""
    for lookback in LOOKBACKS:
        task = Task(lookback, horizon, len(series.inputs), len(series.targets), series.target_index)
        try:
            with becoming_ready():
                check_task(cls, config, task, CPU.type)
            served.append(lookback)
        except (BenchError, NotReadyError) as error:
            refusal = str(error)
    if not served:
        raise BenchError(
            f"forecaster {forecaster.name!r} in its tiny form serves none of the lookbacks drawn: {refusal}"
        )
    return served
