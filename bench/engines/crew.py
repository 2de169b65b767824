"""What every engine offers: a crew that applies functions to jobs, for as long as a session needs it."""

from __future__ import annotations

import copy
import faulthandler
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, Generic, Protocol, TypeVar

J = TypeVar("J")
R = TypeVar("R")

TRIES = 2
"""A job whose worker dies is done again once: the worker may have been killed for another's hunger."""

STILLBORN = 3
"""So many workers in a row, for each that there may be, that die before they begin anything are no accident."""

LAST_WORDS_S = 0.3
"""What a worker that is late is left to say where it stands."""

LIBRARIES = ("OMP", "OPENBLAS", "MKL", "NUMEXPR", "BLIS", "VECLIB_MAXIMUM")


@dataclass(frozen=True)
class Lost(Generic[J]):
    """A job that came to no result.

    Attributes:
        job: As it was given.
        reason: What became of it.
    """

    job: J
    reason: str


class Crew(Protocol):
    """Applies a function to jobs; results come as they are ready, in any order."""

    @property
    def workers(self) -> int:
        """How many jobs are under way at a time, at most."""
        ...

    def __call__(
        self, function: Callable[[J], R], jobs: Iterable[J], timeout: float | None = None
    ) -> Iterator[R | Lost[J]]:
        """Do all jobs.

        Args:
            function: What is done to each.
            jobs: Taken one by one, as there are hands free.
            timeout: Seconds after which a job is given up, where the engine can.
        """
        ...

    def alone(self) -> Crew:
        """A crew that does one job at a time while the workers of this one are gone: for what is to be timed."""
        ...

    def close(self) -> None:
        """End all workers, whatever they are doing; others start when there is more to do."""
        ...


@dataclass
class Task:
    """A job under way.

    Attributes:
        job: As it was given.
        tries: How often it has been begun.
        deadline: On the monotonic clock, once it has begun.
    """

    job: Any
    tries: int = 0
    deadline: float = float("inf")


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
            raise IndexError("nobody has a job left")
        return self._ready.popleft()

    def do_again(self, task: Task, cause: str) -> Iterator[Lost[Any]]:
        """Put back a job whose worker died; one that may not be begun again is lost."""
        if task.tries < TRIES:
            self._ready.appendleft(Task(task.job, task.tries))
        else:
            yield Lost(task.job, f"{cause}, as the one before it")


def outcome(function: Callable[[Any], Any], job: Any, timeout: float | None) -> tuple[bool, Any]:
    """In a worker: whether a job went well, and its result, or what it raised; what looks like a lost worker too.

    Args:
        function: What is done.
        job: To what.
        timeout: See `last_words`.
    """
    try:
        with last_words(timeout):
            return True, function(job)
    except Exception as error:
        return False, _that_travels(error)


def _that_travels(error: Exception) -> Exception:
    """An error that the session can take in: some cannot be made again from what they say of themselves."""
    try:
        copy.copy(error)  # is made as the session would make it
    except Exception:
        return RuntimeError(repr(error))
    return error


@contextmanager
def last_words(timeout: float | None) -> Iterator[None]:
    """Where a job takes longer than its ``timeout``, have this process say where each of its threads stands.

    It says so to descriptor 2, which may lead to the job's own log by then. Whoever gave the job ends the process
    `LAST_WORDS_S` later.
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
