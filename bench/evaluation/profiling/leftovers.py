"""What code outside the harness leaves behind in its process: found after each run, restored, and reported."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache

from bench.evaluation.profiling.namespaces import Namespaces
from bench.evaluation.profiling.process_state import ProcessState, Remains
from bench.results.record import ROWS, tampering

MOST, LONGEST = 8, 100
"""Most reported names, and most letters of each."""


@dataclass
class Leftovers:
    """What a run left behind.

    Attributes:
        left: What differed when it ended: functions, classes and constants by name, states in words. Restored if
        possible. beside: What earlier runs of this process had left, and could not be restored.
    """

    left: list[str] = field(default_factory=list)
    beside: list[str] = field(default_factory=list)


@dataclass
class _Process:
    """This process.

    Attributes:
        spaces: Functions, classes and constants as they should be. does_jobs: Whether it only does jobs for a session:
        what is replaced between two runs was then done by the first. is_stained: Whether a run has left anything
        behind. remains: What could not be restored.
    """

    spaces: Namespaces = field(default_factory=Namespaces)
    does_jobs: bool = False
    is_stained: bool = False
    remains: list[Remains] = field(default_factory=list)


_process = cache(_Process)


@contextmanager
def swept(rows: Callable[[], object] = bool) -> Iterator[Leftovers]:
    """Find what is left behind meanwhile, and restore it at the end, also after an error.

    What `isolated` sets for each run and restores is not covered; it goes around this.
    ``rows`` is a checksum of the series that is served.
    """
    process = _process()
    since, before = process.spaces.renew(), rows()
    since = since if process.does_jobs else []
    process.remains = [one for one in process.remains if one.is_there()]
    state, found = ProcessState(), Leftovers(beside=_brief([*(one.label for one in process.remains), *since]))
    try:
        yield found
    finally:
        names = process.spaces.put_back()
        states, remains = state.put_back()
        found.left = _brief([*names, *states, *([ROWS] if rows() != before else [])])
        process.remains += remains
        process.is_stained |= bool(found.left or since)


def is_stained() -> bool:
    """Whether this worker has left anything behind and must do no other job; asked after each job."""
    _process().does_jobs = True
    return _process().is_stained


def _brief(names: Iterable[str]) -> list[str]:
    """The first few, each once, the harness's first, and how many more there are."""
    names = [name[:LONGEST] for name in names]
    each = list(dict.fromkeys([*tampering(names), *names]))
    return each if len(each) <= MOST else [*each[: MOST - 1], f"{len(each) - MOST + 1} more"]
