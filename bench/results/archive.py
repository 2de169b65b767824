"""An experiment's results as one small file, to be committed or sent: all that tables and verdicts are made of."""

from __future__ import annotations

import io
import lzma
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.contracts.errors import BenchError
from bench.results.audit import AUDITS, subject_of
from bench.results.disk import CHANGE_POINTS, replace_whole
from bench.results.plain import JSON_BYTES, is_file, is_folder, make_folder, read_file
from bench.results.store import CHOSEN, ORIGINS, TRAINING, TRIALS, Store, experiments_in
from bench.results.trials import SERVED

if TYPE_CHECKING:
    import pandas as pd

    from bench.results.record import Record

ENDING = ".tar.xz"
KEPT = ("origin", "time", "mse")
LARGEST = 8 * 2**30
"""Most bytes that an archive may unpack to."""


@dataclass(frozen=True)
class Published:
    """An archive that was written.

    Attributes:
        path: Of the archive.
        runs: Runs over the stream in it.
        lost: Listed runs that are missing or damaged, and left out.
    """

    path: Path
    runs: int
    lost: int


def publish(experiment: Path, folder: Path) -> Published:
    """Write an experiment's results as ``<folder>/<name>.tar.xz``; the same results give the same bytes.

    It holds every record with its timing pass, its checksums and its audits, training curves, trials of options, and
    the MSE at each origin in float32. Forecasts, traces and logs stay behind.

    Raises:
        BenchError: No run can be read.
    """
    with tempfile.TemporaryDirectory() as work:
        copy = Path(work) / experiment.name
        records, lost = _copy(Store(experiment), Store(copy), with_errors=True)
        if not records:
            raise BenchError(f"No readable results in {experiment}. Run an experiment first (bench run).")
        if is_folder(experiment / TRIALS):
            _copy(Store(experiment / TRIALS), Store(copy / TRIALS), with_errors=False)
        chosen = [f"{TRIALS}/{name}" for name in _names(experiment / TRIALS / CHOSEN)]
        for name in (f"{TRIALS}/{SERVED}", *chosen, *_names(experiment / CHANGE_POINTS)):
            _copy_file(experiment, copy, name)
        for name in _audits_of(records, experiment.parent):
            _copy_file(experiment.parent, Path(work), name)
        path = folder / f"{experiment.name}{ENDING}"
        replace_whole(path, _packed(Path(work)), folder)
    return Published(path, len(records), lost)


@contextmanager
def unpacked(place: Path) -> Iterator[Path]:
    """A folder of results: the place itself, or what an archive, or a folder of archives, holds.

    What was unpacked is gone afterwards.

    Raises:
        BenchError: An archive cannot be read.
    """
    archives = _archives(place)
    if not archives:
        yield place
        return
    with tempfile.TemporaryDirectory() as work:
        for archive in archives:
            _unpack(archive, Path(work))
        yield Path(work)


def _archives(place: Path) -> list[Path]:
    if place.name.endswith(ENDING) and place.is_file():
        return [place]
    if not place.is_dir():
        return []
    try:
        experiments_in(place, listed=True)
    except BenchError:
        return sorted(place.glob(f"[!.]*{ENDING}"))
    return []


def _copy(source: Store, target: Store, *, with_errors: bool) -> tuple[list[Record], int]:
    """Copy whole runs; the records, and how many runs were lost."""
    make_folder(target.folder, target.folder)
    records, lost = [], 0
    for run_id in source.listed():
        _, record = source.inspect(run_id)
        if record is None:
            lost += 1
            continue
        frames = {name: source.read_frame(run_id, name) for name in ((ORIGINS, TRAINING) if with_errors else ())}
        slim = {name: _slim(frame) if name == ORIGINS else frame for name, frame in frames.items() if frame is not None}
        target.write(record, slim)
        if (timing := source.read_timing(run_id)) is not None:
            target.write_timing(run_id, timing)
        records.append(record)
    target.write_manifest(source.read_manifest(), keep=False)
    return records, lost


def _slim(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[[name for name in KEPT if name in frame]].assign(mse=frame["mse"].astype(np.float32).astype(float))


def _audits_of(records: list[Record], results: Path) -> Iterator[str]:
    subjects = {subject_of(r.strategy.name, r.forecaster.name if r.forecaster else "") for r in records}
    for name in _names(results / AUDITS):
        if Path(name).name.rpartition("-")[0] in subjects:
            yield name


def _names(folder: Path) -> list[str]:
    """Of its files, with its own name before them."""
    return [f"{folder.name}/{path.name}" for path in sorted(folder.glob("[!.]*")) if is_file(path)]


def _copy_file(source: Path, target: Path, name: str) -> None:
    if is_file(source / name):
        replace_whole(target / name, read_file(source / name, source, JSON_BYTES), target)


def _packed(folder: Path) -> bytes:
    """The files of a folder as one archive, in the order of their names, without times and owners."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path in sorted(folder.rglob("*")):
            if not path.is_file() or ".tmp" in path.relative_to(folder).parts:
                continue
            content = path.read_bytes()
            found = tarfile.TarInfo(path.relative_to(folder).as_posix())
            found.size, found.mode = len(content), 0o644
            archive.addfile(found, io.BytesIO(content))
    return lzma.compress(buffer.getvalue(), preset=9)


def _unpack(archive: Path, folder: Path) -> None:
    try:
        with tarfile.open(archive, "r:xz") as packed:
            members = packed.getmembers()
            if not all(member.isfile() for member in members) or sum(member.size for member in members) > LARGEST:
                raise BenchError(f"{archive}: it holds more than files of results")
            packed.extractall(folder, members, filter="data")
    except (tarfile.TarError, lzma.LZMAError, EOFError, OSError) as error:
        raise BenchError(f"{archive}: cannot be unpacked ({error}). Write it again: bench results publish.") from None
