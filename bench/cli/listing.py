"""``bench list``: what there is to choose from, as tables or as JSON."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.cli.options import Plugins
from bench.execution.console import load_all, out, print_table

Rows = list[dict[str, Any]]
HEADERS = {"summary": "what it is"}
FROM_PLUGINS = ("strategies", "forecasters", "datasets", "metrics", "engines", "trackers")


def list_all(
    kind: Annotated[
        str | None, typer.Argument(help="strategies, datasets, ... (see the tables); all by default.")
    ] = None,
    plugins: Plugins = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON: a list for each kind.")] = False,
) -> None:
    """Strategies, forecasters, datasets, metrics, engines, trackers, presets and experiments."""
    from bench.contracts.registry import unknown

    kinds = _kinds()
    if kind is not None and kind not in kinds:
        raise unknown("kind to list", kind, kinds)
    known = _of_plugins(kinds, plugins or ()) if kind in (None, *FROM_PLUGINS) or plugins else {}
    found = {name: known.get(name) or rows() for name, rows in kinds.items() if kind in (None, name)}
    if as_json:
        out.print(json.dumps(found, indent=2))
        return
    for name, rows in found.items():
        columns = [HEADERS.get(column, column) for column in rows[0]] if rows else []
        print_table(name.capitalize(), columns, [tuple(map(_cell, row.values())) for row in rows])


def _cell(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)


def _of_plugins(kinds: dict[str, Callable[[], Rows]], plugins: Iterable[Path]) -> dict[str, Rows]:
    """The rows of kinds that plug-ins bring; built-in plug-ins are imported only where their code is another one.

    Importing them takes seconds, most of it torch. What they brought is kept for the user, by a hash of their code; the
    working folder's own files, those of ``plugins`` and those of other distributions are always imported.
    """
    from bench.contracts.discovery import LISTED, PLUGIN_POINTS, working_plugins
    from bench.results.disk import replace_whole

    def listed() -> dict[str, Rows]:
        return {name: kinds[name]() for name in FROM_PLUGINS}

    own = [*plugins, *working_plugins()]
    if own or any(map(len, LISTED)):
        load_all(plugins)
        return listed()
    file, code = _kept_in(), code_behind_lists()
    if (kept := _kept(file, code)) is not None:
        return kept
    broken = load_all()
    found = listed()
    if not broken and not entry_points(group=PLUGIN_POINTS) and code == code_behind_lists():
        with contextlib.suppress(OSError):  # a home that cannot be written to
            replace_whole(file, json.dumps({"code": code, "found": found}), file.parent)
    return found


def _kept_in() -> Path:
    from platformdirs import user_cache_path

    return user_cache_path("adaptbench") / "listed.json"


def _kept(file: Path, code: str) -> dict[str, Rows] | None:
    from bench.results.plain import read_object

    kept = read_object(file, file.parent) or {}
    found = kept.get("found")
    return found if kept.get("code") == code and isinstance(found, dict) and {*found} == {*FROM_PLUGINS} else None


def code_behind_lists() -> str:
    """Hash of all that decides what built-in plug-ins register: code of this package and theirs, what is installed."""
    from bench.contracts.discovery import KINDS, PACKAGE, home

    digest = hashlib.sha256(repr((sys.version, sys.flags.optimize)).encode())
    for root in (PACKAGE, *(home() / kind for kind in KINDS)):
        for file in sorted(root.rglob("*.py")):
            digest.update(f"\n{file}\n".encode(errors="surrogateescape"))
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    for name in sorted(_installed()):
        digest.update(f"\n{name}".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _installed() -> Iterator[str]:
    """What folders of modules hold, and since when: a distribution that is installed, removed or replaced shows."""
    for folder in {os.path.realpath(path) for path in sys.path}:
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith((".dist-info", ".egg-info", ".egg-link", ".pth")):
                    yield f"{entry.path} {entry.stat().st_mtime_ns}"


def _kinds() -> dict[str, Callable[[], Rows]]:
    from bench.contracts.dataset import DATASETS
    from bench.contracts.engine import ENGINES
    from bench.contracts.forecaster import FORECASTERS, abilities
    from bench.contracts.metric import METRICS
    from bench.contracts.strategy import STRATEGIES
    from bench.contracts.tracker import TRACKERS

    return {
        "strategies": lambda: _rows(STRATEGIES, lambda cls: {"group": cls.group, "needs": sorted(cls.needs)}),
        "forecasters": lambda: _rows(FORECASTERS, lambda cls: {"offers": sorted(abilities(cls))}),
        "datasets": lambda: _rows(DATASETS, lambda _: {}),
        "metrics": lambda: _rows(METRICS, lambda cls: {"better": cls.better}),
        "engines": lambda: _rows(ENGINES, lambda cls: {"needs": cls.package}),
        "trackers": lambda: _rows(TRACKERS, lambda cls: {"needs": cls.package}),
        "presets": _presets,
        "experiments": _experiments,
    }


def _rows(registry: Iterable[Any], more: Callable[[Any], dict[str, Any]]) -> Rows:
    return [{"name": entry.name, **more(entry.cls), "summary": entry.summary} for entry in registry]


def _presets() -> Rows:
    from bench.contracts.protocol import PRESETS

    return [
        {"name": name, "schedule": f"S = {preset['stride'] or 'H'}, K = {preset['block']}"}
        for name, preset in PRESETS.items()
    ]


def _experiments() -> Rows:
    from bench.execution.experiment import experiment_files

    return [{"name": name, "file": str(file)} for name, file in experiment_files().items()]
