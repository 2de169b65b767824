"""What a run is, apart from versions of code and data: by this, runs of two versions are told to be the same."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from bench.storage.plain import parse_json

if TYPE_CHECKING:
    from bench.protocol import Protocol
    from bench.record import Record
    from bench.run_spec import RunSpec

Named = tuple[str, dict[str, Any]]
"""A plug-in's name, and the options that were given to it."""


def cell_of_run(run: RunSpec) -> str:
    """The cell of a run that is to be: a line of JSON."""
    forecaster = (run.forecaster.name, run.forecaster.options) if run.forecaster else None
    strategy, dataset = (run.strategy.name, run.strategy.options), (run.dataset.name, run.dataset.options)
    return _cell(strategy, forecaster, dataset, run.protocol, run.seed)


def cell_of_record(record: Record) -> str:
    """The cell of a run that was; options that a protocol gained since then are at their defaults."""
    forecaster = (record.forecaster.name, record.forecaster.given) if record.forecaster else None
    strategy, dataset = (record.strategy.name, record.strategy.given), (record.dataset.name, record.dataset.given)
    return _cell(strategy, forecaster, dataset, record.protocol, record.seed)


def named_in(cell: str) -> tuple[str, str, str] | None:
    """Strategy with its forecaster, dataset and seed of a cell; None where the text is no cell."""
    try:
        strategy, _, forecaster, dataset, _, _, seed = parse_json(cell)
        return f"{strategy} ({forecaster[0]})" if forecaster else str(strategy), str(dataset), str(seed)
    except (ValueError, TypeError, KeyError):
        return None


def _cell(strategy: Named, forecaster: Named | None, dataset: Named, protocol: Protocol, seed: int) -> str:
    what = [*strategy, list(forecaster) if forecaster else None, *dataset]
    return json.dumps([*what, protocol.model_dump(), seed], sort_keys=True)
