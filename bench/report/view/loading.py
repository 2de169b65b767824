"""Reading an experiment's folder for a report: records, audits and timing passes, as one frame of runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from bench.analysis import latest
from bench.analysis.entries import TUNED
from bench.contracts.errors import BenchError
from bench.report.view.loaded import Lost, Results
from bench.results.audit import audits_beside
from bench.results.frame import MetricColumn, tidy, titled
from bench.results.record import Record, Timing
from bench.results.run_key import called, named_in
from bench.results.store import Store
from bench.results.trials import Served, read_served


def read_results(
    folder: Path,
    found: tuple[dict[str, Record], list[Lost]] | None = None,
    metrics: Mapping[str, MetricColumn] | None = None,
) -> Results:
    """Read one experiment's folder.

    Args:
        folder: Which.
        found: Of its runs, where they were looked at already, what `inspected` gives.
        metrics: As `tidy` takes it.

    Raises:
        BenchError: It holds no record that can be read.
    """
    store = Store(folder)
    records, lost = found or inspected([store])[0]
    if not records:
        raise BenchError(f"No readable results in {folder}. Run an experiment first (bench run), or name its folder.")
    timings = {run_id: timing for run_id in records if (timing := store.read_timing(run_id))}
    audits = audits_beside(folder, records, timings)
    runs = tidy(records, timings, audits, metrics)
    runs = runs.set_index("run_id").loc[list(records)].reset_index()  # the experiment's own order
    more = pd.DataFrame([details(records[run_id], timings.get(run_id)) for run_id in runs["run_id"]])
    runs = _with_tuned(pd.concat([runs, more], axis=1), read_served(folder))
    current = latest(runs)
    kept = {run_id: records[run_id] for run_id in current["run_id"]}
    return Results(
        store=store,
        runs=current.reset_index(drop=True),
        records=kept,
        timings={run_id: timings[run_id] for run_id in kept if run_id in timings},
        audits={run_id: audits[run_id] for run_id in kept if run_id in audits},
        replaced=len(runs) - len(current),
        lost=tuple(lost),
    )


def inspected(stores: Sequence[Store]) -> list[tuple[dict[str, Record], list[Lost]]]:
    """Of each store the records of the runs that its report is about, and what is not whole.

    Frames are held against their checksums. Datasets are under the names that tables give them, over all stores.
    """
    found = [_inspected(store) for store in stores]
    records = titled([list(records.values()) for records, _ in found])
    return [(named, lost) for named, (_, lost) in zip(records, found, strict=True)]


def _inspected(store: Store) -> tuple[dict[str, Record], list[Lost]]:
    records, lost, cells = {}, [], store.read_manifest()
    for run_id in store.listed():
        condition, record = store.inspect(run_id)
        if condition.state == "absent":  # another session may have been replacing it just then
            condition, record = store.inspect(run_id)
        if record is not None:
            records[run_id] = called(record, cells.get(run_id, ""))
        else:
            state = {"absent": "missing"}.get(condition.state, condition.state)
            named = named_in(cells.get(run_id, "")) or (run_id,)
            lost.append(Lost(run_id, state, REASONS.get(condition.state, condition.reason), *named))
    return records, lost


REASONS = {
    "absent": "listed, and not there: not run yet, moved or lost",
    "newer": "its record is by a later version of this package",
}


def _with_tuned(runs: pd.DataFrame, served: dict[str, Served]) -> pd.DataFrame:
    """What tuning chose is one entry, though the options that it chose differ from dataset to dataset.

    A run with the experiment's own options that were chosen too has two rows, one in each entry.
    """
    tuned = runs[runs["run_id"].isin(list(served))]
    if tuned.empty:
        return runs
    found = [served[run_id] for run_id in tuned["run_id"]]
    texts = {
        "strategy_config": [json.dumps(one.strategy_options | TUNED, sort_keys=True) for one in found],
        "forecaster_options": [
            json.dumps(one.forecaster_options | (TUNED if one.tunes_forecaster else {}), sort_keys=True) if text else ""
            for one, text in zip(found, tuned["forecaster_options"], strict=True)
        ],
    }
    others = [run_id not in served or served[run_id].is_default for run_id in runs["run_id"]]
    return pd.concat([runs[others], tuned.assign(**texts)], ignore_index=True)


def details(record: Record, alone: Timing | None = None) -> dict[str, Any]:
    """What `bench.load_results` leaves out and the report needs; of a run served together, the timing pass's cost."""
    forecaster, timing = record.forecaster, alone if record.together else record.timing
    seconds = (timing.predict.total_ms + timing.adapt.total_ms) / 1000 if timing else float("nan")
    return {
        "dataset_options": json.dumps(record.dataset.given, sort_keys=True),
        "fingerprint": record.dataset.fingerprint,
        "forecaster_options": json.dumps(forecaster.given, sort_keys=True) if forecaster else "",
        "version": _version(record),
        "started": str(record.environment.get("started", "")),
        "stream_s_per_1000": 1000 * seconds / timing.windows if timing and timing.windows else float("nan"),
    }


def _version(record: Record) -> str:
    """Hash of all but options and seed that decides a run: code, resolved configs, kind of device."""
    plugins = [record.strategy, *([record.forecaster] if record.forecaster else [])]
    device = str(record.environment.get("device", "")).partition(":")[0]
    parts = [[[plugin.sha, plugin.config] for plugin in plugins], record.harness, device]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:12]
