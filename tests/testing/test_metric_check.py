"""The check of a metric: its value may not depend on how many forecasts are scored together."""

from __future__ import annotations

import pytest

from bench.contracts.discovery import load_plugins
from bench.contracts.metric import METRICS
from bench.testing import CheckError, check_metric

from ..conftest import Write

METRIC = """
    from bench import Metric, register_metric


    @register_metric("mine")
    class Mine(Metric):
        \"\"\"A metric.\"\"\"

        {body}
"""


@pytest.mark.parametrize("name", [entry.name for entry in METRICS])
def test_the_metrics_of_this_package_pass(name: str) -> None:
    (line,) = check_metric(name)
    assert line.endswith("the same however many forecasts are scored together")


@pytest.mark.usefixtures("registries")
@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("def add(self, scored): return scored.error[:, 0, 0] - scored.error.mean()", "what add returns of an"),
        (
            "def add(self, scored): self.x = scored.error.mean()\n\n        def value(self, means): return self.x",
            "its value is",
        ),
        (
            "def add(self, scored): return scored.error.mean(axis=0)",
            "it has no value on noise: ValueError: add returned",
        ),
        ("def value(self, means): return float('nan')", "it has no value on noise: not a number"),
        ("def value(self, means): return 1 / 0", "ZeroDivisionError: division by zero (mine.py, line 9)"),
    ],
)
def test_a_metric_that_breaks_its_contract_is_found(write: Write, body: str, message: str) -> None:
    load_plugins([write("mine.py", METRIC.format(body=body))])
    with pytest.raises(CheckError) as caught:
        check_metric("mine")
    assert message in str(caught.value)


@pytest.mark.usefixtures("registries")
def test_a_value_of_each_origin_is_kept(write: Write) -> None:
    load_plugins([write("mine.py", METRIC.format(body="def add(self, scored): return scored.error.mean(axis=(1, 2))"))])
    assert check_metric("mine")[0].endswith("; a value of each origin is kept in origins.parquet")
