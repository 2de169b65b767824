"""Compare two versions: the runs and benchmarks of A with those of B."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bench.analysis.entries import with_entries
from bench.analysis.verdicts import SURE, Pair, verdicts

PLACE = ["experiment", "scenario", "entry"]
COLUMNS = [*PLACE, "measure", "a", "b", "change", "worst", "worst_seed", "seeds", "verdict", "reason"]
SKILL = [name for name in SURE if name != "verdict"]
UNTESTED = ("higher (not tested)", "lower (not tested)")
WHY_UNTESTED = {"": "no errors by origin", "too short": "too few stretches", "undefined": "no error to compare with"}
FAILING = ("newly failed", "newly skipped", "worse", UNTESTED[0], "slower")
BETTER = ("better", UNTESTED[1], "faster", "no longer failed", "no longer skipped")
TIMES = ("windows_per_s", "predict_p50_ms", "adapt_p50_ms")
STATUS = ("ok", "skipped", "failed")  # from good to bad
LEAST_MS = 0.01  # time of an empty step: shorter ones count as this

Row = dict[str, Any]
Place = Sequence[Hashable]
Origins = Callable[[str], pd.Series | None]
"""From a run's id to its MSE at each origin (index); None where that is not known."""


@dataclass(frozen=True)
class Bounds:
    """The smallest change that counts, as a share: 0.01 is one percent more error, or time.

    Attributes:
        worse: Of errors.
        slower: Of times and of speed ratios.
    """

    worse: float = 0.01
    slower: float = 0.25


BOUNDS = Bounds()


def compare_runs(
    a: pd.DataFrame, b: pd.DataFrame, origins: tuple[Origins, Origins], bounds: Bounds = BOUNDS
) -> pd.DataFrame:
    """Compare each entry (strategy and forecaster, with options) of each scenario (dataset and protocol) in A and B.

    Runs are the same if ``experiment`` and ``cell`` (the run apart from versions of code and data) are; of several the
    last counts. Errors are compared over the seeds that ended well in both, if the data are the same; times over those
    that were timed alone in both, on the same device and number of threads.

    Whether errors differ is a verdict as in a report: all entries whose errors are not the same are one family. Where
    neither the mean MSE nor the skill differs by more than the bound, the verdict is ``same``, however sure it is.

    Args:
        a: A row for each run.
        b: Likewise.
        origins: Of A's runs, and of B's.
        bounds: From where on a change counts.

    Returns:
        `COLUMNS` and `SKILL`: ``a`` and ``b`` are means over the common ``seeds``, a tuple; ``change`` the mean over
        seeds of B / A less 1 (of the time for a window, if ``measure`` is ``windows_per_s``), so that above 0 is worse;
        ``worst`` and ``worst_seed`` the largest change and its seed; ``skill`` that of B over A, so that below 0 is
        worse. Each common run is in one row with the measure ``status``.
    """
    a, b = _named(a, b)
    rows = []
    for here, there, side in ((a, b, "A"), (b, a, "B")):
        alone = here[~here["pair"].isin(there["pair"])]
        rows += [_row(place, "status", seeds, f"only in {side}") for place, seeds in _seeds(alone, PLACE)]
    pairs = a.merge(b.drop(columns=[*PLACE, "seed"]), on="pair", suffixes=("_a", "_b"))
    rows += _statuses(pairs)
    both = pairs[(pairs["status_a"] == "ok") & (pairs["status_b"] == "ok")]
    rows += _errors(both, bounds.worse, origins)
    rows += _times(both, bounds.slower)
    return _frame(rows)


def compare_benchmarks(a: pd.DataFrame, b: pd.DataFrame, bounds: Bounds = BOUNDS) -> pd.DataFrame:
    """Compare benchmarks: columns ``name, median_ms, ratio`` (NaN without), ``against`` (of the ratio), ``machine``.

    A ratio (how many times faster than something else, both measured in turn in one process) holds on a busy machine:
    if both sides have one of the same thing, it decides, on any machines. Otherwise medians do, on the same machine.
    Each common benchmark is in one row with the measure ``median_ms``; if the ratio decides its verdict says so.
    """
    rows = []
    for here, there, side in ((a, b, "A"), (b, a, "B")):
        alone = here.loc[~here["name"].isin(there["name"]), "name"]
        rows += [_row(("", "", name), "median_ms", (), f"only in {side}") for name in alone]
    for one in a.merge(b, on="name", suffixes=("_a", "_b")).to_dict("records"):
        rows += _benchmark({str(key): value for key, value in one.items()}, bounds.slower)
    return _frame(rows)


def is_worse(changes: pd.DataFrame) -> bool:
    """Whether anything got worse or slower beyond its bound, or failed for the first time."""
    return bool(changes["verdict"].isin(FAILING).any())


