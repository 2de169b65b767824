"""Engines: ways to carry out many jobs, behind one call."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

from bench.engines.crew import Crew, Lost
from bench.engines.processes import in_processes
from bench.engines.serial import serially
from bench.registry import unknown

__all__ = ["ENGINES", "Crew", "Lost", "engine"]

Engine = Callable[[int, int], AbstractContextManager[Crew]]
"""A crew of so many workers, each with so many threads."""

ENGINES: dict[str, Engine] = {"serial": serially, "processes": in_processes}


def engine(name: str) -> Engine:
    """The engine called ``name``; an unknown one is a `BenchError`."""
    if name not in ENGINES:
        raise unknown("engine", name, ENGINES)
    return ENGINES[name]
