"""The Forecaster contract: a model from windows to forecasts, and the recipe that trains it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Protocol, get_args

from pydantic import NonNegativeFloat, PositiveFloat, PositiveInt

from bench.contracts.config import Config, Search
from bench.contracts.registry import Registry, not_a_config

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor
    from torch.nn import Parameter

    from bench.contracts.protocol import Protocol as ProtocolOf
    from bench.contracts.series import DriftSeries


@dataclass(frozen=True)
class Task:
    """The shapes that a forecaster serves.

    Attributes:
        lookback: Rows of a window, ``L``.
        horizon: Rows of a forecast, ``H``.
        inputs: Columns of a window, ``C_in``.
        targets: Columns of a forecast, ``C_out``.
        target_index: Where each target stands among the inputs; None when the targets are not inputs.
    """

    lookback: int
    horizon: int
    inputs: int
    targets: int
    target_index: tuple[int, ...] | None = None

    @classmethod
    def of(cls, series: DriftSeries, protocol: ProtocolOf) -> Task:
        """The shapes that serving a series under a protocol takes."""
        inputs, targets = len(series.inputs), len(series.targets)
        return cls(protocol.lookback, protocol.horizon, inputs, targets, series.target_index)


class TrainingConfig(Config):
    """The one recipe that pre-trains a forecaster by gradients (AdamW, early stopping on validation).

    Attributes:
        steps: Gradient steps; ``None`` counts epochs instead.
        epochs: Passes over the training windows, where ``steps`` is None.
        batch: Windows in a step.
        lr: Peak learning rate; it warms up over a tenth of the steps and falls to zero as a cosine.
        weight_decay: AdamW's decoupled decay.
        clip: Largest norm of the gradient.
        evaluations: How often the validation error is looked at, evenly over training.
        patience: Evaluations without a better one before training stops.
        validation_windows: At most this many windows, evenly spaced, are validated on.
    """

    steps: PositiveInt | None = 200
    epochs: PositiveInt = 1
    batch: PositiveInt = 32
    lr: Annotated[PositiveFloat, Search(3e-4, 1e-2, log=True)] = 2e-3
    weight_decay: Annotated[NonNegativeFloat, Search(1e-6, 1e-1, log=True)] = 1e-4
    clip: PositiveFloat = 1.0
    evaluations: PositiveInt = 4
    patience: PositiveInt = 4
    validation_windows: PositiveInt = 256


class ForecasterConfig(Config):
    """Options of a forecaster; subclass it as ``Config`` inside the forecaster's class.

    Attributes:
        training: How it is pre-trained (left alone by a forecaster that brings its own ``fit``).
    """

    training: TrainingConfig = TrainingConfig()


@dataclass(frozen=True)
class Pairs:
    """Training pairs, as views into scaled rows: pair ``i`` starts its truth at row ``origins[i]``.

    The rows are a copy of those before the stream, and nothing lies behind them.

    Attributes:
        inputs: ``(N, C_in)`` float32 rows.
        targets: ``(N, C_out)`` float32 rows; NaN is hidden.
        origins: ``(P,)`` int64 tensor of rows ``s`` with ``[s, s + H)`` known.
        lookback: ``L``.
        horizon: ``H``.
    """

    inputs: Tensor
    targets: Tensor
    origins: Tensor
    lookback: int
    horizon: int

    def __len__(self) -> int:
        return len(self.origins)

    def take(self, index: Tensor | slice) -> tuple[Tensor, Tensor]:
        """Windows ``(B, L, C_in)`` and truths ``(B, H, C_out)`` of the pairs at ``index``."""
        import torch

        origins = self.origins[index, None]
        back = torch.arange(-self.lookback, 0, device=origins.device)
        ahead = torch.arange(self.horizon, device=origins.device)
        return self.inputs[origins + back], self.targets[origins + ahead]


class Objective(Protocol):
    """What the gradient recipe lowers, and what it stops on."""

    def loss(self, windows: int) -> Tensor:
        """Loss of one more step, a scalar with a graph: the MSE over ``windows`` windows, or over all there are."""
        ...

    def validation_error(self) -> float:
        """MSE on the validation pairs with the present weights; the model is left in ``eval()``."""
        ...


class Forecaster(Protocol):
    """What a class must have to be registered; most subclass ``torch.nn.Module`` and need nothing else.

    A class may declare more. ``fit(pairs, validation)`` replaces the gradient recipe and trains the instance in closed
    form; ``prepare(pairs)`` is called before the gradient recipe. ``objective(plain, pairs, validation, training,
    seed)`` returns an `Objective` for the recipe, in place of ``plain``, which draws windows at random; it may ask
    ``plain`` for a part of them, or hand it back. ``training_loss(windows, truths)`` replaces the MSE of a batch in
    training; validation keeps the MSE. ``tiny`` holds the ``Config`` values that make it small, for the
    contract checks. ``check_task(config, task, device)``, a class method, raises a `BenchError` where the options
    cannot serve a task; it is asked before anything runs. ``provides`` names abilities that strategies may ask for:
    ``memory``; ``functional``, where `torch.func.functional_call` under `torch.func.vmap`, over weights and windows,
    gives what a loop over them does, gradients too; ``any-window``, where windows may have any length; or others.
    ``depends_on`` names data files that it reads (pre-trained weights, say), relative to its own file: where one
    changes, its checkpoints and runs are new ones.
    ``reads_exogenous = False`` says that it leaves inputs alone which are no targets, where the targets are inputs too.

    ``forward_stacked(weights, windows)`` is the ability ``stacked``: forecasts ``(M, B, H, C_out)`` of windows
    ``(B, L, C_in)`` by M models like this one, with ``weights``, each ``(M, ...)``, by the names of
    ``named_parameters()``, in place of its own. Strategies that serve several runs in one pass need it. Subclasses do
    not inherit it. An instance whose options it does not cover says so by a property ``stacks`` that is False.

    ``head_modules`` and ``backbone_modules`` divide its weights for strategies that train one of the two: names of
    submodules or parameters, as in ``named_parameters()``. The head is what turns features into the forecast; a linear
    model is all head. Together they hold every weight that is trained, each once. Having them is an ability, ``head``
    or ``backbone``; `parameters_of` gives the weights.
    """

    Config: ClassVar[type[ForecasterConfig]]

    def __init__(self, config: Any, task: Task) -> None: ...

    def __call__(self, windows: Tensor) -> Tensor | NDArray[np.floating[Any]]:
        """``(B, L, C_in)`` scaled windows to ``(B, H, C_out)`` scaled forecasts; a tensor where gradients are taken."""
        ...


def _objection(cls: type[Any]) -> str:
    return not_a_config(ForecasterConfig, cls) if isinstance(cls, type) else "must be a class"


Part = Literal["head", "backbone"]
PARTS: tuple[Part, ...] = get_args(Part)

FORECASTERS: Registry[Any] = Registry("forecaster", _objection)


def register_forecaster(name: str) -> Callable[[type[Any]], type[Any]]:
    """Class decorator that enters a forecaster under ``name``.

    The class is built as ``cls(config, task)`` and called with windows ``(B, L, C_in)``; see `Forecaster`.

    Raises:
        BenchError: The name is malformed or taken, or its ``Config`` is no `ForecasterConfig`.
    """

    def enter(cls: type[Any]) -> type[Any]:
        if not hasattr(cls, "Config"):  # a subclass has its parent's
            cls.Config = ForecasterConfig
        return FORECASTERS.register(name)(cls)

    return enter


def fits_itself(cls: type[Any]) -> bool:
    """Whether a forecaster brings its own ``fit`` in place of the gradient recipe."""
    return callable(getattr(cls, "fit", None))


def seed_for(function: Callable[..., Any], seed: int) -> dict[str, int]:
    """``{"seed": seed}`` if a part of a forecaster takes a seed; otherwise empty."""
    return {"seed": seed} if "seed" in inspect.signature(function).parameters else {}


def check_task(cls: type[Any], config: Any, task: Task, device: str) -> None:
    """Ask a forecaster whether its options can serve a task, if it has a ``check_task``.

    Raises:
        BenchError: They cannot; the message says why, and the way out.
    """
    if hasattr(cls, "check_task"):
        cls.check_task(config, task, device)


def abilities(cls: type[Any]) -> frozenset[str]:
    """What strategies may ask of a forecaster.

    These are ``gradients`` of a module, its ``head`` and its ``backbone`` if it names them, ``stacked`` if it has
    ``forward_stacked`` of its own, and what it ``provides``.
    """
    gradients = hasattr(cls, "parameters") and not fits_itself(cls)
    own = {"gradients": gradients, "stacked": "forward_stacked" in vars(cls)}
    parts = (part for part in PARTS if getattr(cls, f"{part}_modules", ()))
    return frozenset(name for name, has in own.items() if has).union(parts, getattr(cls, "provides", ()))


def parameters_of(forecaster: Any, part: Part) -> dict[str, Parameter]:
    """Weights of a forecaster's ``head`` or ``backbone`` that are trained, by name; none if it does not name them."""
    modules = getattr(forecaster, f"{part}_modules", ())
    return {
        name: parameter
        for name, parameter in (forecaster.named_parameters() if modules else ())
        if parameter.requires_grad and any(name == module or name.startswith(f"{module}.") for module in modules)
    }
