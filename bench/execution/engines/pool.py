"""What pools share: a queue of jobs, the outcome of one in a worker, and limits on attempts and threads."""

from __future__ import annotations

import faulthandler
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Generic, cast

from bench.contracts.engine import FailedJob, J, R
from bench.contracts.errors import traceback_of, words_of

MAX_ATTEMPTS = 2
"""Retry once: the system may have killed this worker because another process took all memory."""

MAX_STARTUP_FAILURES = 3
"""The session ends after so many workers in a row, for each of the pool, that died before they began a job."""

TRACEBACK_GRACE_S = 0.3
"""Seconds that a late worker has to print where its threads stand."""

LIBRARIES = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "BLIS", "VECLIB_MAXIMUM")


@dataclass(frozen=True)
class Outcome(Generic[R]):
    """What came of a job, as a worker says it.

    Attributes:
        spent: Whether the worker may do no other job after this one.
    """

    result: R | None = None
    reason: str = ""
    traceback: str = ""
    spent: bool = False

    def of(self, job: J) -> R | FailedJob[J]:
        """The result, or that the job is lost."""
        return FailedJob(job, self.reason, self.traceback) if self.reason else cast("R", self.result)


@dataclass
class Task:
    """A job under way.

    Attributes:
        deadline: On the monotonic clock, once it has begun.
        number: That an answer must name; each time that it is begun another.
    """

    job: Any
    tries: int = 0
    deadline: float = float("inf")
    number: int = 0


class Queue:
    """Jobs that nobody has taken yet; those that are to be done again come first."""

    def __init__(self, jobs: Iterable[Any]) -> None:
        self._tasks = (Task(job) for job in jobs)
        self._ready: deque[Task] = deque()

    def __bool__(self) -> bool:
        return self.waiting(1) > 0

    def waiting(self, at_most: int) -> int:
        """How many there are, counted no further than that."""
        self._ready.extend(islice(self._tasks, max(0, at_most - len(self._ready))))
        return min(at_most, len(self._ready))

    def take(self) -> Task:
        """The next one, where there is one."""
        if not self:
            raise IndexError("no job is left")
        return self._ready.popleft()

    def do_again(self, task: Task, cause: str) -> Iterator[FailedJob[Any]]:
        """Put back a job whose worker died; one that may not be begun again is lost."""
        if task.tries < MAX_ATTEMPTS:
            self._ready.appendleft(Task(task.job, task.tries))
        else:
            yield FailedJob(task.job, f"{cause}, as the one before it")


def outcome(function: Callable[[Any], Any], job: Any, timeout: float | None) -> Outcome[Any]:
    """In a worker: what came of a job. Whatever it raises is its own, also what would end a process.

    A worker in which a job left something behind is spent.
    """
    try:
        with traceback_on_timeout(timeout):
            done = Outcome(function(job))
    except BaseException as error:
        done = failure(error)
    leftovers = sys.modules.get("bench.evaluation.profiling.leftovers")  # by jobs that may leave some
    return replace(done, spent=leftovers is not None and leftovers.is_stained())


def failure(error: BaseException) -> Outcome[Any]:
    """What came of a job that raised this."""
    return Outcome(None, words_of(error), traceback_of(error))


@contextmanager
def traceback_on_timeout(timeout: float | None) -> Iterator[None]:
    """Where a job takes longer than its ``timeout``, have this process say where each of its threads stands.

    It says so to descriptor 2, which may lead to the job's own log by then. Whoever gave the job ends the process
    `TRACEBACK_GRACE_S` later.
    """
    if timeout is None:
        yield
        return
    faulthandler.dump_traceback_later(timeout, file=2)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def thread_limits(threads: int) -> dict[str, str]:
    """Environment variables that limit the numerical libraries of a worker to so many threads."""
    return {f"{library}_NUM_THREADS": str(threads) for library in LIBRARIES}
