"""What every engine offers: a crew that applies functions to jobs, for as long as a session needs it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

J = TypeVar("J")
R = TypeVar("R")


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
