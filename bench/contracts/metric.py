"""The Metric contract: a number that says how good forecasts were, added up as they are scored."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from bench.contracts.errors import BenchError
from bench.contracts.registry import NAME, Registry, not_a
from bench.contracts.rounding import STEPS

Floats = NDArray[np.float64]
Unit = Literal["scaled", "original", "none"]
Better = Literal["lower", "higher", "neither"]

_COLUMNS = """
adapt_flops adapt_p50_ms adapt_p95_ms adapt_p99_ms against audit base block channel dataset dataset_options delay
device disturbed diverged entry experiment failed fingerprint first_predict_ms forecaster forecaster_options group
harness_us horizon label_every label_rate label_seed labels labels_from_rows lead lookback origin parameters
peak_memory_mb predict_flops predict_p50_ms predict_p95_ms predict_p99_ms protocol protocol_label rank ratio reason
run_id scenario seconds seed seeds service_s setup_s skipped source sources started state_bytes status strategy
strategy_config stream_s_per_1000 stride threads time timed_alone together trace_us trainable updated val_mse version
warm_start windows windows_per_s
"""
RESERVED = frozenset(_COLUMNS.split())
"""Names of other columns of the tables that metrics stand in."""


class UndefinedError(BenchError):
    """A metric has no value for a series; the message says why."""


@dataclass(frozen=True)
class MetricContext:
    """What a metric may use besides forecasts and truths.

    Attributes:
        std: ``(C,)`` deviation of each target in original units for one scaled unit.
        targets: ``C`` names.
        training: ``(N, C)`` the targets' training rows, original units.
        season: Rows in one season, or None.
    """

    std: Floats
    targets: tuple[str, ...] = ()
    training: Floats = field(default_factory=lambda: np.empty((0, 0)))
    season: int | None = None


@dataclass(frozen=True)
class Scored:
    """Forecasts that are scored together: ``(n, H, C)`` arrays of float64, scaled, that cannot be written to.

    Attributes:
        forecast: The forecasts.
        truth: What was forecast.
        error: ``forecast - truth``; 0 throughout a forecast that is exact but for the rounding of float32.
    """

    forecast: Floats
    truth: Floats
    error: Floats

    def __post_init__(self) -> None:
        for name in ("forecast", "truth", "error"):
            view = getattr(self, name).view()
            view.flags.writeable = False
            object.__setattr__(self, name, view)


@dataclass(frozen=True)
class ErrorMeans:
    """Means over all windows of a stream.

    Attributes:
        windows: Forecasts scored.
        square: ``(H, C)`` mean squared error of each lead and target, scaled.
        absolute: ``(H, C)`` mean absolute error, likewise.
        std: ``(C,)`` deviation of each target in original units for one scaled unit.
        origins: ``(windows,)`` what the metric's ``add`` returned, in order; None where it returned nothing.
    """

    windows: int
    square: Floats
    absolute: Floats
    std: Floats
    origins: Floats | None = None


class Metric:
    """One number for each run; subclass it, and write ``value``, or ``add``, or both.

    A metric that follows from the means of squared and absolute errors needs ``value`` only. One that is a mean over
    forecast origins needs ``add`` only. It must not depend on how many forecasts are scored together. Whatever it
    raises, its value is missing and the reason is recorded; the run goes on. It is called off the strategy's clock.

    Attributes:
        context: What it may use besides forecasts and truths.

    Class attributes:
        title: Head of its columns; by default its name.
        unit: ``scaled`` (1 is a standard deviation of the target over the training rows), ``original`` (the targets'
            own units) or ``none``.
        better: Which values are better: ``lower``, ``higher`` or ``neither`` of them.
        depends_on: Data files that it reads, relative to its own file.
    """

    title: ClassVar[str] = ""
    unit: ClassVar[Unit] = "scaled"
    better: ClassVar[Better] = "lower"
    depends_on: ClassVar[tuple[str, ...]] = ()

    def __init__(self, context: MetricContext) -> None:
        self.context = context
        self.setup()

    def setup(self) -> None:
        """Called once, before the first forecast is scored."""

    def add(self, scored: Scored) -> Floats | None:
        """Count some forecasts, in the order of their origins.

        Returns:
            ``(n,)``: the value of each origin, kept in ``origins.parquet`` under the metric's name; or None.
        """
        del scored
        return None

    def value(self, means: ErrorMeans) -> float:
        """The value for all forecasts that were added; by default the mean of what ``add`` returned.

        Returns:
            A number; NaN where it has no value.

        Raises:
            UndefinedError: It has no value; the message says why.
        """
        if means.origins is None:
            raise NotImplementedError(f"{type(self).__name__} has no value(self, means), and its add returned nothing")
        return float(means.origins.mean())


def _objection(cls: type[Metric]) -> str:
    if wrong := not_a(Metric, cls):
        return wrong
    if cls.unit not in get_args(Unit):
        return f"has the unit {cls.unit!r}, which is none of {', '.join(get_args(Unit))}"
    if cls.better not in get_args(Better):
        return f"says better = {cls.better!r}, which is none of {', '.join(get_args(Better))}"
    if cls.add is Metric.add and cls.value is Metric.value:
        return "has neither add(self, scored) nor value(self, means)"
    return ""


METRICS: Registry[Metric] = Registry("metric", _objection)


def is_free(name: str) -> bool:
    """Whether a metric may have a name: no other column of a table has it."""
    is_taken = name in RESERVED or name.startswith(("skill_", "undefined_")) or name.endswith("_sd")
    return NAME.fullmatch(name) is not None and not is_taken


def register_metric(name: str) -> Callable[[type[Metric]], type[Metric]]:
    """Class decorator that enters a metric under ``name``, the name of its column in every table.

    Raises:
        BenchError: The name is malformed, taken, or that of another column; or the class is no metric.
    """
    if isinstance(name, str) and NAME.fullmatch(name) and not is_free(name):
        raise BenchError(f"{name!r} cannot name a metric: another column of the tables is called so")
    return METRICS.register(name)


@register_metric("mse")
class MeanSquaredError(Metric):
    """Mean squared error over windows, leads and targets."""

    title = "MSE"

    def value(self, means: ErrorMeans) -> float:
        """The mean."""
        return float(means.square.mean())


@register_metric("mae")
class MeanAbsoluteError(Metric):
    """Mean absolute error over windows, leads and targets."""

    title = "MAE"

    def value(self, means: ErrorMeans) -> float:
        """The mean."""
        return float(means.absolute.mean())


@register_metric("rmse")
class RootMeanSquaredError(MeanSquaredError):
    """Root of the mean squared error."""

    title = "RMSE"

    def value(self, means: ErrorMeans) -> float:
        """The root."""
        return float(super().value(means) ** 0.5)


@register_metric("mse_original")
class OriginalMeanSquaredError(Metric):
    """Mean squared error over windows, leads and targets, in the squares of the targets' own units."""

    title = "MSE"
    unit = "original"

    def value(self, means: ErrorMeans) -> float:
        """The mean."""
        return float((means.square * means.std**2).mean())


