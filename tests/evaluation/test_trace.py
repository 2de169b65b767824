"""The trace: asked for evenly, after a forecast, off the clock; asking decides nothing; kept with the run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from bench import Protocol, Strategy
from bench.contracts.protocol import ProtocolSpec
from bench.evaluation.stream import PreparedSeries, Stream, StreamError
from bench.evaluation.trace_sampler import TraceSampler
from bench.results.store import TRACE, Store
from bench.testing import CheckError, small_series, tiny_maker, trace_changes_nothing

from ..conftest import Bench, Write

CPU = torch.device("cpu")


class Answers:
    """Stands for a strategy: answers with how often it was asked, and notes when."""

    def __init__(self, answer: Any = None) -> None:
        self.answer, self.calls = answer, 0

    def trace(self) -> Any:
        self.calls += 1
        torch.rand(1)
        return {"calls": self.calls} if self.answer is None else self.answer


def protocol(stride: int = 1, block: int = 1) -> Protocol:
    return Protocol(name="p", lookback=12, horizon=3, stride=stride, block=block, label_every=1)


def watch(strategy: object, plan: Protocol, start: int, end: int, times: int = 200) -> TraceSampler:
    return TraceSampler.over(strategy, plan, start, end, times)  # type: ignore[arg-type]


@pytest.mark.parametrize(("stride", "block"), [(1, 1), (1, 24), (3, 2)])
@pytest.mark.parametrize("rows", [3, 40, 9000])
def test_it_is_asked_at_most_200_times_evenly_first_and_last_block_included(stride: int, block: int, rows: int) -> None:
    plan = protocol(stride, block)
    firsts = list(plan.origins(100, 100 + rows))[::block]
    asked = sorted(watch(Answers(), plan, 100, 100 + rows).asked)
    assert len(asked) == min(200, len(firsts))
    assert (asked[0], asked[-1]) == (firsts[0], firsts[-1])
    places = [firsts.index(origin) for origin in asked]
    assert len(set(np.diff(places))) <= 2  # as even as whole blocks allow


def test_it_is_asked_after_the_block_and_off_the_clock() -> None:
    series = small_series()
    stage = PreparedSeries.of(series, ProtocolSpec(preset="dense", block=5, warm_start=False).resolve(series))
    happened: list[str] = []

    class Noted(Strategy):
        def observe(self, rows: torch.Tensor) -> None:
            happened.append("observe")

        def predict(self, windows: torch.Tensor) -> torch.Tensor:
            happened.append("predict")
            return torch.zeros(len(windows), 3, 3)

        def trace(self) -> dict[str, float]:
            happened.append("trace, clock stopped" if not running else "trace, on the clock")
            return {}

    running: list[str] = []
    stream = Stream(stage, Noted.__new__(Noted), CPU)
    for clock in (stream.adapt_watch, stream.predict_watch):
        _note_when_it_runs(clock, running)
    seen = TraceSampler.over(stream.strategy, stage.protocol, stage.first_origin, len(series))
    stream.run(stage.first_origin, len(series), lambda *_: None, seen.after_block)
    times = len(stream.predict_watch.milliseconds())
    assert times > 3
    assert [what for what in happened if what != "observe"] == ["predict", "trace, clock stopped"] * times


def _note_when_it_runs(clock: Any, running: list[str]) -> None:
    kind = type(clock)

    class Noting(kind):  # type: ignore[misc, valid-type]
        def __enter__(self) -> Any:
            running.append("on")
            return super().__enter__()

        def __exit__(self, *error: Any) -> Any:
            running.clear()
            return super().__exit__(*error)

    clock.__class__ = Noting


def test_what_it_draws_from_torch_is_put_back() -> None:
    torch.manual_seed(0)
    seen = watch(Answers(), protocol(), 0, 20)
    expected = torch.rand(1, generator=torch.Generator().manual_seed(0))
    seen.after_block(0)
    assert torch.equal(torch.rand(1), expected)


def test_the_frame_has_a_row_for_each_number() -> None:
    seen = watch(Answers(), protocol(), 4, 10, times=2)
    for origin in range(4, 8):
        seen.after_block(origin)
    stamps = np.datetime64("2020-01-01T00", "ns") + np.arange(10) * np.timedelta64(1, "h")
    frame = seen.frame(stamps)
    assert frame is not None
    expected = {"origin": [4, 7], "time": stamps[[4, 7]], "name": ["calls", "calls"], "value": [1.0, 2.0]}
    pd.testing.assert_frame_equal(frame, pd.DataFrame(expected))
    assert watch(Answers({}), protocol(), 4, 10).frame(stamps) is None


@pytest.mark.parametrize("answer", [3.0, {"norm": "large"}, {"norm": None}, {"norm": [1.0, 2.0]}])
def test_an_answer_that_is_no_numbers_is_an_error(answer: Any) -> None:
    with pytest.raises(StreamError, match="expected numbers by name"):
        watch(Answers(answer), protocol(), 4, 10).after_block(4)


@pytest.mark.parametrize("name", ["titans-a", "titans-b", "titans-c", "titans-b-stale"])
@pytest.mark.usefixtures("registries")
def test_forecasts_do_not_depend_on_being_asked(name: str) -> None:
    series = small_series()
    trace_changes_nothing(tiny_maker(name), series, ProtocolSpec(preset="online").resolve(series))


def test_a_trace_that_changes_a_forecast_is_found_out() -> None:
    class Meddles(Strategy):
        def setup(self) -> None:
            self.level = 0.0

        def predict(self, windows: torch.Tensor) -> torch.Tensor:
            return torch.full((len(windows), 3, 3), self.level)

        def trace(self) -> dict[str, float]:
            self.level += 1
            return {"level": self.level}

    def make(stage: PreparedSeries) -> Strategy:
        meddles = Meddles.__new__(Meddles)
        meddles.setup()
        return meddles

    series = small_series()
    with pytest.raises(CheckError, match=r"trace\(\) changed the forecast with origin"):
        trace_changes_nothing(make, series, ProtocolSpec(preset="online").resolve(series))


@pytest.mark.usefixtures("without_report")
def test_a_run_keeps_its_trace(tiny: Path, bench: Bench, write: Write) -> None:
    plugin = write(
        "counting.py",
        """
        from bench import Strategy, register_strategy


        @register_strategy("counting")
        class Counting(Strategy):
            '''Counts the blocks it has forecast.'''

            def setup(self):
                self.blocks = 0

            def predict(self, windows):
                self.blocks += 1
                return windows[:, -1:].expand(-1, 3, -1)

            def trace(self):
                return {"blocks": self.blocks}
        """,
    )
    assert bench("run", tiny, "--plugins", plugin).status == 0
    store = Store(tiny.parent / "results" / "tiny")
    traces = {record.strategy.name: store.read_frame(record.run_id, TRACE) for record in store.records()}
    assert traces["persistence"] is None
    frame = traces["counting"]
    assert frame is not None
    assert set(frame["name"]) == {"blocks"}
    assert frame["value"].diff().dropna().eq(1).all()  # fewer than 200 blocks: asked after each
    assert frame["origin"].diff().dropna().eq(3).all()
