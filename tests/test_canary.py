"""The leak canary: what is registered passes it, and what cheats does not."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench import DriftSeries, Feedback, Protocol, Strategy
from bench.config import build
from bench.experiment import Choice, RunSpec
from bench.forecaster import FORECASTERS
from bench.metrics import ErrorSums
from bench.plugins import load_plugins
from bench.protocol import PRESETS, ProtocolSpec
from bench.run import make_strategy
from bench.strategy import STRATEGIES, Service
from bench.stream import Stage, Stream
from bench.testing import (
    CheckError,
    DeafError,
    LeakError,
    MakeStrategy,
    NondeterministicError,
    check_strategy,
    forecasts_of,
    leak_canary,
    small_series,
    tiny_maker,
)

torch.set_num_threads(1)
load_plugins()

CPU = torch.device("cpu")
NAMES = [entry.name for entry in STRATEGIES]

Forecasts = dict[int, NDArray[np.float32]]


def tiny_series(hidden: bool = False) -> DriftSeries:
    return small_series(hidden_targets=hidden, rows=90)


def resolved(series: DriftSeries, preset: str = "dense", **changes: Any) -> Protocol:
    """A preset; ``dense`` in blocks of five, so that cuts fall inside a block."""
    block = 5 if preset == "dense" else None
    return ProtocolSpec.model_validate({"preset": preset, "block": block} | changes).resolve(series)


def hire(cls: type[Strategy]) -> MakeStrategy:
    """Build a strategy that is not registered, without a forecaster."""

    def make(stage: Stage) -> Strategy:
        rng = np.random.default_rng(0)
        return cls(Service(cls.Config(), None, stage.history(CPU), stage.protocol, rng, CPU))

    return make


def canary(cls: type[Strategy], cuts: Iterable[int] | None = None, hidden: bool = False, **changes: Any) -> None:
    series = tiny_series(hidden)
    leak_canary(hire(cls), series, resolved(series, **changes), cuts or (series.split.validation + 7,))


# What is registered


@pytest.mark.slow
@pytest.mark.parametrize("hidden", [False, True], ids=["inputs", "hidden"])
@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("name", NAMES)
def test_no_strategy_leaks(name: str, preset: str, hidden: bool) -> None:
    series = tiny_series(hidden)
    protocol = resolved(series, preset, label_every=4 if hidden else 1)
    inside = series.split.validation + 7  # inside a block of five, and between two days of three
    assert preset == "online" or 7 % (protocol.block * protocol.stride)
    leak_canary(tiny_maker(name), series, protocol, cuts=(inside,))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "forecaster"), [("frozen", "titans"), ("retrain", "titans"), ("retrain", "ridge")])
def test_no_strategy_leaks_on_other_forecasters(name: str, forecaster: str) -> None:
    series = tiny_series()
    protocol = resolved(series, warm_start=False)
    entry, options = STRATEGIES[name], getattr(FORECASTERS[forecaster].cls, "tiny", {})
    run = RunSpec(
        "check",
        Choice(name, entry.cls.tiny | ({"every": 6} if name == "retrain" else {})),
        Choice(forecaster, options),
        Choice("small", {}),
        protocol,
        seed=0,
        device="cpu",
        threads=1,
        run_id="",
    )

    def make(stage: Stage) -> Strategy:
        with torch.random.fork_rng(devices=[]):
            return make_strategy(run, stage, CPU, None)

    leak_canary(make, series, protocol, cuts=(series.split.validation + 7,))


@pytest.mark.parametrize("name", ["persistence", "rls"])
def test_no_cut_is_special(name: str) -> None:
    series = tiny_series()
    for preset in PRESETS:
        start = series.split.validation
        leak_canary(tiny_maker(name), series, resolved(series, preset), cuts=range(start + 3, start + 11))


def test_checking_a_strategy_goes_through_every_preset_and_asks_for_its_trace() -> None:
    lines = check_strategy("persistence")
    cuts = [line for line in lines if line.startswith("no leak")]
    assert len(cuts) == len(set(cuts)) == 24
    assert all(any(f"{preset} (" in line for line in cuts) for preset in PRESETS)
    assert all(sum(regime in line for line in cuts) == 6 for regime in ("every 4th", "40 % of", "2 rows late"))
    assert sum("targets hidden" in line for line in cuts) == 12
    asked = {f"asking for its trace changes nothing, targets {where}" for where in ("hidden", "among the inputs")}
    assert len(lines) == len(cuts) + len(asked)
    assert asked <= set(lines)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_labels_that_are_never_released_reach_nobody(name: str) -> None:
    series = tiny_series(hidden=True)
    protocol = resolved(series, label_every=7)
    split, secret = series.split, np.zeros(len(series), dtype=bool)
    secret[split.validation :] = True
    for s in range(split.train, split.end - protocol.horizon + 1, 7):
        secret[s : s + protocol.horizon] = False
    assert secret.sum() > 10
    values = series.values.copy()
    values[secret, 2] = 1e6
    clean, poisoned = (served(tiny_maker(name), s, protocol) for s in (series, series.with_values(values)))
    assert all(np.array_equal(forecast, poisoned[origin]) for origin, forecast in clean.items())


def served(make: MakeStrategy, series: DriftSeries, protocol: Protocol) -> Forecasts:
    made: Forecasts = {}
    stage = Stage.of(series, protocol)

    def score(origins: NDArray[np.int64], forecasts: NDArray[np.float32]) -> None:
        made.update(zip(origins.tolist(), forecasts, strict=True))

    stream = Stream(stage, make(stage), CPU)
    stream.run(series.split.train, series.split.validation, score)
    stream.run(series.split.validation, series.split.end, score)
    return made


# What cheats


class Honest(Strategy):
    """The last row, and a correction learned from matured pairs."""

    def setup(self) -> None:
        self.origin = len(self.history)
        self.bias = torch.zeros(self.history.targets.shape[1])

    def observe(self, rows: Tensor) -> None:
        self.origin += len(rows)

    def adapt(self, feedback: Feedback) -> None:
        if len(feedback):
            self.bias = self.bias + 0.1 * (feedback.y[:, 0] - feedback.x[:, -1, : len(self.bias)]).mean(dim=0)

    def predict(self, windows: Tensor) -> Tensor:
        level = windows[:, -1:, : len(self.bias)] + self.bias
        return level.expand(-1, self.protocol.horizon, -1)


class Cheat(Honest):
    """Answers with the truth of a stage that it gets hold of."""

    def stages(self) -> list[Stage]:
        raise NotImplementedError

    def predict(self, windows: Tensor) -> Tensor:
        stage, step = self.stages()[-1], self.protocol.stride
        origins = np.arange(self.origin, self.origin + step * len(windows), step)
        return torch.from_numpy(stage.truths(origins)).float()


class LooksUpTheStack(Cheat):
    """Finds the stage among its callers' variables."""

    def stages(self) -> list[Stage]:
        found, frame = [], sys._getframe(1)
        while frame is not None:
            found += [value for value in frame.f_locals.values() if isinstance(value, Stage)]
            frame = frame.f_back  # type: ignore[assignment]
        return found


