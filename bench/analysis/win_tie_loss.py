"""Wins, ties and losses of each entry against each other one."""

from __future__ import annotations

from itertools import permutations

import pandas as pd

COLUMNS = ["entry", "other", "wins", "ties", "losses", "untested", "seeds_lower", "seeds_equal", "seeds_higher"]


def win_tie_loss(pairs: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """Count wins, ties and losses of each entry against each other one.

    Args:
        pairs: A row for each pair and scenario: columns ``one, other, verdict``, see `bench.analysis.verdicts`.
        runs: The runs that count: columns ``scenario, entry, seed, mse``.

    Returns:
        A row for each ordered pair of entries, in the order in which they first appear in ``pairs``: columns ``entry,
        other``; ``wins, ties, losses``, scenarios in which ``entry`` is significantly better, neither, or significantly
        worse; ``untested``, those among the ties in which no test could be made; ``seeds_lower, seeds_equal,
        seeds_higher``, pairs of scenario and seed in which its MSE is lower, equal, or higher.
    """
    if pairs.empty:
        return pd.DataFrame(columns=COLUMNS)
    names = list(dict.fromkeys([*pairs["one"], *pairs["other"]]))
    both_ways = pd.concat([_counts(pairs, "one", "other", 1), _counts(pairs, "other", "one", -1)])
    counted = both_ways.groupby(["entry", "other"]).sum()
    scenarios = runs["scenario"].isin(set(pairs["scenario"])) if "scenario" in pairs else True
    errors = runs[scenarios & runs["entry"].isin(names)].pivot_table(
        index=["scenario", "seed"], columns="entry", values="mse"
    )
    errors = errors.reindex(columns=names)
    rows = []
    for one, other in permutations(names, 2):
        if (one, other) in counted.index:
            known = errors[[one, other]].dropna()
            a, b = known[one], known[other]
            by_seed = (int(part.sum()) for part in (a < b, a == b, a > b))
            rows.append((one, other, *counted.loc[(one, other)], *by_seed))
    return pd.DataFrame(rows, columns=COLUMNS)


def _counts(pairs: pd.DataFrame, entry: str, other: str, sign: int) -> pd.DataFrame:
    better, worse = (pairs["verdict"] == verdict for verdict in ("better", "worse")[::sign])
    untested = pairs["verdict"].isin(["too short", "undefined"])
    counts = {"wins": better, "ties": ~better & ~worse, "losses": worse, "untested": untested}
    return (
        pd.DataFrame({"entry": pairs[entry], "other": pairs[other]}).assign(**counts).astype(dict.fromkeys(counts, int))
    )


def totals(duelled: pd.DataFrame) -> pd.DataFrame:
    """Wins, ties and losses of each entry (index) against all others together, from `win_tie_loss`."""
    return duelled.groupby("entry", sort=False)[["wins", "ties", "losses", "untested"]].sum()
