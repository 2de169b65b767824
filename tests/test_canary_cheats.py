"""Planted cheats: each is caught by a message that names what it did, or forecasts as its honest twin does."""

from __future__ import annotations

import gc
import os
import random
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench import BenchError, DriftSeries, Feedback, Strategy, register_strategy
from bench.metrics import ErrorSums
from bench.protocol import PRESETS
from bench.strategy import Service
from bench.stream import Stage, Stream
from bench.testing import (
    CheckError,
    DeafError,
    LeakError,
    MakeStrategy,
    NondeterministicError,
    OrderError,
    TamperingError,
    audit_strategy,
    check_strategy,
    forecasts_of,
    leak_canary,
)
from bench.testing.canary import require_unmoved
from bench.testing.passes import generators_pinned, marks_of

from .conftest import resolved, tiny_series

torch.set_num_threads(1)

CPU = torch.device("cpu")

Forecasts = dict[int, NDArray[np.float32]]


def hire(cls: type[Strategy]) -> MakeStrategy:
    """Build a strategy that is not registered, without a forecaster."""

    def make(stage: Stage) -> Strategy:
        rng = np.random.default_rng(0)
        return cls(Service(cls.Config(), None, stage.history(CPU), stage.protocol, rng, CPU))

    return make


def canary(cls: type[Strategy], cuts: Iterable[int] | None = None, hidden: bool = False, **changes: Any) -> None:
    series = tiny_series(hidden)
    leak_canary(hire(cls), series, resolved(series, **changes), cuts or (series.split.validation + 7,))


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
        self.found = [o for o in gc.get_objects() if type(o) is Stage and o.protocol == self.protocol]

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


def parts_of(feedback: Feedback) -> list[Tensor]:
    """All that a strategy is handed with the pairs, those that have only begun among them."""
    parts = [feedback.x, feedback.y, torch.from_numpy(feedback.origins)]
    if (young := feedback.young) is not None:
        parts += [young.x, young.y, young.known, torch.from_numpy(young.origins)]
    return parts


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
        for part in parts_of(feedback):
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


# Cheats that look for the future


class LooksForTheSeries(Cheat):
    """Walks the frames up to the last, and takes the series that the outermost one holds: the canary's own."""

    def stages(self) -> list[Stage]:
        found, frame = [], sys._getframe(1)
        while frame is not None:
            found += [value for value in frame.f_locals.values() if isinstance(value, DriftSeries)]
            frame = frame.f_back  # type: ignore[assignment]
        return [Stage.of(found[-1], self.protocol)]


class LooksThroughTheScorer(Cheat):
    """Finds the stage in what the scorer closes over."""

    def stages(self) -> list[Stage]:
        frame = sys._getframe(1)
        while "score" not in frame.f_locals:
            assert frame.f_back is not None
            frame = frame.f_back
        cells = [cell.cell_contents for cell in frame.f_locals["score"].__closure__]
        return [content for content in cells if isinstance(content, Stage)]


class LooksForArrays(Honest):
    """Asks the garbage collector for any array that is longer than what was released."""

    def predict(self, windows: Tensor) -> Tensor:
        L, H, step, width = self.protocol.lookback, self.protocol.horizon, self.protocol.stride, len(self.bias)
        seen = windows[0].numpy()
        for holder in gc.get_objects():
            for array in gc.get_referents(holder) if isinstance(holder, Stage | dict) else ():
                if not (isinstance(array, np.ndarray) and array.ndim == 2 and len(array) > self.origin):
                    continue
                if np.array_equal(array[self.origin - L : self.origin], seen):
                    ahead = self.origin + step * np.arange(len(windows))[:, None] + np.arange(H)
                    return torch.from_numpy(array[np.minimum(ahead, len(array) - 1), -width:]).float()
        raise AssertionError("no array was found, so the test would prove nothing")


class ReadsLabelsEarly(Honest):
    """Writes ``instant`` into the stage's protocol, so that the harness itself hands out labels before their time."""

    def adapt(self, feedback: Feedback) -> None:
        frame = sys._getframe(1)
        while "self" not in frame.f_locals or not isinstance(frame.f_locals["self"], Stream):
            assert frame.f_back is not None
            frame = frame.f_back
        frame.f_locals["self"].stage.protocol.__dict__["labels"] = "instant"
        super().adapt(feedback)


