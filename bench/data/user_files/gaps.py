"""Cells that were never measured: filled forward within bounds and counted, and values that may stand for them.

A filled cell of the stream is scored as if it had been measured. A mask would keep it out of the scores, but would have
to go with every window to every strategy, and errors over unlike parts of the truth cannot be compared pair by pair. So
no run of empty cells is filled that is longer than a forecast, unless the user says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.contracts.errors import BenchError
from bench.contracts.series import Floats, Split
from bench.data.user_files.cells import Cells
from bench.data.user_files.timestamps.time_grid import Times

LeaveOut = Callable[[list[str]], str]
"""The option that leaves columns out, such as ``drop = ['b']``; empty where nothing would be left."""


@dataclass(frozen=True)
class Filled:
    """Values without gaps."""

    values: Floats  # (T, C)
    time: Times  # (T,)
    missing: NDArray[np.bool_]  # (T, C), which of them were filled
    notes: tuple[str, ...]


def require_some(values: Floats, columns: Sequence[str], where: str, leave_out: LeaveOut) -> None:
    """Raise if a column of ``(T, C)`` holds nothing but NaN."""
    if empty := [columns[c] for c in map(int, np.flatnonzero(np.isnan(values).all(axis=0)))]:
        shown = ", ".join(map(repr, empty[:8])) + (", ..." if len(empty) > 8 else "")
        way = f"Leave them out: {leave_out(empty)}" if leave_out(empty) else "Give a file with measurements"
        raise BenchError(f"{where}: nothing was measured in {shown}. {way}.")


def require_complete(
    values: Floats, columns: Sequence[str], place: Callable[[int, int], str], leave_out: LeaveOut
) -> None:
    """Raise for the first NaN of ``(T, C)``, with the options that deal with it; ``place`` words a row and column."""
    missing = np.isnan(values)
    if not missing.any():
        return
    row, column = map(int, np.argwhere(missing)[0])
    way = leave_out([columns[c] for c in map(int, np.flatnonzero(missing.any(axis=0)))])
    ways = ["missing = 'ffill' fills forward", *([f"{way} leaves out what has gaps"] if way else [])]
    raise BenchError(
        f"{place(row, column)} is empty, expected a number. Fill it first (forward-fill does not look ahead, "
        f"interpolation does), or say what to do: {'; '.join(ways)}."
    )


def fill(values: Floats, time: Times, columns: Sequence[str]) -> Filled:
    """Fill each NaN of ``(T, C)`` with the last value before it; rows before a column's first value go."""
    missing = np.isnan(values)
    starts = np.argmin(missing, axis=0)
    first, late = int(starts.max()), int(starts.argmax())
    kept, notes = missing[first:], list[str]()
    if count := int(kept.sum()):
        told = ", ".join(_told(columns[c], kept[:, c]) for c in map(int, np.flatnonzero(kept.any(axis=0))[:8]))
        notes.append(f"{count:,} missing values filled with the column's last one before: {told}")
    if first:
        notes.append(
            f"{first:,} rows dropped at the start ({100 * first / len(values):.3g} %): {columns[late]!r} has no value "
            f"before {time[first]}"
        )
    return Filled(pd.DataFrame(values).ffill().to_numpy()[first:], time[first:], kept, tuple(notes))


def require_short(
    filled: Filled, columns: Sequence[str], where: str, longest: int | None, horizon: int, leave_out: LeaveOut
) -> None:
    """Raise for a run of filled cells longer than the user bears, or than a forecast if ``longest`` is None."""
    runs = [longest_run(filled.missing[:, c]) for c in range(filled.missing.shape[1])]
    most = horizon if longest is None else longest
    too_long = [columns[c] for c, (_, length) in enumerate(runs) if length > most]
    if not too_long:
        return
    worst = max(range(len(runs)), key=lambda c: runs[c][1])
    start, length = runs[worst]
    is_end = start + length == len(filled.time)
    until = f"to the end, {filled.time[-1]}" if is_end else f"to {filled.time[start + length - 1]}"
    bound = f"the option longest_gap allows {longest:,}" if longest is not None else f"a forecast has {horizon:,}"
    others = f" (and {len(too_long) - 1} more such columns)" if len(too_long) > 1 else ""
    ways = [f"{leave_out(too_long)} leaves {'them' if others else 'it'} out"] if leave_out(too_long) else []
    ways.append(f"longest_gap = {max(run for _, run in runs)} fills it all the same")
    raise BenchError(
        f"{where}: column {columns[worst]!r}{others}: {length:,} values in a row are missing, from "
        f"{filled.time[start]} {until}, and would be scored as if they had been measured, where {bound}. "
        f"{'End the file before' if is_end else 'Fix the file'}, or say what to do: {'; '.join(ways)}."
    )


def stream_shares(filled: Filled, columns: Sequence[str], split: Split) -> dict[str, float]:
    """The share of each column's stream that was filled; columns without any are left out."""
    shares = filled.missing[split.validation : split.end].mean(axis=0)
    return {column: float(share) for column, share in zip(columns, shares, strict=True) if share > 0}


def longest_run(missing: NDArray[np.bool_]) -> tuple[int, int]:
    """First row and length of the longest run of ``(T,)`` missing cells; 0, 0 without any."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], missing, [False]]).astype(np.int8)))
    if not len(edges):
        return 0, 0
    lengths = edges[1::2] - edges[::2]
    longest = int(lengths.argmax())
    return int(edges[2 * longest]), int(lengths[longest])


def _told(column: str, missing: NDArray[np.bool_]) -> str:
    return f"{column} {100 * missing.mean():.3g} % of its rows, up to {longest_run(missing)[1]:,} in a row"


FEWEST = 3  # times that such a value must come
FAR = 3.0  # its distance from the next value, in spreads of the others
MIDDLE = (0.01, 0.99)  # quantiles between which the others are spread


def sentinel_notes(values: Floats, columns: Sequence[str], cells: Cells) -> list[str]:
    """A note for each column of ``(T, C)`` with a value that may mark a missing one, and the option that reads it."""
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
    """The lowest and the highest of finite values ``(n,)``, if they come again and are far from all others."""
    levels, counts = np.unique(values, return_counts=True)
    ends = [end for end in (0, -1) if len(levels) > 2 and counts[end] >= FEWEST]
    others = values[~np.isin(values, levels[ends])] if ends else values
    if not ends or not len(others):
        return []
    low, high = np.quantile(others, MIDDLE)
    gaps = {0: levels[1] - levels[0], -1: levels[-1] - levels[-2]}
    return [float(levels[end]) for end in ends if high > low and gaps[end] > FAR * (high - low)]