class LooksAtItsCaller(Cheat):
    """Finds the stage as an attribute of the stream that calls it."""

    def stages(self) -> list[Stage]:
        return [value.stage for value in sys._getframe(2).f_locals.values() if isinstance(value, Stream)]


class LooksThroughTheHeap(Cheat):
    """Asks the garbage collector."""

    def setup(self) -> None:
        super().setup()
        self.found = [o for o in gc.get_objects() if type(o) is Stage and o.protocol is self.protocol]

    def stages(self) -> list[Stage]:
        return self.found


class PeeksIntoTheBlock(Honest):
    """Forecast k reads window k + 1."""

    def predict(self, windows: Tensor) -> Tensor:
        return super().predict(torch.cat([windows[1:], windows[-1:]]))


class NormalisesByTheBlock(Honest):
    """Takes off the mean of all windows of the block, as batch normalisation does."""

    def predict(self, windows: Tensor) -> Tensor:
        return super().predict(windows) - windows.mean()


@pytest.mark.parametrize(
    "cheat", [LooksUpTheStack, LooksAtItsCaller, LooksThroughTheHeap, PeeksIntoTheBlock, NormalisesByTheBlock]
)
def test_a_cheat_is_found(cheat: type[Strategy]) -> None:
    cut = tiny_series().split.validation + 7
    with pytest.raises(LeakError, match=rf"leaks: with other values from row {cut} on, the forecast with origin (\d+)"):
        canary(cheat, (cut,))
    assert issubclass(LeakError, CheckError)


