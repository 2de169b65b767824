"""FSNet: steps on new pairs, with controllers that scale each convolution by an average of its gradients."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from bench import Feedback, StrategyConfig, register_strategy
from bench.adaptation.online_optimizer import OnlineConfig

from .online_gradient import LearnsOnline


class FSNetConfig(OnlineConfig):
    """Options of `fsnet`.

    Attributes:
        memory: ``paper``: where the fast and the slow average of gradients conflict, earlier multipliers are recalled
            and present ones written; ``off``: never.
    """

    optimizer: Literal["adam", "adamw", "sgd"] = "adamw"
    memory: Literal["paper", "off"] = "paper"


@register_strategy("fsnet")
class FSNet(LearnsOnline):
    """FSNet: gradient steps, controllers that follow the gradients, and a memory of earlier multipliers.

    Source: Pham and others (ICLR 2023). The memory is the paper's: what is read is weighted by attention, and what is
    written are the present multipliers. In the public code the index numbers of columns are the weights, and what was
    read is written back.
    """

    Config: ClassVar[type[StrategyConfig]] = FSNetConfig
    needs = frozenset({"gradients", "controllers"})
    takes_partial = False
    ablation_of: ClassVar[dict[str, str]] = {"controllers that follow the gradients in service": "ogd"}
    carries = "the weights, the optimiser's moments, averages of gradients, and earlier multipliers"
    tiny: ClassVar[dict[str, Any]] = {}

    def setup(self) -> None:
        """Nothing was recalled yet."""
        super().setup()
        self.recalled = 0

    def adapt(self, feedback: Feedback) -> None:
        """A step; then the controllers take in its gradients."""
        before = self.online.taken
        super().adapt(feedback)
        if self.online.taken > before:
            remembers = self.config.memory == "paper"
            self.recalled += sum(layer.take_in(remembers=remembers) for layer in self.forecaster.controlled())

    def trace(self) -> dict[str, float]:
        """Also how often a convolution recalled earlier multipliers."""
        return super().trace() | {"recalled": float(self.recalled)}
