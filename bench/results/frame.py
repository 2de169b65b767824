"""Records as one tidy frame, and the metrics that they hold."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.contracts.errors import BenchError
from bench.contracts.metric import BUILT_IN, METRICS, Better, Unit, is_free
from bench.contracts.naming import Called, titles
from bench.results.audit import Audit, audits_beside
from bench.results.record import COSTS, FIELDS, Record, Timing
from bench.results.store import FORECASTS, ORIGINS, Store, experiments_in

if TYPE_CHECKING:
    import pandas as pd

ORDER = ["experiment", "dataset", "protocol", "strategy", "forecaster", "seed"]
NOT_RECORDED = "made before it was recorded"
OTHER_CODE = "measured by other code of it"


def load_results(results: Path | str = "results") -> pd.DataFrame:
    """One tidy frame with a row for each run.

    Args:
        results: A results folder, one experiment's folder in it, an archive of one, or a folder of archives.

    Returns:
        Columns ``experiment, run_id, strategy, group, forecaster, dataset, protocol, lookback, horizon, stride, block,
        label_every, label_rate, label_seed, delay, labels, warm_start, seed, status, reason, windows``, each metric
        (``mse, mae, rmse, mse_original, mae_original, rmse_original, mase, rmsse``, then those of users' files by name;
        NaN where a run has no value), ``val_mse, windows_per_s, predict_p50_ms, predict_p95_ms, predict_p99_ms,
        adapt_p50_ms, adapt_p95_ms, adapt_p99_ms, first_predict_ms, setup_s, peak_memory_mb, state_bytes, parameters,
        trainable, updated, predict_flops, adapt_flops, harness_us, trace_us, timed_alone, disturbed, service_s,
        seconds, together, device, threads, strategy_config, labels_from_rows, audit``. Timings are those of the timing
        pass where the run has one (``timed_alone``), otherwise of the run itself, and ``disturbed`` where other
        processes took its cores; ``service_s`` is predict and adapt over the whole stream, as measured in the run
        itself. ``together``: runs that were served in the same pass; with more than one, costs are the timing pass's.
        ``labels_from_rows``: the strategy had labels, from rows, that its protocol brings later or never, and is not
        ranked. ``audit`` says whether this version of strategy and forecaster went through the leak canary, and whether
        its own run, served again, speaks against it: ``passed``, ``failed`` or ``unaudited``.

    Raises:
        BenchError: There are no results.
    """
    from bench.results.archive import unpacked

    with unpacked(Path(results)) as folder:
        return _load(folder, results)


def _load(folder: Path, place: Path | str) -> pd.DataFrame:
    rows = list[dict[str, Any]]()
    stores = [Store(experiment) for experiment in experiments_in(folder)]
    found = titled([list(store.records()) for store in stores])
    metrics = metric_columns(record for records in found for record in records.values())
    for store, records in zip(stores, found, strict=True):
        timings = {run_id: timing for run_id in records if (timing := store.read_timing(run_id))}
        rows += _rows(records, timings, audits_beside(store.folder, records, timings), metrics)
    if not rows:
        raise BenchError(f"No readable results in {place}. Run an experiment first (bench run), or name its folder.")
    return _frame(rows)


def load_errors(results: Path | str = "results", runs: Iterable[str] | None = None) -> pd.DataFrame:
    """The errors at each origin of the stream, of all runs that ended well.

    Args:
        results: As `load_results` takes it.
        runs: Ids of the runs that are wanted, such as the column ``run_id`` of a part of `load_results`; all by
            default.

    Returns:
        A row for each run and origin: ``experiment, run_id, strategy, forecaster, dataset, protocol, seed`` as
        `load_results` has them (``run_id`` joins the two), ``origin`` (the dataset's row that is forecast first),
        ``time`` (that row's time stamp), ``mse, mae`` (over the H leads and all targets, in scaled units and their
        square), ``mse_original, mae_original`` (in the targets' units and their square), then other metrics that have a
        value at each origin. Archives of `bench results publish` hold ``mse`` only; the others are NaN there.

    Raises:
        BenchError: There are no results, none of these runs, no errors of them, or a file cannot be read.
    """
    return _load_frames(results, runs, ORIGINS, "errors at each origin")


def load_forecasts(results: Path | str = "results", runs: Iterable[str] | None = None) -> pd.DataFrame:
    """The forecasts that are kept beside the truth: those around the strongest known drift, or of the first rows.

    Args:
        results: As `load_results` takes it; archives of `bench results publish` hold no forecasts.
        runs: Ids of the runs that are wanted, as for `load_errors`; all by default.

    Returns:
        A row for each run, origin, lead and target: ``experiment, run_id, strategy, forecaster, dataset, protocol,
        seed`` as `load_results` has them, ``origin`` (the dataset's row that is forecast first), ``time`` (the time
        stamp of the row that is forecast), ``lead`` (1 to H, in rows), ``channel`` (name of a target; up to three,
        those that the drift moved most), ``forecast`` and ``truth`` (in the target's units). No row is forecast from
        two origins.

    Raises:
        BenchError: There are no results, none of these runs, no forecasts of them, or a file cannot be read.
    """
    return _load_frames(results, runs, FORECASTS, "forecasts")


def _load_frames(results: Path | str, runs: Iterable[str] | None, file: str, what: str) -> pd.DataFrame:
    """A frame of every run that has one, with columns that say whose it is."""
    import pandas as pd

    from bench.results.archive import unpacked

    wanted, seen, parts = None if runs is None else {*runs}, set[str](), list[pd.DataFrame]()
    with unpacked(Path(results)) as folder:
        stores = [Store(experiment) for experiment in experiments_in(folder)]
        for store, records in zip(stores, titled([list(store.records()) for store in stores]), strict=True):
            for run_id, record in records.items():
                if wanted is None or run_id in wanted:
                    seen.add(run_id)
                    if (frame := _read(store, run_id, file)) is not None:
                        parts.append(_named(frame, record))
    if wanted is not None and (unknown := sorted(wanted - seen)):
        raise BenchError(f"No run {unknown[0]} in {results}: bench.load_results lists those that there are.")
    if not parts:
        raise BenchError(f"No {what} in {results}: no run ended well, or it is an archive without them.")
    return pd.concat(parts, ignore_index=True)


def _read(store: Store, run_id: str, file: str) -> pd.DataFrame | None:
    try:
        return store.read_frame(run_id, file)
    except (OSError, ValueError) as error:  # what pyarrow raises is one of the two
        said = (
            f"{store.folder / run_id / file} cannot be read ({error}). bench results check says what else is damaged."
        )
        raise BenchError(said) from None


def _named(frame: pd.DataFrame, record: Record) -> pd.DataFrame:
    row = _row(record, None, {})
    for place, key in enumerate(("experiment", "run_id", *ORDER[3:5], *ORDER[1:3], "seed")):
        frame.insert(place, key, row[key])
    return frame


def titled(folders: Sequence[Sequence[Record]]) -> list[dict[str, Record]]:
    """Records of several folders by run id, each dataset under one name of its own: see `titles`.

    A file is one dataset, whatever its copies are called and with whatever options they were read.
    """
    called = [[record.dataset.called for record in records] for records in folders]
    names = titles(one for here in called for one in here)
    return [
        {record.run_id: _titled(record, one, names[one.key]) for record, one in zip(records, here, strict=True)}
        for records, here in zip(folders, called, strict=True)
    ]


def _titled(record: Record, called: Called, title: Called) -> Record:
    given = title.options if called.is_file else called.options
    return record.with_dataset(title.name, dict(given)) if called.is_file or called.label else record


def tidy(
    records: Mapping[str, Record],
    timings: Mapping[str, Timing],
    audits: Mapping[str, Audit],
    metrics: Mapping[str, MetricColumn] | None = None,
) -> pd.DataFrame:
    """The frame of `load_results`, from records, timings and audits by run id; ``metrics`` of these by default."""
    return _frame(_rows(records, timings, audits, metric_columns(records.values()) if metrics is None else metrics))


def _frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(rows).sort_values(ORDER, kind="stable", ignore_index=True)


def _rows(
    records: Mapping[str, Record],
    timings: Mapping[str, Timing],
    audits: Mapping[str, Audit],
    metrics: Mapping[str, MetricColumn],
) -> list[dict[str, Any]]:
    standing = {run_id: audit.standing for run_id, audit in audits.items()}
    return [
        _row(record, timings.get(run_id), metrics) | {"audit": standing.get(run_id, "unaudited")}
        for run_id, record in records.items()
    ]


def _row(record: Record, alone: Timing | None, metrics: Mapping[str, MetricColumn]) -> dict[str, Any]:
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
        **{name: metric.value(record) for name, metric in metrics.items()},
        "val_mse": val_mse if val_mse is not None else nan,
        **_cost(timing),
        "timed_alone": alone is not None,
        "disturbed": timing.is_disturbed if timing else False,
        "service_s": (own.predict.total_ms + own.adapt.total_ms) / 1000 if own else nan,
        "seconds": record.seconds,
        "together": len(record.together) + 1,
        "device": timing.device if timing else str(record.environment.get("device", "")),
        "threads": timing.threads if timing else record.environment.get("threads", 1),
        "strategy_config": json.dumps(record.strategy.given, sort_keys=True),
        "labels_from_rows": record.labels_from_rows,
    }


def _cost(timing: Timing | None) -> dict[str, float]:
    """The costs in a timing; NaN for what it lacks."""
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
        "setup_s": timing.setup_s,
        "peak_memory_mb": timing.peak_memory_mb,
        "state_bytes": nan if held is None else held,
        "parameters": parameters.total if parameters else nan,
        "trainable": parameters.trainable if parameters else nan,
        "updated": parameters.updated if parameters else nan,
        "predict_flops": flops.predict if flops else nan,
        "adapt_flops": flops.adapt if flops else nan,
        "harness_us": timing.harness_us,
        "trace_us": timing.trace_us,
    }


@dataclass(frozen=True)
class MetricColumn:
    """A metric as a column of tables."""

    name: str
    title: str  # head of the column
    unit: Unit
    better: Better  # which values are better
    summary: str
    sha: str = ""  # identity of the code whose values count; empty for those of `FIELDS`

    @property
    def is_shown_first(self) -> bool:
        """Whether it stands in the first tables: MSE, MAE and RMSE in original units have tables of their own."""
        return self.unit != "original" or self.name not in FIELDS

    def value(self, record: Record) -> float:
        """The value of a run; NaN where there is none."""
        errors = record.errors
        if errors is None or self.why_missing(record):
            return float("nan")
        if self.name in FIELDS:
            return float(getattr(errors, self.name))
        value = errors.metrics[self.name].value
        return float("nan") if value is None else value

    def why_missing(self, record: Record) -> str:
        """Why a run that has errors has no value; empty where it has one."""
        if record.errors is None or self.name in FIELDS:
            return ""
        found = record.errors.metrics.get(self.name)
        if found is None:
            return NOT_RECORDED
        return found.reason if found.sha == self.sha else OTHER_CODE


def metric_columns(records: Iterable[Record]) -> dict[str, MetricColumn]:
    """The metrics of some records by name: this package's, then others in alphabetical order.

    If several versions of a metric's code computed values, that of the latest run counts.
    """
    latest = dict[str, tuple[str, MetricColumn]]()
    for record in records:
        started = str(record.environment.get("started", ""))
        for name, found in (record.errors.metrics if record.errors else {}).items():
            if is_free(name) and name not in FIELDS and (name not in latest or started >= latest[name][0]):
                latest[name] = (
                    started,
                    MetricColumn(name, found.title or name, found.unit, found.better, found.summary, found.sha),
                )
    return {name: _built_in(name) for name in BUILT_IN} | {name: latest[name][1] for name in sorted(latest)}


def shown_metrics(metrics: Mapping[str, MetricColumn], runs: pd.DataFrame) -> list[MetricColumn]:
    """The metrics that tables show: those of all records, and those that some run of the frame has a value of."""
    return [metric for name, metric in metrics.items() if name in FIELDS or runs[name].notna().any()]


def _built_in(name: str) -> MetricColumn:
    entry = METRICS[name]
    return MetricColumn(name, entry.cls.title, entry.cls.unit, entry.cls.better, entry.summary)
