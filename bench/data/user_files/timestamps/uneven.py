"""Rows with uneven steps: refused with what could be done about them, or brought to even steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.contracts.errors import BenchError
from bench.contracts.series import Floats
from bench.data.user_files.timestamps.time_grid import Times, find_step, resample_mean, spell, step_seconds
from bench.data.user_files.timestamps.time_order import clock_change_hint
from bench.data.user_files.user_options import step_of

STEPS = (1, 2, 5, 10, 15, 20, 30, *(60 * n for n in (1, 2, 3, 5, 6, 10, 12, 15, 20, 30)))
STEPS += tuple(3600 * n for n in (1, 2, 3, 4, 6, 8, 12)) + tuple(86_400 * n for n in (*range(1, 8), 14, 28))
"""Seconds of the steps that are proposed: parts of a minute, an hour, a day; days and weeks."""

NEAR = 1.1
"""Factor within which a step of these suits rows that are usually so far apart."""


def suited_step(time: Times) -> str:
    """A step that suits the data, as ``resample`` takes it; empty where none does: below a second, or months.

    Args:
        time: ``(T,)``, rising, two rows or more.
    """
    usual = step_seconds(time)
    if usual is None or usual < 1 / NEAR or "month" in find_step(time).words:
        return ""
    nearest = min(STEPS, key=lambda step: abs(np.log(step / usual)))
    step = nearest if max(nearest / usual, usual / nearest) <= NEAR else int(np.ceil(usual))
    unit, name = next(
        (size, name) for size, name in ((86_400, "D"), (3600, "h"), (60, "min"), (1, "s")) if step % size == 0
    )
    return f"{step // unit}{name}"


def uneven_steps(where: str, time: Times, row: int) -> BenchError:
    """That a row is not one step after the row before.

    Args:
        where: File, row and column, for the message.
        time: ``(T,)``.
        row: Which one.
    """
    steps, counts = np.unique(np.diff(time), return_counts=True)
    ways, hint = ["irregular = 'keep' takes rows as if they were even"], ""
    if time.dtype.kind == "M":
        if step := suited_step(time):
            ways.append(f"resample = {step!r}, missing = 'ffill' takes means over even steps and fills the empty ones")
        hint = clock_change_hint(time[row - 1], time[row])
    return BenchError(
        f"{where}: {time[row]} is {spell(time[row] - time[row - 1])} after the row before, where the usual step is "
        f"{spell(steps[counts.argmax()])}. Mend the file, or say what to do: {'; '.join(ways)}.{hint}"
    )


def resampled(path: Path, values: Floats, time: Times, step: str) -> tuple[Floats, Times]:
    """Means over even steps; see `resample_mean`.

    Raises:
        BenchError: Time is not in dates; or the step is so short that most rows would hold nothing that was measured,
            or so long that there would be none.
    """
    if time.dtype.kind != "M":
        raise BenchError(f"{path}: resample = {step!r} needs a time column of dates. Name it, time = '...'")
    length, usual = step_of(step), step_seconds(time)
    if usual is not None and 2 * (length / np.timedelta64(1, "s")) < usual:
        better = suited_step(time)
        raise BenchError(
            f"{path}: resample = {step!r} is finer than the rows, which are {spell(np.median(np.diff(time)))} apart: "
            "most of its rows would hold nothing that was measured. "
            f"{f'Give resample = {better!r}' if better else 'Leave it out'}."
        )
    try:
        return resample_mean(values, time.astype("datetime64[ns]"), length)
    except BenchError as error:
        raise BenchError(f"{path}: resample = {step!r} makes {error}.") from None
