"""How long a command takes to start: help, and lists of what there is, each in a process of its own."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

ROUNDS = 10
KINDS = ("strategies", "forecasters", "datasets", "metrics", "engines", "presets", "experiments")
HELP_S, LIST_S = 0.4, 1.0


def cpu_seconds() -> float:
    """CPU time of all child processes so far, which other work on the machine does not change."""
    spent = os.times()
    return spent.children_user + spent.children_system


@pytest.mark.parametrize(
    ("words", "most"), [("--help", HELP_S), ("list", LIST_S), *((f"list {k}", LIST_S) for k in KINDS)]
)
def test_start_up(benchmark: BenchmarkFixture, tmp_path: Path, words: str, most: float) -> None:
    """Lists are those of a second call: the first one imports the plug-ins, and keeps what they brought."""
    if benchmark.disabled and words.removeprefix("list ") in KINDS:
        pytest.skip("the two others show that it works")
    command = [sys.executable, "-m", "bench", *words.split()]
    environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    spent = list[float]()

    def start() -> None:
        before = cpu_seconds()
        subprocess.run(command, check=True, capture_output=True, cwd=tmp_path, env=environment)
        spent.append(cpu_seconds() - before)

    start()
    first = spent.pop()
    benchmark.pedantic(start, rounds=1 if benchmark.disabled else ROUNDS)
    cpu = statistics.median(spent)
    benchmark.extra_info.update(kind="start-up", cpu_s=round(cpu, 3), first_s=round(first, 2))
    if not benchmark.disabled:
        assert benchmark.stats is not None
        wall = benchmark.stats.stats.median
        print(f"\nbench {words}: median of {ROUNDS} {wall:.2f} s ({cpu:.2f} s of CPU; the first call {first:.2f} s)")
        assert cpu <= most
