"""One run as names and numbers, and its id: a hash of everything that decides the outcome."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from bench.contracts.config import build
from bench.contracts.errors import BenchError
from bench.contracts.forecaster import FORECASTERS, fits_itself
from bench.contracts.naming import Called, place_of, titles
from bench.contracts.outcomes import harness_sha
from bench.contracts.protocol import Protocol
from bench.contracts.series import DriftSeries
from bench.contracts.strategy import STRATEGIES
from bench.results.record import Rows
from bench.results.run_key import run_key


@dataclass(frozen=True)
class Choice:
    """A plug-in's name and the options given to it."""

    name: str
    options: dict[str, Any]

    @classmethod
    def parse(cls, value: str | dict[str, Any], kind: str) -> Choice:
        """A name, or a table with ``name`` and options."""
        if isinstance(value, str):
            return cls(value, {})
        if not isinstance(value.get("name"), str):
            raise BenchError(f"a {kind} given as a table needs a name: {value}")
        return cls(value["name"], {k: v for k, v in value.items() if k != "name"})


Pair = tuple[Choice, Choice | None]
"""A strategy, and the forecaster that it adapts."""


@dataclass(frozen=True)
class RunSpec:
    """One run, as names and numbers, that a worker can be sent.

    Attributes:
        forecaster: None for a strategy that adapts none.
        protocol: Resolved for the dataset.
        seed: Of weights, batches and the strategy's generator.
        threads: For torch.
        run_id: Hash of everything that decides the outcome.
        skip: Why the run is skipped; empty if it is not.
        rows: ``validation`` ends the run where its stream would begin; no later row is in its series.
        hidden: Whether the targets are not among the inputs.
        data: Identity of the data in ids and in the seed of the strategy's generator: for a user's file a hash of its
            rows before the stream, independent of its path; for other datasets empty, then their name counts.
        fingerprint: Of all rows.
        title: Name of the dataset in tables; its own name if empty.
    """

    experiment: str
    strategy: Choice
    forecaster: Choice | None
    dataset: Choice
    protocol: Protocol
    seed: int
    device: str
    threads: int
    run_id: str
    skip: str = ""
    rows: Rows = "stream"
    hidden: bool = False
    data: str = ""
    fingerprint: str = ""
    title: str = ""

    @property
    def identity(self) -> str:
        """Identity of the data in the id."""
        return self.data or self.dataset.name

    @property
    def shown(self) -> str:
        """Name of the dataset in messages."""
        return self.title or self.dataset.name

    @property
    def called(self) -> Called:
        """Name of the dataset, without regard to others."""
        return Called.of(self.dataset.name, self.dataset.options, self.fingerprint)

    @property
    def label(self) -> str:
        """Short text for progress lines."""
        forecaster = f" ({self.forecaster.name})" if self.forecaster else ""
        return f"{self.strategy.name}{forecaster} on {self.shown}, seed {self.seed}"


def with_titles(runs: Iterable[RunSpec]) -> list[RunSpec]:
    """The runs of one experiment, with a unique title for each dataset."""
    runs = list(runs)
    called = [run.called for run in runs]
    names = titles(called)
    return [replace(run, title=names[one.key].name) for run, one in zip(runs, called, strict=True)]


def served_rows(series: DriftSeries, rows: Rows) -> DriftSeries:
    """The rows of a series that a run may hold, checked; without the stream if only validation rows are served."""
    return (series.before_stream() if rows == "validation" else series).validated()


def strategy_config(choice: Choice) -> Any:
    """The strategy's options, defaults included; `BenchError` if one is wrong."""
    return build(STRATEGIES[choice.name].cls.Config, choice.options, f"strategy {choice.name!r}")


def forecaster_config(choice: Choice) -> Any:
    """The forecaster's options, defaults included; `BenchError` if one is wrong."""
    return build(FORECASTERS[choice.name].cls.Config, choice.options, f"forecaster {choice.name!r}")


def run_id(run: RunSpec, series: DriftSeries) -> str:
    """Hash of everything that decides a run's outcome: code, data, options, protocol, seed, kind of device."""
    forecaster = FORECASTERS[run.forecaster.name].sha if run.forecaster else ""
    return _run_id(run, series, {"harness": harness_sha()}, STRATEGIES[run.strategy.name].sha, forecaster)


def earlier_run_id(run: RunSpec, series: DriftSeries, strategy: str, forecaster: str = "", *, dataset: str) -> str:
    """The run's id in versions of this package that wrote records of schema 2 and before.

    Args:
        strategy: Hash of the strategy's file, as those versions computed it; ``forecaster`` too, empty without one.
        dataset: The dataset's name, with the path of a file as it was written then.
    """
    return _run_id(replace(run, data=dataset), series, {"schema": 1}, strategy, forecaster)


def run_id_of_path(run: RunSpec, series: DriftSeries, dataset: str) -> str:
    """The run's id when the path of a user's file was part of it; ``dataset`` is the name with that path."""
    return run_id(replace(run, data=dataset), series)


_DUMPED: dict[tuple[type[Any], str], dict[str, Any]] = {}
"""Cache of options with their defaults, by class and given options."""


def _dumped(config: type[Any], choice: Choice, build_config: Callable[[Choice], Any]) -> dict[str, Any]:
    key = config, repr(choice.options)
    if key not in _DUMPED:
        _DUMPED[key] = build_config(choice).model_dump(mode="json")
    return _DUMPED[key]


def _run_id(run: RunSpec, series: DriftSeries, decides: dict[str, Any], strategy_sha: str, forecaster_sha: str) -> str:
    strategy = STRATEGIES[run.strategy.name]
    decides |= {
        "strategy": [strategy.name, strategy_sha, _dumped(strategy.cls.Config, run.strategy, strategy_config)],
        "dataset": [run.identity, series.fingerprint],
        "protocol": run.protocol.model_dump(mode="json"),
        "seed": run.seed,
        "device": run.device.partition(":")[0],
    }
    if run.rows != "stream":
        decides["rows"] = run.rows
    if run.forecaster:
        forecaster = FORECASTERS[run.forecaster.name]
        config = _dumped(forecaster.cls.Config, run.forecaster, forecaster_config)
        if fits_itself(forecaster.cls) and not strategy.cls.needs:
            config = {name: value for name, value in config.items() if name != "training"}  # it has no effect
        decides["forecaster"] = [forecaster.name, forecaster_sha, config]
    digest = hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()
    return digest[:20]


def run_keys(runs: list[RunSpec]) -> dict[str, str]:
    """The key of each run, a line of JSON, by run id; for a user's file with a hash of its path."""
    datasets, cells = dict[int, tuple[str, dict[str, Any]]](), dict[str, str]()
    for run in runs:
        if (shared := id(run.dataset)) not in datasets:  # a file that many runs share is looked for once
            data, place = run.called, place_of(run.dataset.name, run.dataset.options)
            datasets[shared] = data.name, data.given | ({"path": place} if place else {})
        forecaster = (run.forecaster.name, run.forecaster.options) if run.forecaster else None
        strategy = run.strategy.name, run.strategy.options
        cells[run.run_id] = run_key(strategy, forecaster, datasets[shared], run.protocol, run.seed)
    return cells
