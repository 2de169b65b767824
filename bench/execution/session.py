"""Carrying out an experiment: what is missing, once each, then audits, the timing pass, and nothing twice."""

from __future__ import annotations

from collections import Counter
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from bench.contracts.engine import Pool
from bench.contracts.forecaster import FORECASTERS
from bench.contracts.series import DriftSeries
from bench.contracts.strategy import STRATEGIES
from bench.evaluation.run import RunPaths, load_series
from bench.evaluation.run_spec import RunSpec, run_keys
from bench.execution.audits import audit_missing
from bench.execution.changes import keep_code_of
from bench.execution.console import Screen
from bench.execution.earlier import find_earlier
from bench.execution.eta import RuntimeEstimator
from bench.execution.experiment import Experiment, expand
from bench.execution.plan import Plan, Redo, plan
from bench.execution.progress import ProgressDisplay
from bench.execution.resources import device_of, engine_of, pool_of, workers_expected
from bench.execution.runs import Runs, needed_checkpoints
from bench.execution.shard import WHOLE, Shard
from bench.execution.sharing import Sharing
from bench.execution.timing import time_each
from bench.execution.worker import Work, number_of
from bench.results.audit import AUDITS
from bench.results.benchmark_files import THROUGHPUT
from bench.results.disk import SESSIONS, WORK, sweep
from bench.results.maintenance import not_ours
from bench.results.plain import make_folder, require_plain
from bench.results.store import CHECKPOINTS, DAMAGED, MANIFEST, Store

PROGRESS = ".progress"


@dataclass(frozen=True)
class Outcome:
    """What a session did.

    Attributes:
        folder: The experiment's results.
        done: Runs carried out now, by status.
        elsewhere: Runs that other sessions carried out meanwhile, by status.
        kept: Runs that were there already.
        timed: Timing passes made now.
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
    redo: Redo = "only-missing",
    retrain: bool = False,
    retime: bool = False,
    is_filtered: bool = False,
    shard: Shard = WHOLE,
    command: str = "",
    console: Screen | None = None,
) -> Outcome:
    """Run an experiment: pre-train what is shared, run what is missing, time each strategy alone.

    Args:
        experiment: What to run.
        results: Folder that holds a folder for each experiment.
        plugins: Files and folders of plug-ins, for the workers.
        redo: ``only-missing`` also repeats what failed, which ``keep-failed`` does not; ``unmeasured``, besides, runs
            that lack the value of a metric; ``always`` trains and runs everything again.
        retrain: Whether forecasters are trained again, and what adapts them is run again.
        retime: Whether timing passes are repeated that other processes disturbed, or that lack what is measured now.
        is_filtered: Whether only a part of the experiment is run: other rows of its report then stay.
        shard: Which share of the runs is carried out; the report is about all of them.
        command: As the user typed it, for the records.
        console: Where progress is drawn.

    Raises:
        BenchError: The experiment cannot be run as given.
        WorkerLostError: No worker process can be started.
    """
    console = console or Screen(stderr=True)
    runs = expand(experiment, device_of(experiment))
    print_notes(runs, console)
    paths = tuple(path.resolve() for path in plugins)
    place = RunPaths(results / experiment.name, results / CHECKPOINTS, paths, command, experiment.engine)
    with pool_of(experiment, device_of(experiment)) as pool:
        return run_all(
            runs,
            experiment,
            place,
            pool,
            redo=redo,
            retrain=retrain,
            retime=retime,
            is_filtered=is_filtered,
            shard=shard,
            console=console,
        )


def preview(
    experiment: Experiment, results: Path, redo: Redo, shard: Shard, *, retrain: bool = False
) -> tuple[Plan, list[RunSpec], RuntimeEstimator, int]:
    """What `run_experiment` would do, while nothing is changed.

    Args:
        experiment: What would be run.
        results: As `run_experiment` takes it, like what follows.
        redo: What would be done again.
        shard: Which share.
        retrain: Whether forecasters would be trained again.

    Returns:
        The plan, one run for each checkpoint that is not there, what is known of how long runs take, and workers.

    Raises:
        BenchError: The experiment cannot be run as given, or its folder is a link, say.
    """
    store = Store(results / experiment.name)
    require_plain(store.folder, results)
    runs = expand(experiment, device_of(experiment))
    ahead = plan(runs, store, redo, shard, retrain=retrain)
    if redo != "always":
        kept = {record.run_id for record in find_earlier(ahead.absent, store).kept.values()}
        ahead = replace(ahead, missing=[run for run in ahead.missing if run.run_id not in kept])
    training = list(
        needed_checkpoints(ahead.missing, results / CHECKPOINTS, there=redo == "always" or retrain).values()
    )
    return ahead, training, RuntimeEstimator.of(store), workers_expected(experiment)


def print_notes(runs: list[RunSpec], console: Screen) -> None:
    """Say what the loaders of the runs' datasets guessed or mended, and which inputs no model at hand reads."""
    for name, here in _by_dataset(runs).items():
        for note in load_series(here[0]).notes:
            console.say(f"{name}: {note}", style="dim")
    print_unread(runs, console)


