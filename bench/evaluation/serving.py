"""Service of one run: its warm start, then its stream, scored, traced and measured."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench.contracts.metric import MetricContext
from bench.evaluation.forecast_sample import ForecastSample
from bench.evaluation.metrics import Accumulator, ErrorSums, accumulators
from bench.evaluation.profiling.profiler import Profiler
from bench.evaluation.stream import PreparedSeries, Score, Stream
from bench.evaluation.trace_sampler import TIMES_ASKED, TraceSampler
from bench.results.store import FORECASTS, ORIGINS, TRACE

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from bench.results.record import Timing

Progress = Callable[[int, int, Callable[[], float]], None]
"""Called with the windows done, all windows, and a function that returns the rolling MSE."""

AfterBlock = Callable[[int], None]
"""Called outside of timing with a block's first origin."""


def untold(*_: object) -> None:
    """A callback that does nothing."""


@dataclass
class Served:
    """A served stream, or its first blocks.

    Attributes:
        stream: With its strategy as it is now.
        sample: The forecasts that a report shows.
        aside_s: Seconds that callbacks took between blocks.
    """

    stream: Stream
    profiler: Profiler
    sums: ErrorSums
    sample: ForecastSample
    trace: TraceSampler
    aside_s: float = 0.0

    def timing(self, *, setup_s: float, load: float = float("nan"), alone: bool = False) -> Timing:
        """The cost so far; to be called right after the last block.

        Args:
            setup_s: Seconds that the strategy's ``setup`` took.
            load: Busy share of the machine just before.
            alone: Whether this is a timing pass.
        """
        aside_s = self.aside_s + sum(metric.seconds for metric in self.sums.metrics)
        measured = self.profiler.read(load, traced_s=self.trace.seconds, aside_s=aside_s, alone=alone)
        return measured.model_copy(update={"setup_s": setup_s})

    def frames(self) -> dict[str, pd.DataFrame]:
        """The run's frames by file name."""
        return frames_of(self.stream.stage, self.sums, self.sample, self.trace)


def frames_of(
    stage: PreparedSeries, sums: ErrorSums, sample: ForecastSample, sampler: TraceSampler
) -> dict[str, pd.DataFrame]:
    """Frames of a served stream by file name."""
    frames = {ORIGINS: origins_frame(stage, sums), FORECASTS: sample.frame()}
    trace = sampler.frame(stage.series.time)
    return frames if trace is None else frames | {TRACE: trace}


def warm_up(
    stream: Stream, progress: Progress = untold, *, score: Score = untold, after_block: AfterBlock = untold
) -> float | None:
    """Serve the validation rows, then restart the watches.

    Args:
        progress: Told after each block.
        score: Told of forecasts as they are scored; see `Stream.run`.
        after_block: Called after each block.

    Returns:
        The scaled MSE of the forecasts; None without a warm start.
    """
    stage, split, protocol = stream.stage, stream.stage.series.split, stream.stage.protocol
    if not protocol.warm_start:
        return None
    sums, total = sums_for(stage), len(protocol.origins(split.train, split.validation))

    def on_block(origin: int) -> None:
        progress((origin - split.train) // protocol.stride + 1, total, lambda: sums.mse)
        after_block(origin)

    def keep(origins: NDArray[np.int64], forecasts: NDArray[np.float32]) -> None:
        add_errors(sums, forecasts, stage.truths(origins))
        score(origins, forecasts)

    stream.run(split.train, split.validation, keep, on_block)
    stream.start_watches()
    return sums.mse


def serve_stream(
    stream: Stream,
    progress: Progress = untold,
    *,
    limit: int = 0,
    score: Score = untold,
    after_block: AfterBlock = untold,
    asked: int = TIMES_ASKED,
    metrics: Sequence[Accumulator] = (),
) -> Served:
    """Serve the stream itself, after any warm start; arguments as in `warm_up`.

    Args:
        limit: Stop after this many blocks; 0 means never.
        after_block: Called after each block; its time is in no measurement, as that of ``metrics``.
        asked: Most times that the strategy is asked for its trace.
    """
    stage, split, protocol = stream.stage, stream.stage.series.split, stream.stage.protocol
    total = len(protocol.origins(split.validation, split.end))
    served = Served(
        stream=stream,
        profiler=Profiler(stream),
        sums=sums_for(stage, metrics),
        sample=ForecastSample.around_strongest_event(stage),
        trace=TraceSampler.over(stream.strategy, protocol, split.validation, split.end, asked),
    )

    def keep(origins: NDArray[np.int64], forecasts: NDArray[np.float32]) -> None:
        add_errors(served.sums, forecasts, stage.truths(origins))
        served.sample.add(origins, forecasts)
        score(origins, forecasts)

    def rolling_mse() -> float:
        return served.sums.mse

    def on_block(origin: int) -> None:
        served.trace.after_block(origin)
        progress((origin - split.validation) // protocol.stride + 1, total, rolling_mse)
        begun = time.perf_counter()
        after_block(origin)
        served.aside_s += time.perf_counter() - begun

    stream.run(split.validation, split.end, keep, on_block, limit=limit)
    return served


def add_errors(sums: ErrorSums, forecasts: NDArray[np.float32], truths: NDArray[np.float64]) -> None:
    """Score forecasts; errors that are too large to be squared are infinite, without a warning."""
    with np.errstate(over="ignore", invalid="ignore"):
        sums.add(forecasts, truths)


def sums_for(stage: PreparedSeries, metrics: Sequence[Accumulator] = ()) -> ErrorSums:
    """Empty error sums for a stage's forecasts."""
    std = stage.series.scaler.select(stage.series.target_column).std
    return ErrorSums(std, stage.protocol.horizon, metrics)


def metrics_for(stage: PreparedSeries) -> list[Accumulator]:
    """Empty accumulators of the registered metrics."""
    series = stage.series
    columns = list(series.target_column)
    training = series.values[: series.split.train, columns]
    return accumulators(MetricContext(series.scaler.std[columns], series.targets, training, series.season))


def origins_frame(stage: PreparedSeries, sums: ErrorSums) -> pd.DataFrame:
    """``origins.parquet``, of the stream's origins up to the last that was scored."""
    import pandas as pd

    split, errors = stage.series.split, sums.origin_errors
    origins = np.asarray(stage.protocol.origins(split.validation, split.end), dtype=np.int64)[: len(errors)]
    frame = pd.DataFrame(errors, columns=["mse", "mae", "mse_original", "mae_original"])
    frame.insert(0, "origin", origins)
    frame.insert(1, "time", stage.series.time[origins])
    more = {metric.entry.name: metric.by_origin for metric in sums.metrics}
    return frame.assign(**{name: values for name, values in more.items() if values is not None})
