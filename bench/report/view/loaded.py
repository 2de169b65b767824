"""An experiment as the report sees it: its records, and what the analysis makes of them."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from bench.analysis import (
    cost_table,
    error_shares,
    fullest,
    label_curves,
    label_gains,
    label_worth,
    leaderboard,
    mean_by,
    overall,
    stretch_length,
)
from bench.analysis.estimated_drift import read_drifts
from bench.report.render.markdown import marked
from bench.report.view.around_events import around_drifts
from bench.report.view.comparisons import (
    memory_contrasts,
    pairs_of_all,
    pairs_of_the_best,
    ratios_to_persistence,
    what_pays,
)
from bench.report.view.detail import Focus, focus_of
from bench.report.view.drift_measures import KnownDrifts
from bench.report.view.drift_sets import drift_sets
from bench.report.view.error_parts import error_parts
from bench.report.view.origin_errors import OriginErrors, read_origin_errors
from bench.report.view.rankings import Ranking, ranking
from bench.report.view.traces import read_traces
from bench.results.audit import Audit
from bench.results.disk import CHANGE_POINTS
from bench.results.frame import MetricColumn, metric_columns, shown_metrics
from bench.results.record import Record, Timing
from bench.results.store import FORECASTS, Store


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
    """

    store: Store
    runs: pd.DataFrame
    records: dict[str, Record]
    timings: dict[str, Timing]
    audits: dict[str, Audit]
    replaced: int
    lost: tuple[Lost, ...]

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
    def names(self) -> dict[str, str]:
        """Each entry's name as Markdown, with its group and, where it has a result, its audit (see `marked`)."""
        return {
            row["entry"]: marked(row["entry"], row["group"], row["audit"] if row["scenarios"] else "")
            for _, row in self.overall.iterrows()
        }

    @cached_property
    def overall(self) -> pd.DataFrame:
        """`overall` of the leaderboard."""
        return overall(self.board)

    @cached_property
    def cost(self) -> pd.DataFrame:
        """`cost_table` of all runs."""
        return cost_table(self.runs)

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
        return read_origin_errors(self.store, self.ok)

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
        protocol = self.first(scenario).protocol
        return -(-protocol.horizon // protocol.stride)

    def season(self, scenario: str) -> int | None:
        """Origins in a season; None where there is none."""
        first = self.first(scenario)
        return first.dataset.season // first.protocol.stride if first.dataset.season else None

    @cached_property
    def ratios(self) -> pd.DataFrame:
        """`ratios_to_persistence` of each scenario that has it."""
        return ratios_to_persistence(self)

    @cached_property
    def ablations(self) -> pd.DataFrame:
        """`memory_contrasts` of each scenario."""
        return memory_contrasts(self)

    @cached_property
    def skill_intervals(self) -> pd.DataFrame:
        """`what_pays` in each scenario."""
        return what_pays(self)

    @cached_property
    def pairs(self) -> pd.DataFrame:
        """`pairs_of_all` scenarios."""
        return pairs_of_all(self)

    def pairs_of(self, scenario: str) -> pd.DataFrame:
        """The pairs of one scenario."""
        return self._pairs.get(scenario, self.pairs.head(0))

    @cached_property
    def _pairs(self) -> dict[str, pd.DataFrame]:
        return {str(scenario): pairs for scenario, pairs in self.pairs.groupby("scenario", sort=False)}

    @cached_property
    def _against_best(self) -> dict[str, pd.DataFrame]:
        return pairs_of_the_best(self)

    def against_best(self, scenario: str) -> pd.DataFrame:
        """The pairs of a scenario's best entry, in the order of the leaderboard, `with_intervals`."""
        return self._against_best[scenario]

    @cached_property
    def ranking(self) -> Ranking | None:
        """The entries over all datasets; None with fewer than two."""
        return ranking(self)

    @cached_property
    def label_curves(self) -> pd.DataFrame:
        """`label_curves` of all runs."""
        return label_curves(self.runs)

    @property
    def label_families(self) -> list[pd.DataFrame]:
        """The rows of each family of `label_curves`."""
        return [here for _, here in self.label_curves.groupby(["kind", "family"], sort=False)]

    @property
    def shown_families(self) -> list[pd.DataFrame]:
        """Those whose scenario with most labels is in focus: these have a figure and tables."""
        return [here for here in self.label_families if fullest(here) in self.focus.shown]

    @cached_property
    def label_worth(self) -> pd.DataFrame:
        """`label_worth` of each family of `label_curves`."""
        frames = []
        for here in self.label_families:
            main = fullest(here)
            overlap = self.overlap(main)
            stretch = stretch_length(len(self.streams.get(main, [])), overlap, self.season(main))
            frames.append(label_worth(here, self._errors_of(here), overlap, stretch))
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()

    @cached_property
    def label_gains(self) -> pd.DataFrame:
        """`label_gains` of each family of `label_curves`."""
        found = [label_gains(here, self._errors_of(here), self.overlap(fullest(here))) for here in self.label_families]
        return pd.concat(found, ignore_index=True) if found else pd.DataFrame()

    def _errors_of(self, family: pd.DataFrame) -> dict[str, dict[str, pd.DataFrame]]:
        """`errors_by_seed` of each scenario of a family."""
        return {str(scenario): self.errors_by_seed(str(scenario)) for scenario in family["scenario"].unique()}

    @cached_property
    def in_detail(self) -> list[str]:
        """Of scenarios that differ in their labels alone, only the one with most of them and earliest; all others."""
        aside = {str(s) for here in self.label_families for s in set(here["scenario"]) - {fullest(here)}}
        return [scenario for scenario in self.scenarios if scenario not in aside]

    @cached_property
    def aside(self) -> list[str]:
        """The other scenarios: those with fewer, later or leaked labels."""
        return [scenario for scenario in self.scenarios if scenario not in self.in_detail]

    @cached_property
    def focus(self) -> Focus:
        """Of the scenarios in detail, those that have sections and figures of their own on the page at hand."""
        return focus_of(self._boards, self.in_detail)

    @property
    def elsewhere(self) -> list[str]:
        """Scenarios that have a page of their own, as the report's shows too many others."""
        if len(self.focus.shown) == len(self.in_detail):
            return []
        return [scenario for scenario in [*self.in_detail, *self.aside] if scenario not in self.focus.shown]

    def on(self, *scenarios: str) -> Results:
        """The same results, for a page on these scenarios."""
        page = copy(self)  # with all that was computed so far
        page.__dict__["focus"] = Focus(scenarios)
        return page

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

    @cached_property
    def known_drifts(self) -> KnownDrifts:
        """The sets whose truth is known, and their measures."""
        return KnownDrifts(drift_sets(self))

    @cached_property
    def recovery(self) -> dict[str, pd.DataFrame]:
        """`around_drifts` of each scenario that has one."""
        return around_drifts(self)

    @cached_property
    def by_channel(self) -> pd.DataFrame:
        """Columns ``scenario, entry, channel, mse, mae, share``, means over seeds."""
        return error_shares(mean_by(error_parts(self.ok, self.records, "channel"), "channel"))

    @cached_property
    def by_lead(self) -> pd.DataFrame:
        """Columns ``scenario, entry, lead, mse, mae``, means over seeds."""
        return mean_by(error_parts(self.ok, self.records, "lead"), "lead")
