"""The measures of a drift set: what adapting is worth, what the drift costs, and how each strategy recovers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from bench.analysis import (
    Pair,
    excess_area,
    false_discovery_rate,
    forgetting,
    peak_excess,
    recovery_time,
    regret_against_fixed,
    regret_against_regimes,
    return_time,
    verdicts,
)
from bench.analysis.leaderboard import FROZEN
from bench.report.view.drift_sets import DriftSet, drift_sets
from bench.report.view.loaded import Results, derived


def worth(drift_set: DriftSet) -> pd.DataFrame:
    """Each entry's error from the drift on (without a drift, over the stream) over that of the frozen forecaster.

    Returns:
        Columns ``set, entry, against`` and those of `_compared`; empty without a frozen entry. The frozen entry of the
        same forecaster is taken, or the first.
    """
    frozen = [entry for entry in drift_set.errors if entry.partition(" ")[0] == FROZEN]
    family = []
    for entry, errors in drift_set.errors.items():
        same = [name for name in frozen if drift_set.bases[name] == drift_set.bases[entry]] or frozen
        if same and entry not in same:
            names = {"set": drift_set.name, "entry": entry, "against": same[0]}
            family.append(Pair(names, errors[errors.index >= drift_set.start], drift_set.errors[same[0]]))
    return _compared(drift_set, family)


def costs(drift_set: DriftSet) -> pd.DataFrame:
    """The error from the drift on of each entry that ran on the twin too, over its error on the twin.

    Returns:
        Columns ``set, entry`` and those of `_compared`.
    """
    family = [
        Pair({"set": drift_set.name, "entry": entry}, errors[errors.index >= drift_set.start], drift_set.twins[entry])
        for entry, errors in drift_set.errors.items()
        if entry in drift_set.twins
    ]
    return _compared(drift_set, family)


def _compared(drift_set: DriftSet, family: list[Pair]) -> pd.DataFrame:
    """Exploratory `verdicts`, each series and seed of a set being a repetition.

    Returns:
        ``percent, low, high``: by how much the MSE is higher, in the geometric mean over stretches; ``mse_change``: by
        how much the mean is; ``verdict, stretches, repetitions``.
    """
    found = verdicts(family, drift_set.stretch, false_discovery_rate)
    if found.empty:
        return pd.DataFrame()
    more = {"percent": -found["skill"], "low": -found["high"], "high": -found["low"]}
    named = [name for name in ("set", "entry", "against") if name in found]
    kept = ["percent", "low", "high", "mse_change", "verdict", "stretches", "repetitions"]
    return found.rename(columns={"seeds": "repetitions"}).assign(**more)[[*named, *kept]]


def recoveries(drift_set: DriftSet) -> pd.DataFrame:
    """What happens to each entry after each change, repetition by repetition.

    Returns:
        Columns ``set, row, event, rows`` (of the regime, from where the change is over), ``entry, repetition,
        recovery`` (rows from there on; infinite where it does not recover in the regime), ``peak`` (MSE) and ``area``
        (MSE times rows) from the change's first row on, ``level`` (the reference's mean).
    """
    return pd.DataFrame(list(_recoveries(drift_set)))


def _recoveries(drift_set: DriftSet) -> Iterator[dict[str, Any]]:
    window, stride = drift_set.window, drift_set.stride
    for row, end, event in drift_set.regimes:
        over = drift_set.over(row)
        for entry, errors in drift_set.errors.items():
            here = errors[(errors.index >= row) & (errors.index < end)]
            for repetition in map(str, here):
                reference = drift_set.reference(row, end, entry, repetition)
                if reference is None or len(reference) != len(here):
                    continue
                own, since = here[repetition].to_numpy(), here.index.to_numpy() >= over
                yield {
                    "set": drift_set.name,
                    "row": row,
                    "event": event,
                    "rows": end - over,
                    "entry": entry,
                    "repetition": repetition,
                    "recovery": stride * recovery_time(own[since], reference[since], window, window),
                    "peak": peak_excess(own, reference, window),
                    "area": stride * excess_area(own, reference, window),
                    "level": float(reference.mean()),
                }


def returns(drift_set: DriftSet) -> pd.DataFrame:
    """What A-B-A did: forgetting, and the speed of return, repetition by repetition.

    Returns:
        Columns ``set, entry, repetition, forgetting`` (MSE), ``return`` (rows); empty unless the drift comes and goes.
    """
    regimes = drift_set.regimes
    if len(regimes) != 2 or not all(drift.transition == "recurring" for drift in drift_set.drifts):
        return pd.DataFrame()
    window, rows = drift_set.window, []
    for entry, errors in drift_set.errors.items():
        before = errors[errors.index < regimes[0][0] - drift_set.overlap * drift_set.stride]
        back = errors[errors.index >= regimes[1][0]]
        for repetition in map(str, errors):
            first, again = before[repetition].to_numpy(), back[repetition].to_numpy()
            twin = drift_set.twins.get(entry, pd.DataFrame()).get(repetition)
            still = None if twin is None else twin.loc[back.index].to_numpy()
            time = drift_set.stride * return_time(first, again, window, window, still)
            row = {"set": drift_set.name, "entry": entry, "repetition": repetition}
            rows.append(row | {"forgetting": forgetting(first, again, window), "return": time})
    return pd.DataFrame(rows)


def regrets(drift_set: DriftSet) -> pd.DataFrame:
    """Mean error over the stream above that of the best entry, and of an oracle with the best one for each regime.

    Returns:
        Columns ``set, entry, regret_fixed, regret_regimes`` (MSE); rivals are the ranked entries, and the entry itself.
    """
    rivals = [entry for entry in drift_set.ranked if entry in drift_set.means]
    starts = [row for row, _ in drift_set.switches]
    rows = []
    for entry in map(str, drift_set.means):
        field = drift_set.means[list(dict.fromkeys([*rivals, entry]))].dropna()
        fixed, regimes = regret_against_fixed(field), regret_against_regimes(field, starts)
        rows.append(
            {
                "set": drift_set.name,
                "entry": entry,
                "regret_fixed": float(fixed[entry]),
                "regret_regimes": float(regimes[entry]),
            }
        )
    return pd.DataFrame(rows)


@dataclass(frozen=True, eq=False)
class KnownDrifts:
    """All drift sets of an experiment, and their measures as tables.

    Attributes:
        sets: Those without drift first; empty where nothing was made.
    """

    sets: list[DriftSet]

    @property
    def sizes(self) -> list[str]:
        """Sizes of drifts, small to large; a single empty one where nothing drifts."""
        drifting = sorted((s for s in self.sets if s.drifts), key=lambda drift_set: drift_set.magnitude)
        return list(dict.fromkeys(drift_set.size for drift_set in drifting)) or [""]

    def sets_of(self, size: str) -> list[DriftSet]:
        """The sets without drift, and those with drifts of a size."""
        return [drift_set for drift_set in self.sets if not drift_set.drifts or drift_set.size == size]

    def title(self, size: str) -> str:
        """What a size is called in headings."""
        return f"{size} drifts" if size else "no drift"

    @cached_property
    def worth(self) -> pd.DataFrame:
        """`worth` of each set."""
        return self._joined(worth)

    @cached_property
    def costs(self) -> pd.DataFrame:
        """`costs` of each set that drifts."""
        return self._joined(costs)

    @cached_property
    def recoveries(self) -> pd.DataFrame:
        """`recoveries` of each set that drifts."""
        return self._joined(recoveries)

    @cached_property
    def returns(self) -> pd.DataFrame:
        """`returns` of each set that comes and goes."""
        return self._joined(returns)

    @cached_property
    def regrets(self) -> pd.DataFrame:
        """`regrets` of each set that drifts."""
        return self._joined(lambda drift_set: regrets(drift_set) if drift_set.drifts else pd.DataFrame())

    def _joined(self, measure: Callable[[DriftSet], pd.DataFrame]) -> pd.DataFrame:
        """With the size of the drift in front: two sets of one name differ in it."""
        frames = []
        for drift_set in self.sets:
            frame = measure(drift_set)
            if len(frame):
                frame.insert(0, "size", drift_set.size)
                frames.append(frame)
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


@derived
def known_drifts(results: Results) -> KnownDrifts:
    """The sets whose truth is known, and their measures."""
    return KnownDrifts(drift_sets(results))
