"""Verdicts of an experiment: entries of a scenario compared with each other, scenario by scenario."""

from __future__ import annotations

from typing import Any

import pandas as pd

from bench.analysis import (
    Pair,
    ablations,
    cost_table,
    planned_pairs,
    references,
    seen_from,
    tuned_pairs,
    turned,
    unbeaten,
    verdicts,
    verdicts_of,
)
from bench.analysis.entries import is_tuned
from bench.analysis.leaderboard import FROZEN, PERSISTENCE
from bench.analysis.tuning import GROUP
from bench.report.view.loaded import Results, derived
from bench.results.trials import read_served

ENTRY = ["entry", "strategy", "base", "strategy_config"]
REFERENCES = (FROZEN, PERSISTENCE)


@derived
def _entries(results: Results) -> dict[str, pd.DataFrame]:
    """A row for each entry of each scenario that has a result."""
    first = results.ok.drop_duplicates(["scenario", "entry"])[["scenario", *ENTRY]]
    return {str(scenario): here for scenario, here in first.groupby("scenario", sort=False)}


@derived
def part_ablations(results: Results) -> pd.DataFrame:
    """`ablations` of each scenario for what strategies say of each other, with a column ``scenario`` in front."""
    frames = [
        ablations(_ranked(results, scenario), verdicts_on(results, scenario), results.questions)
        for scenario in results.scenarios
    ]
    found = [frame for frame in frames if len(frame)]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()


@derived
def verdict_table(results: Results) -> pd.DataFrame:
    """`verdicts_of` the ranked entries of each scenario, best first, with a column ``scenario`` in front."""
    return _joined({scenario: _verdicts(results, scenario) for scenario in results.scenarios}, results)


def _verdicts(results: Results, scenario: str) -> pd.DataFrame:
    entries = _ranked(results, scenario)
    stretch = results.stretch(scenario) if len(entries) else 1
    planned = [*tuned_pairs(entries), *((one, other) for _, one, other in planned_pairs(entries, results.questions))]
    return verdicts_of(entries, results.errors_by_seed(scenario), stretch, planned)


def _ranked(results: Results, scenario: str) -> pd.DataFrame:
    """A row for each ranked entry of a scenario, best first."""
    board = results.board_of(scenario)
    ranked = board.loc[board["rank"].notna(), ["entry"]]
    known = _entries(results).get(scenario, pd.DataFrame(columns=["scenario", *ENTRY]))
    return ranked.merge(known, on="entry")


@derived
def _by_scenario(results: Results) -> dict[str, pd.DataFrame]:
    return {str(scenario): pairs for scenario, pairs in verdict_table(results).groupby("scenario", sort=False)}


def verdicts_on(results: Results, scenario: str) -> pd.DataFrame:
    """The verdicts of one scenario."""
    return _by_scenario(results).get(scenario, verdict_table(results).head(0))


def against_best(results: Results, scenario: str) -> pd.DataFrame:
    """The verdicts on a scenario's best entry over each other one, in the order of the leaderboard."""
    best = _ranked(results, scenario)["entry"].head(1).tolist()
    pairs = verdicts_on(results, scenario)
    return pairs[pairs["one"].isin(best)]


def not_worse(results: Results, scenario: str) -> list[str]:
    """The ranked entries that no other one is significantly better than, in the order of the leaderboard."""
    return unbeaten(verdicts_on(results, scenario), _ranked(results, scenario)["entry"].tolist())


