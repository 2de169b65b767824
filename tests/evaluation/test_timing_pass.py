"""The timing pass: a run's first blocks as the run had them, with nothing that is not known anywhere to be found."""

from __future__ import annotations

import gc
import hashlib
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from bench import DriftSeries, Feedback, Strategy
from bench.contracts.protocol import PRESETS
from bench.evaluation import run, timing_pass
from bench.evaluation.profiling import profiler as gauge
from bench.evaluation.replay import ERRORS, first_difference
from bench.evaluation.run import RunPaths
from bench.evaluation.run_spec import Choice, RunSpec
from bench.evaluation.stream import PreparedSeries, Stream
from bench.evaluation.timing_pass import Opening, time_alone
from bench.results.record import Replay
from bench.results.store import FORECASTS, ORIGINS, RECORD, Store

from ..busy import busy_run, clock
from ..cheats import Cheat, Honest, LooksUpTheStack, parts_of
from ..served_runs import carried_out, place_in, replayed, run_of, small, timed

__all__ = ["busy_run", "clock"]

pytestmark = pytest.mark.usefixtures("registries", "young_heap")

LABELS: tuple[dict[str, Any], ...] = (
    {},
    {"warm_start": False},
    {"label_every": 3},
    {"label_rate": 0.5},
    {"delay": 2},
    {"labels": "partial"},
    {"labels": "instant"},
)


class Diary(Honest):
    """Writes down, in digests, all that it is given, and the state of what all code shares."""

    lives: ClassVar[list[list[str]]] = []

    def note(self, *things: Any) -> None:
        digest = hashlib.sha256()
        for thing in things:
            digest.update(thing.numpy().tobytes() if isinstance(thing, Tensor) else repr(thing).encode())
        self.lives[-1].append(digest.hexdigest())

    def setup(self) -> None:
        super().setup()
        self.lives.append([])
        history = self.history
        self.note(history.inputs, history.targets, history.target_index, history.season, history.stream_start)
        self.note(self.protocol.model_dump_json(), self.config, self.device, self.rng.bit_generator.state)
        self.note(torch.get_rng_state(), torch.get_num_threads(), torch.is_grad_enabled(), np.geterr())
        self.note(np.random.get_state(), sys.getrecursionlimit())  # noqa: NPY002

    def observe(self, rows: Tensor) -> None:
        super().observe(rows)
        self.note("observe", rows)

    def adapt(self, feedback: Feedback) -> None:
        super().adapt(feedback)
        self.note("adapt", *parts_of(feedback))

    def predict(self, windows: Tensor) -> Tensor:
        self.note("predict", windows, torch.get_rng_state(), self.rng.random())
        return super().predict(windows)

    def trace(self) -> dict[str, float]:
        self.note("trace")
        return {"bias": float(self.bias[0])}


@pytest.mark.parametrize("labels", LABELS, ids=str)
@pytest.mark.parametrize("preset", PRESETS)
def test_nothing_that_is_handed_over_tells_the_pass_from_its_run(
    preset: str, labels: dict[str, Any], tmp_path: Path
) -> None:
    Diary.lives.clear()
    spec = run_of(Diary, preset, **labels)
    carried_out(spec, tmp_path)
    replay = timed(spec, tmp_path, blocks=4).replay
    lived, *passes = Diary.lives  # more than one where the machine is busy
    for again in passes:
        assert len(again) > 20
        assert again == lived[: len(again)]
    assert replay == Replay(verdict="same", origins=min(7, len(lived)) * (5 if preset == "dense" else 1))


class Looks(Honest):
    """Adds what it finds of the future to an honest forecast."""

    look: ClassVar[Callable[[], list[Any]]]

    def predict(self, windows: Tensor) -> Tensor:
        found = [table[self.origin : self.origin + 3] for table in type(self).look() if len(table) == 200]
        return super().predict(windows) + (float(np.mean(found)) if found else 0.0)


