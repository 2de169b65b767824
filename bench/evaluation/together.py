"""Several runs in one pass: each scored as it would be alone, none of them timed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from bench.contracts.strategy import STRATEGIES, Strategy
from bench.evaluation.forecast_sample import ForecastSample
from bench.evaluation.isolation import isolated
from bench.evaluation.metrics import ErrorSums
from bench.evaluation.profiling.allocator import keep_freed_memory
from bench.evaluation.profiling.clocks import resolve_device
from bench.evaluation.profiling.leftovers import swept
from bench.evaluation.run import (
    RunPaths,
    checksum,
    describe,
    ended_well,
    forget_series,
    load_series,
    make_ready,
    pretrained_for,
)
from bench.evaluation.run_spec import RunSpec
from bench.evaluation.serving import Progress, add_errors, frames_of, metrics_for, sums_for, untold
from bench.evaluation.stream import PreparedSeries, Stream, finite_until
from bench.evaluation.trace_sampler import TraceSampler

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bench.results.record import Record


@dataclass
class Member:
    """One of several strategies that are served in one pass.

    Attributes:
        warm: Errors of the warm start.
        has_failed: Whether a forecast was not finite; it counts no further.
    """

    strategy: Strategy
    warm: ErrorSums
    has_failed: bool = field(default=False, init=False)

    def add(self, sums: ErrorSums, forecasts: NDArray[np.float32], truths: NDArray[np.float64]) -> bool:
        """Score forecasts, and say whether it goes on."""
        self.has_failed = self.has_failed or finite_until(forecasts) < len(forecasts)
        if not self.has_failed:
            add_errors(sums, forecasts, truths)
        return not self.has_failed


@dataclass(frozen=True)
class Scores:
    """What a stream leaves of one of them."""

    sums: ErrorSums
    sample: ForecastSample
    trace: TraceSampler

    @classmethod
    def of(cls, strategy: Strategy, stage: PreparedSeries) -> Scores:
        """Before its first forecast."""
        split, sample = stage.series.split, ForecastSample.around_strongest_event(stage)
        trace = TraceSampler.over(strategy, stage.protocol, split.validation, split.end)
        return cls(sums_for(stage, metrics_for(stage)), sample, trace)


def warm_up_together(stream: Stream, members: Sequence[Member]) -> None:
    """Serve the validation rows, where the protocol has a warm start."""
    stage, split = stream.stage, stream.stage.series.split

    def keep(origins: NDArray[np.int64], forecasts: NDArray[np.float32]) -> None:
        truths = stage.truths(origins)
        for i, member in enumerate(members):
            member.add(member.warm, forecasts[:, i], truths)

    if stage.protocol.warm_start:
        stream.run(split.train, split.validation, keep)


def serve_together(
    stream: Stream, members: Sequence[Member], progress: Progress = untold, *, limit: int = 0
) -> list[Scores]:
    """Serve the stream itself, after any warm start, or so many blocks of it; scores of each."""
    stage, split, protocol = stream.stage, stream.stage.series.split, stream.stage.protocol
    made = [Scores.of(member.strategy, stage) for member in members]
    total = len(protocol.origins(split.validation, split.end))

    def keep(origins: NDArray[np.int64], forecasts: NDArray[np.float32]) -> None:
        truths = stage.truths(origins)
        for i, (member, scores) in enumerate(zip(members, made, strict=True)):
            if member.add(scores.sums, forecasts[:, i], truths):
                scores.sample.add(origins, forecasts[:, i])

    def on_block(origin: int) -> None:
        for scores in made:
            scores.trace.after_block(origin)
        progress((origin - split.validation) // protocol.stride + 1, total, lambda: made[0].sums.mse)

    stream.run(split.validation, split.end, keep, on_block, limit)
    return made


def execute_together(
    runs: Sequence[RunSpec], place: RunPaths, progress: Progress = untold
) -> dict[str, tuple[Record, dict[str, Any]]]:
    """Execute runs of one group in one pass.

    Returns:
        By run id, the record and its frames, as `execute` has them, without a timing. Runs that are missing are to be
        executed alone: those that failed, or all, where the strategy cannot serve these together.

    Raises:
        Exception: Of any kind: what a plug-in raised, or that a forecast has the wrong shape.
    """
    begun = time.perf_counter()
    keep_freed_memory()
    first, device = runs[0], resolve_device(runs[0].device)
    series = load_series(first)
    with isolated(first.seed, first.threads), swept(partial(checksum, series)) as swept_up:
        stage = PreparedSeries.of(series, first.protocol)
        given = [pretrained_for(run, stage, device, place.checkpoints) for run in runs]
        strategies = [make_ready(run, stage, device, own) for run, own in zip(runs, given, strict=True)]
        server = STRATEGIES[first.strategy.name].cls.together(strategies)
        if server is None:
            return {}
        members = [Member(strategy, sums_for(stage)) for strategy in strategies]
        stream = Stream(stage, strategies[0], device, finite=False, server=server, models=len(runs))
        warm_up_together(stream, members)
        made = serve_together(stream, members, progress) if first.rows == "stream" else []
    if swept_up.left:
        forget_series()
    well = [i for i, member in enumerate(members) if not member.has_failed]
    ids = sorted(runs[i].run_id for i in well)
    seconds = (time.perf_counter() - begun) / len(runs)
    ended = {}
    for i in well:
        run, (update, frames) = runs[i], ended_well(given[i])
        val_mse = members[i].warm.mse if run.protocol.warm_start else None
        if made:
            update |= {"errors": made[i].sums.errors(val_mse)}
            frames |= frames_of(stage, made[i].sums, made[i].sample, made[i].trace)
        else:
            update |= {"val_mse": val_mse}
        update |= {"seconds": seconds, "left": swept_up.left, "beside": swept_up.beside}
        update |= {"together": [run_id for run_id in ids if run_id != run.run_id]}
        ended[run.run_id] = describe(run, series, place, device).model_copy(update=update), frames
    return ended
