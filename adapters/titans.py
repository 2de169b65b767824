"""Titans at test time: memory within a window (A), carried (B), carried with a backbone that learns (C); controls."""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator
from torch import Tensor, nn

from bench import BenchError, Feedback, Planned, Search, Strategy, StrategyConfig, register_strategy
from bench.adaptation.fused_optimizer import fused_optimizer
from bench.adaptation.online_optimizer import mean_square
from bench.adaptation.recent_pairs import RecentPairs
from bench.adaptation.shuffled import ShuffledCarry
from bench.forecasters.titans.carry import Carry, Policy
from bench.forecasters.titans.memory_bounds import Remedies
from bench.forecasters.titans.memory_state import MemoryCache


class MemoryConfig(StrategyConfig):
    """Writes of the memory in service; None means as trained.

    Attributes:
        memory_max_lr: Largest step of a write.
        neural_memory_batch_size: Tokens written against the same weights.
    """

    memory_max_lr: Annotated[PositiveFloat | None, Search(3e-3, 0.3, log=True)] = None
    neural_memory_batch_size: PositiveInt | None = None


class CarryConfig(MemoryConfig):
    """Writes, and bounds of a carried memory, applied after each unit written, in this order.

    Attributes:
        memory_pull: Share of the way back to the learned initial memory; momentum shrinks by the same share.
        memory_norm_bound: Largest norm of each memory layer's weights, in units of the initial memory's; beyond it,
            the layer goes back towards the initial memory as far as the bound. None has no bound.
        memory_reset_every: Rows between two returns to the initial memory, counted from where carrying began. None
            never returns.
    """

    memory_pull: Annotated[float, Search(0.0, 0.2)] = Field(0.0, ge=0, le=1)
    memory_norm_bound: float | None = Field(None, ge=1)
    memory_reset_every: PositiveInt | None = None

    def remedies(self) -> Remedies:
        """The bounds as the carried memory takes them."""
        return Remedies(self.memory_pull, self.memory_norm_bound, self.memory_reset_every)


class PolicyConfig(CarryConfig):
    """Writes, bounds, and when rows are written.

    Attributes:
        carry: ``exact`` writes each row once, when it leaves the window; ``window`` passes on each window's final
            memory, which writes rows repeatedly if windows overlap.
    """

    carry: Policy = "exact"


@register_strategy("titans-a")
class TitansWithinWindow(Strategy):
    """Titans A: the memory writes within the window and is thrown away after the forecast."""

    Config: ClassVar[type[StrategyConfig]] = MemoryConfig
    group: ClassVar[Any] = "core"
    ablation_of: ClassVar[dict[str, str]] = {"writing within the window": "frozen"}
    memory_of = "tokens (needs no labels)"
    colour = "#56b4e9"
    uses_forecaster = True
    reads_exogenous: ClassVar[bool] = False
    needs = frozenset({"memory"})

    @classmethod
    def check_service(cls, config: Any, planned: Planned) -> None:
        """Require a memory that can write in such batches, and be carried if this strategy carries it."""
        if check := getattr(planned.forecaster, "check_memory", None):
            carried = issubclass(cls, TitansCarried)
            check(planned.options, planned.task, config.neural_memory_batch_size, carried=carried)

    def setup(self) -> None:
        """Set the memory as configured; nothing learns by gradients."""
        self.forecaster.requires_grad_(requires_grad=False)
        self.forecaster.set_memory(self.config.memory_max_lr, self.config.neural_memory_batch_size)

    @torch.no_grad()
    def predict(self, windows: Tensor) -> Tensor:
        """Start each window from the learned initial memory."""
        return self.forecaster(windows)  # type: ignore[no-any-return]

    def trace(self) -> dict[str, float]:
        """Seconds that compiling took so far, if the forecaster is compiled."""
        return {"compile_s": self.forecaster.compiled.seconds} if self.forecaster.compile_forward else {}


