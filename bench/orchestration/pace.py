"""How long runs take, by what they are: learnt from those that were, told of those that are to be."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from bench.experiment import RunSpec
from bench.record import Record
from bench.store import Store

Kind = tuple[str, str, str, str]
"""Strategy, forecaster, dataset, protocol."""


def kind_of(run: RunSpec) -> Kind:
    """Of a run that is to be."""
    return run.strategy.name, run.forecaster.name if run.forecaster else "", run.dataset.name, run.protocol.label


def kind_of_record(record: Record) -> Kind:
    """Of a run that was."""
    other = record.forecaster.name if record.forecaster else ""
    return record.strategy.name, other, record.dataset.name, record.protocol.label


@dataclass
class Pace:
    """Mean seconds of runs of a kind; of those of its strategy, or of all, where there were none of it."""

    _seconds: defaultdict[tuple[str, ...], float] = field(default_factory=lambda: defaultdict(float))
    _runs: Counter[tuple[str, ...]] = field(default_factory=Counter)

    @classmethod
    def of(cls, store: Store) -> Pace:
        """What all runs of a store that ended well took, listed or not."""
        pace = cls()
        for run_id in store.found():
            if (record := store.read(run_id)) is not None and record.status == "ok":
                pace.learn(kind_of_record(record), record.seconds)
        return pace

    def learn(self, kind: Kind, seconds: float) -> None:
        """A run took so long."""
        for key in (kind, kind[:1], ()):
            self._seconds[key] += seconds
            self._runs[key] += 1

    def expect(self, kind: Kind) -> float:
        """Seconds that a run will take; NaN where nothing was learnt."""
        for key in (kind, kind[:1], ()):
            if runs := self._runs[key]:
                return self._seconds[key] / runs
        return math.nan

    def left(self, kinds: Counter[Kind], workers: int) -> float:
        """Seconds that so many runs of each kind will take, with so many at a time; NaN where nothing was learnt."""
        total = sum(count * self.expect(kind) for kind, count in kinds.items())
        return total / max(1, min(workers, kinds.total()))


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
