"""Drift detectors behind one interface: they are fed errors one at a time, and say when these have changed.

Errors of forecasts that overlap depend on each other for a horizon, which detectors take for drift: feed them one error
in a horizon. All are used on errors in units of the error before the stream, so that thresholds fit every series.
"""

from __future__ import annotations

import math
from collections import deque
from importlib import import_module
from typing import Any, Literal, Protocol

from bench.contracts.errors import BenchError

Kind = Literal["z-test", "page-hinkley", "adwin", "kswin"]


class Detector(Protocol):
    """What a detector does."""

    def update(self, error: float) -> bool:
        """Take one more error; True if there is an alarm, after which it starts afresh."""
        ...


class ZTest:
    """The mean of the latest errors against that of all since the last alarm.

    Args:
        latest: Errors in the latest mean; there is no alarm before so many have come.
        threshold: In standard errors of the mean of all.

    Source: D3A, Zhang and others (2024); its test, as coded.
    """

    def __init__(self, latest: int = 16, threshold: float = 2.97) -> None:
        self.threshold = threshold
        self._latest: deque[float] = deque(maxlen=latest)
        self._start()

    def _start(self) -> None:
        self._latest.clear()
        self._count, self._mean, self._squares = 0, 0.0, 0.0

    def update(self, error: float) -> bool:
        """Take one more error; True if there is an alarm, after which it starts afresh."""
        self._latest.append(error)
        self._count += 1
        before = error - self._mean
        self._mean += before / self._count
        self._squares += before * (error - self._mean)
        full = len(self._latest) == self._latest.maxlen
        spread = math.sqrt(self._squares / self._count)
        rise = sum(self._latest) / len(self._latest) - self._mean
        if full and rise > self.threshold * spread / math.sqrt(self._count) and rise > 0:
            self._start()
            return True
        return False


class PageHinkley:
    """The sum of how far errors are above their mean, against the lowest that it has been.

    Args:
        slack: What an error may exceed the mean by at no cost.
        threshold: Of the sum over its lowest value.
        least: Errors before there can be an alarm.

    Source: Page (1954), "Continuous inspection schemes"; Hinkley (1971).
    """

    def __init__(self, slack: float = 0.1, threshold: float = 10.0, least: int = 16) -> None:
        self.slack, self.threshold, self.least = slack, threshold, least
        self._start()

    def _start(self) -> None:
        self._count, self._mean, self._sum, self._lowest = 0, 0.0, 0.0, 0.0

    def update(self, error: float) -> bool:
        """Take one more error; True if there is an alarm, after which it starts afresh."""
        self._count += 1
        self._mean += (error - self._mean) / self._count
        self._sum += error - self._mean - self.slack
        self._lowest = min(self._lowest, self._sum)
        if self._count >= self.least and self._sum - self._lowest > self.threshold:
            self._start()
            return True
        return False


class FromRiver:
    """A detector of the package river: ``adwin`` (Bifet and Gavalda, 2007) or ``kswin`` (Raab and others, 2020).

    Raises:
        BenchError: The package is not there.
    """

    def __init__(self, kind: Kind, seed: int) -> None:
        try:
            drift: Any = import_module("river.drift")
        except ImportError:
            raise BenchError(f"The detector {kind!r} needs river: pip install 'adaptbench[detectors]'.") from None
        self._detector = drift.ADWIN() if kind == "adwin" else drift.KSWIN(seed=seed)

    def update(self, error: float) -> bool:
        """Take one more error; True if there is an alarm, after which it starts afresh."""
        self._detector.update(error)
        return bool(self._detector.drift_detected)


def detector(kind: Kind, seed: int) -> Detector:
    """A detector with its usual options; ``seed`` is of what it draws."""
    if kind == "z-test":
        return ZTest()
    return PageHinkley() if kind == "page-hinkley" else FromRiver(kind, seed)
