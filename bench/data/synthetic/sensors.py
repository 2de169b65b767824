"""Faults of sensors: the world stays as it was, and what is read of it does not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.contracts.drift.transitions import drawn_by_block
from bench.contracts.drift.truth import Drift

Floats = NDArray[np.float64]


def misread(values: Floats, drift: Drift, weight: Floats, level: float, sigma: Floats, uniform: Floats) -> Floats:
    """``(T, C)``: what a faulty sensor reads of its channel; other kinds of drift leave readings as they are.

    Args:
        values: ``(T, C)``, as sensors without this fault read them.
        drift: The fault.
        weight: ``(T, C)``: how far it has come.
        level: Mean level of all channels before any drift.
        sigma: ``(C,)``: standard deviations before any drift.
        uniform: ``(blocks, C)``, from 0 to 1: which blocks are faulty.
    """
    d = drift.magnitude
    if drift.kind == "gain":
        return values * (1 + d * weight)
    if drift.kind == "bias":
        return values + d * sigma * weight
    if drift.kind == "late":
        return level + (values - level) * 10 ** (-d * (drift.mask(len(sigma)) - weight))
    if drift.kind not in ("stuck", "dropout"):
        return values
    share = d / (1 + d) * weight
    columns = [drawn_by_block(share[:, c], drift.onset, drift.block, uniform[:, c]) for c in range(len(sigma))]
    faulty = (np.stack(columns, axis=1) > 0) & (weight > 0)
    return np.where(faulty, 0.0 if drift.kind == "dropout" else _before_fault(values, faulty), values)


def _before_fault(values: Floats, faulty: NDArray[np.bool_]) -> Floats:
    """The last reading before each fault, held through it."""
    t = np.arange(len(values))[:, None]
    last = np.maximum.accumulate(np.where(faulty, 0, t), axis=0)
    held: Floats = np.take_along_axis(values, last, axis=0)
    return held