def tally(changes: pd.DataFrame) -> dict[str, int]:
    """Number of runs (or benchmarks) for each verdict; a run with two rows of one verdict counts once."""
    found = {}
    for verdict, rows in changes.groupby("verdict"):
        seeds = [set[Any]().union(*group) or {None} for _, group in rows.groupby(PLACE)["seeds"]]
        found[str(verdict)] = sum(map(len, seeds))
    return found


def compared(changes: pd.DataFrame, measure: str) -> int:
    """Number of runs (by ``status``) or benchmarks (by ``median_ms``) that both sides have."""
    there = changes[(changes["measure"] == measure) & ~changes["verdict"].str.startswith("only in")]
    return sum(max(1, len(seeds)) for seeds in there["seeds"])


def cost_ratios(a: pd.Series, b: pd.Series, measure: str) -> pd.Series:
    """B / A of an error or time (A / B where more is better), on the common index; above 1 is worse.

    1 where both are equal or not a number; ∞ where only B is not finite, or only A is 0.
    """
    with np.errstate(all="ignore"):
        one, other = (_costs(values.to_numpy(dtype=float), measure) for values in (a, b))
        ratio = other / one
    ratio = np.where(np.isnan(ratio), np.where(np.isfinite(other), 0.0, np.inf), ratio)
    same = (one == other) | (np.isnan(one) & np.isnan(other))
    return pd.Series(np.where(same, 1.0, ratio), index=a.index)


