"""One job after the other, in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from bench.contracts.engine import Engine, FailedJob, J, Pool, R, register_engine
from bench.contracts.errors import ENDS_SESSION


@register_engine("inline")
class Inline(Engine):
    """One job after the other, in the session's own process: for a debugger or a profiler.

    A job that ends its process ends this one.
    """

    has_workers = False
    has_timeouts = False
    one_at_a_time = True

    @contextmanager
    def pool(self, workers: int | None, threads: int, device: str = "cpu") -> Iterator[Pool]:
        """This process; the arguments change nothing."""
        del workers, threads, device
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
                yield FailedJob.of(job, error)
            else:
                yield result

    def alone(self) -> Pool:
        """Itself: it never does more than one job at a time."""
        return self

    def close(self) -> None:
        """Nothing: there are no workers."""
