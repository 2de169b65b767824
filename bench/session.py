"""Carrying out an experiment: what is missing, once each, then audits, the timing pass, and nothing twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from rich.console import Console

from bench.audit import AUDITS
from bench.benchmarks import THROUGHPUT
from bench.cell import cell_of_run
from bench.engines import Crew, Lost
from bench.experiment import Experiment, expand
from bench.orchestration.auditing import audit_missing
from bench.orchestration.changes import keep_code_of, what_changed
from bench.orchestration.earlier import find_earlier
from bench.orchestration.pace import Kind, Pace, about, is_heavy, kind_of, kinds_of
from bench.orchestration.placing import crew_of, device_of, engine_of, workers_expected
from bench.orchestration.progress import Sight
from bench.orchestration.shard import WHOLE, Shard
from bench.orchestration.timekeeping import time_each, untimed
from bench.orchestration.work import KEPT, Ended, Work, carry_out_run, give_up, train_shared
from bench.run import Workplace, checkpoint_of, load_series
from bench.run_spec import RunSpec
from bench.storage.disk import WORK
from bench.storage.plain import make_folder, remove, require_plain
from bench.storage.upkeep import not_ours
from bench.store import CHECKPOINTS, DAMAGED, MANIFEST, Condition, Store
from bench.training import checkpoint_file, sweep_checkpoints

Redo = Literal["only-missing", "keep-failed", "always"]
"""What is done again: what failed, too; not even that; or everything."""

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
        cells: What the runs are apart from versions; see `carry_out_runs`.
    """
    own = [run for run in runs if shard.owns(run.run_id)]
    found = {run.run_id: store.condition(run.run_id) for run in own}
    settled = {"always": (), "only-missing": ("ok", "skipped"), "keep-failed": ("ok", "skipped", "failed")}[redo]
    missing = [run for run in own if found[run.run_id].state not in settled or (retrain and run.forecaster is not None)]
    absent = [run for run in missing if found[run.run_id].state == "absent"]
    cells = cells if cells is not None else {run.run_id: cell_of_run(run) for run in absent}
    changed = what_changed(absent, cells, store)
    return Plan(own, found, _in_order(missing), changed)


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


def carry_out(
    experiment: Experiment,
    results: Path,
    *,
    plugins: tuple[Path, ...] = (),
    redo: Redo = "only-missing",
    retrain: bool = False,
    retime: bool = False,
    narrowed: bool = False,
    shard: Shard = WHOLE,
    command: str = "",
    console: Console | None = None,
) -> Outcome:
    """Run an experiment: pre-train what is shared, run what is missing, time each strategy alone.

    Args:
        experiment: What to run.
        results: Folder that holds a folder for each experiment.
        plugins: Files and folders of plug-ins, for the workers.
        redo: ``only-missing`` also repeats what failed, which ``keep-failed`` does not; ``always`` trains and runs
            everything again.
        retrain: Whether forecasters are trained again, and what adapts them is run again.
        retime: Whether timing passes are repeated that other processes disturbed, or that lack what is measured now.
        narrowed: Whether the experiment was narrowed (to some strategies, say): other rows of its report then stay.
        shard: Which share of the runs is carried out; the report is about all of them.
        command: As the user typed it, for the records.
        console: Where progress is drawn.

    Raises:
        BenchError: The experiment cannot be run as given.
        WorkerLostError: No worker process can be started.
    """
    console = console or Console(stderr=True)
    runs = expand(experiment, device_of(experiment))
    print_notes(runs, console)
    place = Workplace(results / experiment.name, results / CHECKPOINTS, tuple(p.resolve() for p in plugins), command)
    with crew_of(experiment, device_of(experiment)) as crew:
        return carry_out_runs(
            runs,
            experiment,
            place,
            crew,
            redo=redo,
            retrain=retrain,
            retime=retime,
            narrowed=narrowed,
            shard=shard,
            console=console,
        )


