"""One job after the other, in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from bench.contracts.errors import ENDS_SESSION
from bench.execution.engines.pool import FailedJob, J, Pool, R, failure


@contextmanager
def inline(workers: int | None = 1, threads: int = 1) -> Iterator[Pool]:
    """A pool of this process alone; ``workers`` and ``threads`` change nothing, and no job can be given up.

    A job that ends its process ends this one.
    """
    del workers, threads
    yield InOrder()


class InOrder:
    """Does jobs itself, one after the other."""

    workers = 1

    def __call__(
        self, function: Callable[[J], R], jobs: Iterable[J], timeout: float | None = None
    ) -> Iterator[R | FailedJob[J]]:
        """As `Pool` has it."""
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

    def alone(self) -> Pool:
        """Itself: it never does more than one job at a time."""
        return self

    def close(self) -> None:
        """Nothing: there are no workers."""
