"""Context selection: before each forecast, learn from the earlier pairs that are most like the present window."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field, NonNegativeFloat, PositiveInt
from torch import Tensor, nn

from bench import Feedback, Search, StrategyConfig, register_strategy
from bench.adaptation.online_optimizer import OnlineConfig, mean_square
from bench.adaptation.replay_buffers import ReplayBuffer
from bench.contracts.forecaster import parameters_of

from .online_gradient import LearnsOnline


class ContextConfig(OnlineConfig):
    """Options of context selection.

    Attributes:
        pairs: The latest matured pairs, among which is searched.
        nearest: So many of them are learned from: those whose windows are nearest (Euclidean).
        phase: Only pairs are searched whose phase in the season is the forecast's own, or up to this share of a season
            before it; for data without a season, all are.
    """

    pairs: PositiveInt = 1000
    nearest: Annotated[PositiveInt, Search(2, 50, log=True)] = 10
    phase: float = Field(0.1, ge=0, le=1)


class SelectsContext(LearnsOnline):
    """Keeps the latest matured pairs, and finds those that are like a window."""

    takes_partial: ClassVar[bool] = False
    Config: ClassVar[type[StrategyConfig]] = ContextConfig
    tiny: ClassVar[dict[str, Any]] = {"pairs": 12, "nearest": 3, "phase": 0.5}

    def setup(self) -> None:
        """Start without pairs."""
        super().setup()
        self.recent = ReplayBuffer("fifo", self.config.pairs, self.rng)
        self.starts = np.zeros(self.config.pairs, dtype=np.int64)

    def keep(self, feedback: Feedback) -> None:
        """Keep new pairs."""
        places = np.arange(self.recent.seen, self.recent.seen + len(feedback)) % self.config.pairs
        self.starts[places] = feedback.origins
        self.recent.add(feedback.x, feedback.y)

    def context(self, window: Tensor, origin: int) -> tuple[Tensor, ...]:
        """Pairs like the window ``(L, C_in)`` before an origin; none where none is in phase."""
        places = np.arange(len(self.recent))
        if season := self.history.season:
            later = (origin - self.starts[: len(places)]) % season
            places = places[later <= self.config.phase * season]
        if not len(places):
            return ()
        index = torch.from_numpy(places)
        windows = self.recent.take(index)[0]
        distance = (windows - window).flatten(1).square().sum(dim=1)
        nearest = distance.topk(min(self.config.nearest, len(distance)), largest=False).indices
        return self.recent.take(index.to(nearest.device)[nearest])


class SolidConfig(ContextConfig):
    """Options of `solid`."""

    optimizer: Literal["adam", "adamw", "sgd"] = "sgd"
    online_lr: NonNegativeFloat = 1e-3


@register_strategy("solid")
class Solid(SelectsContext):
    """SOLID: for each forecast the head takes a step on pairs like its window, and is restored afterwards.

    Source: Chen and others (KDD 2024); its filter of phases is one-sided, as in its code. The columns of the distance
    are all inputs.
    """

    Config: ClassVar[type[StrategyConfig]] = SolidConfig
    needs = frozenset({"gradients", "head"})
    carries = "the latest pairs"

    def setup(self) -> None:
        """Keep the head as it was trained."""
        super().setup()
        self.trained = [parameter.detach().clone() for parameter in self.online.parameters]

    def learning(self) -> list[nn.Parameter]:
        """The head."""
        return list(parameters_of(self.forecaster, "head").values())

    def adapt(self, feedback: Feedback) -> None:
        """Keep the pairs."""
        self.origin = feedback.now
        if self.online.learns:
            self.keep(feedback)

    def predict(self, windows: Tensor) -> Tensor:
        """Each window from a head of its own."""
        if not len(self.recent):
            return super().predict(windows)
        origins = range(self.origin, self.origin + len(windows) * self.protocol.stride, self.protocol.stride)
        return torch.cat([self._own(windows[k : k + 1], origin) for k, origin in enumerate(origins)])

    def _own(self, window: Tensor, origin: int) -> Tensor:
        """The forecast ``(1, H, C_out)`` of one window ``(1, L, C_in)``."""
        pairs = self.context(window[0], origin)
        if not pairs:
            return super().predict(window)
        x, y = pairs
        self.online.learn(lambda: mean_square(self.forecast(x), y))
        forecast = super().predict(window)
        self.online.put(self.trained)
        return forecast


class SolidPlusConfig(ContextConfig):
    """Options of `solid-pp`."""

    online_lr: NonNegativeFloat = 1e-5


@register_strategy("solid-pp")
class SolidPlus(SelectsContext):
    """SOLID++: at each block the whole forecaster takes a step on pairs like its first window, and keeps it.

    Source: Chen and others (KDD 2024), as rerun with Adam and small rates.
    """

    Config: ClassVar[type[StrategyConfig]] = SolidPlusConfig
    carries = "the weights, the optimiser's moments, and the latest pairs"
    ablation_of: ClassVar[dict[str, str]] = {"keeping what was learned, in all weights": "solid"}

    def adapt(self, feedback: Feedback) -> None:
        """Keep the pairs; learn from those like the present window."""
        if not self.online.learns:
            return
        self.keep(feedback)
        if feedback.present is not None and (pairs := self.context(feedback.present, feedback.now)):
            x, y = pairs
            self.online.learn(lambda: mean_square(self.forecast(x), y))