@register_metric("mae_original")
class OriginalMeanAbsoluteError(Metric):
    """Mean absolute error over windows, leads and targets, in the targets' own units."""

    title = "MAE"
    unit = "original"

    def value(self, means: ErrorMeans) -> float:
        """The mean."""
        return float((means.absolute * means.std).mean())


@register_metric("rmse_original")
class OriginalRootMeanSquaredError(OriginalMeanSquaredError):
    """Root of the mean squared error in original units."""

    title = "RMSE"

    def value(self, means: ErrorMeans) -> float:
        """The root."""
        return float(super().value(means) ** 0.5)


@register_metric("mase")
class MeanAbsoluteScaledError(Metric):
    """Mean absolute scaled error: MAE of each target over that of the seasonal naive forecast of its training rows.

    With training rows ``y_1 .. y_N`` of a target and a season of ``m`` rows (1 where the data have none)::

        MASE = mean over targets of  MAE / mean of |y_t - y_(t-m)|, t = m + 1 .. N

    Undefined where all training rows of a target are as one season before.

    Source: Hyndman and Koehler, Another look at measures of forecast accuracy, Int. J. Forecasting 22 (2006), with
    the seasonal naive forecast for data that have a season (Hyndman and Athanasopoulos, Forecasting: principles and
    practice, section 5.8).
    """

    title = "MASE"
    unit = "none"

    def value(self, means: ErrorMeans) -> float:
        """The mean over targets."""
        return float((means.absolute.mean(axis=0) / np.abs(seasonal_steps(self.context)).mean(axis=0)).mean())


@register_metric("rmsse")
class RootMeanSquaredScaledError(Metric):
    """Root mean squared scaled error: as MASE, of squared errors, and the root of each target's ratio.

    With training rows ``y_1 .. y_N`` of a target and a season of ``m`` rows (1 where the data have none)::

        RMSSE = mean over targets of  sqrt(MSE / mean of (y_t - y_(t-m))^2), t = m + 1 .. N

    Undefined where MASE is.

    Source: The M5 competition, competitors' guide (2020), where ``m`` is 1 and targets are weighted by sales.
    """

    title = "RMSSE"
    unit = "none"

    def value(self, means: ErrorMeans) -> float:
        """The mean over targets."""
        naive = np.square(seasonal_steps(self.context)).mean(axis=0)
        return float(np.sqrt(means.square.mean(axis=0) / naive).mean())


BUILT_IN = METRICS.names
"""Names of the metrics of this package, in the order of their columns."""


def seasonal_steps(context: MetricContext) -> Floats:
    """Errors of the seasonal naive forecast of the training rows.

    Returns:
        ``(N - m, C)``, scaled: each training row less the one a season of ``m`` rows before.

    Raises:
        UndefinedError: There are no more training rows than a season has, or all of a target's are as one season
            before, but for rounding.
    """
    season, training = context.season or 1, context.training
    if len(training) <= season:
        raise UndefinedError(f"a season has {season:,} rows, and there are {len(training):,} training rows")
    steps = training[season:] - training[:-season]
    rounding = STEPS * np.finfo(np.float64).eps * np.abs(training).max(axis=0)
    still = np.abs(steps).max(axis=0) <= rounding
    if still.any():
        named = ", ".join(np.asarray(context.targets)[still])
        raise UndefinedError(f"all training rows of {named} are as one season ({season:,} rows) before")
    return np.asarray(steps / context.std)
