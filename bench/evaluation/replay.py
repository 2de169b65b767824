"""Verdict of serving a run's first blocks again: whether it can be repeated, and whether it used a later row."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from bench.evaluation.profiling.clocks import device_name, resolve_device
from bench.evaluation.run import RunPaths
from bench.evaluation.run_spec import RunSpec
from bench.results.provenance import packages
from bench.results.record import Record, Replay
from bench.results.store import ORIGINS, Store

if TYPE_CHECKING:
    import pandas as pd

ERRORS = ("mse", "mae", "mse_original", "mae_original")

ROUNDING = 1e-6
"""Relative difference of an origin's error that a repetition on a CPU may have."""

TOGETHER = 1e-3
"""Difference of an origin's error, relative to the mean, where the run was served together with others: the same sums,
in another order, move the weights that rounding decides."""

ELSEWHERE = 0.1
"""Relative difference of the mean error on an accelerator, or if the run was made elsewhere."""


def judge(run: RunSpec, place: RunPaths, errors: pd.DataFrame, again: Callable[[], pd.DataFrame]) -> Replay | None:
    """Compare the errors of a run's first forecasts with those of the same forecasts made again.

    Args:
        errors: ``origins.parquet`` of the forecasts made while the rows after their origins were hidden.
        again: Makes them once more, with no rows hidden.

    Returns:
        None if the run left no errors.
    """
    store = Store(place.results)
    record, made = store.read(run.run_id), store.read_frame(run.run_id, ORIGINS)
    if record is None or made is None:
        return None
    is_here, apart = _is_here(record, run), TOGETHER if record.together else 0.0
    if first_difference(errors, made, exact=is_here, apart=apart) is None:
        return Replay(verdict="same", origins=len(errors))
    control = again()
    differs = first_difference(control, made, exact=is_here, apart=apart)
    on_cpu = resolve_device(run.device).type == "cpu"
    origin = first_difference(errors, control, exact=on_cpu)
    if origin is not None and (differs is None or first_difference(control, again(), exact=on_cpu) is None):
        return Replay(
            verdict="leaks",
            origins=len(errors),
            reason=f"leaks: served again while the rows after each origin were out of reach, its forecast with origin "
            f"{origin} is another: it uses rows that were not known",
        )
    return Replay(
        verdict="differs" if is_here else "unclear",
        origins=len(errors),
        reason=f"cannot be repeated: served again on the same rows, its forecast with origin {differs or origin} is "
        "another than in the run. It is not deterministic, keeps something from one run to the next, or can tell a "
        "run from its repetition",
    )


def first_difference(errors: pd.DataFrame, made: pd.DataFrame, *, exact: bool, apart: float = 0.0) -> int | None:
    """First origin whose error differs in two ``origins.parquet``; None if all agree.

    Without ``exact``, only the means must agree, roughly. With it, errors may be ``apart``, in units of the mean.
    """
    one, other = (frame[list(ERRORS)].to_numpy()[: len(errors)] for frame in (errors, made))
    allowed = ROUNDING if exact else ELSEWHERE
    if not exact and np.allclose(one.mean(axis=0), other.mean(axis=0), rtol=allowed, atol=0, equal_nan=True):
        return None
    floor = apart * other.mean(axis=0) if len(other) else 0.0
    same = np.isclose(one, other, rtol=allowed, atol=floor, equal_nan=True).all(axis=1)
    return None if same.all() else int(errors["origin"].iloc[int(same.argmin())])


def _is_here(record: Record, run: RunSpec) -> bool:
    """Whether a run was made on a CPU like this one, by the same packages: then it can be repeated."""
    device, then = resolve_device(run.device), record.environment
    return device.type == "cpu" and (then.get("device_name"), then.get("packages")) == (device_name(device), packages())
