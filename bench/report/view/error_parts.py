"""Errors of each run by channel or by lead, as one frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pandas as pd

from bench.analysis import error_shares, mean_by
from bench.report.view.loaded import Results, derived
from bench.results.record import Record


def error_parts(runs: pd.DataFrame, records: Mapping[str, Record], part: Literal["channel", "lead"]) -> pd.DataFrame:
    """The errors of runs, kept apart.

    Args:
        runs: Columns ``run_id, scenario, entry, seed``; those whose record holds no errors are left out.
        records: By run id.
        part: By what.

    Returns:
        Columns ``scenario, entry, seed, <part>, mse, mae``, scaled; leads count from 1.
    """
    columns: dict[str, list[Any]] = {name: [] for name in ("scenario", "entry", "seed", part, "mse", "mae")}
    for run_id, scenario, entry, seed in zip(
        *(runs[name] for name in ("run_id", "scenario", "entry", "seed")), strict=True
    ):
        record = records[run_id]
        errors = record.errors
        if errors is None:
            continue
        mse = errors.mse_by_channel if part == "channel" else errors.mse_by_lead
        mae = errors.mae_by_channel if part == "channel" else errors.mae_by_lead
        names: Sequence[Any] = record.dataset.targets if part == "channel" else range(1, len(mse) + 1)
        values = ([scenario] * len(mse), [entry] * len(mse), [seed] * len(mse), names, mse, mae)
        for column, more in zip(columns.values(), values, strict=True):
            column.extend(more)
    return pd.DataFrame(columns)


@derived
def by_channel(results: Results) -> pd.DataFrame:
    """Columns ``scenario, entry, channel, mse, mae, share``, means over seeds."""
    return error_shares(mean_by(error_parts(results.ok, results.records, "channel"), "channel"))


@derived
def by_lead(results: Results) -> pd.DataFrame:
    """Columns ``scenario, entry, lead, mse, mae``, means over seeds."""
    return mean_by(error_parts(results.ok, results.records, "lead"), "lead")