class RewritesThePast(Honest):
    """Finds the forecasts that wait to be scored, and writes into them what became known since."""

    def observe(self, rows: Tensor) -> None:
        super().observe(rows)
        frame = sys._getframe(1)
        while "waiting" not in frame.f_locals:
            assert frame.f_back is not None
            frame = frame.f_back
        for _, forecast in frame.f_locals["waiting"]:
            forecast[:] = rows[-1, : forecast.shape[-1]].numpy()


@pytest.mark.parametrize(
    "cheat",
    [
        LooksUpTheStack,
        LooksAtItsCaller,
        LooksForTheSeries,
        LooksThroughTheScorer,
        LooksThroughTheHeap,
        LooksForArrays,
    ],
)
def test_what_was_never_handed_over_is_named(cheat: type[Strategy]) -> None:
    ahead = r"It sees row \d+, \d+ after its origin, which had not been handed to it: it reached past what it is"
    with pytest.raises(LeakError, match=ahead + r" given \(frames of its callers, the garbage collector"):
        canary(cheat, preset="online")


def test_the_message_says_how_far_a_cheat_sees() -> None:
    series = tiny_series()
    cut = series.split.validation + 7
    with pytest.raises(LeakError, match=rf"origin {cut - 2} changed.*It sees row {cut}, 2 after its origin"):
        canary(LooksUpTheStack, (cut,), preset="online")  # H = 3: the last row of its truth
    with pytest.raises(LeakError, match=rf"It sees row {cut - 1}, of a later window of its block: forecast k may use"):
        canary(PeeksIntoTheBlock, (cut - 1,), block=5)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_forecast_that_is_rewritten_before_it_is_scored_is_a_leak(preset: str) -> None:
    with pytest.raises(LeakError, match="leaks: "):
        canary(RewritesThePast, preset=preset)


# Cheats that write


class RewritesTheTruth(Honest):
    """Forecasts nothing, and makes nothing the truth."""

    def predict(self, windows: Tensor) -> Tensor:
        caller = sys._getframe(1).f_locals["self"]
        caller.stage.truth[:] = 0
        return torch.zeros_like(super().predict(windows))


class RewritesTheSeries(Honest):
    def setup(self) -> None:
        super().setup()
        for holder in gc.get_objects():
            if type(holder) is DriftSeries and holder.name == "small":
                holder.values[-1] += 1


class SwapsTheTruth(Honest):
    def predict(self, windows: Tensor) -> Tensor:
        stage = sys._getframe(1).f_locals["self"].stage
        object.__setattr__(stage, "truth", np.zeros_like(stage.truth))
        return super().predict(windows)


@pytest.mark.parametrize(
    ("cheat", "what"),
    [
        (RewritesTheTruth, "truth to score forecasts against"),
        (SwapsTheTruth, "truth to score forecasts against"),
        (RewritesTheSeries, "series"),
        (ReadsLabelsEarly, "protocol"),
    ],
)
def test_writing_to_what_the_harness_keeps_is_caught(cheat: type[Strategy], what: str) -> None:
    with pytest.raises(TamperingError, match=f"tampers: its run left the harness with another {what} than it"):
        canary(cheat)


class RewritesTheProtocol(Honest):
    """Writes to all of the protocol that it was given, past its being frozen."""

    def setup(self) -> None:
        super().setup()
        self.horizon = self.protocol.horizon
        self.protocol.__dict__.update(labels="instant", stride=7, block=1, horizon=1, delay=0)

    def predict(self, windows: Tensor) -> Tensor:
        return super().predict(windows).expand(-1, self.horizon, -1)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("cheat", [Vandal, RewritesTheProtocol])
def test_writing_to_what_was_handed_over_is_harmless(cheat: type[Strategy], preset: str) -> None:
    for changes in CHANGES:
        assert same_as_honest(cheat, preset=preset, **changes)
    canary(cheat, preset=preset)


CHANGES: tuple[dict[str, Any], ...] = (
    {},
    {"label_every": 4},
    {"delay": 2},
    {"warm_start": False},
    {"labels": "partial"},
    {"labels": "partial", "label_every": 2},
)


def same_as_honest(cheat: type[Strategy], preset: str = "dense", **changes: Any) -> bool:
    """Whether a strategy forecasts as `Honest` does, bit by bit, at every origin."""
    series = tiny_series()
    protocol = resolved(series, preset, **changes)
    own, honest = (forecasts_of(hire(cls), series, protocol) for cls in (cheat, Honest))
    return own.keys() == honest.keys() and all(np.array_equal(own[origin], honest[origin]) for origin in honest)


