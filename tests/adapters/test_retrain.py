"""Retraining: when, on which rows, by which recipe, and never on a label that was not released."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bench import BenchError, Pairs, Protocol
from bench.contracts.config import build
from bench.contracts.discovery import load_plugins
from bench.contracts.forecaster import FORECASTERS
from bench.contracts.strategy import STRATEGIES, StrategyContext
from bench.evaluation.pretraining import Recipe, pretrain, task_of
from bench.evaluation.stream import PreparedSeries, Stream, blocks
from bench.testing import small_series
from tests.small_titans import ROW_TOKENS

torch.set_num_threads(1)
load_plugins()

TITANS = FORECASTERS["titans"].cls.Config
CPU = torch.device("cpu")
L, H = 12, 3

Forecasts = dict[int, NDArray[np.float32]]


@dataclass
class Training:
    """What one training was given, in rows of the series, and what it gave."""

    t: int
    start: int
    learned: list[int]
    checked: list[int]
    pairs: tuple[Pairs, Pairs]
    forecaster: Any


def weights_of(forecaster: Any) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in forecaster.state_dict().items()}


@dataclass
class Notebook:
    """Stands in for the forecaster's recipe and notes every training."""

    recipe: Recipe
    strategy: Any = None
    trainings: list[Training] = field(default_factory=list)
    begun: list[dict[str, torch.Tensor]] = field(default_factory=list)

    leaves_checkpoint = True

    def build(self, device: torch.device) -> Any:
        return self.recipe.build(device)

    def fit(self, forecaster: Any, pairs: Pairs, validation: Pairs) -> Any:
        self.begun.append(weights_of(forecaster))
        forecaster = self.recipe.fit(forecaster, pairs, validation)
        start = self.strategy.start
        learned, checked = ((p.origins + start).tolist() for p in (pairs, validation))
        t = start + len(pairs.inputs)
        self.trainings.append(Training(t, start, learned, checked, (pairs, validation), forecaster))
        forecaster.recipe = self
        return forecaster


def protocol(**changes: Any) -> Protocol:
    return Protocol.model_validate({"lookback": L, "horizon": H, "stride": 1} | changes)


def staged(rules: Protocol, hidden: bool = False) -> PreparedSeries:
    return PreparedSeries.of(small_series(hidden_targets=hidden), rules)


def serve(
    stage: PreparedSeries, forecaster: str = "ridge", tiny: dict[str, Any] | None = None, seed: int = 0, **options: Any
) -> tuple[list[Training], Forecasts, Any]:
    """The trainings during the whole stream, the forecasts by origin, and the strategy."""
    config = build(FORECASTERS[forecaster].cls.Config, tiny or {}, f"forecaster {forecaster!r}")
    made = pretrain(Recipe(forecaster, config, task_of(stage), seed), stage, CPU, None)
    made.recipe = notebook = Notebook(made.recipe)
    cls = STRATEGIES["retrain"].cls
    rng = np.random.default_rng(0)
    service = StrategyContext(build(cls.Config, options, "retrain"), made, stage.history(CPU), stage.protocol, rng, CPU)
    notebook.strategy = strategy = cls(service)
    forecasts: Forecasts = {}

    def score(origins: NDArray[np.int64], made: NDArray[np.float32]) -> None:
        forecasts.update(zip(origins.tolist(), made, strict=True))

    split, stream = stage.series.split, Stream(stage, strategy, CPU)
    if stage.protocol.warm_start:
        stream.run(split.train, split.validation, score)
    stream.run(split.validation, split.end, score)
    return notebook.trainings, forecasts, strategy


def first_origins(stage: PreparedSeries) -> list[int]:
    """Where each block begins, the warm start's among them."""
    split = stage.series.split
    parts = [(split.validation, split.end)]
    if stage.protocol.warm_start:
        parts.insert(0, (split.train, split.validation))
    return [int(block[0]) for start, end in parts for block in blocks(stage.protocol, start, end)]


