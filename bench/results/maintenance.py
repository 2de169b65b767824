"""Results on disk, looked after: what is damaged or stray, what no report is about, all of it in one file."""

from __future__ import annotations

import os
import re
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench.contracts.errors import BenchError
from bench.results.audit import AUDITS, Audit
from bench.results.checksums import ChecksumError, verify
from bench.results.disk import CHANGE_POINTS, HERE, RUNNING, SESSIONS, left_in, replace_whole
from bench.results.owner import is_stale
from bench.results.plain import JSON_BYTES, is_file, is_folder, kind_of, read_file, read_object, remove, strangers
from bench.results.provenance import CODE
from bench.results.record import left_behind, made_beside
from bench.results.store import (
    CHECKPOINTS,
    CHOSEN,
    DAMAGED,
    LOG,
    MANIFEST,
    RECORD,
    RUN_ID,
    TIMING,
    TRIALS,
    Store,
    experiments_in,
)
from bench.results.trials import SERVED

LOST = f"is listed in {MANIFEST}, and is not there: not run yet, moved or lost"


OWN = {MANIFEST, TRIALS, CHOSEN, SERVED, DAMAGED, CHANGE_POINTS, ".progress"}


@dataclass(frozen=True)
class Finding:
    """Something wrong, and where."""

    path: Path
    reason: str


def stores_in(results: Path, *, needed: bool = True) -> list[Store]:
    """The store of each experiment, and of its trials; a list of runs makes an experiment, too.

    Raises:
        BenchError: There is none, and one is ``needed``.
    """
    try:
        experiments = experiments_in(results, listed=True)
    except BenchError:
        if needed:
            raise
        experiments = []
    folders = [place for folder in experiments for place in (folder, folder / TRIALS)]
    return [Store(folder) for folder in folders if folder.name != TRIALS or is_folder(folder)]


def check(results: Path) -> list[Finding]:
    """Everything that is damaged or stray; checksums of records and frames are recomputed.

    Raises:
        BenchError: There are no results.
    """
    odd = not_ours(results)
    found = [finding for store in stores_in(results, needed=not odd) for finding in _check_store(store)]
    for folder in (AUDITS, CODE, CHECKPOINTS, SESSIONS, f"{SESSIONS}/{HERE}", f"{SESSIONS}/{RUNNING}"):
        found += [Finding(path, "left half-written") for path in left_in(results / folder)]
    for path in _inside(results / AUDITS, "[!.]*"):
        if is_file(path) and not _is_audit(path, results):
            found.append(Finding(path, "is no audit that can be read"))
    return found + odd


def not_ours(results: Path, only: Container[str] = ()) -> list[Finding]:
    """Whatever is neither a file nor a folder, among the names in ``only``: all commands leave it alone."""
    return [Finding(path, f"is {kind}; it is left alone") for path, kind in strangers(results, only)]


def _check_store(store: Store) -> Iterator[Finding]:
    for folder in (store.folder, store.folder / CHOSEN, store.folder / CHANGE_POINTS):
        yield from (Finding(path, "left half-written") for path in left_in(folder))
    if is_file(store.folder / MANIFEST) and read_object(store.folder / MANIFEST, store.folder) is None:
        yield Finding(store.folder / MANIFEST, "is no list of runs")
    for run_id in store.listed():
        if not os.path.lexists(store.folder / run_id):
            yield Finding(store.folder / run_id, LOST)
    for path in _inside(store.folder):
        if path.name in OWN or kind_of(path):
            continue
        if is_folder(path) and RUN_ID.fullmatch(path.name):
            yield from _check_run(store, path)
        elif not path.name.startswith("."):
            yield Finding(path, "is stray: it belongs to no run")


