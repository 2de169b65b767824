"""Forecasters made of a model that is there already: a torch module, a regressor of scikit-learn's kind, a function."""

from __future__ import annotations

import copy
import inspect
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, replace
from functools import partial
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import PositiveInt, create_model
from torch import Tensor, nn

from bench.contracts.config import build
from bench.contracts.errors import BenchError, words_of
from bench.contracts.forecaster import ForecasterConfig, Pairs, Task, TrainingConfig, register_forecaster
from bench.contracts.sources import has_source
from bench.forecasters.linear import in_columns, in_rows, outcome

Kind = Literal["module", "regressor", "zero-shot"]
SIZES = ("task", "lookback", "horizon", "inputs", "targets", "target_index")
"""Parameters of a model that a task fills in."""


def wrap(
    name: str,
    model: Any,
    *,
    kind: Kind | None = None,
    shared: bool = True,
    training: Mapping[str, Any] | None = None,
    provides: Iterable[str] = (),
    depends_on: Iterable[str] = (),
    trained_on: Iterable[str] = (),
) -> type[Any]:
    """Register a model as a forecaster under ``name``. Call it in a plug-in's file, whose code decides the run's id.

    A ``module`` is a subclass of `torch.nn.Module`, or a function that returns a module: ``(B, L, C_in)`` to ``(B, H,
    C_out)``, both scaled. The gradient recipe trains it.

    A ``regressor`` has ``fit(X, y)`` and ``predict(X)``, as in scikit-learn: an object, of which each run fits a copy;
    or a class or a function that returns one. Both arrays are float64: X ``(n, L)`` and y ``(n, H)`` with a row for
    each target of each training window; or, if ``shared`` is False or the targets are not inputs, X ``(n, L * C_in)``
    and y ``(n, H * C_out)`` with a row for each window.

    A ``zero-shot`` model is any callable whose first argument is the windows of the targets, ``(B, L, C_out)``, scaled,
    a tensor on the run's device. It returns ``(B, H, C_out)``, a tensor or an array. Nothing is trained.

    A class or a function receives what it has parameters for: ``task`` (a `Task`), ``lookback``, ``horizon``,
    ``inputs``, ``targets`` and ``target_index`` (see `Task`), by name. Its parameters with a number, a text or a truth
    value as default become options of the forecaster; so do those of a regressor's ``get_params``.

    Args:
        name: Of the forecaster, in experiments and reports.
        model: As above.
        kind: None tells a class of modules, and what has ``fit`` and ``predict``, from each other; a function needs it.
        shared: Whether one regressor serves all targets, each from its own past.
        training: Options of the recipe that differ from its defaults, for a module: ``{"steps": 1000, "lr": 1e-3}``.
        provides: Abilities, such as ``functional`` or ``any-window`` (see `Forecaster`).
        depends_on: Files that the model reads, relative to the file that calls this; they are part of a run's id.
        trained_on: Names or labels of datasets that its weights may have been trained on before, ``*`` standing for any
            text. Reports mark its results there.

    Returns:
        The class that is registered.

    Raises:
        BenchError: The kind cannot be told; a parameter without a default is no size of a task; an option of
            ``training`` does not fit; the model's source cannot be read; or the name is malformed or taken.
    """
    caller = sys._getframe(1).f_globals.get("__name__", "__main__")
    chosen = kind or _kind_of(name, model)
    if chosen not in BASES:
        raise BenchError(f"forecaster {name!r}: kind should be one of {', '.join(get_args(Kind))} (got {kind!r})")
    modules = tuple(dict.fromkeys(_modules_of(model)))
    for module in (caller, *modules):
        if not has_source(module):
            raise BenchError(
                f"forecaster {name!r}: the source of module {module!r} cannot be read, and it is part of a run's id. "
                "Define the model in a file."
            )
    parameters = _parameters(name, model, chosen)
    recipe = build(TrainingConfig, training or {}, f"forecaster {name!r}, training")
    options: dict[str, Any] = {key: (type(default), default) for key, default in parameters.items() if key not in SIZES}
    if seen := tuple(trained_on):
        options["trained_on"] = (tuple[str, ...], seen)
    config: Any = create_model("Config", __base__=BASES[chosen].Config, training=(TrainingConfig, recipe), **options)
    about = (inspect.getdoc(model if inspect.isroutine(model) or inspect.isclass(model) else type(model)) or "").strip()
    members = {
        "__module__": caller,
        "__doc__": about or f"A wrapped {chosen}.",
        "Config": config,
        "model": staticmethod(model),
        "parameters_of_model": tuple(parameters),
        "provides": frozenset(provides),
        "depends_on": tuple(depends_on),
        "code_modules": modules,
        **({"shared": shared, "reads_exogenous": not shared} if chosen == "regressor" else {}),
    }
    return register_forecaster(name)(type(f"Wrapped_{name}", (BASES[chosen],), members))


