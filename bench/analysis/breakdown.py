"""Where the error sits: by channel and by lead."""

from __future__ import annotations

import pandas as pd


def mean_by(errors: pd.DataFrame, part: str) -> pd.DataFrame:
    """Means over seeds of errors that were kept apart.

    Args:
        errors: Columns ``scenario, entry, seed``, the one named by ``part`` (such as ``channel`` or ``lead``),
            ``mse`` and ``mae``.
        part: Name of that column.

    Returns:
        Columns ``scenario, entry, <part>, mse, mae``; parts in the order in which they came.
    """
    keys = ["scenario", "entry", part]
    return errors.groupby(keys, sort=False)[["mse", "mae"]].mean().reset_index()


def error_shares(by_channel: pd.DataFrame) -> pd.DataFrame:
    """Which channel carries how much of an entry's pooled MSE.

    Args:
        by_channel: Columns ``scenario, entry, channel, mse``.

    Returns:
        The same rows with ``share``: percent of the sum over the entry's channels. The pooled MSE is the mean over
        channels, so the shares say what each one adds to it.
    """
    total = by_channel.groupby(["scenario", "entry"])["mse"].transform("sum")
    return by_channel.assign(share=100 * by_channel["mse"] / total.where(total > 0))