def released_pairs(stage: PreparedSeries, t: int) -> set[int]:
    """Origins of every pair that is known at ``t``, from the protocol's words."""
    split, every, first = stage.series.split, stage.protocol.label_every, stage.first_origin
    streamed = set(range(first, t - stage.protocol.lag + 1, every))
    if stage.series.target_index is not None or every == 1:
        return set(range(L, first - H + 1)) | streamed
    known = set(range(split.train))
    for s in range(split.train, first - H + 1, every):
        known |= set(range(s, s + H))
    return {s for s in range(L, first - H + 1) if set(range(s, s + H)) <= known} | streamed


def compare(trainings: list[Training], stage: PreparedSeries, rows: int | None = None) -> None:
    """Each training learned and validated on the pairs it should, whose rows are the series' own."""
    for training in trainings:
        start = max(0, training.t - rows) if rows else 0
        border = start + int(0.8 * (training.t - start))
        known = {s for s in released_pairs(stage, training.t) if s - L >= start}
        assert training.start == start
        assert training.learned == sorted(s for s in known if s + H <= border)
        assert training.checked == sorted(s for s in known if s >= border)
        for origins, pairs in zip((training.learned, training.checked), training.pairs, strict=True):
            x, y = pairs.take(slice(None))
            np.testing.assert_array_equal(x, stage.windows(np.array(origins)))
            np.testing.assert_array_equal(y, stage.truths(np.array(origins)).astype(np.float32))


# When


@pytest.mark.parametrize("warm", [True, False])
@pytest.mark.parametrize(("stride", "block", "every"), [(1, 1, 10), (1, 1, 1), (3, 1, 10), (1, 7, 10), (5, 2, 4)])
def test_it_trains_every_so_many_rows(stride: int, block: int, every: int, warm: bool) -> None:
    stage = staged(protocol(stride=stride, block=block, warm_start=warm))
    trainings, _, _ = serve(stage, every=every)
    expected, last = [], stage.first_origin
    for t in first_origins(stage):
        if t - last >= every:
            expected.append(t)
            last = t
    assert [training.t for training in trainings] == expected
    assert len(expected) > 2
    compare(trainings, stage)


def test_by_default_it_trains_whenever_the_rows_have_grown_by_a_share() -> None:
    stage = staged(protocol())
    trainings, _, _ = serve(stage)
    expected, last = [], stage.first_origin
    for t in first_origins(stage):
        if t - last >= 0.18 * last:
            expected.append(t)
            last = t
    assert [training.t for training in trainings] == expected
    assert len(expected) == 3


# On what


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    stride=st.integers(1, 6),
    block=st.integers(1, 6),
    every=st.integers(1, 20),
    label_every=st.integers(1, 7),
    rows=st.none() | st.integers(40, 110),
    hidden=st.booleans(),
    warm=st.booleans(),
)
def test_it_learns_from_the_pairs_that_were_released(
    stride: int, block: int, every: int, label_every: int, rows: int | None, hidden: bool, warm: bool
) -> None:
    rules = protocol(stride=stride, block=block, label_every=label_every, warm_start=warm)
    stage = staged(rules, hidden)
    trainings, _, _ = serve(stage, every=every, window="sliding" if rows else "expanding", rows=rows)
    compare(trainings, stage, rows)
    assert trainings


@pytest.mark.parametrize("hidden", [True, False])
@pytest.mark.parametrize("label_every", [1, 2])
@pytest.mark.parametrize("rows", [None, 60])
def test_instant_labels_reach_further_than_the_rows_seen(rows: int | None, label_every: int, hidden: bool) -> None:
    stage = staged(protocol(labels="instant", label_every=label_every), hidden)
    trainings, _, _ = serve(stage, every=10, window="sliding" if rows else "expanding", rows=rows)
    compare(trainings, stage, rows)
    assert max(trainings[-1].checked) + H > trainings[-1].t


