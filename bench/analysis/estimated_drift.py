"""Estimated change points, kept by the fingerprint of the data, so that reports need no dataset.

They are for readers of a report only: no strategy sees one, and none counts as a known drift.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.contracts.errors import BenchError
from bench.contracts.naming import Called
from bench.results.disk import CHANGE_POINTS, replace_whole
from bench.results.plain import read_object

if TYPE_CHECKING:
    from bench.contracts.series import DriftSeries
    from bench.results.store import Store

METHOD = 1
"""Goes up with each change of how they are estimated: what was kept from before is then not read."""


@dataclass(frozen=True)
class EstimatedDrift:
    """A change of the level that the data show.

    Attributes:
        row: First row of the new level, to a block of `change_points`.
        shift: Of the column that moved most, in its standard deviations, signed.
    """

    row: int
    shift: float
    column: str


def estimated_drifts(series: DriftSeries, folder: Path) -> list[EstimatedDrift] | None:
    """The change points of a whole series, in order of rows: read from ``folder``, or else computed and kept there.

    None if the package that finds them is not installed.
    """
    from bench.analysis.statistics.change_points import is_available

    kept = read_drifts(folder, series.fingerprint)
    if kept is not None or not is_available():
        return kept
    found = _estimate(series)
    _keep(folder, series.fingerprint, found)
    return found


def read_drifts(folder: Path, fingerprint: str) -> list[EstimatedDrift] | None:
    """What is kept for a fingerprint; None if nothing is, or it was estimated by another method."""
    try:
        kept = read_object(folder / f"{fingerprint}.json", folder.parent) or {}
        return [_drift(point) for point in kept["points"]] if kept["method"] == METHOD else None
    except (ValueError, TypeError, KeyError):
        return None


def leave_drifts(
    store: Store, say: Callable[[str], None], datasets: Iterable[str | dict[str, Any]] = (), *, again: bool = False
) -> None:
    """Keep the change points of each dataset beside an experiment's results, for its report.

    ``again`` replaces kept ones; ``datasets`` are as in the experiment, since a record does not hold the path of a
    user's file; ``say`` is told what could not be estimated, and why.
    """
    from bench.analysis.statistics.change_points import is_available

    if not is_available():
        say("no estimated change points in the report: pip install 'adaptbench[drift]'")
        return
    files: dict[str, DriftSeries] | None = None
    for dataset in {record.dataset.fingerprint: record.dataset for record in store.records()}.values():
        if not again and read_drifts(store.folder / CHANGE_POINTS, dataset.fingerprint) is not None:
            continue
        try:
            if dataset.called.is_file:
                files = _files(datasets) if files is None else files
                series = files[dataset.fingerprint]
            else:
                series = _series(dataset.name, dataset.given)
        except (BenchError, KeyError) as error:
            why = error if isinstance(error, BenchError) else "the file is not among the experiment's datasets"
            say(f"no change points of {dataset.name}: {why}")
            continue
        if series.fingerprint != dataset.fingerprint:
            say(f"no change points of {dataset.name}: its data are no longer those of the results")
        else:
            _keep(store.folder / CHANGE_POINTS, series.fingerprint, _estimate(series))


def _files(datasets: Iterable[str | dict[str, Any]]) -> dict[str, DriftSeries]:
    """The series of an experiment's files, by fingerprint."""
    from bench.evaluation.run_spec import Choice

    chosen = [Choice.parse(value, "dataset") for value in datasets]
    files = [choice for choice in chosen if Called.of(choice.name, choice.options, "").is_file]
    found = (_series(choice.name, choice.options) for choice in files)
    return {series.fingerprint: series for series in found}


def _series(name: str, options: dict[str, Any]) -> DriftSeries:
    from bench.contracts.dataset import resolve_dataset

    return resolve_dataset(name, options).series()


def _estimate(series: DriftSeries) -> list[EstimatedDrift]:
    from bench.analysis.statistics.change_points import change_points

    used = sorted({*series.input_index, *series.target_column})
    frame = change_points(series.values[:, used], tuple(series.columns[i] for i in used), series.season)
    return [_drift(point) for point in frame.to_dict("records")]


def _drift(point: Mapping[Any, Any]) -> EstimatedDrift:
    return EstimatedDrift(int(point["row"]), float(point["shift"]), str(point["column"]))


def _keep(folder: Path, fingerprint: str, found: list[EstimatedDrift]) -> None:
    text = json.dumps({"method": METHOD, "points": [vars(point) for point in found]}, indent=1)
    with contextlib.suppress(OSError):  # they can be computed again
        replace_whole(folder / f"{fingerprint}.json", text, folder.parent)
