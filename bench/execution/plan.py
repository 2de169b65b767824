"""What a session is to do: which runs are there, and which are to be carried out in what order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from bench.contracts.metric import METRICS
from bench.evaluation.run_spec import RunSpec, run_keys
from bench.execution.changes import what_changed
from bench.execution.eta import Kind, is_heavy, kind_of
from bench.execution.shard import Shard
from bench.results.condition import Condition
from bench.results.record import FIELDS, Record
from bench.results.store import Store

Redo = Literal["only-missing", "keep-failed", "unmeasured", "always"]
"""What is done again: what failed; not even that; what failed or lacks the value of a metric; or everything."""


@dataclass(frozen=True)
class Plan:
    """What a session is to do.

    Attributes:
        runs: Those that are this session's to see to.
        found: How each was found on disk, by id.
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


def plan(
    runs: Iterable[RunSpec],
    store: Store,
    redo: Redo,
    shard: Shard,
    *,
    retrain: bool = False,
    cells: dict[str, str] | None = None,
) -> Plan:
    """Look at what is there, and decide; nothing is changed.

    Args:
        runs: All of an experiment.
        store: Its results.
        redo: What is done again.
        shard: Which runs are this session's.
        retrain: Whether runs that adapt a forecaster are done again.
        cells: What the runs are apart from versions; see `run_all`.
    """
    own = [run for run in runs if shard.owns(run.run_id)]
    found = store.conditions(run.run_id for run in own)
    well = ("ok", "skipped")
    settled = {"always": (), "only-missing": well, "unmeasured": well, "keep-failed": (*well, "failed")}[redo]
    missing = [
        run
        for run in own
        if found[run.run_id].state not in settled
        or (retrain and run.forecaster is not None)
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
