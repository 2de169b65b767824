"""What strategies said of themselves while they served, read and brought together over seeds."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bench.analysis import median_trace
from bench.results.store import TRACE, Store


def read_traces(store: Store, runs: pd.DataFrame) -> pd.DataFrame:
    """`median_trace` of each entry of each scenario that left one.

    Args:
        store: Where they are.
        runs: Columns ``run_id, scenario, entry``.

    Returns:
        Columns ``scenario, entry, origin, time, name, value``; empty where nothing left a trace.
    """
    names, frames = ["origin", "time", "name", "value"], []
    for (scenario, entry), ids in runs.groupby(["scenario", "entry"], sort=True)["run_id"]:
        read = [store.read_columns(run_id, TRACE, names) for run_id in ids]
        if kept := [columns for columns in read if columns is not None and len(columns["origin"])]:
            together = {name: np.concatenate([columns[name] for columns in kept]) for name in names}
            frames.append(pd.DataFrame({"scenario": str(scenario), "entry": str(entry)} | together))
    by = ["scenario", "entry"]
    return median_trace(frames, by) if frames else pd.DataFrame(columns=[*by, *names])
