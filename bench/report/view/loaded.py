"""An experiment as it was read: its records, what they sum up to, and what stands beside them."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property, wraps
from typing import Any, TypeVar

import pandas as pd

from bench.analysis import Question, leaderboard, overall, questions, stretch_length
from bench.analysis.estimated_drift import read_drifts
from bench.contracts.protocol import Protocol
from bench.report.view.origin_errors import OriginErrors, read_origin_errors
from bench.report.view.throughput import Throughput
from bench.report.view.traces import read_traces
from bench.report.view.tuning import Tuning
from bench.results.audit import Audit
from bench.results.disk import CHANGE_POINTS
from bench.results.frame import MetricColumn, metric_columns, shown_metrics
from bench.results.record import PluginRecord, Record, Timing
from bench.results.store import FORECASTS, Store

T = TypeVar("T")


@dataclass(frozen=True)
class Lost:
    """A run that the experiment lists, and that cannot be reported on.

    Attributes:
        run_id: Of the run.
        state: ``missing``, ``damaged``, or ``newer``: by a later version of this package.
        reason: What is wrong.
        strategy: Its name, and its forecaster's in brackets; the run's id where the list does not say.
        dataset: Its name; empty where the list does not say.
        seed: Likewise.
    """

    run_id: str
    state: str
    reason: str
    strategy: str
    dataset: str = ""
    seed: str = ""


@dataclass(frozen=True, eq=False)
class Results:
    """One experiment.

    Attributes:
        store: Where it lies.
        runs: A row for each run that counts, with the columns of `with_entries`.
        records: By run id, of the same runs.
        timings: Timing passes by run id.
        audits: What the leak canary said of each run's strategy, by run id; those without one are left out.
        replaced: Runs left out because a later one took their place.
        lost: Runs that the experiment lists, and that are in no table, as nothing whole is there of them.
        tuning: Its trials of options, if it has any.
        throughput: What `make throughput` left, if anything.
        page: Scenarios that the page at hand is about; empty on the report's own.
        draws: Whether the page at hand has figures.
        kept: What `derived` functions gave.
    """

    store: Store
    runs: pd.DataFrame
    records: dict[str, Record]
    timings: dict[str, Timing]
    audits: dict[str, Audit]
    replaced: int
    lost: tuple[Lost, ...]
    tuning: Tuning | None = None
    throughput: Throughput | None = None
    page: tuple[str, ...] = ()
    draws: bool = True
    kept: dict[str, Any] = field(default_factory=dict)

    def on(self, scenario: str, *, draws: bool) -> Results:
        """The same experiment, for a page on one scenario."""
        page = copy(self)  # with all that was computed so far
        page.__dict__.update(page=(scenario,), draws=draws)
        return page

    @property
    def name(self) -> str:
        """The experiment's name."""
        return next(iter(self.records.values())).experiment

    @cached_property
    def scenarios(self) -> list[str]:
        """Names of what entries are compared on: dataset and protocol."""
        return sorted(self.runs["scenario"].unique())

    @cached_property
    def ok(self) -> pd.DataFrame:
        """The runs that ended well."""
        return self.runs[self.runs["status"] == "ok"]

    @cached_property
    def metrics(self) -> list[MetricColumn]:
        """The metrics that some run has a value of, in the order of their columns."""
        return shown_metrics(metric_columns(self.records.values()), self.ok)

    @cached_property
    def board(self) -> pd.DataFrame:
        """`leaderboard` of all runs."""
        return leaderboard(self.runs)

    def board_of(self, scenario: str) -> pd.DataFrame:
        """The leaderboard of one scenario, best first."""
        return self._boards[scenario]

    @cached_property
    def _boards(self) -> dict[str, pd.DataFrame]:
        return {str(scenario): board for scenario, board in self.board.groupby("scenario", sort=False)}

    @cached_property
    def overall(self) -> pd.DataFrame:
        """`overall` of the leaderboard."""
        return overall(self.board)

    def records_of(self, scenario: str) -> list[Record]:
        """Records of one scenario's runs, whatever became of them."""
        return self._records[scenario]

    @cached_property
    def _records(self) -> dict[str, list[Record]]:
        by_scenario = self.runs.groupby("scenario", sort=False)["run_id"]
        return {str(scenario): [self.records[run_id] for run_id in ids] for scenario, ids in by_scenario}

    def first(self, scenario: str) -> Record:
        """One record of a scenario: for what all of them share."""
        return self.records_of(scenario)[0]

    @cached_property
    def origin_errors(self) -> dict[str, OriginErrors]:
        """Of each scenario in which anything ended well and left errors at its origins."""
        return read_origin_errors(lambda _: self.store, self.ok)

    @cached_property
    def streams(self) -> dict[str, pd.DataFrame]:
        """For each scenario, the MSE at each origin (index) of each entry (columns), mean over seeds."""
        return {scenario: found.mean for scenario, found in self.origin_errors.items()}

    @cached_property
    def times(self) -> dict[str, pd.Series]:
        """For each scenario, the time stamp of each origin (index): ``datetime64`` or integers."""
        return {scenario: found.times for scenario, found in self.origin_errors.items()}

    def errors_by_seed(self, scenario: str) -> dict[str, pd.DataFrame]:
        """For each entry, the MSE at each origin (index) of each seed (columns)."""
        found = self.origin_errors.get(scenario)
        return found.by_seed if found else {}

    def overlap(self, scenario: str) -> int:
        """Forecast origins whose truths overlap: ``ceil(H / S)``."""
        return overlap_of(self.first(scenario).protocol)

    def stretch(self, scenario: str) -> int:
        """Origins in a stretch at least, see `stretch_length`."""
        return stretch_of(self.first(scenario), len(self.streams.get(scenario, ())))

    @cached_property
    def questions(self) -> list[Question]:
        """What the strategies say of each other: which two differ in what."""
        return questions(self.strategies.values())

    @property
    def colours(self) -> dict[str, str]:
        """The colours that strategies state, by name; empty for one that states none."""
        return {name: strategy.colour for name, strategy in self.strategies.items()}

    @cached_property
    def strategies(self) -> dict[str, PluginRecord]:
        """What each strategy says of itself, by name, in the run that was started last."""
        ordered = sorted(self.records.values(), key=lambda record: str(record.environment.get("started", "")))
        return {record.strategy.name: record.strategy for record in ordered}

    @cached_property
    def traces(self) -> pd.DataFrame:
        """`read_traces` of all runs that ended well."""
        return read_traces(self.store, self.ok)

    def forecasts(self, scenario: str, entry: str) -> pd.DataFrame | None:
        """``forecasts.parquet`` of an entry's lowest seed, or None where there is none."""
        here = self.ok[(self.ok["scenario"] == scenario) & (self.ok["entry"] == entry)].sort_values("seed")
        return self.store.read_frame(here["run_id"].iloc[0], FORECASTS) if len(here) else None

    def events_of(self, scenario: str) -> list[tuple[int, str]]:
        """First row and name of each known drift within the stream, in order."""
        dataset = self.first(scenario).dataset
        _, start, end = dataset.borders
        return sorted((event.row, event.name) for event in dataset.events if start <= event.row < end)

    def estimated_of(self, scenario: str) -> list[int]:
        """Rows within the stream at which change points were estimated, in order; none where nobody looked."""
        dataset = self.first(scenario).dataset
        _, start, end = dataset.borders
        found = read_drifts(self.store.folder / CHANGE_POINTS, dataset.fingerprint) or []
        return [drift.row for drift in found if start <= drift.row < end]


def overlap_of(protocol: Protocol) -> int:
    """Forecast origins whose truths overlap: ``ceil(H / S)``."""
    return -(-protocol.horizon // protocol.stride)


def stretch_of(record: Record, origins: int) -> int:
    """Origins in a stretch at least of such a run, see `stretch_length`."""
    protocol, season = record.protocol, record.dataset.season
    return stretch_length(
        origins, overlap_of(protocol), season // protocol.stride if season else None, protocol.horizon
    )


def derived(function: Callable[[Results], T]) -> Callable[[Results], T]:
    """Compute what an analysis makes of an experiment once, and keep it as long as the experiment."""
    key = f"{function.__module__}.{function.__qualname__}"

    @wraps(function)
    def once(results: Results) -> T:
        if key not in results.kept:
            results.kept[key] = function(results)
        found: T = results.kept[key]
        return found

    return once
