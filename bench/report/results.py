"""An experiment as the report sees it: its records, and what the analysis makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from bench.analysis import (
    MEMORY_QUESTIONS,
    Span,
    all_pairs,
    around_events,
    contrasts,
    cost_table,
    error_shares,
    fullest,
    geometric_ratio,
    label_curves,
    label_gains,
    label_worth,
    leaderboard,
    mean_by,
    median_ratio,
    median_trace,
    over_scenarios,
    overall,
    pays,
    stretch_length,
    with_intervals,
)
from bench.analysis.leaderboard import PERSISTENCE
from bench.analysis.pays import COLUMNS as SKILLS
from bench.audit import Audit
from bench.estimated_drift import FOLDER, read_drifts
from bench.record import Record, Timing
from bench.report.drift_measures import KnownDrifts
from bench.report.drift_sets import drift_sets
from bench.report.focus import Focus, focus_of
from bench.report.markdown import marked
from bench.report.origin_errors import OriginErrors, read_origin_errors
from bench.report.rankings import Ranking, ranking
from bench.store import FORECASTS, TRACE, Store

ENTRY = ["entry", "strategy", "base", "strategy_config"]


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
        unreadable: Runs whose record could not be read.
    """

    store: Store
    runs: pd.DataFrame
    records: dict[str, Record]
    timings: dict[str, Timing]
    audits: dict[str, Audit]
    replaced: int
    unreadable: int

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
        """Columns ``scenario, entry, ratio, median, stretch``: `geometric_ratio` and `median_ratio` to persistence.

        Scenarios without persistence are left out.
        """
        rows = []
        for scenario, errors in self.streams.items():
            board = self.board_of(scenario)
            reference = [e for e in board.loc[board["strategy"] == PERSISTENCE, "entry"] if e in errors]
            if not reference:
                continue
            stretch = stretch_length(len(errors), self.overlap(scenario), self.season(scenario))
            by_seed = self.errors_by_seed(scenario)
            for entry, own in sorted(by_seed.items()):
                ratios = (measure(own, by_seed[reference[0]], stretch) for measure in (geometric_ratio, median_ratio))
                rows.append((scenario, entry, *ratios, stretch))
        return pd.DataFrame(rows, columns=["scenario", "entry", "ratio", "median", "stretch"])

    @cached_property
    def contrasts(self) -> pd.DataFrame:
        """`contrasts` of each scenario for the questions about memory, with a column ``scenario`` in front."""
        frames = []
        first = self.ok.drop_duplicates(["scenario", "entry"])[["scenario", *ENTRY]]
        entries = {str(scenario): here for scenario, here in first.groupby("scenario", sort=False)}
        for scenario in self.scenarios:
            if scenario not in entries:
                continue
            found = contrasts(
                entries[scenario], self.errors_by_seed(scenario), self.overlap(scenario), MEMORY_QUESTIONS
            )
            if len(found):
                found.insert(0, "scenario", scenario)
                frames.append(found)
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()

    @cached_property
    def pays(self) -> pd.DataFrame:
        """`pays` of the ranked entries of each scenario, best first, with a column ``scenario`` in front."""
        frames = [pd.DataFrame(columns=["scenario", *SKILLS])]
        entries = self.ok.drop_duplicates(["scenario", "entry"])
        for scenario in self.scenarios:
            board = self.board_of(scenario)
            ranked = board.loc[board["rank"].notna(), "entry"].tolist()
            here = entries[(entries["scenario"] == scenario) & entries["entry"].isin(ranked)]
            found = pays(here, self.errors_by_seed(scenario), self.overlap(scenario))
            found.insert(0, "scenario", scenario)
            places = found["entry"].map(ranked.index).to_numpy()
            frames.append(found.iloc[np.argsort(places, kind="stable")])
        return pd.concat([frame for frame in frames if len(frame)] or frames[:1], ignore_index=True)

    @cached_property
    def pairs(self) -> pd.DataFrame:
        """`all_pairs` of the ranked entries of each scenario, `over_scenarios`."""
        found = {}
        for scenario in self.scenarios:
            board = self.board_of(scenario)
            entries = board.loc[board["rank"].notna(), "entry"].tolist()
            found[scenario] = all_pairs(self.errors_by_seed(scenario), entries, self.overlap(scenario))
        return over_scenarios(found)

    def pairs_of(self, scenario: str) -> pd.DataFrame:
        """The pairs of one scenario."""
        return self._pairs.get(scenario, self.pairs.head(0))

    @cached_property
    def _pairs(self) -> dict[str, pd.DataFrame]:
        return {str(scenario): pairs for scenario, pairs in self.pairs.groupby("scenario", sort=False)}

    @cached_property
    def _against_best(self) -> dict[str, pd.DataFrame]:
        found = {}
        for scenario in self.scenarios:
            board = self.board_of(scenario)
            best = board.loc[board["rank"].notna(), "entry"].head(1).tolist()
            pairs = self.pairs_of(scenario)
            pairs = pairs[pairs["one"].isin(best)]
            found[scenario] = with_intervals(pairs, self.errors_by_seed(scenario), self.overlap(scenario))
        return found

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
        """Columns ``scenario, entry, origin, time, name, value``: `median_trace` of each entry that left one."""
        names, frames = ["origin", "time", "name", "value"], []
        for (scenario, entry), runs in self.ok.groupby(["scenario", "entry"], sort=True)["run_id"]:
            read = [self.store.read_columns(run_id, TRACE, names) for run_id in runs]
            if kept := [columns for columns in read if columns is not None and len(columns["origin"])]:
                together = {name: np.concatenate([columns[name] for columns in kept]) for name in names}
                frames.append(pd.DataFrame({"scenario": str(scenario), "entry": str(entry)} | together))
        by = ["scenario", "entry"]
        return median_trace(frames, by) if frames else pd.DataFrame(columns=[*by, *names])

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
        found = read_drifts(self.store.folder / FOLDER, dataset.fingerprint) or []
        return [drift.row for drift in found if start <= drift.row < end]

    @cached_property
    def known_drifts(self) -> KnownDrifts:
        """The sets whose truth is known, and their measures."""
        return KnownDrifts(drift_sets(self))

    @cached_property
    def recovery(self) -> dict[str, pd.DataFrame]:
        """`around_events` of each scenario that has a drift, unless its truth is known: `known_drifts` has more."""
        found = {}
        for scenario, errors in self.streams.items():
            record = self.first(scenario)
            if record.dataset.truth is not None:
                continue
            table = around_events(
                errors,
                self.events_of(scenario),
                self.spans(scenario),
                record.protocol.horizon,
                record.dataset.borders[2],
            )
            if len(table):
                found[scenario] = table
        return found

    def spans(self, scenario: str) -> list[Span]:
        """What is looked at after a drift: 1, 7 and 28 days, or 10, 50 and 200 origins where a day holds none."""
        stride = self.first(scenario).protocol.stride
        day = self.rows_per_day(scenario)
        if day is not None and day >= stride:
            return [Span("1 day", day), Span("7 days", 7 * day), Span("28 days", 28 * day)]
        return [Span(f"{n} origins", n * stride) for n in (10, 50, 200)]

    def rows_per_day(self, scenario: str) -> int | None:
        """Rows of the series in a day; None where time stamps are no dates, or rows further apart than a day."""
        times = self.times[scenario]
        if len(times) < 2 or not isinstance(times.iloc[0], pd.Timestamp):
            return None
        steps = np.diff(times.to_numpy()) / np.diff(times.index.to_numpy())
        rows = np.timedelta64(1, "D") / np.median(steps)
        return round(float(rows)) if rows >= 0.99 else None

    @cached_property
    def by_channel(self) -> pd.DataFrame:
        """Columns ``scenario, entry, channel, mse, mae, share``, means over seeds."""
        return error_shares(mean_by(self._parts("channel"), "channel"))

    @cached_property
    def by_lead(self) -> pd.DataFrame:
        """Columns ``scenario, entry, lead, mse, mae``, means over seeds."""
        return mean_by(self._parts("lead"), "lead")

    def _parts(self, part: str) -> pd.DataFrame:
        columns: dict[str, list[Any]] = {name: [] for name in ("scenario", "entry", "seed", part, "mse", "mae")}
        for run_id, scenario, entry, seed in zip(
            *(self.ok[name] for name in ("run_id", "scenario", "entry", "seed")), strict=True
        ):
            record = self.records[run_id]
            errors = record.errors
            if errors is None:
                continue
            mse = errors.mse_by_channel if part == "channel" else errors.mse_by_lead
            mae = errors.mae_by_channel if part == "channel" else errors.mae_by_lead
            names: Sequence[Any] = record.dataset.targets if part == "channel" else range(1, len(mse) + 1)
            values = ([scenario] * len(mse), [entry] * len(mse), [seed] * len(mse), names, mse, mae)
            for column, more in zip(columns.values(), values, strict=True):
                column.extend(more)
        return pd.DataFrame(columns)
