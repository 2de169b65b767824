"""Baselines against their formulas, worked out from the raw rows and from what was released of them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bench import BenchError, DriftSeries, Protocol
from bench.contracts.config import build
from bench.contracts.discovery import load_plugins
from bench.contracts.forecaster import FORECASTERS
from bench.contracts.strategy import STRATEGIES, StrategyContext
from bench.evaluation.pretraining import Recipe, pretrain, task_of
from bench.evaluation.run import RunPaths, execute, load_series
from bench.evaluation.stream import PreparedSeries, Stream, blocks
from bench.execution.experiment import Experiment, expand
from bench.execution.session import unread_inputs
from bench.forecasters.linear import RidgeConfig
from bench.testing import small_series

torch.set_num_threads(1)
load_plugins()

CPU = torch.device("cpu")
L, H = 12, 3

Floats = NDArray[np.float64]
Forecasts = dict[int, NDArray[np.float32]]


def series(hidden: bool) -> DriftSeries:
    """Targets that are hidden, or that stand among the inputs in an order of their own."""
    made = small_series(hidden_targets=hidden)
    return made if hidden else replace(made, targets=("c", "a"))


def protocol(**changes: Any) -> Protocol:
    return Protocol.model_validate({"lookback": L, "horizon": H, "stride": 1} | changes)


def serve(stage: PreparedSeries, name: str, forecaster: Any = None, **options: Any) -> tuple[Any, Forecasts]:
    """The strategy after the whole stream, and its forecasts by origin, those of the warm start among them."""
    cls = STRATEGIES[name].cls
    config = build(cls.Config, options, f"strategy {name!r}")
    rng = np.random.default_rng(0)
    strategy = cls(StrategyContext(config, forecaster, stage.history(CPU), stage.protocol, rng, CPU))
    forecasts: Forecasts = {}

    def score(origins: NDArray[np.int64], made: NDArray[np.float32]) -> None:
        forecasts.update(zip(origins.tolist(), made, strict=True))

    stream, split = Stream(stage, strategy, CPU), stage.series.split
    if stage.protocol.warm_start:
        stream.run(split.train, split.validation, score)
    stream.run(split.validation, split.end, score)
    return strategy, forecasts


def released(stage: PreparedSeries, t: int) -> set[int]:
    """Rows of hidden targets that are known in a block whose first origin is ``t``, from the protocol's words."""
    split, every, first = stage.series.split, stage.protocol.label_every, stage.first_origin
    known = set(range(split.train if every > 1 else first))
    for start, end in ((split.train, first), (first, t)):
        for s in range(start, end - H + 1, every):
            known |= set(range(s, s + H))
    return known


def schedule(stage: PreparedSeries) -> list[tuple[int, int]]:
    """The first origin of its block, and the origin, of every forecast."""
    split = stage.series.split
    parts = [(split.validation, split.end)]
    if stage.protocol.warm_start:
        parts.insert(0, (split.train, split.validation))
    return [(int(b[0]), int(t)) for start, end in parts for b in blocks(stage.protocol, start, end) for t in b]


def seasons_before(stage: PreparedSeries, season: int) -> Forecasts:
    """For each row forecast the latest known value that lies whole seasons before it."""
    made: Forecasts = {}
    for t, origin in schedule(stage):
        if stage.series.target_index is None:
            known = released(stage, t)
        else:
            known = set(range(t)) | set(range(origin - L, origin))
        rows = [next(r for r in range(row - season, -1, -season) if r in known) for row in range(origin, origin + H)]
        made[origin] = stage.targets[rows]
    return made


def agree(one: Forecasts, other: Forecasts) -> None:
    assert list(one) == list(other)
    for origin, forecast in one.items():
        np.testing.assert_array_equal(forecast, other[origin], err_msg=f"origin {origin}")


SCHEDULES = [(1, 1), (1, 24), (3, 1), (3, 4), (5, 7)]


# Persistence