def test_a_sliding_window_has_as_many_rows_as_the_history_had() -> None:
    stage = staged(protocol(stride=2))
    trainings, _, strategy = serve(stage, every=10, window="sliding")
    assert len(trainings) > 4
    compare(trainings, stage, rows=stage.series.split.train)
    assert len(strategy.inputs) < stage.series.split.train + 10 + H
    expanding, _, _ = serve(stage, every=10)
    compare(expanding, stage)
    assert [t.t for t in expanding] == [t.t for t in trainings]
    assert expanding[-1].learned != trainings[-1].learned


def test_the_truths_that_validate_are_not_learned_from() -> None:
    stage = staged(protocol())
    trainings, _, _ = serve(stage, every=13)
    for training in trainings:
        truths = [{row for s in origins for row in range(s, s + H)} for origins in (training.learned, training.checked)]
        assert not truths[0] & truths[1]
        assert max(truths[1]) < training.t
        assert min(truths[1]) == int(0.8 * training.t)


@pytest.mark.parametrize("forecaster", ["ridge", "dlinear"])
@pytest.mark.parametrize("label_every", [4, 9])
def test_labels_that_are_never_released_teach_nothing(forecaster: str, label_every: int) -> None:
    stage = staged(protocol(label_every=label_every), hidden=True)
    split = stage.series.split
    tiny = {} if forecaster == "ridge" else {"kernel": 3, "training": {"steps": 6, "batch": 8, "evaluations": 2}}
    released = {row for s in released_pairs(stage, split.end) for row in range(s, s + H)}
    secret = sorted(set(range(split.validation, split.end)) - released)
    assert len(secret) > 5
    values = stage.series.values.copy()
    values[secret, 2] = 1e9
    poisoned = PreparedSeries.of(stage.series.with_values(values), stage.protocol)
    (trainings, forecasts, _), (others, same, _) = (serve(s, forecaster, tiny, every=10) for s in (stage, poisoned))
    assert len(trainings) == len(others) > 3
    for origin, forecast in forecasts.items():
        assert np.array_equal(forecast, same[origin]), origin
    values[max(released), 2] = values[sorted(released)[-40], 2] = 1e9  # the same poison where labels are released
    _, sick, _ = serve(PreparedSeries.of(stage.series.with_values(values), stage.protocol), forecaster, tiny, every=10)
    assert not np.array_equal(forecasts[split.end - H], sick[split.end - H])


# How

GRADIENTS = {
    "dlinear": {"kernel": 3, "training": {"steps": 6, "batch": 8, "evaluations": 2}},
    "titans": {
        **ROW_TOKENS,
        "dim": 8,
        "heads": 1,
        "dim_head": 8,
        "neural_memory_segment_len": 4,
        "training": {"steps": 2, "batch": 4, "evaluations": 1, "validation_windows": 4},
    },
}


@pytest.mark.parametrize("name", GRADIENTS)
@pytest.mark.parametrize("start", ["scratch", "last"])
def test_it_is_the_recipe_from_the_runs_seed(name: str, start: str) -> None:
    stage = staged(protocol(stride=6))
    trainings, forecasts, strategy = serve(stage, name, GRADIENTS[name], seed=5, every=30, start=start)
    assert len(trainings) == 2
    recipe = strategy.forecaster.recipe.recipe
    assert recipe.seed == 5
    serving = [(stage.first_origin, quiet(pretrain(recipe, stage, CPU, None)))]
    for training in trainings:
        model = quiet(recipe.build(CPU))
        if start == "last":
            model.load_state_dict(serving[-1][1].state_dict())
        serving.append((training.t, recipe.fit(model, *training.pairs)))
    for origin, forecast in forecasts.items():
        model = [model for t, model in serving if t <= origin][-1]
        with torch.no_grad():
            expected = model(torch.from_numpy(stage.windows(np.array([origin]))))
        assert np.array_equal(expected[0], forecast), origin
    other = replace(recipe, seed=6).train(*trainings[-1].pairs, CPU).state_dict()
    assert any(not torch.equal(t, other[n]) for n, t in strategy.forecaster.state_dict().items())
    begun = strategy.forecaster.recipe.begun
    same = [torch.equal(tensor, begun[1][name]) for name, tensor in begun[0].items()]
    assert all(same) == (start == "scratch")


