"""The stream: what is released when, what is scored, and that a strategy is given copies and nothing else."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bench import DriftSeries, Protocol, Split, Strategy
from bench.contracts.protocol import ProtocolSpec
from bench.contracts.strategy import Feedback
from bench.evaluation import stream
from bench.evaluation.metrics import ErrorSums
from bench.evaluation.stream import PreparedSeries, Stream, StreamError, blocks, matured_origins

CPU = torch.device("cpu")


@dataclass
class Recorder:
    """Stands for a strategy: keeps what it is handed, and forecasts a function of the window and of its turn."""

    protocol: Protocol
    targets: int
    events: list[tuple[str, Any]] = field(default_factory=list)
    forecasts: list[NDArray[np.float32]] = field(default_factory=list)
    takes_issued = True
    takes_partial = True

    def observe(self, rows: torch.Tensor) -> None:
        self.events.append(("observe", rows))

    def adapt(self, feedback: Feedback) -> None:
        self.events.append(("adapt", feedback))

    def predict(self, windows: torch.Tensor) -> torch.Tensor:
        self.events.append(("predict", windows))
        level = windows.mean(dim=(1, 2)) + 0.01 * len(self.events)
        made = level[:, None, None].expand(-1, self.protocol.horizon, self.targets)
        self.forecasts.append(made.numpy().copy())
        return made

    def of(self, kind: str) -> list[Any]:
        return [what for name, what in self.events if name == kind]


def serve(
    stage: PreparedSeries, strategy: Any, *, finite: bool = True
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Origins and forecasts of the whole stream, warm start first and left out."""
    service = Stream(stage, cast(Strategy, strategy), CPU, finite=finite)
    scored: list[tuple[NDArray[np.int64], NDArray[np.float32]]] = []
    split = stage.series.split
    if stage.protocol.warm_start:
        service.run(split.train, split.validation, lambda *_: None)
    service.run(split.validation, split.end, lambda origins, forecasts: scored.append((origins, forecasts)))
    return np.concatenate([o for o, _ in scored]), np.concatenate([f for _, f in scored])


def numbered(rows: int, split: Split, *, hidden: bool = False) -> DriftSeries:
    """A series whose every cell is different, so that a row is known by its values."""
    values = np.random.default_rng(rows).permuted(np.arange(3.0 * rows)).reshape(rows, 3)
    names = ("a", "b", "c")
    return DriftSeries(
        name="numbered",
        values=values,
        columns=names,
        time=np.arange(rows),
        split=split,
        inputs=names[:2] if hidden else names,
        targets=names[2:] if hidden else ("c", "a"),
    )


@st.composite
def stages(draw: st.DrawFn) -> PreparedSeries:
    lookback, horizon = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    train = lookback + horizon + draw(st.integers(0, 6))
    validation = train + horizon + draw(st.integers(0, 12))
    end = validation + horizon + draw(st.integers(0, 40))
    protocol = Protocol(
        lookback=lookback,
        horizon=horizon,
        stride=draw(st.integers(1, 8)),
        block=draw(st.integers(1, 7)),
        label_every=draw(st.integers(1, 5)),
        warm_start=draw(st.booleans()),
    )
    rows = end + draw(st.integers(0, 5))  # rows behind the end belong to nobody
    return PreparedSeries.of(numbered(rows, Split(train, validation, end), hidden=draw(st.booleans())), protocol)


def schedule(stage: PreparedSeries) -> list[list[int]]:
    """The blocks of a whole run, warm start included: told by the definition, not by the code."""
    split, protocol = stage.series.split, stage.protocol
    found = []
    for start, end in ((split.train, split.validation), (split.validation, split.end))[not protocol.warm_start :]:
        origins = [t for t in range(start, end) if (t - start) % protocol.stride == 0 and t + protocol.horizon <= end]
        found += [origins[i : i + protocol.block] for i in range(0, len(origins), protocol.block)]
    return found


def first_pair(stage: PreparedSeries) -> int:
    split = stage.series.split
    return split.train if stage.protocol.warm_start else split.validation


thorough = settings(max_examples=150, deadline=None)