def of_callers(kind: type[Any]) -> list[Any]:
    found, frame = [], sys._getframe(1)
    while frame is not None:
        found += [value for value in list(frame.f_locals.values()) if type(value) is kind]
        frame = frame.f_back  # type: ignore[assignment]
    return found


def loaded_series() -> list[Any]:
    return [held.values for held in gc.get_referents(run._loaded) if type(held) is DriftSeries]


WAYS: dict[str, Callable[[], list[Any]]] = {
    "the truth of its caller's stage": lambda: [stage.truth for stage in of_callers(PreparedSeries)],
    "the inputs of its caller's stage": lambda: [stage.inputs for stage in of_callers(PreparedSeries)],
    "the stage of the stream that calls": lambda: [stream.stage.targets for stream in of_callers(Stream)],
    "the series": lambda: [stream.stage.series.values for stream in of_callers(Stream)],
    "what a made series would have been": lambda: [s.stage.series.truth.twin for s in of_callers(Stream)],
    "the cache of series": loaded_series,
    "the heap": lambda: [thing.truth for thing in gc.get_objects() if type(thing) is PreparedSeries],
    "all arrays": lambda: [
        array
        for holder in gc.get_objects()
        if type(holder) in (dict, PreparedSeries, DriftSeries)
        for array in gc.get_referents(holder)
        if type(array) is np.ndarray and array.ndim == 2
    ],
}


@pytest.mark.parametrize("way", WAYS)
def test_a_run_that_used_the_future_is_found_on_its_own_series(way: str, tmp_path: Path) -> None:
    cheat = type("Cheat", (Looks,), {"look": staticmethod(WAYS[way])})
    replay = replayed(cheat, tmp_path)
    assert replay.verdict == "leaks"
    assert replay.is_held_against
    assert "with origin 132 is another: it uses rows that were not known" in replay.reason


@pytest.mark.parametrize("preset", PRESETS)
def test_nothing_beyond_a_block_s_windows_is_there(preset: str, tmp_path: Path) -> None:
    seen: list[tuple[int, dict[str, Any]]] = []

    class Spies(Honest):
        def predict(self, windows: Tensor) -> Tensor:
            stream = of_callers(Stream)[0]
            tables = {"truth": stream.stage.truth, "inputs": stream.stage.inputs, "values": stream.stage.series.values}
            tables["twin"] = stream.stage.series.truth.twin
            last = self.origin + (len(windows) - 1) * self.protocol.stride
            seen.append((last, {name: table.copy() for name, table in tables.items()}))
            return super().predict(windows)

    spec = run_of(Spies, preset)
    carried_out(spec, tmp_path)
    seen.clear()
    timed(spec, tmp_path, blocks=4)
    stage = PreparedSeries.of(small(), spec.protocol)
    assert stage.series.truth is not None
    true = {"truth": stage.truth, "inputs": stage.inputs, "values": stage.series.values}
    true["twin"] = stage.series.truth.twin
    assert len(seen) > 8
    for last, tables in seen:
        for name, table in tables.items():
            same = (table == true[name]).all(axis=1)
            assert same[:last].all()
            assert not same[last:].any(), (name, last)


class KnowsItsRepetition(LooksUpTheStack):
    """Honest while it is timed, which its callers' names tell."""

    def predict(self, windows: Tensor) -> Tensor:
        frame, names = sys._getframe(1), set[str]()
        while frame is not None:
            names.add(frame.f_code.co_name)
            frame = frame.f_back  # type: ignore[assignment]
        return (Honest if "serve_opening" in names else Cheat).predict(self, windows)


class CountsItsLives(Honest):
    """Another in each run."""

    lives: ClassVar[int] = 0

    def setup(self) -> None:
        super().setup()
        CountsItsLives.lives += 1
        self.bias += CountsItsLives.lives


