"""Execute a run: from its names and numbers to its record."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from zlib import crc32

import numpy as np
import torch

from bench.contracts.dataset import resolve_dataset
from bench.contracts.errors import ENDS_SESSION, traceback_of, words_of
from bench.contracts.forecaster import FORECASTERS, Task
from bench.contracts.outcomes import harness_sha
from bench.contracts.registry import Entry
from bench.contracts.strategy import STRATEGIES, Strategy, StrategyContext
from bench.evaluation.isolation import isolated
from bench.evaluation.pretraining import PartsRecipe, Recipe, pretrain
from bench.evaluation.profiling.allocator import keep_freed_memory
from bench.evaluation.profiling.clocks import device_name, resolve_device
from bench.evaluation.profiling.leftovers import swept
from bench.evaluation.run_spec import Choice, RunSpec, forecaster_config, served_rows, strategy_config
from bench.evaluation.serving import Progress, metrics_for, serve_stream, untold, warm_up
from bench.evaluation.stream import PreparedSeries, Stream
from bench.results.provenance import environment
from bench.results.record import DatasetRecord, EventRecord, PluginRecord, Record, Rows, TruthRecord
from bench.results.store import TRAINING

if TYPE_CHECKING:
    from bench.contracts.series import DriftSeries


@dataclass(frozen=True)
class RunPaths:
    """Folders and command of those who execute runs.

    Attributes:
        results: Folder of the experiment's results.
        checkpoints: Folder of pre-trained forecasters.
        plugins: What ``--plugins`` named.
        command: As the user typed it.
        engine: Who carries runs out.
    """

    results: Path
    checkpoints: Path
    plugins: tuple[Path, ...] = ()
    command: str = ""
    engine: str = ""

    @property
    def root(self) -> Path:
        """The folder of all experiments' results, as the user named it."""
        return self.checkpoints.parent


def load_series(run: RunSpec) -> DriftSeries:
    """The run's dataset, checked; loaded once for consecutive runs on it."""
    return _loaded(run.dataset.name, json.dumps(run.dataset.options), run.rows)


@lru_cache(maxsize=1)  # one: another copy would hold the rows that are hidden in this one
def _loaded(name: str, options: str, rows: Rows) -> DriftSeries:
    series = served_rows(resolve_dataset(name, json.loads(options)).chosen(), rows)
    return series.with_values(np.require(series.values, requirements=["C", "W"]))  # rows are hidden in place


def forget_series() -> None:
    """Load the next run's dataset again: a run may have written to this one's."""
    _loaded.cache_clear()


def checksum(series: DriftSeries) -> tuple[int, ...]:
    """Of what all runs on a series share: its rows, and their scale."""
    return id(series.values), *(crc32(rows.data) for rows in (series.values, series.scaler.mean, series.scaler.std))


def recipe_of(run: RunSpec, series: DriftSeries) -> Recipe | None:
    """How the run's forecaster is trained; None without one."""
    if run.forecaster is None:
        return None
    return Recipe(run.forecaster.name, forecaster_config(run.forecaster), Task.of(series, run.protocol), run.seed)


def checkpoints_of(run: RunSpec, series: DriftSeries) -> tuple[str, str]:
    """Names of the checkpoints that a run needs: of its forecaster, and of its strategy's parts; empty without."""
    recipe = recipe_of(run, series)
    if recipe is None or run.skip:
        return "", ""
    recipes = recipe, PartsRecipe.of(run.strategy.name, strategy_config(run.strategy), recipe)
    forecaster, parts = (
        made.key(series.training_fingerprint, torch.device(run.device)) if made and made.leaves_checkpoint else ""
        for made in recipes
    )
    return forecaster, parts


def execute(run: RunSpec, place: RunPaths, progress: Progress = untold) -> tuple[Record, dict[str, Any]]:
    """Execute one run. Whatever a plug-in raises becomes a record with the reason.

    Returns:
        The record, and its frames by file name.
    """
    begun = time.perf_counter()
    keep_freed_memory()
    device = resolve_device(run.device)
    series = load_series(run)
    record = describe(run, series, place, device)
    if run.skip:
        return record.model_copy(update={"status": "skipped", "reason": run.skip}), {}
    try:
        with isolated(run.seed, run.threads), swept(partial(checksum, series)) as swept_up:
            stage = PreparedSeries.of(series, run.protocol)
            update, frames = _serve(run, stage, device, place.checkpoints, progress)
    except ENDS_SESSION:
        raise
    except BaseException as error:  # a plug-in may raise anything
        update, frames = {"status": "failed", "reason": words_of(error), "traceback": traceback_of(error)}, {}
    if swept_up.left:
        forget_series()
    update |= {"seconds": time.perf_counter() - begun, "left": swept_up.left, "beside": swept_up.beside}
    return record.model_copy(update=update), frames


class Pretrained(NamedTuple):
    """What a run's strategy starts from, trained: the forecaster that it adapts, and parts of its own, or None."""

    forecaster: Any = None
    parts: Any = None


def make_strategy(run: RunSpec, stage: PreparedSeries, device: torch.device, checkpoints: Path | None) -> Strategy:
    """The run's strategy, with its own pre-trained forecaster, ready for the first block."""
    return make_ready(run, stage, device, pretrained_for(run, stage, device, checkpoints))


