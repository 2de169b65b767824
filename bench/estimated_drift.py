"""Change points that were estimated, kept by the fingerprint of the data: reports read them without the dataset.

They are for people's eyes. No strategy is given one, and none counts as a known drift.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import BenchError
from bench.storage.disk import CHANGE_POINTS, replace_whole
from bench.storage.plain import read_object

if TYPE_CHECKING:
    from bench.series import DriftSeries
    from bench.store import Store

METHOD = 1
"""Goes up with each change of how they are estimated: what was kept from before is then not read."""


@dataclass(frozen=True)
class EstimatedDrift:
    """A change of the level that the data show.

    Attributes:
        row: First row of the new level, as near as it can be told.
        shift: Of the column that moved most, in its standard deviations, signed.
        column: That column.
    """

    row: int
    shift: float
    column: str


def estimated_drifts(series: DriftSeries, folder: Path) -> list[EstimatedDrift] | None:
    """The change points of the columns that are used, from the folder where they are kept, else computed and kept.

    Args:
        series: The whole of it: nothing is hidden from the eye of the reader.
        folder: Where they are kept, a file for each fingerprint.

    Returns:
        In order of rows; None where the package that finds them is not installed.
    """
    from bench.analysis.change_points import is_available

    kept = read_drifts(folder, series.fingerprint)
    if kept is not None or not is_available():
        return kept
    found = _estimate(series)
    _keep(folder, series.fingerprint, found)
    return found


def read_drifts(folder: Path, fingerprint: str) -> list[EstimatedDrift] | None:
    """What is kept for some data; None where nothing is, or it was estimated in another way."""
    try:
        kept = read_object(folder / f"{fingerprint}.json", folder.parent) or {}
        return [_drift(point) for point in kept["points"]] if kept["method"] == METHOD else None
    except (ValueError, TypeError, KeyError):
        return None


def leave_drifts(store: Store, say: Callable[[str], None], *, again: bool = False) -> None:
    """Keep the change points of each dataset beside an experiment's results, for its report.

    Args:
        store: The results.
        say: Told what could not be estimated, and why; the report then goes without.
        again: Whether those that are kept are estimated again.
    """
    from bench.analysis.change_points import is_available
    from bench.dataset import resolve_dataset

    if not is_available():
        say("no estimated change points in the report: pip install 'adaptbench[drift]'")
        return
    for dataset in {record.dataset.fingerprint: record.dataset for record in store.records()}.values():
        if not again and read_drifts(store.folder / CHANGE_POINTS, dataset.fingerprint) is not None:
            continue
        try:
            series = resolve_dataset(dataset.name, dataset.given).series()
        except BenchError as error:
            say(f"no change points of {dataset.name}: {error}")
            continue
        if series.fingerprint != dataset.fingerprint:
            say(f"no change points of {dataset.name}: its data are no longer those of the results")
        else:
            _keep(store.folder / CHANGE_POINTS, series.fingerprint, _estimate(series))


def _estimate(series: DriftSeries) -> list[EstimatedDrift]:
    from bench.analysis.change_points import change_points

    used = sorted({*series.input_index, *series.target_column})
    frame = change_points(series.values[:, used], tuple(series.columns[i] for i in used), series.season)
    return [_drift(point) for point in frame.to_dict("records")]


def _drift(point: Mapping[Any, Any]) -> EstimatedDrift:
    return EstimatedDrift(int(point["row"]), float(point["shift"]), str(point["column"]))


def _keep(folder: Path, fingerprint: str, found: list[EstimatedDrift]) -> None:
    text = json.dumps({"method": METHOD, "points": [vars(point) for point in found]}, indent=1)
    with contextlib.suppress(OSError):  # they are only computed again
        replace_whole(folder / f"{fingerprint}.json", text, folder.parent)
