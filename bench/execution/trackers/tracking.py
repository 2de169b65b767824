"""The trackers of a session: each finished run is handed to them, and none can fail a run."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from bench.contracts.config import build
from bench.contracts.errors import words_of
from bench.contracts.tracker import TRACKERS, FinishedRun, Tracker
from bench.results.record import Record


class Tracking:
    """The trackers that an experiment names.

    Args:
        given: As the experiment gives them: names, or tables with a name and options.
        experiment: Its name.
        folder: Its folder of results.
        say: Told once of a tracker that fails, which is left out from then on.

    Raises:
        BenchError: There is no such tracker, an option is wrong, or a package is not installed.
    """

    def __init__(
        self, given: Iterable[str | dict[str, Any]], experiment: str, folder: Path, say: Callable[[str], None]
    ) -> None:
        self._say = say
        self._trackers: dict[str, Tracker] = {}
        for value in given:
            table = {"name": value} if isinstance(value, str) else dict(value)
            name = str(table.pop("name", ""))
            cls = TRACKERS[name].cls
            config = build(cls.Config, table, f"tracker {name!r}")
            cls.require_package(name)
            self._trackers[name] = cls(config, experiment, folder)

    def log(self, record: Record | None, name: str) -> None:
        """Hand over a run that ended, if its record is there."""
        if record is not None and self._trackers:
            run = finished(record, name)
            self._each(lambda tracker: tracker.log(run))

    def close(self) -> None:
        """End all trackers."""
        self._each(lambda tracker: tracker.close())

    def _each(self, do: Callable[[Tracker], None]) -> None:
        for name, tracker in [*self._trackers.items()]:
            try:
                do(tracker)
            except Exception as error:
                del self._trackers[name]
                self._say(f"tracker {name!r} failed, and is left out from now on: {words_of(error)}")


def finished(record: Record, name: str) -> FinishedRun:
    """What trackers are told of a run."""
    errors, timing = record.errors, record.timing
    values = {} if errors is None else errors.model_dump(exclude={"metrics"})
    if errors is not None:
        values |= {metric: one.value for metric, one in errors.metrics.items()}
    values |= {"seconds": record.seconds}
    if timing is not None:
        values |= {"windows_per_s": timing.windows_per_s, "peak_memory_mb": timing.peak_memory_mb}
        values |= {f"{step}_p50_ms": getattr(timing, step).p50_ms for step in ("predict", "adapt")}
    return FinishedRun(
        run_id=record.run_id,
        experiment=record.experiment,
        name=name,
        status=record.status,
        reason=record.reason,
        parameters=_parameters(record),
        values={key: float(one) for key, one in values.items() if _is_finite(one)},
        curves={key: values[key] for key in ("mse_by_lead", "mae_by_lead") if key in values},
    )


def _parameters(record: Record) -> dict[str, Any]:
    found = {"strategy": record.strategy.name, "dataset": record.dataset.name, "seed": record.seed}
    found |= _flat("strategy", record.strategy.config) | _flat("protocol", record.protocol.model_dump())
    if record.forecaster is not None:
        found |= {"forecaster": record.forecaster.name} | _flat("forecaster", record.forecaster.config)
    return found


def _flat(before: str, values: dict[str, Any]) -> dict[str, Any]:
    """Nested options by names with dots."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{before}.{key}"
        found |= _flat(name, value) if isinstance(value, dict) else {name: value}
    return found


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
