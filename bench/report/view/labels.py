"""What labels are worth in an experiment that was run with fewer or later ones."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from bench.analysis import fullest, label_gains, label_worth
from bench.report.view.detail import detail, label_families
from bench.report.view.loaded import Results, derived


def shown_families(results: Results) -> list[pd.DataFrame]:
    """The families whose scenario with most labels is shown in full: these have a figure and tables."""
    return [here for here in label_families(results) if fullest(here) in detail(results).shown]


@derived
def worth_of_labels(results: Results) -> pd.DataFrame:
    """`label_worth` of each family."""
    return _joined(results, label_worth)


@derived
def gains_from_labels(results: Results) -> pd.DataFrame:
    """`label_gains` of each family."""
    return _joined(results, label_gains)


def _joined(results: Results, measure: Callable[..., pd.DataFrame]) -> pd.DataFrame:
    found = [
        measure(here, _errors_of(results, here), results.stretch(fullest(here))) for here in label_families(results)
    ]
    found = [frame for frame in found if len(frame)]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()


def _errors_of(results: Results, family: pd.DataFrame) -> dict[str, dict[str, pd.DataFrame]]:
    """Errors by seed of each scenario of a family."""
    return {str(scenario): results.errors_by_seed(str(scenario)) for scenario in family["scenario"].unique()}
