"""Metrics: what may be one, what it may be called, and the formulas of those that this package brings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bench import BenchError, ErrorMeans, Metric, MetricContext, UndefinedError, load_results, register_metric
from bench.contracts.metric import BUILT_IN, METRICS, RESERVED, is_free, seasonal_steps
from bench.report.view.error_parts import by_channel, by_lead
from bench.report.view.loading import read_results
from bench.results.record import FIELDS
from bench.results.store import ORIGINS, Store

from ..report.conftest import STRATEGIES, FakeScenario, write_run

TRAINING = np.array([[1.0, 10.0], [3.0, 20.0], [2.0, 40.0], [5.0, 30.0]])
STD = np.array([2.0, 10.0])


def means(square: float = 4.0, absolute: float = 1.0) -> ErrorMeans:
    """Two leads and two targets; errors of the second lead and target are larger."""
    grid = np.array([[1.0, 2.0], [3.0, 6.0]])
    return ErrorMeans(5, square * grid, absolute * grid, STD)


def of(name: str, season: int | None = None) -> float:
    return METRICS[name].cls(MetricContext(STD, ("a", "b"), TRAINING, season)).value(means())


@pytest.mark.parametrize("season", [None, 1, 2, 3])
def test_scaled_errors_are_over_those_of_the_seasonal_naive_forecast_of_the_training_rows(season: int | None) -> None:
    steps = TRAINING[season or 1 :] - TRAINING[: -(season or 1)]
    mae, mse = np.array([2.0, 4.0]) * STD, np.array([8.0, 16.0]) * STD**2
    assert of("mase", season) == pytest.approx((mae / np.abs(steps).mean(axis=0)).mean(), rel=1e-12)
    assert of("rmsse", season) == pytest.approx(np.sqrt(mse / (steps**2).mean(axis=0)).mean(), rel=1e-12)


def test_the_seasonal_naive_forecast_itself_has_a_scaled_error_of_one() -> None:
    steps = seasonal_steps(MetricContext(STD, ("a", "b"), TRAINING, 2))
    own = ErrorMeans(2, (steps**2).mean(axis=0)[None], np.abs(steps).mean(axis=0)[None], STD)
    for name in ("mase", "rmsse"):
        assert METRICS[name].cls(MetricContext(STD, ("a", "b"), TRAINING, 2)).value(own) == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize("name", ["mase", "rmsse"])
@pytest.mark.parametrize("level", [0.0, 1e6])
def test_a_scaled_error_is_undefined_where_all_training_rows_are_as_one_season_before(name: str, level: float) -> None:
    phase = 2 * np.pi * np.arange(48) / 12
    training = np.stack([np.arange(48.0), level + np.sin(phase)], axis=1)  # equal but for rounding
    with pytest.raises(UndefinedError, match=r"all training rows of b are as one season \(12 rows\) before"):
        METRICS[name].cls(MetricContext(STD, ("a", "b"), training, 12)).value(means())
    with pytest.raises(UndefinedError, match="a season has 48 rows, and there are 48 training rows"):
        METRICS[name].cls(MetricContext(STD, ("a", "b"), training, 48)).value(means())


def test_the_metrics_of_this_package() -> None:
    names = ("mse", "mae", "rmse", "mse_original", "mae_original", "rmse_original", "mase", "rmsse")
    assert names == BUILT_IN
    assert {*FIELDS} == {*names[:6]}
    assert of("mse") == 12.0
    assert of("mae") == 3.0
    assert of("rmse") == 12.0**0.5
    assert of("mse_original") == (4 * 4 * 4.0 + 8 * 4 * 100.0) / 4
    assert of("rmse_original") == of("mse_original") ** 0.5
    assert of("mae_original") == (4 * 2.0 + 8 * 10.0) / 4


@pytest.mark.usefixtures("registries")
@pytest.mark.parametrize(
    ("register", "message"),
    [
        (
            lambda: register_metric("seed")(Own),
            "'seed' cannot name a metric: another column of th",
        ),
        (lambda: register_metric("a_sd")(Own), "'a_sd' cannot name a metric: another column"),
        (lambda: register_metric("mse")(Own), "The metric name 'mse' is registered twice"),
        (lambda: register_metric("x")(Nothing), "metric 'x' has neither add(self, scored) nor value(self, means)"),
        (lambda: register_metric("x")(type("M", (Own,), {"unit": "km", "__module__": __name__})), "has the unit 'km'"),
        (
            lambda: register_metric("x")(type("M", (Own,), {"better": "more", "__module__": __name__})),
            "better = 'more'",
        ),
        (lambda: register_metric("x")(Other), "must be a class that inherits from bench.Metric"),  # type: ignore[arg-type]
        (lambda: register_metric(Own), '@register_metric takes a name: write @register_metric("my-metric")'),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_a_metric_is_refused(register: Callable[[], object], message: str) -> None:
    with pytest.raises(BenchError) as caught:
        register()
    assert message in str(caught.value)


class Own(Metric):
    """A metric."""

    def value(self, means: ErrorMeans) -> float:
        """One."""
        return 1.0


class Other:
    """No metric."""


class Nothing(Metric):
    """No metric yet."""


def test_no_other_column_can_be_the_name_of_a_metric(tmp_path: Path) -> None:
    store = Store(tmp_path / "results" / "default")
    for strategy in STRATEGIES[:2]:
        write_run(store, strategy, FakeScenario(), 0)
    results = read_results(store.folder)
    origins = store.read_frame(next(iter(results.records)), ORIGINS)
    assert origins is not None
    tables = (load_results(store.folder), results.runs, results.board, by_lead(results), by_channel(results), origins)
    columns = {str(column) for table in tables for column in table}
    assert {name for name in columns if is_free(name)} == {*BUILT_IN, "share"}
    assert not RESERVED & {*BUILT_IN}