def prospect(
    experiment: Experiment, results: Path, redo: Redo, shard: Shard, *, retrain: bool = False
) -> tuple[Plan, list[RunSpec], Pace, int]:
    """What `carry_out` would do, while nothing is changed.

    Args:
        experiment: What would be run.
        results: As `carry_out` takes it, like what follows.
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
    training = list(_checkpoints(ahead.missing, results / CHECKPOINTS, there=redo == "always" or retrain).values())
    return ahead, training, Pace.of(store), workers_expected(experiment)


def print_notes(runs: list[RunSpec], console: Console) -> None:
    """Say what the loaders of the runs' datasets guessed or mended."""
    first: dict[str, RunSpec] = {}
    for run in runs:
        first.setdefault(run.dataset.name, run)
    for series in map(load_series, first.values()):
        for note in series.notes:
            console.print(f"{series.name}: {note}", style="dim", markup=False, highlight=False)


def carry_out_runs(
    runs: list[RunSpec],
    experiment: Experiment,
    place: Workplace,
    crew: Crew,
    *,
    console: Console,
    redo: Redo = "only-missing",
    retrain: bool = False,
    retime: bool = False,
    narrowed: bool = False,
    shard: Shard = WHOLE,
    cells: dict[str, str] | None = None,
) -> Outcome:
    """Carry out these runs, whatever they came from.

    Args:
        runs: What to run.
        experiment: For engine, threads, timeout and the timing pass.
        place: Where results and checkpoints are.
        crew: Of the experiment's `crew_of`; its workers have ended when this returns.
        console: Where progress is drawn.
        redo: As `carry_out` takes it.
        retrain: Likewise.
        retime: Likewise.
        narrowed: Likewise.
        shard: Likewise.
        cells: What the manifest says of each run id; by default what the run is, apart from versions.
    """
    store = Store(place.results)
    _require_plain(place, console)
    make_folder(place.results, place.root)
    store.sweep()
    sweep_checkpoints(place.checkpoints)
    cells = cells if cells is not None else {run.run_id: cell_of_run(run) for run in runs}
    ahead = plan(runs, store, redo, shard, retrain=retrain, cells=cells)
    if _keep_earlier(ahead, store, console):
        ahead = plan(runs, store, redo, shard, retrain=retrain, cells=cells)
    keep_code_of(runs, store)
    store.write_manifest(cells, keep=narrowed)
    _say_what_changed(ahead, console)
    _set_damaged_aside(ahead, store, console)
    anew = redo == "always" or retrain
    done: Counter[str] = Counter()
    well = {run_id for run_id, found in ahead.found.items() if found.state == "ok"} - {r.run_id for r in ahead.missing}
    try:
        with Sight(place.results / PROGRESS, console) as sight, closing(crew):
            apart = engine_of(experiment) != "serial"
            work = Work(place, sight.trails, anew, apart, experiment.timeout)
            if anew:
                for checkpoint in _checkpoints(ahead.missing, place.checkpoints, there=True):
                    remove(checkpoint_file(place.checkpoints, checkpoint), place.root)
            _train_all(ahead.missing, work, crew, sight)
            for ended in _Runs(ahead, work, sight, crew).carry_out():
                done[ended.status] += 1
                well |= {ended.run.run_id} if ended.status in ("ok", KEPT) else set()
            served = [run for run in ahead.runs if run.run_id in well]
            audit_missing(served, place, sight, crew, experiment.threads, again=redo == "always")
            chosen = untimed(served, experiment, store, again=redo == "always", retime=retime)
            timed = time_each(chosen, work, experiment.timing_blocks, crew, sight)
    finally:
        store.sweep()
    done.pop(KEPT, None)
    return Outcome(place.results, done, len(ahead.runs) - done.total(), timed)


def _require_plain(place: Workplace, console: Console) -> None:
    """Say what is left alone in results that came from elsewhere, such as links.

    Raises:
        NotPlainError: It is where this session has to write.
    """
    experiment = place.results.relative_to(place.root).parts[0]
    for finding in not_ours(place.root, {experiment, place.checkpoints.name, AUDITS, THROUGHPUT}):
        console.print(f"{finding.path} {finding.reason}", markup=False, highlight=False)
    own = (place.results / name for name in (WORK, PROGRESS, DAMAGED, MANIFEST))
    for path in (*own, place.checkpoints, place.root / AUDITS):
        require_plain(path, place.root)


