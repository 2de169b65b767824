"""Trials of options: which run stands for which point of a grid or design, and what became of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter

from bench.results.plain import JSON_BYTES, read_file
from bench.results.record import Part
from bench.results.store import TRIALS, Store

if TYPE_CHECKING:
    import pandas as pd

SERVED = "served.json"
NONE = "none"  # in a grid, the text for an option that is left unset, where unset is its default


class Trial(Part):
    """One run on validation rows, as the ``runs.json`` of trials describes it."""

    strategy: str  # name, with the options that the experiment gives it whatever is tried
    forecaster: str  # name with options; ``none`` if the strategy adapts none
    dataset: str  # name with options
    protocol: str  # in one line
    seed: int  # of the run
    point: dict[str, Any]  # the options that are tried, and their values
    is_default: bool = False  # whether all options are as the experiment has them

    @property
    def group(self) -> tuple[str, str, str, str]:
        """What options are chosen for: strategy, forecaster, dataset and protocol."""
        return self.strategy, self.forecaster, self.dataset, self.protocol


class Served(Part):
    """A run over the stream with chosen options, named independently of what was chosen for its dataset."""

    group: tuple[str, str, str, str]  # as `Trial.group` has it
    strategy_options: dict[str, Any]  # the strategy's options apart from what was chosen
    forecaster_options: dict[str, Any]
    tunes_forecaster: bool = False  # whether the forecaster's options were tried too
    is_default: bool = False  # whether what was chosen is what the experiment has anyway


SERVED_RUNS = TypeAdapter(dict[str, Served])


def read_served(results_folder: Path) -> dict[str, Served]:
    """Runs over the stream with chosen options, by run id, from ``results/<experiment>``; empty without any."""
    try:
        return SERVED_RUNS.validate_json(read_file(results_folder / TRIALS / SERVED, results_folder, JSON_BYTES))
    except (OSError, ValueError):
        return {}


def listed_trials(results_folder: Path) -> dict[str, Trial]:
    """Trials of an experiment by run id, in the order of its grid or design; other entries are left out."""
    manifest = Store(results_folder / TRIALS).read_manifest()
    return {run_id: trial for run_id, cell in manifest.items() if (trial := _trial(cell)) is not None}


def _trial(cell: str) -> Trial | None:
    try:
        return Trial.model_validate_json(cell)
    except ValueError:
        return None


def read_trials(results_folder: Path) -> pd.DataFrame:
    """A row for each trial that left a record, in the order of the grid.

    Returns:
        Columns ``strategy, forecaster, dataset, protocol, point`` (a JSON object), ``seed, status, reason, val_mse``
        (NaN unless ``ok``), ``windows`` (that were served), ``is_default, seconds, run_id``.
    """
    import pandas as pd

    columns = ["strategy", "forecaster", "dataset", "protocol", "point", "seed", "status", "reason", "val_mse"]
    store, rows = Store(results_folder / TRIALS), []
    for run_id, trial in listed_trials(results_folder).items():
        if (record := store.read(run_id)) is None:
            continue
        val_mse = float("nan") if record.val_mse is None else record.val_mse
        outcome = [json.dumps(trial.point), trial.seed, record.status, record.reason, val_mse]
        first, end, _ = record.dataset.borders
        windows = len(record.protocol.origins(first, end))
        rows.append([*trial.group, *outcome, windows, trial.is_default, record.seconds, run_id])
    return pd.DataFrame(rows, columns=[*columns, "windows", "is_default", "seconds", "run_id"])


def point_text(values: Mapping[str, Any]) -> str:
    """Options as they are printed: ``online_lr=0.0001, carry=exact``."""
    return ", ".join(f"{key}={value_text(value)}" for key, value in values.items())


def value_text(value: Any) -> str:
    """A value as it is printed, and as a grid reads it."""
    return NONE if value is None else value if isinstance(value, str) else json.dumps(value)


def titled(name: str, options: Mapping[str, Any]) -> str:
    """A plug-in's name, followed by its options if any."""
    return f"{name} ({point_text(options)})" if options else name
