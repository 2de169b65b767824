"""What a check can find."""

from __future__ import annotations


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


class DeafError(CheckError):
    """No later forecast moved when a row that was known changed, so the canary would prove nothing."""


class OutOfTimeError(Exception):
    """A check was given too little time to end: it says nothing about the plug-in."""


def require(holds: bool, message: str) -> None:
    """Raise a `CheckError` unless something holds."""
    if not holds:
        raise CheckError(message)
