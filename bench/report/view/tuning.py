"""Trials of options as the report sees them, and what was chosen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from bench.analysis.tuning import GROUP, grid_table
from bench.results.plain import JSON_BYTES, is_file, is_folder, read_file
from bench.results.store import CHOSEN, TRIALS
from bench.results.trials import read_trials


@dataclass(frozen=True, eq=False)
class Tuning:
    """An experiment's trials.

    Attributes:
        experiment: Its name.
        trials: A row for each run, as `bench.results.trials.read_trials` gives it.
        snippets: What was chosen, as TOML.
    """

    experiment: str
    trials: pd.DataFrame
    snippets: tuple[str, ...]

    @cached_property
    def table(self) -> pd.DataFrame:
        """`grid_table` of all trials."""
        return grid_table(self.trials)

    def searches(self) -> Iterator[tuple[str, pd.DataFrame]]:
        """Each search by its title, with its rows of the table, in the order of the experiment."""
        several = self.table.groupby(["strategy", "dataset"], sort=False)["forecaster"].nunique().max() > 1
        for (strategy, forecaster, dataset, _), rows in self.table.groupby(GROUP, sort=False):
            on = f" + {forecaster}" if several and forecaster != "none" else ""
            yield f"{strategy}{on} on {dataset}", rows


def read_tuning(results_folder: Path) -> Tuning | None:
    """The trials of one experiment, or None where it has none."""
    trials = read_trials(results_folder)
    if trials.empty:
        return None
    chosen = results_folder / TRIALS / CHOSEN
    files = [path for path in sorted(chosen.glob("*.toml")) if is_file(path)] if is_folder(chosen) else []
    texts = (read_file(path, results_folder, JSON_BYTES).decode(errors="replace").strip() for path in files)
    return Tuning(results_folder.name, trials, tuple(texts))
