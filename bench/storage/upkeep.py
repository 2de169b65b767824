"""Results on disk, looked after: what is damaged or stray, several folders made one, what no report is about."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.audit import AUDITS, Audit
from bench.errors import BenchError
from bench.estimated_drift import FOLDER as CHANGE_POINTS
from bench.record import Record
from bench.storage.disk import WORK, remove, work_folder
from bench.storage.owner import is_left
from bench.storage.seal import SealError, opened
from bench.store import CHOSEN, DAMAGED, LOG, MANIFEST, RECORD, RUN_ID, SWEEP, TIMING, Store, experiments_in
from bench.sweeps.trials import SERVED

OWN = {MANIFEST, SWEEP, CHOSEN, SERVED, DAMAGED, CHANGE_POINTS, ".progress"}
VARIES = ("environment", "timing", "seconds", "experiment")
"""What of a record differs from machine to machine and from day to day, where the run is the same."""


@dataclass(frozen=True)
class Finding:
    """Something that should not be as it is, and where."""

    path: Path
    reason: str


def stores_in(results: Path) -> list[Store]:
    """The store of each experiment, and that of its sweep if it has one.

    Raises:
        BenchError: There is none.
    """
    folders = [place for folder in experiments_in(results) for place in (folder, folder / SWEEP)]
    return [Store(folder) for folder in folders if folder.is_dir()]


def check(results: Path) -> list[Finding]:
    """Everything that is damaged or stray; checksums of records and frames are recomputed.

    Args:
        results: A results folder, or one experiment's folder in it.

    Raises:
        BenchError: There are no results.
    """
    found = [finding for store in stores_in(results) for finding in _check_store(store)]
    for path in sorted([*(results / AUDITS).glob("*"), *(results / ".checkpoints").glob(".*")]):
        if path.name.startswith("."):
            found += [Finding(path, "left half-written")] if is_left(path) else []
        elif not _is_audit(path):
            found.append(Finding(path, "is no audit that can be read"))
    return found


def _check_store(store: Store) -> Iterator[Finding]:
    if (store.folder / MANIFEST).is_file() and not _is_object(store.folder / MANIFEST):
        yield Finding(store.folder / MANIFEST, "is no list of runs")
    for path in sorted(store.folder.glob("*")):
        if path.name in OWN:
            continue
        if path.name == WORK:
            yield from (Finding(work, "left half-written") for work in sorted(path.glob("*")) if is_left(work))
        elif path.is_dir() and RUN_ID.fullmatch(path.name):
            yield from _check_run(store, path)
        elif not path.name.startswith(".") or is_left(path):
            yield Finding(path, "is stray: it belongs to no run")


def _check_run(store: Store, folder: Path) -> Iterator[Finding]:
    condition = store.condition(folder.name, closely=True)
    if condition.state == "damaged":
        yield Finding(folder, condition.reason)
        return
    known = _files(folder)
    yield from (Finding(path, "is stray") for path in sorted(folder.glob("*")) if path not in known)
    if (folder / TIMING).is_file() and store.read_timing(folder.name) is None:
        yield Finding(folder / TIMING, "cannot be read, or has a wrong checksum")


def _files(folder: Path) -> list[Path]:
    """The files that make up a run; links, which may lead anywhere, are none."""
    try:
        seal = opened((folder / RECORD).read_bytes())[1]
    except (OSError, SealError):  # replaced a moment ago
        return []
    frames = [folder / name for name in seal.files] if seal else [*folder.glob("*.parquet")]
    files = [folder / RECORD, folder / TIMING, folder / LOG, *frames]
    return [path for path in files if path.is_file() and not path.is_symlink()]


def _is_object(path: Path) -> bool:
    try:
        return isinstance(json.loads(path.read_bytes()), dict)
    except (OSError, ValueError):
        return False


def _is_audit(path: Path) -> bool:
    try:
        Audit.model_validate_json(path.read_bytes())
    except (OSError, ValueError):
        return False
    return True


@dataclass
class Merged:
    """What a merge did.

    Attributes:
        taken: Runs that were copied.
        same: Runs that were there already, or in more than one source, with the same content.
        conflicts: Runs of one id whose contents differ; what was there first stays.
        damaged: Runs that were left out.
    """

    taken: int = 0
    same: int = 0
    conflicts: list[Finding] = field(default_factory=list)
    damaged: list[Finding] = field(default_factory=list)


def merge(sources: Iterable[Path], target: Path) -> Merged:
    """Copy results of several folders into one, which may hold some already.

    Nothing there is overwritten, but that a run that ended well takes the place of one that failed.

    Args:
        sources: Results folders, or experiments' folders.
        target: The results folder that they become.

    Raises:
        BenchError: A source holds no results.
    """
    merged = Merged()
    for source in sources:
        experiments = experiments_in(source)
        for experiment in experiments:
            for part in (Path(), Path(SWEEP)):
                if (experiment / part).is_dir():
                    _merge_store(Store(experiment / part), Store(target / experiment.name / part), merged)
        for folder in {experiment.resolve().parent for experiment in experiments}:
            for audit in (folder / AUDITS).glob("[!.]*"):
                _copy_new(audit, target / AUDITS / audit.name)
    return merged


def _merge_store(source: Store, target: Store, merged: Merged) -> None:
    target.folder.mkdir(parents=True, exist_ok=True)
    for run_id in source.found():
        condition = source.condition(run_id, closely=True)
        if condition.state in ("damaged", "newer"):
            reason = condition.reason or "it is by a later version of this package"
            merged.damaged.append(Finding(source.folder / run_id, reason))
        else:
            _merge_run(source, target, run_id, merged)
    listed = target.read_manifest()
    target.write_manifest(listed | source.read_manifest(), keep=False)
    _merge_served(source.folder / SERVED, target.folder / SERVED)
    for folder in (CHOSEN, CHANGE_POINTS):
        for file in (source.folder / folder).glob("[!.]*"):
            _copy_new(file, target.folder / folder / file.name)


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
        for file in _files(source.folder / run_id):
            shutil.copyfile(file, work / file.name)
        target.put(work, run_id, replace=False)
    finally:
        remove(work)


def _difference(source: Store, target: Store, run_id: str) -> str:
    """What two runs of one id disagree on; empty where they are the same but for when and where they ran."""
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
    """A record without what varies; as JSON, so that NaN is itself."""
    values = json.loads(record.model_dump_json(exclude=set(VARIES)))
    return {key: json.dumps(value, sort_keys=True) for key, value in values.items()}


def _merge_served(source: Path, target: Path) -> None:
    if _is_object(source):
        before = json.loads(target.read_bytes()) if _is_object(target) else {}
        target.write_text(json.dumps(before | json.loads(source.read_bytes()), indent=1), encoding="utf-8")


def _copy_new(source: Path, target: Path) -> None:
    if source.is_file() and not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def prune(results: Path, *, dry_run: bool = False) -> list[Finding]:
    """Remove the runs that no report is about: of superseded versions, or listed no longer; and damaged ones.

    Args:
        results: A results folder, or one experiment's folder in it.
        dry_run: Whether to say only what would go.

    Returns:
        What went, or would.

    Raises:
        BenchError: There are no results, or no list says what the report is about.
    """
    gone = [finding for store in stores_in(results) for finding in _superfluous(store)]
    for finding in () if dry_run else gone:
        remove(finding.path)
    return gone


def _superfluous(store: Store) -> Iterator[Finding]:
    listed, found = store.read_manifest(), store.found()
    if found and not listed:
        raise BenchError(
            f"{store.folder}: no {MANIFEST} says which runs the report is about. Run the experiment first; it does."
        )
    for run_id in found:
        if run_id not in listed:
            yield Finding(store.folder / run_id, "is of a superseded version, or listed no longer")
    for path in sorted((store.folder / DAMAGED).glob("*")):
        yield Finding(path, "was damaged, and set aside")


def export(results: Path, file: Path) -> int:
    """Write one tidy frame of all runs, as `bench.load_results` gives it, to a ``.parquet`` or ``.csv`` file.

    Args:
        results: A results folder, or one experiment's folder in it.
        file: Where to; its ending says in which format.

    Returns:
        How many runs are in it.

    Raises:
        BenchError: There are no results, or the ending is another.
    """
    from bench.tidy import load_results

    if file.suffix not in (".parquet", ".csv"):
        raise BenchError(f"{file}: the name must end in .parquet or .csv")
    frame = load_results(results)
    file.parent.mkdir(parents=True, exist_ok=True)
    work = work_folder(file.parent)
    try:
        if file.suffix == ".csv":
            frame.to_csv(work / file.name, index=False)
        else:
            frame.to_parquet(work / file.name, index=False)
        (work / file.name).replace(file)
    finally:
        remove(work)
        with contextlib.suppress(OSError):  # another one is being written
            work.parent.rmdir()
    return len(frame)