@pytest.mark.parametrize(("stride", "block"), SCHEDULES)
def test_persistence_holds_the_last_row_of_the_window(stride: int, block: int) -> None:
    stage = PreparedSeries.of(series(hidden=False), protocol(stride=stride, block=block, label_every=4))
    _, forecasts = serve(stage, "persistence")
    agree(forecasts, {o: np.repeat(stage.targets[o - 1 : o], H, axis=0) for _, o in schedule(stage)})


@pytest.mark.parametrize("warm", [True, False])
@pytest.mark.parametrize("label_every", [1, 4, 7])
@pytest.mark.parametrize(("stride", "block"), SCHEDULES)
def test_persistence_holds_the_last_target_that_was_released(
    stride: int, block: int, label_every: int, warm: bool
) -> None:
    rules = protocol(stride=stride, block=block, label_every=label_every, warm_start=warm)
    stage = PreparedSeries.of(series(hidden=True), rules)
    _, forecasts = serve(stage, "persistence")
    last = {o: max(released(stage, t)) for t, o in schedule(stage)}
    agree(forecasts, {o: np.repeat(stage.targets[row : row + 1], H, axis=0) for o, row in last.items()})


# Seasonal-naive


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("season", [2, 6, 12, 31])  # shorter than the horizon, and longer than the lookback
@pytest.mark.parametrize(("stride", "block"), SCHEDULES)
def test_seasonal_naive_is_one_season_before(stride: int, block: int, season: int, hidden: bool) -> None:
    stage = PreparedSeries.of(series(hidden), protocol(stride=stride, block=block))
    _, forecasts = serve(stage, "seasonal-naive", season=season)
    agree(forecasts, seasons_before(stage, season))


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    stride=st.integers(1, 15),
    block=st.integers(1, 9),
    season=st.integers(1, 30),
    label_every=st.integers(1, 9),
    hidden=st.booleans(),
    warm=st.booleans(),
)
def test_seasonal_naive_whatever_is_released(
    stride: int, block: int, season: int, label_every: int, hidden: bool, warm: bool
) -> None:
    rules = protocol(stride=stride, block=block, label_every=label_every, warm_start=warm)
    stage = PreparedSeries.of(series(hidden), rules)
    _, forecasts = serve(stage, "seasonal-naive", season=season)
    agree(forecasts, seasons_before(stage, season))


def test_the_season_is_the_datasets_or_else_there_is_none() -> None:
    stage = PreparedSeries.of(series(hidden=False), protocol(stride=3))
    assert stage.series.season == 6
    agree(serve(stage, "seasonal-naive")[1], seasons_before(stage, 6))
    bare = PreparedSeries.of(replace(stage.series, season=None), stage.protocol)
    agree(serve(bare, "seasonal-naive")[1], serve(bare, "persistence")[1])


def test_a_season_that_the_history_does_not_hold_is_made_up_from_its_last_row() -> None:
    stage = PreparedSeries.of(series(hidden=False), protocol(warm_start=False))
    first = stage.first_origin
    _, forecasts = serve(stage, "seasonal-naive", season=first + 2)
    np.testing.assert_array_equal(forecasts[first][0], stage.targets[first - 1])
    np.testing.assert_array_equal(forecasts[first][2], stage.targets[0])
    np.testing.assert_array_equal(forecasts[first + 4][:, 0], stage.targets[2:5, 0])


# Ridge, and recursive least squares


def regression(stage: PreparedSeries, origins: range) -> list[tuple[Floats, Floats]]:
    """Regressors and outcomes of each pair: a row for each channel, or one row where targets are hidden."""
    pairs = []
    index = stage.series.target_index
    for s in origins:
        x, y = stage.inputs[s - L : s].astype(np.float64), stage.targets[s : s + H].astype(np.float64)
        if index is None:
            pairs.append((np.append(x.ravel(), 1)[None], y.ravel()[None]))
        else:
            level = x[-1, list(index)]
            rows = np.stack([np.append(x[:, c] - x[-1, c], 1) for c in index])
            pairs.append((rows, y.T - level[:, None]))
    return pairs


