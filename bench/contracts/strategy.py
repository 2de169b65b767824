"""The Strategy contract: what is done to a forecaster while it is in service."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from bench.contracts.config import Config
from bench.contracts.forecaster import Pairs, abilities
from bench.contracts.protocol import Protocol
from bench.contracts.registry import Registry, not_a, not_a_config

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn
    from torch.nn import Parameter

    from bench.contracts.forecaster import Task

Group = Literal["core", "control", "leaky", "literature", "user"]
GROUPS: tuple[str, ...] = get_args(Group)
COLOUR = "#[0-9a-f]{6}"


class StrategyConfig(Config):
    """Options of a strategy; subclass it as ``Config`` inside the strategy's class."""


@dataclass(frozen=True)
class History:
    """The rows released before service begins: training rows, and validation rows without a warm start.

    Attributes:
        inputs: ``(N, C_in)`` float32 on the run's device, scaled. ``N`` is also the row of the first origin.
        targets: ``(N, C_out)`` likewise; a target that was not released is NaN.
        target_index: Where each target stands among the inputs; None when the targets are not inputs.
        season: Rows in one season, or None.
        stream_start: Row of the first origin that counts; rows between ``N`` and it are the warm start.
    """

    inputs: Tensor
    targets: Tensor
    target_index: tuple[int, ...] | None
    season: int | None
    stream_start: int

    def __len__(self) -> int:
        return len(self.inputs)

    def pairs(self, protocol: Protocol) -> Pairs:
        """The pairs that the rows hold, in order: those with a whole window, and a truth without hidden targets."""
        L, H = protocol.lookback, protocol.horizon
        known = ~self.targets.isnan().any(dim=1)
        whole = known.unfold(0, H, 1).all(dim=1) if len(known) >= H else known[:0]
        return Pairs(self.inputs, self.targets, whole[L:].nonzero().flatten() + L, L, H)


@dataclass(frozen=True)
class PartialLabels:
    """Pairs whose truth has begun and is not over: what of each is known by now, in order.

    Attributes:
        x: ``(Q, L, C_in)`` float32 windows, scaled.
        y: ``(Q, H, C_out)`` float32 truths, scaled; 0 where they are not known yet.
        known: ``(Q, H)`` bool: the first rows of each truth, at least one.
        origins: ``(Q,)`` int64: the row where each truth starts.
    """

    x: Tensor
    y: Tensor
    known: Tensor
    origins: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.origins)

    def to(self, device: torch.device) -> PartialLabels:
        """The same, on a device."""
        return replace(self, x=self.x.to(device), y=self.y.to(device), known=self.known.to(device))


@dataclass(frozen=True)
class Feedback:
    """Newly matured pairs, in order; there may be none.

    Attributes:
        x: ``(P, L, C_in)`` float32 windows, scaled.
        y: ``(P, H, C_out)`` float32 truths, scaled.
        origins: ``(P,)`` int64: the row where each truth starts.
        partial: Where labels are ``partial`` and the class says ``takes_partial``, the pairs that have begun since;
            each comes at every block until it matures. None otherwise.
        now: Row of the block's first origin: rows before it are known.
        present: ``(L, C_in)`` float32, scaled: the window of the block's first origin, whose forecast is asked next.
        issued: ``(P, H, C_out)`` float32, scaled: what the strategy had forecast for each pair; NaN where its origin
            was not forecast, as between strides. None unless the class says ``takes_issued``.
    """

    x: Tensor
    y: Tensor
    origins: NDArray[np.int64]
    partial: PartialLabels | None = None
    now: int = 0
    present: Tensor | None = None
    issued: Tensor | None = None

    def __len__(self) -> int:
        return len(self.origins)

    def to(self, device: torch.device) -> Feedback:
        """The same, on a device."""
        moved = {name: getattr(self, name) for name in ("x", "y", "partial", "present", "issued")}
        return replace(self, **{name: value.to(device) for name, value in moved.items() if value is not None})


