"""One at a time, on all machines that share a folder: a lock that needs nothing but files created exclusively."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bench.results.owner import has_exited, is_own, unique_name
from bench.results.plain import NotPlainError, make_folder, read_file, remove, require_plain

BEAT_S = 5.0  # who holds a lock touches it this often

SILENT_S = 60.0  # a lock that nobody touched for so long, on the clock of who waits, was left by a process that is gone

LOOK_S = 0.05

LOCKS = (".lock", ".break")  # endings of the names of locks, and of the locks under which one that was left is broken


@contextmanager
def file_lock(path: Path, within: Path) -> Iterator[None]:
    """Hold a lock, as `Lock` takes it; wait for its present holder.

    Raises:
        NotPlainError: A step of the path is a link, say.
    """
    lock = Lock(path, within)
    while not lock.try_to_hold():
        time.sleep(LOOK_S)
    try:
        yield
    finally:
        lock.let_go()


@dataclass
class _Seen:
    """What a lock looked like when it last changed, and when that was on this process's own clock."""

    state: tuple[str, float] | None = None
    since: float = 0.0

    def silence(self, path: Path, holder: str) -> float:
        """Seconds for which the lock has not changed, as far as this process saw."""
        try:
            state = (holder, path.stat(follow_symlinks=False).st_mtime)
        except OSError:
            state = (holder, 0.0)
        now = time.monotonic()
        if state != self.state:
            self.state, self.since = state, now
        return now - self.since


@dataclass
class Lock:
    """A lock of this process.

    One of a process that is gone is broken: at once where it ran on this machine, after a minute of silence where it
    ran on another. (Locks of the file system itself are not used: on network file systems they come and go.)
    """

    path: Path  # the lock's file; its folder is made
    within: Path  # the folder that was named; below it, nothing is written through a link
    _name: str = field(default_factory=unique_name)
    _seen: _Seen = field(default_factory=_Seen)
    _over: threading.Event = field(default_factory=threading.Event)
    _beat: threading.Thread | None = None

    def try_to_hold(self) -> bool:
        """Whether this process has the lock now: it was free, or its holder has ended.

        Raises:
            NotPlainError: A step of the path is a link, say.
        """
        make_folder(self.path.parent, self.within)
        require_plain(self.path, self.within)
        if not _create(self.path, self.within, self._name):
            holder = _holder(self.path, self.within)
            _break(self.path, self.within, holder, self._seen.silence(self.path, holder))
            return False
        self._over.clear()
        self._beat = threading.Thread(target=self._touch, daemon=True)
        self._beat.start()
        return True

    @property
    def holder(self) -> str:
        """The name that the holder wrote; empty if the lock is free."""
        return _holder(self.path, self.within)

    def let_go(self) -> None:
        """Release the lock."""
        self._over.set()
        if self._beat is not None:
            self._beat.join()
        if _holder(self.path, self.within) == self._name:  # not broken meanwhile: this process may have been stopped
            _discard(self.path, self.within)

    def _touch(self) -> None:
        while not self._over.wait(BEAT_S):
            with contextlib.suppress(OSError):
                os.utime(self.path, follow_symlinks=False)


def break_left(path: Path, within: Path, *, own: bool = False) -> None:
    """Remove a lock whose holder, a process of this machine, has ended; or this process's if ``own``."""
    holder = _holder(path, within)
    if own and is_own(holder):
        _discard(path, within)
    else:
        _break(path, within, holder, silence=0.0)


def _create(path: Path, within: Path, name: str) -> bool:
    """Whether this process made the file; a hard link is made by one process only, on network disks too."""
    work = path.with_name(f".{name}")
    try:
        work.write_text(name)
        os.link(work, path)
    except FileExistsError:
        return _holder(path, within) == name  # a network disk may report the second of two tries
    finally:
        remove(work, within)
    return True


def _holder(path: Path, within: Path) -> str:
    try:
        return read_file(path, within, at_most=1 << 10).decode(errors="replace")
    except OSError:
        return ""


def _break(path: Path, within: Path, holder: str, silence: float) -> None:
    """Remove a lock if its holder has ended; of several that see this, one does."""
    if not (has_exited(holder) or silence > SILENT_S):
        return
    breaker = path.with_name(f"{path.name}.break")
    if not _create(breaker, within, unique_name()):
        if has_exited(_holder(breaker, within)) or silence > 2 * SILENT_S:
            _discard(breaker, within)
        return
    try:
        if _holder(path, within) == holder:  # nobody else was quicker
            _discard(path, within)
    finally:
        _discard(breaker, within)


def _discard(path: Path, within: Path) -> None:
    with contextlib.suppress(NotPlainError):  # somebody put it there
        remove(path, within)
