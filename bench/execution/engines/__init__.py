"""Engines: ways to carry out many jobs, behind one call."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial

from bench.contracts.registry import unknown
from bench.execution.engines.cluster import RayOptions
from bench.execution.engines.inline import inline
from bench.execution.engines.pool import FailedJob, Pool
from bench.execution.engines.processes import in_processes, serially
from bench.execution.engines.ray import on_ray

__all__ = ["ENGINES", "Engine", "FailedJob", "Pool", "RayOptions", "engine"]

Engine = Callable[[int | None, int], AbstractContextManager[Pool]]
"""A pool of so many workers (None: as many as there is room for), each with so many threads."""

ENGINES: dict[str, Engine] = {"serial": serially, "processes": in_processes, "ray": on_ray, "inline": inline}


def engine(name: str, ray: RayOptions | None = None) -> Engine:
    """The engine called ``name``; an unknown one is a `BenchError`.

    Args:
        name: One of `ENGINES`.
        ray: What ``ray`` must observe.
    """
    if name not in ENGINES:
        raise unknown("engine", name, ENGINES)
    return partial(on_ray, options=ray) if name == "ray" and ray else ENGINES[name]
