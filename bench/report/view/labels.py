"""What labels are worth in an experiment that was run with fewer or later ones."""

from __future__ import annotations

import pandas as pd

from bench.analysis import fullest, label_gains, label_worth, stretch_length
from bench.report.view.detail import detail, label_families
from bench.report.view.loaded import Results, derived


def shown_families(results: Results) -> list[pd.DataFrame]:
    """The families whose scenario with most labels is shown in full: these have a figure and tables."""
    return [here for here in label_families(results) if fullest(here) in detail(results).shown]


@derived
def worth_of_labels(results: Results) -> pd.DataFrame:
    """`label_worth` of each family."""
    frames = []
    for here in label_families(results):
        main = fullest(here)
        overlap = results.overlap(main)
        stretch = stretch_length(len(results.streams.get(main, [])), overlap, results.season(main))
        frames.append(label_worth(here, _errors_of(results, here), overlap, stretch))
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


@derived
def gains_from_labels(results: Results) -> pd.DataFrame:
    """`label_gains` of each family."""
    found = [
        label_gains(here, _errors_of(results, here), results.overlap(fullest(here))) for here in label_families(results)
    ]
    return pd.concat(found, ignore_index=True) if found else pd.DataFrame()


def _errors_of(results: Results, family: pd.DataFrame) -> dict[str, dict[str, pd.DataFrame]]:
    """Errors by seed of each scenario of a family."""
    return {str(scenario): results.errors_by_seed(str(scenario)) for scenario in family["scenario"].unique()}
