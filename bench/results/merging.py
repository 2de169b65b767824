"""Several results folders made one: nothing is overwritten, and no link is followed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.results.audit import AUDITS
from bench.results.disk import CHANGE_POINTS, replace_whole, work_folder, write_durably
from bench.results.maintenance import Finding, files_of
from bench.results.plain import FRAME_BYTES, JSON_BYTES, is_file, is_folder, make_folder, read_file, read_object, remove
from bench.results.provenance import CODE
from bench.results.record import Record
from bench.results.store import CHOSEN, TRIALS, Store, experiments_in
from bench.results.trials import SERVED

VARIES = ("environment", "timing", "seconds", "experiment", "left", "beside")
"""What of a record differs from machine to machine and from day to day, where the run is the same."""

OF_A_COPY = ("name", "given", "source", "notes")
"""What of a dataset differs from one copy of a user's file to another, where the data are the same."""


@dataclass
class Merged:
    """What a merge did."""

    taken: int = 0  # runs that were copied
    same: int = 0  # runs that were there already, or in more than one source, with the same content
    # runs of one id whose contents differ; what was there first stays
    conflicts: list[Finding] = field(default_factory=list)
    damaged: list[Finding] = field(default_factory=list)  # runs that were left out


def merge(sources: Iterable[Path], target: Path) -> Merged:
    """Copy results folders, or folders of experiments, into one, which may hold results already.

    Nothing there is overwritten, except that a run that ended well replaces one that failed.

    Raises:
        BenchError: A source holds no results.
    """
    merged = Merged()
    for source in sources:
        experiments = experiments_in(source, listed=True)
        for experiment in experiments:
            for part in (Path(), Path(TRIALS)):
                if part == Path() or is_folder(experiment / part):
                    here = make_folder(target / experiment.name / part, target)
                    _merge_store(Store(experiment / part), Store(here), merged)
        for folder in {experiment.resolve().parent for experiment in experiments}:
            for beside in (AUDITS, CODE):
                _copy_new(folder / beside, target / beside, target, merged)
    return merged


def _merge_store(source: Store, target: Store, merged: Merged) -> None:
    for run_id in source.found():
        condition = source.condition(run_id, closely=True)
        if condition.state in ("damaged", "newer"):
            reason = condition.reason or "it is by a later version of this package"
            merged.damaged.append(Finding(source.folder / run_id, reason))
        else:
            _merge_run(source, target, run_id, merged)
    listed = target.read_manifest()
    target.write_manifest(listed | source.read_manifest(), keep=False)
    if (served := read_object(source.folder / SERVED, source.folder)) is not None:
        before = read_object(target.folder / SERVED, target.folder) or {}
        replace_whole(target.folder / SERVED, json.dumps(before | served, indent=1), target.folder)
    for folder in (CHOSEN, CHANGE_POINTS):
        _copy_new(source.folder / folder, target.folder / folder, target.folder, merged)


def _merge_run(source: Store, target: Store, run_id: str, merged: Merged) -> None:
    ours, theirs = target.condition(run_id, closely=True), source.condition(run_id)
    better = theirs.is_done and ours.state == "failed"
    if ours.state == "absent" or better:
        _take(source, target, run_id)
        merged.taken += 1
        return
    if ours.state == "damaged":
        merged.damaged.append(Finding(target.folder / run_id, ours.reason))
    elif ours.is_done and not theirs.is_done:
        merged.same += 1
    elif difference := _difference(source, target, run_id):
        reason = f"{difference} in {source.folder / run_id}; what is there stays"
        merged.conflicts.append(Finding(target.folder / run_id, reason))
    else:
        merged.same += 1
        if target.read_timing(run_id) is None and (timing := source.read_timing(run_id)) is not None:
            target.write_timing(run_id, timing)


def _take(source: Store, target: Store, run_id: str) -> None:
    work = work_folder(target.folder)
    try:
        for file in files_of(source, run_id):
            write_durably(work / file.name, read_file(file, source.folder, FRAME_BYTES))
        target.put(work, run_id, replace=False)
    finally:
        remove(work, target.folder)


def _difference(source: Store, target: Store, run_id: str) -> str:
    """What two runs of one id disagree on; empty if only time and machine differ."""
    theirs, ours = source.read(run_id), target.read(run_id)
    assert theirs is not None
    assert ours is not None
    if theirs.status == ours.status == "failed":
        return ""
    mine, other = _outcome(ours), _outcome(theirs)
    if differing := sorted(key for key in mine if mine[key] != other[key]):
        return f"{', '.join(differing)} {'differs' if len(differing) == 1 else 'differ'}"
    for path in sorted((target.folder / run_id).glob("*.parquet")):
        one, another = target.read_frame(run_id, path.name), source.read_frame(run_id, path.name)
        if another is None or not one.equals(another):  # type: ignore[union-attr]
            return f"{path.name} differs"
    return ""


def _outcome(record: Record) -> dict[str, Any]:
    """A record without what varies, as JSON, in which NaN equals itself."""
    values = json.loads(record.model_dump_json(exclude=set(VARIES)))
    if record.dataset.called.is_file:
        values["dataset"] = {key: value for key, value in values["dataset"].items() if key not in OF_A_COPY}
    return {key: json.dumps(value, sort_keys=True) for key, value in values.items()}


def _copy_new(source: Path, target: Path, within: Path, merged: Merged) -> None:
    """Copy the files that the other folder does not have."""
    for file in sorted(source.glob("[!.]*")) if is_folder(source) else ():
        if not is_file(file) or os.path.lexists(target / file.name):
            continue
        try:
            content = read_file(file, source.parent, JSON_BYTES)
        except OSError as error:
            merged.damaged.append(Finding(file, str(error)))
        else:
            replace_whole(target / file.name, content, within)
