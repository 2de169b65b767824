"""What strategies are handed: writing to it, looking behind it or keeping it gains nothing, and harms nobody."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench import DriftSeries, Feedback, Strategy
from bench.contracts.protocol import PRESETS
from bench.evaluation.metrics import ErrorSums
from bench.evaluation.stream import PreparedSeries, Stream
from bench.testing import TamperingError

from ..cheats import CHANGES, CPU, Forecasts, Honest, RewritesTheTruth, canary, hire, parts_of, same_as_honest
from ..conftest import resolved, tiny_series

pytestmark = pytest.mark.usefixtures("young_heap")


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


def scored(cls: type[Strategy], stage: PreparedSeries) -> tuple[float, Forecasts]:
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
    stage = PreparedSeries.of(series, resolved(series, preset))
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


class ReadsLabelsEarly(Honest):
    """Writes ``instant`` into the stage's protocol, so that the harness itself hands out labels before their time."""

    def adapt(self, feedback: Feedback) -> None:
        frame = sys._getframe(1)
        while "self" not in frame.f_locals or not isinstance(frame.f_locals["self"], Stream):
            assert frame.f_back is not None
            frame = frame.f_back
        frame.f_locals["self"].stage.protocol.__dict__["labels"] = "instant"
        super().adapt(feedback)


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


class LearnsFromItsErrors(Honest):
    """Corrects by what its forecasts missed, and by the last row of the window whose forecast is asked next."""

    def adapt(self, feedback: Feedback) -> None:
        assert feedback.present is not None
        assert feedback.issued is not None
        missed = (feedback.y - feedback.issued)[:, 0]
        known = missed[~missed.isnan().any(dim=1)]
        if len(known):
            self.bias = 0.9 * self.bias + 0.1 * known.mean(dim=0)
        self.bias = 0.99 * self.bias + 0.01 * feedback.present[-1, : len(self.bias)]


@pytest.mark.parametrize("preset", PRESETS)
def test_past_forecasts_and_the_present_window_hold_nothing_of_the_future(preset: str) -> None:
    for changes in CHANGES:
        canary(LearnsFromItsErrors, preset=preset, **changes)
