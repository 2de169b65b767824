"""Finding plug-ins: the built-in folders, entry points, and files, packages and folders named on the command line."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from bench.contracts.dataset import DATASETS, resolve_dataset
from bench.contracts.engine import ENGINES
from bench.contracts.errors import BenchError
from bench.contracts.forecaster import FORECASTERS
from bench.contracts.metric import METRICS
from bench.contracts.plugin_import import forget, line_of, load, loaded, plugins_in
from bench.contracts.registry import Registry
from bench.contracts.section import SECTIONS
from bench.contracts.series import DriftSeries
from bench.contracts.strategy import STRATEGIES
from bench.contracts.tracker import TRACKERS

PACKAGE = Path(__file__).resolve().parents[1]
KINDS = ("adapters", "datasets")
PLUGIN_POINTS = "bench.plugins"  # group of entry points by which other distributions bring plug-ins
_REGISTERS = re.compile(
    rb"\bregister_(strategy|forecaster|dataset|metric|engine|section|tracker)\b|\bbench\b(?s:.*)\bwrap\("
)
_SECTION = re.compile(rb"\bregister_section\b")
FORECASTERS_HERE = (
    "linear",
    "dlinear",
    "fits",
    "fsnet_tcn",
    "gru",
    "itransformer",
    "patchtst",
    "tcn",
    "titans.forecaster",
)
BUILT_IN = (
    *(f"bench.forecasters.{name}" for name in FORECASTERS_HERE),
    "bench.execution.engines",
    "bench.execution.trackers",
)
"""Modules that register, beside the folders of plug-ins."""

LISTED: tuple[Registry[Any], ...] = (STRATEGIES, FORECASTERS, DATASETS)  # of what an experiment lists

REGISTRIES: tuple[Registry[Any], ...] = (*LISTED, METRICS, ENGINES, SECTIONS, TRACKERS)


def home() -> Path:
    """The folder of ``adapters/``, ``datasets/`` and ``experiments/``: the checkout's, or the wheel's copies."""
    beside = PACKAGE.parent
    in_checkout = (beside / "pyproject.toml").is_file() and (beside / "adapters").is_dir()
    return beside if in_checkout else PACKAGE / "_builtin"


@dataclass(frozen=True)
class Broken:
    """A file of ``adapters/`` or ``datasets/`` that cannot be loaded: nothing of it is registered."""

    reason: str  # what went wrong, and where
    # strategies, forecasters and datasets that its text registers, and no other file does
    names: tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]

    def __str__(self) -> str:
        names = ", ".join(name for kind in self.names for name in kind)
        return f"{self.reason.rstrip('.')}. Left out: {names or 'what it holds'}."


def working_plugins(*, at_hand: bool = False) -> list[Path]:
    """Plug-ins of the working folder's ``adapters/`` and ``datasets/``, unless it is a checkout; or loaded ones.

    Both names are used by other tools too: a file or a package that registers nothing does not count. ``at_hand``
    leaves out what is not loaded, and so may be broken.
    """
    if Path("bench", "__main__.py").is_file():  # a checkout, of this version or another
        return []
    files = [file for kind in KINDS for file in plugins_in(Path.cwd().resolve() / kind)]
    found = [file for file in files if any(map(_registers, [file, *_others(file)]))]
    return [file for file in found if loaded(file)] if at_hand else found


def _others(file: Path) -> Iterable[Path]:
    return file.parent.rglob("*.py") if file.name == "__init__.py" else ()


def _registers(file: Path, what: re.Pattern[bytes] = _REGISTERS) -> bool:
    try:
        return what.search(file.read_bytes()) is not None
    except OSError:
        return False


def load_plugins(paths: Iterable[Path | str] = ()) -> list[Broken]:
    """Register everything built in, in the working folder or installed, then what ``paths`` name; repeatable.

    Args:
        paths: Files, packages, or folders of them; names in a folder that start with ``_`` do not count.

    Returns:
        The files of ``adapters/`` and ``datasets/`` that could not be loaded; all others are.

    Raises:
        BenchError: A path is missing or registers nothing, a file fails to import, or a name is registered twice.
    """
    for module in BUILT_IN:
        importlib.import_module(module)
    failed = _load_each([*(file for kind in KINDS for file in plugins_in(home() / kind)), *working_plugins()])
    for point in entry_points(group=PLUGIN_POINTS):
        try:
            point.load()
        except BenchError:
            raise
        except (Exception, SystemExit) as error:
            raise BenchError(f"plug-in {point.name!r} ({point.value}) failed to load: {error!r}") from error
    for path in paths:
        _load_path(Path(path))
    return [Broken(reason, _names_in(file)) for file, reason in failed.items()]


def _load_each(files: Iterable[Path]) -> dict[Path, str]:
    """Load plug-ins of folders; those that cannot be loaded, and why."""
    failed = {}
    for file in files:
        try:
            _load_file(file, next(parent.name for parent in file.parents if parent.name in KINDS))
        except BenchError as error:
            failed[file] = str(error)
    return failed


def load_sections(paths: Iterable[Path | str] = ()) -> list[Broken]:
    """Register the sections of reports that plug-ins of the working folder, and all that ``paths`` name, bring.

    No other plug-in is loaded: a report needs none, and no torch unless one of these imports it.

    Returns:
        The files of the working folder that could not be loaded.

    Raises:
        BenchError: A path is missing or registers nothing, a file fails to import, or a name is registered twice.
    """
    files = [file for file in working_plugins() if any(_registers(each, _SECTION) for each in [file, *_others(file)])]
    failed = _load_each(files)
    for path in paths:
        _load_path(Path(path))
    return [Broken(reason, _names_in(file)) for file, reason in failed.items()]


def load_dataset(name: str, **options: Any) -> DriftSeries:
    """Load a registered dataset.

    Args:
        name: As for ``bench run --dataset``: a registered name or ``csv:PATH``.
        **options: Fields of the dataset's ``Config``, such as ``targets=["OT"]`` or ``split="60-20-20"``.

    Returns:
        The series, checked; ``values`` are in original units.

    Raises:
        BenchError: The dataset is unknown, absent or unusable.

    Example:
        >>> from bench import load_dataset
        >>> load_dataset("realistic-drift").values.shape
        (5000, 4)
    """
    load_plugins()
    return resolve_dataset(name, options).series()


def _names_in(file: Path) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """What a file would register, read from its text."""
    text = file.read_text(encoding="utf-8", errors="replace")
    found = re.findall(r"@register_(\w+)\(\s*[\"']([^\"']+)", text)
    found += (("forecaster", name) for name in re.findall(r"\bwrap\(\s*[\"']([^\"']+)", text))
    strategies, forecasters, datasets = (
        tuple(name for kind, name in found if kind == registry.kind and name not in registry) for registry in LISTED
    )
    return strategies, forecasters, datasets


def _load_path(path: Path) -> None:
    """Load what a path names; if all of it is new, it must register something."""
    files, before = _plugin_files(path), _registered()
    is_new = not any(map(loaded, files))
    modules = [_load_file(file, "plugins") for file in files]
    if is_new and _registered() == before:
        forget({module.__name__ for module in modules})  # once mended, it loads
        decorators = ", ".join(f"@register_{registry.kind}" for registry in REGISTRIES)
        raise BenchError(
            f"plugins {path}: registers nothing. Put one of {decorators}, with a name, before a class or function."
        )


def _registered() -> int:
    return sum(map(len, REGISTRIES))


def user_plugin_names(paths: Iterable[Path | str]) -> tuple[list[str], list[str], list[str]]:
    """Names of the strategies, forecasters and datasets that the files under ``paths`` registered."""
    files = {file.resolve() for path in paths for file in _plugin_files(Path(path))}
    packages = {file.parent for file in files if file.name == "__init__.py"}
    strategies, forecasters, datasets = (
        [e.name for e in registry if e.file in files or packages & {*e.file.parents}] for registry in LISTED
    )
    return strategies, forecasters, datasets


def _plugin_files(path: Path) -> list[Path]:
    """The plug-ins that a path names; if a folder is a package itself, the package first."""
    if path.is_dir():
        package = [path / "__init__.py"] if (path / "__init__.py").is_file() else []
        if files := [*package, *plugins_in(path)]:
            return files
        raise BenchError(f"plugins {path}: no plug-in files (*.py) in this folder")
    if not path.is_file():
        raise BenchError(f"plugins {path}: no such file or folder")
    if path.suffix != ".py":
        raise BenchError(f"plugins {path}: not a Python file. Name files that end in .py, or folders of them.")
    return [path]


def _load_file(file: Path, kind: str) -> ModuleType:
    """Import one file, or a package by its ``__init__.py``; one that fails registers nothing."""
    file = file.resolve()
    try:
        with ExitStack() as stack:
            for registry in REGISTRIES:
                stack.enter_context(registry.undone_on_error())
            return load(file, kind)
    except BenchError as error:
        raise error if str(file) in str(error) else BenchError(f"{file}: {error}") from error
    except (Exception, SystemExit) as error:
        raise BenchError(f"{file} failed to load: {type(error).__name__}: {error}{line_of(error, file)}") from error


def raised_at(text: str) -> str:
    """Where in a plug-in's files a formatted traceback leads, such as `` (mine.py, line 7)``; or empty."""
    folders = {str(entry.file.parent) for registry in REGISTRIES for entry in registry}
    steps = re.findall(r'^ *File "(.+)", line (\d+)', text, re.M)
    found = [(Path(file), line) for file, line in steps if str(Path(file).parent) in folders]
    return f" ({found[-1][0].name}, line {found[-1][1]})" if found else ""
