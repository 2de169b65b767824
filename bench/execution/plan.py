"""What a session is to do: which runs are there, and which are to be carried out in what order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from bench.contracts.metric import METRICS
from bench.evaluation.run_spec import RunSpec, run_keys
from bench.execution.changes import what_changed
from bench.execution.eta import Kind, is_heavy, kind_of
from bench.execution.shard import WHOLE, Shard
from bench.results.condition import Condition
from bench.results.record import FIELDS, Record
from bench.results.store import Store

Redo = Literal["only-missing", "keep-failed", "unmeasured", "always"]
"""What is done again: what failed; not even that; what failed or lacks the value of a metric; or everything."""


@dataclass(frozen=True)
class SessionOptions:
    """How much a session does.

    Attributes:
        redo: ``only-missing`` also repeats what failed, which ``keep-failed`` does not; ``unmeasured``, besides, runs
            that lack the value of a metric; ``always`` trains and runs everything again.
        retrain: Whether forecasters are trained again, and what adapts them is run again.
        retime: Whether timing passes are repeated that other processes disturbed, or that lack what is measured now.
        is_filtered: Whether only a part of the experiment is run: other rows of its report then stay.
        shard: Which share of the runs is carried out; the report is about all of them.
    """

    redo: Redo = "only-missing"
    retrain: bool = False
    retime: bool = False
    is_filtered: bool = False
    shard: Shard = WHOLE

    @property
    def trains_again(self) -> bool:
        """Whether checkpoints that are there are made again."""
        return self.retrain or self.redo == "always"


WHAT_IS_MISSING = SessionOptions()


@dataclass(frozen=True)
class Plan:
    """What a session is to do.

    Attributes:
        missing: Those to carry out, in order: the first of each kind that is soon done, so that what goes wrong shows
            early; then the heavy ones, so that none is begun last; then the others.
        changed: By kind of run, what changed since its runs were carried out last.
    """

    runs: list[RunSpec]
    found: dict[str, Condition]
    missing: list[RunSpec]
    changed: dict[Kind, str]

    @property
    def absent(self) -> list[RunSpec]:
        """Those of the missing runs of which nothing is there."""
        return [run for run in self.missing if self.found[run.run_id].state == "absent"]


def plan(runs: Iterable[RunSpec], store: Store, options: SessionOptions, cells: dict[str, str] | None = None) -> Plan:
    """Look at what is there, and decide; nothing is changed.

    Args:
        cells: What the runs are apart from versions; see `run_all`.
    """
    redo = options.redo
    own = [run for run in runs if options.shard.owns(run.run_id)]
    found = store.conditions(run.run_id for run in own)
    well = ("ok", "skipped")
    settled = {"always": (), "only-missing": well, "unmeasured": well, "keep-failed": (*well, "failed")}[redo]
    missing = [
        run
        for run in own
        if found[run.run_id].state not in settled
        or (options.retrain and run.forecaster is not None)
        or (redo == "unmeasured" and _lacks_metric(store.read(run.run_id)))
    ]
    absent = [run for run in missing if found[run.run_id].state == "absent"]
    cells = cells if cells is not None else run_keys(absent)
    changed = what_changed(absent, cells, store)
    return Plan(own, found, _in_order(missing), changed)


def _lacks_metric(record: Record | None) -> bool:
    """Whether a run that ended well has no value of a metric by the code at hand, nor a reason why."""
    if record is None or record.errors is None:
        return False
    measured = {name: metric.sha for name, metric in record.errors.metrics.items()}
    return any(measured.get(entry.name) != entry.sha for entry in METRICS if entry.name not in FIELDS)


def _in_order(runs: list[RunSpec]) -> list[RunSpec]:
    seen: set[Kind] = set()

    def place(run: RunSpec) -> int:
        kind = kind_of(run)
        if is_heavy(kind):
            return 1
        is_first = kind not in seen
        seen.add(kind)
        return 0 if is_first else 2

    return sorted(runs, key=place)
