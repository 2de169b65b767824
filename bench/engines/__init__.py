"""Engines: ways to carry out many jobs, behind one call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

from bench.engines.processes import run_in_processes
from bench.engines.serial import run_serially
from bench.registry import unknown

J = TypeVar("J")
R = TypeVar("R")


class Engine(Protocol):
    """Applies a function to jobs; results come as they are ready, in any order."""

    def __call__(self, function: Callable[[J], R], jobs: Iterable[J], workers: int, threads: int) -> Iterator[R]:
        """Do all jobs with ``workers`` at a time, each given ``threads``."""
        ...


ENGINES: dict[str, Engine] = {"serial": run_serially, "processes": run_in_processes}


def engine(name: str) -> Engine:
    """The engine called ``name``; an unknown one is a `BenchError`."""
    if name not in ENGINES:
        raise unknown("engine", name, ENGINES)
    return ENGINES[name]
