"""Checks of a metric: it has a value, which does not depend on how the stream is cut."""

from __future__ import annotations

import numpy as np

from bench.contracts.metric import METRICS, Metric, MetricContext
from bench.contracts.registry import Entry
from bench.evaluation.metrics import Accumulator, ErrorSums
from bench.testing.findings import CheckError

WINDOWS, HORIZON, TARGETS = 60, 5, ("a", "b")
CUTS: tuple[tuple[int, ...], ...] = ((), (1,), (17, 18, 40))
"""Where the forecasts are cut into batches."""


def check_metric(name: str) -> list[str]:
    """Check a metric on seeded noise.

    Args:
        name: Registered name.

    Returns:
        What was checked, a line each.

    Raises:
        CheckError: It fails, or its value depends on how many forecasts are scored together.
    """
    entry = METRICS[name]
    (value, origins), *others = (_scored(entry, cuts) for cuts in CUTS)
    for other, its in others:
        if not np.isclose(value, other, rtol=1e-9, atol=1e-12):
            raise CheckError(f"its value is {value:.6g}, and {other:.6g} where fewer forecasts are scored together")
        if (its is None) != (origins is None) or not np.allclose(origins or [], its or [], rtol=1e-9, atol=1e-12):
            raise CheckError("what add returns of an origin depends on how many forecasts are scored together")
    kept = "" if origins is None else "; a value of each origin is kept in origins.parquet"
    return [f"a value ({value:.6g} on noise), the same however many forecasts are scored together{kept}"]


def _scored(entry: Entry[Metric], cuts: tuple[int, ...]) -> tuple[float, list[float] | None]:
    """Its value of all forecasts, and those of each origin."""
    rng = np.random.default_rng(0)
    forecasts, truths = rng.normal(size=(2, WINDOWS, HORIZON, len(TARGETS)))
    context = MetricContext(np.array([1.0, 20.0]), TARGETS, rng.normal(size=(200, len(TARGETS))), 12)
    metric = Accumulator(entry, context)
    sums = ErrorSums(context.std, HORIZON, [metric])
    for forecast, truth in zip(np.split(forecasts, cuts), np.split(truths, cuts), strict=True):
        sums.add(forecast, truth)
    origins = metric.by_origin
    found = metric.record(sums.means)
    if found.value is None:
        raise CheckError(f"it has no value on noise: {found.reason}")
    return found.value, None if origins is None else origins.tolist()