@dataclass(frozen=True)
class StrategyContext:
    """Everything a strategy is given, and nothing else."""

    config: Any
    forecaster: Any
    history: History
    protocol: Protocol
    rng: np.random.Generator
    device: torch.device
    parts: Any = None

    def __post_init__(self) -> None:
        # its own copy: one that is written to, past its being frozen, must not decide what is released when
        object.__setattr__(self, "protocol", self.protocol.model_copy())


@dataclass(frozen=True)
class Planned:
    """A run that is to be, as far as options tell.

    Attributes:
        protocol: Lookback, horizon, stride, block, labels.
        task: The shapes to serve.
        history: Rows that are released before service.
        forecaster: Class of what is adapted; None without one.
        options: Its options; None without one.
    """

    protocol: Protocol
    task: Task
    history: int
    forecaster: type[Any] | None = None
    options: Any = None


class Together:
    """Serves the streams of M strategies in one pass, each as it would be served alone; see `Strategy.together`.

    It is handed what a strategy is: copies of released rows, its own to write to. Afterwards each strategy's ``trace``
    answers as it would have.
    """

    def observe(self, rows: Tensor) -> None:
        """Rows ``(n, C_in)`` that became visible since the last block; called where strategies have an ``observe``."""

    def adapt(self, feedback: Feedback) -> None:
        """Learn from newly matured pairs; called where strategies have an ``adapt``."""

    def predict(self, windows: Tensor) -> Tensor | NDArray[np.floating[Any]]:
        """Forecast one block.

        Args:
            windows: ``(K, L, C_in)``.

        Returns:
            ``(M, K, H, C_out)``, scaled, in the order of the strategies. One that is not finite stops its own only.
        """
        raise NotImplementedError(f"{type(self).__name__} has no predict(self, windows)")


