"""What holds for every strategy of the literature."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from bench.adaptation.online_optimizer import KEPT_EVERY
from bench.contracts.config import build
from bench.contracts.forecaster import FORECASTERS, Task
from bench.evaluation.profiling.footprint import state_bytes

from ..literature import (
    NAMES,
    VALIDATION,
    C,
    Decay,
    H,
    L,
    decaying,
    model_of,
    moving,
    serve,
)

torch.set_num_threads(1)


OFF: dict[str, dict[str, Any]] = {name: {"online_lr": 0} for name in NAMES} | {
    "norm-stats": {"rate": 0},
    "hedge": {"experts": ["frozen"]},
    "elf": {"warmup": "none"},
    "dsof": {"online_lr": 0, "student_lr": 0, "fast_lr": 0},
    "onenet": {"online_lr": 0, "branch": "none"},
    "proceed": {"online_lr": 0, "generator": False},
}
"""Options with which a strategy is `frozen`."""

FAST: dict[str, dict[str, Any]] = {name: {"online_lr": 0.02} for name in NAMES} | {
    "norm-stats": {"rate": 0.1},
    "solid": {"online_lr": 1e-3},
    "hedge": {"experts": ["persistence", "seasonal-naive", "frozen"]},
    "elf": {"every": 10, "rate": 10},
    "fac": {"online_lr": 0.1},
    "cosa": {"online_lr": 0.05, "batch": 8},
    "orca": {"online_lr": 0.02, "buffer": 40, "batch": 16, "warm_up": 0},
    "dsof": {"online_lr": 0.02, "student_lr": 0.01, "fast_lr": 0.01},
    "onenet": {"online_lr": 0.02, "mix_lr": 0.02, "branch": "nlinear"},
}
"""Options for streams of some hundred rows."""

FIXED = {
    "cep",
    "orca",
    "cosa",
    "dynatta",
    "elf",
    "fac",
    "hedge",
    "norm-affine",
    "norm-stats",
    "petsa",
    "solid",
    "tafas",
}
"""Who leaves the forecaster as it was trained."""

WITHOUT_GRADIENTS = {"elf", "hedge", "norm-stats"}
"""Who trains no parameter."""


# Every strategy


@pytest.mark.parametrize("name", NAMES)
def test_switched_off_it_is_frozen_to_the_bit(name: str) -> None:
    values = decaying(140, 3.0)
    frozen = serve("frozen", values, model_of(name)).forecasts
    np.testing.assert_array_equal(serve(name, values, **OFF[name]).forecasts, frozen)


@pytest.mark.parametrize("name", NAMES)
def test_it_helps_where_the_level_moves(name: str) -> None:
    values = decaying(400, 3.0)
    assert serve(name, values, tiny=False, **FAST[name]).mse < 0.8 * serve("frozen", values).mse


@pytest.mark.parametrize("name", NAMES)
def test_it_changes_nothing_where_nothing_is_missed(name: str) -> None:
    """The last value goes on, and the forecaster says so."""
    values = decaying(200, 0.0)
    values[VALIDATION - L - H :] = 0.5
    before = serve("frozen", values, model_of(name, 1.0)).forecasts
    np.testing.assert_allclose(serve(name, values, model_of(name, 1.0), **FAST[name]).forecasts, before, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_stuck_sensor_makes_no_nan(name: str) -> None:
    """On a forecaster that divides by each window's deviation, too."""
    values = decaying(240, 1.0)
    values[VALIDATION:200, 0] = values[VALIDATION, 0]
    entry = FORECASTERS["tcn"]
    torch.manual_seed(0)
    tcn = entry.cls(build(entry.cls.Config, entry.cls.tiny, "tcn"), Task(L, H, C, C, (0, 1))).eval()
    tcn.recipe = Decay().recipe
    for forecaster in (model_of(name), *([] if name == "fsnet" else [tcn])):
        made = serve(name, values, forecaster, **FAST[name]).forecasts
        assert np.abs(made).max() < 100


@pytest.mark.parametrize("name", NAMES)
def test_its_state_does_not_grow(name: str) -> None:
    values = moving(VALIDATION + 4 * KEPT_EVERY)
    sizes = {state_bytes(serve(name, values, end=end).strategy) for end in (VALIDATION + 2 * KEPT_EVERY, len(values))}
    assert len(sizes) == 1


@pytest.mark.parametrize("name", NAMES)
def test_what_it_moved_is_counted(name: str) -> None:
    served = serve(name, moving(160), **FAST[name])
    assert served.moved is not None
    assert (served.moved.trainable == 0) == (name in WITHOUT_GRADIENTS)
    assert (served.moved.updated == 0) == (name in {"solid", *WITHOUT_GRADIENTS})
    untouched = model_of(name).state_dict()
    if name in FIXED:
        after = served.strategy.forecaster.state_dict()
        assert all(torch.equal(value, after[key]) for key, value in untouched.items())
