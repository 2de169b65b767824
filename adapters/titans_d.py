"""Titans D: a memory of errors is carried, and of tokens within a window only; its controls; and D on top of C."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor

from bench import BenchError, Feedback, Planned, StrategyConfig, register_strategy
from bench.adaptation.error_memory import ErrorMemoryConfig, RemembersErrors

from .titans import BackboneConfig, MemoryConfig, TitansTrained, TitansWithinWindow

CARRIES = "the memory of errors"


class WithinWindowAndErrorsConfig(MemoryConfig, ErrorMemoryConfig):
    """Options of Titans A, and of the memory of errors."""


@register_strategy("titans-d")
class TitansD(RemembersErrors, TitansWithinWindow):
    """Titans D: what matured pairs show that forecasts missed is remembered by window; the backbone is fixed."""

    Config: ClassVar[type[StrategyConfig]] = WithinWindowAndErrorsConfig
    carries: ClassVar[str] = CARRIES
    ablation_of: ClassVar[dict[str, str]] = {
        "remembering errors": "titans-a",
        "writing errors during service": "titans-d-stale",
        "keeping windows and errors together": "titans-d-shuffled",
        "the transformer under a memory of errors": "ridge-d",
    }
    memory_of = "errors (learns from matured labels)"
    colour = "#6a3d9a"


@register_strategy("titans-d-stale")
class TitansDStale(TitansD):
    """Control: Titans D whose memory of errors is never written again once the stream has begun."""

    group = "control"
    carries: ClassVar[str] = "the memory of errors as it stood at the start of the stream"
    colour = "#b294c7"

    def setup(self) -> None:
        """Count rows."""
        super().setup()
        self.origin = len(self.history)

    def observe(self, rows: Tensor) -> None:
        """Count rows."""
        super().observe(rows)
        self.origin += len(rows)

    def remembers(self) -> bool:
        """Only pairs that were released before the stream are written."""
        return super().remembers() and self.origin < self.history.stream_start


class ShuffledErrorsConfig(WithinWindowAndErrorsConfig):
    """Options of Titans D.

    Attributes:
        waiting_errors: Pairs whose errors wait in the pool from which each window draws one.
    """

    waiting_errors: PositiveInt = 512


@register_strategy("titans-d-shuffled")
class TitansDShuffled(TitansD):
    """Control: Titans D that writes each window with what was missed on another one."""

    Config: ClassVar[type[StrategyConfig]] = ShuffledErrorsConfig
    group = "control"
    carries: ClassVar[str] = "the memory of errors, and errors that wait to be written"
    tiny: ClassVar[dict[str, Any]] = {"waiting_errors": 8}
    colour = "#8a6f5c"

    def setup(self) -> None:
        """Start with an empty pool."""
        super().setup()
        self._pool: list[Tensor] = []

    def missed(self, feedback: Feedback, forecasts: Tensor) -> Tensor:
        """Errors drawn from the pool; those of each pair take the place of the ones that it drew."""
        drawn = []
        for own in super().missed(feedback, forecasts):
            if len(self._pool) < self.config.waiting_errors:
                self._pool.append(own)
            i = int(self.rng.integers(len(self._pool)))
            drawn.append(self._pool[i])
            self._pool[i] = own
        return torch.stack(drawn)


class BackboneAndErrorsConfig(BackboneConfig, ErrorMemoryConfig):
    """Options of Titans C, with a smaller step by default, and of the memory of errors."""

    online_lr: PositiveFloat = 1e-6


@register_strategy("titans-cd")
class TitansCD(RemembersErrors, TitansTrained):
    """Titans C with the memory of errors of D: the backbone learns by gradients, and what it misses is remembered."""

    Config: ClassVar[type[StrategyConfig]] = BackboneAndErrorsConfig
    carries = f"{TitansTrained.carries}, and {CARRIES}"
    ablation_of: ClassVar[dict[str, str]] = {
        "remembering errors, beside training": "titans-c",
        "training the backbone, beside a memory of errors": "titans-d",
    }
    colour = "#e31a1c"

    @classmethod
    def check_service(cls, config: Any, planned: Planned) -> None:
        """Require also the exact rule of carrying: pairs are forecast from the memory of tokens, and leave none."""
        super().check_service(config, planned)
        if config.carry != "exact":
            raise BenchError('titans-cd: carry must be "exact". Leave carry out.')
