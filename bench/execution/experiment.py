"""From a TOML file to a list of runs with stable ids."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from pydantic import Field, field_validator, model_validator

import bench.execution.engines  # noqa: F401 - the built-in engines are registered
from bench.contracts.config import Config, Seed, build
from bench.contracts.dataset import resolve_dataset
from bench.contracts.discovery import Broken, home
from bench.contracts.engine import ENGINES
from bench.contracts.errors import BenchError
from bench.contracts.forecaster import FORECASTERS, ForecasterConfig, Task, TrainingConfig, abilities, check_task
from bench.contracts.protocol import Protocol, ProtocolSpec
from bench.contracts.registry import NAME, unknown
from bench.contracts.series import DriftSeries
from bench.contracts.strategy import GROUPS, STRATEGIES, Planned
from bench.evaluation.run_spec import (
    Choice,
    Pair,
    RunSpec,
    forecaster_config,
    run_id,
    served_rows,
    strategy_config,
    with_titles,
)
from bench.execution.tune.options import TuneOptions
from bench.results.record import Rows

KINDS = {"strategies": "strategy", "forecasters": "forecaster", "datasets": "dataset"}

MOST_AT_ONCE, LONGEST_WAIT = 1024, 1e9
"""Threads of a run, or runs at a time; and seconds, about thirty years."""


class _Checked(type(Config)):  # type: ignore[misc]
    """Makes ``Experiment(...)`` say what is wrong as the file's reader does."""

    def __call__(cls, **values: Any) -> Any:
        return build(cast("type[Experiment]", cls), values, "experiment")


class Experiment(Config, metaclass=_Checked):
    """An experiment; where names stand, tables with a plug-in's options may.

    Attributes:
        name: Folder of its results and its report.
        protocol: A preset's name, or a table with the fields of `ProtocolSpec`; or a list of them, each run on every
            dataset.
        strategies: Names, or groups as ``"@core"``.
        forecasters: For the strategies that adapt one.
        datasets: Names, or ``csv:PATH``.
        seeds: One run for each.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        threads: For each run.
        engine: Name of a registered engine.
        workers: How many runs at a time; by default as many as cores, or the machines of a cluster, allow.
        engine_options: Options of engines by name. In a file, a table that has the engine's name says the same.
        training: The recipe's settings where they differ from the forecaster's own.
        timeout: Seconds after which a run is given up, and its worker ended; None lets it run on.
        timing_blocks: Blocks that the timing pass measures; 0 leaves it out.
        trackers: Names of trackers that are told of each run, or tables with a name and options.
        tune: What ``bench tune`` tries; ``bench run`` leaves it alone.
        plugins: Files, packages or folders of plug-ins that the lists above name; in a file, relative to it. What they
            register runs where it is listed; what comes by ``--plugins`` joins the lists.

    Raises:
        BenchError: A key is unknown, or a value does not fit.

    Example:
        >>> from bench import Experiment
        >>> Experiment(
        ...     name="quick",
        ...     strategies=["persistence", {"name": "rls", "forgetting": 0.99}],
        ...     datasets=["realistic-drift"],
        ... ).engine
        'processes'
    """

    name: str
    protocol: str | dict[str, Any] | list[str | dict[str, Any]] = "day-ahead"
    strategies: list[str | dict[str, Any]] = Field(min_length=1)
    forecasters: list[str | dict[str, Any]] = Field([])
    datasets: list[str | dict[str, Any]] = Field(min_length=1)
    seeds: list[Seed] = Field([0], min_length=1)
    device: str = "auto"
    threads: int = Field(1, gt=0, le=MOST_AT_ONCE)
    engine: str = "processes"
    workers: int | None = Field(None, gt=0, le=MOST_AT_ONCE)
    engine_options: dict[str, dict[str, Any]] = Field({})
    training: dict[str, Any] = Field({})
    timeout: float | None = Field(None, gt=0, le=LONGEST_WAIT)
    timing_blocks: int = Field(50, ge=0)
    trackers: list[str | dict[str, Any]] = Field([])
    tune: TuneOptions = TuneOptions()
    plugins: list[str] = Field([])

    @field_validator("name")
    @classmethod
    def _is_a_name(cls, name: str) -> str:
        if not NAME.fullmatch(name):
            raise ValueError(f"name {name!r} must be lower-case letters, digits, '-', '_' and '.'")
        return name

    @model_validator(mode="before")
    @classmethod
    def _tables_of_engines(cls, values: Any) -> Any:
        """Tables that have an engine's name become `engine_options`."""
        if not isinstance(values, dict):
            return values
        engines = [*(entry.name for entry in ENGINES), values.get("engine")]
        tables = {key: value for key, value in values.items() if key in engines and key not in cls.model_fields}
        others = {key: value for key, value in values.items() if key not in tables}
        return others | {"engine_options": others.get("engine_options", {}) | tables} if tables else others


