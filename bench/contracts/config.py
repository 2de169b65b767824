"""Typed, closed configuration: one model class, and errors a user can act on."""

from __future__ import annotations

import copy
import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.fields import FieldInfo

from bench.contracts.errors import BenchError


class Config(BaseModel):
    """A frozen set of named options; a key that is not one of them is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


C = TypeVar("C", bound=BaseModel)


def build(cls: type[C], values: Mapping[str, Any], where: str) -> C:
    """Validate ``values`` as a ``cls``; later changes to ``values`` do not reach the result.

    Args:
        cls: The model to build.
        values: Options as the user gave them.
        where: Whose options they are, such as ``"strategy 'rls'"``; the message begins with it.

    Raises:
        BenchError: A key is unknown (the nearest is suggested) or a value does not fit.
    """
    if faults := [*_no_numbers(cls, values)]:
        raise BenchError(f"{where}: {'; '.join(faults)}")
    try:
        built = cls.model_validate(copy.deepcopy(dict(values)))  # of what is within, validation keeps the object
    except ValidationError as error:
        raise BenchError(f"{where}: {'; '.join(_explain(e, cls) for e in _one_each(error.errors()))}") from None
    if faults := [*_too_large(built)]:
        raise BenchError(f"{where}: {'; '.join(faults)}")
    return built


LARGEST_INT, LARGEST_FLOAT = 2**31 - 1, 1e15
"""Of an option that does not say its own bound: what is beyond means nothing, or overflows where it is used."""

Seed = Annotated[int, Field(ge=0, le=2**63 - 1)]  # what a generator starts from


def _no_numbers(cls: type[BaseModel], values: Mapping[str, Any], before: str = "") -> Iterator[str]:
    """Values that should be numbers and are not, or whole numbers that are written with a fraction."""
    for name, field in cls.model_fields.items():
        value, kinds = values.get(name), kinds_of(field)
        inner = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
        for one in value if isinstance(value, list | tuple) else [value]:
            if inner is not None and isinstance(one, Mapping):
                yield from _no_numbers(inner, one, f"{before}{name}.")
            is_bool, takes_float = isinstance(one, bool), float in kinds
            if (is_bool and kinds & {int, float} and bool not in kinds) or (
                isinstance(one, float) and int in kinds and not takes_float
            ):
                what = "number" if takes_float else "whole number"
                yield f"option {before + name!r}: input should be a {what} (got {one!r})"


def _too_large(built: BaseModel, before: str = "") -> Iterator[str]:
    """Numbers that are too large to be useful, for options without a bound of their own."""
    for name, field in type(built).model_fields.items():
        value, kinds = getattr(built, name), kinds_of(field)
        for one in value if isinstance(value, list | tuple) else [value]:
            if isinstance(one, BaseModel):
                yield from _too_large(one, f"{before}{name}.")
            if str in kinds or "le=" in repr(field):  # a text may be a number; or the option has a bound of its own
                continue
            largest = LARGEST_FLOAT if isinstance(one, float) else LARGEST_INT
            if isinstance(one, int | float) and abs(one) > largest:
                yield f"option {before + name!r}: input should be from {-largest} to {largest} (got {one!r})"


@dataclass(frozen=True)
class Search:
    """Values of an option that ``bench tune`` tries: a range with both its ends, or choices.

    It stands in the option's type. A subclass that gives the option another default keeps the search.

    Attributes:
        low: Smallest value; a range between whole numbers has whole numbers only.
        high: Largest value.
        log: Whether values are spread evenly over the range's logarithm.
        choices: The values, in place of a range.

    Raises:
        BenchError: It is neither a range that ``low`` begins and ``high`` ends, nor choices; or the logarithm of a
            range is asked for that does not lie above 0.

    Example:
        >>> from typing import Annotated
        >>> from bench import Search, StrategyConfig
        >>> class Config(StrategyConfig):
        ...     rate: Annotated[float, Search(1e-6, 1e-2, log=True)] = 1e-4
        >>> Search(1e-6, 1e-2, log=True).at(0.5)
        0.0001
    """

    low: float = 0.0
    high: float = 0.0
    log: bool = False
    choices: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        if self.choices and (self.low or self.high or self.log):
            raise BenchError(f"{self}: give a range (low, high, log) or choices, not both")
        if not self.choices and not self.low < self.high:
            raise BenchError(f"{self}: low must be below high, or give choices=(...)")
        if self.log and self.low <= 0:
            raise BenchError(f"{self}: low must be above 0 where log=True")

    def at(self, share: float) -> Any:
        """The value at a share of the range, from 0 to 1, to three digits; or of the choices, in their order."""
        if self.choices:
            return self.choices[min(int(share * len(self.choices)), len(self.choices) - 1)]
        ratio, span = (self.high / self.low if self.log else 1.0), self.high - self.low
        value = self.low * ratio**share if self.log else self.low + share * span
        value = min(max(float(f"{value:.3g}"), self.low), self.high)
        return round(value) if isinstance(self.low, int) and isinstance(self.high, int) else value


def searches(cls: type[BaseModel]) -> dict[tuple[str, ...], Search]:
    """What options declare to be searched, by the path of their names; those of nested tables too."""
    found: dict[tuple[str, ...], Search] = {}
    for name, field in cls.model_fields.items():
        declared = (base.model_fields.get(name) for base in cls.__mro__ if issubclass(base, BaseModel))
        said = (one for own in declared if own for one in own.metadata if isinstance(one, Search))
        if search := next(said, None):
            found[(name,)] = search
        elif isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found |= {(name, *path): search for path, search in searches(field.annotation).items()}
    return found


def search_fault(cls: type[BaseModel]) -> str:
    """What is wrong with the searches of a class's options; empty if nothing."""
    for path, search in searches(cls).items():
        model: Any = cls
        for name in path[:-1]:
            model = model.model_fields[name].annotation
        field, option = model.model_fields[path[-1]], ".".join(path)
        default = field.get_default(call_default_factory=True)
        in_range = not isinstance(default, int | float) or search.low <= default <= search.high
        if default not in search.choices if search.choices else not in_range:
            return f"searches option {option!r} by {search}, which leaves out its default ({default!r})"
        for value in search.choices or (search.low, search.high):
            try:
                fitted(field, path[-1], value, "")
            except BenchError as error:
                return f"searches option {option!r} by {search}: {str(error).removeprefix(': ')}"
    return ""


