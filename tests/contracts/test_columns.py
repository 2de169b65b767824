"""Inputs and targets of any dataset, chosen by column names."""

from __future__ import annotations

from typing import Any

import pytest

from bench import BenchError, Dataset, DriftSeries, load_dataset, register_dataset
from bench.contracts.config import build
from bench.execution.experiment import Experiment, expand
from bench.testing import small_series

pytestmark = pytest.mark.usefixtures("registries")

A, B, C = small_series().columns


@pytest.fixture(autouse=True)
def _small(registries: None) -> None:
    @register_dataset("small-open")
    class Open(Dataset):
        """All columns are inputs and targets."""

        def load(self) -> DriftSeries:
            return small_series()

    @register_dataset("small-hidden")
    class Hidden(Dataset):
        """The third column is a target and not an input."""

        def load(self) -> DriftSeries:
            return small_series(hidden_targets=True)


@pytest.mark.parametrize(
    ("dataset", "options", "inputs", "targets"),
    [
        ("small-open", {}, (A, B, C), (A, B, C)),
        ("small-open", {"targets": [B]}, (A, B, C), (B,)),  # the others are exogenous
        ("small-open", {"inputs": [B], "targets": [B]}, (B,), (B,)),  # univariate
        ("small-open", {"inputs": [C, A]}, (C, A), (A, C)),  # what is no longer read is no longer forecast
        ("small-open", {"inputs": [A], "targets": [C]}, (A,), (C,)),  # hidden targets
        ("small-open", {"targets": [C, A]}, (A, B, C), (C, A)),
        ("small-hidden", {}, (A, B), (C,)),
        ("small-hidden", {"inputs": [B]}, (B,), (C,)),
        ("small-hidden", {"inputs": [C]}, (C,), (C,)),
        ("small-hidden", {"targets": [A]}, (A, B), (A,)),
        ("realistic-drift", {"inputs": ["target"], "targets": ["target"]}, ("target",), ("target",)),
    ],
)
def test_columns_are_chosen_by_name(
    dataset: str, options: dict[str, Any], inputs: tuple[str, ...], targets: tuple[str, ...]
) -> None:
    series, whole = load_dataset(dataset, **options), load_dataset(dataset)
    assert (series.inputs, series.targets) == (inputs, targets)
    assert series.columns == whole.columns
    assert (series.values == whole.values).all()
    assert (series.fingerprint == whole.fingerprint) == (options == {})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"targets": ["target1"]}, "Unknown column of dataset 'realistic-drift': 'target1'. Did you mean 'target'"),
        ({"inputs": ["feature9"]}, "Unknown column of dataset 'realistic-drift': 'feature9'. Did you mean 'feature"),
        ({"inputs": []}, "dataset 'realistic-drift': no input columns"),
        ({"targets": []}, "dataset 'realistic-drift': no target columns"),
        ({"targets": ["target", "target"]}, "named twice among its target columns"),
        ({"input": ["feature1"]}, "unknown option 'input'. Did you mean 'inputs'"),
    ],
)
def test_a_mistake_names_what_there_is(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BenchError, match=message):
        load_dataset("realistic-drift", **options)


def test_inputs_without_a_target_among_them_need_targets() -> None:
    series = small_series().choosing(None, (A,))
    with pytest.raises(
        BenchError, match=rf"none of the inputs {B}, {C} is among its targets \({A}\). Say what to forecast"
    ):
        series.choosing((B, C), None)


def test_an_experiment_chooses_columns() -> None:
    values = {
        "name": "e",
        "strategies": ["persistence"],
        "datasets": ["small-open", {"name": "small-open", "targets": [B]}],
    }
    runs = expand(build(Experiment, values, "test"), "cpu")
    assert len({run.run_id for run in runs}) == 2
