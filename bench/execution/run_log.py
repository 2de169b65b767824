"""What a run prints, by whatever way, goes to a file of its own."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO


@contextmanager
def logged(path: Path, *, own_process: bool) -> Iterator[None]:
    """Add standard output, standard error and warnings to a file. Where it cannot be opened, they go where they went.

    Args:
        own_process: Whether the process does nothing else meanwhile: then what libraries and child processes print is
            caught too. Otherwise it is what this thread prints.
    """
    try:
        path.parent.mkdir(exist_ok=True)
        file = path.open("a", encoding="utf-8", errors="backslashreplace", buffering=1)
    except OSError:
        yield
        return
    with file, _descriptors_to(file) if own_process else _thread_to(file):
        yield


@contextmanager
def _descriptors_to(file: TextIO) -> Iterator[None]:
    streams = ((1, sys.stdout), (2, sys.stderr))
    kept = [(number, os.dup(number)) for number, _ in streams]
    try:
        for number, stream in streams:
            stream.flush()
            os.dup2(file.fileno(), number)
        yield
    finally:
        for (number, stream), (_, before) in zip(streams, kept, strict=True):
            with contextlib.suppress(OSError):  # the disk may be full
                stream.flush()
            os.dup2(before, number)
            os.close(before)


@contextmanager
def _thread_to(file: TextIO) -> Iterator[None]:
    out, err = _Fork(sys.stdout, file), _Fork(sys.stderr, file)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        yield


class _Fork(io.TextIOBase):
    """A stream that sends what this thread writes one way, and what others write (progress, say) the other."""

    def __init__(self, others: TextIO, ours: TextIO) -> None:
        self._others, self._ours, self._thread = others, ours, threading.get_ident()

    def _way(self) -> TextIO:
        return self._ours if threading.get_ident() == self._thread else self._others

    def write(self, text: str) -> int:
        return self._way().write(text)

    def flush(self) -> None:
        self._way().flush()

    def isatty(self) -> bool:
        return self._way().isatty()

    def fileno(self) -> int:
        return self._way().fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._way().encoding