@thorough
@given(stages())
def test_each_pair_is_released_once_in_order_and_never_early(stage: PreparedSeries) -> None:
    protocol, first = stage.protocol, first_pair(stage)
    recorder = Recorder(protocol, stage.targets.shape[1])
    serve(stage, recorder)
    released: list[int] = []
    for block, feedback in zip(schedule(stage), recorder.of("adapt"), strict=True):
        t = block[0]
        assert (feedback.origins + protocol.horizon <= t).all()
        released += feedback.origins.tolist()
        matured = [s for s in range(first, t) if s + protocol.horizon <= t and (s - first) % protocol.label_every == 0]
        assert released == matured  # nothing twice, nothing late, nothing out of turn
        assert feedback.origins.dtype == np.int64
        assert len(feedback) == len(feedback.x) == len(feedback.y)
        for s, x, y in zip(feedback.origins, feedback.x, feedback.y, strict=True):
            np.testing.assert_array_equal(x, stage.inputs[s - protocol.lookback : s])
            np.testing.assert_array_equal(y, stage.targets[s : s + protocol.horizon])


@thorough
@given(stages(), st.integers(0, 5))
def test_feedback_has_what_was_forecast_and_the_present_window(stage: PreparedSeries, delay: int) -> None:
    protocol = stage.protocol.model_copy(update={"delay": delay})
    stage = replace(stage, protocol=protocol)
    recorder = Recorder(protocol, stage.targets.shape[1])
    service, kept, split = Stream(stage, cast(Strategy, recorder), CPU), list[int](), stage.series.split
    for start, end in ((split.train, split.validation), (split.validation, split.end))[not protocol.warm_start :]:
        service.run(start, end, lambda *_: None, lambda _: kept.append(len(service._issued)))
    issued: dict[int, NDArray[np.float32]] = {}
    for block, feedback, made in zip(schedule(stage), recorder.of("adapt"), recorder.forecasts, strict=True):
        np.testing.assert_array_equal(feedback.present, stage.inputs[block[0] - protocol.lookback : block[0]])
        assert feedback.now == block[0]
        unasked = np.full(made.shape[1:], np.nan)
        expected = [issued.get(s, unasked) for s in feedback.origins.tolist()]
        np.testing.assert_array_equal(feedback.issued, np.reshape(expected, (-1, *made.shape[1:])))
        issued |= zip(block, made, strict=True)
    assert max(kept) <= (protocol.horizon + delay) // protocol.stride + protocol.block + 1


def test_forecasts_come_back_only_to_those_who_take_them() -> None:
    stage = PreparedSeries.of(numbered(60, Split(20, 30, 60)), Protocol(lookback=4, horizon=3, stride=1))
    recorder = Recorder(stage.protocol, 2)
    recorder.takes_issued = False
    serve(stage, recorder)
    assert {feedback.issued for feedback in recorder.of("adapt")} == {None}


@thorough
@given(stages())
def test_rows_are_observed_once_as_they_become_visible(stage: PreparedSeries) -> None:
    recorder = Recorder(stage.protocol, stage.targets.shape[1])
    serve(stage, recorder)
    seen = stage.first_origin
    assert seen == len(stage.history(CPU))
    turns = schedule(stage)
    observed = iter(recorder.of("observe"))
    for block in turns:
        if block[0] > seen:  # no call where nothing is new
            np.testing.assert_array_equal(next(observed), stage.inputs[seen : block[0]])
        seen = block[0]
    assert next(observed, None) is None
    # and always before the pairs, and the pairs before the forecasts
    kinds = "".join(kind[0] for kind, _ in recorder.events)
    assert kinds.replace("o", "") == "ap" * len(turns)
    assert "oo" not in kinds
    assert "ao" not in kinds


@thorough
@given(stages())
def test_windows_are_the_rows_before_their_origin(stage: PreparedSeries) -> None:
    recorder = Recorder(stage.protocol, stage.targets.shape[1])
    serve(stage, recorder)
    L = stage.protocol.lookback
    for block, windows in zip(schedule(stage), recorder.of("predict"), strict=True):
        np.testing.assert_array_equal(windows, np.stack([stage.inputs[t - L : t] for t in block]))


@thorough
@given(stages())
def test_every_origin_is_scored_once_and_scores_are_the_naive_ones(stage: PreparedSeries) -> None:
    recorder = Recorder(stage.protocol, stage.targets.shape[1])
    origins, forecasts = serve(stage, recorder)
    split, H = stage.series.split, stage.protocol.horizon
    expected = [t for t in range(split.validation, split.end) if t + H <= split.end]
    assert origins.tolist() == expected[:: stage.protocol.stride]
    streamed = np.concatenate(recorder.forecasts)[-len(origins) :]
    np.testing.assert_array_equal(forecasts, streamed)
    scaler = stage.series.scaler
    total = []
    for t, forecast in zip(origins, forecasts, strict=True):
        for lead in range(H):
            for c, column in enumerate(stage.series.target_column):
                truth = (stage.series.values[t + lead, column] - scaler.mean[column]) / scaler.std[column]
                total.append((float(forecast[lead, c]) - truth) ** 2)
    sums = ErrorSums(scaler.select(stage.series.target_column).std, H)
    sums.add(forecasts, stage.truths(origins))
    assert sums.windows == len(origins)
    assert sums.mse == pytest.approx(np.mean(total), rel=1e-12)


