"""Even steps: whether time stamps have them, and rows brought to them without looking ahead."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.series import Floats

Times = NDArray[np.datetime64] | NDArray[np.int64]

MOST_CELLS = 200_000_000


def seconds(stamps: NDArray[np.datetime64]) -> NDArray[np.datetime64]:
    """Stamps in seconds where they are whole ones, otherwise in nanoseconds."""
    whole = stamps.astype("datetime64[s]")
    return whole if (whole == stamps).all() else stamps.astype("datetime64[ns]")


def is_regular(times: Times) -> bool:
    """Whether each stamp is one step after the one before; see `first_irregular`."""
    return first_irregular(times) is None


def first_irregular(times: Times) -> int | None:
    """The first row that is not one step after the row before, or None.

    A step is a fixed length, or a number of calendar months (on the same day, or always on the last one), or a working
    day. Which one is decided by the rows that it suits best.

    Args:
        times: ``(T,)``, rising.
    """
    if len(times) < 3:
        return None
    rules: list[Callable[[Times], NDArray[np.bool_]]] = [_same_length]
    if times.dtype.kind == "M":
        rules += [_same_months, _working_days]
    broken = min((rule(times) for rule in rules), key=lambda rows: int(rows.sum()))
    return int(np.argmax(broken)) + 1 if broken.any() else None


def step_seconds(times: Times) -> float | None:
    """Seconds from one row to the next (the median), or None where time is not in dates."""
    if times.dtype.kind != "M":
        return None
    return float(np.median(np.diff(times) / np.timedelta64(1, "s")))


def spell(step: np.timedelta64 | np.int64) -> str:
    """A step in words: ``1.5 h``, ``7 days``; a plain number where time is counted."""
    if not isinstance(step, np.timedelta64):
        return f"{step:,}"
    length = float(step / np.timedelta64(1, "s"))
    for name, unit in (("days", 86_400.0), ("h", 3_600.0), ("min", 60.0)):
        if length >= unit:
            return "1 day" if length == 86_400.0 else f"{length / unit:.4g} {name}"
    return f"{length:.4g} s"


def step_in_words(times: Times) -> str:
    """The usual step, and how many others there are: ``1 h, no gaps``, ``3 months, no gaps``, ``1 h, 2 irregular``.

    Args:
        times: ``(T,)``, rising.
    """
    if len(times) < 2:
        return "one row"
    gaps, steps = _same_length(times), np.diff(times)
    usual = spell(steps[int(np.argmin(gaps))])
    if not gaps.any() or times.dtype.kind != "M":
        return f"{usual}, {int(gaps.sum()) or 'no'} {'irregular' if gaps.any() else 'gaps'}"
    if not _same_months(times).any():
        months = int(np.diff(times[:2].astype("datetime64[M]").astype("int64"))[0])
        return f"{months} month{'s' if months > 1 else ''}, no gaps"
    return "1 working day, no gaps" if not _working_days(times).any() else f"{usual}, {int(gaps.sum())} irregular"


def _usual(steps: NDArray[np.int64]) -> int:
    lengths, counts = np.unique(steps, return_counts=True)
    return int(lengths[counts.argmax()])


def _same_length(times: Times) -> NDArray[np.bool_]:
    steps = np.diff(times.astype("int64"))
    return np.asarray(steps != _usual(steps))


def _same_months(times: Times) -> NDArray[np.bool_]:
    stamps, months = times.astype("datetime64[ns]"), times.astype("datetime64[M]")
    within = stamps - months
    left = (months + 1) - stamps
    off = (within != within[0]) & ((left != left[0]) | (left > np.timedelta64(1, "D")))
    steps = np.diff(months.astype("int64"))
    length = _usual(steps)
    return np.asarray((steps != length) | off[1:] | (length < 1))


def _working_days(times: Times) -> NDArray[np.bool_]:
    stamps, days = times.astype("datetime64[ns]"), times.astype("datetime64[D]")
    hour = stamps - days
    weekday = (days.astype("int64") + 3) % 7  # 0 is Monday: the count begins on a Thursday
    expected = np.where(weekday[:-1] == 4, 3, 1)
    return np.asarray((np.diff(days.astype("int64")) != expected) | (weekday[1:] > 4) | (hour[1:] != hour[0]))


def resample_mean(
    values: Floats, times: NDArray[np.datetime64], step: np.timedelta64
) -> tuple[Floats, NDArray[np.datetime64]]:
    """Means over even steps, each known by its own stamp.

    The row stamped ``s`` is the mean of what was measured after ``s - step`` and up to ``s``: nothing later. A last
    step that had not ended is left out.

    Args:
        values: ``(T, C)``; NaN where there is none, and means are over the others.
        times: ``(T,)``, rising.
        step: Of the new rows; stamps are whole steps since 1970.

    Returns:
        ``(S, C)`` means, NaN where nothing was measured, and their ``(S,)`` stamps.

    Raises:
        BenchError: There would be no row, or more than fit.
    """
    length = int(step.astype("timedelta64[ns]").astype("int64"))
    counted = times.astype("datetime64[ns]").astype("int64")
    bins = -(-counted // length)
    first, last = int(bins[0]), int(counted[-1] // length)
    count = last - first + 1
    if count < 1 or count * values.shape[1] > MOST_CELLS:
        raise BenchError(f"{max(count, 0):,} rows of {values.shape[1]:,} columns; give a step that suits the data")
    inside = bins <= last
    sums, known = np.zeros((count, values.shape[1])), np.zeros((count, values.shape[1]))
    good = np.isfinite(values[inside])
    np.add.at(sums, bins[inside] - first, np.where(good, values[inside], 0.0))
    np.add.at(known, bins[inside] - first, good.astype("float64"))
    means = np.divide(sums, known, out=np.full_like(sums, np.nan), where=known > 0)
    return means, seconds(((first + np.arange(count)) * length).astype("datetime64[ns]"))


def fill_forward(values: Floats) -> Floats:
    """``(T, C)`` with each NaN replaced by the last number before it in its column; NaN where there is none."""
    row = np.where(np.isfinite(values), np.arange(len(values))[:, None], -1)
    last = np.maximum.accumulate(row, axis=0)
    filled = np.take_along_axis(values, np.maximum(last, 0), axis=0)
    return np.where(last >= 0, filled, np.nan)
