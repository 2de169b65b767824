"""Importing plug-ins: each folder that holds some is a package, so that a plug-in may import its siblings."""

from __future__ import annotations

import hashlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import CodeType, ModuleType

ROOT = "bench_plugins"


class TextLoader(importlib.machinery.SourceFileLoader):
    """Runs a file's text as it is now: cached bytecode may be of an earlier one. ``text`` is what it ran last."""

    text = b""

    def get_code(self, fullname: str) -> CodeType:
        """The text, compiled without the ``__future__`` imports of this module."""
        path = self.get_filename(fullname)
        self.text = self.get_data(path)
        return compile(self.text, path, "exec", dont_inherit=True)


class _SiblingFinder(importlib.abc.MetaPathFinder):
    """Finds modules beside and below a plug-in, for `TextLoader`."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The module's spec; None if no plug-in has such a module."""
        del target
        if not name.startswith(f"{ROOT}."):
            return None
        stem = name.rpartition(".")[2]
        for folder in map(Path, path or ()):
            for file in (folder / stem / "__init__.py", folder / f"{stem}.py"):
                if file.is_file():
                    return _spec(name, file)
        return None


sys.meta_path.insert(0, _SiblingFinder())


def plugins_in(folder: Path) -> list[Path]:
    """The plug-ins of a folder, sorted: its ``*.py`` files, and packages by ``__init__.py``; none begins with ``_``."""
    files = [*folder.glob("*.py"), *folder.glob("*/__init__.py")]
    return sorted(file for file in files if not file.relative_to(folder).parts[0].startswith(("_", ".")))


def loaded(file: Path) -> ModuleType | None:
    """The module of a plug-in's file that was loaded before, by whatever path."""
    path, start = str(file.resolve()), f"{ROOT}."
    plugins = [name for name in sys.modules.copy() if name.startswith(start)]  # at once: other threads may import
    found = (sys.modules.get(name) for name in plugins)
    return next((module for module in found if getattr(module, "__file__", None) == path), None)


def load(file: Path, kind: str) -> ModuleType:
    """Import a file, or a package by its ``__init__.py``, once for each resolved path.

    Its module is ``bench_plugins.<kind>.<name>``; plug-ins of one folder are modules of one package. If one raises, its
    module and those that it imported from its folder are forgotten.
    """
    file = file.resolve()
    if (module := loaded(file)) is not None:
        return module
    unit = file.parent if file.name == "__init__.py" else file.with_suffix("")
    parent = _package(unit.parent, kind)
    name = f"{parent.__name__}.{unit.name.replace('.', '_')}"
    if name in sys.modules:  # of a file beside a folder of that name: both may stay
        name += _short_hash(file)
    spec = _spec(name, file)
    module, before = importlib.util.module_from_spec(spec), set(sys.modules)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)  # type: ignore[union-attr]
    except BaseException:
        forget({name, *sys.modules} - before)
        raise
    setattr(parent, name.rpartition(".")[2], module)
    return module


def forget(names: set[str]) -> None:
    """Forget modules of plug-ins, so that they are loaded again when imported again."""
    for name in names:
        if name.startswith(f"{ROOT}."):
            sys.modules.pop(name, None)


def line_of(error: BaseException, file: Path) -> str:
    """The line in a plug-in's folder that an error came from, as `` (line 7)``; empty if the error says it."""
    if isinstance(error, SyntaxError):
        return "" if error.filename in (None, str(file)) else f" ({Path(str(error.filename)).name})"
    folders = {str(file.parent), str(file.parent.parent) if file.name == "__init__.py" else ""}
    steps = [s for s in traceback.extract_tb(error.__traceback__) if str(Path(s.filename).parent) in folders]
    if not steps:
        return ""
    last = steps[-1]
    where = "" if last.filename == str(file) else f"{Path(last.filename).name}, "
    return f" ({where}line {last.lineno})"


def _package(folder: Path, kind: str) -> ModuleType:
    """The package of all plug-ins in a folder."""
    for module in sys.modules.copy().values():
        if getattr(module, "__name__", "").startswith(f"{ROOT}.") and list(getattr(module, "__path__", ())) == [
            str(folder)
        ]:
            return module
    name = f"{ROOT}.{kind}"
    if name in sys.modules:  # of another folder
        name += _short_hash(folder)
    _namespace(ROOT, [])
    return _namespace(name, [str(folder)])


def _short_hash(path: Path) -> str:
    return "_" + hashlib.sha256(str(path).encode(errors="surrogateescape")).hexdigest()[:8]


def _namespace(name: str, path: list[str]) -> ModuleType:
    if name not in sys.modules:
        module = ModuleType(name)
        module.__path__ = path
        sys.modules[name] = module
    return sys.modules[name]


def _spec(name: str, file: Path) -> importlib.machinery.ModuleSpec:
    inside = [str(file.parent)] if file.name == "__init__.py" else None
    loader = TextLoader(name, str(file))
    spec = importlib.util.spec_from_file_location(name, file, loader=loader, submodule_search_locations=inside)
    assert spec is not None
    return spec
