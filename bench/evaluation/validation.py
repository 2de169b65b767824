"""Errors of a forecaster on validation pairs, and of what it must beat there."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.contracts.forecaster import FORECASTERS, Pairs, TrainingConfig
from bench.evaluation.isolation import seeded
from bench.results.record import Validation

MOST_COEFFICIENTS = 4096  # of a regression for each output; one that needs more is no cheap reference
MOST_REGRESSED = 2**18  # rows of a regression, a channel of a window each


class TrainingError(Exception):
    """A forecaster could not be trained."""


def validated(forecaster: Any, training: Pairs, validation: Pairs, season: int | None) -> Validation:
    """MSE of a trained forecaster on the validation pairs that training looked at, beside that of what it must beat.

    The ridge regression is the forecaster ``ridge`` at its defaults, on at most `MOST_REGRESSED` rows of the training
    pairs, evenly spaced. Naive forecasts know every target before a truth begins.
    """
    recipe, config = forecaster.recipe, forecaster.recipe.config.training
    task, ridge = recipe.task, math.nan
    if task.target_index is not None or task.lookback * task.inputs <= MOST_COEFFICIENTS:
        every = math.ceil(len(training) * task.targets / MOST_REGRESSED)
        cls = FORECASTERS["ridge"].cls
        regression = cls(cls.Config(), task).to(training.origins.device)
        regression.fit(replace(training, origins=training.origins[::every]), validation)
        ridge = validation_error(regression, validation, config)

    def naive(season: int) -> float:
        ahead = torch.arange(task.horizon, device=validation.origins.device)
        back = ahead - season * (ahead // season + 1)
        return _error(lambda _, origins: validation.targets[origins[:, None] + back], validation, config)

    with seeded(recipe.seed):
        own = validation_error(copy.deepcopy(forecaster), validation, config)  # which may count its calls
    return Validation(
        windows=min(len(validation), config.validation_windows),
        forecaster=own,
        ridge=ridge,
        seasonal_naive=naive(season or 1),
        persistence=naive(1),
    )


def validation_error(model: Any, pairs: Pairs, config: TrainingConfig) -> float:
    """MSE over evenly spaced validation windows; a network is left in ``eval()``."""
    if isinstance(model, nn.Module):
        model.eval()
    return _error(lambda windows, _: model(windows), pairs, config)


def _error(forecast: Callable[[Tensor, Tensor], Any], pairs: Pairs, config: TrainingConfig) -> float:
    """MSE of forecasts, made of windows and origins, over the validation windows that training looks at."""
    count = min(len(pairs), config.validation_windows)
    chosen = torch.linspace(0, len(pairs) - 1, count, device=pairs.origins.device).round().long()
    total = 0.0
    with torch.no_grad():
        for part in chosen.split(2 * config.batch):
            x, y = pairs.take(part)
            made = forecast(x, pairs.origins[part])
            made = torch.from_numpy(made).to(y) if isinstance(made, np.ndarray) else made
            total += float(mse(made, y)) * len(part)
    return total / count


def mse(forecast: Any, truths: Tensor) -> Tensor:
    """Mean squared error of a batch; raises `TrainingError` where the forecast is no tensor of the truths' shape."""
    if not isinstance(forecast, Tensor):
        raise TrainingError(
            f"the forecaster returned a {type(forecast).__name__}, through which no gradient passes: "
            "return a tensor, or bring fit(pairs, validation)"
        )
    if forecast.shape != truths.shape:  # which torch would broadcast
        shapes = f"shape {tuple(forecast.shape)}, expected (B, H, C_out) = {tuple(truths.shape)}"
        raise TrainingError(f"the forecaster returned {shapes}")
    return nn.functional.mse_loss(forecast, truths)
