"""Finding plug-ins: the built-in folders, entry points, and files named on the command line."""

from __future__ import annotations

import hashlib
import importlib
import re
import sys
import traceback
from collections.abc import Iterable
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from bench.dataset import DATASETS
from bench.errors import BenchError
from bench.forecaster import FORECASTERS
from bench.registry import Registry
from bench.strategy import STRATEGIES

PACKAGE = Path(__file__).resolve().parent
FORECASTER_MODULES = ("bench.forecasters.linear", "bench.forecasters.titans_options")


def home() -> Path:
    """The folder that holds ``adapters/``, ``datasets/`` and ``experiments/``.

    The repository's own, where they stand beside ``bench/``; otherwise the copies inside the wheel.
    """
    beside = PACKAGE.parent
    in_checkout = (beside / "pyproject.toml").is_file() and (beside / "adapters").is_dir()
    return beside if in_checkout else PACKAGE / "_builtin"


def load_plugins(paths: Iterable[Path | str] = ()) -> None:
    """Register everything that is built in or installed, then what ``paths`` name. Doing it twice does nothing.

    Args:
        paths: Files, or folders whose ``*.py`` files count (those that start with ``_`` do not).

    Raises:
        BenchError: A path is missing or registers nothing, a file fails to import, or a name is registered twice.
    """
    for module in FORECASTER_MODULES:
        importlib.import_module(module)
    for kind in ("adapters", "datasets"):
        for file in _files_in(home() / kind):
            _load_file(file, kind)
    for point in entry_points(group="bench.plugins"):
        try:
            point.load()
        except BenchError:
            raise
        except (Exception, SystemExit) as error:
            raise BenchError(f"plug-in {point.name!r} ({point.value}) failed to load: {error!r}") from error
    for path in paths:
        _load_path(Path(path))


def _load_path(path: Path) -> None:
    """Load what a path names; where all of it is new, it has to register something, or a library that it imports."""
    files, before = _plugin_files(path), _registered()
    is_new = not any(map(_loaded, files))
    modules = [_load_file(file, "plugins") for file in files]
    if is_new and _registered() == before:
        for module in modules:  # once mended, it loads
            del sys.modules[module.__name__]
        raise BenchError(
            f"--plugins {path}: registers nothing. Put @register_strategy, @register_forecaster or @register_dataset, "
            "with a name, before a class."
        )


def _registered() -> int:
    return len(STRATEGIES) + len(FORECASTERS) + len(DATASETS)


def user_plugin_names(paths: Iterable[Path | str]) -> tuple[list[str], list[str], list[str]]:
    """Names of the strategies, forecasters and datasets that the files under ``paths`` registered."""
    files = {file.resolve() for path in paths for file in _plugin_files(Path(path))}
    registries: tuple[Registry[Any], ...] = (STRATEGIES, FORECASTERS, DATASETS)
    strategies, forecasters, datasets = ([e.name for e in registry if e.file in files] for registry in registries)
    return strategies, forecasters, datasets


def _plugin_files(path: Path) -> list[Path]:
    if path.is_dir():
        if files := _files_in(path):
            return files
        raise BenchError(f"--plugins {path}: no plug-in files (*.py) in this folder")
    if not path.is_file():
        raise BenchError(f"--plugins {path}: no such file or folder")
    return [path]


def _files_in(folder: Path) -> list[Path]:
    return sorted(file for file in folder.glob("*.py") if not file.name.startswith("_"))


def _loaded(file: Path) -> ModuleType | None:
    """The module of a file that was loaded before."""
    for name, module in sys.modules.copy().items():  # at once: other threads may import
        if name.startswith("bench_plugins.") and module.__file__ == str(file.resolve()):
            return module
    return None


def _load_file(file: Path, kind: str) -> ModuleType:
    """Import one file as ``bench_plugins.<kind>.<stem>``, once for each resolved path."""
    file = file.resolve()
    if (loaded := _loaded(file)) is not None:
        return loaded
    name = f"bench_plugins.{kind}.{file.stem}"
    if name in sys.modules:  # another file of the same stem: both may stay, under names of their own
        name += "_" + hashlib.sha256(str(file).encode()).hexdigest()[:8]
    module = ModuleType(name)
    module.__file__ = str(file)
    sys.modules[name] = module
    try:
        # Compiled from the text that is hashed: cached bytecode may be of an earlier one.
        code = compile(file.read_bytes(), str(file), "exec", dont_inherit=True)
        exec(code, module.__dict__)  # noqa: S102 - running it is the point
    except BaseException as error:
        del sys.modules[name]
        for registry in (STRATEGIES, FORECASTERS, DATASETS):
            registry.drop_files([file])
        if not isinstance(error, (Exception, SystemExit)):
            raise
        if isinstance(error, BenchError):
            raise error if str(file) in str(error) else BenchError(f"{file}: {error}") from error
        what = f"{type(error).__name__}: {error}{_where(error, file)}"
        raise BenchError(f"{file} failed to load: {what}") from error
    return module


def _where(error: BaseException, file: Path) -> str:
    """The line of a plug-in's file that an error came from; empty where the error says it, or it is not known."""
    lines = [step.lineno for step in traceback.extract_tb(error.__traceback__) if step.filename == str(file)]
    return f" (line {lines[-1]})" if lines and not isinstance(error, SyntaxError) else ""


def raised_at(text: str) -> str:
    """Where in a plug-in's file a traceback leads, such as `` (mine.py, line 7)``; empty where it passes through none.

    Args:
        text: The traceback, as ``traceback.format_exc`` gives it.
    """
    registries: tuple[Registry[Any], ...] = (STRATEGIES, FORECASTERS, DATASETS)
    files = {str(entry.file) for registry in registries for entry in registry}
    steps = [(file, line) for file, line in re.findall(r'^ *File "(.+)", line (\d+)', text, re.M) if file in files]
    return f" ({Path(steps[-1][0]).name}, line {steps[-1][1]})" if steps else ""
