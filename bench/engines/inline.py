"""One job after the other, in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from bench.engines.crew import Crew, J, Lost, R, failure
from bench.errors import ENDS_SESSION


@contextmanager
def inline(workers: int | None = 1, threads: int = 1) -> Iterator[Crew]:
    """A crew of this process alone; ``workers`` and ``threads`` change nothing, and no job can be given up.

    A job that ends its process ends this one.
    """
    del workers, threads
    yield InOrder()


class InOrder:
    """Does jobs itself, one after the other."""

    workers = 1

    def __call__(
        self, function: Callable[[J], R], jobs: Iterable[J], timeout: float | None = None
    ) -> Iterator[R | Lost[J]]:
        """As `Crew` has it."""
        del timeout
        for job in jobs:
            try:
                result = function(job)
            except ENDS_SESSION:
                raise
            except BaseException as error:
                yield failure(error).of(job)
            else:
                yield result

    def alone(self) -> Crew:
        """Itself: it never does more than one job at a time."""
        return self

    def close(self) -> None:
        """Nothing: there are no workers."""
