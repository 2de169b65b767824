"""Carrying out an experiment: what is missing, once each, then audits, the timing pass, and nothing twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from joblib import cpu_count
from rich.console import Console

from bench.auditing import audit_missing
from bench.cell import cell_of_run
from bench.engines import engine
from bench.errors import WorkerLostError
from bench.experiment import Experiment, RunSpec, expand
from bench.plugins import load_plugins
from bench.progress import Sight, Trail
from bench.record import Timing
from bench.run import Workplace, describe, execute, load_series, recipe_of, time_alone
from bench.store import Store
from bench.strategy import STRATEGIES
from bench.stream import Stage
from bench.timing import resolve_device
from bench.training import pretrain

Redo = Literal["only-missing", "always"]
PROGRESS = ".progress"


@dataclass(frozen=True)
class Outcome:
    """What a session did.

    Attributes:
        folder: The experiment's results.
        done: Runs carried out now, by status.
        kept: Runs that were there already.
        timed: Timing passes made now.
    """

    folder: Path
    done: Counter[str]
    kept: int
    timed: int

    def summary(self) -> str:
        """One line for the terminal."""
        now = ", ".join(f"{count} {status}" for status, count in sorted(self.done.items())) or "nothing to do"
        failed = " Failed runs are in the report, with their reasons." if self.done["failed"] else ""
        return f"Now: {now}; {self.kept} kept from before; {self.timed} timed alone.{failed}"


def carry_out(
    experiment: Experiment,
    results: Path,
    *,
    plugins: tuple[Path, ...] = (),
    redo: Redo = "only-missing",
    retime: bool = False,
    narrowed: bool = False,
    command: str = "",
    console: Console | None = None,
) -> Outcome:
    """Run an experiment: pre-train what is shared, run what is missing, time each strategy alone.

    Args:
        experiment: What to run.
        results: Folder that holds a folder for each experiment.
        plugins: Files and folders of plug-ins, for the workers.
        redo: ``only-missing`` also repeats what failed; ``always`` runs everything again.
        retime: Whether timing passes are repeated that other processes disturbed, or that lack what is measured now.
        narrowed: Whether the experiment was narrowed (to some strategies, say): other rows of its report then stay.
        command: As the user typed it, for the records.
        console: Where progress is drawn.

    Raises:
        BenchError: The experiment cannot be run as given.
    """
    console = console or Console(stderr=True)
    runs = expand(experiment, str(resolve_device(experiment.device)))
    print_notes(runs, console)
    place = Workplace(results / experiment.name, results / ".checkpoints", tuple(p.resolve() for p in plugins), command)
    return carry_out_runs(runs, experiment, place, redo=redo, retime=retime, narrowed=narrowed, console=console)


def print_notes(runs: list[RunSpec], console: Console) -> None:
    """Say what the loaders of the runs' datasets guessed or mended."""
    for series in {run.dataset.name: load_series(run) for run in runs}.values():
        for note in series.notes:
            console.print(f"{series.name}: {note}", style="dim", markup=False, highlight=False)


