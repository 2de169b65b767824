"""Calibration: the forecaster is fixed, and small layers before and after it learn in service.

As published, TAFAS and PETSA revise forecasts with rows that came later. Here each forecast is final: matured pairs are
learned from, and the known rows of later ones where the protocol has ``partial`` labels.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

from bench import Feedback, Search, StrategyConfig, register_strategy
from bench.adaptation.calibration_layers import GatedMap, LowRankMap, zero_linear
from bench.adaptation.replay_buffers import ReplayBuffer

from .online_gradient import GradientConfig, LearnsOnline


class CalibrationConfig(GradientConfig):
    """Options of the online step, and what is calibrated.

    Attributes:
        calibrates_input: Whether windows are calibrated too, besides forecasts.
        shared: Whether all columns share one map and one gate.
    """

    online_lr: NonNegativeFloat = 1e-3
    calibrates_input: bool = True
    shared: bool = False


class Calibrates(LearnsOnline):
    """A fixed forecaster between two layers that learn."""

    Config: ClassVar[type[StrategyConfig]] = CalibrationConfig
    carries = "the calibration layers and the optimiser's moments"

    def learning(self) -> list[nn.Parameter]:
        """The layers' parameters."""
        inputs, targets = self.history.inputs.shape[1], self.history.targets.shape[1]
        self.layers = nn.ModuleDict({"forecast": self.layer(self.protocol.horizon, targets)})
        if self.config.calibrates_input:
            self.layers["window"] = self.layer(self.protocol.lookback, inputs)
        self.layers.to(self.device)
        return list(self.layers.parameters())

    def layer(self, rows: int, columns: int) -> nn.Module:
        """One calibration layer, the identity at first."""
        return GatedMap(rows, columns, shared=self.config.shared)

    def forecast(self, windows: Tensor) -> Tensor:
        """With calibrated windows and forecasts."""
        if self.config.calibrates_input:
            windows = self.calibrated("window", windows)
        return self.calibrated("forecast", super().forecast(windows))

    def calibrated(self, name: str, rows: Tensor) -> Tensor:
        """Rows through one of the layers."""
        return self.layers[name](rows)  # type: ignore[no-any-return]


@register_strategy("tafas")
class TAFAS(Calibrates):
    """TAFAS: gated linear maps of the window and of the forecast, for each column, take a step as labels come.

    Source: Kim and others (AAAI 2025); the causal schedule is ours, a step at each block that brings labels.
    """


class PETSAConfig(GradientConfig):
    """Options of `petsa`.

    Attributes:
        calibrates_input: Whether windows are calibrated too, besides forecasts.
        rank: Of the maps.
        huber: Error at which the loss changes from squared to absolute.
        spectrum: Weight of the mean absolute difference of the spectra.
        structure: Weight of correlation, distribution and mean over time.
    """

    online_lr: NonNegativeFloat = 1e-3
    calibrates_input: bool = True
    rank: Annotated[PositiveInt, Search(4, 64, log=True)] = 16
    huber: PositiveFloat = 0.5
    spectrum: NonNegativeFloat = 0.1
    structure: NonNegativeFloat = 1.0


@register_strategy("petsa")
class PETSA(Calibrates):
    """PETSA: as `tafas` with maps of low rank, and a loss that also compares spectra, shapes and means.

    Source: Medeiros and others (2025, arXiv 2506.23424). The terms of the loss are taken over time, as the paper
    intends; rows of truths that are not over have the Huber term only.
    """

    Config: ClassVar[type[StrategyConfig]] = PETSAConfig
    tiny: ClassVar[dict[str, Any]] = {"rank": 2}

    def layer(self, rows: int, columns: int) -> nn.Module:
        """One calibration layer, the identity at first."""
        return LowRankMap(rows, columns, self.config.rank)

    def loss(self, forecast: Tensor, truth: Tensor, known: Tensor | None) -> Tensor:
        """Huber's loss on all known rows, and the other terms on whole truths."""
        errors = nn.functional.huber_loss(forecast, truth, delta=self.config.huber, reduction="none")
        if known is None:
            return errors.mean() + self._terms(forecast, truth)
        whole = known.all(dim=1)
        total: Tensor = (errors * known[..., None]).sum() / (known.sum() * truth.shape[-1])
        return total + self._terms(forecast[whole], truth[whole]) if whole.any() else total

    def _terms(self, forecast: Tensor, truth: Tensor) -> Tensor:
        spectra = (torch.fft.rfft(forecast, dim=1) - torch.fft.rfft(truth, dim=1)).abs().mean()
        means = forecast.mean(dim=1, keepdim=True), truth.mean(dim=1, keepdim=True)
        made, true = forecast - means[0], truth - means[1]
        correlation = nn.functional.cosine_similarity(made, true, dim=1).mean()
        entropy = nn.functional.kl_div(
            made.log_softmax(dim=1), true.log_softmax(dim=1), log_target=True, reduction="none"
        )
        shape = 1 - correlation + entropy.sum(dim=1).mean() + (means[0] - means[1]).abs().mean()
        total: Tensor = self.config.spectrum * spectra + self.config.structure * shape
        return total


