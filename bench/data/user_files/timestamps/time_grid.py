"""Even steps: whether time stamps have them, and rows brought to them without looking ahead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.contracts.errors import BenchError
from bench.contracts.series import Floats

Times = NDArray[np.datetime64] | NDArray[np.int64]

MOST_CELLS = 200_000_000


def seconds(stamps: NDArray[np.datetime64]) -> NDArray[np.datetime64]:
    """Stamps in seconds if all are whole ones, otherwise in nanoseconds."""
    whole = stamps.astype("datetime64[s]")
    return whole if (whole == stamps).all() else stamps.astype("datetime64[ns]")


@dataclass(frozen=True)
class Step:
    """What lies between two rows."""

    words: str  # the kind: 1 h, 3 months, 1 working day
    broken: NDArray[np.bool_]  # (T - 1,), whether a row is not one step after the row before


def find_step(times: Times) -> Step:
    """The kind of step that fits most rows of rising times ``(T,)``, two or more.

    It is a fixed length; a number of calendar months (on the same day, or always on the last one); or the next of those
    days of the week that rows are of, at the same hour.
    """
    rules: list[Callable[[Times], Step]] = [_same_length]
    if times.dtype.kind == "M":
        rules += [_same_months, _days_of_week]
    return min((rule(times) for rule in rules), key=lambda step: int(step.broken.sum()))


def is_regular(times: Times) -> bool:
    """Whether each stamp is one step after the one before; see `find_step`."""
    return first_irregular(times) is None


def first_irregular(times: Times) -> int | None:
    """The first row that is not one step after the row before, or None; see `find_step`."""
    if len(times) < 3:
        return None
    broken = find_step(times).broken
    return int(np.argmax(broken)) + 1 if broken.any() else None


def step_seconds(times: Times) -> float | None:
    """Seconds from one row to the next (the median), or None if time is not in dates."""
    if times.dtype.kind != "M":
        return None
    return float(np.median(np.diff(times) / np.timedelta64(1, "s")))


def spell(step: np.timedelta64 | np.int64) -> str:
    """A step in words: ``1.5 h``, ``7 days``; a plain number if time is counted."""
    if not isinstance(step, np.timedelta64):
        return f"{step:,}"
    length = float(step / np.timedelta64(1, "s"))
    for name, unit in (("days", 86_400.0), ("h", 3_600.0), ("min", 60.0)):
        if length >= unit:
            return "1 day" if length == 86_400.0 else f"{length / unit:.4g} {name}"
    return f"{length:.4g} s"


def step_in_words(times: Times) -> str:
    """The usual step, and how many others there are: ``1 h, no gaps``, ``3 months, no gaps``, ``1 h, 2 irregular``."""
    if len(times) < 2:
        return "one row"
    step = find_step(times)
    count = int(step.broken.sum())
    return f"{step.words}, {f'{count:,} irregular' if count else 'no gaps'}"


def rows_apart(times: Times, later: Times) -> int | None:
    """After how many rows most rows are followed by one at exactly a later time; None if most are not.

    Args:
        times: ``(T,)``, rising.
        later: ``(T,)``, such as the times one day later; those after the last row do not count.

    Example:
        >>> hours = np.datetime64("2024-01-01") + np.arange(100) * np.timedelta64(1, "h")
        >>> rows_apart(hours, hours + np.timedelta64(1, "D"))
        24
    """
    later = later[later <= times[-1]]
    if not len(later):
        return None
    place = np.searchsorted(times, later)
    rows = (place - np.arange(len(later)))[times[place] == later]
    if not len(rows):
        return None
    usual = _usual(rows)
    return usual if 2 * int((rows == usual).sum()) > len(later) else None


def _usual(steps: NDArray[np.int64]) -> int:
    lengths, counts = np.unique(steps, return_counts=True)
    return int(lengths[counts.argmax()])


def _same_length(times: Times) -> Step:
    lengths = np.diff(times)
    broken = lengths.astype("int64") != _usual(lengths.astype("int64"))
    return Step(spell(lengths[int(np.argmin(broken))]), broken)


def _same_months(times: Times) -> Step:
    months = times.astype("datetime64[M]")
    within = times - months
    left = (months + 1) - times
    off = (within != within[0]) & ((left != left[0]) | (left > np.timedelta64(1, "D")))
    steps = np.diff(months.astype("int64"))
    length = _usual(steps)
    return Step(f"{length} month{'s' * (length > 1)}", (steps != length) | off[1:] | (length < 1))


def _days_of_week(times: Times) -> Step:
    days = times.astype("datetime64[D]")
    hour = times - days
    weekday = (days.astype("int64") + 3) % 7  # 0 is Monday: the count begins on a Thursday
    counts = np.bincount(weekday, minlength=7)
    usual = 2 * counts > counts.max()
    following = np.array([next(n for n in range(1, 8) if usual[(day + n) % 7]) for day in range(7)])
    steps = np.diff(days.astype("int64"))
    broken = (steps != following[weekday[:-1]]) | ~usual[weekday[1:]] | (hour[1:] != hour[0])
    is_working_week = usual.tolist() == [True] * 5 + [False] * 2
    return Step("1 working day" if is_working_week else f"{int(usual.sum())} days a week", broken)


def resample_mean(
    values: Floats, times: NDArray[np.datetime64], step: np.timedelta64
) -> tuple[Floats, NDArray[np.datetime64]]:
    """Means ``(S, C)`` over even steps, NaN where nothing was measured, and their ``(S,)`` stamps, which rise.

    The row stamped ``s`` is the mean of what was measured after ``s - step`` and up to ``s``: nothing later. Stamps are
    whole steps since 1970; a last step that had not ended is left out.

    Raises:
        BenchError: There would be no row, or more than fit.
    """
    length, index = pd.Timedelta(step), pd.DatetimeIndex(times)
    count = index[-1].value // length.value + -index[0].value // length.value + 1
    if count < 1 or count * values.shape[1] > MOST_CELLS:
        raise BenchError(f"{max(count, 0):,} rows of {values.shape[1]:,} columns; give a step that suits the data")
    bins = pd.DataFrame(values, index=index).resample(length, closed="right", label="right", origin="epoch")
    means = bins.mean()[:count]
    return means.to_numpy(), seconds(means.index.to_numpy())
