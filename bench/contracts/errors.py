"""What goes wrong that is not a bug of this package, and what errors of plug-ins say, as text."""

from __future__ import annotations

import traceback

LONGEST = 20_000  # characters of an error's message, or of its traceback, that are kept


class BenchError(Exception):
    """A mistake in what the user gave: the message names it, what was expected, and the way out.

    The command line prints it without a traceback and exits with status 2.
    """


class WorkerLostError(Exception):
    """A worker process was killed from outside, or ran out of memory; what was done before is kept."""


class TerminatedError(BaseException):
    """The system, or a scheduler of jobs, asked this process to end."""


ENDS_SESSION = (KeyboardInterrupt, TerminatedError)
"""What a plug-in is not asked about; whatever else it raises is its own failure."""


def words_of(error: BaseException) -> str:
    """An error's type and message, as text that any file takes: a plug-in's message may hold anything, or fail."""
    try:
        message = str(error)
    except Exception as other:
        message = f"its message cannot be made: {type(other).__name__}"
    return as_text(f"{type(error).__name__}: {message}")


def traceback_of(error: BaseException) -> str:
    """An error's traceback, as text that any file takes."""
    try:
        return as_text("".join(traceback.format_exception(error)))
    except Exception:  # of an error that was made to fail here too
        return words_of(error)


def as_text(text: str) -> str:
    """Text that UTF-8 can hold: lone surrogates are escaped, and the middle of very long text is cut."""
    if len(text) > LONGEST:
        half = LONGEST // 2
        text = f"{text[:half]} ... ({len(text) - 2 * half:,} characters left out) ... {text[-half:]}"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
