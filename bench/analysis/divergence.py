"""Which runs diverged, and how many of each entry's."""

from __future__ import annotations

import numpy as np
import pandas as pd

DIVERGED = r"\bdiverged\b"  # the word of the stream and of training in a run's reason


def has_diverged(runs: pd.DataFrame) -> pd.Series:
    """Which runs have an infinite error, or failed because a forecast or a whole training was not finite.

    Args:
        runs: Columns ``status, reason, mse``.
    """
    endless = (runs["status"] == "ok") & ~np.isfinite(runs["mse"].astype(float))
    return endless | ((runs["status"] == "failed") & runs["reason"].astype(str).str.contains(DIVERGED))


def divergence_counts(runs: pd.DataFrame) -> pd.DataFrame:
    """Number of diverged runs by entry and scenario.

    Returns:
        A row for each entry and scenario with such a run: columns ``entry, base`` (its forecaster), ``scenario,
        diverged, runs`` (not skipped), ``seeds`` (that diverged, in order, as text).
    """
    tried = runs[runs["status"] != "skipped"]
    tried = tried.assign(diverged=has_diverged(tried))
    rows = []
    for (entry, base, scenario), group in tried.groupby(["entry", "base", "scenario"], sort=True):
        seeds = sorted(group.loc[group["diverged"], "seed"])
        if seeds:
            rows.append((entry, base, scenario, len(seeds), len(group), ", ".join(str(seed) for seed in seeds)))
    return pd.DataFrame(rows, columns=["entry", "base", "scenario", "diverged", "runs", "seeds"])
