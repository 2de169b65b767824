"""What checks find: errors of a plug-in, and the list of what passed and what was refused."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from bench.contracts.discovery import raised_at
from bench.contracts.errors import BenchError, traceback_of, words_of
from bench.contracts.protocol import Protocol
from bench.contracts.series import DriftSeries
from bench.results.audit import traits_of

NO_LEAK = "no leak: "


class CheckError(AssertionError):
    """A plug-in breaks its contract; the message says which part."""


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
    """A plug-in could not be built, trained or set up: it raised something other than a `BenchError`."""


class OutOfTimeError(Exception):
    """A check ran out of time: it says nothing about the plug-in."""


@contextmanager
def becoming_ready() -> Iterator[None]:
    """Turn an error that is neither a refusal nor a finding into a `NotReadyError`."""
    try:
        yield
    except (BenchError, CheckError, OutOfTimeError):
        raise
    except Exception as error:  # a plug-in may raise anything
        raise NotReadyError(words_of(error) + raised_at(traceback_of(error))) from error


def require(holds: bool, message: str) -> None:
    """Raise a `CheckError` unless a condition holds."""
    if not holds:
        raise CheckError(message)


@dataclass
class Findings:
    """Results of the checks of one plug-in so far.

    Attributes:
        lines: Passed checks, a line each.
        refused: What it refused to serve, or could not be made ready for, and why.
        refusal: The first of these, as it was raised.
        served: Traits of what it served (see `traits_of`), and services of runs.
        refused_services: Services of runs that it refused.
        as_run: Whether it served something with the exact options of a run.
    """

    lines: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    refusal: BenchError | NotReadyError | None = None
    served: set[str] = field(default_factory=set)
    refused_services: set[str] = field(default_factory=set)
    as_run: bool = False

    @contextmanager
    def during(self, line: str) -> Iterator[None]:
        """Note a check as passed or refused; a `CheckError` goes on, and says in which check."""
        try:
            yield
            self.lines.append(line)
        except (BenchError, NotReadyError) as error:
            self.note(line, error)
        except CheckError as error:
            raise type(error)(f"{error} (Found in: {line.removeprefix(NO_LEAK)}.)") from None

    @contextmanager
    def serving(self, line: str, protocol: Protocol, series: DriftSeries) -> Iterator[None]:
        """`during`, and note what was served."""
        with self.during(line):
            yield
            self.served |= traits_of(protocol, hidden=series.target_index is None)

    def note(self, line: str, refusal: BenchError | NotReadyError) -> None:
        """Note what is refused, and why."""
        said = "refused" if isinstance(refusal, BenchError) else "could not be made ready"
        self.refused.append(f"{said} ({line}): {refusal}")
        self.refusal = self.refusal or refusal

    def require_some(self, beginning: str = "") -> None:
        """Raise the first `NotReadyError`, or a `CheckError`, unless a passed check begins so."""
        if any(line.startswith(beginning) for line in self.lines):
            return
        if isinstance(self.refusal, NotReadyError):
            raise self.refusal
        raise CheckError(f"serves nothing of what it was asked. {self.refused[0]}")
