"""DLinear, NLinear, FITS and least squares against their formulas."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench import BenchError, Pairs, Task
from bench.forecasters.dlinear import DLinear, DLinearConfig, LinearConfig, NLinear, moving_average
from bench.forecasters.fits import FITS, FITSConfig
from bench.forecasters.linear import OLS, OLSConfig, Ridge, RidgeConfig

L, H = 12, 3
TASK = Task(L, H, 3, 2, (2, 0))  # two of three inputs are forecast, in an order of their own
HIDDEN = Task(L, H, 3, 2)

Floats = NDArray[np.float64]


def windows(count: int = 4, columns: int = 3) -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).normal(size=(count, L, columns)).cumsum(axis=1))


def shuffled(model: nn.Module) -> None:
    """Give a model weights that are no constants."""
    rng = np.random.default_rng(1)
    model.double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.from_numpy(rng.normal(size=tuple(parameter.shape))))


@pytest.mark.parametrize("kernel", [1, 2, 5, 25])
def test_the_moving_average_repeats_the_ends(kernel: int) -> None:
    x = windows()
    front, back = (kernel - 1) // 2, kernel // 2
    for b in range(len(x)):
        for c in range(3):
            row = np.pad(x[b, :, c].numpy(), (front, back), mode="edge")
            means = [row[i : i + kernel].mean() for i in range(L)]
            np.testing.assert_allclose(moving_average(x, kernel)[b, :, c], means, rtol=1e-12, atol=1e-12)


def mapped(layer: Any, past: Floats, channel: int) -> Floats:
    """What a map makes of the past of a channel, by numpy."""
    weight, bias = (tensor.detach().numpy() for tensor in (layer.layer.weight, layer.layer.bias))
    if weight.ndim == 3:
        weight, bias = weight[channel], bias[channel]
    return weight @ past + bias  # type: ignore[no-any-return]


@pytest.mark.parametrize("individual", [False, True])
def test_dlinear_is_a_map_of_the_trend_and_one_of_the_rest(individual: bool) -> None:
    model = DLinear(DLinearConfig(kernel=5, individual=individual), TASK)
    shuffled(model)
    x = windows()
    made, trend = model(x).detach().numpy(), moving_average(x, 5).numpy()
    for b in range(len(x)):
        for out, column in enumerate((2, 0)):
            smooth = trend[b, :, column]
            expected = mapped(model.trend, smooth, out) + mapped(model.seasonal, x[b, :, column].numpy() - smooth, out)
            np.testing.assert_allclose(made[b, :, out], expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("individual", [False, True])
def test_nlinear_is_a_map_of_steps_from_the_last_value(individual: bool) -> None:
    model = NLinear(LinearConfig(individual=individual), TASK)
    shuffled(model)
    x = windows()
    made = model(x).detach()
    for b in range(len(x)):
        for out, column in enumerate((2, 0)):
            past = x[b, :, column].numpy()
            expected = mapped(model.map, past - past[-1], out) + past[-1]
            np.testing.assert_allclose(made[b, :, out], expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(model(x + 7).detach(), made + 7)


@pytest.mark.parametrize(("cls", "config"), [(DLinear, DLinearConfig()), (NLinear, LinearConfig())])
def test_untrained_it_forecasts_from_the_mean_of_the_window(cls: Any, config: Any) -> None:
    x = windows()[:, :, [2, 0]].float()
    task = Task(L, H, 2, 2, (0, 1))
    expected = x.mean(dim=1, keepdim=True).expand(-1, H, -1)
    torch.testing.assert_close(cls(config, task)(x), expected)


@pytest.mark.parametrize(("cls", "config"), [(DLinear, DLinearConfig), (NLinear, LinearConfig)])
def test_targets_that_are_not_inputs_are_a_map_of_the_whole_window(cls: Any, config: Any) -> None:
    model = cls(config(), HIDDEN)
    shuffled(model)
    x = windows()
    assert model(x).shape == (4, H, 2)
    if cls is NLinear:
        expected = (model.map.layer(x.flatten(1))).unflatten(1, (H, 2))
        torch.testing.assert_close(model(x), expected)
    with pytest.raises(BenchError, match="individual = true gives each channel a map of its own past"):
        cls.check_task(config(individual=True), HIDDEN, "cpu")
    cls.check_task(config(individual=True), TASK, "cpu")


def pairs(rows: int, task: Task) -> Pairs:
    data = torch.from_numpy(np.random.default_rng(2).normal(size=(rows, task.inputs)).cumsum(axis=0)).float()
    targets = data[:, list(task.target_index or (0, 1))]
    return Pairs(data, targets, torch.arange(L, rows - H + 1), L, H)


def test_ordinary_least_squares_is_the_least_squares_of_windows_less_their_mean() -> None:
    made = pairs(90, TASK)
    model = OLS(OLSConfig(), TASK)
    model.fit(made, made)
    x, y = made.take(slice(None))
    past = x[:, :, [2, 0]].double().transpose(1, 2)
    level = past.mean(dim=2, keepdim=True)
    rows, truths = (past - level).flatten(0, 1).numpy(), (y.double().transpose(1, 2) - level).flatten(0, 1).numpy()
    solution = np.linalg.lstsq(rows, truths, rcond=None)[0]
    expected = torch.from_numpy(rows @ solution).unflatten(0, (len(x), 2)) + level
    np.testing.assert_allclose(model(x.double()).transpose(1, 2), expected, rtol=1e-5, atol=1e-6)


def test_ordinary_least_squares_with_options_is_ridge_regression() -> None:
    made = pairs(90, TASK)
    ridge, ols = Ridge(RidgeConfig(), TASK), OLS(OLSConfig(penalty=1.0, anchor="last", constant=True), TASK)
    for model in (ridge, ols):
        model.fit(made, made)
    x, _ = made.take(slice(None))
    assert torch.equal(ridge(x), ols(x))


# FITS


def test_fits_goes_on_with_what_a_window_is_made_of() -> None:
    """With weights that keep each frequency, two whole periods of a wave are followed by a third's beginning."""
    lookback, horizon = 24, 12
    model = FITS(FITSConfig(), Task(lookback, horizon, 1, 1, (0,)))
    t = torch.arange(lookback + horizon)
    wave = 5 + 3 * torch.sin(2 * torch.pi * t / 12)
    assert (model.read, model.written) == (13, 19)
    with torch.no_grad():
        model.weight.zero_()
        for k in range(13):
            model.weight[0, k * 3 // 2, k] = 1  # a frequency of the window, among those of the longer one
    made = model.continued(wave[None, :lookback, None])[0, :, 0]
    assert made.shape == (lookback + horizon,)
    torch.testing.assert_close(made, wave, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(model(wave[None, :lookback, None])[0, :, 0], made[lookback:])


@pytest.mark.parametrize(("bins", "lookback", "horizon"), [(40, 96, 24), (40, 12, 3), (5, 96, 1), (49, 96, 720)])
def test_fits_reads_and_writes_as_many_frequencies_as_there_are(bins: int, lookback: int, horizon: int) -> None:
    model = FITS(FITSConfig(bins=bins), Task(lookback, horizon, 2, 1, (1,)))
    assert model.read == min(bins, lookback // 2 + 1)
    assert model.written == min(int(model.read * (lookback + horizon) / lookback), (lookback + horizon) // 2 + 1)
    x = torch.randn(3, lookback, 2, generator=torch.Generator().manual_seed(0))
    assert model(x).shape == (3, horizon, 1)
    torch.testing.assert_close(model(10 * x + 3), 10 * model(x) + 3, atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("reconstruction", [False, True])
def test_fits_is_trained_on_window_and_forecast_together(reconstruction: bool) -> None:
    model = FITS(FITSConfig(bins=4, reconstruction=reconstruction), TASK)
    x, y = windows().float(), torch.ones(4, H, 2)
    made, truth = (model.continued(x), torch.cat([x[:, :, [2, 0]], y], dim=1)) if reconstruction else (model(x), y)
    torch.testing.assert_close(model.training_loss(x, y), (made - truth).square().mean())


def test_fits_refuses_targets_that_are_not_inputs() -> None:
    with pytest.raises(BenchError, match="Make them inputs, or choose a forecaster that reads other columns"):
        FITS.check_task(FITSConfig(), HIDDEN, "cpu")