@settings(max_examples=50, deadline=None)
@given(stages(), st.integers(1, 50))
def test_how_many_are_scored_together_decides_nothing(stage: PreparedSeries, together: int) -> None:
    def result() -> tuple[Any, ...]:
        sums = ErrorSums(stage.series.scaler.select(stage.series.target_column).std, stage.protocol.horizon)
        service = Stream(stage, cast(Strategy, Recorder(stage.protocol, stage.targets.shape[1])), CPU)
        seen: list[int] = []

        def score(origins: NDArray[np.int64], forecasts: NDArray[np.float32]) -> None:
            seen.extend(origins.tolist())
            sums.add(forecasts, stage.truths(origins))

        if stage.protocol.warm_start:
            service.run(stage.series.split.train, stage.series.split.validation, lambda *_: None)
        service.run(stage.series.split.validation, stage.series.split.end, score)
        return seen, sums.origin_errors, sums.squares

    usual = result()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream, "SCORED_TOGETHER", together)
        other = result()
    assert usual[0] == other[0]
    np.testing.assert_array_equal(usual[1], other[1])
    np.testing.assert_allclose(usual[2], other[2], rtol=1e-12)


def test_day_ahead_releases_a_day_a_day() -> None:
    series = numbered(24 * 20, Split(24 * 6, 24 * 9, 24 * 20))
    stage = PreparedSeries.of(series, ProtocolSpec(preset="day-ahead", lookback=48, horizon=24).resolve(series))
    recorder = Recorder(stage.protocol, 2)
    serve(stage, recorder)
    pairs = [len(feedback) for feedback in recorder.of("adapt")]
    # before the first day is over nothing has matured; the first pair matures with it; then 24 a day, and that holds
    # over the border between warm start and stream
    assert pairs == [0, 1, *[24] * 12]
    assert [len(rows) for rows in recorder.of("observe")] == [24] * 13


def test_sparse_labels_are_every_nth_pair() -> None:
    series = numbered(60, Split(20, 30, 60))
    stage = PreparedSeries.of(
        series, ProtocolSpec(preset="online", lookback=4, horizon=3, label_every=7).resolve(series)
    )
    recorder = Recorder(stage.protocol, 2)
    serve(stage, recorder)
    released = np.concatenate([feedback.origins for feedback in recorder.of("adapt")])
    assert released.tolist() == [20, 27, 34, 41, 48]


@given(
    st.integers(0, 30), st.integers(0, 60), st.integers(1, 9), st.integers(1, 9), st.integers(0, 9), st.integers(0, 5)
)
def test_matured_origins_by_their_definition(
    first: int, ahead: int, horizon: int, every: int, done: int, delay: int
) -> None:
    t, next_pair = first + ahead, first + done
    protocol = Protocol(lookback=1, horizon=horizon, stride=1, label_every=every, delay=delay)
    expected = [s for s in range(next_pair, t) if s + horizon + delay <= t and (s - first) % every == 0]
    assert matured_origins(next_pair, t, protocol, first).tolist() == expected


@st.composite
def protocols(draw: st.DrawFn) -> Protocol:
    """Every schedule and label regime that leaks nothing."""
    return Protocol(
        lookback=draw(st.integers(1, 8)),
        horizon=draw(st.integers(1, 6)),
        stride=draw(st.integers(1, 7)),
        block=draw(st.integers(1, 9)),
        label_every=draw(st.integers(1, 5)),
        label_rate=draw(st.sampled_from([1.0, 0.5, 0.1])),
        label_seed=draw(st.integers(0, 3)),
        delay=draw(st.integers(0, 6)),
        warm_start=draw(st.booleans()),
    )