class RegressorConfig(ForecasterConfig):
    """Options of a wrapped regressor, beside its own.

    Attributes:
        fit_windows: At most this many training windows, evenly spaced, are fitted on; None takes all.
    """

    fit_windows: PositiveInt | None = None


class WrappedModule(nn.Module):
    """A module that `wrap` was given; it refuses a task on whose windows the module does not return forecasts."""

    Config: ClassVar[type[ForecasterConfig]] = ForecasterConfig
    tiny: ClassVar[dict[str, Any]] = {"training": {"steps": 4, "batch": 4, "evaluations": 1}}

    def __init__(self, config: Any, task: Task) -> None:
        super().__init__()
        self.wrapped = _made(self, config, task)
        if not isinstance(self.wrapped, nn.Module):
            raise BenchError(f"made a {type(self.wrapped).__name__}, which is no torch.nn.Module. Return a module.")
        expected = (2, task.horizon, task.targets)
        windows = torch.zeros(2, task.lookback, task.inputs)
        try:
            with torch.no_grad():
                found = tuple(self.wrapped.eval()(windows).shape)
        except Exception as error:  # a module may raise anything
            raise BenchError(f"fails on windows (B, L, C_in) = {tuple(windows.shape)}: {words_of(error)}") from error
        if found != expected:
            raise BenchError(
                f"gives {found} for windows (B, L, C_in) = {tuple(windows.shape)}: expected (B, H, C_out) = {expected}"
            )

    def forward(self, windows: Tensor) -> Tensor:
        """``(B, L, C_in)`` to ``(B, H, C_out)``."""
        return self.wrapped(windows)  # type: ignore[no-any-return]


class WrappedRegressor:
    """A regressor that `wrap` was given."""

    Config: ClassVar[type[ForecasterConfig]] = RegressorConfig
    shared: ClassVar[bool]

    def __init__(self, config: Any, task: Task) -> None:
        self.task = task if self.shared else replace(task, target_index=None)
        self.fit_windows: int | None = config.fit_windows
        model: Any = type(self).model  # type: ignore[attr-defined]
        if _is_factory(model):
            self.regressor = _made(self, config, task)
        else:
            self.regressor = copy.deepcopy(model)
            if options := _arguments(self, config, task):
                self.regressor.set_params(**options)
        if not _is_regressor(self.regressor):
            raise BenchError(f"made a {type(self.regressor).__name__}, which has no fit and predict.")

    def fit(self, pairs: Pairs, validation: Pairs) -> None:
        """Fit on the training pairs whose targets are known."""
        del validation
        count = min(len(pairs), self.fit_windows or len(pairs))
        windows, truths = pairs.take(torch.linspace(0, len(pairs) - 1, count).round().long().to(pairs.origins.device))
        rows = in_rows(windows, self.task).flatten(0, 1)
        targets = outcome(truths, truths.new_zeros(()), self.task).flatten(0, 1)
        known = ~targets.isnan().any(dim=1)
        self.regressor.fit(_array(rows[known]), _array(targets[known]))

    def __call__(self, windows: Tensor) -> NDArray[np.float32]:
        """``(B, L, C_in)`` to ``(B, H, C_out)``."""
        rows = in_rows(windows, self.task)
        made = np.asarray(self.regressor.predict(_array(rows.flatten(0, 1))), dtype=np.float32)
        columns = self.task.horizon * (self.task.targets if self.task.target_index is None else 1)
        count = len(windows) * rows.shape[1]
        if made.size != count * columns:
            raise BenchError(f"predict gives {made.shape} for {count} rows: expected {(count, columns)}")
        by_row = torch.from_numpy(made.reshape(*rows.shape[:2], columns))
        return in_columns(by_row, self.task).numpy()


