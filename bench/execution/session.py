"""Carrying out an experiment: what is missing, once each, then audits, the timing pass, and nothing twice."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from bench.contracts.engine import Pool
from bench.contracts.forecaster import FORECASTERS
from bench.contracts.naming import is_of_file
from bench.contracts.series import DriftSeries
from bench.contracts.strategy import STRATEGIES
from bench.evaluation.run import RunPaths, known_drifts, load_series, stated
from bench.evaluation.run_spec import RunSpec, run_keys
from bench.execution.audits import audit_missing
from bench.execution.changes import keep_code_of
from bench.execution.console import Screen, err
from bench.execution.earlier import find_earlier
from bench.execution.experiment import Experiment, expand
from bench.execution.plan import WHAT_IS_MISSING, Plan, SessionOptions, plan
from bench.execution.progress import ProgressDisplay
from bench.execution.resources import device_of, engine_of, pool_of
from bench.execution.runs import Runs
from bench.execution.sharing import Sharing
from bench.execution.timing import time_each
from bench.execution.trackers.tracking import Tracking
from bench.execution.worker import Work, number_of
from bench.results.audit import AUDITS
from bench.results.benchmark_files import THROUGHPUT
from bench.results.disk import SESSIONS, WORK, sweep
from bench.results.maintenance import not_ours
from bench.results.plain import make_folder, require_plain
from bench.results.record import Record
from bench.results.store import CHECKPOINTS, DAMAGED, MANIFEST, Store

PROGRESS = ".progress"


@dataclass(frozen=True)
class Outcome:
    """What a session did.

    Attributes:
        elsewhere: Runs that other sessions carried out meanwhile, by status.
        unfinished: Runs that other sessions still had under way when this one had waited for long.
    """

    folder: Path
    done: Counter[str]
    elsewhere: Counter[str]
    kept: int
    timed: int
    unfinished: int

    def summary(self) -> str:
        """One line for the terminal."""
        now = ", ".join(f"{count} {status}" for status, count in sorted(self.done.items())) or "nothing to do"
        others = f" {self.elsewhere.total()} by other sessions;" if self.elsewhere else ""
        failed = " Failed runs are in the report, with their reasons." if self.failed else ""
        left = f" {self.unfinished} still under way in another session: run the same command again."
        left = left if self.unfinished else ""
        return f"Now: {now}; {self.kept} kept from before;{others} {self.timed} timed alone.{failed}{left}"

    @property
    def failed(self) -> bool:
        """Whether a run failed, whoever carried it out."""
        return bool(self.done["failed"] or self.elsewhere["failed"])


def run_experiment(
    experiment: Experiment,
    results: Path,
    *,
    plugins: tuple[Path, ...] = (),
    options: SessionOptions = WHAT_IS_MISSING,
    command: str = "",
    console: Screen = err,
) -> Outcome:
    """Run an experiment: pre-train what is shared, run what is missing, time each strategy alone.

    Args:
        experiment: What to run.
        results: Folder that holds a folder for each experiment.
        plugins: Files and folders of plug-ins, for the workers.
        options: What is done again, and which share.
        command: As the user typed it, for the records.
        console: Where progress is drawn.

    Raises:
        BenchError: The experiment cannot be run as given.
        WorkerLostError: No worker process can be started.
    """
    device = device_of(experiment)
    runs = expand(experiment, device)
    print_notes(runs, console)
    paths = tuple(path.resolve() for path in plugins)
    place = RunPaths(results / experiment.name, results / CHECKPOINTS, paths, command, experiment.engine)
    with pool_of(experiment, device) as pool:
        return run_all(runs, experiment, place, pool, options, console)


def print_notes(runs: list[RunSpec], console: Screen, *, only_unread: bool = False) -> None:
    """Say what the loaders of the runs' datasets guessed or mended, and which inputs no model at hand reads."""
    by_dataset: dict[str, list[RunSpec]] = {}
    for run in runs:
        by_dataset.setdefault(run.shown, []).append(run)
    for name, here in by_dataset.items():
        series = load_series(here[0])
        for note in [*(() if only_unread else series.notes), unread_inputs(here, series)]:
            if note:
                console.say(f"{name}: {note}", style="dim")


def unread_inputs(runs: list[RunSpec], series: DriftSeries) -> str:
    """In a line: inputs of a dataset that none of the runs' models reads; empty where there are none."""
    exogenous = [name for name in series.inputs if name not in series.targets]
    read = any(_reads_exogenous(run) for run in runs if not run.skip)
    if series.target_index is None or not exogenous or read:
        return ""
    return f"no model here reads inputs that are no targets: {', '.join(exogenous)}"


def _reads_exogenous(run: RunSpec) -> bool:
    classes = [STRATEGIES[run.strategy.name].cls, *([FORECASTERS[run.forecaster.name].cls] if run.forecaster else [])]
    return any(getattr(cls, "reads_exogenous", True) for cls in classes)