@pytest.mark.parametrize(("steps", "taken"), [(3, 3), (200, 6)])
def test_it_takes_as_many_steps_as_it_is_told(steps: int, taken: int) -> None:
    stage = staged(protocol(stride=6))
    config = build(FORECASTERS["dlinear"].cls.Config, GRADIENTS["dlinear"], "dlinear")
    made = pretrain(Recipe("dlinear", config, task_of(stage), 0), stage, CPU, None)
    cls, rng = STRATEGIES["retrain"].cls, np.random.default_rng(0)
    options = build(cls.Config, {"every": 30, "steps": steps}, "retrain")
    strategy = cls(StrategyContext(options, made, stage.history(CPU), stage.protocol, rng, CPU))
    Stream(stage, strategy, CPU).run(stage.first_origin, stage.series.split.end, lambda *_: None)
    assert (len(made.curve.losses), len(strategy.forecaster.curve.losses)) == (6, taken)


def quiet(model: Any) -> Any:
    if hasattr(model, "memory_writes"):
        model.memory_writes = False
    return model


@pytest.mark.parametrize("start", ["scratch", "last"])
def test_a_closed_form_is_solved_anew(start: str) -> None:
    trainings, _, _ = serve(staged(protocol(stride=6)), every=30, start=start)
    again = [training.forecaster.recipe.recipe.train(*training.pairs, CPU).state_dict() for training in trainings]
    for training, expected in zip(trainings, again, strict=True):
        assert all(torch.equal(tensor, expected[name]) for name, tensor in training.forecaster.state_dict().items())


def test_a_neural_memory_is_read_only_before_while_and_after() -> None:
    stage = staged(protocol(stride=6))
    walking = GRADIENTS["titans"] | {"walk_share": 0.5, "walk_age": 4}
    trainings, _, strategy = serve(stage, "titans", walking, every=30)
    assert not strategy.forecaster.memory_writes
    assert strategy.forecaster is trainings[-1].forecaster
    assert trainings[0].forecaster is not trainings[1].forecaster
    plain = replace(
        strategy.forecaster.recipe.recipe, config=build(TITANS, GRADIENTS["titans"] | {"walk_share": 0}, "")
    )
    expected = plain.fit(quiet(plain.build(CPU)), *trainings[-1].pairs).state_dict()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in strategy.forecaster.state_dict().items())


@pytest.mark.parametrize(("rows", "fits"), [(5, False), (18, False), (19, True)])
def test_a_sliding_window_that_could_never_train_is_refused(rows: int, fits: bool) -> None:
    stage = staged(protocol(stride=9))
    if fits:
        trainings, _, _ = serve(stage, every=1, window="sliding", rows=rows)
        assert len(trainings) == len(first_origins(stage)) - 1
        compare(trainings, stage, rows)
    else:
        with pytest.raises(BenchError, match=rf"rows={rows} hold no pair.*lookback \+ horizon = 15 rows"):
            serve(stage, every=1, window="sliding", rows=rows)


def test_without_a_pair_to_validate_on_it_goes_on_as_it_was() -> None:
    """A label now and then: the last fifth of the rows may hold no pair for a while."""
    stage = staged(protocol(label_every=60), hidden=True)
    trainings, forecasts, _ = serve(stage, every=5)
    assert len(forecasts) > 50
    assert all(training.checked for training in trainings)
    assert len(trainings) < len(first_origins(stage)) / 5 - 1
