"""A stream's peak memory does not depend on its length: each strategy in a process of its own."""

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
from tests.small_titans import ROW_TOKENS

name, few, rows = sys.argv[1], 300, 1800
load_plugins()
L, H, cpu = 48, 3, torch.device("cpu")
rules = Protocol(lookback=L, horizon=H, stride=1, block=24, warm_start=False)
stage = PreparedSeries.of(replace(small_series(rows=300 + rows), split=Split(200, 300, 300 + rows)), rules)
tiny = ROW_TOKENS | {"dim": 64, "heads": 1, "dim_head": 8, "neural_memory_segment_len": 8}
config = build(TitansConfig, tiny, "titans")
model = Recipe("titans", config, Task(L, H, 3, 3, (0, 1, 2)), seed=0).build(cpu)
cls = STRATEGIES[name].cls
service = StrategyContext(build(cls.Config, {}, name), model, stage.history(cpu), rules, np.random.default_rng(0), cpu)
stream = Stream(stage, cls(service), cpu)
for first, end in ((300, 300 + few), (300 + few, 300 + rows)):
    stream.run(first, end, lambda *_: None)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["titans-a", "titans-b", "titans-c", "titans-b-shuffled"])
def test_six_times_the_rows_take_no_more_memory(name: str) -> None:
    run = subprocess.run([sys.executable, "-c", PROGRAM, name], capture_output=True, text=True, check=True)
    early, late = map(int, run.stdout.split())
    assert late <= 1.03 * early
