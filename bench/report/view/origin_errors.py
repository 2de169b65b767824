"""Errors at each forecast origin, read once and only the columns that are needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.analysis import mean_over_seeds
from bench.results.store import ORIGINS, Store

Column = NDArray[Any]


@dataclass(frozen=True, eq=False)
class OriginErrors:
    """What the ``origins.parquet`` of one scenario's runs say.

    Attributes:
        by_seed: For each entry ``(origins, seeds)`` MSE, scaled, index ``origin``.
        mean: ``(origins, entries)``: its mean over seeds.
        times: Time stamp of each origin: ``datetime64`` or integers.
    """

    by_seed: dict[str, pd.DataFrame]
    mean: pd.DataFrame
    times: pd.Series


def read_origin_errors(store_of: Callable[[str], Store], runs: pd.DataFrame) -> dict[str, OriginErrors]:
    """Read the errors of runs that ended well, by scenario; runs without a frame, or an empty one, are left out.

    Args:
        store_of: Where each run is, by its id.
        runs: Columns ``run_id, scenario, entry, seed``.
    """
    found: dict[str, dict[str, dict[int, tuple[Column, Column]]]] = {}
    longest: dict[str, tuple[int, str]] = {}
    columns = zip(*(runs[name] for name in ("run_id", "scenario", "entry", "seed")), strict=True)
    for run_id, scenario, entry, seed in columns:
        frame = store_of(run_id).read_columns(run_id, ORIGINS, ("origin", "mse"))
        if frame is None or not len(frame["mse"]):
            continue
        found.setdefault(scenario, {}).setdefault(entry, {})[int(seed)] = frame["origin"], frame["mse"]
        if len(frame["mse"]) > longest.get(scenario, (0, ""))[0]:
            longest[scenario] = len(frame["mse"]), run_id
    return {scenario: _together(store_of, found[scenario], longest[scenario][1]) for scenario in sorted(found)}


def _together(
    store_of: Callable[[str], Store], entries: Mapping[str, Mapping[int, tuple[Column, Column]]], longest: str
) -> OriginErrors:
    known: dict[bytes, pd.Index] = {}
    by_seed = {entry: _side_by_side(dict(sorted(seeds.items())), known) for entry, seeds in entries.items()}
    mean = mean_over_seeds(by_seed)
    frame = store_of(longest).read_columns(longest, ORIGINS, ("origin", "time"))
    assert frame is not None
    times = pd.Series(frame["time"], index=pd.Index(frame["origin"], name="origin"), name="time")
    return OriginErrors(by_seed, mean, times.reindex(mean.index))


def _side_by_side(seeds: Mapping[int, tuple[Column, Column]], known: dict[bytes, pd.Index]) -> pd.DataFrame:
    """A column for each seed; frames with the same origins share their index, which makes them quick to compare."""

    def index_of(origins: Column) -> pd.Index:
        return known.setdefault(origins.tobytes(), pd.Index(origins, name="origin"))

    indices = [index_of(origins) for origins, _ in seeds.values()]
    if all(index is indices[0] for index in indices):
        return pd.DataFrame(np.column_stack([mse for _, mse in seeds.values()]), index=indices[0], columns=list(seeds))
    series = zip(seeds, indices, seeds.values(), strict=True)
    return pd.DataFrame({seed: pd.Series(mse, index=index) for seed, index, (_, mse) in series})
