"""What plug-in authors and notebook users import: it is there, and documented with shapes and errors."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import bench
import bench.analysis
import bench.report
import bench.testing

ROOT = Path(__file__).parents[1]
MODULES: list[ModuleType] = [bench, bench.testing, bench.analysis, bench.report]
PUBLIC = [(module, name) for module in MODULES for name in module.__all__]
ARRAYS = re.compile(r"Tensor|NDArray|Floats|ndarray")
SHAPE = re.compile(r"\([A-Za-z_0-9. +]+(, ?[A-Za-z_0-9. +]+)*,?\)")


def documented() -> list[Any]:
    """Classes and functions, each once."""
    found = {id(value): value for module, name in PUBLIC if callable(value := getattr(module, name))}
    return [value for value in found.values() if getattr(value, "__module__", "").startswith("bench.")]


def name_of(value: Any) -> str:
    return getattr(value, "__qualname__", repr(value))


def parts(value: Any) -> list[Any]:
    """A function, or the public methods of a class that it defines itself."""
    if not inspect.isclass(value):
        return [value] if inspect.isfunction(value) else []
    own = [part.fget if isinstance(part, property) else part for part in vars(value).values()]
    own = [getattr(part, "__func__", part) for part in own]
    own = [part for part in own if inspect.isfunction(part) and not part.__name__.startswith("_")]
    return [part for part in own if part.__module__ == value.__module__]  # pydantic adds others


def test_every_public_name_is_there_once_and_found() -> None:
    for module in MODULES:
        assert len(module.__all__) == len(set(module.__all__))
        assert {*module.__all__} <= {*dir(module)}
        assert all(getattr(module, name) is not None for name in module.__all__)
    with pytest.raises(AttributeError, match="module 'bench' has no attribute 'runn'"):
        bench.runn  # noqa: B018


@pytest.mark.parametrize("value", documented(), ids=name_of)
def test_a_public_name_is_documented(value: Any) -> None:
    assert value.__doc__, "no docstring"
    for part in parts(value):
        doc = part.__doc__ or ""
        assert doc, f"{part.__qualname__}: no docstring"
        if ARRAYS.search(str(part.__annotations__)):
            assert SHAPE.search(f"{doc} {value.__doc__}"), f"{part.__qualname__}: no shape"
        tree = ast.parse(textwrap.dedent(inspect.getsource(part)))
        raised = {
            node.exc.func.id
            for node in ast.walk(tree)
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and isinstance(node.exc.func, ast.Name)
        }
        if raised - {"AttributeError", "NotImplementedError"}:
            assert "Raises:" in doc, f"{part.__qualname__} raises {raised}, and does not say so"


@pytest.mark.parametrize("folder", ["datasets", "docs"])
def test_plug_ins_import_from_the_public_modules(folder: str) -> None:
    """Datasets and examples are written as a user would; built-in strategies share parts of `bench`."""
    public = {module.__name__ for module in MODULES}
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / folder).glob("*.*") if path.suffix in (".py", ".md")]
    imported = {name for text in texts for name in re.findall(r"^\s*from (bench[\w.]*) import", text, re.MULTILINE)}
    assert {name for name in imported - public if not name.startswith(OWN_PARTS)} == set()


OWN_PARTS = ("bench.data.synthetic", "bench.data.user_files", "bench.contracts.config")
"""What the built-in datasets of this package are made of."""