def experiment_files() -> dict[str, Path]:
    """Experiments by name: built in, and those of the working folder, which win."""
    folders = (home() / "experiments", Path("experiments"))
    return {file.stem: file for folder in folders for file in sorted(folder.glob("*.toml"))}


def load_experiment(name_or_path: str) -> Experiment:
    """Read an experiment: a TOML file, or the name of one in ``experiments/``.

    Raises:
        BenchError: It is not there, is not TOML, or has a key or value that does not fit.
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        found = experiment_files()
        if name_or_path not in found and path.is_file():
            said = f"a file of data becomes one by bench init data {name_or_path}"
            raise BenchError(f"{name_or_path} is no experiment, which is a TOML file: {said}")
        if name_or_path not in found:
            here = [f"{path}.toml"] if Path(f"{path}.toml").is_file() else []
            raise unknown("experiment", name_or_path, [*found, *here])
        path = found[name_or_path]
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise BenchError(f"{path}: no such experiment file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BenchError(f"{path}: not a TOML file: {error}") from None
    values = json.loads(json.dumps(values, default=str))  # TOML's dates become text: what options are stored as
    experiment = build(Experiment, {"name": path.stem} | values, str(path))
    return experiment.model_copy(update={"plugins": [_beside(path, name) for name in experiment.plugins]})


def _beside(file: Path, plugin: str) -> str:
    found = file.parent / Path(plugin).expanduser()
    if not found.exists():
        raise BenchError(
            f"{file}: plugins names {plugin!r}: no such file or folder. Its path is relative to {file.name}."
        )
    return str(found)


def with_plugins(
    experiment: Experiment, strategies: Iterable[str], forecasters: Iterable[str], datasets: Iterable[str]
) -> Experiment:
    """An experiment with what came by ``--plugins``, unless it lists the name; forecasters, unless it lists any."""
    update = {}
    for (key, kind), names in zip(KINDS.items(), (strategies, forecasters, datasets), strict=True):
        values = getattr(experiment, key)
        listed = {_name(value, kind) for value in values}
        if key != "forecasters" or not values:
            update[key] = [*values, *(name for name in names if name not in listed)]
    return experiment.model_copy(update=update)


def leave_out(experiment: Experiment, broken: Iterable[Broken]) -> tuple[Experiment, list[str]]:
    """An experiment without what files that cannot be loaded would have brought, and the names that it lacks now."""
    lost = [{name for file in broken for name in file.names[kind]} for kind in range(3)]
    update, names = {}, list[str]()
    for (key, kind), gone in zip(KINDS.items(), lost, strict=True):
        values = getattr(experiment, key)
        update[key] = [value for value in values if _name(value, kind) not in gone]
        names += [_name(value, kind) for value in values if _name(value, kind) in gone]
    if any(isinstance(value, str) and value.startswith("@") for value in experiment.strategies):
        names += sorted(lost[0] - {*names})  # of which group they are, nobody knows
    return experiment.model_copy(update=update), names


def protocols_of(experiment: Experiment) -> list[ProtocolSpec]:
    """The protocols of an experiment, in its order.

    Raises:
        BenchError: There is none, or a preset, a key or a value is wrong.
    """
    given = experiment.protocol if isinstance(experiment.protocol, list) else [experiment.protocol]
    if not given:
        raise BenchError(f"experiment {experiment.name!r} lists no protocol. Name one, or leave the key out.")
    return [ProtocolSpec.parse(value) for value in given]


def expand(experiment: Experiment, device: str) -> list[RunSpec]:
    """Every run of an experiment once, datasets outermost, then protocols.

    Args:
        device: Device, resolved (``cpu``, ``cuda:1`` ...); only its kind enters the ids.

    Raises:
        BenchError: A name or an option is wrong, a dataset cannot be loaded, or nothing is left to run.
    """
    pairs = pairs_of(experiment)
    runs = [run for value in experiment.datasets for run in runs_on(experiment, value, pairs, device)]
    return unique(with_titles(runs))


def unique(runs: Iterable[RunSpec]) -> list[RunSpec]:
    """Each run once, as it came first: what is listed twice, or spells out a default, is one run."""
    first: dict[str, RunSpec] = {}
    for run in runs:
        first.setdefault(run.run_id, run)
    return list(first.values())


def pairs_of(experiment: Experiment) -> list[Pair]:
    """Each strategy with each forecaster that it is to adapt (None for one that adapts none), options checked.

    Raises:
        BenchError: A name or an option is wrong, or no strategy is left.
    """
    strategies = [Choice.parse(value, "strategy") for value in spread_groups(experiment.strategies)]
    forecasters = [Choice.parse(value, "forecaster") for value in experiment.forecasters]
    forecasters = [replace(choice, options=_with_training(choice, experiment.training)) for choice in forecasters]
    if not strategies:
        raise BenchError(f"experiment {experiment.name!r} selects no strategy")
    if not forecasters:  # which have settings of their own, and are asked
        build(TrainingConfig, experiment.training, f"experiment {experiment.name!r}: training")
    for choice in strategies:
        strategy_config(choice)
        if STRATEGIES[choice.name].cls.uses_forecaster and not forecasters:
            raise BenchError(
                f"strategy {choice.name!r} adapts a forecaster, but the experiment names none (forecasters). "
                f"Name one: --forecaster dlinear, or forecasters = [...] in its file."
            )
    for choice in forecasters:
        forecaster_config(choice)
    return [
        (strategy, forecaster)
        for strategy in strategies
        for forecaster in (forecasters if STRATEGIES[strategy.name].cls.uses_forecaster else [None])
    ]


def runs_on(
    experiment: Experiment, value: str | dict[str, Any], pairs: Iterable[Pair], device: str, rows: Rows = "stream"
) -> list[RunSpec]:
    """The runs of some pairs on one dataset, protocol by protocol, pair by pair, one for each seed.

    Args:
        value: A dataset as the experiment gives it.
        pairs: From `pairs_of`, perhaps with other options.

    Raises:
        BenchError: The dataset cannot be loaded, or is too short.
    """
    specs = protocols_of(experiment)
    dataset = Choice.parse(value, "dataset")
    resolved = resolve_dataset(dataset.name, dataset.options)
    loaded = resolved.chosen()
    series = served_rows(loaded, rows)
    pairs, runs = list(pairs), list[RunSpec]()
    for protocol in [spec.resolve(loaded) for spec in specs]:
        _require_fits(pairs, dataset, Task.of(series, protocol), device)
        _require_service(pairs, dataset, protocol, series)
        for strategy, forecaster in pairs:
            for seed in experiment.seeds:
                run = RunSpec(
                    experiment=experiment.name,
                    strategy=strategy,
                    forecaster=forecaster,
                    dataset=dataset,
                    protocol=protocol,
                    seed=seed,
                    device=device,
                    threads=experiment.threads,
                    run_id="",
                    skip=_why_not(strategy, forecaster),
                    rows=rows,
                    hidden=series.target_index is None,
                    data=f"file {series.training_fingerprint}" if resolved.is_file else dataset.name,
                    fingerprint=series.fingerprint,
                )
                runs.append(replace(run, run_id=run_id(run, series)))
    return runs


def _why_not(strategy: Choice, forecaster: Choice | None) -> str:
    """Why a strategy cannot serve with a forecaster; empty if it can."""
    if forecaster is None:
        return ""
    missing = STRATEGIES[strategy.name].cls.needs - abilities(FORECASTERS[forecaster.name].cls)
    return f"{strategy.name} needs {' and '.join(sorted(missing))}, which {forecaster.name} lacks" if missing else ""


def stated_options(choice: Choice, training: dict[str, Any]) -> dict[str, Any]:
    """A forecaster's options without the training settings that it would have anyway."""
    usual = _with_training(Choice(choice.name, {}), training)["training"]
    given = choice.options["training"]
    differs = {key: value for key, value in given.items() if key not in usual or usual[key] != value}
    others = {key: value for key, value in choice.options.items() if key != "training"}
    return others | ({"training": differs} if differs else {})