def _costs(values: np.ndarray[Any, np.dtype[np.float64]], measure: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    if measure == "windows_per_s":
        return np.maximum(1000 / values, LEAST_MS)
    if measure == "ratio":
        return 1 / values
    return np.maximum(values, LEAST_MS) if measure in TIMES else values


def _named(a: pd.DataFrame, b: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both sides with names that are unique over A and B, and a column ``pair``."""
    sides = [side.assign(side=name) for name, side in (("A", a), ("B", b)) if len(side)]
    runs = pd.concat(sides, ignore_index=True)
    # by fingerprint, one scenario would have different names in A and in B
    runs = with_entries(runs.rename(columns={"fingerprint": "data"}))
    runs["pair"] = runs["experiment"] + "\n" + runs["cell"]
    runs = runs.drop_duplicates(["side", "pair"], keep="last")
    return runs[runs["side"] == "A"], runs[runs["side"] == "B"]


def _statuses(pairs: pd.DataFrame) -> list[Row]:
    keys = [*PLACE, "status_a", "status_b"]
    rows = []
    for (*place, before, after), group in pairs.groupby(keys, sort=False):
        step = STATUS.index(after) - STATUS.index(before)
        verdict = f"newly {after}" if step > 0 else f"no longer {before}" if step < 0 else "same"
        states = "" if before == after == "ok" else f"{before} in A, {after} in B"
        reason = str(group["reason_b" if step >= 0 else "reason_a"].iloc[0])
        rows.append(_row(place, "status", tuple(sorted(group["seed"])), verdict, states, reason))
    return rows


def _errors(both: pd.DataFrame, bound: float, origins: tuple[Origins, Origins]) -> list[Row]:
    reasons = pd.Series("", index=both.index).mask(both["data_a"] != both["data_b"], "the data differ (fingerprint)")
    more = [f"{a} forecasts scored in A, {b} in B" for a, b in zip(both["windows_a"], both["windows_b"], strict=True)]
    reasons = reasons.mask((reasons == "") & (both["windows_a"] != both["windows_b"]), pd.Series(more, both.index))
    rows, groups = _comparable(both, reasons, "errors")
    family = []
    for i, (_, group) in enumerate(groups):
        if (group["mse_a"] != group["mse_b"]).any():
            of_a, of_b = (_at_origins(group, side, read) for side, read in zip("ab", origins, strict=True))
            if of_a is not None and of_b is not None:
                family.append(Pair({"at": i}, of_b, of_a, int(group["stretch_a"].iloc[0])))
    tests = {row["at"]: row for row in verdicts(family, names=["at"]).to_dict("records")}
    return rows + [_error(place, group, tests.get(i), bound) for i, (place, group) in enumerate(groups)]


def _at_origins(group: pd.DataFrame, side: str, read: Origins) -> pd.DataFrame | None:
    """``(origins, seeds)`` MSE of an entry; None where those of a run are not known."""
    found = {seed: read(run) for seed, run in zip(group["seed"], group[f"run_id_{side}"], strict=True)}
    return None if any(errors is None for errors in found.values()) else pd.DataFrame(found)


def _error(place: Place, group: pd.DataFrame, test: dict[Any, Any] | None, bound: float) -> Row:
    """Of the errors of one entry, with its verdict where it has one."""
    row = _change(place, "mse", group, bound, UNTESTED)
    if test is None or not np.isfinite(test["p"]):
        why = WHY_UNTESTED[test["verdict"] if test else ""]
        return row if row["verdict"] == "same" else row | {"reason": why}
    if row["verdict"] == "same" == _verdict(1 - test["skill"] / 100, bound, UNTESTED):
        return row
    return row | {name: test[name] for name in SURE}


def _times(both: pd.DataFrame, bound: float) -> list[Row]:
    alone = both[["timed_alone_a", "timed_alone_b"]].astype(bool)
    both = both[alone.any(axis=1)]
    reasons = pd.Series([_why_not(row) for row in both.to_dict("records")], index=both.index, dtype=object)
    rows, groups = _comparable(both, reasons, "speed")
    return rows + [
        _change(place, measure, group, bound, ("slower", "faster")) for place, group in groups for measure in TIMES
    ]


def _why_not(pair: dict[Any, Any]) -> str:
    """Why the times of two runs cannot be compared; empty if they can."""
    for side in "ab":
        if not pair[f"timed_alone_{side}"]:
            return f"not timed alone in {side.upper()}"
    for key in ("device", "device_name", "threads"):
        one, other = pair[f"{key}_a"], pair[f"{key}_b"]
        if one != other:
            return f"{key.removesuffix('_name')}: {one} in A, {other} in B"
    return ""


def _comparable(
    pairs: pd.DataFrame, reasons: pd.Series, what: str
) -> tuple[list[Row], list[tuple[Place, pd.DataFrame]]]:
    """A row for each entry and reason not to compare it, and each entry's runs that can be compared."""
    pairs = pairs.assign(why=reasons)
    rows = [
        _row(place, what, seeds, "not comparable", str(why))
        for (*place, why), seeds in _seeds(pairs[pairs["why"] != ""], [*PLACE, "why"])
    ]
    return rows, list(pairs[pairs["why"] == ""].groupby(PLACE, sort=False))


def _change(place: Place, measure: str, group: pd.DataFrame, bound: float, verdicts: tuple[str, str]) -> Row:
    a, b = group[f"{measure}_a"], group[f"{measure}_b"]
    ratios = cost_ratios(a, b, measure).to_numpy()
    mean, worst = float(ratios.mean()), int(ratios.argmax())
    values = {"a": float(a.mean()), "b": float(b.mean()), "change": mean - 1, "worst": float(ratios[worst]) - 1}
    row = _row(place, measure, tuple(sorted(group["seed"])), _verdict(mean, bound, verdicts))
    return row | values | {"worst_seed": int(group["seed"].iloc[worst])}


def _verdict(ratio: float, bound: float, verdicts: tuple[str, str]) -> str:
    worse, better = verdicts
    if ratio > 1 + bound:
        return worse
    return better if ratio < 1 / (1 + bound) else "same"


def _benchmark(pair: dict[str, Any], bound: float) -> list[Row]:
    place = ("", "", str(pair["name"]))
    ratios, same = np.array([pair["ratio_a"], pair["ratio_b"]], dtype=float), pair["against_a"] == pair["against_b"]
    by_ratio = bool(np.isfinite(ratios).all()) and same
    rows = [_single(place, "median_ms", pair, bound)]
    if by_ratio:
        rows[0]["verdict"] = "judged by ratio"
        rows.append(_single(place, "ratio", pair, bound))
    elif pair["machine_a"] != pair["machine_b"]:
        why = f"device: {pair['machine_a'] or 'unnamed'} in A, {pair['machine_b'] or 'unnamed'} in B"
        rows = [_row(place, "median_ms", (), "not comparable", why)]
    return rows


def _single(place: Place, measure: str, pair: dict[str, Any], bound: float) -> Row:
    a, b = float(pair[f"{measure}_a"]), float(pair[f"{measure}_b"])
    ratio = float(cost_ratios(pd.Series([a]), pd.Series([b]), measure).iloc[0])
    verdict = _verdict(ratio, bound, ("slower", "faster"))
    return _row(place, measure, (), verdict) | {"a": a, "b": b, "change": ratio - 1, "worst": ratio - 1}


def _seeds(runs: pd.DataFrame, keys: list[str]) -> list[tuple[Place, tuple[int, ...]]]:
    return [(place, tuple(sorted(seeds))) for place, seeds in runs.groupby(keys, sort=False)["seed"]]


def _row(place: Place, measure: str, seeds: tuple[int, ...], verdict: str, *reasons: str) -> Row:
    named = dict(zip(PLACE, map(str, place), strict=True))
    return named | {"measure": measure, "seeds": seeds, "verdict": verdict, "reason": ": ".join(filter(None, reasons))}


def _frame(rows: list[Row]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=[*COLUMNS, *SKILL])
    numbers = ["a", "b", "change", "worst", "worst_seed", *(name for name in SKILL if name != "limit")]
    return frame.astype(dict.fromkeys(numbers, "float64"))
