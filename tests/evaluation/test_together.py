"""Strategies that are served in one pass: the same forecasts as alone, and none that knows the future."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench import Feedback, Strategy, Together
from bench.contracts.config import build
from bench.contracts.discovery import load_plugins
from bench.contracts.forecaster import FORECASTERS
from bench.contracts.strategy import STRATEGIES, StrategyContext, serves_together
from bench.evaluation.pretraining import Recipe, task_of
from bench.evaluation.serving import serve_stream, sums_for, warm_up
from bench.evaluation.stream import PreparedSeries, Stream
from bench.evaluation.together import Member, Scores, serve_together, warm_up_together
from bench.testing import leak_canary, small_series
from bench.testing.canary import DISTURBANCES

from ..conftest import resolved, tiny_series

torch.set_num_threads(1)
load_plugins()

CPU = torch.device("cpu")
OWN = [
    (entry.name, other.name)
    for entry in STRATEGIES
    for other in FORECASTERS
    if serves_together(entry.cls, other.cls) and entry.cls.group != "user"
]
PROTOCOLS: dict[str, dict[str, Any]] = {
    "online": {"preset": "online"},
    "partial labels": {"preset": "online", "labels": "partial"},
    "day-ahead, cold": {"preset": "day-ahead", "warm_start": False},
    "dense, few labels": {"preset": "dense", "label_every": 2},
}

Options = list[dict[str, Any]]
Errors = NDArray[np.float64]


def test_the_pairs_that_are_served_together() -> None:
    assert {*OWN} == {(strategy, other) for strategy in ("frozen", "ogd") for other in ("dlinear", "nlinear", "tcn")}


def strategies(stage: PreparedSeries, name: str, forecaster: str, options: Options) -> list[Any]:
    """Set up, each with a forecaster of its own seed, which is not trained, and options of its own."""
    cls, other, made = STRATEGIES[name].cls, FORECASTERS[forecaster].cls, []
    for seed, own in enumerate(options):
        model = Recipe(forecaster, build(other.Config, other.tiny, forecaster), task_of(stage), seed).build(CPU)
        with torch.no_grad():  # models whose weights start alike would hide a mix-up
            for i, parameter in enumerate(model.parameters()):
                parameter.add_(0.02 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed + i)))
        rng, config = np.random.default_rng(seed), build(cls.Config, own, name)
        made.append(cls(StrategyContext(config, model, stage.history(CPU), stage.protocol, rng, CPU)))
    return made


def alone(stage: PreparedSeries, strategy: Strategy) -> tuple[float | None, Errors]:
    """Validation error, and the errors of each origin."""
    stream = Stream(stage, strategy, CPU)
    validation = warm_up(stream)
    return validation, serve_stream(stream).sums.origin_errors


def together(
    stage: PreparedSeries, made: list[Any], server: Together | None = None
) -> tuple[list[Member], list[Scores]]:
    server = server or type(made[0]).together(made)
    stream = Stream(stage, made[0], CPU, finite=False, server=server, models=len(made))
    members = [Member(strategy, sums_for(stage)) for strategy in made]
    warm_up_together(stream, members)
    return members, serve_together(stream, members)


def agree(stage: PreparedSeries, name: str, forecaster: str, options: Options, rtol: float = 1e-5) -> None:
    one, other = (strategies(stage, name, forecaster, options) for _ in range(2))
    errors = []
    for strategy, member, scores in zip(one, *together(stage, other), strict=True):
        validation, expected = alone(stage, strategy)
        found = scores.sums.origin_errors
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6)
        np.testing.assert_allclose(found.mean(axis=0), expected.mean(axis=0), rtol=rtol)
        if validation is not None:
            np.testing.assert_allclose(member.warm.mse, validation, rtol=rtol)
        assert member.strategy.trace() == strategy.trace()
        for mine, theirs in zip(member.strategy.forecaster.parameters(), strategy.forecaster.parameters(), strict=True):
            torch.testing.assert_close(mine, theirs, rtol=1e-3, atol=1e-5)
        errors.append(expected.mean())
    assert len({*errors}) == len(errors), "they are all alike: a mix-up would not show"


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(("name", "forecaster"), OWN)
def test_each_is_served_as_it_is_alone(name: str, forecaster: str, protocol: str) -> None:
    series = small_series()
    stage = PreparedSeries.of(series, resolved(series, **PROTOCOLS[protocol]))
    agree(stage, name, forecaster, [{}, {}, {}])


OTHERS: dict[str, Options] = {
    "rates": [{"online_lr": rate} for rate in (1e-4, 1e-3, 1e-3, 1e-2)],
    "clips": [{"online_clip": norm, "online_lr": 0.05, "optimizer": "sgd"} for norm in (0.05, 0.5, 1e9)],
    "decays": [{"weight_decay": decay, "optimizer": "adamw", "steps": 2} for decay in (1e-3, 0.1)],
    "heads": [{"trains": "head", "online_lr": rate} for rate in (1e-3, 1e-2)],
}


@pytest.mark.parametrize("options", OTHERS)
@pytest.mark.parametrize("forecaster", ["dlinear", "tcn"])
def test_rates_may_differ(forecaster: str, options: str) -> None:
    series = small_series()
    agree(PreparedSeries.of(series, resolved(series, "online")), "ogd", forecaster, OTHERS[options])


@pytest.mark.parametrize("forecaster", ["dlinear", "tcn"])
def test_one_that_diverges_goes_back_and_stops_no_other(forecaster: str) -> None:
    series = small_series(rows=300)
    stage = PreparedSeries.of(series, resolved(series, "online"))
    options = [{"optimizer": "sgd", "online_lr": rate} for rate in (1e-3, 30.0, 1e-2)]
    wild = strategies(stage, "ogd", forecaster, options)
    calm = strategies(stage, "ogd", forecaster, [options[0]] * 3)
    members, scores = together(stage, wild)
    assert members[1].strategy.trace()["returns"] > 0
    assert [member.strategy.trace()["returns"] for member in (members[0], members[2])] == [0, 0]
    expected = together(stage, calm)[1][0].sums.origin_errors
    np.testing.assert_allclose(scores[0].sums.origin_errors, expected, rtol=1e-4)


class Lost(Together):
    """Persistence for all; one of them loses its mind."""

    def __init__(self, models: int, which: int, at: int) -> None:
        self.models, self.which, self.left = models, which, at

    def predict(self, windows: Tensor) -> Tensor:
        made = windows[None, :, -1:].repeat(self.models, 1, 3, 1)
        self.left -= 1
        if self.left < 0:
            made[self.which, ..., 0] = torch.nan
        return made


@pytest.mark.parametrize("at", [0, 5])
def test_a_forecast_that_is_not_finite_stops_its_own_run_only(at: int) -> None:
    series = small_series()
    stage = PreparedSeries.of(series, resolved(series, "online", warm_start=False))
    members, scores = together(stage, strategies(stage, "frozen", "dlinear", [{}] * 3), Lost(3, 1, at))
    assert [member.has_failed for member in members] == [False, True, False]
    assert scores[0].sums.windows == scores[2].sums.windows > 40
    assert scores[0].sums.mse == scores[2].sums.mse


class Mean(nn.Module):
    """Forecasts the mean of the window; it cannot be stacked."""

    def forward(self, windows: Tensor) -> Tensor:
        return windows.mean(dim=1, keepdim=True).expand(-1, 3, -1)


def test_what_cannot_be_stacked_is_not() -> None:
    series = small_series()
    stage = PreparedSeries.of(series, resolved(series, "online"))
    cls = STRATEGIES["ogd"].cls
    made = strategies(stage, "ogd", "tcn", [{}, {}])
    assert cls.together(made) is not None
    assert cls.together(strategies(stage, "ogd", "tcn", [{"mode": "train"}] * 2)) is None  # draws dropout
    other = strategies(stage, "ogd", "dlinear", [{}])
    assert cls.together([*made, *other]) is None
    for strategy in made:
        strategy.forecaster = Mean()
    assert cls.together(made) is None
    hidden = small_series(hidden_targets=True)
    made = strategies(PreparedSeries.of(hidden, resolved(hidden, "online")), "ogd", "tcn", [{}, {}])
    assert cls.together(made) is None  # each has a regression of its own


def test_subclasses_inherit_neither_part() -> None:
    class Other(STRATEGIES["ogd"].cls):  # type: ignore[misc]
        pass

    class Model(FORECASTERS["dlinear"].cls):  # type: ignore[misc]
        pass

    assert not serves_together(Other, FORECASTERS["dlinear"].cls)
    assert not serves_together(STRATEGIES["ogd"].cls, Model)


class OneOfThree(Strategy):
    """One of three that are served together: what it is handed goes to what serves all of them."""

    def setup(self) -> None:
        self.which, self.server = 0, Together()

    def observe(self, rows: Tensor) -> None:
        self.server.observe(rows)

    def adapt(self, feedback: Feedback) -> None:
        self.server.adapt(feedback)

    def predict(self, windows: Tensor) -> Any:
        return self.server.predict(windows)[self.which]


@pytest.fixture(name="one_of_three")
def one_of_three_fixture() -> Callable[[str, str, int], Callable[[PreparedSeries], Strategy]]:
    def of(name: str, forecaster: str, which: int) -> Callable[[PreparedSeries], Strategy]:
        def make(stage: PreparedSeries) -> Strategy:
            own = strategies(stage, name, forecaster, [{}, {}, {}])
            config = OneOfThree.Config()
            history = stage.history(CPU)
            one = OneOfThree(StrategyContext(config, None, history, stage.protocol, np.random.default_rng(0), CPU))
            server = type(own[0]).together(own)
            assert server is not None
            one.which, one.server = which, server
            return one

        return make

    return of


@pytest.mark.parametrize("preset", ["online", "dense"])
@pytest.mark.parametrize(("name", "forecaster"), OWN)
def test_none_leaks_where_it_is_served_together(
    one_of_three: Callable[[str, str, int], Any], name: str, forecaster: str, preset: str
) -> None:
    """The canary: rows from a cut on are replaced, and no forecast before it changes, to the bit."""
    series = tiny_series()
    inside = series.split.validation + 7
    for which in (0, 2):
        make = one_of_three(name, forecaster, which)
        leak_canary(make, series, resolved(series, preset), (inside,), DISTURBANCES[:2])
