"""One at a time, on all machines that share a folder: a lock that needs nothing but files created exclusively."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.storage.owner import is_gone, unique_name

BEAT_S = 5.0
"""Who holds a lock touches it this often."""

SILENT_S = 60.0
"""A lock that nobody touched for so long, on the clock of who waits, was left by a process that is gone."""

LOOK_S = 0.05


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold a lock; wait for whoever holds it now.

    A lock of a process that is gone is broken: at once where it ran on this machine, after a minute of silence where
    it ran on another. (Locks of the file system itself are not used: on network file systems they come and go.)

    Args:
        path: The lock's file; its folder is made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    name = unique_name()
    _acquire(path, name)
    over = threading.Event()
    beat = threading.Thread(target=_beat, args=(path, over), daemon=True)
    beat.start()
    try:
        yield
    finally:
        over.set()
        beat.join()
        if _holder(path) == name:  # not broken meanwhile: this process may have been stopped for long
            path.unlink(missing_ok=True)


def break_left(path: Path) -> None:
    """Remove a lock if the process of this machine that held it is gone."""
    _break(path, _holder(path), silence=0.0)


def _acquire(path: Path, name: str) -> None:
    seen = _Seen()
    while not _create(path, name):
        holder = _holder(path)
        if not _break(path, holder, seen.silence(path, holder)):
            time.sleep(LOOK_S)


@dataclass
class _Seen:
    """What a lock looked like when it last changed, and when that was on this process's own clock."""

    state: tuple[str, float] | None = None
    since: float = 0.0

    def silence(self, path: Path, holder: str) -> float:
        """Seconds in which nobody has touched the lock, as far as was seen."""
        try:
            state = (holder, path.stat().st_mtime)
        except OSError:
            state = (holder, 0.0)
        now = time.monotonic()
        if state != self.state:
            self.state, self.since = state, now
        return now - self.since


def _create(path: Path, name: str) -> bool:
    """Whether this process made the file, with its name inside: a hard link is made once, on network disks too."""
    work = path.with_name(f".{name}")
    try:
        work.write_text(name)
        os.link(work, path)
    except FileExistsError:
        return _holder(path) == name  # a network disk may report the second of two tries
    finally:
        work.unlink(missing_ok=True)
    return True


def _holder(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _break(path: Path, holder: str, silence: float) -> bool:
    """Whether a lock was left behind and is now gone; of several who see that, one removes it."""
    if not (is_gone(holder) or silence > SILENT_S):
        return False
    breaker = path.with_name(f"{path.name}.break")
    if not _create(breaker, unique_name()):
        if is_gone(_holder(breaker)) or silence > 2 * SILENT_S:
            breaker.unlink(missing_ok=True)
        return False
    try:
        if _holder(path) == holder:  # nobody else was quicker
            path.unlink(missing_ok=True)
    finally:
        breaker.unlink(missing_ok=True)
    return True


def _beat(path: Path, over: threading.Event) -> None:
    while not over.wait(BEAT_S):
        with contextlib.suppress(OSError):
            os.utime(path)