@derived
def tuned_beside_default(results: Results) -> pd.DataFrame:
    """Each entry that was tuned beside the same with the options as they were.

    Returns:
        Columns ``scenario, entry, trials``, ``chosen`` (options, JSON), ``val_mse_default, val_mse_tuned,
        mse_default, mse_tuned``, ``prefers`` (what the stream prefers: ``tuned``, ``defaults``, or nothing where they
        are the same), and those of a verdict on the tuned one.
    """
    tuning, rows = results.tuning, list[dict[str, Any]]()
    if tuning is None:
        return pd.DataFrame()
    groups: dict[Any, pd.DataFrame] = dict(iter(tuning.table.groupby(GROUP, sort=False)))
    served = {run_id: groups.get(one.group) for run_id, one in read_served(results.store.folder).items()}
    for scenario in results.scenarios:
        entries, board = _ranked(results, scenario), results.board_of(scenario).set_index("entry")
        runs = results.ok[(results.ok["scenario"] == scenario) & is_tuned(results.ok["strategy_config"])]
        first = dict(zip(runs["entry"], runs["run_id"], strict=True))
        for entry, other in tuned_pairs(entries):
            tried = served.get(first[entry])
            if tried is None or not tried["chosen"].any():
                continue
            chosen, seen = tried[tried["chosen"]].iloc[0], seen_from(verdicts_on(results, scenario), entry)
            mse = {"default": board["mse"][other], "tuned": board["mse"][entry]}
            row = {"scenario": scenario, "entry": entry, "trials": len(tried), "chosen": chosen["point"]}
            row |= {f"val_mse_{which}": board["val_mse"][name] for which, name in zip(mse, (other, entry), strict=True)}
            row |= {f"mse_{which}": value for which, value in mse.items()}
            row["prefers"] = "tuned" if mse["tuned"] < mse["default"] else "defaults"
            row["prefers"] = "" if mse["tuned"] == mse["default"] else row["prefers"]
            verdict = seen[seen["other"] == other].iloc[:1]
            if len(verdict):
                rows.append({**row, **verdict.drop(columns=["one", "scenario"]).iloc[0]})
    return pd.DataFrame(rows)


@derived
def skill_table(results: Results) -> pd.DataFrame:
    """The verdict on each ranked entry over frozen and over persistence, best first.

    Returns:
        Columns ``scenario, entry, strategy, reference`` (a strategy), ``against`` (its entry) and those of a verdict.
    """
    frames = []
    for scenario in results.scenarios:
        entries, pairs = _ranked(results, scenario), verdicts_on(results, scenario)
        strategies = dict(zip(entries["entry"], entries["strategy"], strict=True))
        for reference in REFERENCES:
            compared, here = references(entries, reference), list[pd.DataFrame]()
            for against in dict.fromkeys(compared.values()):
                own = pd.concat([pairs[pairs["other"] == against], turned(pairs[pairs["one"] == against])])
                own = own.rename(columns={"one": "entry", "other": "against"}).set_index("entry")
                named = [entry for entry, other in compared.items() if other == against and entry in own.index]
                rows = own.loc[named].rename_axis("entry").reset_index()
                here.append(rows.assign(strategy=rows["entry"].map(strategies), reference=reference))
            if here:
                places = pd.concat(here)["entry"].map(list(compared).index)
                frames.append(pd.concat(here).iloc[places.argsort(kind="stable").to_numpy()])
    if not frames:
        return pd.DataFrame(columns=["scenario", "entry", "strategy", "reference", "against", "verdict"])
    found = pd.concat(frames, ignore_index=True)
    named = ["scenario", "entry", "strategy", "reference", "against"]
    return found[[*named, *(column for column in found if column not in named)]]


def frozen_skills(results: Results) -> pd.DataFrame:
    """The rows of `skill_table` against frozen (columns ``scenario, entry`` and `COLUMNS`), without any other pair."""
    found = []
    for scenario in results.scenarios:
        errors, stretch = results.errors_by_seed(scenario), results.stretch(scenario)
        known = references(_ranked(results, scenario), FROZEN).items()
        family = [
            Pair({"scenario": scenario, "entry": entry}, errors[entry], errors[frozen])
            for entry, frozen in known
            if entry in errors and frozen in errors
        ]
        found.append(verdicts(family, stretch, names=["scenario", "entry"]))
    full = [frame for frame in found if len(frame)] or found[:1]
    return pd.concat(full, ignore_index=True)


def _joined(frames: dict[str, pd.DataFrame], results: Results) -> pd.DataFrame:
    """Frames of scenarios below each other, in their order, with a column ``scenario`` in front."""
    found = []
    for scenario in (scenario for scenario in results.scenarios if scenario in frames):
        frames[scenario].insert(0, "scenario", scenario)
        found.append(frames[scenario])
    full = [frame for frame in found if len(frame)] or found[:1]
    return pd.concat(full, ignore_index=True) if full else pd.DataFrame()


@derived
def cost_of(results: Results) -> pd.DataFrame:
    """`cost_table` of all runs."""
    return cost_table(results.runs)
