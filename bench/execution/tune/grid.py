"""Points that are tried: of a grid, keys and values to points, each checked before anything runs."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from bench.contracts.config import fitted
from bench.contracts.errors import BenchError
from bench.contracts.forecaster import FORECASTERS
from bench.contracts.registry import unknown
from bench.contracts.strategy import STRATEGIES
from bench.evaluation.run_spec import Choice, Pair, forecaster_config, strategy_config
from bench.execution.overrides import parse_value, with_value
from bench.results.trials import NONE, point_text


@dataclass(frozen=True)
class Axis:
    """One option of one plug-in, and the values that it is to take.

    Attributes:
        path: Names of fields, from the plug-in's ``Config`` down to the option.
        values: As the option holds them, JSON-able, no two alike.
    """

    plugin: str
    path: tuple[str, ...]
    values: tuple[Any, ...] = ()

    def shown(self, strategy: Choice) -> str:
        """The option's name beside others of a pair: a forecaster's has that one's name before it."""
        option = ".".join(self.path)
        return option if self.plugin == strategy.name else f"{self.plugin}.{option}"


@dataclass(frozen=True)
class Point:
    """One point of a grid or a design.

    Attributes:
        values: By option; those of a forecaster under its name.
    """

    values: dict[str, Any]
    pair: Pair


def parse_grid(texts: Iterable[str]) -> dict[str, list[Any]]:
    """A grid from the command line.

    Args:
        texts: Each ``PLUGIN.OPTION=VALUE,VALUE,...``. Values are TOML's; what is not is text.

    Raises:
        BenchError: A text has another form, or names an option that an earlier one did.
    """
    grid: dict[str, list[Any]] = {}
    for text in texts:
        key, equals, values = (part.strip() for part in text.partition("="))
        if not (key and equals and values):
            raise BenchError(
                f"--grid {text}: expected PLUGIN.OPTION=VALUE,VALUE,... such as titans-c.online_lr=1e-5,1e-4"
            )
        if key in grid:
            raise BenchError(f"--grid {text}: {key} is given twice. Write all its values behind one of them.")
        grid[key] = _parse_values(values)
    return grid


def _parse_values(text: str) -> list[Any]:
    """All together as TOML's, so that a value may hold commas; what is none is cut at commas, each part on its own."""
    values = parse_value(f"[{text}]")
    return values if isinstance(values, list) else [parse_value(part) for part in text.split(",")]


def axes_of(grid: Mapping[str, Sequence[Any]], names: Iterable[str]) -> list[Axis]:
    """The axes of a grid, in its order.

    Args:
        grid: Values by ``<strategy or forecaster>.<option>``; nested options by further dots.

    Raises:
        BenchError: A key names no plug-in of the experiment or none of its options, or a value does not fit.
    """
    names = list(dict.fromkeys(names))
    return [_axis(key, values, names) for key, values in grid.items()]


def _axis(key: str, values: Sequence[Any], names: Sequence[str]) -> Axis:
    # names may hold dots themselves: the longest one that fits is meant
    plugin = max((name for name in names if key.startswith(f"{name}.")), key=len, default=None)
    if plugin is None:
        raise BenchError(f"grid {key!r}: {_no_plugin(key, names)}")
    path = tuple(key.removeprefix(f"{plugin}.").split("."))
    registry = STRATEGIES if plugin in STRATEGIES else FORECASTERS
    field = _field_at(registry[plugin].cls.Config, path, key)
    if not values:
        raise BenchError(f"grid {key!r}: no values. Give at least one.")
    fitting = {json.dumps(fit, sort_keys=True): fit for fit in (_fit(field, path[-1], value, key) for value in values)}
    return Axis(plugin, path, tuple(fitting.values()))


def _no_plugin(key: str, names: Sequence[str]) -> str:
    name = key.partition(".")[0]
    if name in names:
        return f"which option of {name!r}? Write {name}.OPTION"
    if name in STRATEGIES or name in FORECASTERS:
        return f"{name!r} is not in this experiment. Add it (--strategy adds one), or take one of {', '.join(names)}"
    return str(unknown("strategy or forecaster", name, names))


def _field_at(model: type[BaseModel], path: tuple[str, ...], key: str) -> FieldInfo:
    """The field at the end of a path; every step but the last is a nested table of options."""
    for i, name in enumerate(path):
        if name not in model.model_fields:
            raise BenchError(f"grid {key!r}: {unknown('option', name, model.model_fields)}")
        field = model.model_fields[name]
        inner = field.annotation
        nested = isinstance(inner, type) and issubclass(inner, BaseModel)
        if i == len(path) - 1 and not nested:
            return field
        if not nested:
            raise BenchError(f"grid {key!r}: option {name!r} holds a value, and no options of its own")
        assert isinstance(inner, type)
        model = inner
    options = ", ".join(sorted(model.model_fields))
    raise BenchError(f"grid {key!r}: this is a table of options. Write one of them behind a dot: {options}")


def _fit(field: FieldInfo, name: str, value: Any, key: str) -> Any:
    """A value as the option holds it."""
    try:
        return fitted(field, name, value, f"grid {key!r}")
    except BenchError:
        if value != NONE or field.is_required() or field.get_default(call_default_factory=True) is not None:
            raise
        return None


def points_of(pair: Pair, axes: Iterable[Axis]) -> list[Point]:
    """Every point of the grid that changes a pair: the product of the axes of its plug-ins, the last one fastest.

    Returns:
        Points; none where no axis is the pair's.

    Raises:
        BenchError: The plug-in refuses the values of a point together.
    """
    strategy, forecaster = pair
    named = {strategy.name} | ({forecaster.name} if forecaster else set())
    own = [axis for axis in axes if axis.plugin in named]
    if not own:
        return []
    return [
        point_of(pair, list(zip(own, values, strict=True))) for values in itertools.product(*(a.values for a in own))
    ]


def point_of(pair: Pair, values: Sequence[tuple[Axis, Any]]) -> Point:
    """A pair with other values of some options; `BenchError` if its plug-ins refuse them together."""
    strategy, forecaster = pair
    shown: dict[str, Any] = {}
    for axis, value in values:
        shown[axis.shown(strategy)] = value
        if axis.plugin == strategy.name:
            strategy = Choice(strategy.name, with_value(strategy.options, axis.path, value))
        elif forecaster is not None:
            forecaster = Choice(forecaster.name, with_value(forecaster.options, axis.path, value))
    try:
        strategy_config(strategy)
        if forecaster is not None:
            forecaster_config(forecaster)
    except BenchError as error:
        raise BenchError(f"grid point {point_text(shown)}: {error}") from None
    return Point(shown, (strategy, forecaster))