@pytest.mark.parametrize("cheat", [LooksUpTheStack, LooksAtItsCaller, LooksThroughTheHeap])
@pytest.mark.parametrize("preset", ["online", "day-ahead"])
def test_a_cheat_is_found_whatever_the_schedule(cheat: type[Strategy], preset: str) -> None:
    with pytest.raises(LeakError, match="though it may only use rows before"):
        canary(cheat, preset=preset)
    with pytest.raises(LeakError):
        canary(cheat, preset=preset, hidden=True)


def test_the_message_names_the_first_forecast_that_leaked() -> None:
    series = tiny_series()
    cut, horizon = series.split.validation + 7, 3
    with pytest.raises(LeakError, match=rf"the forecast with origin {cut - horizon + 1} changed"):
        canary(LooksUpTheStack, (cut,))  # the first whose truth reaches the cut


def test_a_peek_into_the_block_shows_unless_the_cut_is_at_its_last_origin() -> None:
    start = tiny_series().split.validation
    for cut in range(start + 3, start + 12):
        if (cut - start) % 5 == 4:  # the forecast that would see a changed row is the block's last, which peeks at none
            canary(PeeksIntoTheBlock, (cut,))
        else:
            with pytest.raises(LeakError):
                canary(PeeksIntoTheBlock, (cut,))
    canary(PeeksIntoTheBlock, (start + 7,), preset="online")  # in blocks of one there is nothing to peek at


def test_honesty_passes() -> None:
    for hidden in (False, True):
        for preset in PRESETS:
            canary(Honest, preset=preset, hidden=hidden, label_every=4 if hidden else 1)


class Random(Honest):
    def predict(self, windows: Tensor) -> Tensor:
        return super().predict(windows) + float(np.random.default_rng().normal())


class SeededRandom(Honest):
    def predict(self, windows: Tensor) -> Tensor:
        return super().predict(windows) + float(self.rng.normal())


def test_unseeded_numbers_are_not_taken_for_a_leak() -> None:
    with pytest.raises(
        NondeterministicError, match=r"not deterministic: two runs on the same data differ at origin 49"
    ):
        canary(Random)
    canary(SeededRandom)


class Constant(Strategy):
    def predict(self, windows: Tensor) -> Tensor:
        return torch.zeros(len(windows), self.protocol.horizon, self.history.targets.shape[1])


class ConstantAndSaysSo(Constant):
    reads: ClassVar[bool] = False


class HearsTheHistoryOnly(Constant):
    def predict(self, windows: Tensor) -> Tensor:
        return super().predict(windows) + self.history.inputs[-1].mean()


def test_a_strategy_that_reads_nothing_must_say_so() -> None:
    for deaf in (Constant, HearsTheHistoryOnly):
        with pytest.raises(DeafError, match=r"no forecast moved when rows before \d+ changed.*reads = False"):
            canary(deaf)
    canary(ConstantAndSaysSo)


class GivesUpOnNaN(Honest):
    """As many libraries do."""

    def predict(self, windows: Tensor) -> Tensor:
        if windows.isnan().any():
            raise ValueError("NaN")
        return super().predict(windows)


@pytest.mark.parametrize("preset", PRESETS)
def test_giving_up_on_missing_values_is_no_leak(preset: str) -> None:
    start = tiny_series().split.validation
    canary(GivesUpOnNaN, range(start + 3, start + 9), preset=preset)


class ForeseesNaN(LooksUpTheStack):
    """Gives up as soon as a value will be missing."""

    def predict(self, windows: Tensor) -> Tensor:
        if Cheat.predict(self, windows).isnan().any():
            raise ValueError("NaN")
        return Honest.predict(self, windows)


@pytest.mark.parametrize("preset", PRESETS)
def test_giving_up_before_a_value_is_missing_is_a_leak(preset: str) -> None:
    with pytest.raises(LeakError, match="with NaN from row"):
        canary(ForeseesNaN, (tiny_series().split.validation + 5,), preset=preset)


class GivesUp(Honest):
    def predict(self, windows: Tensor) -> Tensor:
        raise ValueError("at once")


def test_giving_up_on_good_values_is_an_error() -> None:
    with pytest.raises(ValueError, match="at once"):
        canary(GivesUp)


# What strategies are handed