class WrappedFunction:
    """A zero-shot model that `wrap` was given; copies of the forecaster share it."""

    Config: ClassVar[type[ForecasterConfig]] = ForecasterConfig
    reads_exogenous: ClassVar[bool] = False

    def __init__(self, config: Any, task: Task) -> None:
        self.task = task
        self.arguments = _arguments(self, config, task)

    @classmethod
    def check_task(cls, config: Any, task: Task, device: str) -> None:
        """Refuse targets that are not inputs: their past is all that such a model reads."""
        del config, device
        if task.target_index is None:
            raise BenchError("a zero-shot model reads the past of the targets. Make the targets inputs.")

    def fit(self, pairs: Pairs, validation: Pairs) -> None:
        """Nothing is trained."""

    def __call__(self, windows: Tensor) -> Any:
        """``(B, L, C_in)`` to ``(B, H, C_out)``."""
        assert self.task.target_index is not None
        model: Callable[..., Any] = type(self).model  # type: ignore[attr-defined]
        return model(windows[:, :, list(self.task.target_index)], **self.arguments)


BASES: Mapping[str, type[Any]] = {
    "module": WrappedModule,
    "regressor": WrappedRegressor,
    "zero-shot": WrappedFunction,
}


def _kind_of(name: str, model: Any) -> Kind:
    if inspect.isclass(model) and issubclass(model, nn.Module):
        return "module"
    if _is_regressor(model):
        return "regressor"
    shown = f"an instance of {type(model).__name__}" if isinstance(model, nn.Module) else repr(model)
    raise BenchError(
        f"forecaster {name!r}: cannot tell what {shown} is. Say kind='module' of a function that returns a module, "
        "kind='regressor' of one that returns what has fit and predict, or kind='zero-shot' of what forecasts windows."
    )


def _is_regressor(model: Any) -> bool:
    return callable(getattr(model, "fit", None)) and callable(getattr(model, "predict", None))


def _is_factory(model: Any) -> bool:
    return inspect.isclass(model) or not _is_regressor(model)


def _modules_of(model: Any) -> Iterator[str]:
    """Names of the modules that define a model."""
    if isinstance(model, partial):
        yield from _modules_of(model.func)
    elif inspect.isclass(model):
        yield from (base.__module__ for base in model.__mro__)
    else:
        if inspect.isroutine(model):
            yield str(model.__module__)
        yield from _modules_of(type(getattr(model, "__self__", model)))


def _parameters(name: str, model: Any, kind: str) -> dict[str, Any]:
    """What a model is called with: sizes, and options with their defaults; the options of a regressor that is there."""
    if kind == "regressor" and not _is_factory(model):
        own = model.get_params() if hasattr(model, "get_params") and hasattr(model, "set_params") else {}
        return {key: default for key, default in own.items() if _is_option(key, default)}
    if not callable(model) or (kind == "module" and isinstance(model, nn.Module)):
        raise BenchError(
            f"forecaster {name!r}: give a class or a function, which is called with the sizes of a task, "
            f"in place of an object ({type(model).__name__})"
        )
    try:
        parameters = list(inspect.signature(model).parameters.values())
    except ValueError:  # of some that are written in C
        raise BenchError(f"forecaster {name!r}: the parameters of {model!r} cannot be read. Wrap a function.") from None
    found: dict[str, Any] = {}
    for one in parameters[kind == "zero-shot" :]:
        if one.name in SIZES:
            found[one.name] = None
        elif one.default is one.empty and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD):
            raise BenchError(
                f"forecaster {name!r}: parameter {one.name!r} has no default, and is none of {', '.join(SIZES)}. "
                "Give it a default, or wrap a function of these that makes the model."
            )
        elif _is_option(one.name, one.default):
            found[one.name] = one.default
    return found


def _is_option(name: str, default: Any) -> bool:
    """Whether a parameter may be an option: its default is a plain value, and its name is free."""
    taken = name in SIZES or name.startswith(("_", "model_")) or hasattr(RegressorConfig, name)
    return type(default) in (bool, int, float, str) and not (taken or name in RegressorConfig.model_fields)


def _arguments(forecaster: Any, config: Any, task: Task) -> dict[str, Any]:
    """What a wrapped model is called with: the sizes and options that it takes."""
    sizes = {**asdict(task), "task": task}
    return {key: sizes[key] if key in SIZES else getattr(config, key) for key in forecaster.parameters_of_model}


def _made(forecaster: Any, config: Any, task: Task) -> Any:
    return type(forecaster).model(**_arguments(forecaster, config, task))


def _array(rows: Tensor) -> NDArray[np.float64]:
    array: NDArray[np.float64] = rows.detach().cpu().double().numpy()
    return array
