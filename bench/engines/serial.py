"""One job after the other, in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from bench.engines.crew import Crew, J, Lost, R


@contextmanager
def serially(workers: int = 1, threads: int = 1) -> Iterator[Crew]:
    """A crew of this process alone; ``workers`` and ``threads`` change nothing, and no job can be given up."""
    del workers, threads
    yield _in_order


def _in_order(function: Callable[[J], R], jobs: Iterable[J], timeout: float | None = None) -> Iterator[R | Lost[J]]:
    del timeout
    return map(function, jobs)
