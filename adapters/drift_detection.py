"""Drift detection: the forecaster learns when a detector says that its errors have changed."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor

from bench import Feedback, Search, StrategyConfig, register_strategy
from bench.adaptation.drift_detectors import Kind, detector
from bench.adaptation.online_optimizer import OnlineConfig, mean_square
from bench.adaptation.replay_buffers import ReplayBuffer

from .online_gradient import LearnsOnline

FIRST = 16
"""Errors whose mean is the unit of all."""


class DetectionConfig(OnlineConfig):
    """Options of the detector, and of the step.

    Attributes:
        detector: ``z-test`` (the latest errors against all), ``page-hinkley``, or of the package river ``adwin`` or
            ``kswin``.
        pairs: The latest matured pairs, which are learned from after an alarm.
    """

    detector: Kind = "z-test"
    pairs: PositiveInt = 512


class DetectsDrift(LearnsOnline):
    """Feeds a detector with one error in a horizon: that of the issued forecast, over its mean in the first sixteen."""

    Config: ClassVar[type[StrategyConfig]] = DetectionConfig
    takes_issued = True
    takes_partial = False
    carries: ClassVar[str] = "the weights, the optimiser's moments, the detector, and the latest pairs"

    def setup(self) -> None:
        """Start without pairs and errors."""
        super().setup()
        self.detector = detector(self.config.detector, int(self.rng.integers(2**31)))
        self.recent = ReplayBuffer("fifo", self.config.pairs, self.rng)
        self.fed_until, self.alarms, self.count, self.usual = 0, 0, 0, 0.0

    def adapt(self, feedback: Feedback) -> None:
        """Keep the pairs, and ask the detector."""
        if not self.online.learns or not len(feedback):
            return
        self.recent.add(feedback.x, feedback.y)
        alarm = [self.detector.update(error) for error in self._errors(feedback)]
        self.alarms += sum(alarm)
        self.react(feedback, alarmed=any(alarm))

    def react(self, feedback: Feedback, *, alarmed: bool) -> None:
        """Learn, if at all, from new pairs, after the detector was asked."""
        raise NotImplementedError

    def _errors(self, feedback: Feedback) -> list[float]:
        """Errors of pairs that do not overlap, in units of the mean of the first ones."""
        assert feedback.issued is not None
        errors = (feedback.issued - feedback.y).square().mean(dim=(1, 2)).tolist()
        found = []
        for origin, error in zip(feedback.origins.tolist(), errors, strict=True):
            if origin < self.fed_until or not np.isfinite(error):  # NaN: no forecast was issued there
                continue
            self.fed_until = origin + self.protocol.horizon
            if self.count < FIRST:
                self.count += 1
                self.usual += (error - self.usual) / self.count
            found.append(error / self.usual if self.usual else 0.0)
        return found

    def trace(self) -> dict[str, float]:
        """Also the number of alarms."""
        return super().trace() | {"alarms": float(self.alarms)}


class DetectRetrainConfig(DetectionConfig):
    """Options of `detect-retrain`.

    Attributes:
        action: After an alarm: ``retrain`` on the latest pairs, ``raise-rate`` of online steps for a while, or
            ``reset`` the weights to those of pre-training.
        epochs: Passes over the latest pairs, to ``retrain``.
        batch: Pairs in a step of these.
        raised: Factor of the step size after an alarm, with ``raise-rate``.
        raised_blocks: Blocks for which it is raised.
    """

    action: Literal["retrain", "raise-rate", "reset"] = "retrain"
    epochs: PositiveInt = 5
    batch: PositiveInt = 32
    raised: PositiveFloat = 10.0
    raised_blocks: PositiveInt = 50


@register_strategy("detect-retrain")
class DetectRetrain(DetectsDrift):
    """Frozen until a detector finds drift; then trained on the latest pairs.

    With ``raise-rate`` and ``reset`` it takes a step on new pairs at each block, as `ogd`. Source: the usual scheme of
    informed adaptation, Gama and others (2014), "A survey on concept drift adaptation".
    """

    Config: ClassVar[type[StrategyConfig]] = DetectRetrainConfig
    ablation_of: ClassVar[dict[str, str]] = {"retraining when drift is detected": "frozen"}
    tiny: ClassVar[dict[str, Any]] = {"pairs": 12, "batch": 4, "epochs": 1}

    def setup(self) -> None:
        """Keep the trained weights."""
        super().setup()
        self.trained = [parameter.detach().clone() for parameter in self.online.parameters]
        self.raised_left = 0

    def react(self, feedback: Feedback, *, alarmed: bool) -> None:
        """The configured action after an alarm; online steps, where it has them."""
        if self.config.action == "retrain":
            if alarmed:
                self._retrain()
            return
        if alarmed and self.config.action == "reset":
            self.online.put(self.trained)
            self.online.start_afresh()
        if self.config.action == "raise-rate":
            self.raised_left = self.config.raised_blocks if alarmed else max(0, self.raised_left - 1)
            self.online.set_rate(self.config.online_lr * (self.config.raised if self.raised_left else 1))
        self.online.learn(lambda: mean_square(self.forecast(feedback.x), feedback.y))

    def _retrain(self) -> None:
        for _ in range(self.config.epochs):
            for index in torch.from_numpy(self.rng.permutation(len(self.recent))).split(self.config.batch):
                x, y = self.recent.take(index)
                self.online.learn(lambda x=x, y=y: mean_square(self.forecast(x), y))  # type: ignore[misc]


class D3AConfig(DetectionConfig):
    """Options of `d3a`.

    Attributes:
        pairs: The latest pairs, which are learned from after an alarm.
        epochs: Steps on all of them after an alarm.
        replay: Weight of the error on pairs from before, in every step.
        before: Most pairs from before: at first training pairs, later the latest ones at the alarm before.
        noise: Deviation of noise on windows from before, in deviations of the present window; their truths stay.
        longest: Errors after which there is an alarm in any case.
    """

    pairs: PositiveInt = 16
    epochs: PositiveInt = 20
    replay: Annotated[NonNegativeFloat, Search(0.05, 5.0, log=True)] = 0.5
    before: PositiveInt = 256
    noise: NonNegativeFloat = 0.0
    longest: NonNegativeInt = 1000


@register_strategy("d3a")
class D3A(DetectsDrift):
    """D3A: a step on new pairs at each block; after an alarm, training on the latest pairs beside those from before.

    Source: Zhang and others (2024), "Addressing concept shift in online time series forecasting: detect-then-adapt".
    The noise is 0 in its code. Alarms come from errors of pairs that do not overlap.
    """

    Config: ClassVar[type[StrategyConfig]] = D3AConfig
    ablation_of: ClassVar[dict[str, str]] = {"detecting drift and replaying what was before": "ogd"}
    carries = "the weights, the optimiser's moments, the detector, and pairs of now and before"
    tiny: ClassVar[dict[str, Any]] = {"pairs": 4, "epochs": 2, "before": 6}

    def setup(self) -> None:
        """Start from the last training pairs."""
        super().setup()
        pairs = self.history.pairs(self.protocol)
        self.before = pairs.take(slice(max(0, len(pairs) - self.config.before), None))
        self.since = 0

    def react(self, feedback: Feedback, *, alarmed: bool) -> None:
        """A step on new pairs; after an alarm, more of them on the latest ones."""
        self.since += 1
        if alarmed or (self.config.longest and self.since >= self.config.longest):
            x, y = self.recent.take(self.recent.newest_first())
            for _ in range(self.config.epochs):
                self._step(x, y)
            self.before, self.since = (x, y), 0
        else:
            self._step(feedback.x, feedback.y)

    def _step(self, x: Tensor, y: Tensor) -> None:
        old_x, old_y = self._drawn(x)

        def loss() -> Tensor:
            made = self.forecast(torch.cat([x, old_x]))
            total: Tensor = mean_square(made[: len(x)], y)
            return total + self.config.replay * mean_square(made[len(x) :], old_y) if len(old_x) else total

        self.online.learn(loss)

    def _drawn(self, present: Tensor) -> tuple[Tensor, Tensor]:
        """As many pairs from before as the latest ones are, their windows with noise."""
        x, y = self.before
        if not self.config.replay:
            return x[:0], y[:0]
        chosen = self.rng.choice(len(x), min(len(x), self.config.pairs), replace=False)
        index = torch.from_numpy(chosen).to(x.device)
        x, y = x[index], y[index]
        if self.config.noise:
            drawn = torch.from_numpy(self.rng.standard_normal(x.shape)).to(x)
            x = x + self.config.noise * present[-1].std(dim=0, correction=0) * drawn
        return x, y
