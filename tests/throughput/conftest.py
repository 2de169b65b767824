"""Two ways of doing the same thing, timed in turn in one process: what is reported is how many times one is faster."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from bench.evaluation.profiling.allocator import keep_freed_memory

Step = Callable[[], object]
Pairs = Callable[..., float]


@pytest.fixture
def pairs(benchmark: BenchmarkFixture) -> Pairs:
    """Time a step in turn with another one; answers with the median of the pairs' ratios.

    The step itself is what the benchmark's own statistics are of; the ratio joins them as ``ratio``, of the ``against``
    that is given.
    """

    def measure(step: Step, other: Step, rounds: int = 15, **info: object) -> float:
        """Time them.

        Args:
            step: What is measured.
            other: What it is measured against, run just before it each time.
            rounds: Pairs.
            **info: What the report shows beside the ratio.
        """
        keep_freed_memory()
        torch.set_num_threads(1 if benchmark.disabled else min(2, os.cpu_count() or 1))
        if benchmark.disabled:
            other()
            benchmark(step)
            return float("nan")
        for _ in range(2):
            other()
            step()
        before: list[float] = []

        def timed_other() -> None:
            begun = time.perf_counter()
            other()
            before.append(time.perf_counter() - begun)

        benchmark.pedantic(step, setup=timed_other, rounds=rounds)
        benchmark.extra_info.update(info)
        assert benchmark.stats is not None
        took: list[float] = benchmark.stats.stats.data
        ratio = statistics.median(theirs / ours for theirs, ours in zip(before, took, strict=True))
        benchmark.extra_info["ratio"] = round(ratio, 3)
        return ratio

    return measure
