"""The forecasts that a report shows beside the truth: those around the strongest event."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

    from bench.evaluation.stream import PreparedSeries


@dataclass(frozen=True)
class ForecastSample:
    """Forecasts and truth around the strongest event of a stream.

    Attributes:
        start: First row kept; ``end`` is the row after the last one.
        channels: Targets kept, as positions among the targets.
    """

    stage: PreparedSeries
    start: int
    end: int
    channels: tuple[int, ...]
    _parts: list[tuple[int, NDArray[np.float32]]] = field(default_factory=list)

    @classmethod
    def around_strongest_event(cls, stage: PreparedSeries, channels: int = 3) -> ForecastSample:
        """Choose from the data alone: the event, and the channels whose mean it moved most.

        Without an event within the stream, the stream's first rows are kept.
        """
        split, horizon = stage.series.split, stage.protocol.horizon
        span = max(28 * horizon, 300)
        side = max(7 * (stage.series.season or 0), horizon, 50)

        def shift(row: int) -> NDArray[np.float64]:
            before, after = stage.truth[max(0, row - side) : row], stage.truth[row : row + side]
            return np.asarray(np.abs(after.mean(axis=0) - before.mean(axis=0)))

        rows = [e.row for e in stage.series.events if split.validation <= e.row < split.end - horizon]
        row = max(rows, key=lambda r: float(shift(r).mean()), default=split.validation)
        step = spacing(stage)
        start = split.validation + max(0, (row - span // 4 - split.validation) // step * step)
        moved = np.argsort(-shift(row), kind="stable")[:channels]
        return cls(stage, start, min(split.end, start + span), tuple(sorted(map(int, moved))))

    def add(self, origins: NDArray[np.int64], forecasts: NDArray[np.float32]) -> None:
        """Keep those that start in the span and do not overlap earlier ones."""
        after = origins - self.start
        chosen = (after >= 0) & (origins < self.end) & (after % spacing(self.stage) == 0)
        for i in np.flatnonzero(chosen):
            self._parts.append((int(origins[i]), forecasts[i][:, list(self.channels)]))

    def frame(self) -> pd.DataFrame:
        """``origin, time, lead, channel, forecast, truth``, in original units."""
        import pandas as pd

        series, horizon = self.stage.series, self.stage.protocol.horizon
        scaler = series.scaler.select(tuple(series.target_column[c] for c in self.channels))
        origins = np.asarray([origin for origin, _ in self._parts], dtype=np.int64)
        count = len(self.channels)
        rows = np.repeat(origins[:, None] + np.arange(horizon), count, axis=None).reshape(-1)
        forecasts = np.asarray([f for _, f in self._parts], dtype=np.float64).reshape(-1, horizon, count)
        columns = [series.target_column[c] for c in self.channels]
        return pd.DataFrame(
            {
                "origin": np.repeat(origins, horizon * count),
                "time": series.time[rows],
                "lead": np.tile(np.repeat(np.arange(1, horizon + 1), count), len(origins)),
                "channel": np.tile([series.targets[c] for c in self.channels], len(origins) * horizon),
                "forecast": (forecasts * scaler.std + scaler.mean).reshape(-1),
                "truth": series.values[rows.reshape(-1, count)[:, 0]][:, columns].reshape(-1),
            }
        )


def spacing(stage: PreparedSeries) -> int:
    """Rows between forecasts that do not overlap: whole strides that cover a horizon."""
    stride = stage.protocol.stride
    return -(-stage.protocol.horizon // stride) * stride