class DrawsUnseeded(Honest):
    def predict(self, windows: Tensor) -> Tensor:
        return super().predict(windows) + float(np.random.default_rng().normal())


@pytest.mark.parametrize("cheat", [KnowsItsRepetition, CountsItsLives, DrawsUnseeded])
def test_a_run_that_cannot_be_repeated_is_found(cheat: type[Strategy], tmp_path: Path) -> None:
    replay = replayed(cheat, tmp_path)
    assert replay.verdict == "differs"
    assert replay.is_held_against
    assert replay.reason.startswith("cannot be repeated: served again on the same rows, its forecast with origin 132 ")


class TellsByTheWarmStart(LooksUpTheStack):
    """Honest where service begins with the stream, as timing passes once did though the protocol said otherwise."""

    def predict(self, windows: Tensor) -> Tensor:
        is_cold = len(self.history) == self.history.stream_start
        return (Honest if is_cold else Cheat).predict(self, windows)


def test_a_pass_begins_as_its_run_does(tmp_path: Path) -> None:
    assert replayed(TellsByTheWarmStart, tmp_path).verdict == "leaks"


class NeedsTheFuture(LooksUpTheStack):
    """Fails where the next row is one of those that it has seen."""

    def predict(self, windows: Tensor) -> Tensor:
        stage = self.stages()[-1]
        if (stage.truth[self.origin] == stage.truth[: self.origin]).all(axis=1).any():
            raise RuntimeError("where is it?")
        return super().predict(windows)


def test_who_fails_without_the_future_leaks(tmp_path: Path) -> None:
    replay = replayed(NeedsTheFuture, tmp_path)
    assert (replay.verdict, replay.origins) == ("leaks", 0)
    assert replay.reason.endswith("were out of reach, and there only: RuntimeError: where is it?")


class Fails(Honest):
    """Fails when it is made for the second time."""

    lives: ClassVar[int] = 0

    def setup(self) -> None:
        super().setup()
        Fails.lives += 1
        if Fails.lives > 1:
            raise RuntimeError("once is enough")


def test_who_fails_in_any_case_is_not_timed(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="once is enough"):
        replayed(Fails, tmp_path)


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("name", ["persistence", "seasonal-naive", "rls"])
def test_an_honest_run_is_the_same_again(name: str, preset: str, hidden: bool, tmp_path: Path) -> None:
    spec = run_of(name, preset)
    if hidden:
        spec = replace(spec, dataset=Choice("small", {"inputs": ["a", "b"], "targets": ["c"]}))
    carried_out(spec, tmp_path)
    replay = timed(spec, tmp_path).replay
    assert replay is not None
    assert (replay.verdict, replay.reason) == ("same", "")


@pytest.mark.parametrize(("cheat", "verdict"), [(KnowsItsRepetition, "unclear"), (LooksUpTheStack, "leaks")])
def test_a_run_from_elsewhere_need_not_be_the_same_and_may_not_leak(
    cheat: type[Strategy], verdict: str, tmp_path: Path
) -> None:
    spec = run_of(cheat)
    record = carried_out(spec, tmp_path)
    elsewhere = record.model_copy(update={"environment": record.environment | {"device_name": "another"}})
    store = Store(place_in(tmp_path).results)
    frames = {name: frame for name in (ORIGINS, FORECASTS) if (frame := store.read_frame("id", name)) is not None}
    store.write(elsewhere, frames)
    replay = timed(spec, tmp_path).replay
    assert replay is not None
    assert replay.verdict == verdict