def given_options(experiment: Experiment, choice: Choice | None) -> dict[str, Any]:
    """What an experiment says of a forecaster's options, defaults that it repeats included."""
    training = experiment.training
    for value in experiment.forecasters:
        given = Choice.parse(value, "forecaster")
        if replace(given, options=_with_training(given, training)) == choice:
            return given.options | {"training": training | given.options.get("training", {})}
    return {"training": training}


def _require_fits(pairs: Iterable[Pair], dataset: Choice, task: Task, device: str) -> None:
    """Refuse a forecaster whose options cannot serve the task that a dataset and the protocol set."""
    fitting: list[Choice] = []
    for _, forecaster in pairs:
        if forecaster is None or forecaster in fitting:
            continue
        fitting.append(forecaster)
        try:
            check_task(FORECASTERS[forecaster.name].cls, forecaster_config(forecaster), task, device.partition(":")[0])
        except BenchError as error:
            raise BenchError(f"forecaster {forecaster.name!r} on dataset {dataset.name!r}: {error}") from None


def _require_service(pairs: Iterable[Pair], dataset: Choice, protocol: Protocol, series: DriftSeries) -> None:
    """Refuse a strategy whose options cannot serve what a dataset, a protocol and its forecaster's options ask."""
    task, split = Task.of(series, protocol), series.split
    history = split.train if protocol.warm_start else split.validation
    for strategy, forecaster in pairs:
        if _why_not(strategy, forecaster):
            continue  # the record says so
        cls = FORECASTERS[forecaster.name].cls if forecaster else None
        options = forecaster_config(forecaster) if forecaster else None
        try:
            STRATEGIES[strategy.name].cls.check_service(
                strategy_config(strategy), Planned(protocol, task, history, cls, options)
            )
        except BenchError as error:
            on = f" on forecaster {forecaster.name!r}" if forecaster else ""
            raise BenchError(f"strategy {strategy.name!r}{on} on dataset {dataset.name!r}: {error}") from None


def _with_training(choice: Choice, training: dict[str, Any]) -> dict[str, Any]:
    """A forecaster's options, with the experiment's training settings between its own defaults and its own table."""
    config: type[ForecasterConfig] = FORECASTERS[choice.name].cls.Config
    own = config.model_fields["training"].get_default(call_default_factory=True).model_dump()
    given = choice.options.get("training", {})
    return choice.options | {"training": own | training | given if isinstance(given, dict) else given}


def spread_groups(values: Iterable[str | dict[str, Any]]) -> list[str | dict[str, Any]]:
    """Replace each ``"@group"`` by the names in it that are not listed on their own."""
    values = list(values)
    named = {_name(value, "strategy") for value in values}
    spread: list[str | dict[str, Any]] = []
    for value in values:
        if isinstance(value, str) and value.startswith("@"):
            if value[1:] not in GROUPS:
                raise unknown("group of strategies", value, [f"@{group}" for group in GROUPS])
            spread += [e.name for e in STRATEGIES if e.cls.group == value[1:] and e.name not in named]
        else:
            spread.append(value)
    return spread


def _name(value: str | dict[str, Any], kind: str) -> str:
    return Choice.parse(value, kind).name