def fitted(field: FieldInfo, name: str, value: Any, where: str) -> Any:
    """A value as an option holds it, JSON-able; `BenchError`, which begins with ``where``, if it does not fit."""
    option: Any = create_model("Option", __base__=Config, **{name: (field.annotation, field)})  # type: ignore[call-overload]
    return build(option, {name: value}, where).model_dump(mode="json")[name]


def kinds_of(field: FieldInfo) -> frozenset[Any]:
    """The plain types that an option may be, or contain."""
    return _kinds(field.annotation)


def _kinds(annotation: Any) -> frozenset[Any]:
    inner = get_args(annotation)
    if get_origin(annotation) is Literal or not inner:
        return frozenset([annotation])
    inner = inner[:1] if get_origin(annotation) is Annotated else inner
    return frozenset(kind for one in inner for kind in _kinds(one))


FORMS = {"string_type": "text", "list_type": "a list", "tuple_type": "a list", "dict_type": "a table"}
"""What a value may be, in TOML's words, by pydantic's type of error."""


def _one_each(errors: Iterable[Any]) -> list[Any]:
    """One error for each value; pydantic gives one for each type that the value might have had."""
    merged: dict[tuple[Any, ...], list[Any]] = {}
    for error in errors:
        loc = tuple(error["loc"])
        of_form = error["type"] in FORMS and re.match(r"str$|(list|tuple|dict)\[", str(loc[-1]))
        merged.setdefault((loc[:-1], "forms") if of_form else (loc, error["type"]), []).append(error)
    return [
        {**group[0], "loc": loc, "msg": _either([error["type"] for error in group])} if kind == "forms" else group[0]
        for (loc, kind), group in merged.items()
    ]


def _either(types: Iterable[str]) -> str:
    *others, last = [FORMS[kind] for kind in types]
    return f"Input should be {', '.join(others)}{' or ' if others else ''}{last}"


def _explain(error: Any, cls: type[BaseModel]) -> str:
    if error["type"] == "value_error" and not error["loc"]:  # options that do not go together
        return str(error["ctx"]["error"])
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] == "missing":
        return f"option {key!r}: field required"
    if error["type"] != "extra_forbidden":
        said = str(error["ctx"]["error"]) if error["type"] == "value_error" else error["msg"].lower()
        said = re.sub(" after validation, not [0-9]+$", "", said)
        for word, plain in (("valid tuple", "valid list"), ("valid dictionary", "valid table")):
            said = said.replace(word, plain)
        return f"option {key!r}: {said} (got {error['input']!r})"
    options = _fields_at(cls, error["loc"][:-1])
    near = difflib.get_close_matches(str(error["loc"][-1]), options, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"unknown option {key!r}.{hint} Options: {', '.join(options) or '(none)'}"


def _fields_at(cls: type[BaseModel], path: tuple[Any, ...]) -> list[str]:
    """Names of the fields of the model at ``path`` in ``cls``."""
    for part in path:
        field = cls.model_fields.get(str(part))
        inner = field.annotation if field else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return []
        cls = inner
    return sorted(cls.model_fields)
