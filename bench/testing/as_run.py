"""A run's own protocol and options on a small series, where other checks make them cheap."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bench.contracts.protocol import Protocol
from bench.contracts.series import DriftSeries, Split
from bench.evaluation.run_spec import RunSpec
from bench.results.audit import service_of, traits_of
from bench.testing.tiny import small_series

MOST = 3
"""Most services of one strategy's runs that are audited."""


@dataclass(frozen=True)
class AsRun:
    """A service of some runs.

    Attributes:
        hidden: Whether targets are not among the inputs.
        data: Identity of the first run's data; it and ``seed``, that run's seed, seed the strategy's generator.
    """

    protocol: Protocol
    hidden: bool
    data: str
    seed: int

    @classmethod
    def of(cls, run: RunSpec) -> AsRun:
        """The service of a run."""
        return cls(run.protocol, run.hidden, run.identity, run.seed)

    @property
    def service(self) -> str:
        """One line of text."""
        return service_of(self.protocol, hidden=self.hidden)

    def series(self) -> DriftSeries:
        """A random series, long enough to train on, to warm up with, and for three blocks and more."""
        protocol = self.protocol
        block = protocol.block * protocol.stride
        train = protocol.lookback + 2 * protocol.horizon + 16
        validation = train + protocol.horizon + protocol.delay + block
        end = validation + 3 * block + 2 * protocol.horizon + protocol.delay
        return small_series(hidden_targets=self.hidden, rows=end, seed=None, split=Split(train, validation, end))

    def cut(self, series: DriftSeries) -> int:
        """First disturbed row: within the truths of the second block, after the first of its origins."""
        protocol = self.protocol
        return series.split.validation + protocol.block * protocol.stride + protocol.horizon // 2


def distinct(services: Iterable[AsRun]) -> list[AsRun]:
    """The first `MOST` services that differ in traits, lookback or horizon."""
    first: dict[object, AsRun] = {}
    for one in services:
        protocol = one.protocol
        kind = traits_of(protocol, hidden=one.hidden), protocol.lookback, protocol.horizon
        if not protocol.is_leaky:
            first.setdefault(kind, one)
    return list(first.values())[:MOST]