def forecast(stage: PreparedSeries, origin: int, weights: Floats) -> Floats:
    (x, _), index = regression(stage, range(origin, origin + 1))[0], stage.series.target_index
    if index is None:
        return np.asarray((x @ weights).reshape(H, -1))
    return np.asarray((x @ weights).T + stage.inputs[origin - 1, list(index)].astype(np.float64))


def solved(pairs: list[tuple[Floats, Floats]], weights: list[float], penalty: float, first: float = 1.0) -> Floats:
    """Least squares with a weight for each pair, and ``first`` on the penalty, as one tall system."""
    features = pairs[0][0].shape[1]
    x = np.concatenate([np.sqrt(w) * p[0] for w, p in zip(weights, pairs, strict=True)])
    y = np.concatenate([np.sqrt(w) * p[1] for w, p in zip(weights, pairs, strict=True)])
    x = np.concatenate([x, np.sqrt(first * penalty) * np.eye(features)])
    y = np.concatenate([y, np.zeros((features, y.shape[1]))])
    return np.asarray(np.linalg.lstsq(x, y, rcond=None)[0])


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize(("stride", "block", "label_every"), [(1, 1, 1), (1, 5, 1), (3, 2, 1), (1, 1, 4)])
@pytest.mark.parametrize("forgetting", [1.0, 0.97])
def test_recursive_least_squares_is_the_solution_at_once(
    stride: int, block: int, label_every: int, forgetting: float, hidden: bool
) -> None:
    stage = PreparedSeries.of(series(hidden), protocol(stride=stride, block=block, label_every=label_every))
    strategy, forecasts = serve(stage, "rls", forgetting=forgetting, ridge=0.5)
    train, last_block = stage.series.split.train, schedule(stage)[-1][0]
    past, seen = range(L, train - H + 1), range(train, last_block - H + 1, label_every)
    assert len(seen) > 10
    age = [forgetting ** (len(seen) - 1 - i) for i in range(len(seen))]
    start = forgetting ** len(seen)
    pairs = regression(stage, past) + regression(stage, seen)
    weights = solved(pairs, [start] * len(past) + age, 0.5, start)
    np.testing.assert_allclose(strategy.weights, weights, rtol=1e-5, atol=1e-7)
    origin = max(forecasts)
    np.testing.assert_allclose(forecasts[origin], forecast(stage, origin, weights), rtol=1e-4, atol=1e-5)
    untaught = solved(regression(stage, past), [1.0] * len(past), 0.5)
    np.testing.assert_allclose(forecasts[train], forecast(stage, train, untaught), rtol=1e-4, atol=1e-5)
    assert not np.allclose(strategy.weights, untaught, rtol=1e-3)


