"""The protocol: who may know what, and when."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, NonNegativeInt, PositiveInt

from bench.contracts.config import Config, Seed, build
from bench.contracts.errors import BenchError
from bench.contracts.registry import unknown
from bench.contracts.series import DriftSeries

Labels = Literal["matured", "partial", "instant"]

PRESETS: dict[str, dict[str, Any]] = {
    "day-ahead": {"stride": None, "block": 1},
    "online": {"stride": 1, "block": 1},
    "dense": {"stride": 1, "block": 24},
}


class Protocol(Config):
    """A fully resolved protocol; every number that decides which row is seen when.

    Attributes:
        name: The preset it came from.
        lookback: Rows read by a forecast, ``L``.
        horizon: Rows forecast, ``H``.
        stride: Rows between two forecast origins, ``S``.
        block: Origins forecast together between two releases, ``K``.
        labels: When targets arrive: ``matured``, once the whole horizon is over; ``partial``, besides, at each block,
            what is known by then of pairs that have begun; or ``instant``, with the next block, which leaks on purpose:
            it bounds what waiting for labels costs, and is never ranked.
        label_every: Release every n-th matured pair only.
        label_rate: Release that share of the pairs only, drawn one by one.
        label_seed: Of that draw; the same for all strategies and seeds.
        delay: Rows that labels come later still.
        warm_start: Whether the validation rows go through the same loop first.
    """

    name: str = "day-ahead"
    lookback: PositiveInt
    horizon: PositiveInt
    stride: PositiveInt
    block: PositiveInt = 1
    labels: Labels = "matured"
    label_every: PositiveInt = 1
    label_rate: float = Field(1.0, gt=0, le=1)
    label_seed: Seed = 0
    delay: NonNegativeInt = 0
    warm_start: bool = True

    @property
    def is_leaky(self) -> bool:
        """Whether labels come before they could be known; nothing measured so is ranked."""
        return self.labels == "instant"

    @property
    def lag(self) -> int:
        """Rows from a pair's origin to the first row at which it may be released."""
        return 1 if self.is_leaky else self.horizon + self.delay

    @property
    def is_sparse(self) -> bool:
        """Whether some labels never come, or come late."""
        return self.label_every > 1 or self.label_rate < 1 or self.delay > 0

    def is_labelled(self, offsets: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which pairs are ever released, ``(n,)``, given how many rows after the very first pair each begins.

        One pair does not depend on others: the draw is a hash of its offset and of ``label_seed``.
        """
        chosen: NDArray[np.bool_] = offsets % self.label_every == 0
        return chosen if self.label_rate == 1 else chosen & (_uniform(offsets, self.label_seed) < self.label_rate)

    def without_partial(self) -> Protocol:
        """The same for who takes no label that is known in part."""
        return self.model_copy(update={"labels": "matured"}) if self.labels == "partial" else self

    def origins(self, start: int, end: int) -> range:
        """Every origin ``t`` from ``start`` on whose truth ``[t, t + horizon)`` ends by ``end``."""
        return range(start, end - self.horizon + 1, self.stride)

    @property
    def label(self) -> str:
        """One line for tables."""
        n = self.label_every
        ending = "th" if n // 10 % 10 == 1 else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
        sparse = f", every {n}{ending} label" if n > 1 else ""
        if self.label_rate < 1:
            draw = f", draw {self.label_seed}" if self.label_seed else ""
            sparse += f", {100 * self.label_rate:g} % of labels{draw}"
        sparse += f", labels {self.delay} rows late" if self.delay else ""
        sparse += ", instant labels (leaky)" if self.is_leaky else ""
        sparse += ", partial labels" if self.labels == "partial" else ""
        cold = "" if self.warm_start else ", cold start"
        return f"{self.name} (L={self.lookback}, H={self.horizon}, S={self.stride}, K={self.block}{sparse}{cold})"


class ProtocolSpec(Config):
    """A protocol as an experiment gives it: a preset and what differs from it.

    Attributes:
        preset: ``day-ahead`` (S = H, K = 1), ``online`` (S = K = 1) or ``dense`` (S = 1, K = 24).
        lookback: ``None`` takes the dataset's.
        horizon: ``None`` takes the dataset's.
        stride: ``None`` takes the preset's.
        block: ``None`` takes the preset's.

    What the other fields mean says `Protocol`.
    """

    preset: str = "day-ahead"
    lookback: PositiveInt | None = None
    horizon: PositiveInt | None = None
    stride: PositiveInt | None = None
    block: PositiveInt | None = None
    labels: Labels = "matured"
    label_every: PositiveInt = 1
    label_rate: float = Field(1.0, gt=0, le=1)
    label_seed: Seed = 0
    delay: NonNegativeInt = 0
    warm_start: bool = True

    @classmethod
    def parse(cls, value: str | dict[str, Any]) -> ProtocolSpec:
        """A preset's name, or a table with the keys of this class; `BenchError` if one is unknown or does not fit."""
        spec = build(cls, {"preset": value} if isinstance(value, str) else value, "protocol")
        if spec.preset not in PRESETS:
            raise unknown("protocol preset", spec.preset, PRESETS)
        return spec

    def resolve(self, series: DriftSeries) -> Protocol:
        """Fill in what preset and dataset decide; `BenchError` if the series is too short for a window in each part."""
        preset = PRESETS[self.preset]
        horizon = self.horizon or series.horizon
        protocol = Protocol(
            name=self.preset,
            lookback=self.lookback or series.lookback,
            horizon=horizon,
            stride=self.stride or preset["stride"] or horizon,
            block=self.block or preset["block"],
            **self.model_dump(exclude={"preset", "lookback", "horizon", "stride", "block"}),
        )
        if protocol.is_leaky and protocol.delay:
            raise BenchError('protocol: labels = "instant" and a delay exclude each other. Leave one out.')
        _require_rows(protocol, series)
        rows = series.split.end - series.split.validation
        for name, given in (("stride", self.stride), ("block", self.block)):
            if given is not None and given > rows:
                raise BenchError(
                    f"dataset {series.name!r}: protocol option {name!r} should be from 1 to {rows}, the rows of the "
                    f"stream (got {given})"
                )
        return protocol


def _uniform(offsets: NDArray[np.int64], seed: int) -> NDArray[np.float64]:
    """``(n,)`` numbers from 0 to 1 by a hash of offset and seed.

    Source: the mixing function of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
    """
    with np.errstate(over="ignore"):
        z = (offsets.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = z + np.uint64(seed % 2**64) * np.uint64(0xD1B54A32D192ED03)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            z = (z ^ (z >> np.uint64(shift))) * np.uint64(factor)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)).astype(np.float64) / 2**53


def _require_rows(protocol: Protocol, series: DriftSeries) -> None:
    need = protocol.lookback + protocol.horizon
    split = series.split
    parts = (
        ("training", split.train, need),
        ("validation", split.validation - split.train, protocol.horizon),
        ("stream", split.end - split.validation, protocol.horizon),
    )
    for part, rows, least in parts:
        if rows < least:
            wanted = "lookback + horizon" if least == need else "horizon"
            raise BenchError(
                f"dataset {series.name!r}: {rows} {part} rows, but {wanted} needs {least} "
                f"(lookback {protocol.lookback}, horizon {protocol.horizon}). "
                "Give more rows, or a smaller lookback or horizon."
            )
