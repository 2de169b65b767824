"""Values as TOML: what a choice of options is written down in."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

BARE = re.compile(r"[A-Za-z0-9_-]+")


def toml_lines(values: Mapping[str, Any]) -> str:
    """One line for each key, tables in line; a list of more than one table or text goes over several lines.

    Args:
        values: Text, numbers, booleans, lists and mappings. None, which TOML cannot say, is left out.
    """
    return "".join(f"{_key(key)} = {_top(value)}\n" for key, value in values.items() if value is not None)


def _top(value: Any) -> str:
    if isinstance(value, list | tuple) and len(value) > 1 and any(isinstance(item, Mapping) for item in value):
        return "[\n" + "".join(f"  {_value(item)},\n" for item in value if item is not None) + "]"
    return _value(value)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        pairs = [f"{_key(key)} = {_value(item)}" for key, item in value.items() if item is not None]
        return "{ " + ", ".join(pairs) + " }" if pairs else "{}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(item) for item in value if item is not None) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value)


def _key(key: str) -> str:
    return key if BARE.fullmatch(key) else _value(key)
