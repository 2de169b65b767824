"""The protocol: who may know what, and when."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import PositiveInt

from bench.config import Config, build
from bench.errors import BenchError
from bench.registry import unknown
from bench.series import DriftSeries

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
        labels: When targets arrive: ``matured``, once the whole horizon is over.
        label_every: Release every n-th matured pair only.
        warm_start: Whether the validation rows go through the same loop first.
    """

    name: str = "day-ahead"
    lookback: PositiveInt
    horizon: PositiveInt
    stride: PositiveInt
    block: PositiveInt = 1
    labels: Literal["matured"] = "matured"
    label_every: PositiveInt = 1
    warm_start: bool = True

    def origins(self, start: int, end: int) -> range:
        """Every origin ``t`` from ``start`` on whose truth ``[t, t + horizon)`` ends by ``end``."""
        return range(start, end - self.horizon + 1, self.stride)

    @property
    def label(self) -> str:
        """One line for tables."""
        sparse = f", every {self.label_every}th label" if self.label_every > 1 else ""
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
    """

    preset: str = "day-ahead"
    lookback: PositiveInt | None = None
    horizon: PositiveInt | None = None
    stride: PositiveInt | None = None
    block: PositiveInt | None = None
    labels: Literal["matured"] = "matured"
    label_every: PositiveInt = 1
    warm_start: bool = True

    @classmethod
    def parse(cls, value: str | dict[str, Any]) -> ProtocolSpec:
        """A preset's name, or a table with the keys of this class.

        Raises:
            BenchError: The preset or a key is unknown, or a value does not fit.
        """
        spec = build(cls, {"preset": value} if isinstance(value, str) else value, "protocol")
        if spec.preset not in PRESETS:
            raise unknown("protocol preset", spec.preset, PRESETS)
        return spec

    def resolve(self, series: DriftSeries) -> Protocol:
        """Fill in what the preset and the dataset decide.

        Raises:
            BenchError: The series is too short for one window in each of its parts.
        """
        preset = PRESETS[self.preset]
        horizon = self.horizon or series.horizon
        protocol = Protocol(
            name=self.preset,
            lookback=self.lookback or series.lookback,
            horizon=horizon,
            stride=self.stride or preset["stride"] or horizon,
            block=self.block or preset["block"],
            labels=self.labels,
            label_every=self.label_every,
            warm_start=self.warm_start,
        )
        _require_rows(protocol, series)
        return protocol


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