@register_strategy("titans-b")
class TitansCarried(TitansWithinWindow):
    """Titans B: the memory is carried from window to window; the backbone is fixed."""

    Config: ClassVar[type[StrategyConfig]] = PolicyConfig
    carries = "the memory"
    ablation_of: ClassVar[dict[str, str]] = {
        "carrying the memory": "titans-a",
        "writing on during service": "titans-b-stale",
        "writing in order": "titans-b-shuffled",
        "carrying exactly": "titans-b-window",
    }
    memory_of = "tokens (needs no labels)"
    colour = "#0072b2"

    def setup(self) -> None:
        """Start the carried memory one window before the first origin."""
        super().setup()
        self.forecaster.freeze_non_memory_params()
        self.memory = self.new_carry()
        self.origin = len(self.history)

    def policy(self) -> Policy:
        """When rows are written."""
        return self.config.carry  # type: ignore[no-any-return]

    def new_carry(self, remembered: int = 1) -> Carry:
        """The memory before anything is carried."""
        lookback, remedies = self.protocol.lookback, self.config.remedies()
        return Carry(self.forecaster, self.history.inputs, lookback, self.policy(), remembered, remedies)

    def writes(self) -> bool:
        """Whether new rows are still written into the carried memory."""
        return True

    def observe(self, rows: Tensor) -> None:
        """Write the rows that have left the window."""
        if self.writes():
            self.memory.observe(rows)
        self.origin += len(rows)

    @torch.no_grad()
    def predict(self, windows: Tensor) -> Tensor:
        """Start every window of the block from the memory carried so far."""
        cache = self.memory.cache
        if self.policy() == "exact" or not self.writes():
            return self.forecaster(windows, cache)  # type: ignore[no-any-return]
        forecast, after = self.forecaster(windows, cache, return_cache=True)
        last = self.origin + (len(windows) - 1) * self.protocol.stride
        self.memory.hand_over(after.last(), last)
        return forecast  # type: ignore[no-any-return]

    def trace(self) -> dict[str, float]:
        """Also the norm of the carried memory, in units of the learned initial one's, and its half-life in rows."""
        return super().trace() | {"memory_norm": self.memory.norm(), "memory_half_life": self.memory.half_life()}


