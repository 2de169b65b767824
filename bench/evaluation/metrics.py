"""Errors of a stream: sums by lead and channel, a mean for each origin, and the registered metrics."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from bench.contracts.discovery import raised_at
from bench.contracts.errors import ENDS_SESSION, traceback_of, words_of
from bench.contracts.metric import BUILT_IN, METRICS, ErrorMeans, Metric, MetricContext, Scored, UndefinedError
from bench.contracts.registry import Entry
from bench.contracts.rounding import is_exact
from bench.evaluation.isolation import generators_kept
from bench.results.record import FIELDS, Errors, MetricRecord

T = TypeVar("T")
Floats = NDArray[np.float64]


@dataclass
class Accumulator:
    """One registered metric over one stream. An error of the metric is kept as the reason why it has no value.

    Attributes:
        context: What it may use besides forecasts and truths.
        seconds: Time that adding took.
    """

    entry: Entry[Metric]
    context: MetricContext
    seconds: float = 0.0

    def __post_init__(self) -> None:
        self._reason, self._windows = "", 0
        self._by_origin: list[Floats] = []
        self._metric: Metric | None = None
        self.adds = self.entry.cls.add is not Metric.add

    def add(self, scored: Scored) -> None:
        """Count some forecasts."""
        begun = time.perf_counter()
        self._windows += len(scored.error)
        values = self._asked(lambda metric: _plain(metric.add(scored), len(scored.error)))
        if values is not None:
            self._by_origin.append(values)
        self.seconds += time.perf_counter() - begun

    @property
    def by_origin(self) -> Floats | None:
        """``(windows,)`` its value of each origin; None if it gives none."""
        if self._reason or not self._by_origin:
            return None
        values = np.concatenate(self._by_origin)
        if len(values) < self._windows:
            self._reason = f"add returned values for {len(values):,} of {self._windows:,} forecasts"
            return None
        return values

    def record(self, means: ErrorMeans) -> MetricRecord:
        """Its value for all that was added, or the reason why it has none."""
        means = replace(means, origins=self.by_origin)
        value = self._asked(lambda metric: float(metric.value(means)))
        if value is not None and np.isnan(value):
            value, self._reason = None, "not a number"
        cls = self.entry.cls
        facts = {"title": cls.title, "unit": cls.unit, "better": cls.better}
        return MetricRecord(value=value, reason=self._reason, summary=self.entry.summary, sha=self.entry.sha, **facts)

    def _asked(self, question: Callable[[Metric], T]) -> T | None:
        """The metric's answer, without warnings or changes of shared generators; None if it raised."""
        if self._reason:
            return None
        try:
            with generators_kept(), np.errstate(all="ignore"):
                self._metric = self._metric or self.entry.cls(self.context)
                return question(self._metric)
        except UndefinedError as error:
            self._reason = str(error)
        except ENDS_SESSION:
            raise
        except BaseException as error:  # a plug-in may raise anything; the record says what
            self._reason = words_of(error) + raised_at(traceback_of(error))
        return None


def _plain(values: object, forecasts: int) -> Floats | None:
    """What a metric's ``add`` returned, as a copy; None if it returned nothing."""
    if values is None:
        return None
    plain = np.array(values, dtype=np.float64)
    if plain.shape != (forecasts,):
        raise ValueError(f"add returned shape {plain.shape}, expected (n,) = ({forecasts},), or None")
    return plain


def accumulators(context: MetricContext) -> list[Accumulator]:
    """All registered metrics before the first forecast: those of this package, then others by name."""
    names = [*BUILT_IN, *(entry.name for entry in METRICS if entry.name not in BUILT_IN)]
    return [Accumulator(METRICS[name], context) for name in names]


@dataclass
class ErrorSums:
    """Sums of errors by lead and channel, and the mean error of each origin.

    Attributes:
        std: ``(C,)`` deviation of each target in original units for one scaled unit.
        horizon: ``H``.
        metrics: Registered metrics; those that add anything get each forecast.
    """

    std: Floats
    horizon: int
    metrics: Sequence[Accumulator] = ()
    windows: int = 0
    squares: Floats = field(init=False)
    absolutes: Floats = field(init=False)
    by_origin: list[Floats] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.squares = np.zeros((self.horizon, len(self.std)))
        self.absolutes = np.zeros_like(self.squares)
        self._told = [metric for metric in self.metrics if metric.adds]

    def add(self, forecast: NDArray[np.floating], truth: Floats) -> None:
        """Count forecasts ``(n, H, C)``, scaled; one that is exact but for the rounding of float32 has no error."""
        error = np.asarray(forecast, dtype=np.float64) - truth
        square = np.square(error)
        exact = is_exact(square.mean(axis=(1, 2)), truth)
        if exact.any():
            error[exact], square[exact] = 0.0, 0.0
        absolute = np.abs(error)
        self.windows += len(error)
        self.squares += square.sum(axis=0)
        self.absolutes += absolute.sum(axis=0)
        square_by_channel, absolute_by_channel = square.mean(axis=1), absolute.mean(axis=1)
        original = square_by_channel * self.std**2, absolute_by_channel * self.std
        by_origin = [part.mean(axis=1) for part in (square_by_channel, absolute_by_channel, *original)]
        self.by_origin.append(np.stack(by_origin, axis=1))
        if self._told:
            scored = Scored(np.asarray(forecast, dtype=np.float64), truth, error)
            for metric in self._told:
                metric.add(scored)

    @property
    def origin_errors(self) -> Floats:
        """``(windows, 4)``: MSE, MAE, MSE in original units, MAE in original units, for each origin in order."""
        return np.concatenate(self.by_origin) if self.by_origin else np.empty((0, 4))

    @property
    def mse(self) -> float:
        """Mean squared error over windows, leads and channels, scaled; NaN before the first window."""
        return float(self.squares.sum() / (self.windows * self.squares.size)) if self.windows else float("nan")

    @property
    def means(self) -> ErrorMeans:
        """Means over the windows."""
        return ErrorMeans(self.windows, self.squares / self.windows, self.absolutes / self.windows, self.std)

    def errors(self, val_mse: float | None) -> Errors:
        """The record's summary, pooled over windows, leads and channels, with the scaled MSE of a warm start."""
        means = self.means
        return Errors(
            windows=self.windows,
            **{name: METRICS[name].cls(MetricContext(self.std)).value(means) for name in FIELDS},
            val_mse=val_mse,
            mse_by_channel=means.square.mean(axis=0).tolist(),
            mae_by_channel=means.absolute.mean(axis=0).tolist(),
            mse_by_lead=means.square.mean(axis=1).tolist(),
            mae_by_lead=means.absolute.mean(axis=1).tolist(),
            metrics={
                metric.entry.name: metric.record(means) for metric in self.metrics if metric.entry.name not in FIELDS
            },
        )
