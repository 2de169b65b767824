"""Typed, closed configuration: one model class, and errors a user can act on."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
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
        raise BenchError(f"{where}: {'; '.join(_explain(e, cls) for e in error.errors())}") from None


def _explain(error: Any, cls: type[BaseModel]) -> str:
    if error["type"] == "value_error" and not error["loc"]:  # options that do not go together
        return str(error["ctx"]["error"])
    key = ".".join(str(part) for part in error["loc"])
    if error["type"] != "extra_forbidden":
        return f"option {key!r}: {error['msg'].lower()} (got {error['input']!r})"
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
