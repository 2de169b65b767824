"""Drifts whose truth is known: which scenarios are one drift set, its repetitions, and its twins."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.analysis import reference_curve, settled_level
from bench.analysis.entries import options_text
from bench.contracts.drift.truth import MAGNITUDES, Drift
from bench.report.view.loaded import Results

Floats = NDArray[np.float64]
Errors = dict[str, pd.DataFrame]

SEASONS = 7
"""Seasons (or horizons) over which errors are averaged when recovery is looked for."""
APART = ("seed", "twin", "magnitude")
"""Options of a drift set that make no other set of it."""


@dataclass(frozen=True, eq=False)
class DriftSet:
    """One drift, over all seeds of its noise and all seeds of the runs.

    Attributes:
        name: As it heads a column.
        scenarios: One for each seed of the noise.
        drifts: What happens; nothing in a set without drift.
        switches: First row and name of each change, in order.
        end: Row where the stream ends.
        stride: Rows between origins.
        window: Origins in a mean.
        overlap: Origins whose truths overlap.
        stretch: Origins in a stretch at least.
        errors: For each entry ``(origins, repetitions)`` MSE; a repetition is a seed of the noise and one of the run.
        twins: The same on the twin, for repetitions that have one.
        bases: Forecaster of each entry.
        ranked: Entries that are ranked.
    """

    name: str
    scenarios: tuple[str, ...]
    drifts: tuple[Drift, ...]
    switches: tuple[tuple[int, str], ...]
    end: int
    stride: int
    window: int
    overlap: int
    stretch: int
    errors: Errors
    twins: Errors
    bases: dict[str, str]
    ranked: tuple[str, ...]

    @property
    def magnitude(self) -> float:
        """The largest of its drifts; NaN without one."""
        return max((abs(drift.magnitude) for drift in self.drifts), default=float("nan"))

    @property
    def size(self) -> str:
        """``small``, ``medium`` or ``large``, or the number; nothing without a drift."""
        if not self.drifts:
            return ""
        names = {value: str(name) for name, value in MAGNITUDES.items()}
        return names.get(self.magnitude, f"magnitude {self.magnitude:g}")

    @property
    def kind(self) -> str:
        """What drifts."""
        return " and ".join(dict.fromkeys(drift.kind for drift in self.drifts)) or "nothing"

    @property
    def start(self) -> int:
        """First row that drifts; without a drift, the first origin."""
        first = next(iter(self.errors.values())).index[0]
        return min((drift.start for drift in self.drifts), default=int(first))

    @property
    def regimes(self) -> list[tuple[int, int, str]]:
        """First row, end and name of each regime after a change."""
        borders = [*(row for row, _ in self.switches), self.end]
        names = [name for _, name in self.switches]
        return [(row, end, name) for (row, end), name in zip(pairwise(borders), names, strict=True) if end > row]

    def over(self, row: int) -> int:
        """First row at which the change that began at ``row`` is over."""
        return max((drift.end for drift in self.drifts if drift.start == row), default=row)

    @cached_property
    def means(self) -> pd.DataFrame:
        """``(origins, entries)``: mean over repetitions."""
        return pd.DataFrame({entry: frame.mean(axis=1) for entry, frame in self.errors.items()})

    def reference(self, row: int, end: int, entry: str, repetition: str) -> Floats | None:
        """`reference_curve` of a regime: of the entry that is best in its second half, there and on the twin.

        It is looked for among ranked entries with the same forecaster, or all of them where one has it for itself.
        """
        here = self.means[(self.means.index >= row) & (self.means.index < end)]
        rivals = [rival for rival in self.ranked if rival in here]
        alike = [rival for rival in rivals if self.bases[rival] == self.bases[entry]]
        levels = {rival: settled_level(here[rival].to_numpy()) for rival in (alike if len(alike) > 1 else rivals)}
        levels = {rival: level for rival, level in levels.items() if np.isfinite(level)}
        if not levels:
            return None
        best = min(levels, key=lambda rival: levels[rival])
        if repetition not in self.errors[best]:
            return None
        twin = self.twins.get(best)
        still = twin.loc[here.index, repetition].to_numpy() if twin is not None and repetition in twin else None
        return reference_curve(self.errors[best].loc[here.index, repetition].to_numpy(), still)


def drift_sets(results: Results) -> list[DriftSet]:
    """The sets of an experiment whose truth is known; those without drift first, then as they were listed.

    Twins are no sets of their own: a set without drift counts where none that drifts has its name.
    """
    groups: dict[str, list[str]] = {}
    for scenario in dict.fromkeys(results.runs["scenario"]):
        record = results.first(scenario)
        if record.dataset.truth is None or scenario not in results.streams:
            continue
        given = {key: value for key, value in record.dataset.given.items() if key not in APART}
        drifts = [drift.model_dump(mode="json") for drift in record.dataset.truth.drifts]
        key = json.dumps([record.dataset.name, given, drifts, record.protocol.label], sort_keys=True)
        groups.setdefault(key, []).append(scenario)
    truths = [results.first(scenarios[0]).dataset for scenarios in groups.values()]
    drifting = {dataset.name for dataset in truths if dataset.truth and dataset.truth.drifts}
    kept = [
        scenarios
        for scenarios, dataset in zip(groups.values(), truths, strict=True)
        if dataset.truth and (dataset.truth.drifts or dataset.name not in drifting)
    ]
    names = _names(results, kept)
    sets = [_set(results, scenarios, name) for scenarios, name in zip(kept, names, strict=True)]
    return sorted(sets, key=lambda drift_set: bool(drift_set.drifts))


def _names(results: Results, groups: list[list[str]]) -> list[str]:
    """Short names: the dataset's, its options where they tell sets of one magnitude apart."""
    plain, long = [], []
    for scenarios in groups:
        dataset = results.first(scenarios[0]).dataset
        given = {key: value for key, value in dataset.given.items() if key not in APART}
        hidden = not set(dataset.targets) <= set(dataset.inputs) and bool({"inputs", "targets"} & set(given))
        plain.append(dataset.name + (", hidden" if hidden else ""))
        long.append(plain[-1] + options_text(pd.Series([json.dumps(given)])).iloc[0])
    magnitudes = [_magnitude(results, scenarios) for scenarios in groups]
    seen = pd.Series(list(zip(plain, magnitudes, strict=True))).value_counts()
    return [p if seen[p, m] == 1 else full for p, m, full in zip(plain, magnitudes, long, strict=True)]


