"""Checks that every plug-in must pass; its author can run them, as can a test.

The leak canary is the one that matters: whatever happens to rows from ``c`` on, forecasts with origin up to ``c`` must
not change by a bit.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.config import build
from bench.dataset import resolve_dataset
from bench.experiment import Choice, RunSpec
from bench.forecaster import FORECASTERS, Task, abilities
from bench.protocol import PRESETS, Protocol, ProtocolSpec
from bench.run import make_strategy
from bench.series import DriftEvent, DriftSeries, Split
from bench.strategy import STRATEGIES, Strategy
from bench.stream import Stage, Stream
from bench.trace import Watch
from bench.training import Recipe, pretrain

CPU = torch.device("cpu")
Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
MakeStrategy = Callable[[Stage], Strategy]


LABEL_REGIMES: tuple[dict[str, Any], ...] = ({}, {"label_every": 4}, {"label_rate": 0.4}, {"delay": 2})


class CheckError(AssertionError):
    """A plug-in does not keep its contract; the message says which part."""


class LeakError(CheckError):
    """A forecast depends on rows that were not known when it was made."""


class NondeterministicError(CheckError):
    """Two runs on the same data differ."""


class DeafError(CheckError):
    """No later forecast moved when a row that was known changed, so the canary would prove nothing."""


@dataclass(frozen=True)
class Disturbance:
    """One way to change the rows from a cut on.

    Attributes:
        name: For the message.
        change: Rows ``(n, C)`` to rows of the same shape.
    """

    name: str
    change: Callable[[Floats], Floats]


DISTURBANCES = (
    Disturbance("other values", lambda rows: -2.0 * rows + 3.0),
    Disturbance("NaN", lambda rows: np.full_like(rows, np.nan)),
    Disturbance("another order", lambda rows: rows[::-1] + np.linspace(0, 1e-3, len(rows))[:, None]),
)


def leak_canary(make: MakeStrategy, series: DriftSeries, protocol: Protocol, cuts: Iterable[int]) -> None:
    """Prove, for some cuts, that no forecast uses a row that was not known when it was made.

    Args:
        make: Builds the strategy for a stage; called once for each pass over the stream.
        series: A small one.
        protocol: The schedule.
        cuts: Rows ``c`` of the stream, also such as fall inside a block.

    Raises:
        NondeterministicError: Two passes over the same series differ.
        LeakError: Changing rows from ``c`` on changed a forecast with origin up to ``c``.
        DeafError: Changing rows before ``c`` changed nothing later, though the strategy does not say it reads nothing.
    """
    undisturbed = _forecasts(make, series, protocol)
    if bad := _first_difference(undisturbed, _forecasts(make, series, protocol), len(series)):
        raise NondeterministicError(f"not deterministic: two runs on the same data differ at origin {bad}")
    for cut in cuts:
        for disturbance in DISTURBANCES:
            values = series.values.copy()
            values[cut:] = disturbance.change(values[cut:])
            disturbed = _forecasts(make, series.with_values(values), protocol)
            # A block is refused as a whole, even where only its last windows hold NaN.
            whole = cut - (protocol.block - 1) * protocol.stride
            expected = {origin: f for origin, f in undisturbed.items() if origin in disturbed or origin <= whole}
            if bad := _first_difference(expected, disturbed, cut):
                raise LeakError(
                    f"leaks: with {disturbance.name} from row {cut} on, the forecast with origin {bad} changed, "
                    f"though it may only use rows before {bad}"
                )
        if not _hears(make, series, protocol, cut, undisturbed):
            raise DeafError(
                f"reads nothing: no forecast moved when rows before {cut} changed. "
                "If that is meant, set reads = False on the class."
            )


def trace_changes_nothing(make: MakeStrategy, series: DriftSeries, protocol: Protocol) -> None:
    """Prove that forecasts do not depend on whether the strategy is asked for its trace.

    Args:
        make: Builds the strategy for a stage; called once for each pass over the stream.
        series: A small one.
        protocol: The schedule.

    Raises:
        CheckError: Asking after every block changed a forecast.
    """
    silent, asked = (_forecasts(make, series, protocol, asks=asks) for asks in (False, True))
    bad = _first_difference(silent, asked, len(series))
    _require(bad is None, f"trace() changed the forecast with origin {bad}: asking for it must change nothing")


def small_series(*, hidden_targets: bool = False, rows: int = 150, seed: int = 0) -> DriftSeries:
    """A seeded series of three columns with a season of 6 and a jump, small enough for a canary.

    Args:
        hidden_targets: Whether the third column is a target and not an input; otherwise all are both.
        rows: Its length; the stream is its last third.
        seed: Of its noise.
    """
    rng = np.random.default_rng(seed)
    t = np.arange(rows)
    phase = 2 * np.pi * t / 6
    values = np.stack([np.sin(phase), np.cos(phase) + 0.01 * t, np.sin(phase + 1)], axis=1)
    values = values + 0.2 * rng.standard_normal(values.shape)
    jump = int(0.8 * rows)
    values[jump:] += 1.0
    names = ("a", "b", "c")
    return DriftSeries(
        name="small",
        values=values,
        columns=names,
        time=t.astype(np.int64),
        split=Split(int(0.55 * rows), int(0.66 * rows), rows),
        inputs=names[:2] if hidden_targets else names,
        targets=names[2:] if hidden_targets else names,
        events=(DriftEvent(jump, "jump"),),
        lookback=12,
        horizon=3,
        season=6,
    ).validated()


def tiny_maker(name: str, seed: int = 0) -> MakeStrategy:
    """A function that builds the strategy ``name``, made cheap, on a cheap forecaster that offers what it needs."""
    entry = STRATEGIES[name]
    forecaster = _tiny_forecaster(entry.cls) if entry.cls.uses_forecaster else None

    def make(stage: Stage) -> Strategy:
        run = RunSpec(
            experiment="check",
            strategy=Choice(name, entry.cls.tiny),
            forecaster=forecaster,
            dataset=Choice("small", {}),
            protocol=stage.protocol,
            seed=seed,
            device="cpu",
            threads=1,
            run_id="",
        )
        with torch.random.fork_rng(devices=[]):
            return make_strategy(run, stage, CPU, None)

    return make


def check_strategy(name: str) -> list[str]:
    """Run the canary over all presets, with targets among the inputs and hidden, under each of `LABEL_REGIMES`.

    Returns:
        What was checked, a line each.

    Raises:
        CheckError: The strategy broke its contract.
    """
    lines = []
    for hidden in (False, True):
        series = small_series(hidden_targets=hidden)
        for preset in PRESETS:
            for labels in LABEL_REGIMES:
                spec = build(
                    ProtocolSpec, {"preset": preset, "block": 5 if preset == "dense" else None} | labels, "check"
                )
                protocol = spec.resolve(series)
                start = series.split.validation
                leak_canary(tiny_maker(name), series, protocol, cuts=(start + 7,))
                lines.append(f"no leak: {protocol.label}, targets {'hidden' if hidden else 'among the inputs'}")
        trace_changes_nothing(tiny_maker(name), series, ProtocolSpec(preset="online").resolve(series))
        lines.append(f"asking for its trace changes nothing, targets {'hidden' if hidden else 'among the inputs'}")
    return lines


def check_forecaster(name: str) -> list[str]:
    """Shapes, determinism, independence of the batch, weights that survive saving.

    Returns:
        What was checked, a line each.

    Raises:
        CheckError: The forecaster broke its contract.
    """
    lines = []
    entry = FORECASTERS[name]
    config = build(entry.cls.Config, getattr(entry.cls, "tiny", {}), f"forecaster {name!r} (tiny)")
    for hidden in (False, True):
        stage = Stage.of(small_series(hidden_targets=hidden), _protocol(hidden))
        series = stage.series
        task = Task(12, 3, len(series.inputs), len(series.targets), series.target_index)
        with tempfile.TemporaryDirectory() as folder:  # the third is read back from what the second left
            recipe, cache = Recipe(name, config, task, 0), Path(folder)
            first, second, restored = (pretrain(recipe, stage, CPU, c) for c in (None, cache, cache))
        windows = torch.from_numpy(stage.windows(np.arange(20, 26)))
        before = windows.clone()
        with torch.no_grad():
            out, again, alone = first(windows), second(windows), first(windows[:1])
            kept = restored(windows)
        where = "targets hidden" if hidden else "targets among the inputs"
        _require(
            out.shape == (6, 3, task.targets), f"{where}: forecast has shape {tuple(out.shape)}, not (B, H, C_out)"
        )
        _require(bool(torch.isfinite(out).all()), f"{where}: a forecast is not finite")
        _require(torch.equal(windows, before), f"{where}: it changed the windows that it was given")
        _require(torch.equal(out, again), f"{where}: two trainings from the same seed differ")
        _require(torch.equal(out, kept), f"{where}: a forecaster read back from its checkpoint forecasts otherwise")
        close = torch.allclose(out[:1], alone, atol=1e-4, rtol=1e-4)
        _require(close, f"{where}: a forecast depends on the other windows of its batch")
        lines.append(f"shape, determinism, independence of the batch, weights that survive saving: {where}")
    lines.append(f"offers: {', '.join(sorted(abilities(entry.cls))) or 'nothing but forecasts'}")
    return lines


def check_dataset(name: str) -> list[str]:
    """Loads, is usable, and is the same when loaded again.

    Returns:
        What was checked, a line each.

    Raises:
        CheckError: Two loads differ.
        BenchError: The series is unusable; the message says why.
    """
    first, second = (resolve_dataset(name).series() for _ in range(2))
    _require(first.fingerprint == second.fingerprint, "two loads give different series")
    lines = [f"{len(first):,} rows, {len(first.inputs)} inputs, {len(first.targets)} targets; loads alike twice"]
    return lines + [f"fits {ProtocolSpec(preset=preset).resolve(first).label}" for preset in PRESETS]


def _protocol(hidden: bool) -> Protocol:
    return ProtocolSpec(preset="online").resolve(small_series(hidden_targets=hidden))


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise CheckError(message)


def _forecasts(
    make: MakeStrategy, series: DriftSeries, protocol: Protocol, *, asks: bool = False
) -> dict[int, Singles]:
    """Forecast by origin, warm start included, up to where the strategy gave up (on NaN, it may).

    With ``asks`` the strategy is asked for its trace after every block.
    """
    stage = Stage.of(series, protocol)
    strategy = make(stage)
    stream = Stream(stage, strategy, CPU, finite=False)
    made: dict[int, Singles] = {}

    def keep(origins: NDArray[np.int64], forecasts: Singles) -> None:
        made.update(zip(origins.tolist(), forecasts, strict=True))

    split = series.split
    disturbed = not np.isfinite(series.values).all()
    try:
        for start, end in [(split.train, split.validation)] * protocol.warm_start + [(split.validation, split.end)]:
            watch = Watch.over(strategy, protocol, start, end, times=len(series))
            stream.run(start, end, keep, watch.after_block if asks else lambda _: None)
    except Exception:
        if not disturbed:
            raise
    return made


def _first_difference(one: dict[int, Singles], other: dict[int, Singles], up_to: int) -> int | None:
    """First origin up to ``up_to`` at which the forecasts are not the same bits."""
    for origin in sorted(one):
        if origin > up_to:
            return None
        if origin not in other or not np.array_equal(one[origin], other[origin], equal_nan=True):
            return origin
    return None


def _hears(
    make: MakeStrategy, series: DriftSeries, protocol: Protocol, cut: int, undisturbed: dict[int, Singles]
) -> bool:
    """Whether row ``cut - 1`` moves some forecast, or else the stream's rows before it together do.

    One row alone may be passed over in good faith: by a stride, or by labels that come rarely.
    """
    if not type(make(Stage.of(series, protocol))).reads:
        return True
    for first in (cut - 1, series.split.validation):
        values = series.values.copy()
        values[first:cut] += series.scaler.std
        if _first_difference(undisturbed, _forecasts(make, series.with_values(values), protocol), len(series)):
            return True
    return False


def _tiny_forecaster(strategy: type[Strategy]) -> Choice:
    """The first forecaster, by name, that offers what a strategy needs, in its declared tiny form."""
    for entry in FORECASTERS:
        if strategy.needs <= abilities(entry.cls):
            options: dict[str, Any] = getattr(entry.cls, "tiny", {})
            return Choice(entry.name, options)
    raise CheckError(f"no registered forecaster offers {', '.join(sorted(strategy.needs))}")
