"""Values that may mark what was not measured: a floor or a ceiling, far from all others, that comes again."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.contracts.series import Floats
from bench.data.user_files.cells import Cells

FEWEST = 3
"""Times that such a value must come."""
FAR = 3.0
"""Its distance from the next value, in spreads of the others."""
MIDDLE = (0.01, 0.99)
"""Quantiles between which the others are spread."""


def sentinel_notes(values: Floats, columns: Sequence[str], cells: Cells) -> list[str]:
    """A note for each column with such a value, with the option that reads it as missing.

    Args:
        values: ``(T, C)``, NaN where a cell is empty.
        columns: Names.
        cells: How cells are read.
    """
    notes = []
    for name, column in zip(columns, values.T, strict=True):
        known = column[~np.isnan(column)]
        if found := suspects(known):
            counts = {value: int((known == value).sum()) for value in found}
            rest = known[~np.isin(known, found)]
            told = " and ".join(f"{value:.10g} ({count:,} times)" for value, count in counts.items())
            notes.append(
                f"column {name!r}: {told} is far from all other values, {rest.min():.4g} to {rest.max():.4g}. If it "
                f"marks a missing value give {cells.with_marks(found)} and missing = 'ffill'"
            )
    return notes


def suspects(values: Floats) -> list[float]:
    """The lowest and the highest of some numbers, so far as they come again and are far from all others.

    Args:
        values: ``(n,)``, finite.
    """
    levels, counts = np.unique(values, return_counts=True)
    ends = [end for end in (0, -1) if len(levels) > 2 and counts[end] >= FEWEST]
    others = values[~np.isin(values, levels[ends])] if ends else values
    if not ends or not len(others):
        return []
    low, high = np.quantile(others, MIDDLE)
    gaps = {0: levels[1] - levels[0], -1: levels[-1] - levels[-2]}
    return [float(levels[end]) for end in ends if high > low and gaps[end] > FAR * (high - low)]