class Vandal(Honest):
    """Like `Honest`, but leaves nothing that it was handed as it was."""

    def setup(self) -> None:
        super().setup()
        self.history.inputs.fill_(7)
        self.history.targets.fill_(7)

    def observe(self, rows: Tensor) -> None:
        super().observe(rows)
        rows.fill_(torch.nan)

    def adapt(self, feedback: Feedback) -> None:
        super().adapt(feedback)
        for part in (feedback.x, feedback.y, feedback.origins):
            part[...] = 7

    def predict(self, windows: Tensor) -> Tensor:
        self.out = super().predict(windows).clone()
        for past in self.__dict__.setdefault("made", []):
            past.fill_(7)
        self.made.append(self.out)
        windows.fill_(torch.nan)
        return self.out

    made: list[Tensor]


def scored(cls: type[Strategy], stage: Stage) -> tuple[float, Forecasts]:
    sums = ErrorSums(stage.series.scaler.select(stage.series.target_column).std, stage.protocol.horizon)
    made: Forecasts = {}

    def score(origins: NDArray[np.int64], forecasts: NDArray[np.float32]) -> None:
        made.update(zip(origins.tolist(), forecasts, strict=True))
        sums.add(forecasts, stage.truths(origins))

    Stream(stage, hire(cls)(stage), CPU).run(stage.first_origin, stage.series.split.end, score)
    return sums.mse, made


@pytest.mark.parametrize("preset", PRESETS)
def test_writing_to_what_was_handed_over_harms_nobody(preset: str) -> None:
    series = tiny_series()
    values = series.values.copy()
    stage = Stage.of(series, resolved(series, preset))
    expected, forecasts = scored(Honest, stage)
    mse, vandals = scored(Vandal, stage)
    assert mse == expected
    assert all(np.array_equal(forecast, vandals[origin]) for origin, forecast in forecasts.items())
    assert np.array_equal(series.values, values)
    again, _ = scored(Honest, stage)  # on the stage that the vandal was served from
    assert again == expected


class Weighed(Honest):
    """Compares the memory behind what it is handed with what it is handed."""

    def check(self, *handed: Tensor) -> None:
        for tensor in handed:
            assert tensor.untyped_storage().nbytes() == tensor.numel() * 4
            assert tensor.dtype == torch.float32

    def setup(self) -> None:
        super().setup()
        self.check(self.history.inputs, self.history.targets)

    def observe(self, rows: Tensor) -> None:
        self.check(rows)
        super().observe(rows)

    def adapt(self, feedback: Feedback) -> None:
        self.check(feedback.x, feedback.y)
        super().adapt(feedback)

    def predict(self, windows: Tensor) -> Tensor:
        self.check(windows)
        return super().predict(windows)


@pytest.mark.parametrize("preset", PRESETS)
def test_no_tensor_is_a_view_of_more_than_it_shows(preset: str) -> None:
    canary(Weighed, preset=preset)


def test_a_check_that_fails_inside_a_strategy_is_not_swallowed() -> None:
    fails: Callable[..., None] = Weighed.check

    class Fails(Weighed):
        def check(self, *handed: Tensor) -> None:
            fails(self, *(tensor[1:] for tensor in handed))

    with pytest.raises(AssertionError):
        canary(Fails)


@pytest.mark.parametrize("hidden", [False, True])
def test_instant_labels_leak_and_the_canary_says_so(hidden: bool) -> None:
    series = small_series(hidden_targets=hidden)
    protocol = ProtocolSpec(preset="online", labels="instant").resolve(series)
    with pytest.raises(LeakError, match="leaks"):
        leak_canary(tiny_maker("rls"), series, protocol, cuts=(series.split.validation + 7,))


@pytest.mark.parametrize("labels", [{"label_rate": 0.1}, {"label_every": 10}, {"delay": 5}])
@pytest.mark.parametrize("name", ["titans-a", "titans-b"])
def test_titans_without_gradients_do_not_hear_labels(name: str, labels: dict[str, Any]) -> None:
    """Bit for bit, where targets are among the inputs."""
    series = small_series()
    forecasts = [
        forecasts_of(tiny_maker(name), series, build(ProtocolSpec, options, "test").resolve(series))
        for options in ({}, labels)
    ]
    assert forecasts[0].keys() == forecasts[1].keys()
    assert all(np.array_equal(forecasts[0][origin], forecasts[1][origin]) for origin in forecasts[0])
