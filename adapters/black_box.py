"""Corrections of a forecaster's output, which need nothing of it but its forecasts."""

from __future__ import annotations

import math
from collections import deque
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from pydantic import BeforeValidator, Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn

from bench import Feedback, Search, StrategyConfig, Task, register_strategy
from bench.adaptation.exponential_weights import ExponentialWeights
from bench.adaptation.online_optimizer import Clip, OnlineConfig, OnlineOptimizer, mean_square
from bench.adaptation.waiting_forecasts import WaitingForecasts
from bench.forecasters.linear import in_rows

from .baselines import Frozen


class BlackBox(Frozen):
    """A frozen forecaster, of which only forecasts are used."""

    group: ClassVar[Any] = "literature"
    adapts: ClassVar[bool] = True

    def setup(self) -> None:
        """No forecast waits for its truth yet."""
        super().setup()
        self.waiting = WaitingForecasts(self.protocol)

    def base(self, windows: Tensor) -> Tensor:
        """The forecaster's own forecasts, ``(K, H, C_out)``."""
        return torch.as_tensor(super().predict(windows), device=windows.device).clone()


class Calibrated(BlackBox):
    """A correction of forecasts that takes gradient steps on matured pairs."""

    Config: ClassVar[type[StrategyConfig]] = OnlineConfig
    carries: ClassVar[str] = "the correction and its optimiser's moments"

    def setup(self) -> None:
        """Start from a correction that changes nothing."""
        super().setup()
        self.correction = self.new_correction().to(self.device)
        self.online = OnlineOptimizer(self.correction, self.correction.parameters(), self.config)

    def learned(self) -> list[nn.Parameter]:
        """The correction's."""
        return self.online.parameters

    def new_correction(self) -> nn.Module:
        """From what is known ``(K, ..., C_out)``, a forecast first of all, to the corrected forecast."""
        raise NotImplementedError

    def known(self, base: Tensor) -> Tensor:
        """What the correction is given, besides forecasts ``(K, H, C_out)``."""
        return base

    def adapt(self, feedback: Feedback) -> None:
        """Steps on what was forecast for the pairs that matured."""
        made, found = self.waiting.matured(feedback)
        if found:
            self.learn(made, feedback.y[found])

    def learn(self, known: Tensor, y: Tensor) -> None:
        """Steps on pairs."""
        self.online.learn(lambda: mean_square(self.correction(known), y))

    def predict(self, windows: Tensor) -> Tensor:
        """The corrected forecast."""
        base = self.base(windows)
        if not self.online.learns:
            return base
        known = self.known(base)
        self.waiting.add(known)
        with torch.no_grad():
            return self.online.sound(lambda: self.correction(known))

    def trace(self) -> dict[str, float]:
        """Steps taken, and returns to the last good correction."""
        return {"steps": float(self.online.taken), "returns": float(self.online.returns)}


