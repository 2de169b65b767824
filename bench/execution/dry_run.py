"""``bench run --dry-run``: what is there, what is to do, how long it may take; nothing is changed."""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bench.execution.console import err, out, print_table
from bench.execution.earlier import find_earlier
from bench.execution.eta import Kind, RuntimeEstimator, about, kind_of, kinds_of
from bench.execution.experiment import Experiment, expand
from bench.execution.plan import Plan, SessionOptions, plan
from bench.execution.resources import device_of, workers_expected
from bench.execution.runs import needed_checkpoints
from bench.execution.session import print_notes
from bench.results.plain import require_plain
from bench.results.store import CHECKPOINTS, Store

COLUMNS = ("strategy", "forecaster", "dataset", "protocol", "runs", "kept", "to do", "of these", "time")


def preview(experiment: Experiment, results: Path, options: SessionOptions, *, as_json: bool = False) -> None:
    """Print what `run_experiment` would do, as a table or as JSON.

    Raises:
        BenchError: The experiment cannot be run as given, or its folder is a link, say.
    """
    store = Store(results / experiment.name)
    require_plain(store.folder, results)
    ahead = plan(expand(experiment, device_of(experiment)), store, options)
    if options.redo != "always":
        kept = {record.run_id for record in find_earlier(ahead.absent, store).kept.values()}
        ahead = replace(ahead, missing=[run for run in ahead.missing if run.run_id not in kept])
    training = needed_checkpoints(ahead.missing, results / CHECKPOINTS, there=options.trains_again)
    estimator = RuntimeEstimator.of(store)
    workers = workers_expected(experiment)
    print_notes(ahead.runs, err, only_unread=True)
    if as_json:
        out.print(json.dumps(in_numbers(ahead, len(training), estimator, workers), indent=2))
        return
    print_table(experiment.name, COLUMNS, lines(matrix(ahead), estimator))
    out.say(summary(ahead, len(training), estimator, workers))


@dataclass
class Row:
    """Runs of one kind.

    Attributes:
        missing: How many of them are to be done, by how they were found.
    """

    runs: int = 0
    missing: Counter[str] = field(default_factory=Counter)
    skip: str = ""


def matrix(ahead: Plan) -> dict[Kind, Row]:
    """A row for each kind of run, in the order of the experiment."""
    rows: dict[Kind, Row] = {}
    for run in ahead.runs:
        row = rows.setdefault(kind_of(run), Row(skip=run.skip))
        row.runs += 1
    for run in ahead.missing:
        kind, state = kind_of(run), ahead.found[run.run_id].state
        is_new_version = state == "absent" and kind in ahead.changed
        told = f"changed: {ahead.changed[kind]}" if is_new_version else state
        rows[kind].missing["again" if state in ("ok", "skipped") else told] += 1
    return rows


def lines(rows: dict[Kind, Row], estimator: RuntimeEstimator) -> list[tuple[str, ...]]:
    """The matrix as text, in the order of `COLUMNS`."""
    found = list[tuple[str, ...]]()
    for kind, row in rows.items():
        missing = row.missing.total()
        states = ", ".join(f"{count} {state}" for state, count in row.missing.items() if state != "absent")
        time = "cannot be: " + row.skip if row.skip else about(missing * estimator.expect(kind)) if missing else ""
        found.append((*kind, str(row.runs), str(row.runs - missing), str(missing), states, time))
    return found


def in_numbers(ahead: Plan, training: int, estimator: RuntimeEstimator, workers: int) -> dict[str, Any]:
    """The matrix and its sums; ``seconds`` are None where no former run says how long one takes."""
    rows = [
        {
            **dict(zip(COLUMNS[:4], kind, strict=True)),
            "runs": row.runs,
            "to_do": row.missing.total(),
            "found": dict(row.missing),
            "cannot_be": row.skip,
            "seconds": _known(row.missing.total() * estimator.expect(kind)),
        }
        for kind, row in matrix(ahead).items()
    ]
    kinds = kinds_of(run for run in ahead.missing if not run.skip)
    return {
        "runs": len(ahead.runs),
        "to_do": len(ahead.missing),
        "to_train": training,
        "workers": workers,
        "seconds": _known(estimator.left(kinds, workers)) if kinds else 0.0,
        "rows": rows,
    }


def _known(seconds: float | None) -> float | None:
    return seconds if seconds is not None and math.isfinite(seconds) else None


def summary(ahead: Plan, training: int, estimator: RuntimeEstimator, workers: int) -> str:
    """In a line: what would be done, and how long it may take."""
    kinds = kinds_of(run for run in ahead.missing if not run.skip)
    total, done = len(ahead.runs), len(ahead.runs) - len(ahead.missing)
    said = f"{total} run{'s' if total != 1 else ''}: {done} kept, {len(ahead.missing)} to do."
    if not kinds:
        return said
    trained = f" {training} to pre-train first." if training else ""
    time = about(estimator.left(kinds, workers))
    known = f"{time}, by the runs that were, with {workers} at a time" if time else "former runs do not say how long"
    return f"{said}{trained} Estimate: {known}."
