"""The end of a session that comes early: by a key, by a scheduler, for want of workers or of room on the disk."""

from __future__ import annotations

import errno
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from bench.contracts.errors import TerminatedError, WorkerLostError
from bench.execution.console import Screen

ENDED = 128 + signal.SIGTERM
"""Exit status of a process that was asked to end."""

FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}


@contextmanager
def terminable() -> Iterator[None]:
    """Let the block clear up after itself where the system, or a scheduler of jobs, asks this process to end.

    Raises:
        TerminatedError: It was asked.
    """
    before = signal.signal(signal.SIGTERM, _terminated)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def kept_when_stopped(err: Screen) -> Iterator[None]:
    """Say that nothing is lost where a session ends early, by whatever hand; the exit status says by which."""
    try:
        with terminable():
            yield
    except WorkerLostError as error:
        _say_stopped(err, f"Stopped: {error}.", 1)
    except KeyboardInterrupt:
        _say_stopped(err, "Interrupted.", 130)
    except TerminatedError:
        _say_stopped(err, "Ended from outside.", ENDED)
    except OSError as error:
        if error.errno not in FULL:
            raise
        _say_stopped(err, f"Stopped: {error}.", 1)


def _terminated(*_: object) -> None:
    raise TerminatedError


def _say_stopped(err: Screen, what: str, status: int) -> None:
    err.say(f"{what} What was done is kept; the same command goes on from there.")
    raise typer.Exit(status)
