"""Measurements around a stream: time, memory, disturbance, state, operations."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

from bench.evaluation.profiling.clocks import PeakMemory, device_name, summarize
from bench.evaluation.profiling.footprint import FlopCount, state_bytes
from bench.evaluation.profiling.machine import BusyCores, cores, power_state
from bench.evaluation.stream import Stream
from bench.results.record import Flops, Timing

WARMUP_BLOCKS = 3
COUNTED_BLOCKS = 8
"""Blocks after the timed ones whose floating-point operations are counted."""


class Profiler:
    """Measures a stream that is not yet served, or whose watches were restarted."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._memory, self._work = PeakMemory(stream.device), BusyCores()
        self._begun = time.perf_counter()

    def read(self, load: float, *, traced_s: float, aside_s: float, alone: bool) -> Timing:
        """The cost so far.

        Args:
            load: Busy share of the machine just before.
            traced_s: Seconds that the strategy's ``trace`` took.
            aside_s: Seconds that neither the strategy nor the harness took.
            alone: Whether this is a timing pass.
        """
        stream, wall = self._stream, time.perf_counter() - self._begun
        predict, adapt = stream.predict_watch.milliseconds(), stream.adapt_watch.milliseconds()
        own, others = self._work.own_and_others()
        warmup = min(WARMUP_BLOCKS, len(predict) - 1)
        windows = stream.windows_since_start(warmup)
        seconds = (predict[warmup:].sum() + adapt[warmup:].sum()) / 1000
        return Timing(
            alone=alone,
            windows=windows,
            windows_per_s=float(windows / seconds),
            predict=summarize(predict, warmup),
            adapt=summarize(adapt, warmup),
            warmup=warmup,
            first_predict_ms=float(predict[0]),
            first_adapt_ms=float(adapt[0]),
            peak_memory_mb=self._memory.megabytes(),
            threads=torch.get_num_threads(),
            device=str(stream.device),
            device_name=device_name(stream.device),
            clock=stream.predict_watch.name,
            load=load,
            cores=cores(),
            others=others,
            own=own,
            power=power_state(),
            harness_us=float(1e6 * (wall - (predict.sum() + adapt.sum()) / 1000 - traced_s - aside_s) / len(predict)),
            trace_us=1e6 * traced_s / len(predict),
            state_bytes=state_bytes(stream.strategy),
        )


def count_flops(
    stream: Stream, start: int, end: int, after_block: Callable[[int], None] = lambda _: None
) -> Flops | None:
    """Operations for each window of the blocks from origin ``start``; None if there are none, or torch cannot count.

    Compiled code runs uncompiled meanwhile.
    """
    predict, adapt = FlopCount(), FlopCount()
    stream.start_watches()
    try:
        with torch.compiler.set_stance("force_eager"):
            stream.run(start, end, lambda *_: None, after_block, limit=COUNTED_BLOCKS, watches=(adapt, predict))
    except Exception:  # the counter cannot follow all code; the timing is kept
        return None
    windows = stream.windows_since_start(0)
    return Flops(predict=predict.total / windows, adapt=adapt.total / windows) if windows else None