class BackboneConfig(PolicyConfig):
    """Options of Titans B, and how the backbone learns.

    Attributes:
        optimizer: ``adam``, ``adamw`` or ``sgd``.
        online_lr: Step size.
        weight_decay: As a part of the gradient; with ``adamw``, apart from it.
        momentum: Of ``sgd``; the others have their own.
        online_clip: Largest norm of the gradient; None (in TOML, ``"none"``) does not clip.
        steps: Steps at each release of matured pairs.
        recent_pairs: Pairs in a batch: the latest that matured, older ones too where fewer are new. None takes the
            new ones, all of them.
        pair_memory: What a pair's window starts from: the memory that held ``then``, when that window began, or the
            one carried ``now``.
        trains: All parameters, those outside the memory, or the prediction head only.
        trains_anchor: Whether the ridge regression learns too that anchors targets which are not inputs.
    """

    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    online_lr: Annotated[PositiveFloat, Search(1e-6, 1e-2, log=True)] = 1e-4
    weight_decay: NonNegativeFloat = 0.0
    momentum: float = Field(0.0, ge=0, lt=1)
    online_clip: Annotated[PositiveFloat | None, BeforeValidator(lambda v: None if v == "none" else v)] = 1.0
    steps: PositiveInt = 1
    recent_pairs: PositiveInt | None = None
    pair_memory: Literal["then", "now"] = "then"
    trains: Literal["all", "backbone", "head"] = "all"
    trains_anchor: bool = False

    @model_validator(mode="after")
    def _require_sgd(self) -> Self:
        if self.momentum and self.optimizer != "sgd":
            raise BenchError(
                f"titans-c: momentum={self.momentum} belongs to optimizer 'sgd'; {self.optimizer!r} has its own. "
                'Leave momentum out, or set optimizer = "sgd".'
            )
        return self

    def optimizer_of(self, parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        """The optimiser, over some parameters."""
        options = {"lr": self.online_lr, "weight_decay": self.weight_decay}
        if self.optimizer == "sgd":
            options["momentum"] = self.momentum
        return fused_optimizer(self.optimizer, parameters, **options)


@register_strategy("titans-c")
class TitansTrained(TitansCarried):
    """Titans C: the memory is carried, and the backbone takes a clipped step on matured pairs."""

    Config: ClassVar[type[StrategyConfig]] = BackboneConfig
    needs = frozenset({"memory", "gradients"})
    takes_partial: ClassVar[bool] = True
    heavy = True
    carries: ClassVar[str] = "the memory, the weights, the optimiser's moments, and pairs where `recent_pairs` is set"
    ablation_of: ClassVar[dict[str, str]] = {"training the backbone": "titans-b"}
    colour = "#d55e00"

    def setup(self) -> None:
        """Choose what learns."""
        super().setup()
        learning = self._learning()
        for parameter in self.forecaster.parameters():
            parameter.requires_grad_(id(parameter) in learning)
        self.learning = [p for p in self.forecaster.parameters() if p.requires_grad]
        self.optimizer = self.config.optimizer_of(self.learning)
        self.recent: RecentPairs | None = None

    def new_carry(self, remembered: int = 1) -> Carry:
        """The memory before anything is carried, with enough earlier states for the windows of new pairs."""
        if self.config.pair_memory == "now":
            return super().new_carry(remembered)
        protocol = self.protocol
        exact, between = self.policy() == "exact", protocol.stride * protocol.block
        kept_every = self.forecaster.write_unit(protocol.lookback)[0] if exact else between
        # How far back the window of a new pair began: two blocks are up to a horizon further apart where the stream
        # begins, and the position of an exact state already lies a lookback before the origin.
        back = 2 * protocol.horizon + protocol.delay + between + (0 if exact else protocol.lookback)
        return super().new_carry(2 + back // kept_every)

    def adapt(self, feedback: Feedback) -> None:
        """Steps on the pairs that matured, on older ones where configured, and on partial labels."""
        if not len(feedback) and not feedback.partial:
            return
        pairs, known = self._pairs(feedback), None
        if feedback.partial:
            known = torch.cat([pairs.y.new_ones(pairs.y.shape[:2], dtype=torch.bool), feedback.partial.known])
            pairs = pairs.with_partial(feedback.partial, self._memories(feedback.partial.origins))
        start = pairs.start(self.memory.cache)
        for _ in range(self.config.steps):
            loss = mean_square(self.forecaster(pairs.x, start), pairs.y, known)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            if self.config.online_clip is not None:
                nn.utils.clip_grad_norm_(self.learning, self.config.online_clip)
            self.optimizer.step()

    def _pairs(self, feedback: Feedback) -> RecentPairs:
        """The pairs of a step."""
        pairs = RecentPairs(feedback.x, feedback.y, self._memories(feedback.origins))
        if self.config.recent_pairs is not None:
            pairs = self.recent = (self.recent or pairs.none()).then(pairs, self.config.recent_pairs)
        return pairs

    def _memories(self, origins: NDArray[np.int64]) -> tuple[MemoryCache, ...] | None:
        """The memories at the start of the windows before some origins; None for the present memory."""
        if self.config.pair_memory == "now":
            return None
        return tuple(self.memory.at(int(s) - self.protocol.lookback) for s in origins)

    def _learning(self) -> set[int]:
        """Which parameters learn, by identity."""
        model = self.forecaster
        parts: dict[str, set[int]] = {
            "all": _parameters(model),
            "backbone": _parameters(model) - _parameters(*model.memories),
            "head": _parameters(model.prediction_head),
        }
        # The module that receives the memory's weights has none of its own.
        fixed = _parameters(*(module.memory_model for module in model.memories))
        anchor = _parameters(model.normalization.anchor) if model.normalization.anchor is not None else set()
        learning = parts[self.config.trains] - fixed - anchor
        return learning | anchor if self.config.trains_anchor else learning


def _parameters(*modules: nn.Module) -> set[int]:
    return {id(p) for module in modules for p in module.parameters()}


@register_strategy("titans-b-stale")
class TitansStale(TitansCarried):
    """Control: Titans B whose memory is never written again once the stream has begun."""

    group = "control"
    carries = "the memory as it stood at the start of the stream"
    colour = "#cc79a7"

    def writes(self) -> bool:
        """Only what was released before the stream is written."""
        return self.origin < self.history.stream_start

    def trace(self) -> dict[str, float]:
        """As Titans B; a memory that is never written again does not fade."""
        traced = super().trace()
        if not self.writes() and not math.isnan(traced["memory_half_life"]):
            traced["memory_half_life"] = math.inf
        return traced


@register_strategy("titans-b-window")
class TitansWindow(TitansCarried):
    """Control: Titans B that hands on each window's final memory, even where windows overlap."""

    Config = CarryConfig
    group = "control"
    colour = "#332288"

    def policy(self) -> Policy:
        """Rows are written by every window that holds them."""
        return "window"


class ShuffledConfig(CarryConfig):
    """Writes, bounds, and how far the order is shuffled.

    Attributes:
        waiting_units: Units in the full pool from which one is drawn and written as each new one arrives; 1 writes in
            order.
    """

    waiting_units: PositiveInt = 8


@register_strategy("titans-b-shuffled")
class TitansShuffled(TitansCarried):
    """Control: Titans B that writes the rows which have left the window in shuffled order."""

    Config = ShuffledConfig
    group = "control"
    colour = "#882255"
    carries = "the memory, and units that wait to be written"
    tiny: ClassVar[dict[str, Any]] = {"waiting_units": 3}

    def policy(self) -> Policy:
        """Each row is written once."""
        return "exact"

    def new_carry(self, remembered: int = 1) -> Carry:
        """The memory before anything is carried, with an empty pool."""
        lookback, most = self.protocol.lookback, self.config.waiting_units
        return ShuffledCarry(
            self.forecaster, self.history.inputs, lookback, self.rng, most, remembered, self.config.remedies()
        )
