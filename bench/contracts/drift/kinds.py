"""What a drift changes: each kind is a change of the law that rows are drawn from, or of the sensor that reads them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Kind = Literal[
    "mean",
    "variance",
    "trend",
    "amplitude",
    "frequency",
    "phase",
    "autoregression",
    "correlation",
    "concept",
    "stuck",
    "dropout",
    "gain",
    "bias",
    "late",
]

STEADIEST = 0.995  # largest autoregression, so that the spectral radius stays under 1 whatever is asked for
TREND_ROWS = 1000
ANGLE = math.pi / 4


@dataclass(frozen=True)
class Law:
    """What rows are drawn from, at each row ``t`` and for each channel ``c``."""

    level: Floats  # (T, C): mu
    slope: Floats  # (T, C): what the level gains with each row
    swing: Floats  # (T, C): factor on the amplitudes of the season
    pace: Floats  # (T, C): factor on its frequency
    shift: Floats  # (T, C): added to its phase, radians
    scale: Floats  # (T, C): standard deviation of the autoregressive part, as its innovations ask for
    fisher: Floats  # (T, C): inverse hyperbolic tangent of the autoregression
    correlation: Floats  # (T, C, C): of the innovations
    angle: Floats  # (T,): by which the concept has turned, radians

    @property
    def autoregression(self) -> Floats:
        """``(T, C)``: the diagonal of ``Phi``; its largest absolute value is the spectral radius."""
        return np.clip(np.tanh(self.fisher), -STEADIEST, STEADIEST)


Change = Callable[[Law, Floats, float, Floats], Law]
"""A law, how far each channel has drifted ``(T, C)``, the magnitude, the channels' deviation before drift ``(C,)``."""


@dataclass(frozen=True)
class Effect:
    """What a kind of drift does."""

    unit: str  # what a magnitude d means
    low: float  # least magnitude
    high: float  # largest one
    change: Change | None = None  # of the law; None where the sensor drifts, or the drift is one of the sensor's


def _added(part: str, per_unit: float = 1.0, *, deviations: bool = False) -> Change:
    """A kind that adds ``d`` units to a part of the law, in deviations of the channel or as they are."""

    def change(law: Law, weight: Floats, d: float, sigma: Floats) -> Law:
        step = d * per_unit * (sigma if deviations else np.ones_like(sigma))
        parts: dict[str, Any] = {part: getattr(law, part) + weight * step}
        return replace(law, **parts)

    return change


def _scaled(part: str, per_unit: float = 1.0) -> Change:
    """A kind that multiplies a part of the law by ``1 + d a``."""

    def change(law: Law, weight: Floats, d: float, _: Floats) -> Law:
        parts: dict[str, Any] = {part: getattr(law, part) * (1 + per_unit * d * weight)}
        return replace(law, **parts)

    return change


def _louder(law: Law, weight: Floats, d: float, _: Floats) -> Law:
    return replace(law, scale=law.scale * (1 + d) ** weight)


def _uncoupled(law: Law, weight: Floats, d: float, _: Floats) -> Law:
    """Correlations between channels that drift and those that do not shrink by ``1 - d``, or turn.

    The end is a mean of two correlation matrices, the old one and the one with the drifting channels' signs turned, and
    the way there a mean of both ends: positive definite at each row if the old one is.
    """
    drifting = weight.max(axis=0) > 0
    sign = np.where(drifting, -1.0, 1.0)
    turned = law.correlation * (sign[:, None] * sign[None, :])
    end = (1 - d / 2) * law.correlation + d / 2 * turned
    a = weight.max(axis=1)[:, None, None]
    return replace(law, correlation=(1 - a) * law.correlation + a * end)


def _turned(law: Law, weight: Floats, d: float, _: Floats) -> Law:
    return replace(law, angle=law.angle + d * ANGLE * weight.max(axis=1))


EFFECTS: dict[Kind, Effect] = {
    "mean": Effect("the level moves by d deviations", -50, 50, _added("level", deviations=True)),
    "variance": Effect("innovations grow by the factor (1 + d)^a", -0.9, 50, _louder),
    "trend": Effect(
        f"the level gains d deviations in {TREND_ROWS:,} rows",
        -50,
        50,
        _added("slope", 1 / TREND_ROWS, deviations=True),
    ),
    "amplitude": Effect("the season's amplitudes grow by the factor 1 + d a", -1, 50, _scaled("swing")),
    "frequency": Effect("the season's frequency grows by the factor 1 + d a / 4", -3.5, 8, _scaled("pace", 0.25)),
    "phase": Effect("the season moves by d eighths of a cycle", -8, 8, _added("shift", ANGLE)),
    "autoregression": Effect(
        "Fisher's z of the autoregression falls by d, the variance stays", -4, 4, _added("fisher", -1.0)
    ),
    "correlation": Effect("correlation with the other channels shrinks by the factor 1 - d a", 0, 2, _uncoupled),
    "concept": Effect("the map from inputs to the target turns by d eighths of a circle", -8, 8, _turned),
    "stuck": Effect("a share d / (1 + d) of the blocks repeats the reading before", 0, 1e6),
    "dropout": Effect("a share d / (1 + d) of the blocks reads zero", 0, 1e6),
    "gain": Effect("readings grow by the factor 1 + d a", -0.9, 50),
    "bias": Effect("readings move by d deviations", -50, 50),
    "late": Effect("until it comes, readings swing by 10^-d of what they should", 0, 4),
}
