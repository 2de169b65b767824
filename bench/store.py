"""Results on disk: one folder for each run, written whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from bench.errors import BenchError
from bench.record import COSTS, SCHEMA_VERSION, Record, Timing

if TYPE_CHECKING:
    import pandas as pd

RECORD, TIMING, MANIFEST = "record.json", "timing.json", "runs.json"
ORIGINS, FORECASTS, TRACE = "origins.parquet", "forecasts.parquet", "trace.parquet"
SWEEP = "_sweep"  # no experiment can have this name


@dataclass(frozen=True)
class Store:
    """The results of one experiment.

    Layout: ``<run id>/record.json`` with ``origins.parquet`` (a row for each origin: ``origin, time, mse, mae,
    mse_original, mae_original``), ``forecasts.parquet`` (``origin, time, lead, channel, forecast, truth`` around
    the strongest event, original units), ``trace.parquet`` (``origin, time, name, value``: what the strategy's
    ``trace`` said now and then, where it says anything) and, once the run was timed alone, ``timing.json``.
    ``runs.json`` lists the runs that the report is about; what an earlier version of a plug-in left stays on disk, and
    counts again when the plug-in is as it was. A run's folder appears by one rename; what is being written lives under
    ``.tmp``. The runs of a sweep, which serve validation rows only, have a store of their own in ``_sweep``.

    Attributes:
        folder: ``results/<experiment>``.
    """

    folder: Path

    def has(self, run_id: str) -> bool:
        """Whether the run ended well (``ok`` or ``skipped``): a failed one is to be done again."""
        record = self.read(run_id)
        return record is not None and record.status != "failed"

    def read(self, run_id: str) -> Record | None:
        """The record of a run, or None where there is none or it cannot be read."""
        try:
            record = Record.model_validate_json((self.folder / run_id / RECORD).read_bytes())
        except (OSError, ValueError):
            return None
        return record if record.schema_version == SCHEMA_VERSION else None

    def read_timing(self, run_id: str) -> Timing | None:
        """The timing pass of a run, or None."""
        try:
            return Timing.model_validate_json((self.folder / run_id / TIMING).read_bytes())
        except (OSError, ValueError):
            return None

    def read_frame(self, run_id: str, name: str) -> pd.DataFrame | None:
        """``origins.parquet``, ``forecasts.parquet`` or ``trace.parquet`` of a run, or None where there is none."""
        import pandas as pd

        path = self.folder / run_id / name
        return pd.read_parquet(path) if path.is_file() else None

    def run_ids(self) -> list[str]:
        """Ids of the runs that the report is about, if they left a record; of all that did, where no list was made."""
        listed = list(self.read_manifest()) or sorted(p.parent.name for p in self.folder.glob(f"[!.]*/{RECORD}"))
        return [run_id for run_id in listed if (self.folder / run_id / RECORD).is_file()]

    def read_manifest(self) -> dict[str, str]:
        """Run id to cell (what the run is, apart from versions), in the order of the experiment."""
        try:
            listed = json.loads((self.folder / MANIFEST).read_bytes())
        except (OSError, ValueError):
            return {}
        return {str(run_id): str(cell) for run_id, cell in listed.items()}

    def write_manifest(self, cells: dict[str, str], *, keep: bool) -> None:
        """Say which runs the report is about.

        Args:
            cells: Run id to cell, in order.
            keep: Whether other cells that were listed before stay.
        """
        fresh = set(cells.values())
        before = {run_id: cell for run_id, cell in self.read_manifest().items() if keep and cell not in fresh}
        work = self._work_folder()
        write_durably(work / MANIFEST, json.dumps(before | cells, indent=1))
        (work / MANIFEST).rename(self.folder / MANIFEST)
        work.rmdir()

    def records(self) -> Iterator[Record]:
        """All readable records."""
        return (record for run_id in self.run_ids() if (record := self.read(run_id)))

    def write(self, record: Record, frames: dict[str, pd.DataFrame]) -> None:
        """Write a run: its record and its frames (by file name), replacing an earlier failure."""
        work = self._work_folder()
        for name, frame in frames.items():
            frame.to_parquet(work / name, index=False)
        write_durably(work / RECORD, record.model_dump_json(indent=1))
        final = self.folder / record.run_id
        if final.exists():
            final.rename(self._work_folder() / "replaced")
        work.rename(final)
        self.sweep()

    def write_timing(self, run_id: str, timing: Timing) -> None:
        """Write the timing pass of a run beside its record."""
        work = self._work_folder()
        write_durably(work / TIMING, timing.model_dump_json(indent=1))
        (work / TIMING).rename(self.folder / run_id / TIMING)
        work.rmdir()

    def sweep(self) -> None:
        """Remove what this process replaced, and what processes that are gone left half-written."""
        for work in (self.folder / ".tmp").glob("*"):
            pid = int(work.name.partition("-")[0])
            if pid == os.getpid() or not psutil.pid_exists(pid):
                shutil.rmtree(work, ignore_errors=True)

    def _work_folder(self) -> Path:
        work = self.folder / ".tmp" / f"{os.getpid()}-{uuid.uuid4().hex[:12]}"
        work.mkdir(parents=True)
        return work


def write_durably(path: Path, text: str) -> None:
    """Write a file, and see it on disk."""
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def experiments_in(results: Path) -> list[Path]:
    """Folders of experiments: ``results`` itself if it is one, otherwise those in it that hold records.

    Raises:
        BenchError: There is none.
    """
    if _holds_records(results):
        return [results]
    found = [folder for folder in sorted(results.glob("[!.]*")) if folder.is_dir() and _holds_records(folder)]
    if not found:
        raise BenchError(f"No results in {results}. Run an experiment first (bench run), or name its folder.")
    return found


def _holds_records(folder: Path) -> bool:
    return any(Store(place).run_ids() for place in (folder, folder / SWEEP))


def load_results(results: Path | str = "results") -> pd.DataFrame:
    """One tidy frame with a row for each run.

    Args:
        results: A results folder, or one experiment's folder in it.

    Returns:
        Columns ``experiment, run_id, strategy, group, forecaster, dataset, protocol, lookback, horizon, stride,
        block, label_every, label_rate, label_seed, delay, labels, warm_start, seed, status, reason, windows, mae, mse,
        rmse, mae_original, mse_original, rmse_original, val_mse, windows_per_s, predict_p50_ms, predict_p95_ms,
        predict_p99_ms, adapt_p50_ms, adapt_p95_ms, adapt_p99_ms, first_predict_ms, peak_memory_mb, state_bytes,
        parameters, trainable, updated, predict_flops, adapt_flops, harness_us, timed_alone, disturbed, service_s,
        seconds, device, threads, strategy_config, audit``. Timings are those of the timing pass where the run has one
        (``timed_alone``), otherwise of the run itself, and ``disturbed`` where other processes took its cores;
        ``service_s`` is predict and adapt over the whole stream, as measured in the run itself. ``audit`` says whether
        this version of strategy and forecaster went through the leak canary: ``passed``, ``failed`` or ``unaudited``.

    Raises:
        BenchError: There are no results.
    """
    import pandas as pd

    from bench.audit import AUDITS, audit_of

    rows = []
    for folder in experiments_in(Path(results)):
        store = Store(folder)
        for record in store.records():
            audit = audit_of(folder.parent / AUDITS, record)
            row = _row(record, store.read_timing(record.run_id))
            rows.append(row | {"audit": audit.standing if audit else "unaudited"})
    if not rows:
        raise BenchError(f"No readable results in {results}. Run an experiment first (bench run), or name its folder.")
    frame = pd.DataFrame(rows)
    order = ["experiment", "dataset", "protocol", "strategy", "forecaster", "seed"]
    return frame.sort_values(order, kind="stable", ignore_index=True)


def _row(record: Record, alone: Timing | None) -> dict[str, Any]:
    errors, timing = record.errors, alone or record.timing
    protocol = record.protocol
    own = record.timing
    val_mse = errors.val_mse if errors else record.val_mse
    nan = float("nan")
    return {
        "experiment": record.experiment,
        "run_id": record.run_id,
        "strategy": record.strategy.name,
        "group": record.strategy.group,
        "forecaster": record.forecaster.name if record.forecaster else "none",
        "dataset": record.dataset.name,
        "protocol": protocol.name,
        "lookback": protocol.lookback,
        "horizon": protocol.horizon,
        "stride": protocol.stride,
        "block": protocol.block,
        "label_every": protocol.label_every,
        "label_rate": protocol.label_rate,
        "label_seed": protocol.label_seed,
        "delay": protocol.delay,
        "labels": protocol.labels,
        "warm_start": protocol.warm_start,
        "seed": record.seed,
        "status": record.status,
        "reason": record.reason,
        "windows": errors.windows if errors else 0,
        "mae": errors.mae if errors else nan,
        "mse": errors.mse if errors else nan,
        "rmse": errors.rmse if errors else nan,
        "mae_original": errors.mae_original if errors else nan,
        "mse_original": errors.mse_original if errors else nan,
        "rmse_original": errors.rmse_original if errors else nan,
        "val_mse": val_mse if val_mse is not None else nan,
        **_cost(timing),
        "timed_alone": alone is not None,
        "disturbed": timing.is_disturbed if timing else False,
        "service_s": (own.predict.total_ms + own.adapt.total_ms) / 1000 if own else nan,
        "seconds": record.seconds,
        "device": timing.device if timing else str(record.environment.get("device", "")),
        "threads": timing.threads if timing else record.environment.get("threads", 1),
        "strategy_config": json.dumps(record.strategy.given, sort_keys=True),
    }


def _cost(timing: Timing | None) -> dict[str, float]:
    """What a timing says, NaN for what it does not."""
    nan = float("nan")
    if timing is None:
        return dict.fromkeys(COSTS, nan)
    parameters, flops, held = timing.parameters, timing.flops, timing.state_bytes
    steps = {"predict": timing.predict, "adapt": timing.adapt}
    times = {f"{step}_{q}_ms": getattr(steps[step], f"{q}_ms") for step in steps for q in ("p50", "p95", "p99")}
    return {
        "windows_per_s": timing.windows_per_s,
        **times,
        "first_predict_ms": timing.first_predict_ms,
        "peak_memory_mb": timing.peak_memory_mb,
        "state_bytes": nan if held is None else held,
        "parameters": parameters.total if parameters else nan,
        "trainable": parameters.trainable if parameters else nan,
        "updated": parameters.updated if parameters else nan,
        "predict_flops": flops.predict if flops else nan,
        "adapt_flops": flops.adapt if flops else nan,
        "harness_us": timing.harness_us,
    }
