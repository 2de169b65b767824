"""The stream: release, adapt, predict, score. The only timed code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.contracts.strategy import Feedback, History, PartialLabels, Strategy, Together, has_own
from bench.evaluation.isolation import end_fork, process_id
from bench.evaluation.profiling.clocks import Stopwatch, stopwatch

if TYPE_CHECKING:
    from bench.contracts.protocol import Protocol
    from bench.contracts.series import DriftSeries

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Watches = tuple[AbstractContextManager[object], AbstractContextManager[object]]
Score = Callable[[NDArray[np.int64], Singles], None]

SCORED_TOGETHER = 50_000
"""About so many forecast values are scored at once."""


class StreamError(Exception):
    """A strategy broke the contract: a forecast of the wrong shape, or one that is not finite."""


@dataclass(frozen=True)
class PreparedSeries:
    """A series prepared for one protocol: scaled, and divided into what is known before service and what is not.

    Only the harness holds it; strategies get copies of released rows.

    Attributes:
        inputs: ``(T, C_in)`` float32, scaled.
        targets: ``(T, C_out)`` float32, scaled.
        truth: ``(T, C_out)`` float64, scaled: what forecasts are scored against.
    """

    series: DriftSeries
    protocol: Protocol
    inputs: Singles
    targets: Singles
    truth: Floats

    @classmethod
    def of(cls, series: DriftSeries, protocol: Protocol) -> PreparedSeries:
        """Scale a series by its training rows."""
        rows, wide = len(series), len(series.target_column)
        inputs, targets = (np.empty((rows, n), dtype=np.float32) for n in (len(series.input_index), wide))
        stage = cls(series, protocol, inputs, targets, np.empty((rows, wide)))
        stage.scale_again(slice(None))
        return stage

    def scale_again(self, rows: slice) -> None:
        """Compute some rows of the tables again, from the current values of the series."""
        scaled = self.series.scaler.scale(self.series.values[rows])
        self.truth[rows] = scaled[:, list(self.series.target_column)]
        self.targets[rows] = self.truth[rows]
        self.inputs[rows] = scaled[:, list(self.series.input_index)]

    @property
    def first_origin(self) -> int:
        """The first row forecast: the first validation row with a warm start, otherwise the first stream row."""
        split = self.series.split
        return split.train if self.protocol.warm_start else split.validation

    def history(self, device: torch.device) -> History:
        """The rows before the first origin. Labels that were not released are NaN, unless they are inputs."""
        n = self.first_origin
        targets = self.targets[:n].copy()
        if self.series.target_index is None and self.protocol.is_sparse:
            first = self.series.split.train
            released = np.zeros(n, dtype=bool)
            released[:first] = True
            for s in matured_origins(first, n, self.protocol, first):
                released[s : s + self.protocol.horizon] = True
            targets[~released] = np.nan
        return History(
            inputs=torch.from_numpy(self.inputs[:n].copy()).to(device),
            targets=torch.from_numpy(targets).to(device),
            target_index=self.series.target_index,
            season=self.series.season,
            stream_start=self.series.split.validation,
        )

    def windows(self, origins: NDArray[np.int64]) -> Singles:
        """``(n, L, C_in)``: the rows before each origin, copied."""
        return self.windows_at(origins).numpy()

    def windows_at(self, origins: NDArray[np.int64], apart: int = 0) -> torch.Tensor:
        """`windows` as a tensor; faster if all origins are known to be so many rows ``apart``."""
        lookback = self.protocol.lookback
        return _stretches(self.inputs, origins - lookback, lookback, apart)

    def labels_at(self, origins: NDArray[np.int64], apart: int = 0) -> torch.Tensor:
        """``(n, H, C_out)`` float32: the targets' rows from each origin on, copied."""
        return _stretches(self.targets, origins, self.protocol.horizon, apart)

    def truths(self, origins: NDArray[np.int64]) -> Floats:
        """``(n, H, C_out)``: the rows forecast from each origin, copied."""
        return _stretches(self.truth, origins, self.protocol.horizon, apart=0).numpy()


def _stretches(rows: NDArray[Any], starts: NDArray[np.int64], length: int, apart: int) -> torch.Tensor:
    """``(n, length, C)`` copies of ``(T, C)`` contiguous rows, from each start on.

    If all starts are known to be so many rows ``apart``, no index is built; 0 is any distance.
    """
    if not apart or len(starts) == 0:
        return torch.from_numpy(rows[starts[:, None] + np.arange(length)])
    first, columns = int(starts[0]), rows.shape[1]
    if len(starts) == 1:
        return torch.from_numpy(rows[None, first : first + length].copy())
    shape, strides = (len(starts), length, columns), (apart * columns, columns, 1)
    return torch.from_numpy(rows).as_strided(shape, strides, first * columns).clone()