@settings(deadline=None, max_examples=30)
@given(
    features=st.integers(1, 12),
    times=st.floats(0.1, 8),
    outcomes=st.integers(1, 5),
    forgetting=st.sampled_from([1.0, 0.99, 0.5]),
    rank=st.integers(1, 12),
    seed=st.integers(0, 99),
)
def test_an_update_of_many_channels_is_the_solution_at_once(
    features: int, times: float, outcomes: int, forgetting: float, rank: int, seed: int
) -> None:
    draw = np.random.default_rng(seed)
    channels = max(1, int(times * features))
    cls = STRATEGIES["rls"].cls
    strategy: Any = cls.__new__(cls)
    strategy.config = build(cls.Config, {"forgetting": forgetting}, "rls")
    strategy.inverse, strategy.weights = np.eye(features), np.zeros((features, outcomes))
    pairs = []
    for _ in range(3):
        x = draw.normal(size=(channels, rank)) @ draw.normal(size=(rank, features))
        pairs.append((x, draw.normal(size=(channels, outcomes))))
        strategy._update(*pairs[-1])
    age = [forgetting**2, forgetting, 1.0]
    np.testing.assert_allclose(strategy.weights, solved(pairs, age, 1.0, forgetting**3), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(strategy.inverse, strategy.inverse.T, rtol=0, atol=1e-12)


@settings(deadline=None, max_examples=20)
@given(channels=st.integers(27, 400), forgetting=st.sampled_from([1.0, 0.9999, 0.95]), seed=st.integers(0, 99))
def test_an_update_is_the_same_by_few_rows_and_by_many(channels: int, forgetting: float, seed: int) -> None:
    """Channels that outnumber the regressors twice become as many rows as regressors: the same numbers to 1e-9."""
    cls = STRATEGIES["rls"].cls
    module = sys.modules[cls.__module__]
    both = []
    for compressed in (module.compressed, lambda x, y: (x, y)):
        draw = np.random.default_rng(seed)
        strategy: Any = cls.__new__(cls)
        strategy.config = build(cls.Config, {"forgetting": forgetting}, "rls")
        strategy.inverse, strategy.weights = np.eye(13), np.zeros((13, 3))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(module, "compressed", compressed)
            for _ in range(20):
                x = draw.normal(size=(channels, 13)).cumsum(axis=1)
                strategy._update(x, draw.normal(size=(channels, 3)))
        both.append((strategy.weights, strategy.inverse))
    for few, many in zip(*both, strict=True):
        np.testing.assert_allclose(few, many, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("channels", [1, 13, 26, 27, 130, 1300])
def test_an_update_solves_no_larger_system_than_two_rows_for_each_regressor(
    monkeypatch: pytest.MonkeyPatch, channels: int
) -> None:
    cls = STRATEGIES["rls"].cls
    module = sys.modules[cls.__module__]
    factorised, decomposed = list[tuple[int, ...]](), list[tuple[int, ...]]()

    def noting(function: Callable[..., Any], shapes: list[tuple[int, ...]]) -> Callable[..., Any]:
        def noted(matrix: Floats, *args: Any, **kwargs: Any) -> Any:
            shapes.append(matrix.shape)
            return function(matrix, *args, **kwargs)

        return noted

    monkeypatch.setattr(module.lapack, "dpotrf", noting(module.lapack.dpotrf, factorised))
    monkeypatch.setattr(module.lapack, "dgeqrf", noting(module.lapack.dgeqrf, decomposed))
    strategy: Any = cls.__new__(cls)
    strategy.config, strategy.inverse, strategy.weights = cls.Config(), np.eye(13), np.zeros((13, 3))
    draw = np.random.default_rng(0)
    strategy._update(draw.normal(size=(channels, 13)), draw.normal(size=(channels, 3)))
    size = channels if channels <= 26 else 13  # few channels: to the bit as ever
    assert factorised == [(size, size)]
    assert decomposed == ([] if channels <= 26 else [(channels, 16)])  # linear in channels


def test_hidden_rows_of_the_history_teach_nothing() -> None:
    rules = protocol(label_every=5, warm_start=False)
    stage = PreparedSeries.of(series(hidden=True), rules)
    split = stage.series.split
    known = released(stage, split.validation)
    origins = [s for s in range(L, split.validation - H + 1) if set(range(s, s + H)) <= known]
    assert len(origins) < split.validation - H + 1 - L
    pairs = [pair for s in origins for pair in regression(stage, range(s, s + 1))]
    _, forecasts = serve(stage, "rls")
    first = forecast(stage, split.validation, solved(pairs, [1.0] * len(pairs), 1.0))
    np.testing.assert_allclose(forecasts[split.validation], first, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("penalty", [0.1, 10.0])
def test_frozen_ridge_is_its_formula(hidden: bool, penalty: float) -> None:
    stage = PreparedSeries.of(series(hidden), protocol(stride=2, block=3))
    recipe = Recipe("ridge", RidgeConfig(penalty=penalty), task_of(stage), seed=0)
    _, forecasts = serve(stage, "frozen", pretrain(recipe, stage, CPU, None))
    past = range(L, stage.series.split.train - H + 1)
    weights = solved(regression(stage, past), [1.0] * len(past), penalty)
    assert list(forecasts) == [o for _, o in schedule(stage)]
    for origin, made in forecasts.items():
        np.testing.assert_allclose(made, forecast(stage, origin, weights), rtol=1e-4, atol=1e-5)


def test_ordinary_least_squares_about_the_mean() -> None:
    stage = PreparedSeries.of(series(hidden=False), protocol())
    config = RidgeConfig(penalty=0.0, anchor="mean", constant=False)
    ridge = pretrain(Recipe("ridge", config, task_of(stage), seed=0), stage, CPU, None)
    rows, outcomes = [], []
    for s in range(L, stage.series.split.train - H + 1):
        for channel in (2, 0):
            past = stage.inputs[s - L : s, channel].astype(np.float64)
            rows.append(past - past.mean())
            outcomes.append(stage.inputs[s : s + H, channel].astype(np.float64) - past.mean())
    weights = np.linalg.lstsq(np.array(rows), np.array(outcomes), rcond=None)[0]
    window = stage.inputs[100 - L : 100]
    level = window.mean(axis=0)
    expected = np.stack([(window[:, c] - level[c]) @ weights + level[c] for c in (2, 0)], axis=1)
    np.testing.assert_allclose(ridge(torch.from_numpy(window[None]))[0], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.usefixtures("registries")
@pytest.mark.parametrize("what", ["persistence", "seasonal-naive", "rls", "frozen ridge", "frozen dlinear"])
def test_who_reads_no_exogenous_input_forecasts_the_same_whatever_it_holds(what: str, tmp_path: Path) -> None:
    name, _, forecaster = what.partition(" ")
    classes = [STRATEGIES[name].cls, *([FORECASTERS[forecaster].cls] if forecaster else [])]
    assert not any(cls.reads_exogenous for cls in classes)
    errors = []
    for seed in (0, 1):
        rng = np.random.default_rng(0)
        values = {"target": rng.normal(size=300).cumsum(), "other": np.random.default_rng(seed).normal(size=300)}
        path = tmp_path / f"{seed}.csv"
        pd.DataFrame(values).to_csv(path, index=False)
        dataset = {"name": f"csv:{path}", "inputs": ["target", "other"], "targets": ["target"], "season": 6}
        training = {"steps": 3, "batch": 4, "evaluations": 1}
        lists = {"strategies": [name], "forecasters": [forecaster] if forecaster else [], "datasets": [dataset]}
        protocol = {"lookback": 12, "horizon": 3}
        [run] = expand(build(Experiment, {"name": "e", "protocol": protocol, "training": training} | lists, "t"), "cpu")
        errors.append(execute(run, RunPaths(tmp_path, tmp_path / "checkpoints"))[0].errors)
        line = unread_inputs([run], load_series(run))
        assert line == "no model here reads inputs that are no targets: other"
    assert errors[0] is not None
    assert errors[0] == errors[1]
    reads = {"forecasters": ["titans"], "strategies": ["frozen"]}
    runs = expand(build(Experiment, {"name": "e", "protocol": protocol} | lists | reads, "t"), "cpu")
    assert unread_inputs(runs, load_series(runs[0])) == ""


@pytest.mark.usefixtures("registries")
def test_a_season_longer_than_the_history_is_refused_before_anything_runs() -> None:
    def experiment(season: int) -> Experiment:
        lists = {"strategies": [{"name": "seasonal-naive", "season": season}], "datasets": ["realistic-drift"]}
        return build(Experiment, {"name": "e"} | lists, "t")

    rows = load_series(expand(experiment(1), "cpu")[0]).split.train
    expand(experiment(rows), "cpu")
    with pytest.raises(BenchError, match=rf"season={rows + 1} is more than the {rows} rows before service"):
        expand(experiment(rows + 1), "cpu")