def _check_run(store: Store, folder: Path) -> Iterator[Finding]:
    condition, record = store.inspect(folder.name)
    if condition.state == "damaged":
        yield Finding(folder, condition.reason)
        return
    timing = store.read_timing(folder.name)
    for made in (record, timing):
        if made is not None and made.left:
            yield Finding(folder, left_behind(made.left))
        if made is not None and made.beside:
            yield Finding(folder, made_beside(made.beside))
    known = files_of(store, folder.name)
    for path in _inside(folder):
        if path not in known and not kind_of(path):
            yield Finding(path, "left half-written" if is_stale(path) else "is stray")
    if is_file(folder / TIMING) and timing is None:
        yield Finding(folder / TIMING, "cannot be read, or has a wrong checksum")


def files_of(store: Store, run_id: str) -> list[Path]:
    """The files of a run, without links, which may lead anywhere."""
    folder = store.folder / run_id
    try:
        seal = verify(read_file(folder / RECORD, store.folder, JSON_BYTES))[1]
    except (OSError, ChecksumError):  # replaced a moment ago
        return []
    frames = [folder / name for name in seal.files] if seal else _inside(folder, "*.parquet")
    return [path for path in (folder / RECORD, folder / TIMING, folder / LOG, *frames) if is_file(path)]


def _inside(folder: Path, pattern: str = "*") -> list[Path]:
    """What is in a folder, sorted; nothing if it is a link, which may lead anywhere."""
    return sorted(folder.glob(pattern)) if is_folder(folder) else []


def _is_audit(path: Path, within: Path) -> bool:
    try:
        Audit.model_validate_json(read_file(path, within, JSON_BYTES))
    except (OSError, ValueError):
        return False
    return True


def prune(results: Path, *, dry_run: bool = False) -> list[Finding]:
    """Remove superseded, unlisted and damaged runs; from a whole results folder also checkpoints that no run uses.

    Returns:
        What went, or would go in a ``dry_run``.

    Raises:
        BenchError: There are no results, or no list says what the report is about.
    """
    stores = stores_in(results)
    gone = [finding for store in stores for finding in _superfluous(store)]
    gone += _unused_checkpoints(results / CHECKPOINTS, stores)
    for finding in () if dry_run else gone:
        remove(finding.path, results)
    return gone


def _superfluous(store: Store) -> Iterator[Finding]:
    listed = store.read_manifest()  # other folders than those of runs are the user's own
    found = [one for one in store.found() if is_file(store.folder / one / RECORD) or re.fullmatch("[0-9a-f]{20}", one)]
    if found and not listed:
        raise BenchError(
            f"{store.folder}: no {MANIFEST} says which runs the report is about. Run the experiment first; it does."
        )
    for run_id in found:
        if run_id not in listed:
            yield Finding(store.folder / run_id, "is of a superseded version, or listed no longer")
    for path in _inside(store.folder / DAMAGED):
        if not kind_of(path):
            yield Finding(path, "was damaged, and set aside")


def _unused_checkpoints(folder: Path, stores: Iterable[Store]) -> Iterator[Finding]:
    used = {name for store in stores for record in store.records() for name in (record.checkpoint, record.parts)}
    for path in _inside(folder, "*.safetensors"):
        if path.stem not in used and is_file(path):
            yield Finding(path, "is a checkpoint that no run was made with")


def export(results: Path, file: Path) -> tuple[int, int]:
    """Write one tidy frame of all runs, as `bench.load_results` gives it, to a ``.parquet`` or ``.csv`` file.

    Returns:
        How many runs are in it, and how many listed runs are not.

    Raises:
        BenchError: There are no results, or the ending is another.
    """
    from bench.results.csv_text import csv_text
    from bench.results.frame import load_results

    if file.suffix not in (".parquet", ".csv"):
        raise BenchError(f"{file}: the name must end in .parquet or .csv")
    frame = load_results(results)
    whole = csv_text(frame) if file.suffix == ".csv" else frame.to_parquet(index=False)
    replace_whole(file, whole, file.parent)
    listed = sum(len(Store(folder).listed()) for folder in experiments_in(results))
    return len(frame), listed - len(frame)
