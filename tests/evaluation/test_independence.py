"""What a result must not depend on: block size where nothing adapts, threads, other runs, their order."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from bench.contracts.discovery import load_plugins
from bench.contracts.protocol import ProtocolSpec
from bench.contracts.strategy import STRATEGIES, Strategy
from bench.evaluation.isolation import isolated
from bench.evaluation.stream import PreparedSeries, Stream
from bench.results.store import ORIGINS, Store
from bench.testing import small_series, tiny_maker

from ..conftest import Bench, Write

load_plugins()

CPU = torch.device("cpu")
CLOSE = 1e-5
NAMES = [entry.name for entry in STRATEGIES]
ADAPTS = ("observe", "adapt")
FIXED = [e.name for e in STRATEGIES if not any(getattr(e.cls, m) is not getattr(Strategy, m) for m in ADAPTS)]
FOLLOWING = ["persistence", "seasonal-naive"]  # they see rows, and each window brings what its block does not
ROWS = 240


def forecasts(name: str, rows: int = ROWS, **protocol: Any) -> dict[int, np.ndarray]:
    """The stream's forecasts by origin."""
    series = small_series(rows=rows)
    stage = PreparedSeries.of(
        series, ProtocolSpec(**{"preset": "dense", "warm_start": False} | protocol).resolve(series)
    )
    made: dict[int, np.ndarray] = {}
    stream = Stream(stage, tiny_maker(name)(stage), CPU)
    stream.run(stage.first_origin, len(series), lambda origins, f: made.update(zip(origins.tolist(), f, strict=True)))
    return made


def largest_difference(one: dict[int, np.ndarray], other: dict[int, np.ndarray]) -> float:
    assert one.keys() == other.keys()
    return max(float(np.abs(one[origin] - other[origin]).max()) for origin in one)


@pytest.fixture(autouse=True)
def _threads_as_before() -> Any:
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def test_who_does_not_adapt() -> None:
    assert {"frozen", "titans-a"} <= set(FIXED)
    assert not {"titans-b", "titans-c", "rls", "retrain", "persistence"} & set(FIXED)


@pytest.mark.parametrize("block", [1, 5, 24, 82])
@pytest.mark.parametrize("name", [*FIXED, *FOLLOWING])
def test_block_size_where_nothing_adapts(name: str, block: int) -> None:
    torch.set_num_threads(1)
    assert largest_difference(forecasts(name, block=7), forecasts(name, block=block)) <= CLOSE


@pytest.mark.parametrize("name", NAMES)
def test_thread_count(name: str, short_parts: None) -> None:
    made = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        made.append(forecasts(name, rows=ROWS // 2))
    assert largest_difference(*made) <= CLOSE


POLLUTES = """
    import os, random
    import numpy, torch
    from bench import Strategy, register_strategy

    @register_strategy("pollutes")
    class Pollutes(Strategy):
        "The last value; leaves every global generator, torch's settings and the working folder in disorder."

        heavy = True  # heavy ones are first, in the order that they are named

        def predict(self, windows):
            os.chdir("/"), torch.set_float32_matmul_precision("medium"), torch.set_default_device("meta")
            numpy.random.seed(1), random.seed(2), torch.manual_seed(3), torch.rand(5)
            torch.set_grad_enabled(False), torch.set_default_dtype(torch.float64), torch.set_num_threads(2)
            return windows[:, -1:].expand(-1, self.protocol.horizon, -1)
"""

DRAWS = """
    import random
    import numpy, torch
    from bench import Strategy, register_strategy

    @register_strategy("draws")
    class Draws(Strategy):
        "The last value and some noise, from its own generator and all global ones."

        def predict(self, windows):
            last = windows[:, -1:].expand(-1, self.protocol.horizon, -1)
            drawn = self.rng.normal() + numpy.random.normal() + random.random()
            return last + 0.1 * torch.randn(last.shape) + 0.1 * drawn
"""


@pytest.mark.usefixtures("without_report")
def test_other_runs_and_their_order(tiny: Path, bench: Bench, write: Write) -> None:
    """In one process, one after another, beside a run that leaves all global state in disorder."""
    plugins = ["--plugins", write("pollutes.py", POLLUTES), "--plugins", write("draws.py", DRAWS)]
    other = ("strategies", "forecasters", "timing_blocks")
    text = [line for line in tiny.read_text().splitlines() if line.split(" =")[0] not in other]
    text += ['forecasters = ["dlinear"]', "timing_blocks = 2"]
    orders = {
        "alone": ["retrain"],
        "first": ["retrain", "pollutes", "draws", "rls"],
        "last": ["pollutes", "rls", "draws", "retrain"],
    }
    found: dict[str, dict[str, pd.DataFrame]] = {}
    for order, strategies in orders.items():
        tiny.write_text("\n".join([*text, f"strategies = {strategies}".replace("'", '"')]) + "\n")
        only = [word for name in strategies for word in ("--strategy", name)]
        ran = bench("run", tiny, *plugins, *only, "--engine", "inline", "--results", tiny.parent / order)
        assert ran.status == 0, ran.err
        store = Store(tiny.parent / order / "tiny")
        frames = {record.strategy.name: store.read_frame(record.run_id, ORIGINS) for record in store.records()}
        found[order] = {name: frame for name, frame in frames.items() if frame is not None}
    for name in ("retrain", "draws", "rls"):
        first, *rest = (frames[name] for frames in found.values() if name in frames)
        for again in rest:
            pd.testing.assert_frame_equal(first, again, check_exact=True)


def _settings() -> dict[str, Any]:
    return {
        "folder": Path.cwd(),
        "variables": dict(os.environ),
        "errors": np.geterr(),
        "warnings": list(warnings.filters),
        "type": torch.get_default_dtype(),
        "device": torch.get_default_device(),
        "precision": torch.get_float32_matmul_precision(),
        "onednn": torch.backends.mkldnn.enabled,
        "deterministic": torch.get_deterministic_debug_mode(),
        "gradients": torch.is_grad_enabled(),
        "depth": sys.getrecursionlimit(),
        "threads": torch.get_num_threads(),
    }


def _change_settings(folder: Path) -> None:
    os.chdir(folder)
    os.environ["ADAPTBENCH_TEST"] = "1"
    np.seterr(all="raise")
    warnings.simplefilter("ignore")
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    torch.set_float32_matmul_precision("medium")
    torch.backends.mkldnn.set_flags(False)
    torch.use_deterministic_algorithms(mode=True)
    torch.set_grad_enabled(False)
    sys.setrecursionlimit(sys.getrecursionlimit() + 100)
    torch.set_num_threads(torch.get_num_threads() + 2)


def test_settings_that_a_run_changes_are_put_back(tmp_path: Path) -> None:
    before = _settings()
    with isolated(0, 1):
        _change_settings(tmp_path)
        assert not any(_settings()[name] == value for name, value in before.items())
    assert _settings() == before


def test_a_setting_from_before_does_not_reach_a_run() -> None:
    """Such as what a plug-in changes when it is loaded."""
    torch.set_float32_matmul_precision("medium")
    torch.set_default_device("meta")
    try:
        with isolated(0, 1):
            assert torch.get_float32_matmul_precision() == "highest"
            assert torch.zeros(1).device.type == "cpu"
        assert torch.get_float32_matmul_precision() == "medium"
        assert torch.zeros(1).device.type == "meta"
    finally:
        torch.set_float32_matmul_precision("highest")
        torch.set_default_device(None)
