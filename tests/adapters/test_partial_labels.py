"""Partial labels: what is known of a truth that has begun, never more, and of use to who takes it."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import Feedback, Protocol, Split, Strategy
from bench.contracts.discovery import load_plugins
from bench.contracts.protocol import ProtocolSpec
from bench.evaluation.stream import PreparedSeries, Stream, blocks
from bench.testing import small_series, tiny_maker

from ..evaluation.test_stream import Recorder, numbered, protocols, serve

load_plugins()

CPU = torch.device("cpu")


@settings(max_examples=300, deadline=None, derandomize=True)
@given(drawn=protocols(), rows=st.integers(40, 70), hidden=st.booleans())
def test_what_is_known_of_young_pairs_by_its_definition(drawn: Protocol, rows: int, hidden: bool) -> None:
    protocol = drawn.model_copy(update={"labels": "partial"})
    split = Split(16, 24, rows)
    stage = PreparedSeries.of(numbered(rows, split, hidden=hidden), protocol)
    recorder = Recorder(protocol, stage.targets.shape[1])
    serve(stage, recorder)
    turns = [(16, 24)] * protocol.warm_start + [(24, rows)]
    starts = [int(block[0]) for start, end in turns for block in blocks(protocol, start, end)]
    for t, feedback in zip(starts, recorder.of("adapt"), strict=True):
        partial, first, H = feedback.partial, stage.first_origin, protocol.horizon
        now = t - protocol.delay  # rows before it are known
        begun = np.arange(first, max(first, now))
        begun = begun[(begun + H > now) & protocol.is_labelled(begun - first)]
        assert partial.origins.tolist() == begun.tolist()
        assert set(partial.origins) & set(feedback.origins) == set()
        for s, x, y, known in zip(partial.origins, partial.x, partial.y, partial.known, strict=True):
            np.testing.assert_array_equal(x, stage.inputs[s - protocol.lookback : s])
            assert known.tolist() == [s + lead < now for lead in range(H)]
            assert known.any()
            np.testing.assert_array_equal(y[known], stage.targets[s:now])
            assert (y[~known] == 0).all()


@settings(max_examples=30, deadline=None)
@given(drawn=protocols())
def test_matured_pairs_come_as_they_do_without(drawn: Protocol) -> None:
    released = []
    for labels in ("matured", "partial"):
        protocol = drawn.model_copy(update={"labels": labels})
        recorder = Recorder(protocol, 2)
        serve(PreparedSeries.of(numbered(60, Split(16, 24, 60)), protocol), recorder)
        released.append([feedback.origins.tolist() for feedback in recorder.of("adapt")])
        assert all((feedback.partial is not None) == (labels == "partial") for feedback in recorder.of("adapt"))
    assert released[0] == released[1]


def test_what_is_handed_over_has_nothing_behind_it() -> None:
    protocol = Protocol(lookback=4, horizon=5, stride=1, labels="partial", warm_start=False)
    stage = PreparedSeries.of(numbered(60, Split(20, 30, 60)), protocol)
    recorder = Recorder(protocol, 2)
    serve(stage, recorder)
    for feedback in recorder.of("adapt"):
        for tensor in (feedback.partial.x, feedback.partial.y, feedback.partial.known):
            assert tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()
            assert not np.shares_memory(tensor.numpy(), stage.inputs)
            assert not np.shares_memory(tensor.numpy(), stage.targets)


def forecasts(name: str, *, hidden: bool = False, **protocol: Any) -> np.ndarray:
    series = small_series(hidden_targets=hidden)
    stage = PreparedSeries.of(series, ProtocolSpec(**{"preset": "online"} | protocol).resolve(series))
    return serve(stage, tiny_maker(name)(stage))[1]


@pytest.mark.parametrize("name", ["rls", "retrain", "titans-a", "titans-b", "frozen"])
def test_who_does_not_take_them_is_as_without(name: str) -> None:
    np.testing.assert_array_equal(forecasts(name), forecasts(name, labels="partial"))


def test_who_does_not_take_them_is_handed_none_and_told_of_none() -> None:
    protocol = Protocol(lookback=4, horizon=5, stride=1, labels="partial", warm_start=False)
    recorder = Recorder(protocol, 2)
    recorder.takes_partial = False
    serve(PreparedSeries.of(numbered(60, Split(20, 30, 60)), protocol), recorder)
    assert {feedback.partial for feedback in recorder.of("adapt")} == {None}
    series = small_series()
    stage = PreparedSeries.of(series, ProtocolSpec(labels="partial").resolve(series))
    said = {name: tiny_maker(name)(stage).protocol.labels for name in ("rls", "persistence")}
    assert said == {"rls": "matured", "persistence": "partial"}


@pytest.mark.parametrize("name", ["titans-c", "ogd", "tafas"])
def test_who_takes_them_learns_from_them(name: str) -> None:
    assert not np.array_equal(forecasts(name), forecasts(name, labels="partial"))


def test_titans_c_learns_from_what_is_known_and_from_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever stands where nothing is known must not matter."""
    plain = forecasts("titans-c", labels="partial")
    release = Stream._release

    def scribble(self: Stream, t: int) -> tuple[torch.Tensor | None, Feedback | None]:
        rows, feedback = release(self, t)
        assert feedback is not None
        assert feedback.partial is not None
        feedback.partial.y[~feedback.partial.known] = 1e6
        return rows, feedback

    monkeypatch.setattr(Stream, "_release", scribble)
    np.testing.assert_array_equal(forecasts("titans-c", labels="partial"), plain)


def test_persistence_holds_the_last_row_known_of_any_label() -> None:
    """Targets hidden, one label in four, day-ahead steps: prefixes bring rows that no matured pair holds."""
    series = small_series(hidden_targets=True)
    spec: dict[str, Any] = {"preset": "online", "label_every": 4}
    late, early = (
        PreparedSeries.of(series, ProtocolSpec(**spec, labels=labels).resolve(series))
        for labels in ("matured", "partial")
    )
    (origins, held), (_, sooner) = (serve(stage, tiny_maker("persistence")(stage)) for stage in (late, early))
    H, first = late.protocol.horizon, late.first_origin

    def last_known(t: int, horizon: int) -> int:
        """The last row of a labelled pair's truth, where ``horizon`` of its rows must be over."""
        return max(min(s + H, t) - 1 for s in range(first, t) if (s - first) % 4 == 0 and s + horizon <= t)

    for t, one, other in zip(origins.tolist(), held, sooner, strict=True):
        assert (one == late.targets[last_known(t, H)]).all()
        assert (other == late.targets[last_known(t, 1)]).all()
    assert not np.array_equal(held, sooner)


def test_partial_labels_are_on_the_label() -> None:
    series = small_series()
    assert "partial labels" in ProtocolSpec(labels="partial").resolve(series).label
    assert not ProtocolSpec(labels="partial").resolve(series).is_leaky


def test_a_stand_in_needs_no_more_than_the_methods() -> None:
    protocol = Protocol(lookback=4, horizon=5, stride=1, labels="partial", warm_start=False)
    stage = PreparedSeries.of(numbered(60, Split(20, 30, 60)), protocol)
    assert Stream(stage, cast(Strategy, Recorder(protocol, 2)), CPU).run(30, 60, lambda *_: None) == 26