class Strategy:
    """Serves forecasts over a stream; subclass it and write ``predict``.

    The harness calls, block after block, ``observe`` (new rows), ``adapt`` (newly matured pairs) and ``predict``.
    Arrays that it hands over are the strategy's own copies of released rows; float32, scaled, on ``self.device``.

    Attributes:
        config: An instance of the class's ``Config``.
        forecaster: Pre-trained, its own copy; None unless the class says ``uses_forecaster``.
        history: The rows released before service.
        protocol: Lookback, horizon, stride, block.
        rng: Seeded by the run.
        device: Where tensors live.
        parts: Networks of its own, trained before service (`make_parts`); its own copy. None for most.

    Class attributes:
        Config: The options, overridable from TOML and the command line.
        group: ``core``, ``control``, ``leaky``, ``literature`` or ``user``.
        uses_forecaster: Whether it adapts a forecaster; if so it runs once for each one of the experiment.
        needs: What the forecaster must offer: ``gradients``, ``memory``, ``head``, ``backbone``, ``functional``,
            ``any-window``.
        reads_exogenous: False for a strategy that does not itself look at inputs which are no targets, where the
            targets are inputs too; what its forecaster does with them is the forecaster's to say.
        reads: False for a strategy whose forecasts depend on no row at all.
        labels_from_rows: Whether it takes the truth from rows that it observes. Under sparse or late labels it then has
            targets that the protocol withholds from others, and is not ranked, unless the targets are no inputs.
        takes_partial: Whether it learns from labels that are known in part (``Feedback.partial``). Otherwise it is
            given ``matured`` labels where the protocol's are ``partial``, and the two are carried out once.
        takes_issued: Whether feedback brings what it had forecast for the pairs (``Feedback.issued``).
        pretrain_options: Fields of ``Config`` that decide what ``parts`` are and how they are trained.
        heavy: Whether it trains in service: its runs take long, and are started early.
        carries: What lasts from one block to the next, in a few words; printed in the report.
        tiny: Values of ``Config`` that make it cheap, for the contract checks.
        depends_on: Data files that it reads, relative to its own file: where one changes, its runs are new ones.
        adapts: False for one whose model is the same at all times; reports do not ask whether its adapting pays.
        ablation_of: What it does and another strategy does not, as the subject of a sentence, and that strategy's name:
            ``{"carrying the memory": "without-memory"}``. A report compares the two. Subclasses do not inherit it.
        lacks: The same, said by the other one: ``{"carrying the memory": "with-memory"}``.
        memory_of: What it remembers and which labels that needs, where its ``ablation_of`` asks what a memory is worth:
            ``"errors (learns from matured labels)"``. A report answers for each such text apart. Not inherited either.
        colour: In figures, ``#rrggbb``; subclasses do not inherit it. By default reports choose one.

    The last four and ``labels_from_rows`` decide no outcome: where they change in a file, its runs stay valid.
    """

    Config: ClassVar[type[StrategyConfig]] = StrategyConfig
    group: ClassVar[Group] = "user"
    uses_forecaster: ClassVar[bool] = False
    needs: ClassVar[frozenset[str]] = frozenset()
    reads: ClassVar[bool] = True
    reads_exogenous: ClassVar[bool] = True
    labels_from_rows: ClassVar[bool] = False
    takes_partial: ClassVar[bool] = False
    takes_issued: ClassVar[bool] = False
    pretrain_options: ClassVar[tuple[str, ...]] = ()
    heavy: ClassVar[bool] = False
    carries: ClassVar[str] = "nothing"
    tiny: ClassVar[dict[str, Any]] = {}
    depends_on: ClassVar[tuple[str, ...]] = ()
    adapts: ClassVar[bool] = True
    ablation_of: ClassVar[dict[str, str]] = {}
    lacks: ClassVar[dict[str, str]] = {}
    memory_of: ClassVar[str] = ""
    colour: ClassVar[str] = ""

    def __init__(self, service: StrategyContext) -> None:
        self.config = service.config
        self.forecaster = service.forecaster
        self.history = service.history
        self.protocol = service.protocol
        self.rng = service.rng
        self.device = service.device
        self.parts = service.parts
        self.setup()

    def setup(self) -> None:
        """Called once, before the first block; not timed."""

    @classmethod
    def check_service(cls, config: Any, planned: Planned) -> None:
        """Refuse what these options cannot serve; asked before anything runs, and by default nothing is refused.

        Args:
            config: The options.
            planned: The run.

        Raises:
            BenchError: They cannot; the message says why, and the way out.
        """

    @classmethod
    def make_parts(cls, config: Any, task: Task, forecaster: Any) -> nn.Module | None:
        """Untrained networks of the strategy's own, with which it adapts its forecaster; by default none.

        They are trained like a forecaster: once for each forecaster, options and seed, before the stream, while its
        rows are hidden; kept as a checkpoint for all runs; and in no measured time. Draw from torch's generator, which
        is seeded.

        Args:
            config: The options; those that ``pretrain_options`` does not name have their defaults.
            task: The shapes to serve.
            forecaster: Pre-trained; a copy.
        """

    @classmethod
    def train_parts(
        cls, parts: nn.Module, forecaster: Any, pairs: Pairs, validation: Pairs, config: Any, seed: int
    ) -> None:
        """Train what `make_parts` made, in place.

        Args:
            parts: On the run's device, in ``eval()``; left so.
            forecaster: As in `make_parts`, like ``config``.
            pairs: Pairs of the training rows.
            validation: Pairs of the validation rows.
            seed: Of the run; the generators that all code shares are seeded with it.
        """
        raise NotImplementedError(f"{cls.__name__} has make_parts and no train_parts")

    @classmethod
    def together(cls, strategies: Sequence[Any]) -> Together | None:
        """What serves several strategies of this class in one pass, where a class has it; None for one by one.

        Subclasses do not inherit it. Runs are served together that differ only in their seeds and in options that are
        numbers with a fraction (rates, weights), of 0 or not. Each must get the forecasts that it would get alone, but
        for rounding. Nothing may be drawn from torch's generator meanwhile; each strategy has its ``rng``. An error
        serves all of them one by one.

        Args:
            strategies: At least two, set up, before the first block; with the same protocol and data.
        """
        del strategies
        return None

    def observe(self, rows: Tensor) -> None:
        """Rows that became visible since the last block.

        Args:
            rows: ``(n, C_in)``, in time order; the first call begins where ``history`` ends.
        """

    def adapt(self, feedback: Feedback) -> None:
        """Learn from the pairs that matured since the last block; there may be none."""

    def predict(self, windows: Tensor) -> Tensor | NDArray[np.floating[Any]]:
        """Forecast one block.

        Args:
            windows: ``(K, L, C_in)``; the last block of a stream may hold fewer than ``K``.

        Returns:
            ``(K, H, C_out)``, scaled. Forecast ``k`` may use window ``k`` only.
        """
        raise NotImplementedError(f"{type(self).__name__} has no predict(self, windows)")

    def learned(self) -> Iterable[Parameter]:
        """Parameters that service trains, for counts: by default those of the forecaster that require a gradient."""
        own = getattr(self.forecaster, "parameters", None)
        return [parameter for parameter in own() if parameter.requires_grad] if callable(own) else []

    def fixed(self) -> Iterable[nn.Module]:
        """Modules that are no state of a stream, for its bytes: by default the forecaster, and its own ``parts``."""
        return [given for given in (self.forecaster, self.parts) if hasattr(given, "parameters")]

    def trace(self) -> dict[str, float]:
        """Numbers worth watching, by name; none by default.

        The harness asks about 200 times, evenly over the stream, after a block's forecast and off the clock, and keeps
        the answers with the run. Asking must change nothing: whether and how often it is done decides no forecast.
        """
        return {}


