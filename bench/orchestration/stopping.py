"""The end of a session that comes early: by a key, by a scheduler, for want of workers or of room on the disk."""

from __future__ import annotations

import errno
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich.console import Console

from bench.errors import TerminatedError, WorkerLostError

FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}


@contextmanager
def kept_when_stopped(err: Console) -> Iterator[None]:
    """Say that nothing is lost where a session ends early, by whatever hand; the exit status says by which.

    Args:
        err: Where it is said.
    """
    before = signal.signal(signal.SIGTERM, _terminated)
    try:
        yield
    except WorkerLostError as error:
        _say_stopped(err, f"Stopped: {error}.", 1)
    except KeyboardInterrupt:
        _say_stopped(err, "Interrupted.", 130)
    except TerminatedError:
        _say_stopped(err, "Ended from outside.", 143)
    except OSError as error:
        if error.errno not in FULL:
            raise
        _say_stopped(err, f"Stopped: {error}.", 1)
    finally:
        signal.signal(signal.SIGTERM, before)


def _terminated(*_: object) -> None:
    raise TerminatedError


def _say_stopped(err: Console, what: str, status: int) -> None:
    err.print(f"{what} What was done is kept; the same command goes on from there.", markup=False, highlight=False)
    raise typer.Exit(status)