# Cheats that look behind or keep what they are handed


class LooksBehind(Honest):
    """Forecasts what lies in memory behind a window, where there is more of it than was shown."""

    def predict(self, windows: Tensor) -> Tensor:
        honest = super().predict(windows)
        for behind in self.behind(windows):
            if behind.numel() > windows.numel():
                return honest + behind.flatten()[-1]
        return honest

    def behind(self, tensor: Tensor) -> Iterator[Tensor]:
        if tensor._base is not None:
            yield tensor._base
        yield torch.empty(0, dtype=tensor.dtype).set_(tensor.untyped_storage())
        array: Any = tensor.numpy()
        while isinstance(array, np.ndarray):
            yield torch.from_numpy(array)
            array = array.base
        if isinstance(array, Tensor):
            yield torch.empty(0, dtype=array.dtype).set_(array.untyped_storage())

    def observe(self, rows: Tensor) -> None:
        super().observe(rows)
        self.note(rows)

    def adapt(self, feedback: Feedback) -> None:
        super().adapt(feedback)
        for part in parts_of(feedback):
            self.note(part)

    def note(self, tensor: Tensor) -> None:
        if any(behind.numel() > tensor.numel() for behind in self.behind(tensor)):
            self.bias = self.bias + 1.0


@pytest.mark.parametrize("preset", PRESETS)
def test_there_is_nothing_behind_what_is_handed_over(preset: str) -> None:
    for changes in CHANGES:
        assert same_as_honest(LooksBehind, preset=preset, **changes)
    canary(LooksBehind, preset=preset)


def test_what_lies_behind_a_view_would_be_seen() -> None:
    looker = object.__new__(LooksBehind)
    for more in (torch.zeros(9, 2), torch.from_numpy(np.zeros((9, 2), dtype=np.float32))):
        assert any(behind.numel() > 6 for behind in looker.behind(more[:3]))
    assert all(behind.numel() == 6 for behind in looker.behind(torch.zeros(3, 2)))


class KeepsWhatItIsGiven(Honest):
    """Reads again and again what it was handed, in case newer rows have been written over it."""

    def setup(self) -> None:
        super().setup()
        self.kept: list[tuple[Tensor, Tensor]] = []
        self.keep(self.history.inputs, self.history.targets)

    def keep(self, *handed: Tensor) -> None:
        self.kept += [(tensor, tensor.clone()) for tensor in handed]

    def changed(self) -> float:
        return float(sum(((now != then) & ~(now.isnan() & then.isnan())).sum() for now, then in self.kept))

    def observe(self, rows: Tensor) -> None:
        super().observe(rows)
        self.keep(rows)

    def adapt(self, feedback: Feedback) -> None:
        super().adapt(feedback)
        self.keep(*parts_of(feedback))

    def predict(self, windows: Tensor) -> Tensor:
        self.keep(windows)
        return super().predict(windows) + self.changed()


@pytest.mark.parametrize("preset", PRESETS)
def test_what_was_handed_over_is_never_written_again(preset: str) -> None:
    for changes in CHANGES:
        assert same_as_honest(KeepsWhatItIsGiven, preset=preset, **changes)
    canary(KeepsWhatItIsGiven, preset=preset)


# Chance, and what outlasts a run


class Drawn(Honest):
    """Adds a number drawn from somewhere."""

    def draw(self) -> float:
        raise NotImplementedError

    def predict(self, windows: Tensor) -> Tensor:
        return super().predict(windows) + self.draw()


class FromNumpy(Drawn):
    def draw(self) -> float:
        return float(np.random.normal())  # noqa: NPY002


class FromTorch(Drawn):
    def draw(self) -> float:
        return float(torch.randn(()))


class FromPython(Drawn):
    def draw(self) -> float:
        return random.random()


class FromAFreshGenerator(Drawn):
    def draw(self) -> float:
        return float(np.random.default_rng().normal())


class FromTheSystem(Drawn):
    def draw(self) -> float:
        return int.from_bytes(os.urandom(3), "big") / 2**24


class FromTheClock(Drawn):
    def draw(self) -> float:
        return time.perf_counter_ns() % 1_000_003 / 1_000_003


