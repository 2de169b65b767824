"""A sweep: a grid of options, chosen on validation rows only; then what was chosen, over the stream."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.analysis.sweeps import GROUP, grid_table
from bench.contracts.dataset import resolve_dataset
from bench.contracts.errors import BenchError
from bench.contracts.naming import Called, titles
from bench.evaluation.run import RunPaths
from bench.evaluation.run_spec import Choice, Pair, RunSpec
from bench.execution.console import Screen, err
from bench.execution.experiment import Experiment, expand, pairs_of, protocols_of, runs_on, stated_options, unique
from bench.execution.plan import WHAT_IS_MISSING, SessionOptions
from bench.execution.resources import device_of, pool_of
from bench.execution.session import Outcome, print_notes, run_all
from bench.execution.sweep.grid import Axis, Point, axes_of, points_of
from bench.execution.sweep.snippets import write_snippets
from bench.results.disk import replace_whole
from bench.results.store import CHECKPOINTS, CHOSEN, SWEEP, Store
from bench.results.trials import SERVED, Served, Trial, listed_trials, read_served, read_trials, titled

DatasetChoice = str | dict[str, Any]


@dataclass(frozen=True)
class Search:
    """A strategy and forecaster on one dataset, and the points of the grid to choose from.

    Attributes:
        title: What it is called, by a name that no other dataset of the experiment has.
        points: In the order of the grid, by their values as JSON; none where the grid leaves the pair alone.
    """

    dataset: DatasetChoice
    title: str
    pair: Pair
    points: dict[str, Point]
    trials: list[tuple[RunSpec, Trial]]

    @property
    def group(self) -> tuple[str, str, str, str] | None:
        """What its trials are listed under; None without any."""
        return self.trials[0][1].group if self.trials else None


@dataclass(frozen=True)
class SweepOutcome:
    """What a sweep did.

    Attributes:
        served: What was done over the stream; None where it was not asked for.
        unchosen: Where every point of the grid failed.
    """

    folder: Path
    tried: Outcome
    served: Outcome | None
    snippets: list[Path]
    unchosen: list[str]

    def summary(self) -> list[str]:
        """Lines for the terminal."""
        lines = [f"Validation rows: {self.tried.summary()}"]
        lines += [f"No choice: every point of {name} had a run that failed." for name in self.unchosen]
        return lines + ([f"Stream: {self.served.summary()}"] if self.served else [])

    @property
    def failed(self) -> bool:
        """Whether a choice could not be made, or a run over the stream failed."""
        return bool(self.unchosen or (self.served and self.served.failed))


def run_sweep(
    experiment: Experiment,
    grid: Mapping[str, Sequence[Any]],
    results: Path,
    *,
    plugins: tuple[Path, ...] = (),
    options: SessionOptions = WHAT_IS_MISSING,
    serve: bool = True,
    command: str = "",
    console: Screen = err,
) -> SweepOutcome:
    """Run a grid over the validation rows, choose the best point of each search, and serve the stream with those.

    Args:
        grid: Values by ``<strategy or forecaster>.<option>``.
        options: What is done again; where only a part of the experiment is swept, what was swept before stays.
        serve: Whether the stream is served with what was chosen.

    Raises:
        BenchError: The experiment or the grid is wrong; nothing was run then.
    """
    device = device_of(experiment)
    searches = plan(experiment, grid, device)
    if serve:
        expand(experiment, device)  # what is wrong with the stream is said now, not after the sweep
    runs = unique(run for search in searches for run, _ in search.trials)
    print_notes(runs, console)
    paths = tuple(path.resolve() for path in plugins)
    folder, checkpoints = results / experiment.name, results / CHECKPOINTS
    place = RunPaths(folder / SWEEP, checkpoints, paths, command, experiment.engine)
    untimed = experiment.model_copy(update={"timing_blocks": 0})
    cells = _cells(searches, listed_trials(folder) if options.is_filtered else {})
    served = None
    with pool_of(experiment, device) as pool:
        tried = run_all(runs, untimed, place, pool, replace(options, is_filtered=False), console, cells)
        chosen = choose(searches, folder)
        choices = [(search.title, search.dataset, pair) for search, pair in chosen]
        snippets = write_snippets(experiment, choices, folder / SWEEP / CHOSEN, results, keep=options.is_filtered)
        if serve:
            stream = [
                (search, run) for search, pair in chosen for run in runs_on(experiment, search.dataset, [pair], device)
            ]
            _list_served(experiment, stream, folder, keep=options.is_filtered)
            place = RunPaths(folder, checkpoints, paths, command, experiment.engine)
            all_runs = unique(run for _, run in stream)
            served = run_all(all_runs, experiment, place, pool, options, console)
    made = {id(search) for search, _ in chosen}
    unchosen = [_name(search) for search in searches if id(search) not in made]
    return SweepOutcome(folder, tried, served, snippets, unchosen)


def grid_of(whole: Experiment, filtered: Experiment) -> dict[str, list[Any]]:
    """The grid of an experiment's ``[sweep]``, without the axes of strategies that were left out on the command line.

    Raises:
        BenchError: It has no grid, an axis is none of the whole experiment's, or none is left.
    """
    if not whole.sweep.grid:
        raise BenchError(
            f"experiment {whole.name!r} has no grid. Give --grid titans-c.online_lr=1e-5,1e-4, or a table in its file: "
            '[sweep] with grid = { "titans-c.online_lr" = [1e-5, 1e-4] }'
        )
    grid = whole.sweep.grid
    axes = axes_of(grid, _plugins(whole))
    left = set(_plugins(filtered))
    kept = {key: values for (key, values), axis in zip(grid.items(), axes, strict=True) if axis.plugin in left}
    if not kept:
        raise BenchError(
            f"no option of {', '.join(sorted(left))} is in the grid ({', '.join(grid)}). Add one by --grid."
        )
    return kept


def plan(experiment: Experiment, grid: Mapping[str, Sequence[Any]], device: str) -> list[Search]:
    """Every search of a sweep, datasets outermost; those without points are what the grid leaves alone.

    Raises:
        BenchError: A name, an option or a value is wrong, or there are no validation rows to choose on.
    """
    protocols = protocols_of(experiment)
    if len(protocols) > 1:
        raise BenchError(f"a sweep chooses under one protocol; {experiment.name!r} lists {len(protocols)}")
    if not protocols[0].warm_start:
        raise BenchError("a sweep chooses on the validation rows, which protocol.warm_start = false leaves out")
    pairs = pairs_of(experiment)
    axes = axes_of(grid, _plugins(experiment))
    datasets = _titled_datasets(experiment)
    searches = [_search(experiment, value, title, pair, axes, device) for value, title in datasets for pair in pairs]
    if not any(search.trials for search in searches):
        raise BenchError(f"the grid ({', '.join(grid)}) changes none of the runs: no strategy adapts that forecaster")
    return searches


def _titled_datasets(experiment: Experiment) -> list[tuple[DatasetChoice, str]]:
    """The datasets of an experiment, each once, with what it is called."""
    chosen = [Choice.parse(value, "dataset") for value in experiment.datasets]
    prints = (resolve_dataset(choice.name, choice.options).chosen().fingerprint for choice in chosen)
    called = [Called.of(choice.name, choice.options, data) for choice, data in zip(chosen, prints, strict=True)]
    names = titles(called)
    found: dict[tuple[str, str], tuple[DatasetChoice, str]] = {}
    for value, one in zip(experiment.datasets, called, strict=True):
        name = names[one.key].name
        key = "" if one.is_file else one.name, one.fingerprint
        found.setdefault(key, (value, name if one.is_file else titled(name, one.options)))
    return list(found.values())


def _plugins(experiment: Experiment) -> list[str]:
    """Names of an experiment's strategies and forecasters."""
    forecasters = [Choice.parse(value, "forecaster").name for value in experiment.forecasters]
    return [*dict.fromkeys([*(strategy.name for strategy, _ in pairs_of(experiment)), *forecasters])]


