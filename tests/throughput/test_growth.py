"""A long stream must not get slower: the last windows against the first, in one run."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from bench.contracts.discovery import load_plugins
from bench.contracts.protocol import ProtocolSpec
from bench.evaluation.stream import PreparedSeries, Stream
from bench.testing import small_series, tiny_maker

load_plugins()


@pytest.mark.parametrize("name", ["titans-b", "titans-c"])
def test_the_last_hundred_windows_of_five_hundred(benchmark: BenchmarkFixture, name: str) -> None:
    torch.set_num_threads(1)
    windows = 150 if benchmark.disabled else 500
    series = small_series(rows=1540)
    stage = PreparedSeries.of(series, ProtocolSpec(preset="online", warm_start=False).resolve(series))

    def serve() -> Stream:
        stream = Stream(stage, tiny_maker(name)(stage), torch.device("cpu"))
        stream.run(stage.first_origin, len(series), lambda *_: None, limit=windows)
        return stream

    stream = benchmark.pedantic(serve, rounds=1)
    steps = stream.predict_watch.milliseconds() + stream.adapt_watch.milliseconds()
    early, late = np.median(steps[20:120]), np.median(steps[-100:])
    benchmark.extra_info["late / early"] = round(float(late / early), 3)
    print(f"\n{name}: a step takes {late / early:.2f} x as long after 400 windows as after 20")
    assert len(steps) == windows
