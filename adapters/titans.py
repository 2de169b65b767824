"""Titans at test time: memory within a window (A), carried (B), carried with a backbone that learns (C); controls."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor, nn

from bench import Feedback, Strategy, StrategyConfig, register_strategy
from bench.forecasters.carry import Carry, Policy
from bench.forecasters.memory import MemoryCache


class MemoryConfig(StrategyConfig):
    """How the memory writes in service; None means as trained.

    Attributes:
        memory_max_lr: Largest step of a write.
        neural_memory_batch_size: Tokens written against the same weights.
    """

    memory_max_lr: PositiveFloat | None = None
    neural_memory_batch_size: PositiveInt | None = None


class CarryConfig(MemoryConfig):
    """The same, and what is carried.

    Attributes:
        carry: ``exact`` writes each row once, when it leaves the window; ``window`` hands on each window's final
            memory, which writes rows again and again where windows overlap.
    """

    carry: Policy = "exact"


@register_strategy("titans-a")
class TitansWithinWindow(Strategy):
    """Titans A: the memory writes within the window and is thrown away after the forecast."""

    Config: ClassVar[type[StrategyConfig]] = MemoryConfig
    group: ClassVar[Any] = "core"
    uses_forecaster = True
    needs = frozenset({"memory"})

    def setup(self) -> None:
        """Set the memory as configured."""
        self.forecaster.set_memory(self.config.memory_max_lr, self.config.neural_memory_batch_size)

    @torch.no_grad()
    def predict(self, windows: Tensor) -> Tensor:
        """Start each window from the learned initial memory."""
        return self.forecaster(windows)  # type: ignore[no-any-return]


@register_strategy("titans-b")
class TitansCarried(TitansWithinWindow):
    """Titans B: the memory is carried from window to window; the backbone is fixed."""

    Config = CarryConfig
    carries = "the memory"

    def setup(self) -> None:
        """Start the carried memory one window before the first origin."""
        super().setup()
        self.forecaster.freeze_non_memory_params()
        protocol = self.protocol
        exact, between = self.config.carry == "exact", protocol.stride * protocol.block
        kept_every = self.forecaster.write_unit(protocol.lookback)[0] if exact else between
        # How far back the window of a new pair began: two blocks are up to a horizon further apart where the stream
        # begins, and the position of an exact state already lies a lookback before the origin.
        back = 2 * protocol.horizon + between + (0 if exact else protocol.lookback)
        remembered = 2 + back // kept_every
        self.memory = Carry(
            self.forecaster, self.history.inputs, protocol.lookback, self.config.carry, remembered=remembered
        )
        self.origin = len(self.history)

    def writes(self) -> bool:
        """Whether what is seen now still enters the carried memory."""
        return True

    def observe(self, rows: Tensor) -> None:
        """Write the rows that have left the window."""
        if self.writes():
            self.memory.observe(rows)
        self.origin += len(rows)

    def trace(self) -> dict[str, float]:
        """Norm of the carried weights over that of the learned initial memory."""
        return {"memory_norm": self.memory.cache.norm() / self.forecaster.initial_cache().norm()}

    @torch.no_grad()
    def predict(self, windows: Tensor) -> Tensor:
        """Start every window of the block from the memory carried so far."""
        cache = self.memory.cache
        if self.config.carry == "exact" or not self.writes():
            return self.forecaster(windows, cache)  # type: ignore[no-any-return]
        forecast, after = self.forecaster(windows, cache, return_cache=True)
        last = self.origin + (len(windows) - 1) * self.protocol.stride
        self.memory.hand_over(after.last(), last)
        return forecast  # type: ignore[no-any-return]


class BackboneConfig(CarryConfig):
    """The same, and how the backbone learns.

    Attributes:
        online_lr: Adam's step size.
        online_clip: Largest norm of the gradient.
        trains: All parameters, those outside the memory, or the prediction head only.
    """

    online_lr: PositiveFloat = 1e-4
    online_clip: PositiveFloat = 1.0
    trains: Literal["all", "backbone", "head"] = "all"


@register_strategy("titans-c")
class TitansTrained(TitansCarried):
    """Titans C: the memory is carried, and the backbone takes a clipped Adam step on each newly matured batch."""

    Config = BackboneConfig
    needs = frozenset({"memory", "gradients"})
    carries = "the memory, the weights and Adam's moments"

    def setup(self) -> None:
        """Choose what learns."""
        super().setup()
        model = self.forecaster
        memory = {id(p) for module in model.memories for p in module.parameters()}
        head = {id(p) for p in model.prediction_head.parameters()}
        for parameter in model.parameters():
            learns = {"all": True, "backbone": id(parameter) not in memory, "head": id(parameter) in head}
            parameter.requires_grad_(learns[self.config.trains])
        for module in model.memories:  # holds no weights of its own: the memory's are poured into it
            module.memory_model.requires_grad_(requires_grad=False)
        self.learning = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.Adam(self.learning, lr=self.config.online_lr)

    def adapt(self, feedback: Feedback) -> None:
        """One step on the pairs that matured; each starts from the memory that held when its window began."""
        if not len(feedback):
            return
        caches = [self.memory.at(int(s) - self.protocol.lookback) for s in feedback.origins]
        loss = nn.functional.mse_loss(self.forecaster(feedback.x, MemoryCache.stack(caches)), feedback.y)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.learning, self.config.online_clip)
        self.optimizer.step()


@register_strategy("titans-b-stale")
class TitansStale(TitansCarried):
    """Control: Titans B whose memory is never written again once the stream has begun."""

    group = "control"
    carries = "the memory as it stood at the start of the stream"

    def writes(self) -> bool:
        """Only what was released before the stream is written."""
        return self.origin < self.history.stream_start