def _magnitude(results: Results, scenarios: list[str]) -> str:
    truth = results.first(scenarios[0]).dataset.truth
    return str([drift.magnitude for drift in truth.drifts] if truth else "")


def _set(results: Results, scenarios: list[str], name: str) -> DriftSet:
    first = results.first(scenarios[0])
    truth, protocol = first.dataset.truth, first.protocol
    assert truth is not None
    errors: dict[str, list[pd.DataFrame]] = {}
    twins: dict[str, list[pd.DataFrame]] = {}
    for scenario in scenarios:
        still = _twin_of(results, scenario)
        for found, source in ((errors, scenario), (twins, still)):
            for entry, frame in results.errors_by_seed(source).items() if source else ():
                if np.isfinite(frame.to_numpy()).all():
                    found.setdefault(entry, []).append(frame.add_prefix(f"{scenario}, seed "))
    board = results.board_of(scenarios[0])
    return DriftSet(
        name=name,
        scenarios=tuple(scenarios),
        drifts=tuple(truth.drifts),
        switches=tuple(results.events_of(scenarios[0])),
        end=first.dataset.borders[2],
        stride=protocol.stride,
        window=max(2, round(SEASONS * (first.dataset.season or protocol.horizon) / protocol.stride)),
        overlap=results.overlap(scenarios[0]),
        stretch=results.stretch(scenarios[0]),
        errors={entry: pd.concat(frames, axis=1) for entry, frames in errors.items()},
        twins={entry: pd.concat(frames, axis=1) for entry, frames in twins.items()},
        bases=dict(zip(board["entry"], board["base"], strict=True)),
        ranked=tuple(board.loc[board["rank"].notna(), "entry"]),
    )


def _twin_of(results: Results, scenario: str) -> str | None:
    """The scenario of the same rows had nothing drifted, protocol alike; of the same dataset where it can be."""
    record = results.first(scenario)
    assert record.dataset.truth is not None
    found = []
    for other in results.scenarios:
        twin = results.first(other)
        same = twin.dataset.fingerprint == record.dataset.truth.twin and twin.protocol == record.protocol
        if same and other != scenario:
            found.append((twin.dataset.name != record.dataset.name, other))
    return min(found)[1] if found and record.dataset.truth.drifts else None
