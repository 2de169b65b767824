"""What labels are worth: error against the share of them that comes back, and against how late they come."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from bench.analysis.entries import PLAIN, scenario_parts, shortest_names, with_entries
from bench.analysis.leaderboard import FROZEN, reference_errors
from bench.analysis.recovery import mean_interval
from bench.analysis.statistics.skill_test import false_discovery_rate
from bench.analysis.verdicts import Pair, verdicts
from bench.contracts.protocol import Protocol

SHARE, DELAY = "share", "delay"
FREE = {SHARE: ["label_every", "label_rate"], DELAY: ["labels", "delay"]}
"""What may differ within a family of each kind."""

ALL, EVERY, DRAWN, BOTH = "all", "every", "drawn", "both"
MATURED, INSTANT = "matured", "instant"
WAYS = (ALL, EVERY, DRAWN, BOTH, MATURED, INSTANT)
COLUMNS = [
    "kind", "family", "scenario", "entry", "strategy", "base", "group", "x", "way", "label_every", "label_rate",
    "seeds", "failed", "mse", "low", "high", "moves", "no_labels", "leaky",
]  # fmt: skip


def label_curves(runs: pd.DataFrame) -> pd.DataFrame:
    """Error of each entry at each label regime, for scenarios that differ in that alone.

    A family of kind ``share`` differs in ``label_every`` and ``label_rate`` only; one of kind ``delay`` in ``delay``
    and ``labels`` only. Families in which ``x`` takes one value are left out.

    Returns:
        A row for each entry of each scenario of each family, ``x`` rising: columns ``kind, family, scenario, entry,
        strategy, base, group``; ``x``: the share of labels, ``label_rate / label_every``, or rows from the end of a
        forecast's truth to its label (``delay``, or ``1 - horizon`` if labels are instant); ``way``: ``all``,
        ``every`` (n-th), ``drawn``, ``both``, or ``matured``, ``instant``; ``label_every, label_rate``; ``seeds``
        (that ended well), ``failed`` (that did not); ``mse``, scaled, mean over seeds (infinite if one diverged),
        and ``low, high``, its 95 % interval over seeds by Student's distribution (NaN with one seed); ``moves``:
        whether any seed's error differs within the family; ``no_labels``: MSE of frozen on the same forecaster, NaN if
        there is none or it moves; ``leaky``: whether it is not ranked there, as it had labels before their time.
    """
    runs = with_entries(runs)
    runs = runs.assign(**{column: value for column, value in PLAIN.items() if column not in runs})
    found = [(kind, str(name), rows) for kind in FREE for name, rows in _families(runs, kind)]
    frames = [_family(*family) for family in found if PLACES[family[0]](family[2])[0].nunique() > 1]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=COLUMNS)


def label_worth(curves: pd.DataFrame, errors: Mapping[str, Mapping[str, pd.DataFrame]], stretch: int) -> pd.DataFrame:
    """What fewer or later labels cost each entry that uses labels, paired by origin and seed.

    Compared are the smallest share (of two ways to it, every n-th) with the largest; matured labels with instant
    ones; and the longest delay with the shortest: of what the entry has results for.

    Args:
        curves: Of one family, from `label_curves`.
        errors: By scenario, then by entry.

    Returns:
        Columns ``kind, family, entry, strategy, less, more`` (scenarios), and those of `verdicts` on fewer or later
        labels compared with more or earlier ones, exploratory.
    """
    family = []
    for entry, here in curves[curves["moves"].astype(bool)].groupby("entry", sort=False):
        for less, more in _steps(here[np.isfinite(here["mse"].astype(float))]):
            one, other = (errors.get(step["scenario"], {}).get(str(entry)) for step in (less, more))
            if one is not None and other is not None:
                names = {key: less[key] for key in ("kind", "family", "entry", "strategy")}
                family.append(Pair(names | {"less": less["scenario"], "more": more["scenario"]}, one, other))
    return verdicts(family, stretch, false_discovery_rate)


def label_gains(curves: pd.DataFrame, errors: Mapping[str, Mapping[str, pd.DataFrame]], stretch: int) -> pd.DataFrame:
    """Whether an entry is better with its labels than the frozen forecaster, paired by origin and seed.

    Args:
        curves: Of one family, from `label_curves`.
        errors: By scenario, then by entry.

    Returns:
        A row for each scenario and each entry whose error moves: columns ``kind, family, scenario, entry, strategy, x,
        way, against`` (the entry of frozen on the same forecaster, or the first) and those of `verdicts`, exploratory.
        Nothing if frozen has no result, or moves.
    """
    moves = curves["moves"].astype(bool)
    frozen = curves[(curves["strategy"] == FROZEN) & ~moves & (curves["seeds"] > 0)]
    family = []
    for _, row in curves[moves & np.isfinite(curves["mse"].astype(float))].iterrows():
        here = frozen[frozen["scenario"] == row["scenario"]]
        same = here[here["base"] == row["base"]] if row["base"] != "none" else here
        by_entry = errors.get(row["scenario"], {})
        if same.empty or not {row["entry"], same["entry"].iloc[0]} <= set(by_entry):
            continue
        against = same["entry"].iloc[0]
        names = {key: row[key] for key in ("kind", "family", "scenario", "entry", "strategy", "x", "way")}
        family.append(Pair(names | {"against": against}, by_entry[row["entry"]], by_entry[against]))
    return verdicts(family, stretch, false_discovery_rate)


def fullest(curves: pd.DataFrame) -> str:
    """The scenario of one family with most labels, or, if delay varies, with the earliest that do not leak."""
    honest = curves[curves["way"] != INSTANT]
    x = honest["x"]
    return str(honest.loc[x == (x.max() if honest["kind"].iloc[0] == SHARE else x.min()), "scenario"].iloc[0])


def labels_released(protocol: Protocol, borders: tuple[int, int, int]) -> int:
    """Number of pairs that a strategy gets before its last forecast, those of a warm start included.

    Args:
        borders: First validation row, first stream row, end.
    """
    train, start, end = borders
    origins = protocol.origins(start, end)
    last = origins[(len(origins) - 1) // protocol.block * protocol.block]
    first = train if protocol.warm_start else start
    return int(protocol.is_labelled(np.arange(max(0, last - protocol.lag + 1 - first))).sum())


def _families(runs: pd.DataFrame, kind: str) -> Iterator[tuple[object, pd.DataFrame]]:
    """Runs that differ only in entry, seed and what is free, by the shortest unique name."""
    parts = scenario_parts(runs.assign(**{column: PLAIN[column] for column in FREE[kind]}))
    if kind == SHARE:  # the share varies
        parts["labels"] = parts["labels"].replace(", all labels", "")
    parts["draw"] = ", draw " + runs["label_seed"].astype(str)
    yield from runs.groupby(shortest_names(parts), sort=True)


def _family(kind: str, name: str, runs: pd.DataFrame) -> pd.DataFrame:
    runs = runs.assign(kind=kind, family=name)
    runs["x"], runs["way"] = PLACES[kind](runs)
    ok = runs[runs["status"] == "ok"]
    differ = ok.groupby(["entry", "seed"])["mse"].nunique().groupby("entry").max() > 1
    frozen = ok[(ok["strategy"] == FROZEN) & ~ok["entry"].map(differ).fillna(False).astype(bool)]
    rows = []
    for (entry, _), here in runs.groupby(["entry", "scenario"], sort=True):
        row = {**here.iloc[0], **_error(here)}
        row["moves"] = bool(differ.get(entry, False))
        row["no_labels"] = reference_errors(frozen, row["base"]).mean() if len(frozen) else float("nan")
        row["leaky"] = row["labels"] == INSTANT or bool(row.get("labels_from_rows", False))
        rows.append({column: row[column] for column in COLUMNS})
    frame = pd.DataFrame(rows, columns=COLUMNS)
    order = frame["way"].map(WAYS.index)
    return frame.assign(order=order).sort_values(["entry", "x", "order"], kind="stable")[COLUMNS]


def _share_and_way(runs: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    share = (runs["label_rate"] / runs["label_every"]).round(12)  # 0.3 / 3 is a tenth
    thinned, drawn = runs["label_every"] > 1, runs["label_rate"] < 1
    way = np.select([thinned & drawn, thinned, drawn], [BOTH, EVERY, DRAWN], ALL)
    return share, pd.Series(way, index=runs.index)


def _delay_and_way(runs: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    instant = runs["labels"] == INSTANT
    return runs["delay"].where(~instant, 1 - runs["horizon"]), runs["labels"]


PLACES = {SHARE: _share_and_way, DELAY: _delay_and_way}


def _error(runs: pd.DataFrame) -> dict[str, float]:
    """Mean over seeds of one entry in one scenario, with its interval."""
    values = runs.loc[runs["status"] == "ok", "mse"].to_numpy(dtype=float)
    counts = {"seeds": len(values), "failed": len(runs) - len(values)}
    if not np.isfinite(values).all():
        return counts | {"mse": float("inf"), "low": float("nan"), "high": float("nan")}
    interval = mean_interval(pd.DataFrame([values])).iloc[0]
    return counts | {"mse": float(interval["mean"]), "low": float(interval["low"]), "high": float(interval["high"])}


def _steps(rows: pd.DataFrame) -> Iterator[tuple[pd.Series, pd.Series]]:
    """Pairs of rows of one entry: with fewer or later labels, and with more or earlier ones."""
    honest, instant = rows[rows["way"] != INSTANT], rows[rows["way"] == INSTANT]
    if honest.empty:
        return
    first, last = honest.iloc[0], honest.iloc[-1]
    if len(instant):
        yield first, instant.iloc[0]
    if first["x"] < last["x"]:
        yield (first, last) if first["kind"] == SHARE else (last, first)