class DynaTTAConfig(CalibrationConfig):
    """Options of `dynatta`.

    Attributes:
        online_lr: Largest step size.
        least_share: Smallest step size, in units of the largest.
        sensitivity: Slope of the step size in the shift score.
        smoothing: Weight of each new step size in their exponential mean.
        errors: Latest errors with which the newest is compared.
        recent: Latest windows with which the present one is compared.
        best: Windows with the lowest errors with which it is compared.
        width: Of the network that turns the three measures of shift into gates.
    """

    least_share: float = Field(0.1, gt=0, le=1)
    sensitivity: Annotated[NonNegativeFloat, Search(0.1, 10.0, log=True)] = 1.0
    smoothing: float = Field(0.1, gt=0, le=1)
    errors: PositiveInt = 256
    recent: PositiveInt = 360
    best: PositiveInt = 100
    width: PositiveInt = 64


@register_strategy("dynatta")
class DynaTTA(Calibrates):
    """DynaTTA: as `tafas`, with step size and gates that follow three measures of shift.

    They are the newest error against the latest ones, and the distance of the present window from the latest windows
    and from those with the lowest errors.

    Source: Grover and Etemad (2025), "Shift-aware test time adaptation". A window is compared as it is, less its mean
    and over its deviation, since not all forecasters have an embedding; only whole truths give errors; gates start as
    those of `tafas`.
    """

    Config: ClassVar[type[StrategyConfig]] = DynaTTAConfig
    ablation_of: ClassVar[dict[str, str]] = {"following measures of shift": "tafas"}
    carries = "the calibration layers, the optimiser's moments, and earlier windows and errors"
    tiny: ClassVar[dict[str, Any]] = {"errors": 6, "recent": 5, "best": 3, "width": 4}

    def setup(self) -> None:
        """Start without windows and errors."""
        self.shift = torch.zeros(3, device=self.device)
        super().setup()
        config = self.config
        self.past = ReplayBuffer("fifo", max(config.errors, config.recent), self.rng)  # error and window of each pair
        self.lowest: Tensor | None = None  # errors of the best windows, ascending
        self.best_windows: Tensor | None = None
        self.scores = 0
        self.level, self.spread = torch.zeros_like(self.shift), torch.ones_like(self.shift)
        self.rate, self.adapted = config.online_lr, 0

    def learning(self) -> list[nn.Parameter]:
        """Also the networks that turn shift into gates."""
        super().learning()
        for name, layer in list(self.layers.items()):
            outputs = len(layer.gate)  # type: ignore[arg-type]
            gates = nn.Sequential(nn.Linear(3, self.config.width), nn.ReLU(), zero_linear(self.config.width, outputs))
            self.layers[f"{name}_gates"] = gates.to(self.device)
        return list(self.layers.parameters())

    def calibrated(self, name: str, rows: Tensor) -> Tensor:
        """Rows through one of the layers, its gate moved by the shift."""
        return self.layers[name](rows, self.layers[f"{name}_gates"](self.shift))  # type: ignore[no-any-return]

    def adapt(self, feedback: Feedback) -> None:
        """Measure the shift, set the step size, and take a step."""
        if not self.online.learns:
            return
        if len(feedback):
            self._keep(feedback)
        if feedback.present is not None and len(self.past) > 1:
            self._measure(feedback.present)
        self.online.set_rate(self.rate)
        super().adapt(feedback)

    def trace(self) -> dict[str, float]:
        """Also the step size."""
        return super().trace() | {"online_lr": self.rate}

    @torch.no_grad()
    def _keep(self, feedback: Feedback) -> None:
        errors = (self.forecast(feedback.x) - feedback.y).square().mean(dim=(1, 2))
        windows = _standard(feedback.x)
        self.past.add(errors, windows)
        if self.lowest is not None and self.best_windows is not None:
            errors, windows = torch.cat([self.lowest, errors]), torch.cat([self.best_windows, windows])
        order = errors.argsort()[: self.config.best]
        self.lowest, self.best_windows = errors[order], windows[order]

    def _measure(self, present: Tensor) -> None:
        """Three measures in units of their own spread; the step size is a sigmoid of their sum."""
        newest = self.past.newest_first()
        errors = self.past.take(newest[: self.config.errors])[0]
        window = _standard(present[None])
        latest_errors, latest = self.past.take(newest[: self.config.recent])
        weights = 1 / (latest_errors + latest_errors.mean() + torch.finfo(latest.dtype).tiny)
        assert self.best_windows is not None
        measures = torch.stack(
            [
                (errors[0] - errors.mean()) / errors.std(correction=0).clamp(min=1e-6),
                (weights * (latest - window).norm(dim=1)).sum() / weights.sum(),
                (self.best_windows - window).norm(dim=1).mean(),
            ]
        )
        self.scores += 1
        step = max(1 / self.scores, 1 / self.config.errors)
        deviation = measures - self.level
        self.level = self.level + step * deviation
        self.spread = (1 - step) * self.spread + step * deviation.square()
        self.shift = (measures - self.level) / self.spread.sqrt().clamp(min=1e-6)
        self.adapted += 1
        if self.adapted > self.protocol.horizon:
            share = self.config.least_share
            gain = torch.sigmoid(self.config.sensitivity * self.shift.sum())
            rate = self.config.online_lr * (share + (1 - share) * float(gain))
            self.rate += self.config.smoothing * (rate - self.rate)


def _standard(windows: Tensor) -> Tensor:
    """Windows ``(B, L, C)`` less their mean and over their deviation, flattened: ``(B, L C)``."""
    variance, mean = torch.var_mean(windows, dim=1, keepdim=True, correction=0)
    return ((windows - mean) / variance.clamp(min=1e-6).sqrt()).flatten(1)
