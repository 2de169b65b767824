"""Replay: online gradient descent that learns from earlier matured pairs too."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import NonNegativeFloat, NonNegativeInt, PositiveInt
from torch import Tensor

from bench import Feedback, Search, StrategyConfig, register_strategy
from bench.adaptation.online_optimizer import OnlineConfig, mean_square
from bench.adaptation.replay_buffers import Kind, ReplayBuffer, most_interfered

from .online_gradient import LearnsOnline


class ReplayConfig(OnlineConfig):
    """Options of replay.

    Attributes:
        buffer: ``reservoir``, each pair so far with the same chance, or ``fifo``, the latest.
        size: Most pairs in the buffer; 0 replays none.
        batch: Pairs that are replayed at each step.
        least: No pair is replayed before the buffer holds so many.
        w_truth: Weight of the error against the truth of replayed pairs; new pairs have weight 1.
        w_output: Weight of the distance to what was forecast for replayed pairs when they were new.
        pick: ``uniform``, or ``interference``: those whose loss a step on the new pairs would raise most.
        candidates: Drawn pairs that ``interference`` picks from.
        new_term: Whether new pairs have a term of their own; otherwise they are learned from by replay alone.
        enters: Whether a new pair may be replayed ``before`` or only ``after`` the step in which it is new.
    """

    buffer: Kind = "reservoir"
    size: NonNegativeInt = 500
    batch: PositiveInt = 8
    least: PositiveInt = 1
    w_truth: Annotated[NonNegativeFloat, Search(0.05, 2.0, log=True)] = 0.2
    w_output: NonNegativeFloat = 0.0
    pick: Literal["uniform", "interference"] = "uniform"
    candidates: PositiveInt = 50
    new_term: bool = True
    enters: Literal["before", "after"] = "after"


class Replay(LearnsOnline):
    """A step on new pairs and on replayed ones, in one pass."""

    takes_partial: ClassVar[bool] = False
    Config: ClassVar[type[StrategyConfig]] = ReplayConfig
    takes_issued = True
    carries = "the weights, the optimiser's moments, and a buffer of pairs"
    tiny: ClassVar[dict[str, Any]] = {"size": 10, "batch": 3, "candidates": 5}

    def setup(self) -> None:
        """Start with an empty buffer."""
        super().setup()
        self.buffer = ReplayBuffer(self.config.buffer, self.config.size, self.rng)

    def adapt(self, feedback: Feedback) -> None:
        """Learn, and keep the pairs with their forecasts as they were issued."""
        if not len(feedback):
            return
        if self.config.enters == "before":
            self._add(feedback)
        if self.online.learns:
            self._learn(feedback)
        if self.config.enters == "after":
            self._add(feedback)

    def _add(self, feedback: Feedback) -> None:
        issued = feedback.issued
        self.buffer.add(feedback.x, feedback.y, torch.full_like(feedback.y, torch.nan) if issued is None else issued)

    def _learn(self, feedback: Feedback) -> None:
        x, y = (feedback.x, feedback.y) if self.config.new_term else (feedback.x[:0], feedback.y[:0])
        replayed = self._pick(x, y) if len(self.buffer) >= self.config.least else ()
        if not len(x) and not replayed:
            return
        new = len(x)
        both = torch.cat([x, replayed[0]]) if replayed else x

        def loss() -> Tensor:
            forecast = self.forecast(both)
            total: Tensor = mean_square(forecast[:new], y) if new else forecast.new_zeros(())
            if not replayed:
                return total
            (_, truth, issued), again = replayed, forecast[new:]
            total = total + self.config.w_truth * mean_square(again, truth)
            known = ~issued.isnan().flatten(1).any(dim=1)
            if self.config.w_output and known.any():
                total = total + self.config.w_output * mean_square(again[known], issued[known])
            return total

        self.online.learn(loss)

    def _pick(self, x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
        if self.config.pick == "uniform" or not len(x):
            return self.buffer.draw(self.config.batch)
        drawn = self.buffer.draw(self.config.candidates)

        def losses() -> Tensor:
            squares: Tensor = (self.forecast(drawn[0]) - drawn[1]).square()
            return squares.mean(dim=(1, 2))

        new_loss = mean_square(self.forecast(x), y)
        chosen = most_interfered(self.online.parameters, new_loss, self._virtual_rate(), losses, self.config.batch)
        return tuple(column[chosen] for column in drawn)

    def _virtual_rate(self) -> float:
        """That of pre-training, as published."""
        return float(self.forecaster.recipe.config.training.lr)


@register_strategy("er")
class ExperienceReplay(Replay):
    """Experience replay: earlier pairs, drawn at random, are learned from again with each new one.

    Source: Chaudhry and others (2019, arXiv 1902.10486); weights and sizes as in FSNet's code (Pham and others, ICLR
    2023).
    """

    ablation_of: ClassVar[dict[str, str]] = {"replaying earlier pairs": "ogd"}


class DERConfig(ReplayConfig):
    """Options of `der-pp`: those of replay, with both terms."""

    w_output: Annotated[NonNegativeFloat, Search(0.05, 2.0, log=True)] = 0.2


@register_strategy("der-pp")
class DarkExperienceReplay(Replay):
    """DER++: replayed pairs are held to their truth and to what was forecast when they were new.

    Source: Buzzega and others (NeurIPS 2020); weights and sizes as in FSNet's code. The forecast is the one that was
    issued.
    """

    Config: ClassVar[type[StrategyConfig]] = DERConfig
    ablation_of: ClassVar[dict[str, str]] = {"holding on to earlier forecasts": "er"}


class MIRConfig(ReplayConfig):
    """Options of `mir`: those of replay, with interfered pairs at full weight."""

    batch: PositiveInt = 16
    w_truth: NonNegativeFloat = 1.0
    pick: Literal["uniform", "interference"] = "interference"


@register_strategy("mir")
class MaximallyInterfered(Replay):
    """MIR: the earlier pairs are replayed whose error a step on the new ones would raise most.

    Source: Aljundi and others (NeurIPS 2019), with its 50 candidates; weight and batch as in the published reruns for
    forecasters.
    """

    Config: ClassVar[type[StrategyConfig]] = MIRConfig
    ablation_of: ClassVar[dict[str, str]] = {"replaying the most interfered pairs": "er"}


class SlowConfig(ReplayConfig):
    """Options of `dsof-slow`: a batch of the latest pairs, the new ones among them."""

    optimizer: Literal["adam", "adamw", "sgd"] = "adamw"
    buffer: Kind = "fifo"
    size: NonNegativeInt = 300
    batch: PositiveInt = 32
    least: PositiveInt = 32
    w_truth: NonNegativeFloat = 1.0
    new_term: bool = False
    enters: Literal["before", "after"] = "before"


@register_strategy("dsof-slow")
class SlowStream(Replay):
    """The slow stream of DSOF, without its student: a batch of the latest 300 pairs at each step.

    Source: Lau and others (ICLR 2025), the ablation "without student".
    """

    Config: ClassVar[type[StrategyConfig]] = SlowConfig
    tiny: ClassVar[dict[str, Any]] = {"size": 10, "batch": 3, "least": 3}
