"""Typed, closed configuration: one model class, and errors a user can act on."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from bench.errors import BenchError


class Config(BaseModel):
    """A frozen set of named options; a key that is not one of them is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


C = TypeVar("C", bound=BaseModel)


def build(cls: type[C], values: Mapping[str, Any], where: str) -> C:
    """Validate ``values`` as a ``cls``.

    Args:
        cls: The model to build.
        values: Options as the user gave them.
        where: Whose options they are, such as ``"strategy 'rls'"``; it opens the message.

    Raises:
        BenchError: A key is unknown (the nearest is suggested) or a value does not fit.
    """
    try:
        return cls.model_validate(dict(values))
    except ValidationError as error:
        raise BenchError(f"{where}: {'; '.join(_explain(e, cls) for e in _one_each(error.errors()))}") from None


FORMS = {"string_type": "text", "list_type": "a list", "tuple_type": "a list", "dict_type": "a table"}
"""What a value may be, in TOML's words, by pydantic's type of error."""


def _one_each(errors: Iterable[Any]) -> list[Any]:
    """One error for each value, where pydantic has one for each form that the value might have had."""
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
        said = error["msg"].lower() if error["type"] != "value_error" else str(error["ctx"]["error"])
        for word, plain in (("valid tuple", "valid list"), ("valid dictionary", "valid table")):
            said = said.replace(word, plain)
        return f"option {key!r}: {said} (got {error['input']!r})"
    options = _fields_at(cls, error["loc"][:-1])
    near = difflib.get_close_matches(str(error["loc"][-1]), options, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"unknown option {key!r}.{hint} Options: {', '.join(options) or '(none)'}"


def _fields_at(cls: type[BaseModel], path: tuple[Any, ...]) -> list[str]:
    """Names of the fields of the model found by following ``path`` from ``cls``."""
    for part in path:
        field = cls.model_fields.get(str(part))
        inner = field.annotation if field else None
        if not (isinstance(inner, type) and issubclass(inner, BaseModel)):
            return []
        cls = inner
    return sorted(cls.model_fields)