def matured_origins(next_pair: int, t: int, protocol: Protocol, first: int) -> NDArray[np.int64]:
    """Origins of the pairs that matured since the last release: the only source of labels.

    Args:
        next_pair: First row whose pair was not yet considered.
        t: The first origin of the current block.
        first: Row of the very first pair.

    Returns:
        Rows ``s`` in order, each with ``s + horizon + delay <= t`` (with ``instant`` labels, ``s < t``).
    """
    origins = np.arange(next_pair, t - protocol.lag + 1, dtype=np.int64)
    return origins[protocol.is_labelled(origins - first)] if protocol.is_sparse else origins


def blocks(protocol: Protocol, start: int, end: int) -> Iterator[NDArray[np.int64]]:
    """Origins from ``start`` on, in blocks of ``protocol.block``; the last may be shorter."""
    origins = np.asarray(protocol.origins(start, end), dtype=np.int64)
    for i in range(0, len(origins), protocol.block):
        yield origins[i : i + protocol.block]


@dataclass
class Stream:
    """One strategy in service.

    Attributes:
        strategy: Its class and attributes say what it is handed.
        device: Where windows are sent.
        server: What is called, if it is not the strategy.
        models: Forecasts that the server makes of each window; 0 is one, without an axis of its own.
        adapt_watch: Times ``observe`` and ``adapt`` of each block.
        predict_watch: Times ``predict`` of each block.
        finite: Whether a forecast that is not finite is an error.
    """

    stage: PreparedSeries
    strategy: Strategy
    device: torch.device
    finite: bool = True
    server: Together | None = None
    models: int = 0
    adapt_watch: Stopwatch = field(init=False)
    predict_watch: Stopwatch = field(init=False)

    def __post_init__(self) -> None:
        self._seen = self._first = self._next_pair = self.stage.first_origin
        self._server: Any = self.server or self.strategy
        self._observes, self._adapts = (has_own(self.strategy, name) for name in ("observe", "adapt"))
        self._takes_issued = self._adapts and getattr(self.strategy, "takes_issued", False)
        self._takes_partial = self.stage.protocol.labels == "partial" and getattr(self.strategy, "takes_partial", False)
        self._issued: dict[int, Singles] = {}  # forecasts of pairs that have not been released yet
        self.start_watches()
        self._first_watches = self.adapt_watch, self.predict_watch

    def first_steps(self) -> dict[str, float]:
        """``first_adapt_ms`` and ``first_predict_ms`` of the very first block, that of a warm start if there is one."""
        adapting, predicting = (watch.milliseconds() for watch in self._first_watches)
        return {"first_adapt_ms": float(adapting[0]), "first_predict_ms": float(predicting[0])}

    def start_watches(self) -> None:
        """Forget all durations, and time from here on."""
        self.adapt_watch, self.predict_watch = stopwatch(self.device), stopwatch(self.device)
        self._block_sizes: list[int] = []

    def windows_since_start(self, skip: int) -> int:
        """Windows forecast since the watches were started, without the first ``skip`` blocks."""
        return sum(self._block_sizes[skip:])

    def run(
        self,
        start: int,
        end: int,
        score: Score,
        on_block: Callable[[int], None] = lambda _: None,
        limit: int = 0,
        watches: Watches | None = None,
    ) -> int:
        """Serve every origin from ``start`` on whose truth ends by ``end``, and return the number of blocks.

        Args:
            score: Called outside of timing with origins ``(n,)`` and forecasts ``(n, H, C_out)``, in order, in bulk;
                with several ``models``, ``(n, M, H, C_out)``.
            on_block: Called outside of timing with each block's first origin.
            limit: Stop after this many blocks; 0 means never.
            watches: Entered around adapting and around predicting, instead of the stream's own.

        Raises:
            StreamError: A forecast has the wrong shape or is not finite.
        """
        waiting: list[tuple[NDArray[np.int64], Singles]] = []
        served, count, process = 0, 0, process_id()
        try:
            for origins in blocks(self.stage.protocol, start, end):
                forecasts = self._serve(origins, watches or (self.adapt_watch, self.predict_watch))
                end_fork(process)
                waiting.append((origins, forecasts))
                self._block_sizes.append(len(origins))
                served, count = served + 1, count + forecasts.size // max(1, self.models)
                if count >= SCORED_TOGETHER:
                    self._flush(waiting, score)
                    count = 0
                on_block(int(origins[0]))
                if served == limit:
                    break
        finally:
            end_fork(process)
            self._flush(waiting, score)
        return served

    def _serve(self, origins: NDArray[np.int64], watches: Watches) -> Singles:
        t, (adapting, predicting), is_here = int(origins[0]), watches, self.device.type == "cpu"
        rows, feedback = self._release(t)
        windows = self.stage.windows_at(origins, self.stage.protocol.stride)
        with adapting:
            if rows is not None:
                self._server.observe(rows.to(self.device))
            if feedback is not None:
                self._server.adapt(feedback if is_here else feedback.to(self.device))
            del rows, feedback  # finalizers that a strategy attached to them are timed
        with predicting:
            forecast = plain_array(self._server.predict(windows.to(self.device)))
            del windows
        self._check(forecast, origins)
        if self.models:
            forecast = forecast.swapaxes(0, 1)
        if self._takes_issued:
            self._issued.update(zip(origins.tolist(), forecast, strict=True))
        return forecast

    def _release(self, t: int) -> tuple[torch.Tensor | None, Feedback | None]:
        """What became known by ``t``: new rows, and newly matured pairs; None for what the strategy does not use."""
        stage, protocol = self.stage, self.stage.protocol
        rows = feedback = None
        if self._observes and t > self._seen:
            rows = torch.from_numpy(stage.inputs[self._seen : t].copy())
        if self._adapts:
            origins = matured_origins(self._next_pair, t, protocol, self._first)
            apart = 0 if protocol.is_sparse else 1
            partial = self._partial_labels(t) if self._takes_partial else None
            feedback = Feedback(
                stage.windows_at(origins, apart),
                stage.labels_at(origins, apart),
                origins,
                partial,
                now=t,
                present=torch.from_numpy(stage.inputs[t - protocol.lookback : t].copy()),
                issued=self._take_issued(origins, t) if self._takes_issued else None,
            )
        self._seen = t
        self._next_pair = max(self._next_pair, t - protocol.lag + 1)
        return rows, feedback

    def _take_issued(self, origins: NDArray[np.int64], t: int) -> torch.Tensor:
        """Forecasts of newly matured pairs; those of all pairs that were considered are no longer kept."""
        protocol = self.stage.protocol
        considered = range(self._next_pair, t - protocol.lag + 1)
        made = {s: self._issued.pop(s) for s in considered if s in self._issued}
        issued = np.full((len(origins), protocol.horizon, self.stage.targets.shape[1]), np.nan, dtype=np.float32)
        for forecast, s in zip(issued, origins.tolist(), strict=True):
            forecast[...] = made.get(s, np.nan)
        return torch.from_numpy(issued)

    def _partial_labels(self, t: int) -> PartialLabels:
        """The pairs whose truth is partly known at ``t``, of those that are released at all."""
        stage, protocol = self.stage, self.stage.protocol
        known_rows = t - protocol.delay  # rows before it are known
        origins = np.arange(max(self._first, t - protocol.lag + 1), known_rows, dtype=np.int64)
        origins = origins[protocol.is_labelled(origins - self._first)]
        rows = origins[:, None] + np.arange(protocol.horizon)
        known = rows < known_rows
        y = stage.targets[np.minimum(rows, known_rows - 1)] * known[..., None]
        return PartialLabels(stage.windows_at(origins), torch.from_numpy(y), torch.from_numpy(known), origins)

    def _check(self, forecast: Singles, origins: NDArray[np.int64]) -> None:
        expected: tuple[int, ...] = (len(origins), self.stage.protocol.horizon, self.stage.targets.shape[1])
        axes = "(K, H, C_out)"
        if self.models:
            expected, axes = (self.models, *expected), "(M, K, H, C_out)"
        if forecast.shape != expected:
            raise StreamError(f"predict returned shape {forecast.shape}, expected {axes} = {expected}")

    def _flush(self, waiting: list[tuple[NDArray[np.int64], Singles]], score: Score) -> None:
        """Score what waits, up to a forecast that is not finite."""
        if not waiting:
            return
        origins, forecasts = (np.concatenate(parts) for parts in zip(*waiting, strict=True))
        waiting.clear()
        good = finite_until(forecasts) if self.finite else len(origins)
        if good:
            score(origins[:good], forecasts[:good])
        if good < len(origins):
            raise StreamError(f"diverged: the forecast at origin {origins[good]:,} is not finite")