def print_unread(runs: list[RunSpec], console: Screen) -> None:
    """Say which inputs of the runs' datasets no model at hand reads."""
    for name, here in _by_dataset(runs).items():
        if unread := unread_inputs(here, load_series(here[0])):
            console.say(f"{name}: {unread}", style="dim")


def _by_dataset(runs: list[RunSpec]) -> dict[str, list[RunSpec]]:
    found: dict[str, list[RunSpec]] = {}
    for run in runs:
        found.setdefault(run.shown, []).append(run)
    return found


def unread_inputs(runs: list[RunSpec], series: DriftSeries) -> str:
    """In a line: inputs of a dataset that none of the runs' models reads; empty where there are none.

    Args:
        runs: On that dataset.
        series: The dataset.
    """
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
    *,
    console: Screen,
    redo: Redo = "only-missing",
    retrain: bool = False,
    retime: bool = False,
    is_filtered: bool = False,
    shard: Shard = WHOLE,
    cells: dict[str, str] | None = None,
) -> Outcome:
    """Carry out these runs, whatever they came from.

    Args:
        runs: What to run.
        experiment: For engine, threads, timeout and the timing pass.
        place: Where results and checkpoints are.
        pool: Of the experiment's `pool_of`; its workers have ended when this returns.
        console: Where progress is drawn.
        redo: As `run_experiment` takes it.
        retrain: Likewise.
        retime: Likewise.
        is_filtered: Likewise.
        shard: Likewise.
        cells: What the manifest says of each run id; by default what the run is, apart from versions.
    """
    store = Store(place.results)
    _require_plain(place, console)
    make_folder(place.results, place.root)
    store.sweep()
    sweep(place.checkpoints)
    cells = cells if cells is not None else run_keys(runs)
    ahead = plan(runs, store, redo, shard, retrain=retrain, cells=cells)
    if _keep_earlier(ahead, store, console):
        ahead = plan(runs, store, redo, shard, retrain=retrain, cells=cells)
    keep_code_of(runs, store)
    store.write_manifest(cells, keep=is_filtered)
    _say_what_changed(ahead, console)
    _set_damaged_aside(ahead, store, console)
    done, elsewhere = Counter[str](), Counter[str]()
    well = {run_id for run_id, found in ahead.found.items() if found.state == "ok"} - {r.run_id for r in ahead.missing}
    try:
        with (
            ProgressDisplay(place.results / PROGRESS, console) as display,
            closing(pool),
            Sharing(place.root, display.say) as sharing,
        ):
            apart = engine_of(experiment).has_workers
            trained, number = redo == "always" or retrain, number_of(place.results)
            replaced = trained or redo == "unmeasured"
            work = Work(place, display.progress_folder, replaced, apart, experiment.timeout, number, trained)
            with closing(Runs(ahead, work, display, sharing, pool).ended()) as ends:
                for ended in ends:
                    (elsewhere if ended.elsewhere else done)[ended.status] += 1
                    well |= {ended.run.run_id} if ended.status == "ok" else set()
            served = [run for run in ahead.runs if run.run_id in well]
            audit_missing(
                served,
                place,
                display,
                sharing,
                pool,
                experiment.threads,
                timeout=experiment.timeout,
                own_process=apart,
                again=redo == "always",
            )
            timed = time_each(served, experiment, work, display, sharing, pool, retime=retime)
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