def test_rounding_is_no_difference() -> None:
    made = pd.DataFrame(np.arange(1.0, 41).reshape(10, 4), columns=list(ERRORS))
    made.insert(0, "origin", np.arange(50, 60))
    first = made.iloc[:6]
    assert first_difference(first, made, exact=True) is None
    assert first_difference(first.assign(mse=first["mse"] * (1 + 1e-9)), made, exact=True) is None
    other = first.assign(mae=first["mae"].where(first["origin"] != 53, 0.0))
    assert first_difference(other, made, exact=True) == 53
    assert first_difference(other.assign(mae=np.nan), made, exact=True) == 50
    assert first_difference(first.assign(mse=first["mse"] * 1.05), made, exact=True) == 50
    assert first_difference(first.assign(mse=first["mse"] * 1.05), made, exact=False) is None
    assert first_difference(first.assign(mse=first["mse"] * 1.5), made, exact=False) == 50


# What is measured


def test_the_timing_pass_is_short_and_alone(busy_run: RunSpec, tmp_path: Path) -> None:
    """The clock's strategy takes 7 ms more at each forecast: the four of the warm start first."""
    measured = time_alone(busy_run, RunPaths(tmp_path, tmp_path), blocks=5)
    assert measured.alone
    assert measured.predict.steps == 5
    assert measured.windows == 5 * 4
    assert measured.first_predict_ms == 7.0  # of the warm start, and in no other number
    assert measured.predict.total_ms == 7.0 * sum(4 + k for k in (4, 5, 6, 7, 8))
    assert 0.0 <= measured.load <= 1.0
    assert measured.replay is None  # there is no run to compare with
    store = Store(tmp_path / "store")
    (store.folder / "id").mkdir(parents=True)
    (store.folder / "id" / RECORD).touch()
    store.write_timing("id", measured)
    kept = store.read_timing("id")
    assert kept is not None
    assert kept.model_dump_json() == measured.model_dump_json()  # some numbers may be NaN


def test_a_disturbed_timing_pass_is_repeated_and_the_quietest_kept(
    busy_run: RunSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = iter([5.0, 3.0, 4.0, 0.0, 0.0])
    monkeypatch.setattr(gauge, "cores", lambda: 2)
    monkeypatch.setattr(gauge, "BusyCores", lambda: SimpleNamespace(own_and_others=lambda: (1.0, next(busy))))
    place = RunPaths(tmp_path, tmp_path)
    kept = time_alone(busy_run, place, blocks=3)
    assert kept.is_disturbed
    assert kept.others == 3.0
    assert next(busy) == 0.0  # three passes were made
    assert not time_alone(busy_run, place, blocks=3).is_disturbed


@pytest.mark.parametrize("genuine", [False, True])
def test_a_pass_that_stalled_is_repeated_and_one_that_did_not_kept(
    genuine: bool, busy_run: RunSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host took the core away for a moment; or the strategy is like that, each time."""
    once, made = timing_pass.serve_opening, list[float]()

    def measured(*given: Any) -> Opening:
        opening = once(*given)
        timing = opening.timing
        slowest = 100.0 if genuine or not made else 2.0
        made.append(slowest)
        steps = timing.predict.model_copy(update={"p50_ms": 1.0, "p99_ms": slowest})
        update = {"predict": steps, "others": float(len(made)) / 100}
        return replace(opening, timing=timing.model_copy(update=update))

    monkeypatch.setattr(timing_pass, "serve_opening", measured)
    kept = time_alone(busy_run, RunPaths(tmp_path, tmp_path), blocks=3)
    assert made == ([100.0] * 3 if genuine else [100.0, 2.0])
    assert kept.has_stalled == genuine
    assert kept.predict.p99_ms == made[-1]


def test_what_a_timing_pass_says_besides(busy_run: RunSpec, tmp_path: Path) -> None:
    timing = time_alone(busy_run, RunPaths(tmp_path, tmp_path), blocks=3)
    assert timing.cores >= 1
    assert timing.first_adapt_ms == 3.0  # there is no row to show before the first forecast
    assert timing.setup_s >= 0
    assert timing.trace_us > 0
    assert timing.threads == torch.get_num_threads()
    assert timing.state_bytes == 0
    assert timing.parameters is None
    assert timing.flops is not None
    assert timing.flops.predict == timing.flops.adapt == 0