@settings(max_examples=1000, deadline=None, derandomize=True)
@given(protocol=protocols(), rows=st.integers(40, 70))
def test_each_pair_once_in_order_and_never_early(protocol: Protocol, rows: int) -> None:
    """Over whole streams: what is released, and when, by its definition."""
    stage = PreparedSeries.of(numbered(rows, Split(16, 24, rows)), protocol)
    recorder = Recorder(protocol, 2)
    service = Stream(stage, cast(Strategy, recorder), CPU)
    first = stage.first_origin
    starts = []
    for start, end in [(16, 24)] * protocol.warm_start + [(24, rows)]:
        starts += [int(block[0]) for block in blocks(protocol, start, end)]
        service.run(start, end, lambda *_: None)
    released = [what.origins.tolist() for what in recorder.of("adapt")]
    assert len(released) == len(starts)
    seen: list[int] = []
    for t, origins in zip(starts, released, strict=True):
        assert all(s + protocol.horizon + protocol.delay <= t for s in origins)
        seen += origins
    due = np.arange(first, starts[-1] - protocol.horizon - protocol.delay + 1) if starts else np.arange(0)
    assert seen == due[protocol.is_labelled(due - first)].tolist()


def test_instant_labels_come_with_the_next_block() -> None:
    protocol = Protocol(lookback=1, horizon=5, stride=1, labels="instant")
    assert matured_origins(10, 12, protocol, 10).tolist() == [10, 11]


def test_the_last_block_may_be_short() -> None:
    protocol = Protocol(lookback=2, horizon=3, stride=2, block=4)
    assert [block.tolist() for block in blocks(protocol, 10, 25)] == [[10, 12, 14, 16], [18, 20, 22]]


def test_a_limit_stops_the_stream_and_it_goes_on_from_there() -> None:
    series = numbered(60, Split(20, 30, 60))
    stage = PreparedSeries.of(series, Protocol(lookback=4, horizon=3, stride=3, block=2, warm_start=False))
    recorder = Recorder(stage.protocol, 2)
    service = Stream(stage, cast(Strategy, recorder), CPU)
    scored: list[int] = []
    assert service.run(30, 60, lambda origins, _: scored.extend(origins.tolist()), limit=3) == 3
    assert scored == [30, 33, 36, 39, 42, 45]
    assert service.windows_since_start(0) == 6
    assert service.windows_since_start(2) == 2
    assert len(recorder.of("predict")) == 3


def hand_overs(events: list[tuple[str, Any]]) -> Iterator[torch.Tensor]:
    for kind, what in events:
        if kind == "adapt":
            yield from (what.x, what.y, what.present, what.issued, torch.from_numpy(what.origins))
        else:
            yield what


@settings(max_examples=40, deadline=None)
@given(stages())
def test_what_is_handed_over_is_a_copy_with_nothing_behind_it(stage: PreparedSeries) -> None:
    recorder = Recorder(stage.protocol, stage.targets.shape[1])
    serve(stage, recorder)
    history = stage.history(CPU)
    tensors = [*hand_overs(recorder.events), history.inputs, history.targets]
    held = (stage.inputs, stage.targets, stage.truth, stage.series.values)
    for tensor in tensors:
        assert tensor.dtype in (torch.float32, torch.int64)
        assert tensor.untyped_storage().nbytes() == tensor.numel() * tensor.element_size()
        assert not any(np.shares_memory(tensor.numpy(), array) for array in held)


class Scribbler(Recorder):
    """Writes over everything that it is handed, once it has been used."""

    def observe(self, rows: torch.Tensor) -> None:
        rows.fill_(torch.nan)

    def adapt(self, feedback: Feedback) -> None:
        super().adapt(copy.deepcopy(feedback))
        for handed in (feedback.x, feedback.y, feedback.present, feedback.issued):
            assert handed is not None
            handed.fill_(torch.nan)
        feedback.origins.fill(0)

    def predict(self, windows: torch.Tensor) -> torch.Tensor:
        self.events.append(("predict", windows.clone()))
        made = windows.mean(dim=(1, 2))[:, None, None].expand(-1, self.protocol.horizon, self.targets).clone()
        windows.fill_(torch.nan)
        return made


class Neat(Scribbler):
    """The same without the writing."""

    observe = Recorder.observe
    adapt = Recorder.adapt

    def predict(self, windows: torch.Tensor) -> torch.Tensor:
        return super().predict(windows.clone())


