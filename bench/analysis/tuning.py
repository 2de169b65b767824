"""Results of trials: the grid as a table, the point to choose, and each option on its own."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd

GROUP = ["strategy", "forecaster", "dataset", "protocol"]


def grid_table(trials: pd.DataFrame) -> pd.DataFrame:
    """One row for each point (JSON of options) of each `GROUP`, in the order of the grid.

    The point with the lowest mean is chosen, the first of several; never one of which a seed failed or diverged, since
    the mean over the seeds that remain would flatter it.

    Returns:
        Columns of ``GROUP``, then ``point, val_mse`` (mean over the seeds with a finite error; NaN without),
        ``val_mse_sd`` (NaN with one seed), ``seeds`` (with a finite error), ``failed`` (without), ``reason`` (of the
        first failure) and ``chosen``.
    """
    rows = [_point_row(rows) for _, rows in trials.groupby([*GROUP, "point"], sort=False)]
    columns = [*GROUP, "point", "val_mse", "val_mse_sd", "seeds", "failed", "reason", "chosen"]
    table = pd.DataFrame(rows, columns=columns)
    whole = table["val_mse"].where(table["failed"] == 0)
    best = whole.dropna().groupby([table[key] for key in GROUP], sort=False).idxmin()
    table["chosen"] = table.index.isin(best.to_numpy())
    return table


def _point_row(rows: pd.DataFrame) -> dict[str, object]:
    one = rows.iloc[0]
    good = (rows["status"] == "ok") & np.isfinite(rows["val_mse"].to_numpy(dtype=float))
    values, bad = rows.loc[good, "val_mse"], rows[~good]
    row: dict[str, object] = {key: one[key] for key in (*GROUP, "point")}
    row |= {"val_mse": values.mean(), "val_mse_sd": values.std(ddof=1), "seeds": len(values), "failed": len(bad)}
    return row | {"reason": (bad["reason"].iloc[0] or "the error is not finite") if len(bad) else ""}


def spread_options(table: pd.DataFrame) -> pd.DataFrame:
    """The options of each point of one group of `grid_table` as columns; None is unset."""
    points = [json.loads(point) for point in table["point"]]
    options = list(dict.fromkeys(option for point in points for option in point))
    columns = {
        option: pd.Series([p.get(option) for p in points], index=table.index, dtype=object) for option in options
    }
    return pd.DataFrame(columns, index=table.index)


def best_by_option(table: pd.DataFrame) -> pd.DataFrame:
    """The lowest error for each value of each option of one group of `grid_table`, the other options at their best.

    Returns:
        Columns ``option, value, val_mse, val_mse_sd, point`` for options with several values, in the order of the grid;
        ``val_mse`` is NaN if each point with that value had failures.
    """
    options = spread_options(table)
    rows = []
    for option in options:
        keys = options[option].map(json.dumps)
        if keys.nunique() < 2:
            continue
        for key in keys.unique():
            here = table[(keys == key) & (table["failed"] == 0)].dropna(subset="val_mse")
            best = here.loc[here["val_mse"].idxmin()] if len(here) else None
            row = {"option": option, "value": json.loads(key)}
            found = {name: best[name] if best is not None else None for name in ("val_mse", "val_mse_sd", "point")}
            rows.append(row | found)
    frame = pd.DataFrame(rows, columns=["option", "value", "val_mse", "val_mse_sd", "point"])
    frame["value"] = pd.Series([row["value"] for row in rows], dtype=object)  # None among numbers stays None
    return frame.astype({"val_mse": float, "val_mse_sd": float})
