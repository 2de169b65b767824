"""Why a run is new: which file, distribution or data are not as they were when it was carried out last."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from bench.contracts.forecaster import FORECASTERS
from bench.contracts.outcomes import harness, harness_sha
from bench.contracts.sources import Sources
from bench.contracts.strategy import STRATEGIES
from bench.evaluation.run import load_series
from bench.evaluation.run_spec import RunSpec
from bench.execution.eta import Kind, kind_of
from bench.results.provenance import code_folder, keep_code, read_code
from bench.results.record import Record
from bench.results.store import Store


def keep_code_of(runs: Iterable[RunSpec], store: Store) -> None:
    """Keep, beside the results, the code that runs are made by."""
    entries = {STRATEGIES[run.strategy.name] for run in runs}
    entries |= {FORECASTERS[run.forecaster.name] for run in runs if run.forecaster}
    keep_code(code_folder(store.folder), {harness_sha(): harness(), **{entry.sha: entry.code for entry in entries}})


def what_changed(runs: Iterable[RunSpec], cells: Mapping[str, str], store: Store) -> dict[Kind, str]:
    """For each kind of run that is listed, but in another version, what is not as it was then.

    Args:
        cells: What they are apart from versions, by run id.

    Returns:
        Such as ``replay.py, torch``; kinds that were never carried out are left out.
    """
    earlier = {cell: run_id for run_id, cell in store.read_manifest().items()}
    found: dict[Kind, str] = {}
    for run in runs:
        kind, last = kind_of(run), earlier.get(cells.get(run.run_id, ""))
        if kind not in found and last and (record := store.read(last)) is not None:
            found[kind] = ", ".join(_changes(run, record, code_folder(store.folder))) or "an option or the device"
    return found


def _changes(run: RunSpec, record: Record, folder: Path) -> list[str]:
    strategy = STRATEGIES[run.strategy.name]
    parts = [(record.strategy.sha, strategy.sha, strategy.code, strategy.name)]
    if run.forecaster and record.forecaster:
        forecaster = FORECASTERS[run.forecaster.name]
        parts.append((record.forecaster.sha, forecaster.sha, forecaster.code, forecaster.name))
    parts.append((record.harness, harness_sha(), harness(), "the harness"))
    changes: list[str] = []
    for before, now, code, name in parts:
        if before != now:
            changes += _names(read_code(folder, before), code) or [f"code of {name}"]
    if record.dataset.fingerprint != load_series(run).fingerprint:
        changes.append(f"data of {run.shown}")
    return list(dict.fromkeys(changes))


def _names(before: Sources | None, now: Sources) -> list[str]:
    return now.changed_since(before) if before else []