class SpectralCorrection(nn.Module):
    """A complex gain and offset of each frequency of a forecast, as what is added to it."""

    def __init__(self, horizon: int, channels: int) -> None:
        super().__init__()
        self.gain, self.offset = (nn.Parameter(torch.zeros(2, horizon // 2 + 1, channels)) for _ in range(2))

    def forward(self, base: Tensor) -> Tensor:
        """``(K, H, C_out)`` to the same shape."""
        change: Tensor = torch.fft.rfft(base, dim=1) * torch.complex(*self.gain) + torch.complex(*self.offset)
        added: Tensor = torch.fft.irfft(change, n=base.shape[1], dim=1)
        return base + added


class FACConfig(OnlineConfig):
    """Options of `fac`.

    Attributes:
        per_channel: Whether each target has gains and offsets of its own, or all share them.
    """

    per_channel: bool = False


@register_strategy("fac")
class FrequencyAwareCalibration(Calibrated):
    """FAC: a gain and an offset of each frequency of the forecast, learned from matured pairs.

    Source: Wang and others (2026, arXiv 2605.17250).
    """

    Config: ClassVar[type[StrategyConfig]] = FACConfig

    def new_correction(self) -> nn.Module:
        """Gains and offsets of 0."""
        return SpectralCorrection(
            self.protocol.horizon, self.history.targets.shape[1] if self.config.per_channel else 1
        )


class GatedResidual(nn.Module):
    """A linear map of a channel's forecast and context, through a gate that is closed at first."""

    def __init__(self, horizon: int, context: int, generator: torch.Generator) -> None:
        super().__init__()
        self.horizon, self.map, self.gate = (
            horizon,
            nn.Linear(horizon + context, horizon),
            nn.Parameter(torch.zeros(())),
        )
        nn.init.kaiming_uniform_(self.map.weight, a=math.sqrt(5), generator=generator)
        nn.init.zeros_(self.map.bias)

    def forward(self, known: Tensor) -> Tensor:
        """Forecast and context ``(K, H + n, C_out)`` to ``(K, H, C_out)``."""
        residual: Tensor = self.map(known.transpose(1, 2)).transpose(1, 2)
        return known[:, : self.horizon] + self.gate.tanh() * residual


class COSAConfig(OnlineConfig):
    """Options of `cosa`.

    Attributes:
        batch: Pairs in a batch, on which all steps are taken when they have matured.
        context: Latest matured truths whose means are known to the correction.
        spike: A batch's loss that is so many times the one before it halves the step size.
        falls: So many batches of falling loss, one after the other, raise it by a tenth.
    """

    online_lr: NonNegativeFloat = 1e-3
    weight_decay: NonNegativeFloat = 1e-4
    online_clip: Clip = 1.0
    steps: PositiveInt = 3
    batch: PositiveInt = 48
    context: NonNegativeInt = 10
    spike: PositiveFloat = 1.5
    falls: PositiveInt = 3


@register_strategy("cosa")
class COSA(Calibrated):
    """COSA: a gated linear map of the forecast and of recent truths' means is added to the forecast.

    Source: Im and Kwon (ICLR 2026), with matured pairs only.
    """

    Config: ClassVar[type[StrategyConfig]] = COSAConfig
    carries = "the correction, its optimiser's moments, and a batch of pairs"
    tiny: ClassVar[dict[str, Any]] = {"batch": 4, "context": 3}

    def setup(self) -> None:
        """Start with the means of the history's last truths, and an empty batch."""
        super().setup()
        last = self.history.targets.nan_to_num().unfold(0, self.protocol.horizon, 1).mean(dim=2)
        self.means = last[len(last) - self.config.context :]
        self.batch: list[tuple[Tensor, Tensor]] = []
        self.factor, self.fallen, self.before = 1.0, 0, math.inf

    def new_correction(self) -> nn.Module:
        """With a closed gate."""
        generator = torch.Generator().manual_seed(int(self.rng.integers(2**31)))
        return GatedResidual(self.protocol.horizon, self.config.context, generator)

    def known(self, base: Tensor) -> Tensor:
        """Forecasts, followed by the means of the latest truths."""
        return torch.cat([base, self.means.expand(len(base), -1, -1)], dim=1)

    def adapt(self, feedback: Feedback) -> None:
        """Learn; the truths that matured are then known."""
        super().adapt(feedback)
        if self.online.learns and self.config.context:
            self.means = torch.cat([self.means, feedback.y.mean(dim=1)])[-self.config.context :]

    def learn(self, known: Tensor, y: Tensor) -> None:
        """Steps on each batch that is full."""
        self.batch += zip(known, y, strict=True)
        while len(self.batch) >= self.config.batch:
            taken, self.batch = self.batch[: self.config.batch], self.batch[self.config.batch :]
            x, truth = (torch.stack(column) for column in zip(*taken, strict=True))
            with torch.no_grad():
                self._follow(float(mean_square(self.correction(x), truth)))
            steps = self.config.steps
            cosine = [self.factor * (1 + math.cos(math.pi * i / steps)) / 2 for i in range(steps)]
            self.online.learn(lambda x=x, y=truth: mean_square(self.correction(x), y), cosine)  # type: ignore[misc]

    def _follow(self, loss: float) -> None:
        """Adjust the step size to a batch's loss."""
        self.fallen = self.fallen + 1 if loss < self.before else 0
        if loss > self.config.spike * self.before:
            self.factor /= 2
        elif self.fallen >= self.config.falls:
            self.factor *= 1.1
        self.before = loss


class ELFConfig(StrategyConfig):
    """Options of `elf`.

    Attributes:
        every: Pairs in a block: after each, the regression is solved again and the mix is weighed again.
        penalty: Of the regression.
        bins: Share of a window's frequencies that are read, from the lowest.
        rate: Learning rate of the exponential weights, on mean absolute errors of blocks.
        recent: Blocks that the fast weights know.
        warmup: Blocks before the first mix; None (in TOML, ``"none"``) never mixes.
    """

    every: PositiveInt = 200
    penalty: Annotated[PositiveFloat, Search(0.2, 2000.0, log=True)] = 20.0
    bins: float = Field(0.9, gt=0, le=1)
    rate: Annotated[NonNegativeFloat, Search(0.05, 5.0, log=True)] = 0.5
    recent: PositiveInt = 5
    warmup: Annotated[NonNegativeInt | None, BeforeValidator(lambda v: None if v == "none" else v)] = 5


@register_strategy("elf")
class ELF(BlackBox):
    """ELF: a ridge regression between spectra, learned from matured pairs, mixed with the forecaster's forecasts.

    Each target has weights of its own, and a regression of its own; targets that are not inputs share one from all
    inputs. Slow weights go by the losses of all blocks, fast ones by those of the latest; the two mixes are mixed in
    turn.

    Source: Lee and others, "Lightweight online adaption for time series foundation model forecasts" (ICML 2025).
    """

    Config: ClassVar[type[StrategyConfig]] = ELFConfig
    reads_exogenous = False
    carries = "the regressions' Gram matrices, and the weights of the mixes"
    tiny: ClassVar[dict[str, Any]] = {"every": 4, "warmup": 1, "recent": 2}

    def setup(self) -> None:
        """Start without pairs."""
        super().setup()
        history, (L, H) = self.history, (self.protocol.lookback, self.protocol.horizon)
        self.task = Task(L, H, history.inputs.shape[1], history.targets.shape[1], history.target_index)
        self.bins, wide = max(1, int(self.config.bins * (L // 2 + 1))), self.task.targets
        maps, read, written = wide, self.bins, H // 2 + 1
        if history.target_index is None:
            maps, read, written = 1, self.task.inputs * read, wide * written
        self.gram = np.zeros((maps, read, read), dtype=np.complex128)
        self.moment = np.zeros((maps, read, written), dtype=np.complex128)
        self.weights = torch.zeros(maps, read, written, dtype=torch.complex64, device=self.device)
        self.rows, self.mean, self.variance = 0, *(torch.zeros(wide, device=self.device) for _ in range(2))
        self.block: list[tuple[Tensor, Tensor]] = []
        self.losses: list[Tensor] = []
        self.blocks = 0
        self.slow, self.fast, self.both = (
            ExponentialWeights(torch.zeros(2, wide, device=self.device), self.config.rate) for _ in range(3)
        )
        self.latest: deque[Tensor] = deque(maxlen=self.config.recent)
        self.observe(self.history.inputs)

    def observe(self, rows: Tensor) -> None:
        """Follow mean and variance of all rows of the targets so far."""
        if self.task.target_index is None:
            return
        variance, mean = torch.var_mean(rows[:, list(self.task.target_index)], dim=0, correction=0)
        share = len(rows) / (self.rows + len(rows))
        self.variance = torch.lerp(self.variance, variance, share) + share * (1 - share) * (mean - self.mean).square()
        self.mean = torch.lerp(self.mean, mean, share)
        self.rows += len(rows)

    def adapt(self, feedback: Feedback) -> None:
        """Keep the pairs and what was missed on them; learn from each block that is full."""
        if self.config.warmup is None:
            return
        made, found = self.waiting.matured(feedback)
        if not len(feedback):
            return
        scale = self._scale()
        if found:
            self.losses += ((made - feedback.y[found, None]).abs().mean(dim=2) / scale[:, 0]).unbind()
        spectra, level = self._spectra(feedback.x)
        outcomes = torch.fft.rfft((feedback.y.transpose(1, 2) - level) / scale)
        if self.task.target_index is None:
            outcomes = outcomes.flatten(1)[:, None]
        for pair in zip(spectra, outcomes, strict=True):
            self.block.append(pair)
            if len(self.block) == self.config.every:
                self._learn()

    def _learn(self) -> None:
        """Solve the regressions with the block's pairs too, and weigh the mixes by its losses."""
        x, y = (torch.stack(column, dim=1).cpu().numpy() for column in zip(*self.block, strict=True))  # (C, N, F)
        turned = x.conj().transpose(0, 2, 1).astype(np.complex128)
        self.gram += turned @ x
        self.moment += turned @ y
        solved = np.linalg.solve(self.gram + self.config.penalty * np.eye(self.gram.shape[1]), self.moment)
        self.weights = torch.from_numpy(solved.astype(np.complex64)).to(self.device)
        self.block, self.blocks = [], self.blocks + 1
        if self.losses:
            loss = torch.stack(self.losses).mean(dim=0)  # of the two forecasts and their two mixes, (4, C_out)
            self.losses = []
            self.latest.append(loss[:2])
            self.slow.update(loss[:2])
            self.fast.losses = torch.stack(tuple(self.latest)).sum(dim=0)
            self.both.update(loss[2:])

    def predict(self, windows: Tensor) -> Tensor:
        """The forecaster's forecast, and after the warm-up the mix."""
        base = self.base(windows)
        if self.config.warmup is None or not self.blocks:
            return base
        spectra, level = self._spectra(windows)
        spectrum = torch.einsum("kcf,cfm->kcm", spectra, self.weights)
        if self.task.target_index is None:
            spectrum = spectrum[:, 0].unflatten(1, (self.task.targets, -1))
        own = (torch.fft.irfft(spectrum, n=self.task.horizon) * self._scale() + level).transpose(1, 2)
        forecasts = torch.stack([base, own], dim=1)
        mixes = torch.stack([_mixed(forecasts, weights) for weights in (self.slow, self.fast)], dim=1)
        self.waiting.add(torch.cat([forecasts, mixes], dim=1))
        return _mixed(mixes, self.both) if self.blocks >= self.config.warmup else base

    def _scale(self) -> Tensor:
        """Running deviation of each target, ``(C_out, 1)``; 1 for targets that are not inputs."""
        if self.task.target_index is None:
            return torch.ones_like(self.variance)[:, None]
        return (self.variance + torch.finfo(self.variance.dtype).eps).sqrt()[:, None]

    def _spectra(self, windows: Tensor) -> tuple[Tensor, Tensor]:
        """Spectra of the targets' windows, ``(K, C_out, F)``, less their levels ``(K, C_out, 1)``, in deviations.

        For targets that are not inputs, those of all inputs together, ``(K, 1, F)``, and a level of 0.
        """
        rows = in_rows(windows, self.task)
        if self.task.target_index is None:
            spectra = torch.fft.rfft(windows, dim=1)[:, : self.bins]
            return spectra.flatten(1)[:, None], torch.zeros_like(rows[..., :1])
        level = rows.mean(dim=2, keepdim=True)
        return torch.fft.rfft((rows - level) / self._scale())[..., : self.bins], level

    def trace(self) -> dict[str, float]:
        """Blocks so far, and the regressions' weight in the slow and the fast mix."""
        shares = {
            f"{name}_share": float(mix.shares()[1].mean()) for name, mix in (("slow", self.slow), ("fast", self.fast))
        }
        return {"blocks": float(self.blocks)} | shares


def _mixed(forecasts: Tensor, weights: ExponentialWeights) -> Tensor:
    """``(K, 2, H, C_out)`` to ``(K, H, C_out)``."""
    return (forecasts * weights.shares()[:, None]).sum(dim=1)
