"""The generator: seasons, autoregressive noise and a concept, under a law that drifts, read by sensors that may too.

Only seeded bits and sums in a fixed order are used, no library of linear algebra, and values are rounded: a seed means
the same series everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveFloat, PositiveInt

from bench.contracts.config import Config
from bench.contracts.drift.kinds import EFFECTS, Law
from bench.contracts.drift.transitions import drawn_by_block
from bench.contracts.drift.truth import Drift
from bench.contracts.errors import BenchError
from bench.data.synthetic.sensors import misread

Floats = NDArray[np.float64]

DECIMALS = 9
STREAMS = ("noise", "target", "blocks", "faults")
"""What is drawn, each from a generator of its own, so that a drift takes no number from the noise."""


class Base(Config):
    """A series before anything drifts: ``y_c(t) = mu + sum_k A_k sin(phi_ck(t)) + x_c(t)``.

    ``x(t) = Phi x(t-1) + Lambda e(t)``, with the same autoregression and the same correlation for all channels. With
    ``concept`` there is a target column besides, ``w' z(t - lag)`` plus noise, of the standardised channels ``z``.

    Attributes:
        channels: ``C``.
        season: Rows in a season.
        level: ``mu``.
        amplitudes: ``A_k`` of the season and its harmonics.
        noise: Standard deviation of ``x``.
        autoregression: Diagonal of ``Phi``.
        correlation: Of any two innovations.
        concept: Whether there is a target column.
        lag: Rows by which the target follows the channels.
        target_noise: Standard deviation of the target's own noise.
    """

    channels: PositiveInt = 4
    season: PositiveInt = 24
    level: float = 4.0
    amplitudes: tuple[float, ...] = (1.0, 0.35)
    noise: PositiveFloat = 0.5
    autoregression: float = Field(0.7, gt=-1, lt=1)
    correlation: float = Field(0.6, ge=0, lt=1)
    concept: bool = False
    lag: PositiveInt = 24
    target_noise: PositiveFloat = 0.3

    @property
    def sigma(self) -> float:
        """Standard deviation of a channel: the unit of magnitudes."""
        return math.sqrt(sum(a * a for a in self.amplitudes) / 2 + self.noise**2)

    def law(self, rows: int) -> Law:
        """The law before any drift."""
        ones = np.ones((rows, self.channels))
        return Law(
            level=self.level * ones,
            slope=0 * ones,
            swing=ones,
            pace=ones,
            shift=0 * ones,
            scale=self.noise * ones,
            fisher=math.atanh(self.autoregression) * ones,
            correlation=np.broadcast_to(self._innovations, (rows, self.channels, self.channels)),
            angle=np.zeros(rows),
        )

    @property
    def _innovations(self) -> Floats:
        return np.where(np.eye(self.channels) > 0, 1.0, self.correlation)


def generate(base: Base, drifts: Sequence[Drift], rows: int, seed: int = 0, *, twin: bool = False) -> Floats:
    """A series that drifts, or the same series had nothing drifted.

    Args:
        base: The series before.
        drifts: What happens to it; several of a kind add up, or multiply, as the kind does.
        rows: ``T``.
        seed: Of the noise, and of which blocks a gradual drift or a fault takes.
        twin: Whether nothing drifts: every activation is 0, all numbers that are drawn are the same.

    Returns:
        ``(T, C)``, or ``(T, C + 1)`` with a concept: the target is last.

    Raises:
        BenchError: A drift is of a channel that is not there, or of a concept where there is none.
    """
    _check(base, drifts)
    weights = [0.0 * drift.activation(rows) if twin else weight(drift, i, rows, seed) for i, drift in enumerate(drifts)]
    law = law_of(base, drifts, weights, rows)
    noise = _draw(seed, "noise").standard_normal((rows, base.channels))
    values = law.level + law.slope.cumsum(axis=0) + _season(base, law) + autoregress(law, noise)
    target = _target(base, law, values, seed) if base.concept else values[:, :0]
    sigma = np.full(base.channels, base.sigma)
    for i, (drift, own) in enumerate(zip(drifts, weights, strict=True)):
        uniform = _draw(seed, "faults", i).random((rows // drift.block + 2, base.channels))
        values = misread(values, drift, own[:, None] * drift.mask(base.channels), base.level, sigma, uniform)
    return np.round(np.concatenate([values, target], axis=1), DECIMALS) + 0.0  # no negative zero


def weight(drift: Drift, number: int, rows: int, seed: int) -> Floats:
    """``(rows,)``: how far the law has come for the drift ``number``: ``a(t)``, or blocks drawn by it."""
    a = drift.activation(rows)
    if drift.mode == "incremental":
        return a
    return drawn_by_block(a, drift.onset, drift.block, _draw(seed, "blocks", number).random(rows // drift.block + 2))


def law_of(base: Base, drifts: Sequence[Drift], weights: Sequence[Floats], rows: int) -> Law:
    """The law at each row, given for each drift how far it has come, ``(T,)``."""
    law, sigma = base.law(rows), np.full(base.channels, base.sigma)
    for drift, own in zip(drifts, weights, strict=True):
        if change := EFFECTS[drift.kind].change:
            law = change(law, own[:, None] * drift.mask(base.channels), drift.magnitude, sigma)
    return law


def autoregress(law: Law, noise: Floats) -> Floats:
    """``(T, C)``: ``x(t) = Phi x(t-1) + Lambda e(t)`` of independent noise ``(T, C)`` with variance 1.

    Innovations are ``scale * sqrt(1 - phi^2)`` times correlated noise of variance 1, so that the variance is that of
    the law at each row, whatever ``Phi`` does.
    """
    phi = law.autoregression
    drawn = law.scale * correlate(law.correlation, noise)
    drawn[1:] *= np.sqrt(1 - phi[1:] ** 2)
    x = np.empty_like(drawn)
    x[0] = drawn[0]
    for t in range(1, len(x)):
        x[t] = phi[t] * x[t - 1] + drawn[t]
    return x


def correlate(correlation: Floats, noise: Floats) -> Floats:
    """``(T, C)``: independent noise made to correlate, ``Lambda e`` with ``Lambda Lambda' = correlation`` (Cholesky).

    Raises:
        BenchError: A matrix of ``correlation``, ``(T, C, C)``, is not positive definite.
    """
    channels = noise.shape[1]
    factor, out = np.zeros_like(correlation), np.zeros_like(noise)
    for i in range(channels):
        for j in range(i + 1):
            rest = correlation[:, i, j].copy()
            for k in range(j):
                rest -= factor[:, i, k] * factor[:, j, k]
            if i == j and not (rest > 0).all():
                raise BenchError(f"row {int(np.argmax(~(rest > 0)))}: correlations are not positive definite")
            factor[:, i, j] = np.sqrt(rest) if i == j else rest / factor[:, j, j]
            out[:, i] += factor[:, i, j] * noise[:, j]
    return out


def _season(base: Base, law: Law) -> Floats:
    """Waves whose phases add up row by row, so that a change of frequency leaves them continuous."""
    apart = np.arange(base.channels) * math.pi / (2 * base.channels)
    cycle = (2 * math.pi / base.season * law.pace).cumsum(axis=0) + law.shift + apart
    total = np.zeros_like(cycle)
    for k, amplitude in enumerate(base.amplitudes, 1):
        total += amplitude * np.sin(k * cycle)
    return law.swing * total


def _target(base: Base, law: Law, values: Floats, seed: int) -> Floats:
    """``(T, 1)``: ``w_t' z(t - lag)`` plus noise; ``w``, of length 1, turns from channels all alike to a contrast."""
    before = np.maximum(np.arange(len(values)) - base.lag, 0)
    z = (values[before] - base.level) / base.sigma
    even = np.full(base.channels, 1 / math.sqrt(base.channels))
    contrast = np.where(np.arange(base.channels) % 2 == 0, 1.0, -1.0)
    contrast -= contrast.mean()
    contrast /= math.sqrt(float((contrast**2).sum()))
    target = base.target_noise * _draw(seed, "target").standard_normal(len(values))
    for c in range(base.channels):
        target += (np.cos(law.angle) * even[c] + np.sin(law.angle) * contrast[c]) * z[:, c]
    return target[:, None]


def _check(base: Base, drifts: Sequence[Drift]) -> None:
    for drift in drifts:
        if drift.channels is not None and max(drift.channels) >= base.channels:
            raise BenchError(
                f"drift {drift.kind!r}: channel {max(drift.channels)} is not there; the last is {base.channels - 1}"
            )
        if drift.kind == "concept" and not (base.concept and base.channels > 1):
            raise BenchError("drift 'concept': there is no target that follows two channels or more")


def _draw(seed: int, stream: Literal["noise", "target", "blocks", "faults"], number: int = 0) -> np.random.Generator:
    key = np.random.SeedSequence([seed, STREAMS.index(stream), number])
    return np.random.Generator(np.random.PCG64(key))