@settings(max_examples=40, deadline=None)
@given(stages())
def test_writing_to_what_was_handed_over_changes_nothing_later(stage: PreparedSeries) -> None:
    neat, scribbler = (cls(stage.protocol, stage.targets.shape[1]) for cls in (Neat, Scribbler))
    history = stage.history(CPU)
    history.inputs.fill_(torch.nan)
    history.targets.fill_(torch.nan)
    expected = serve(stage, neat)
    got = serve(stage, scribbler)
    np.testing.assert_array_equal(got[0], expected[0])
    np.testing.assert_array_equal(got[1], expected[1])
    for one, other in zip(neat.of("adapt"), scribbler.of("adapt"), strict=True):
        np.testing.assert_array_equal(one.origins, other.origins)
        np.testing.assert_array_equal(one.x, other.x)
        np.testing.assert_array_equal(one.y, other.y)
        np.testing.assert_array_equal(one.present, other.present)
        np.testing.assert_array_equal(one.issued, other.issued)
    assert not stage.history(CPU).inputs.isnan().any()


def test_a_forecast_is_kept_as_it_was_made() -> None:
    """A strategy that returns one buffer again and again does not rewrite its earlier forecasts."""
    series = numbered(60, Split(20, 30, 60))
    stage = PreparedSeries.of(series, ProtocolSpec(preset="online", lookback=4, horizon=3).resolve(series))

    class OneBuffer(Recorder):
        buffer = np.zeros((1, 3, 2), dtype=np.float32)

        def predict(self, windows: torch.Tensor) -> Any:
            self.buffer += 1
            return self.buffer

    _, forecasts = serve(stage, OneBuffer(stage.protocol, 2))
    assert np.diff(forecasts[:, 0, 0]).tolist() == [1.0] * (len(forecasts) - 1)


def test_history_ends_where_service_begins() -> None:
    series = numbered(60, Split(20, 30, 50))
    for warm, rows in ((True, 20), (False, 30)):
        stage = PreparedSeries.of(series, Protocol(lookback=4, horizon=3, stride=3, warm_start=warm))
        history = stage.history(CPU)
        assert len(history) == rows
        assert history.stream_start == 30
        assert history.target_index == (2, 0)
        np.testing.assert_array_equal(history.inputs, stage.inputs[:rows])
        np.testing.assert_array_equal(history.targets, stage.targets[:rows])


@settings(max_examples=60, deadline=None)
@given(stages())
def test_history_hides_labels_that_were_not_released(stage: PreparedSeries) -> None:
    targets = stage.history(CPU).targets
    split, protocol = stage.series.split, stage.protocol
    if stage.series.target_index is not None:
        hidden = set()
    else:
        known = set(range(split.train))  # training rows are labelled
        for s in range(split.train, len(targets) - protocol.horizon + 1, protocol.label_every):
            known |= set(range(s, s + protocol.horizon))
        hidden = set(range(len(targets))) - known if protocol.label_every > 1 else set()
    assert set(np.flatnonzero(targets.isnan().any(dim=1)).tolist()) == hidden
    visible = [row for row in range(len(targets)) if row not in hidden]
    np.testing.assert_array_equal(targets[visible], stage.targets[visible])


def test_hidden_labels_of_a_cold_start_by_hand() -> None:
    series = numbered(60, Split(20, 33, 60), hidden=True)
    stage = PreparedSeries.of(series, Protocol(lookback=4, horizon=3, stride=3, label_every=5, warm_start=False))
    hidden = np.flatnonzero(stage.history(CPU).targets[:, 0].isnan())
    assert hidden.tolist() == [23, 24, 28, 29]  # pairs 20, 25 and 30 were released: rows 20-22, 25-27, 30-32


def test_scaling_is_by_the_training_rows() -> None:
    series = numbered(60, Split(20, 30, 60))
    stage = PreparedSeries.of(series, Protocol(lookback=4, horizon=3, stride=3))
    np.testing.assert_allclose(stage.truth[:20].mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(stage.truth[:20].std(axis=0), 1, atol=1e-12)
    np.testing.assert_array_equal(stage.targets, stage.truth.astype(np.float32))
    np.testing.assert_array_equal(stage.inputs[:, [2, 0]], stage.targets)


def forecasting(made: Any) -> Stream:
    """A stream in service, four windows to a block, whose strategy always answers with the same."""
    series = numbered(60, Split(20, 30, 60))
    stage = PreparedSeries.of(series, Protocol(lookback=4, horizon=3, stride=1, block=4, warm_start=False))
    recorder = Recorder(stage.protocol, 2)
    recorder.predict = lambda windows: made  # type: ignore[method-assign]
    return Stream(stage, cast(Strategy, recorder), CPU)


@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 1), (3, 3, 2), (4, 2, 2), (1, 3, 2), (4, 3, 2, 1), (), (0,)])
def test_a_forecast_of_the_wrong_shape_is_an_error(shape: tuple[int, ...]) -> None:
    for made in (np.zeros(shape), torch.zeros(shape)):
        with pytest.raises(StreamError) as caught:
            forecasting(made).run(30, 60, lambda *_: None)
        assert str(caught.value) == f"predict returned shape {shape}, expected (K, H, C_out) = (4, 3, 2)"


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (None, "predict returned None, expected an array or a tensor (K, H, C_out): is a return missing?"),
        (np.zeros((4, 3, 2), dtype=complex), "predict returned complex numbers, expected real ones"),
        (torch.zeros(4, 3, 2, dtype=torch.complex64), "predict returned complex numbers, expected real ones"),
    ],
)
def test_a_forecast_that_is_no_real_array_is_an_error(made: Any, message: str) -> None:
    with pytest.raises(StreamError) as caught:
        forecasting(made).run(30, 60, lambda *_: None)
    assert str(caught.value).startswith(message)