class FromItsOwn(Drawn):
    def draw(self) -> float:
        return float(self.rng.normal())


@pytest.mark.parametrize("cheat", [FromNumpy, FromTorch, FromPython])
def test_a_generator_that_all_share_is_named(cheat: type[Strategy]) -> None:
    found = (
        r"not deterministic: two runs on the same data differ at origin 49\. It draws from a generator that is not its"
    )
    with pytest.raises(
        NondeterministicError, match=rf"{found} own \(numpy's, torch's or Python's\)\. Draw from self\.rng"
    ):
        canary(cheat)


@pytest.mark.parametrize("cheat", [FromAFreshGenerator, FromTheSystem, FromTheClock])
def test_the_clock_and_the_systems_entropy_are_not_deterministic(cheat: type[Strategy]) -> None:
    with pytest.raises(NondeterministicError, match=r"not deterministic: .* origin 49, though all .* by the clock"):
        canary(cheat)


def test_its_own_generator_is_seeded() -> None:
    canary(FromItsOwn)


def test_naming_a_draw_leaves_the_generators_as_they_were() -> None:
    np.random.seed(3)  # noqa: NPY002
    expected = np.random.random(2)  # noqa: NPY002
    np.random.seed(3)  # noqa: NPY002
    with generators_pinned(5):
        np.random.random(7)  # noqa: NPY002
    assert np.array_equal(np.random.random(2), expected)  # noqa: NPY002


class CountsRuns(Honest):
    """Forecasts otherwise in each run."""

    runs: ClassVar[int] = 0

    def setup(self) -> None:
        super().setup()
        CountsRuns.runs += 1

    def predict(self, windows: Tensor) -> Tensor:
        return super().predict(windows) + 0.01 * CountsRuns.runs


class RemembersTheStream(Honest):
    """Answers with what it saw of the stream in an earlier run."""

    seen: ClassVar[dict[int, Tensor]] = {}

    def observe(self, rows: Tensor) -> None:
        self.seen.update(enumerate(rows, start=self.origin))
        super().observe(rows)

    def predict(self, windows: Tensor) -> Tensor:
        honest = super().predict(windows)
        return torch.stack([self.seen.get(self.origin + k, row[0]).expand_as(row) for k, row in enumerate(honest)])


LAST_BIAS: list[Tensor] = []


class StartsWhereTheLastRunEnded(Honest):
    """Like `Honest` within runs on the same data, where the bias at the end is the same; and not after other data."""

    shows_from: ClassVar[int] = 0

    def setup(self) -> None:
        super().setup()
        self.added = float(LAST_BIAS[0].sum() != EXPECTED[0]) if LAST_BIAS and EXPECTED else 0.0

    def adapt(self, feedback: Feedback) -> None:
        super().adapt(feedback)
        LAST_BIAS[:] = [self.bias]

    def predict(self, windows: Tensor) -> Tensor:
        return super().predict(windows) + (self.added if self.origin >= self.shows_from else 0.0)


class AndShowsItLate(StartsWhereTheLastRunEnded):
    """The same, beyond the cut only: where no leak is looked for."""

    shows_from = 75


EXPECTED: list[float] = []


def test_a_counter_of_runs_is_named() -> None:
    with pytest.raises(OrderError, match=r"order of runs: .* changes what outlasts it: CountsRuns\.runs\. Keep it"):
        canary(CountsRuns)


def test_a_memory_of_earlier_runs_is_named() -> None:
    RemembersTheStream.seen.clear()
    with pytest.raises(OrderError, match="depends on the order of runs: a second run on the same data differs"):
        canary(RemembersTheStream, preset="online")


@pytest.mark.parametrize("cheat", [StartsWhereTheLastRunEnded, AndShowsItLate])
def test_what_shows_after_other_data_only_is_found(cheat: type[Strategy]) -> None:
    series = tiny_series()
    protocol = resolved(series)
    LAST_BIAS.clear()
    EXPECTED.clear()
    forecasts_of(hire(cheat), series, protocol)
    EXPECTED.append(float(LAST_BIAS[0].sum()))
    before = marks_of(hire(cheat), series, protocol)
    require_unmoved(hire(cheat), series, protocol, before)  # the same data: nothing shows
    with pytest.raises(OrderError, match=r"after runs on other data, .*outlasts it: .*LAST_BIAS"):
        canary(cheat)


