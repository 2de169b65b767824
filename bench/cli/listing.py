"""``bench list``: what there is to choose from, as tables or as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Annotated, Any

import typer

from bench.cli.options import Plugins
from bench.contracts.registry import unknown
from bench.execution.console import load_all, out, print_table

Rows = list[dict[str, Any]]
HEADERS = {"summary": "what it is"}


def list_all(
    kind: Annotated[
        str | None, typer.Argument(help="strategies, datasets, ... (see the tables); all by default.")
    ] = None,
    plugins: Plugins = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON: a list for each kind.")] = False,
) -> None:
    """Strategies, forecasters, datasets, metrics, engines, sections of reports, presets and experiments."""
    kinds = _kinds()
    if kind is not None and kind not in kinds:
        raise unknown("kind to list", kind, kinds)
    load_all(plugins or ())
    found = {name: rows() for name, rows in kinds.items() if kind in (None, name)}
    if as_json:
        out.print(json.dumps(found, indent=2))
        return
    for name, rows in found.items():
        columns = [HEADERS.get(column, column) for column in rows[0]] if rows else []
        print_table(name.capitalize(), columns, [tuple(map(_cell, row.values())) for row in rows])


def _cell(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else str(value)


def _kinds() -> dict[str, Callable[[], Rows]]:
    from bench.contracts.dataset import DATASETS
    from bench.contracts.engine import ENGINES
    from bench.contracts.forecaster import FORECASTERS, abilities
    from bench.contracts.metric import METRICS
    from bench.contracts.strategy import STRATEGIES

    return {
        "strategies": lambda: _rows(STRATEGIES, lambda cls: {"group": cls.group, "needs": sorted(cls.needs)}),
        "forecasters": lambda: _rows(FORECASTERS, lambda cls: {"offers": sorted(abilities(cls))}),
        "datasets": lambda: _rows(DATASETS, lambda _: {}),
        "metrics": lambda: _rows(METRICS, lambda cls: {"better": cls.better}),
        "engines": lambda: _rows(ENGINES, lambda cls: {"needs": cls.package}),
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
