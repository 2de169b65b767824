"""What a run prints, by whatever way, goes to a file of its own."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import threading
from collections.abc import Callable, Iterator
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
    thread = threading.get_ident()

    def ours_to_file(others: TextIO) -> io.TextIOBase:
        return routed(lambda: file if threading.get_ident() == thread else others)

    with contextlib.redirect_stdout(ours_to_file(sys.stdout)), contextlib.redirect_stderr(ours_to_file(sys.stderr)):
        yield


def routed(stream: Callable[[], TextIO]) -> io.TextIOBase:
    """A text stream that asks, each time, to which other stream it leads."""
    return _RoutedStream(stream)


class _RoutedStream(io.TextIOBase):
    def __init__(self, stream: Callable[[], TextIO]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return self._stream().write(text)

    def flush(self) -> None:
        self._stream().flush()

    def isatty(self) -> bool:
        return self._stream().isatty()

    def fileno(self) -> int:
        return self._stream().fileno()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream().encoding