def finite_until(forecasts: Singles) -> int:
    """How many of ``(n, H, C_out)`` forecasts come before the first that is not finite."""
    lost = np.flatnonzero(~np.isfinite(forecasts).all(axis=(1, 2)))
    return int(lost[0]) if len(lost) else len(forecasts)


def plain_array(forecast: Any) -> Singles:
    """A true copy of a forecast as plain numbers, whatever object holds it; `StreamError` if it has no real numbers.

    The object may lend memory that is written to later (``__array__``, a class of arrays or tensors with
    methods of its own): its answer is made a plain array, and that is copied, which no class can prevent.
    """
    expected = "expected an array or a tensor (K, H, C_out)"
    if forecast is None:
        raise StreamError(f"predict returned None, {expected}: is a return missing?")
    try:
        if isinstance(forecast, torch.Tensor):
            forecast = (forecast.float() if forecast.dtype is torch.bfloat16 else forecast).numpy(force=True)
        lent = np.asarray(forecast)
        if lent.dtype.kind != "c":
            return np.array(lent, dtype=np.float32)
    except (TypeError, ValueError, RuntimeError) as error:
        raise StreamError(f"predict returned {type(forecast).__name__}, {expected}: {error}") from error
    raise StreamError("predict returned complex numbers, expected real ones: take .real or the modulus")
