"""How long runs take, by what they are: learnt from those that were, told of those that are to be."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field

from bench.contracts.strategy import STRATEGIES
from bench.evaluation.run_spec import RunSpec
from bench.results.record import Record
from bench.results.store import Store

Kind = tuple[str, str, str, str]
"""Strategy, forecaster, dataset, protocol."""


def kind_of(run: RunSpec) -> Kind:
    """Of a run that is to be."""
    return run.strategy.name, run.forecaster.name if run.forecaster else "", run.shown, run.protocol.label


def kind_of_record(record: Record) -> Kind:
    """Of a run that was."""
    other = record.forecaster.name if record.forecaster else ""
    called = record.dataset.called
    return record.strategy.name, other, called.label or called.name, record.protocol.label


def is_heavy(kind: Kind) -> bool:
    """Whether its strategy trains in service; one that is not registered here any more does not."""
    return kind[0] in STRATEGIES and STRATEGIES[kind[0]].cls.heavy


@dataclass
class RuntimeEstimator:
    """Mean seconds of runs of a kind; where there were none of it, of those of its strategy.

    And where there were none of that either, of all that are heavy, or of all that are not: the two are worlds apart.
    """

    _seconds: defaultdict[Hashable, float] = field(default_factory=lambda: defaultdict(float))
    _runs: Counter[Hashable] = field(default_factory=Counter)

    @classmethod
    def of(cls, store: Store) -> RuntimeEstimator:
        """What all runs of a store that ended well took, listed or not."""
        estimator = cls()
        for run_id in store.found():
            if (record := store.read(run_id)) is not None and record.status == "ok":
                estimator.learn(kind_of_record(record), record.seconds)
        return estimator

    def learn(self, kind: Kind, seconds: float) -> None:
        """A run took so long."""
        for key in _keys(kind):
            self._seconds[key] += seconds
            self._runs[key] += 1

    def expect(self, kind: Kind) -> float:
        """Seconds that a run will take; NaN where nothing like it was."""
        for key in _keys(kind):
            if runs := self._runs[key]:
                return self._seconds[key] / runs
        return math.nan

    def left(self, kinds: Counter[Kind], workers: int) -> float:
        """Seconds that so many runs of each kind will take, with so many at a time; NaN where one kind is not known."""
        total = sum(count * self.expect(kind) for kind, count in kinds.items())
        return total / max(1, min(workers, kinds.total()))


def _keys(kind: Kind) -> tuple[Hashable, ...]:
    """What a kind is learnt and known by, the closest first."""
    return kind, kind[:1], is_heavy(kind)


def about(seconds: float) -> str:
    """A time as one says it: ``about 12 min``; empty for NaN."""
    if math.isnan(seconds):
        return ""
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= 1.5 * size:
            return f"about {seconds / size:.{0 if seconds >= 10 * size else 1}f} {unit}".replace(".0 ", " ")
    return f"about {math.ceil(seconds)} s"


def kinds_of(runs: Iterable[RunSpec]) -> Counter[Kind]:
    """How many there are of each kind."""
    return Counter(kind_of(run) for run in runs)
