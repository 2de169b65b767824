"""Who has the lowest error, by how much, and against what."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bench.analysis.entries import is_barred, leaky_scenarios, with_entries
from bench.contracts.metric import BUILT_IN, is_free
from bench.results.record import FIELDS

PERSISTENCE, FROZEN = BASELINES = "persistence", "frozen"
AUDITS = ("failed", "unaudited", "passed")  # worst first


def metrics_of(runs: pd.DataFrame) -> list[str]:
    """Names of the columns that are metrics.

    Args:
        runs: As `bench.load_results` gives it: metrics stand from ``windows`` to ``val_mse``. Those of this package
            count wherever they stand.
    """
    columns = list(runs.columns)
    between = columns[columns.index("windows") + 1 : columns.index("val_mse")]
    known = [name for name in BUILT_IN if name in columns]
    return [*known, *(name for name in between if name not in known and is_free(name))]


def skill(runs: pd.DataFrame, reference: str) -> pd.Series:
    """Skill of each run against a reference strategy: ``100 * (1 - MSE / MSE of the reference)``, percent.

    A run is compared with the reference on the same scenario, forecaster and seed. A reference without a forecaster
    serves all; a run without one takes the first of the reference's forecasters; if the reference lacks the seed, its
    mean over seeds counts. NaN if there is no reference, its error is 0 or infinite, or the run's is unknown.
    """
    runs = with_entries(runs)
    return _skill(runs, reference_mse(runs, reference))


def _skill(runs: pd.DataFrame, against: pd.Series) -> pd.Series:
    return 100 * (1 - runs["mse"] / against.where((against > 0) & np.isfinite(against)))


def reference_mse(runs: pd.DataFrame, reference: str) -> pd.Series:
    """MSE of the reference of each run, as in `skill`; NaN where there is none."""
    candidates = runs[(runs["strategy"] == reference) & (runs["status"] == "ok")]
    values = pd.Series(np.nan, index=runs.index)
    for scenario, group in runs.groupby("scenario", sort=False):
        here = candidates[candidates["scenario"] == scenario]
        if here.empty:
            continue
        for base, rows in group.groupby("base", sort=False):
            by_seed = reference_errors(here, str(base))
            if by_seed.empty:
                continue
            values[rows.index] = rows["seed"].map(by_seed).fillna(by_seed.mean())
    return values


def reference_base(bases: Iterable[str], base: str) -> str | None:
    """Which of the reference's forecasters ``bases`` (``none`` if it needs none) serves entries on forecaster ``base``.

    The same one, or else ``none``; an entry without a forecaster takes the first, one that was not tuned before others.
    None if nothing fits.
    """
    found = sorted(dict.fromkeys(bases), key=lambda name: name.endswith("tuned)"))
    if base in found:
        return base
    if "none" in found:
        return "none"
    return found[0] if base == "none" and found else None


def reference_errors(candidates: pd.DataFrame, base: str) -> pd.Series:
    """MSE by seed of the reference entry for runs on forecaster ``base``; empty if there is none."""
    same = candidates[candidates["base"] == reference_base(candidates["base"], base)]
    if same.empty:
        return pd.Series(dtype=float)
    first = same[same["entry"] == same["entry"].iloc[0]]
    by_seed: pd.Series = first.groupby("seed")["mse"].mean()
    return by_seed


def leaderboard(runs: pd.DataFrame) -> pd.DataFrame:
    """One row for each entry of each scenario, best first.

    Returns:
        Columns ``scenario, rank, entry, strategy, base, group``, ``audit`` (the worst of its runs' ``failed``,
        ``unaudited`` and ``passed``) and ``labels_from_rows`` (of any run) if ``runs`` has them, ``seeds`` (that ended
        well), ``failed, skipped, diverged`` (seeds whose error is not finite), ``windows``, the mean over seeds of each
        of `metrics_of` and of ``val_mse`` (infinite if one diverged, NaN if one has no value) and ``<metric>_sd`` (NaN
        with one seed), ``skill_persistence, skill_frozen`` (percent), and ``undefined_persistence, undefined_frozen``:
        whether they are NaN because the reference has no error.
        ``rank`` is by MSE; leaky entries, those that failed the leak canary, those that took labels from rows which the
        protocol withholds, those served with instant labels and those without a result have none.
    """
    runs = with_entries(runs).copy()
    for name in BASELINES:
        against = reference_mse(runs, name)
        runs[f"skill_{name}"], runs[f"undefined_{name}"] = _skill(runs, against), against == 0
    board = _by_entry(runs)
    ranked = ~is_barred(board) & (board["seeds"] > 0) & ~board["scenario"].isin(leaky_scenarios(runs))
    board["rank"] = board["mse"].where(ranked).groupby(board["scenario"]).rank(method="average")
    board = board.sort_values(["scenario", "rank", "mse", "entry"], kind="stable", ignore_index=True)
    first = ["scenario", "rank"]
    return board[[*first, *(column for column in board if column not in first)]]


def _by_entry(runs: pd.DataFrame) -> pd.DataFrame:
    """The leaderboard without ranks, in the order of its keys."""
    keys = ["scenario", "entry"]
    board = runs.drop_duplicates(keys).set_index(keys)[["strategy", "base", "group"]].sort_index()
    if "audit" in runs:
        worst = runs["audit"].map(AUDITS.index).groupby([runs[key] for key in keys]).min()
        board["audit"] = worst.map(dict(enumerate(AUDITS)))
    if "labels_from_rows" in runs:
        board["labels_from_rows"] = runs.groupby(keys)["labels_from_rows"].any()
    ok = runs[runs["status"] == "ok"]
    by_entry = ok.groupby(keys)

    def each(values: Any, fill: object = np.nan) -> Any:
        """Values by entry in the order of the board; ``fill`` where no run ended well."""
        return values.reindex(board.index, fill_value=fill)

    board["seeds"], board["windows"] = each(by_entry.size(), 0), each(by_entry["windows"].max(), 0).astype(int)
    for status in ("failed", "skipped"):
        board[status] = each(runs[runs["status"] == status].groupby(keys).size(), 0)
    always = [*FIELDS, "val_mse"]
    endless = pd.DataFrame(~np.isfinite(ok[always].to_numpy(dtype=float)), columns=always, index=ok.index)
    endless = each(endless.groupby([ok[key] for key in keys]).sum(), 0)
    board["diverged"] = endless["mse"]
    missing = each(by_entry["val_mse"].count() == 0, fill=True)
    finite = ok[always].where(np.isfinite(ok[always].to_numpy(dtype=float))).groupby([ok[key] for key in keys])
    means, deviations = each(finite.mean()), each(finite.std(ddof=1))
    for metric in [*metrics_of(runs), "val_mse"]:
        if metric in always:
            whole = (endless[metric] == 0) | (missing if metric == "val_mse" else False)
            board[metric] = means[metric].where(whole, np.inf)
            board[f"{metric}_sd"] = deviations[metric].where(whole)
        else:
            known = each(by_entry[metric].count() == by_entry.size(), fill=False)
            board[metric] = each(by_entry[metric].mean()).where(known)
            board[f"{metric}_sd"] = each(by_entry[metric].std(ddof=1)).where(known)
    undefined = {f"undefined_{name}": each(by_entry[f"undefined_{name}"].any(), fill=False) for name in BASELINES}
    for name in BASELINES:
        known = (board["diverged"] == 0) & ~undefined[f"undefined_{name}"]
        board[f"skill_{name}"] = each(by_entry[f"skill_{name}"].mean()).where(known)
    return board.assign(**undefined).reset_index()


def overall(board: pd.DataFrame) -> pd.DataFrame:
    """One row for each entry over all scenarios, best mean rank first.

    Scenarios in which nothing may be ranked, as labels were instant, count in none of the means.

    Returns:
        Columns ``entry, strategy, group, audit, labels_from_rows`` (as in `leaderboard`), ``scenarios`` (with a
        result), ``mean_rank`` (NaN unless ranked in every scenario), ``skill_persistence, skill_frozen`` (percent,
        means over scenarios; NaN unless known in each), ``undefined_persistence,
        undefined_frozen`` (in any scenario), each ``mse <scenario>``.
    """
    scenarios = list(dict.fromkeys(board["scenario"]))
    counted = [scenario for scenario in scenarios if not _is_unranked(board[board["scenario"] == scenario])]
    rows = []
    for entry, group in board.groupby("entry", sort=True):
        by_scenario = group.set_index("scenario").reindex(scenarios)
        one = group.iloc[0]
        row: dict[str, object] = {"entry": entry, "strategy": one["strategy"], "group": one["group"]}
        if "audit" in group:
            row["audit"] = min(group["audit"], key=AUDITS.index)
        if "labels_from_rows" in group:
            row["labels_from_rows"] = bool(group["labels_from_rows"].any())
        row["scenarios"] = int((by_scenario["seeds"] > 0).sum())
        honest = by_scenario.loc[counted]
        row["mean_rank"] = honest["rank"].mean(skipna=False)
        row |= {f"skill_{name}": honest[f"skill_{name}"].mean(skipna=False) for name in BASELINES}
        row |= {f"undefined_{name}": bool(honest[f"undefined_{name}"].eq(True).any()) for name in BASELINES}
        rows.append(row | {f"mse {scenario}": mse for scenario, mse in by_scenario["mse"].items()})
    return pd.DataFrame(rows).sort_values(["mean_rank", "entry"], kind="stable", ignore_index=True)


def _is_unranked(board: pd.DataFrame) -> bool:
    """Whether a scenario has results that could be ranked, and none is."""
    could = (board["seeds"] > 0) & (board["group"] != "leaky")
    return bool(could.any() and board.loc[could, "rank"].isna().all())


@dataclass(frozen=True)
class Contest:
    """The best entry of a scenario and the next one.

    Attributes:
        best: Row of the leaderboard with rank 1.
        next: The row after it; None if there is none.
        gap: MSE of ``next`` less that of ``best``; NaN without.
    """

    best: pd.Series
    next: pd.Series | None
    gap: float


def contest(board: pd.DataFrame) -> Contest | None:
    """The best entry and the next one of a single scenario's leaderboard; None if nothing is ranked."""
    ranked = board[board["rank"].notna() & np.isfinite(board["mse"])]
    if ranked.empty:
        return None
    best = ranked.iloc[0]
    if len(ranked) == 1:
        return Contest(best, None, float("nan"))
    other = ranked.iloc[1]
    return Contest(best, other, float(other["mse"] - best["mse"]))
