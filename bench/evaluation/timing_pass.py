"""The timing pass: a run's first blocks served again, alone on the machine, and compared with the run's forecasts."""

from __future__ import annotations

import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import psutil

from bench.contracts.errors import ENDS_SESSION, words_of
from bench.evaluation.hidden_rows import HiddenRows, hidden
from bench.evaluation.isolation import isolated
from bench.evaluation.profiling.allocator import keep_freed_memory
from bench.evaluation.profiling.clocks import resolve_device
from bench.evaluation.profiling.footprint import ParameterCount
from bench.evaluation.profiling.leftovers import swept
from bench.evaluation.profiling.profiler import WARMUP_BLOCKS, count_flops
from bench.evaluation.replay import judge
from bench.evaluation.run import RunPaths, checksum, forget_series, load_series, make_stream, pretrained_for
from bench.evaluation.run_spec import RunSpec
from bench.evaluation.serving import origins_frame, serve_stream, sums_for, warm_up
from bench.evaluation.stream import PreparedSeries
from bench.results.record import Replay, Timing

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

TIMING_ATTEMPTS = 3
"""Most timing passes while other processes disturb them; the least disturbed is kept."""


@dataclass(frozen=True)
class Opening:
    """The first blocks of a run, served again: their cost, and ``origins.parquet`` of their forecasts."""

    timing: Timing
    errors: pd.DataFrame


@dataclass
class Forecasts:
    """Forecasts that are scored later, when their rows are no longer hidden."""

    origins: list[NDArray[np.int64]] = field(default_factory=list)
    values: list[NDArray[np.float32]] = field(default_factory=list)

    def add(self, origins: NDArray[np.int64], forecasts: NDArray[np.float32]) -> None:
        """Keep some."""
        self.origins.append(origins)
        self.values.append(forecasts)

    def errors(self, stage: PreparedSeries) -> pd.DataFrame:
        """``origins.parquet`` of them."""
        sums = sums_for(stage)
        for origins, forecasts in zip(self.origins, self.values, strict=True):
            sums.add(forecasts, stage.truths(origins))
        return origins_frame(stage, sums)


def time_alone(run: RunSpec, place: RunPaths, blocks: int, seconds: float = float("inf")) -> Timing:
    """The timing pass: the run's first blocks, served as they were in the run, and compared with it.

    Seeds, history, protocol and warm start are those of the run; but at each block, the rows that are not known yet are
    hidden. Repeated a few times while other processes disturb it or it stalls; the least disturbed pass is kept (a
    strategy that is slow now and then is so each time).

    Args:
        place: Where results and checkpoints are.
        blocks: How many are measured, after the warm-up.
        seconds: Time limit; a pass is repeated only if half of that suffices.
    """
    keep_freed_memory()
    begun, passes = time.monotonic(), list[Opening]()
    while len(passes) < TIMING_ATTEMPTS and _mean_s(begun, len(passes)) * (len(passes) + 1) <= seconds / 2:
        try:
            passes.append(serve_opening(run, place, blocks))
        except ENDS_SESSION:
            raise
        except BaseException as error:  # an error that is not due to hidden rows is raised again below
            timing = serve_opening(run, place, blocks, blind=False).timing
            reason = "leaks: it failed where the rows after each origin were out of reach, and there only: "
            reason += words_of(error)
            return timing.model_copy(update={"replay": Replay(verdict="leaks", origins=0, reason=reason)})
        if not passes[-1].timing.is_disturbed and not passes[-1].timing.has_stalled:
            break
    best = min(passes, key=lambda p: (p.timing.is_disturbed, p.timing.has_stalled, p.timing.others))
    replay = judge(run, place, best.errors, lambda: serve_opening(run, place, blocks, blind=False).errors)
    return best.timing.model_copy(update={"replay": replay})


def _mean_s(begun: float, passes: int) -> float:
    """Seconds that each pass took so far; 0 before the first."""
    return (time.monotonic() - begun) / passes if passes else 0.0


def serve_opening(run: RunSpec, place: RunPaths, blocks: int, *, blind: bool = True) -> Opening:
    """Serve a run's warm start and first blocks, as a run does; ``blind`` hides the rows that are not known yet."""
    device = resolve_device(run.device)
    load = psutil.cpu_percent(interval=0.1) / 100
    series = load_series(run)
    with isolated(run.seed, run.threads), swept(partial(checksum, series)) as swept_up:
        stage, made = PreparedSeries.of(series, run.protocol), Forecasts()
        given = pretrained_for(run, stage, device, place.checkpoints)
        with hidden(stage, stage.first_origin) if blind else nullcontext() as rows:
            curtain, split = Curtain(stage, rows), stage.series.split
            stream, setup_s = make_stream(run, stage, device, given)
            stream.finite = False
            parameters = ParameterCount(stream.strategy)
            if run.protocol.warm_start:
                curtain.before(split.train)
                warm_up(stream, after_block=curtain.after_block)
            curtain.before(split.validation)
            served = serve_stream(stream, limit=WARMUP_BLOCKS + blocks, score=made.add, after_block=curtain.after_block)
            timing = served.timing(setup_s=setup_s, load=load, alone=True)
            counted = parameters.now(stream.strategy)

            def after_block(origin: int) -> None:
                served.trace.after_block(origin)
                curtain.after_block(origin)

            flops = count_flops(stream, curtain.next, split.end, after_block)
        update = {"parameters": counted, "flops": flops} | stream.first_steps()
        errors = made.errors(stage)
    if swept_up.left:
        forget_series()
    behind = {"left": swept_up.left, "beside": swept_up.beside}
    return Opening(timing.model_copy(update=update | behind), errors)


class Curtain:
    """Reveals the hidden rows of a stage (None: none are hidden) as they become known.

    Attributes:
        next: First origin of the next block.
    """

    def __init__(self, stage: PreparedSeries, rows: HiddenRows | None) -> None:
        self._protocol, self._split, self._rows = stage.protocol, stage.series.split, rows

    def before(self, first: int) -> None:
        """Reveal what is known to the block with this first origin: the windows of all its origins.

        Where labels leak, the truths of earlier origins too.
        """
        self.next = first
        end = self._split.validation if first < self._split.validation else self._split.end
        block = self._protocol.origins(first, end)[: self._protocol.block]
        if self._rows is not None and len(block):
            ahead = self._protocol.horizon - 1 if self._protocol.is_leaky else 0
            self._rows.reveal(max(block[-1], block[0] + ahead))

    def after_block(self, origin: int) -> None:
        """Reveal what is known to the block after the one with this first origin."""
        self.before(origin + self._protocol.block * self._protocol.stride)
