"""Planted cheats that look ahead: each is caught by a message that names what it did; what is none passes."""

from __future__ import annotations

import gc
import re
import sys
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from bench import BenchError, DriftSeries, Strategy, register_strategy
from bench.contracts.protocol import PRESETS
from bench.evaluation.stream import PreparedSeries, Stream
from bench.testing import (
    CheckError,
    InsensitiveError,
    LeakError,
    NondeterministicError,
    TamperingError,
    audit_strategy,
    check_strategy,
    leak_canary,
)

from ..cheats import Cheat, FromNumpy, Honest, LooksUpTheStack, RewritesTheTruth, canary, hire
from ..conftest import resolved, tiny_series

pytestmark = pytest.mark.usefixtures("young_heap")


class LooksAtItsCaller(Cheat):
    """Finds the stage as an attribute of the stream that calls it."""

    def stages(self) -> list[PreparedSeries]:
        return [value.stage for value in sys._getframe(2).f_locals.values() if isinstance(value, Stream)]


class LooksThroughTheHeap(Cheat):
    """Asks the garbage collector."""

    def setup(self) -> None:
        super().setup()
        gc.collect()  # puts the newest last, behind what other tests left
        self.found = [o for o in gc.get_objects() if type(o) is PreparedSeries and o.protocol == self.protocol]

    def stages(self) -> list[PreparedSeries]:
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
        with pytest.raises(InsensitiveError, match=r"no forecast moved when rows before \d+ changed.*reads = False"):
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


# Cheats that look for the future


class LooksForTheSeries(Cheat):
    """Walks the frames up to the last, and takes the series that the outermost one holds: the canary's own."""

    def stages(self) -> list[PreparedSeries]:
        found, frame = [], sys._getframe(1)
        while frame is not None:
            found += [value for value in frame.f_locals.values() if isinstance(value, DriftSeries)]
            frame = frame.f_back  # type: ignore[assignment]
        return [PreparedSeries.of(found[-1], self.protocol)]


class LooksThroughTheScorer(Cheat):
    """Finds the stage in what the scorer closes over."""

    def stages(self) -> list[PreparedSeries]:
        frame = sys._getframe(1)
        while "score" not in frame.f_locals:
            assert frame.f_back is not None
            frame = frame.f_back
        cells = [cell.cell_contents for cell in frame.f_locals["score"].__closure__]
        return [content for content in cells if isinstance(content, PreparedSeries)]


class LooksForArrays(Honest):
    """Asks the garbage collector for any array that is longer than what was released."""

    def predict(self, windows: Tensor) -> Tensor:
        L, H, step, width = self.protocol.lookback, self.protocol.horizon, self.protocol.stride, len(self.bias)
        seen = windows[0].numpy()
        for holder in gc.get_objects():
            for array in gc.get_referents(holder) if isinstance(holder, PreparedSeries | dict) else ():
                if not (isinstance(array, np.ndarray) and array.ndim == 2 and len(array) > self.origin):
                    continue
                if np.array_equal(array[self.origin - L : self.origin], seen):
                    ahead = self.origin + step * np.arange(len(windows))[:, None] + np.arange(H)
                    return torch.from_numpy(array[np.minimum(ahead, len(array) - 1), -width:]).float()
        raise AssertionError("no array was found, so the test would prove nothing")


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


@pytest.mark.usefixtures("registries")
@pytest.mark.parametrize(
    ("cheat", "error"),
    [(LooksForTheSeries, LeakError), (RewritesTheTruth, TamperingError), (FromNumpy, NondeterministicError)],
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
    with pytest.raises(CheckError, match=r"serves nothing of what it was asked\..*not today"):
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
    assert len(audit.checks) == 18


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
