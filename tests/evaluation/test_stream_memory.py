"""A stream's peak memory does not depend on its length: each stream in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
from dataclasses import replace
import numpy as np, torch
torch.set_num_threads(1)
from bench import Protocol, Split, Task
from bench.contracts.config import build
from bench.forecasters.titans.config import TitansConfig
from bench.contracts.discovery import load_plugins
from bench.contracts.strategy import STRATEGIES, StrategyContext
from bench.evaluation.stream import PreparedSeries, Stream
from bench.testing import small_series
from bench.evaluation.pretraining import Recipe

name, rows = sys.argv[1], int(sys.argv[2])
load_plugins()
L, H, cpu = 48, 3, torch.device("cpu")
rules = Protocol(lookback=L, horizon=H, stride=1, block=24, warm_start=False)
stage = PreparedSeries.of(replace(small_series(rows=300 + rows), split=Split(200, 300, 300 + rows)), rules)
config = build(TitansConfig, {"dim": 64, "heads": 1, "dim_head": 8, "neural_memory_segment_len": 8}, "titans")
model = Recipe("titans", config, Task(L, H, 3, 3, (0, 1, 2)), seed=0).build(cpu)
cls = STRATEGIES[name].cls
service = StrategyContext(build(cls.Config, {}, name), model, stage.history(cpu), rules, np.random.default_rng(0), cpu)
Stream(stage, cls(service), cpu).run(300, 300 + rows, lambda *_: None)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak(name: str, rows: int) -> int:
    run = subprocess.run([sys.executable, "-c", PROGRAM, name, str(rows)], capture_output=True, text=True, check=True)
    return int(run.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["titans-a", "titans-b", "titans-c", "titans-b-shuffled"])
def test_ten_times_the_rows_take_no_more_memory(name: str) -> None:
    assert peak(name, 6000) <= 1.05 * peak(name, 600)
