"""Inputs that are a target some rows ahead: with these, forecasts know their truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bench.contracts.rounding import is_flat
from bench.contracts.series import DriftSeries, Floats

SAMPLE = 512  # rows by which all pairs of columns are compared; those that look alike are compared by all rows
LEFT = 1e-5  # share of a target's variance that a straight line through the input may leave
CLEARER = 0.01  # factor by which that share must be below the one at the same row: what only moves together is no copy


MOST_NAMED = 5
ROUNDING = 1e-12  # share that is left of a column by itself, or by a copy of it, at most


@dataclass(frozen=True)
class Ahead:
    """An input that equals a target of later rows, in any unit."""

    input: int
    target: int
    rows: int  # how many rows later


def targets_ahead(inputs: Floats, targets: Floats, most: int) -> list[Ahead]:
    """Inputs of which a straight line gives a target 1 to ``most`` rows later.

    Args:
        inputs: ``(T, C_in)``, finite.
        targets: ``(T, C_out)``, finite; they may be among the inputs.
        most: Rows ahead that are compared.

    Returns:
        The best lead for each input and target, in their order.
    """
    found: dict[tuple[int, int], tuple[float, int]] = {}
    most = min(most, len(inputs) // 2)
    places = np.unique(np.linspace(0, len(inputs) - most - 1, SAMPLE).astype(int)) if most > 0 else np.empty(0, int)
    early = _standardised(inputs[places]) if len(places) > 2 else inputs[:0]
    for rows in range(1, most + 1) if len(early) else ():
        later = _standardised(targets[places + rows])
        alike = np.abs(early.T @ later) >= len(places) * (1 - LEFT)
        for i, j in np.argwhere(alike):
            own, other = inputs[:, i], targets[:, j]
            share, at_once = _left(own[:-rows], other[rows:]), _left(own, other)
            is_ahead = at_once > ROUNDING and share <= min(LEFT, CLEARER * at_once)
            if is_ahead and share < found.get((i, j), (np.inf, 0))[0]:
                found[int(i), int(j)] = share, rows
    return [Ahead(i, j, rows) for (i, j), (_, rows) in sorted(found.items())]


def told_ahead(series: DriftSeries) -> str:
    """A sentence on inputs that equal a target within a window and a forecast later; empty without any."""
    inputs, targets = series.values[:, list(series.input_index)], series.values[:, list(series.target_column)]
    found = targets_ahead(inputs, targets, series.lookback + series.horizon)
    if not found:
        return ""
    named = [
        f"input {series.inputs[one.input]!r} is target {series.targets[one.target]!r} {one.rows:,} rows ahead"
        for one in found[:MOST_NAMED]
    ]
    more = f", and {len(found) - MOST_NAMED:,} more" if len(found) > MOST_NAMED else ""
    return f"{', '.join(named)}{more}: whoever reads it knows the truth before it is forecast"


def _standardised(values: Floats) -> Floats:
    """Columns with mean 0 and mean square 1; constant ones are 0."""
    flat = is_flat(values)
    centred = values - values.mean(axis=0)
    return np.asarray(np.where(flat, 0.0, centred / np.where(flat, 1.0, centred.std(axis=0))))


def _left(one: Floats, other: Floats) -> float:
    """The share of the variance of ``(T,)`` numbers that is left by a straight line through others."""
    a, b = _standardised(one[:, None])[:, 0], _standardised(other[:, None])[:, 0]
    return float(np.square(b - (a @ b) / len(a) * a).mean()) if b.any() else 0.0
