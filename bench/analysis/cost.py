"""What serving costs, and which entries are on the Pareto front of cost and error."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.analysis.entries import with_entries
from bench.results.record import COSTS


def cost_table(runs: pd.DataFrame) -> pd.DataFrame:
    """Cost of each entry of each scenario.

    Args:
        runs: With the column ``stream_s_per_1000``: seconds of predict and adapt for 1,000 windows, over the whole
            stream of the accuracy run.

    Returns:
        Columns ``scenario, entry``, then `COSTS` from the undisturbed timing pass of the lowest seed (NaN without),
        then ``stream_s_per_1000``, the mean over seeds.
    """
    runs = with_entries(runs)
    ok = runs[runs["status"] == "ok"]
    keys = ["scenario", "entry"]
    trusted = ok["timed_alone"].astype(bool) & ~ok["disturbed"].astype(bool)
    timed = ok[trusted].sort_values("seed", kind="stable")
    steps = timed.drop_duplicates(keys).set_index(keys)[list(COSTS)]
    stream = ok.groupby(keys)["stream_s_per_1000"].mean().to_frame()
    return steps.join(stream, how="outer").sort_index().reset_index()


def pareto_front(cost: pd.Series, error: pd.Series) -> pd.Series:
    """Booleans: finite points that no other one beats in both cost and error (lower is better)."""
    c, e = cost.to_numpy(dtype=float), error.to_numpy(dtype=float)
    no_worse = (c[None, :] <= c[:, None]) & (e[None, :] <= e[:, None])
    better = (c[None, :] < c[:, None]) | (e[None, :] < e[:, None])
    beaten = (no_worse & better).any(axis=1)
    return pd.Series(~beaten & np.isfinite(c) & np.isfinite(e), index=cost.index)