def carry_out_runs(
    runs: list[RunSpec],
    experiment: Experiment,
    place: Workplace,
    *,
    console: Console,
    redo: Redo = "only-missing",
    retime: bool = False,
    narrowed: bool = False,
    cells: dict[str, str] | None = None,
) -> Outcome:
    """Carry out these runs, whatever they came from.

    Args:
        runs: What to run.
        experiment: For engine, threads and the timing pass.
        place: Where results and checkpoints are.
        console: Where progress is drawn.
        redo: As `carry_out` takes it.
        retime: Likewise.
        narrowed: Likewise.
        cells: What the manifest says of each run id; by default what the run is, apart from versions.
    """
    store = Store(place.results)
    place.results.mkdir(parents=True, exist_ok=True)
    store.sweep()
    store.write_manifest(cells if cells is not None else {run.run_id: cell_of_run(run) for run in runs}, keep=narrowed)
    missing = [run for run in runs if redo == "always" or not store.has(run.run_id)]
    missing.sort(key=lambda run: not STRATEGIES[run.strategy.name].cls.heavy)
    workers = max(1, cpu_count() // experiment.threads)
    done: Counter[str] = Counter()
    with Sight(place.results / PROGRESS, console) as sight:
        shared = _untrained(missing, place)
        bar = sight.stage("pre-training", len(shared)) if shared else None
        for _ in engine(experiment.engine)(partial(_pretrain, place=place), shared, workers, experiment.threads):
            assert bar is not None
            sight.advance(bar)
        bar = sight.stage("runs", len(missing)) if missing else None
        for run, status, reason in _all_runs(missing, experiment, place, workers):
            assert bar is not None
            done[status] += 1
            sight.advance(bar, f"{status}: {run.label}: {reason}" if reason else "")
        audit_missing(runs, experiment, place, store, sight, workers, again=redo == "always")
        timed = _time_each(runs, experiment, place, store, sight, redo, retime=retime)
    return Outcome(place.results, done, len(runs) - len(missing), timed)


def _all_runs(
    runs: list[RunSpec], experiment: Experiment, place: Workplace, workers: int
) -> Iterator[tuple[RunSpec, str, str]]:
    """Carry out runs; each with its status and reason, as they end.

    Where a worker dies (killed, or out of memory), the runs under way become failed records and the others go on.
    """
    left = {run.run_id: run for run in runs}
    while left:
        try:
            jobs = list(left.values())
            results = engine(experiment.engine)(partial(_run, place=place), jobs, workers, experiment.threads)
            for run_id, status, reason in results:
                yield left.pop(run_id), status, reason
        except WorkerLostError as error:
            started = [run for run in left.values() if (place.results / PROGRESS / run.run_id).exists()]
            if not started:
                raise
            for run in started:
                record = describe(run, load_series(run), place, resolve_device(run.device))
                Store(place.results).write(record.model_copy(update={"reason": str(error)}), {})
                (place.results / PROGRESS / run.run_id).unlink(missing_ok=True)
                yield left.pop(run.run_id), "failed", str(error)


def _run(run: RunSpec, place: Workplace) -> tuple[str, str, str]:
    """One run, in whatever process; its record is on disk when this returns."""
    load_plugins(place.plugins)
    trail = Trail(place.results / PROGRESS, run.run_id, run.label)
    trail(0, 1, lambda: float("nan"))
    record, frames = execute(run, place, trail)
    Store(place.results).write(record, frames)
    trail.erase()
    return run.run_id, record.status, record.reason


def _pretrain(run: RunSpec, place: Workplace) -> None:
    """Leave the run's checkpoint behind. What goes wrong here will go wrong, and be recorded, in the run."""
    import torch

    load_plugins(place.plugins)
    torch.set_num_threads(run.threads)
    try:
        stage = Stage.of(load_series(run), run.protocol)
        if recipe := recipe_of(run, stage):
            pretrain(recipe, stage, resolve_device(run.device), place.checkpoints)
    except Exception:  # noqa: S110 - a plug-in may raise anything; see above
        pass


def _untrained(runs: list[RunSpec], place: Workplace) -> list[RunSpec]:
    """One run for each checkpoint that is needed and not there."""
    first: dict[str, RunSpec] = {}
    for run in runs:
        if run.forecaster is None or run.skip:
            continue
        series = load_series(run)
        recipe = recipe_of(run, Stage.of(series, run.protocol))
        assert recipe is not None
        key = recipe.key(series.training_fingerprint, resolve_device(run.device))
        if not (place.checkpoints / f"{key}.safetensors").is_file():
            first.setdefault(key, run)
    return list(first.values())


def _time_each(
    runs: list[RunSpec],
    experiment: Experiment,
    place: Workplace,
    store: Store,
    sight: Sight,
    redo: Redo,
    *,
    retime: bool,
) -> int:
    """The timing pass: the first seed's runs, one after the other, with nothing else running."""
    if not experiment.timing_blocks:
        return 0
    chosen = [
        run
        for run in runs
        if run.seed == experiment.seeds[0]
        and (record := store.read(run.run_id)) is not None
        and record.status == "ok"
        and (redo == "always" or _is_untimed(store.read_timing(run.run_id), retime=retime))
    ]
    timed = 0
    bar = sight.stage("timing, one at a time", len(chosen)) if chosen else None
    for run in chosen:
        assert bar is not None
        try:
            store.write_timing(run.run_id, time_alone(run, place, experiment.timing_blocks))
            timed += 1
            sight.advance(bar)
        except Exception as error:  # the report then says that this run was not timed
            sight.advance(bar, f"not timed: {run.label}: {error}")
    return timed


def _is_untimed(timing: Timing | None, *, retime: bool) -> bool:
    """Whether a timing pass is missing, or would be worth repeating."""
    return timing is None or (retime and (timing.is_disturbed or timing.cores == 0))