def has_parts(cls: type[Strategy]) -> bool:
    """Whether a strategy may have networks of its own to be trained before service."""
    return cls.make_parts.__func__ is not Strategy.make_parts.__func__  # type: ignore[attr-defined]


def serves_together(cls: type[Strategy], forecaster: type[Any] | None) -> bool:
    """Whether runs of a strategy, with a forecaster where it adapts one, may be served in one pass."""
    can = "together" in vars(cls) and not cls.takes_issued
    return can and (forecaster is None or "stacked" in abilities(forecaster))


def has_own(strategy: Strategy, method: str) -> bool:
    """Whether a strategy overrides a method that does nothing by default."""
    return method in vars(strategy) or getattr(type(strategy), method, None) is not getattr(Strategy, method)


def _objection(cls: type[Strategy]) -> str:
    if wrong := not_a(Strategy, cls) or not_a_config(StrategyConfig, cls):
        return wrong
    if cls.group not in GROUPS:
        return f"has the group {cls.group!r}, which is none of {', '.join(GROUPS)}"
    for name in ("ablation_of", "lacks"):
        stated = vars(cls).get(name, {})
        texts = (*stated, *stated.values()) if isinstance(stated, dict) else (None,)
        if not all(isinstance(text, str) and text for text in texts):
            return f'has {name} = {stated!r}: write what differs and a strategy\'s name, {{"the memory": "frozen"}}'
    if not isinstance(cls.memory_of, str):
        return f'has memory_of = {cls.memory_of!r}: write what it remembers, "errors (learns from matured labels)"'
    if not isinstance(cls.colour, str) or not re.fullmatch(COLOUR, cls.colour or "#000000"):
        return f"has the colour {cls.colour!r}: write it as #rrggbb"
    if unknown := set(cls.pretrain_options) - set(cls.Config.model_fields):
        return f"names {', '.join(sorted(unknown))} in pretrain_options, which its Config does not have"
    if has_parts(cls) and not cls.uses_forecaster:
        return "has parts that are trained with a forecaster: say uses_forecaster = True, too"
    if cls.needs and not cls.uses_forecaster:
        return f"needs {' and '.join(sorted(cls.needs))} of a forecaster: say uses_forecaster = True, too"
    return ""


STRATEGIES: Registry[Strategy] = Registry("strategy", _objection)
register_strategy = STRATEGIES.register
