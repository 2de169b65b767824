"""One job after the other, in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

J = TypeVar("J")
R = TypeVar("R")


def run_serially(function: Callable[[J], R], jobs: Iterable[J], workers: int = 1, threads: int = 1) -> Iterator[R]:
    """Do the jobs in order; ``workers`` and ``threads`` change nothing."""
    del workers, threads
    return map(function, jobs)