def run_all(
    runs: list[RunSpec],
    experiment: Experiment,
    place: RunPaths,
    pool: Pool,
    options: SessionOptions,
    console: Screen,
    cells: dict[str, str] | None = None,
) -> Outcome:
    """Carry out these runs, whatever they came from; see `run_experiment`.

    Args:
        pool: Of the experiment's `pool_of`; its workers have ended when this returns.
        cells: What the manifest says of each run id; by default what the run is, apart from versions.
    """
    tracking = Tracking(experiment.trackers, experiment.name, place.results, console.say)
    store = Store(place.results)
    _require_plain(place, console)
    make_folder(place.results, place.root)
    store.sweep()
    sweep(place.checkpoints)
    cells = cells if cells is not None else run_keys(runs)
    ahead = plan(runs, store, options, cells)
    if _keep_earlier(ahead, store, console):
        ahead = plan(runs, store, options, cells)
    keep_code_of(runs, store)
    store.write_manifest(cells, keep=options.is_filtered)
    _say_what_changed(ahead, console)
    _set_damaged_aside(ahead, store, console)
    _restate(ahead, store)
    done, elsewhere = Counter[str](), Counter[str]()
    well = {run_id for run_id, found in ahead.found.items() if found.state == "ok"} - {r.run_id for r in ahead.missing}
    try:
        with (
            ProgressDisplay(place.results / PROGRESS, console) as display,
            closing(tracking),
            closing(pool),
            Sharing(place.root, display.say) as sharing,
        ):
            work = Work(
                place,
                display.progress_folder,
                replace=options.trains_again or options.redo == "unmeasured",
                own_process=engine_of(experiment).has_workers,
                timeout=experiment.timeout,
                folder=number_of(place.results),
                retrain=options.trains_again,
            )
            with closing(Runs(ahead, work, display, sharing, pool).ended()) as ends:
                for ended in ends:
                    (elsewhere if ended.elsewhere else done)[ended.status] += 1
                    if not ended.elsewhere:
                        tracking.log(store.read(ended.run.run_id), ended.run.label)
                    well |= {ended.run.run_id} if ended.status == "ok" else set()
            served = [run for run in ahead.runs if run.run_id in well]
            again = options.redo == "always"
            audit_missing(served, work, display, sharing, pool, experiment.threads, again=again)
            timed = time_each(served, experiment, work, display, sharing, pool, retime=options.retime)
    finally:
        store.sweep()
    unfinished = len(ahead.missing) - done.total() - elsewhere.total()
    return Outcome(place.results, done, elsewhere, len(ahead.runs) - len(ahead.missing), timed, unfinished)


def _require_plain(place: RunPaths, console: Screen) -> None:
    """Say what is left alone in results that came from elsewhere, such as links.

    Raises:
        NotPlainError: It is where this session has to write.
    """
    experiment = place.results.relative_to(place.root).parts[0]
    for finding in not_ours(place.root, {experiment, place.checkpoints.name, AUDITS, SESSIONS, THROUGHPUT}):
        console.say(f"{finding.path} {finding.reason}")
    own = (place.results / name for name in (WORK, PROGRESS, DAMAGED, MANIFEST))
    for path in (*own, place.checkpoints, place.root / AUDITS, place.root / SESSIONS):
        require_plain(path, place.root)


def _keep_earlier(ahead: Plan, store: Store, console: Screen) -> bool:
    """Whether there were runs of an earlier version that could be kept."""
    earlier = find_earlier(ahead.absent, store)
    for run_id, record in earlier.kept.items():
        store.copy_as(run_id, record)
    lines = [f"Kept from an earlier version of this package: {len(earlier.kept)} runs."] if earlier.kept else []
    lines += [f"Made anew, as {reason}: {n} runs of an earlier version." for reason, n in earlier.refused.items()]
    for line in lines:
        console.say(line)
    return bool(earlier.kept)


def _restate(ahead: Plan, store: Store) -> None:
    """Bring what is said of strategies and files up to date in the records that are kept; no outcome depends on it."""
    missing, kept = {run.run_id for run in ahead.missing}, dict[tuple[str, str], list[RunSpec]]()
    for run in ahead.runs:
        if run.run_id not in missing and ahead.found[run.run_id].state == "ok":
            kept.setdefault((run.strategy.name, run.identity), []).append(run)
    for runs in kept.values():
        first = store.read(runs[0].run_id)
        if first is None or first == _restated(first, runs[0]):
            continue
        for run in reversed(runs):  # the first one last: by it, work that was broken off is known
            if (record := store.read(run.run_id)) is not None:
                store.restate(_restated(record, run))


def _restated(record: Record, run: RunSpec) -> Record:
    """A record with what the strategy says of itself, and the user of drifts in a file, now."""
    strategy = record.strategy.model_copy(update=stated(STRATEGIES[run.strategy.name].cls))
    is_told = run.dataset.options.get("events") or (record.dataset.events and is_of_file(run.dataset.name))
    events = known_drifts(load_series(run)) if is_told else record.dataset.events
    dataset = record.dataset.model_copy(update={"events": events})
    return record.model_copy(update={"strategy": strategy, "dataset": dataset})


def _say_what_changed(ahead: Plan, console: Screen) -> None:
    subjects: dict[str, list[str]] = {}
    for (strategy, forecaster, *_), changed in ahead.changed.items():
        subjects.setdefault(changed, []).append(f"{strategy} ({forecaster})" if forecaster else strategy)
    for changed, names in subjects.items():
        line = f"changed: {changed}. New runs: {', '.join(dict.fromkeys(names))}"
        console.say(line)


def _set_damaged_aside(ahead: Plan, store: Store, console: Screen) -> None:
    for run in ahead.runs:
        found = ahead.found[run.run_id]
        if found.state == "damaged" and store.set_aside(run.run_id):
            line = f"damaged: {run.label}: {found.reason}. Set aside in {store.folder / DAMAGED}; it is run again."
            console.say(line)