def pretrained_for(run: RunSpec, stage: PreparedSeries, device: torch.device, checkpoints: Path | None) -> Pretrained:
    """What the run's strategy starts from; its own copies."""
    recipe = recipe_of(run, stage.series)
    if recipe is None:
        return Pretrained()
    forecaster = pretrain(recipe, stage, device, checkpoints)
    own = PartsRecipe.of(run.strategy.name, strategy_config(run.strategy), recipe, forecaster)
    return Pretrained(forecaster, pretrain(own, stage, device, checkpoints) if own else None)


def make_ready(run: RunSpec, stage: PreparedSeries, device: torch.device, given: Pretrained) -> Strategy:
    """The run's strategy, ready for the first block."""
    key = [run.seed, *f"{run.strategy.name}/{run.identity}".encode()]
    rng = np.random.default_rng(key)
    torch.manual_seed(int(rng.integers(2**62)))
    config, history = strategy_config(run.strategy), stage.history(device)
    cls = STRATEGIES[run.strategy.name].cls
    protocol = run.protocol if cls.takes_partial else run.protocol.without_partial()
    return cls(StrategyContext(config, given.forecaster, history, protocol, rng, device, given.parts))


def make_stream(run: RunSpec, stage: PreparedSeries, device: torch.device, given: Pretrained) -> tuple[Stream, float]:
    """The run's strategy in service before its first block, and the seconds that its ``setup`` took."""
    begun = time.perf_counter()
    strategy = make_ready(run, stage, device, given)
    return Stream(stage, strategy, device), time.perf_counter() - begun


def known_drifts(series: DriftSeries) -> list[EventRecord]:
    """The known drifts of a series up to its end, as records have them."""
    return [
        EventRecord(row=e.row, time=str(series.time[e.row]), name=e.name, kind=e.kind)
        for e in series.events
        if e.row < series.split.end
    ]


def describe(run: RunSpec, series: DriftSeries, place: RunPaths, device: torch.device) -> Record:
    """The record of a run without its outcome."""
    split = series.split
    called = run.called
    return Record(
        run_id=run.run_id,
        experiment=run.experiment,
        status="failed",
        **describe_code(run, series),
        training=forecaster_config(run.forecaster).training.model_dump() if run.forecaster else None,
        dataset=DatasetRecord(
            name=called.name,
            given=called.given,
            fingerprint=series.fingerprint,
            rows=len(series),
            inputs=list(series.inputs),
            targets=list(series.targets),
            borders=(split.train, split.validation, split.end),
            events=known_drifts(series),
            season=series.season,
            source=series.source,
            licence=series.licence,
            notes=list(series.notes),
            filled={name: share for name, share in series.filled.items() if name in {*series.inputs, *series.targets}},
            truth=_truth_record(series),
        ),
        protocol=run.protocol,
        seed=run.seed,
        rows=run.rows,
        environment=environment(place.command, str(device), device_name(device), run.threads, place.engine),
    )


def describe_code(run: RunSpec, series: DriftSeries) -> dict[str, Any]:
    """The fields of a record that say by which code a run is made."""
    strategy, forecaster = STRATEGIES[run.strategy.name], None
    checkpoint, parts = checkpoints_of(run, series)
    if run.forecaster:
        config = forecaster_config(run.forecaster)
        forecaster = _plugin_record(FORECASTERS[run.forecaster.name], run.forecaster, config)
    return {
        "strategy": _plugin_record(strategy, run.strategy, strategy_config(run.strategy), **stated(strategy.cls)),
        "forecaster": forecaster,
        "harness": harness_sha(),
        "checkpoint": checkpoint,
        "parts": parts,
    }


def _serve(
    run: RunSpec, stage: PreparedSeries, device: torch.device, checkpoints: Path, progress: Progress
) -> tuple[dict[str, Any], dict[str, Any]]:
    given = pretrained_for(run, stage, device, checkpoints)
    ended, trained = ended_well(given)
    stream, setup_s = make_stream(run, stage, device, given)
    val_mse = warm_up(stream, progress if run.rows == "validation" else untold)  # otherwise it is not shown
    if run.rows == "validation":
        return ended | {"val_mse": val_mse}, trained
    served = serve_stream(stream, progress, metrics=metrics_for(stage))
    timing = served.timing(setup_s=setup_s)
    return ended | {"errors": served.sums.errors(val_mse), "timing": timing}, served.frames() | trained


def ended_well(given: Pretrained) -> tuple[dict[str, Any], dict[str, Any]]:
    """Fields of the record of a run that ended well, and the frame of its training."""
    curve, validation = (getattr(given.forecaster, name, None) for name in ("curve", "validation"))
    return {"status": "ok", "validation": validation}, {TRAINING: curve.frame()} if curve else {}


def _truth_record(series: DriftSeries) -> TruthRecord | None:
    if series.truth is None or series.twin is None:
        return None
    return TruthRecord(drifts=list(series.truth.drifts), twin=series.twin.fingerprint)


def _plugin_record(entry: Entry[Any], choice: Choice, config: Any, **about: Any) -> PluginRecord:
    given, values = choice.options, config.model_dump(mode="json")
    return PluginRecord(name=entry.name, summary=entry.summary, given=given, config=values, sha=entry.sha, **about)


OWN = ("ablation_of", "lacks", "memory_of", "colour")


def stated(cls: type[Strategy]) -> dict[str, Any]:
    """What a strategy says of itself in its record."""
    own = {name: vars(cls).get(name, getattr(Strategy, name)) for name in OWN}
    return own | {name: getattr(cls, name) for name in ("group", "carries", "adapts", "labels_from_rows")}
