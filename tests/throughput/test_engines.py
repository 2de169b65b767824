"""Equal jobs that need a core each: two workers against one, and ray against processes; pairs run in turn."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.contracts.engine import ENGINES, Pool
from bench.execution.engines.cluster import RayOptions
from bench.execution.engines.connection import connected

WORKERS, JOBS, MAX_ATTEMPTS = 2, 16, 3
SHORT, LONG = 24_000_000, 100_000_000
"""Rounds of `burn`: more than a second, and more than five."""

LONG_JOBS, LONG_S = 4, 5.0


def burn(rounds: int) -> float:
    """Keeps one core busy, whoever does it; answers with the seconds that it took."""
    begun, total = time.perf_counter(), 0
    for i in range(rounds):
        total += i * i % 7
    return time.perf_counter() - begun


Pools = Callable[[str], Pool]


@pytest.fixture(scope="module")
def ray_here() -> Iterator[None]:
    pytest.importorskip("ray", reason="the extra [ray] is not installed")
    with connected(RayOptions(address="local"), WORKERS):
        yield


@pytest.fixture
def pools(request: pytest.FixtureRequest) -> Iterator[Pools]:
    """Pools by engine, of two workers with one thread each, which are awake, as within a session."""
    with ExitStack() as stack:

        def pool(name: str) -> Pool:
            if name == "ray":
                request.getfixturevalue("ray_here")
            made = stack.enter_context(ENGINES[name].cls().pool(WORKERS, 1))
            list(made(burn, [1] * 2 * WORKERS))
            return made

        yield pool


def seconds(pool: Pool, rounds: int, jobs: int) -> float:
    begun = time.perf_counter()
    assert len(list(pool(burn, [rounds] * jobs))) == jobs
    return time.perf_counter() - begun


def ratios(benchmark: BenchmarkFixture, pool: Pool, other: Pool, rounds: int, jobs: int, **info: object) -> list[float]:
    """How many times as fast a pool is as another one, pair by pair."""
    found = list[float]()

    def pair() -> None:
        theirs = seconds(other, rounds, jobs)
        found.append(theirs / seconds(pool, rounds, jobs))

    benchmark.pedantic(pair, rounds=1 if benchmark.disabled else MAX_ATTEMPTS)
    benchmark.extra_info.update(ratio=round(statistics.median(found), 3), **info)
    return found


def said(found: list[float]) -> str:
    return f"{statistics.median(found):.2f} (median of {', '.join(f'{ratio:.2f}' for ratio in found)})"


@pytest.mark.parametrize("name", ["processes", "ray"])
def test_two_workers_against_one(name: str, benchmark: BenchmarkFixture, pools: Pools) -> None:
    rounds = 1000 if benchmark.disabled else SHORT
    info = {"kind": f"{JOBS} jobs, {name}", "against": "inline"}
    found = ratios(benchmark, pools(name), pools("inline"), rounds, JOBS, **info)
    print(f"\n{name}, 2 workers on {JOBS} equal jobs: {said(found)} x the speed of one after the other in this process")
    if name == "processes" and not benchmark.disabled:
        assert statistics.median(found) >= 1.8


def test_ray_against_processes(benchmark: BenchmarkFixture, pools: Pools) -> None:
    """On jobs of five seconds and more, ray is at most a tenth behind."""
    rounds = 1000 if benchmark.disabled else LONG
    ray, processes = pools("ray"), pools("processes")
    info = {"kind": f"{LONG_JOBS} jobs of {LONG_S:g} s, ray", "against": "processes"}
    found = ratios(benchmark, ray, processes, rounds, LONG_JOBS, **info)
    (took,) = (one for one in processes(burn, [rounds]) if isinstance(one, float))
    print(f"\nray on {LONG_JOBS} jobs of {took:.1f} s, 2 workers: {said(found)} x the speed of processes")
    if not benchmark.disabled:
        assert took >= LONG_S
        assert statistics.median(found) >= 0.9
