"""Tuning: trials of options, the best chosen on validation rows only; then the stream, with it and as it was."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.analysis.tuning import GROUP, grid_table
from bench.contracts.dataset import resolve_dataset
from bench.contracts.errors import BenchError
from bench.contracts.naming import Called, titles
from bench.evaluation.run import RunPaths
from bench.evaluation.run_spec import Choice, Pair, RunSpec, with_titles
from bench.execution.console import Screen, err
from bench.execution.experiment import (
    Experiment,
    expand,
    given_options,
    pairs_of,
    protocols_of,
    runs_on,
    stated_options,
    unique,
)
from bench.execution.plan import WHAT_IS_MISSING, SessionOptions
from bench.execution.resources import device_of, pool_of
from bench.execution.session import Outcome, print_notes, run_all
from bench.execution.tune.design import design
from bench.execution.tune.grid import Point, axes_of, points_of
from bench.execution.tune.snippets import write_snippets
from bench.results.disk import replace_whole
from bench.results.store import CHECKPOINTS, CHOSEN, TRIALS, Store
from bench.results.trials import SERVED, Served, Trial, listed_trials, read_served, read_trials, titled

DatasetChoice = str | dict[str, Any]


@dataclass(frozen=True)
class Search:
    """A strategy and forecaster on one dataset, and the points to choose from.

    Attributes:
        title: What it is called, by a name that no other dataset of the experiment has.
        points: In the order of the grid or design, by their values as JSON; none where the pair stays as it is.
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

    @property
    def tunes_forecaster(self) -> bool:
        """Whether options of the forecaster are among those that are tried."""
        name = f"{self.pair[1].name}." if self.pair[1] else ""
        return bool(name) and any(key.startswith(name) for point in self.points.values() for key in point.values)


