"""Pool the runs of several sources as one experiment, each run once."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from bench.analysis.entries import is_tuned, with_entries
from bench.analysis.leaderboard import leaderboard

PARTS = (
    "code of the strategy or a package that it imports",
    "defaults of the strategy",
    "code of the forecaster or a package that it imports",
    "defaults of the forecaster",
    "pre-training",
    "harness",
    "kind of device",
)
"""What makes a version: columns of a pool's runs, texts that are equal where nothing differs."""


@dataclass(frozen=True, eq=False)
class Pool:
    """Runs that count, and what was left out.

    Attributes:
        runs: With the columns of `with_entries`; ``entry`` also tells versions apart, ``unversioned`` does not.
        doubled: Runs left out: another source has the same id, or a later one has the same version and seed.
        differing: Of these, the ids with another MSE elsewhere.
    """

    runs: pd.DataFrame
    doubled: int
    differing: list[str]


def pool(runs: pd.DataFrame) -> Pool:
    """Put runs of several sources (numbers, in the column ``source``) together.

    Runs belong to one scenario only if dataset, its options, its data's ``fingerprint`` and every number of the
    protocol agree. A run with the id of another one is the same run; one that ended well counts before one that did
    not, then the first source. Runs of one entry in one scenario whose ``version`` (of all code that decides the
    outcome) differs are different entries, ``name [2]`` by their sources. Of two runs of one version and seed the
    newest counts.
    """
    runs = runs.assign(bad=runs["status"] != "ok").sort_values(["bad", "source"], kind="stable")
    ok = runs[~runs["bad"]]
    differing = ok.groupby("run_id", sort=True)["mse"].nunique()
    runs = runs.assign(tuned=is_tuned(runs["strategy_config"]))  # one run may be of two entries
    once = runs.drop_duplicates(["run_id", "tuned"]).drop(columns=["bad", "tuned"])
    named = with_entries(once.sort_index())
    named["unversioned"] = named["entry"]
    named["entry"] += _versions(named)
    newest_last = named.sort_values("started", kind="stable")
    kept = newest_last.drop_duplicates(["scenario", "entry", "seed"], keep="last").sort_index()
    return Pool(kept, len(runs) - len(kept), differing.index[differing > 1].tolist())


def _versions(runs: pd.DataFrame) -> pd.Series:
    """Suffix of an entry's name that tells its versions apart; empty if there is one version."""
    keys = ["scenario", "entry"]
    several = runs.groupby(keys)["version"].transform("nunique") > 1
    sources = runs.groupby([*keys, "version"])["source"].transform(_numbers)
    names = (" [" + sources.astype(str) + "]").where(several, "")
    alike = runs.assign(name=names).groupby([*keys, "name"])["version"].transform("nunique") > 1
    return names.where(~(several & alike), names.str.removesuffix("]") + ", " + runs["version"].str.slice(0, 6) + "]")


def version_differences(runs: pd.DataFrame) -> dict[tuple[str, ...], list[str]]:
    """What differs between versions of one entry: names of entries by the `PARTS` in which theirs differ.

    Args:
        runs: Of a `Pool`; columns of `PARTS` that are missing count as equal.
    """
    found: dict[tuple[str, ...], list[str]] = {}
    for (_, name), group in runs.groupby(["scenario", "unversioned"], sort=True):
        entry = str(name)
        if group["version"].nunique() > 1:
            entries = found.setdefault(tuple(part for part in PARTS if part in group and group[part].nunique() > 1), [])
            entries += [entry] if entry not in entries else []
    return found


def pooled_board(runs: pd.DataFrame) -> pd.DataFrame:
    """`leaderboard` of a pool, with the columns ``sources`` (such as ``1, 3``), ``dataset`` and ``fingerprint``."""
    keys = ["scenario", "entry"]
    named = {name: (name, "first") for name in ("dataset", "fingerprint")}
    more = runs.groupby(keys).agg(sources=("source", _numbers), **named)
    return leaderboard(runs).merge(more.reset_index(), on=keys, how="left")


def _numbers(sources: pd.Series) -> str:
    return ", ".join(str(number) for number in sorted(set(sources)))