class KeepsTheStage(LooksUpTheStack):
    """Half honest, half what the first stage that any run was served from says: no disturbance reaches that."""

    first: ClassVar[list[Stage]] = []

    def predict(self, windows: Tensor) -> Tensor:
        if not self.first:
            self.first.extend(super().stages()[-1:])
        return (Cheat.predict(self, windows) + Honest.predict(self, windows)) / 2

    def stages(self) -> list[Stage]:
        return self.first


def test_a_stage_that_outlasts_its_run_is_named() -> None:
    KeepsTheStage.first.clear()
    with pytest.raises(OrderError, match=r"keeps the harness's own rows .* in KeepsTheStage\.first"):
        canary(KeepsTheStage)


class CheatsInTheSecondSchedule(Honest):
    """Remembers the protocol of the first run that ever was, and forecasts otherwise under any other afterwards."""

    known: ClassVar[list[str]] = []

    def setup(self) -> None:
        super().setup()
        self.known.append(self.protocol.label)

    def predict(self, windows: Tensor) -> Tensor:
        return super().predict(windows) + (len(set(self.known)) > 1 and self.protocol.label == self.known[0])


@pytest.mark.usefixtures("registries")
def test_a_registered_strategy_is_run_in_another_order_too() -> None:
    CheatsInTheSecondSchedule.known.clear()
    register_strategy("depends-on-order")(CheatsInTheSecondSchedule)
    with pytest.raises(OrderError, match=r"depends on the order of runs: after runs on other data, .*\.known"):
        check_strategy("depends-on-order", quick=True)


@pytest.mark.usefixtures("registries")
@pytest.mark.parametrize(
    ("cheat", "error"),
    [(LooksForTheSeries, LeakError), (RewritesTheTruth, TamperingError), (FromTorch, NondeterministicError)],
)
def test_the_check_says_under_which_schedule(cheat: type[Strategy], error: type[CheckError]) -> None:
    register_strategy("cheat")(cheat)
    with pytest.raises(error, match=r"\(Found in: day-ahead \(L=12, H=3, S=3, K=1\), targets among the inputs\.\)"):
        check_strategy("cheat")


# What cannot be checked is no finding


class ServesInputsOnly(Honest):
    def setup(self) -> None:
        if self.history.target_index is None:
            raise BenchError("it needs targets among the inputs")
        super().setup()


class ServesNothing(Honest):
    def setup(self) -> None:
        raise BenchError("not today")


@pytest.mark.usefixtures("registries")
def test_what_a_strategy_refuses_to_serve_is_listed() -> None:
    register_strategy("inputs-only")(ServesInputsOnly)
    lines = check_strategy("inputs-only", quick=True)
    refused = [line for line in lines if line.startswith("refused (")]
    assert len([line for line in refused if "targets hidden" in line]) == len(refused) >= 4
    assert all("it needs targets among the inputs" in line for line in refused)
    register_strategy("nothing")(ServesNothing)
    with pytest.raises(CheckError, match=r"serves no schedule.*not today"):
        check_strategy("nothing", quick=True)


@pytest.mark.usefixtures("registries")
def test_an_audit_that_cannot_end_says_why() -> None:
    register_strategy("gives-up")(GivesUp)
    audit = audit_strategy("gives-up", quick=True)
    assert (audit.status, audit.standing) == ("unknown", "unaudited")
    assert re.fullmatch(r"ValueError: at once \(test_canary_cheats\.py, line \d+\)", audit.reason)
    audit = audit_strategy("persistence", quick=True, seconds=0)
    assert audit.status == "unknown"
    assert audit.reason == "OutOfTimeError: it takes too long to be checked on the side"
    audit = audit_strategy("persistence", quick=True)
    assert (audit.status, audit.reason, audit.quick) == ("passed", "", True)
    assert len(audit.checks) == 17


def test_a_series_is_put_back_as_it_was() -> None:
    series = tiny_series()
    values = series.values.copy()
    with pytest.raises(LeakError):
        canary_on(series, LooksUpTheStack)
    assert np.array_equal(series.values, values)
    canary_on(series, Honest)
    assert np.array_equal(series.values, values)


def canary_on(series: DriftSeries, cls: type[Strategy]) -> None:
    leak_canary(hire(cls), series, resolved(series), (series.split.validation + 7,))