def _keep_earlier(ahead: Plan, store: Store, console: Console) -> bool:
    """Whether there were runs of an earlier version that could be kept."""
    earlier = find_earlier(ahead.absent, store)
    for run_id, record in earlier.kept.items():
        store.copy_as(run_id, record)
    lines = [f"Kept from an earlier version of this package: {len(earlier.kept)} runs."] if earlier.kept else []
    lines += [f"Made anew, as {reason}: {n} runs of an earlier version." for reason, n in earlier.refused.items()]
    for line in lines:
        console.print(line, markup=False, highlight=False)
    return bool(earlier.kept)


def _say_what_changed(ahead: Plan, console: Console) -> None:
    subjects: dict[str, list[str]] = {}
    for (strategy, forecaster, *_), changed in ahead.changed.items():
        subjects.setdefault(changed, []).append(f"{strategy} ({forecaster})" if forecaster else strategy)
    for changed, names in subjects.items():
        line = f"changed: {changed}. New runs: {', '.join(dict.fromkeys(names))}"
        console.print(line, markup=False, highlight=False)


def _set_damaged_aside(ahead: Plan, store: Store, console: Console) -> None:
    for run in ahead.runs:
        found = ahead.found[run.run_id]
        if found.state == "damaged" and store.set_aside(run.run_id):
            line = f"damaged: {run.label}: {found.reason}. Set aside in {store.folder / DAMAGED}; it is run again."
            console.print(line, markup=False, highlight=False)


def _train_all(runs: list[RunSpec], work: Work, crew: Crew, sight: Sight) -> None:
    """Every checkpoint that runs need and that is not there, once."""
    shared = list(_checkpoints(runs, work.place.checkpoints).values())
    bar = sight.stage("pre-training", len(shared)) if shared else None
    for _ in crew(partial(train_shared, work=work), shared, work.timeout):
        assert bar is not None
        sight.advance(bar)


@dataclass
class _Runs:
    """The runs of a session under way, with an eye on the time."""

    ahead: Plan
    work: Work
    sight: Sight
    crew: Crew

    def carry_out(self) -> Iterator[Ended]:
        """Each run as it ends."""
        left, failed, pace = kinds_of(self.ahead.missing), 0, self._pace()
        if not left:
            return
        bar = self.sight.stage("runs", left.total())
        for ended in self.crew(partial(carry_out_run, work=self.work), self.ahead.missing, self.work.timeout):
            if isinstance(ended, Lost):
                ended = give_up(ended.job, self.work, ended.reason)
            left[kind_of(ended.run)] -= 1
            failed += ended.status == "failed"
            if ended.status == "ok":
                pace.learn(kind_of(ended.run), ended.seconds)
            line = f"{ended.status}: {ended.run.label}: {ended.reason}" if ended.reason else ""
            self.sight.advance(bar, line, self._note(left, failed, pace))
            yield ended

    def _pace(self) -> Pace:
        pace = Pace()
        for run in self.ahead.runs:
            if (found := self.ahead.found[run.run_id]).state == "ok":
                pace.learn(kind_of(run), found.seconds)
        return pace

    def _note(self, left: Counter[Kind], failed: int, pace: Pace) -> str:
        running = min(self.crew.workers, left.total())
        time_left = about(pace.left(left, self.crew.workers)) if running else ""
        parts = [f"{running} running", f"{failed} failed" if failed else "", f"{time_left} left" if time_left else ""]
        return ", ".join(part for part in parts if part)


def _checkpoints(runs: list[RunSpec], folder: Path, *, there: bool = False) -> dict[str, RunSpec]:
    """One run for each checkpoint that is needed, by its name.

    Args:
        runs: Those to be carried out.
        folder: Where checkpoints are.
        there: Whether those count that are there already.
    """
    first: dict[str, RunSpec] = {}
    for run in runs:  # runs on one dataset follow one another
        if (name := checkpoint_of(run, load_series(run))) and (there or not checkpoint_file(folder, name).is_file()):
            first.setdefault(name, run)
    return first
