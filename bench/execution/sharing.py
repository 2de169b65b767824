"""Several sessions in one folder of results: each job is done by one of them, and none is timed while others run.

Locks say all that sessions know of each other. A session holds one for as long as it is there, one while it has runs
under way, one for each job that it has claimed, and, while it times, one that a machine has only once. Locks of a
session that was killed are broken.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, TypeVar

from bench.results.disk import HERE, RUNNING, SESSIONS, sweep
from bench.results.file_lock import Lock
from bench.results.owner import is_here, is_stale, machine, process_of, unique_name
from bench.results.plain import remove_if_empty

J = TypeVar("J")
R = TypeVar("R")

LOOK_S = 0.2
"""Seconds between two looks at what others do."""

PATIENCE_S = 3600.0
"""Seconds without a change, after which others are not waited for any longer."""


@dataclass(frozen=True)
class Claims(Generic[J, R]):
    """How jobs are claimed.

    Attributes:
        found: What another session made of a job meanwhile; None where it is still to be done.
    """

    lock_of: Callable[[J], Path]
    found: Callable[[J], R | None]
    job_of: Callable[[R], J]


@dataclass
class Sharing:
    """This session, as others in the same folder of results see it.

    Attributes:
        say: Told that another session is there, and what is waited for.
    """

    root: Path
    say: Callable[[str], None]
    _name: str = field(default_factory=unique_name)
    _noticed: set[str] = field(default_factory=set)

    def __enter__(self) -> Sharing:
        for folder in self._folders:
            sweep(folder, own=False)
        self._here = self._lock(HERE, self._name)
        self._here.try_to_hold()
        self.notice()
        return self

    def __exit__(self, *_: object) -> None:
        self._here.let_go()
        for folder in self._folders:
            sweep(folder, own=folder == self.root / SESSIONS)
            remove_if_empty(folder, self.root)

    def notice(self) -> None:
        """Say that another session is there, once of each."""
        for name in sorted(self._others(HERE) - self._noticed):
            self._noticed.add(name)
            self.say(
                f"Another session ({process_of(name)}) works in {self.root}: "
                "each run is done by one of them, and none is timed while others run."
            )

    @contextmanager
    def running(self) -> Iterator[None]:
        """Have jobs under way, once no other session of this machine times."""
        lock, timing = self._lock(RUNNING, self._name), self._timing_lock

        def begin() -> str:
            lock.try_to_hold()
            if (holder := timing.holder) and not is_stale(Path(holder)):
                lock.let_go()
                return f"{process_of(holder)} times strategies alone"
            return ""

        if not self._wait(begin):
            lock.try_to_hold()
        try:
            yield
        finally:
            lock.let_go()

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Have this machine alone, as far as other sessions go; False where they were waited for in vain."""
        timing = self._timing_lock

        def others() -> str:
            running = sorted(filter(is_here, self._others(RUNNING)))
            return f"{process_of(running[0])} has runs under way, and strategies are timed alone" if running else ""

        if not self._wait(lambda: "" if timing.try_to_hold() else f"{process_of(timing.holder)} times strategies"):
            yield False
            return
        try:
            yield self._wait(others)
        finally:
            timing.let_go()

    def shared(self, jobs: Iterable[J], do: Callable[[Iterator[J]], Iterator[R]], claims: Claims[J, R]) -> Iterator[R]:
        """Do jobs that no other session does; those that others have claimed are looked at again at the end.

        Args:
            do: Does those that are claimed, which are handed over as they are asked for.

        Yields:
            What came of each job, whoever did it, in any order; nothing of those that others take too long for.
        """
        left, found, patience = list(jobs), deque[R](), _Patience(self.say)
        locks, held = dict[Path, Lock](), dict[Path, Lock]()

        def claimed(offered: Iterable[J]) -> Iterator[J]:
            for job in offered:
                path = claims.lock_of(job)
                lock = locks.setdefault(path, Lock(path, self.root))
                if not lock.try_to_hold():
                    left.append(job)
                elif (result := claims.found(job)) is None:
                    held[path] = lock
                    yield job
                else:
                    lock.let_go()
                    found.append(result)

        try:
            while left:
                offered, left = left, []
                for result in do(claimed(offered)):
                    held.pop(claims.lock_of(claims.job_of(result))).let_go()
                    self.notice()
                    yield result
                    yield from _drained(found)
                yield from _drained(found)
                if len(left) < len(offered):
                    patience = _Patience(self.say)
                elif not patience.wait(f"{len(left)} still under way in another session"):
                    return
        finally:
            for lock in held.values():
                lock.let_go()

    @property
    def _folders(self) -> tuple[Path, ...]:
        folder = self.root / SESSIONS
        return folder / HERE, folder / RUNNING, folder

    def _others(self, kind: str) -> set[str]:
        """Names of the other sessions that hold such a lock; those of sessions that are gone are removed."""
        folder = self.root / SESSIONS / kind
        sweep(folder, own=False)
        return {path.name for path in folder.glob("*")} - {self._name}

    def _wait(self, obstacle: Callable[[], str]) -> bool:
        """Wait while something is in the way, and say what; False where it took too long."""
        patience = _Patience(self.say)
        while reason := obstacle():
            if not patience.wait(reason):
                return False
        return True

    @property
    def _timing_lock(self) -> Lock:
        return self._lock(f".timing-{machine()}.lock")

    def _lock(self, *parts: str) -> Lock:
        return Lock(self.root.joinpath(SESSIONS, *parts), self.root)


@dataclass
class _Patience:
    """How long others have been waited for, without a change."""

    say: Callable[[str], None]
    begun: float = field(default_factory=time.monotonic)
    said: str = ""

    def wait(self, reason: str) -> bool:
        """Wait for a moment, and say for what, once; False where that has been long enough."""
        if time.monotonic() - self.begun > PATIENCE_S:
            self.say(f"Waited for {PATIENCE_S / 60:g} minutes, and no longer: {reason}.")
            return False
        if reason != self.said:
            self.say(f"Waiting: {reason}.")
            self.said = reason
        time.sleep(LOOK_S)
        return True


def _drained(found: deque[R]) -> Iterator[R]:
    while found:
        yield found.popleft()
