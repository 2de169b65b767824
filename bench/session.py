"""Carrying out an experiment: what is missing, once each, then audits, the timing pass, and nothing twice."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from rich.console import Console

from bench.audit import AUDITS
from bench.benchmarks import THROUGHPUT
from bench.cell import cell_of_run
from bench.engines import Crew, Lost
from bench.experiment import Experiment, expand
from bench.orchestration.auditing import audit_missing
from bench.orchestration.pace import Kind, Pace, about, is_heavy, kind_of, kinds_of
from bench.orchestration.placing import crew_of, device_of, engine_of, workers_expected
from bench.orchestration.progress import Sight
from bench.orchestration.shard import WHOLE, Shard
from bench.orchestration.timekeeping import time_each, untimed
from bench.orchestration.work import KEPT, Ended, Work, carry_out_run, give_up, train_shared
from bench.run import Workplace, load_series, recipe_of
from bench.run_spec import RunSpec
from bench.storage.disk import WORK
from bench.storage.plain import make_folder, require_plain
from bench.storage.upkeep import not_ours
from bench.store import DAMAGED, MANIFEST, Condition, Store
from bench.stream import Stage
from bench.training import sweep_checkpoints

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
    """

    runs: list[RunSpec]
    found: dict[str, Condition]
    missing: list[RunSpec]


def plan(runs: Iterable[RunSpec], store: Store, redo: Redo, shard: Shard) -> Plan:
    """Look at what is there, and decide; nothing is changed.

    Args:
        runs: All of an experiment.
        store: Its results.
        redo: What is done again.
        shard: Which runs are this session's.
    """
    own = [run for run in runs if shard.owns(run.run_id)]
    found = {run.run_id: store.condition(run.run_id) for run in own}
    settled = {"always": (), "only-missing": ("ok", "skipped"), "keep-failed": ("ok", "skipped", "failed")}[redo]
    missing = [run for run in own if found[run.run_id].state not in settled]
    return Plan(own, found, _in_order(missing))


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
        redo: ``only-missing`` also repeats what failed, which ``keep-failed`` does not; ``always`` runs everything
            again.
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
    place = Workplace(results / experiment.name, results / ".checkpoints", tuple(p.resolve() for p in plugins), command)
    with crew_of(experiment, device_of(experiment)) as crew:
        return carry_out_runs(
            runs, experiment, place, crew, redo=redo, retime=retime, narrowed=narrowed, shard=shard, console=console
        )


def prospect(experiment: Experiment, results: Path, redo: Redo, shard: Shard) -> tuple[Plan, list[RunSpec], Pace, int]:
    """What `carry_out` would do, while nothing is changed.

    Args:
        experiment: What would be run.
        results: As `carry_out` takes it, like what follows.
        redo: What would be done again.
        shard: Which share.

    Returns:
        The plan, one run for each checkpoint that is not there, what is known of how long runs take, and workers.

    Raises:
        BenchError: The experiment cannot be run as given, or its folder is a link, say.
    """
    store = Store(results / experiment.name)
    require_plain(store.folder, results)
    ahead = plan(expand(experiment, device_of(experiment)), store, redo, shard)
    training = _untrained(ahead.missing, Workplace(store.folder, results / ".checkpoints"))
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
    store.write_manifest(cells if cells is not None else {run.run_id: cell_of_run(run) for run in runs}, keep=narrowed)
    ahead = plan(runs, store, redo, shard)
    _set_damaged_aside(ahead, store, console)
    done: Counter[str] = Counter()
    well = {run_id for run_id, found in ahead.found.items() if found.state == "ok"} - {r.run_id for r in ahead.missing}
    try:
        with Sight(place.results / PROGRESS, console) as sight, closing(crew):
            apart = engine_of(experiment) != "serial"
            work = Work(place, sight.trails, redo == "always", apart, experiment.timeout)
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


def _set_damaged_aside(ahead: Plan, store: Store, console: Console) -> None:
    for run in ahead.runs:
        found = ahead.found[run.run_id]
        if found.state == "damaged" and store.set_aside(run.run_id):
            line = f"damaged: {run.label}: {found.reason}. Set aside in {store.folder / DAMAGED}; it is run again."
            console.print(line, markup=False, highlight=False)


def _train_all(runs: list[RunSpec], work: Work, crew: Crew, sight: Sight) -> None:
    """Every checkpoint that runs need and that is not there, once."""
    shared = _untrained(runs, work.place)
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


def _untrained(runs: list[RunSpec], place: Workplace) -> list[RunSpec]:
    """One run for each checkpoint that is needed and not there."""
    first: dict[str, RunSpec] = {}
    stages: dict[str, Stage] = {}
    for run in runs:
        if run.forecaster is None or run.skip:
            continue
        where = json.dumps([run.dataset.name, run.dataset.options, run.rows, run.protocol.model_dump()])
        if where not in stages:
            stages = {where: Stage.of(load_series(run), run.protocol)}  # runs on one dataset follow one another
        stage = stages[where]
        recipe = recipe_of(run, stage)
        assert recipe is not None
        key = recipe.key(stage.series.training_fingerprint, torch.device(run.device))
        if not (place.checkpoints / f"{key}.safetensors").is_file():
            first.setdefault(key, run)
    return list(first.values())
