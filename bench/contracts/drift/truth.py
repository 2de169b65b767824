"""The truth about a drift: what is set before a row is drawn, and known to whoever judges."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from bench.contracts.config import Config
from bench.contracts.drift.kinds import EFFECTS, Kind
from bench.contracts.drift.transitions import Shape, activation

Floats = NDArray[np.float64]
Magnitude = Literal["small", "medium", "large"]

MAGNITUDES: dict[Magnitude, float] = {"small": 0.5, "medium": 1.0, "large": 2.0}


class Drift(Config):
    """One drift.

    Attributes:
        kind: What changes.
        onset: Row ``p`` around which it does.
        magnitude: ``d``; its unit is the kind's, `EFFECTS` says which.
        transition: The shape of ``a(t)``, see `activation`.
        width: Rows ``w`` that the transition takes; for ``recurring``, those that the new law lasts each time.
        rest: Rows of the old law between two visits of the new one (``recurring``).
        mode: ``incremental``: parameters are ``a`` of the way from the old law to the new one. ``gradual``: each block
            follows one of the two laws as it was, the new one with probability ``a``.
        block: Rows of a block, for gradual drift and for faults that come and go.
        channels: Positions of the channels that drift; None is all of them.
    """

    kind: Kind
    onset: NonNegativeInt
    magnitude: float = MAGNITUDES["medium"]
    transition: Shape = "abrupt"
    width: NonNegativeInt = 0
    rest: NonNegativeInt = 0
    mode: Literal["incremental", "gradual"] = "incremental"
    block: PositiveInt = 24
    channels: tuple[NonNegativeInt, ...] | None = Field(None, min_length=1)

    @model_validator(mode="after")
    def _check(self) -> Self:
        effect = EFFECTS[self.kind]
        if not effect.low <= self.magnitude <= effect.high:
            raise ValueError(
                f"a magnitude of {self.magnitude:g} is none for {self.kind!r} ({effect.unit}): "
                f"take one from {effect.low:g} to {effect.high:g}"
            )
        if self.transition != "abrupt" and not self.width:
            raise ValueError(f"a transition {self.transition!r} needs a width, in rows")
        if self.transition == "recurring" and not self.rest:
            raise ValueError("a recurring drift needs a rest: rows of the old law between two visits of the new one")
        return self

    @property
    def start(self) -> int:
        """First row that can differ from the same series without this drift."""
        if self.transition == "sigmoid":
            return max(0, self.onset - self.width)
        if self.transition in ("linear", "cosine"):
            return max(0, self.onset + math.floor(-self.width / 2) + 1)
        return self.onset

    @property
    def end(self) -> int:
        """First row that follows the new law altogether; for a recurring drift, the first time."""
        if self.transition == "sigmoid":
            return self.onset + self.width + 1
        if self.transition in ("linear", "cosine"):
            return self.onset + math.ceil(self.width / 2)
        return self.onset

    def mask(self, channels: int) -> NDArray[np.bool_]:
        """``(channels,)``: which of them drift."""
        chosen = range(channels) if self.channels is None else self.channels
        return np.isin(np.arange(channels), list(chosen))

    def activation(self, rows: int) -> Floats:
        """``(rows,)``: the transition ``a(t)``."""
        return activation(self.transition, rows, self.onset, self.width, self.rest)

    def switches(self, rows: int) -> list[tuple[int, bool]]:
        """First row of each change within so many rows, and whether it leads to the new law (or back)."""
        active = np.concatenate([[False], self.activation(rows) > 0])
        return [(int(row), bool(active[row + 1])) for row in np.flatnonzero(active[1:] != active[:-1])]


@dataclass(frozen=True, eq=False)
class Truth:
    """What is known of a series because it was made.

    Attributes:
        drifts: All of its drifts; none where it does not drift.
        twin: ``(T, C)``: its values had nothing drifted, with the same noise. Equal before the first drift.
    """

    drifts: tuple[Drift, ...]
    twin: Floats