@pytest.mark.filterwarnings("ignore:overflow encountered in cast:RuntimeWarning")
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e39])  # the last one overflows float32
def test_a_forecast_that_is_not_finite_is_an_error(value: float) -> None:
    made = np.zeros((4, 3, 2))
    made[2, 1, 0] = value
    service, scored = forecasting(made), list[int]()
    with pytest.raises(StreamError, match="diverged: the forecast at origin 32 is not finite"):
        service.run(30, 60, lambda origins, _: scored.extend(origins.tolist()))
    assert scored == [30, 31]
    service = forecasting(made)
    service.finite = False  # the timing pass and the canary look on
    assert service.run(30, 60, lambda *_: None, limit=1) == 1


def test_what_was_forecast_before_an_error_is_scored() -> None:
    series = numbered(60, Split(20, 30, 60))
    stage = PreparedSeries.of(series, Protocol(lookback=4, horizon=3, stride=1, warm_start=False))

    class Breaks(Recorder):
        def predict(self, windows: torch.Tensor) -> torch.Tensor:
            if len(self.forecasts) == 5:
                raise RuntimeError("enough")
            return super().predict(windows)

    scored: list[int] = []
    service = Stream(stage, cast(Strategy, Breaks(stage.protocol, 2)), CPU)
    with pytest.raises(RuntimeError, match="enough"):
        service.run(30, 60, lambda origins, _: scored.extend(origins.tolist()))
    assert scored == [30, 31, 32, 33, 34]


def test_forecasts_may_be_arrays_lists_or_tensors_that_carry_gradients() -> None:
    plain = np.arange(24.0).reshape(4, 3, 2)
    for made in (plain, plain.tolist(), torch.from_numpy(plain), torch.from_numpy(plain).requires_grad_()):
        kept: list[NDArray[np.float32]] = []
        forecasting(made).run(30, 60, lambda _, forecasts: kept.append(forecasts), limit=1)  # noqa: B023 - called here
        np.testing.assert_array_equal(kept[0], plain.astype(np.float32))
        assert kept[0].dtype == np.float32


@thorough
@given(stages(), st.data())
def test_no_row_that_is_not_known_reaches_a_strategy(stage: PreparedSeries, data: st.DataObject) -> None:
    """The leak canary in small, on the harness itself: rows from a cut on may be anything."""
    split = stage.series.split
    cut = data.draw(st.integers(split.train, split.end))
    assume(cut < len(stage.series))
    values = stage.series.values.copy()
    values[cut:] = np.nan
    disturbed = PreparedSeries.of(replace(stage.series, values=values), stage.protocol)
    one, other = (Recorder(stage.protocol, stage.targets.shape[1]) for _ in range(2))
    serve(stage, one)
    serve(disturbed, other, finite=False)
    turns = schedule(stage)
    reached = 0
    for block, (kind, before), (_, after) in zip(
        [block for block in turns for _ in "ap"],
        [event for event in one.events if event[0] != "observe"],
        [event for event in other.events if event[0] != "observe"],
        strict=True,
    ):
        if kind == "adapt" and block[0] <= cut:
            np.testing.assert_array_equal(before.y, after.y)
            np.testing.assert_array_equal(before.x, after.x)
        elif kind == "predict":
            known = [k for k, t in enumerate(block) if t <= cut]
            np.testing.assert_array_equal(before[known], after[known])
            reached += len(known)
    assert reached == sum(t <= cut for block in turns for t in block)