def _search(
    experiment: Experiment, value: DatasetChoice, title: str, pair: Pair, axes: Iterable[Axis], device: str
) -> Search:
    points = {json.dumps(point.values): point for point in points_of(pair, axes)}
    strategy, forecaster = pair
    trials: dict[str, tuple[RunSpec, Trial]] = {}  # points that come to the same options are one, the first
    for point in points.values():
        for run in runs_on(experiment, value, [point.pair], device, rows="validation"):
            if run.skip:  # the record over the stream will say why
                return Search(value, title, pair, {}, [])
            trial = Trial(
                strategy=titled(strategy.name, strategy.options),
                forecaster=titled(forecaster.name, stated_options(forecaster, experiment.training))
                if forecaster
                else "none",
                dataset=title,
                protocol=run.protocol.label,
                seed=run.seed,
                point=point.values,
            )
            trials.setdefault(run.run_id, (run, trial))
    return Search(value, title, pair, points, list(trials.values()))


def choose(searches: Iterable[Search], folder: Path) -> list[tuple[Search, Pair]]:
    """The pair that each search comes to: the point with the lowest mean validation error over the seeds.

    Args:
        searches: From `plan`; those without points keep their pair, those of which every point failed are left out.
    """
    table = grid_table(read_trials(folder))
    best = table[table["chosen"]].set_index(GROUP)["point"]
    searches, found = list(searches), []
    listed = {run.run_id: trial.group for search in searches for run, trial in search.trials}
    for search in searches:  # where two datasets are the same before the stream, their trials are listed for the last
        if search.group is None:
            found.append((search, search.pair))
        elif (group := listed[search.trials[0][0].run_id]) in best.index:
            found.append((search, search.points[best.loc[group]].pair))
    return found


def _cells(searches: Iterable[Search], before: Mapping[str, Trial]) -> dict[str, str]:
    """The sweep's manifest: what is swept now, and of what was swept before the searches that are not."""
    fresh = {run.run_id: trial for search in searches for run, trial in search.trials}
    groups = {trial.group for trial in fresh.values()}
    kept = {run_id: trial for run_id, trial in before.items() if trial.group not in groups}
    return {run_id: trial.model_dump_json() for run_id, trial in (kept | fresh).items()}


def _list_served(experiment: Experiment, stream: Sequence[tuple[Search, RunSpec]], folder: Path, *, keep: bool) -> None:
    """Say which runs over the stream have chosen options, and no longer count what was chosen before in their place."""
    now = {}
    for search, run in stream:
        if search.group is not None:
            strategy, forecaster = search.pair
            stated = stated_options(forecaster, experiment.training) if forecaster else {}
            now[run.run_id] = Served(group=search.group, strategy_options=strategy.options, forecaster_options=stated)
    groups, before = {served.group for served in now.values()}, read_served(folder)
    gone = {run_id for run_id, served in before.items() if served.group in groups} - set(now)
    kept = {run_id: served for run_id, served in before.items() if keep and run_id not in gone} | now
    text = json.dumps({run_id: served.model_dump() for run_id, served in kept.items()}, indent=1)
    replace_whole(folder / SWEEP / SERVED, text, folder)
    store = Store(folder)
    store.write_manifest({i: cell for i, cell in store.read_manifest().items() if i not in gone}, keep=False)


def _name(search: Search) -> str:
    assert search.group is not None
    strategy, forecaster, dataset, _ = search.group
    return f"{strategy}{'' if forecaster == 'none' else f' ({forecaster})'} on {dataset}"
