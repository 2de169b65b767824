"""What a check can find."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bench.contracts.discovery import raised_at
from bench.contracts.errors import BenchError, traceback_of, words_of


class CheckError(AssertionError):
    """A plug-in does not keep its contract; the message says which part."""


class LeakError(CheckError):
    """A forecast depends on rows that were not known when it was made."""


class TamperingError(CheckError):
    """The harness's own rows or protocol were written to: what forecasts are made from, or scored against."""


class NondeterministicError(CheckError):
    """Two runs on the same data differ."""


class OrderError(CheckError):
    """A run depends on the runs before it: something outlasts a run."""


class InsensitiveError(CheckError):
    """No later forecast moved when a row that was known changed, so the canary would prove nothing."""


class NotReadyError(Exception):
    """A plug-in could not be built, trained or set up for a schedule; what was raised is no `BenchError`."""


class OutOfTimeError(Exception):
    """A check was given too little time to end: it says nothing about the plug-in."""


@contextmanager
def becoming_ready() -> Iterator[None]:
    """Tell what goes wrong before a plug-in serves from what does as it serves.

    Raises:
        NotReadyError: Something was raised that is neither a refusal nor a finding.
    """
    try:
        yield
    except (BenchError, CheckError, OutOfTimeError):
        raise
    except Exception as error:  # a plug-in may raise anything
        raise NotReadyError(words_of(error) + raised_at(traceback_of(error))) from error


def require(holds: bool, message: str) -> None:
    """Raise a `CheckError` unless something holds."""
    if not holds:
        raise CheckError(message)