@dataclass(frozen=True)
class TuneOutcome:
    """What a tuning did.

    Attributes:
        served: What was done over the stream; None where it was not asked for.
        unchosen: Where every point failed.
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


def run_tune(
    experiment: Experiment,
    results: Path,
    *,
    plugins: tuple[Path, ...] = (),
    options: SessionOptions = WHAT_IS_MISSING,
    serve: bool = True,
    command: str = "",
    console: Screen = err,
) -> TuneOutcome:
    """Run the trials on the validation rows, choose the best of each search, and serve the stream with those.

    Args:
        options: What is done again; where only a part of the experiment is tuned, what was tuned before stays.
        serve: Whether the stream is served: with what was chosen, and with the options as the experiment has them.

    Raises:
        BenchError: The experiment or its grid is wrong; nothing was run then.
    """
    device = device_of(experiment)
    searches = plan(experiment, device)
    untuned = expand(experiment, device) if serve else []  # what is wrong with the stream is said now
    runs = unique(run for search in searches for run, _ in search.trials)
    print_notes(runs, console)
    paths = tuple(path.resolve() for path in plugins)
    folder, checkpoints = results / experiment.name, results / CHECKPOINTS
    place = RunPaths(folder / TRIALS, checkpoints, paths, command, experiment.engine)
    untimed = experiment.model_copy(update={"timing_blocks": 0})
    cells = _cells(searches, listed_trials(folder) if options.is_filtered else {})
    served = None
    with pool_of(experiment, device) as pool:
        tried = run_all(runs, untimed, place, pool, replace(options, is_filtered=False), console, cells)
        chosen = choose(searches, folder)
        choices = [(search.title, search.dataset, pair) for search, pair in chosen]
        snippets = write_snippets(experiment, choices, folder / TRIALS / CHOSEN, results, keep=options.is_filtered)
        if serve:
            tuned = [
                (search, run)
                for search, pair in chosen
                if search.group is not None
                for run in runs_on(experiment, search.dataset, [pair], device)
            ]
            usual = {run.run_id for run in untuned}
            _list_served(tuned, usual, folder, keep=options.is_filtered)
            place = RunPaths(folder, checkpoints, paths, command, experiment.engine)
            all_runs = unique([*untuned, *with_titles(run for _, run in tuned)])
            served = run_all(all_runs, experiment, place, pool, options, console)
    made = {id(search) for search, _ in chosen}
    unchosen = [_name(search) for search in searches if id(search) not in made]
    return TuneOutcome(folder, tried, served, snippets, unchosen)


def as_told(whole: Experiment, chosen: Experiment, grid: Mapping[str, list[Any]], trials: int | None) -> Experiment:
    """An experiment with what the command line says of its tuning.

    Args:
        whole: The experiment before strategies were left out on the command line.
        chosen: The same after it.
        grid: In place of the file's ``[tune]``; empty leaves that, without the axes of strategies that were left out.
        trials: Of the Sobol design, in place of a grid; None leaves what the file says.

    Raises:
        BenchError: Both are given; or the file's grid has an axis that is none of the whole experiment's, or none is
            left; or it is said that there is one, and there is none.
    """
    tune = chosen.tune
    if grid and trials is not None:
        raise BenchError("--trials belongs to the Sobol design, --grid replaces it: give one of them")
    if grid:
        tune = tune.model_copy(update={"sampler": "grid", "grid": dict(grid)})
    elif trials is not None:
        tune = tune.model_copy(update={"sampler": "sobol", "trials": trials, "grid": {}})
    elif tune.sampler == "grid":
        tune = tune.model_copy(update={"grid": _narrowed(whole, chosen)})
    return chosen.model_copy(update={"tune": tune})


def _narrowed(whole: Experiment, filtered: Experiment) -> dict[str, list[Any]]:
    """The grid of an experiment, without the axes of strategies that were left out on the command line."""
    grid = whole.tune.grid
    if not grid:
        raise BenchError(
            f"experiment {whole.name!r} has no grid. Give --grid titans-c.online_lr=1e-5,1e-4, or a table in its file: "
            '[tune.grid] with "titans-c.online_lr" = [1e-5, 1e-4]; or leave out sampler = "grid".'
        )
    axes = axes_of(grid, _plugins(whole))
    left = set(_plugins(filtered))
    kept = {key: values for (key, values), axis in zip(grid.items(), axes, strict=True) if axis.plugin in left}
    if not kept:
        raise BenchError(
            f"no option of {', '.join(sorted(left))} is in the grid ({', '.join(grid)}). Add one by --grid."
        )
    return kept


def plan(experiment: Experiment, device: str) -> list[Search]:
    """Every search of a tuning, datasets outermost; those without points are what it leaves as it is.

    Raises:
        BenchError: A name, an option or a value is wrong, or there are no validation rows to choose on.
    """
    protocols = protocols_of(experiment)
    if len(protocols) > 1:
        raise BenchError(f"tuning chooses under one protocol; {experiment.name!r} lists {len(protocols)}")
    if not protocols[0].warm_start:
        raise BenchError("tuning chooses on the validation rows, which protocol.warm_start = false leaves out")
    pairs, tune = pairs_of(experiment), experiment.tune
    axes = axes_of(tune.grid, _plugins(experiment))
    points = [
        points_of(pair, axes) if tune.grid else design(pair, tune, given_options(experiment, pair[1])) for pair in pairs
    ]
    datasets = _titled_datasets(experiment)
    searches = [
        _search(experiment, value, title, pair, tried, device)
        for value, title in datasets
        for pair, tried in zip(pairs, points, strict=True)
    ]
    if tune.grid and not any(search.trials for search in searches):
        raise BenchError(
            f"the grid ({', '.join(tune.grid)}) changes none of the runs: no strategy adapts that forecaster"
        )
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
    experiment: Experiment, value: DatasetChoice, title: str, pair: Pair, tried: Iterable[Point], device: str
) -> Search:
    points = {json.dumps(point.values): point for point in tried}
    strategy, forecaster = pair
    some = experiment.model_copy(update={"seeds": experiment.seeds[: experiment.tune.seeds]})
    if not points:
        return Search(value, title, pair, {}, [])
    usual = {run.run_id for run in runs_on(some, value, [pair], device, rows="validation")}
    trials: dict[str, tuple[RunSpec, Trial]] = {}  # points that come to the same options are one, the first
    for point in points.values():
        for run in runs_on(some, value, [point.pair], device, rows="validation"):
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
                is_default=run.run_id in usual,
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
    """The manifest of trials: what is tried now, and of what was tried before the searches that are not."""
    fresh = {run.run_id: trial for search in searches for run, trial in search.trials}
    groups = {trial.group for trial in fresh.values()}
    kept = {run_id: trial for run_id, trial in before.items() if trial.group not in groups}
    return {run_id: trial.model_dump_json() for run_id, trial in (kept | fresh).items()}


def _list_served(tuned: Sequence[tuple[Search, RunSpec]], usual: set[str], folder: Path, *, keep: bool) -> None:
    """Say which runs over the stream have chosen options, and no longer count what was chosen before in their place."""
    now = {}
    for search, run in tuned:
        assert search.group is not None
        strategy, forecaster = search.pair
        now[run.run_id] = Served(
            group=search.group,
            strategy_options=strategy.options,
            forecaster_options=forecaster.options if forecaster else {},
            tunes_forecaster=search.tunes_forecaster,
            is_default=run.run_id in usual,
        )
    groups, before = {served.group for served in now.values()}, read_served(folder)
    gone = {run_id for run_id, served in before.items() if served.group in groups} - set(now)
    kept = {run_id: served for run_id, served in before.items() if keep and run_id not in gone} | now
    text = json.dumps({run_id: served.model_dump() for run_id, served in kept.items()}, indent=1)
    replace_whole(folder / TRIALS / SERVED, text, folder)
    store = Store(folder)
    store.write_manifest({i: cell for i, cell in store.read_manifest().items() if i not in gone}, keep=False)


def _name(search: Search) -> str:
    assert search.group is not None
    strategy, forecaster, dataset, _ = search.group
    return f"{strategy}{'' if forecaster == 'none' else f' ({forecaster})'} on {dataset}"
