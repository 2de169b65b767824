"""Results on disk: one folder for each run, written whole or not at all."""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.contracts.errors import BenchError
from bench.contracts.text import in_log
from bench.results.checksums import ChecksumError, Checksums, add_checksum, broken_file, verify
from bench.results.condition import RECORD as RECORD
from bench.results.condition import Condition, DamagedError, NewerError, parsed, stamp_of, whole_run
from bench.results.disk import WORK, replace_whole, sweep, work_folder, write_durably
from bench.results.file_lock import file_lock
from bench.results.plain import (
    FRAME_BYTES,
    JSON_BYTES,
    folder_at,
    is_file,
    is_folder,
    make_folder,
    open_file,
    parse_json,
    read_file,
    remove,
    require_plain,
)
from bench.results.record import Record, Timing
from bench.results.run_key import called

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

TIMING, MANIFEST, LOG = "timing.json", "runs.json", "log.txt"
ORIGINS, FORECASTS, TRACE = "origins.parquet", "forecasts.parquet", "trace.parquet"
TRAINING = "training.parquet"
TRIALS = "_sweep"  # no experiment can have this name; earlier versions, too, kept trials of options there
CHOSEN = "chosen"  # in the store of trials: what was chosen, as experiments
DAMAGED = ".damaged"
CHECKPOINTS = ".checkpoints"  # beside the experiments' results, of all of them
RUN_ID = re.compile(r"[^.\s/\\:\x00-\x1f\ud800-\udfff][^/\\:\x00-\x1f\ud800-\udfff]*")
"""What a run may be called on disk: a name from a file leads nowhere else."""

ATTEMPTS = 100  # how often a run is put in its place while others put theirs there


@dataclass(frozen=True)
class Store:
    """The results of one experiment.

    Layout: ``<run id>/record.json`` with ``origins.parquet`` (a row for each origin: ``origin, time, mse, mae,
    mse_original, mae_original``), ``forecasts.parquet`` (``origin, time, lead, channel, forecast, truth`` around
    the strongest event, original units), ``trace.parquet`` (``origin, time, name, value``: what the strategy's
    ``trace`` said now and then, where it says anything), ``training.parquet`` (``step, loss, validation_error``: how
    the forecaster's training by gradients went, where it was trained so), ``log.txt`` (what the run printed, where it
    printed anything) and, once the run was timed alone, ``timing.json``.
    ``runs.json`` lists the runs that the report is about; what an earlier version of a plug-in left stays on disk, and
    counts again when the plug-in is as it was. Trials of options, which serve validation rows only, have a store of
    their own in ``_sweep``.

    Any number of processes on any number of machines may write to one folder at once. A run's folder appears by one
    rename; what is being written lives under ``.tmp``, by names that no two processes share. A record holds checksums
    of itself and of its frames; one that does not agree with them is damaged, as good as none, and `set_aside` moves
    it to ``.damaged``.

    Attributes:
        folder: ``results/<experiment>``.
    """

    folder: Path

    def has(self, run_id: str) -> bool:
        """Whether the run ended well (``ok`` or ``skipped``): a failed one is to be done again."""
        return self.condition(run_id).is_done

    def condition(self, run_id: str, *, closely: bool = False) -> Condition:
        """How the run is found; ``closely`` compares frames with their checksums, not only their sizes."""
        return self._look(run_id, closely=closely)[0]

    def conditions(self, run_ids: Iterable[str]) -> dict[str, Condition]:
        """The `condition` of many runs, by id, in a third of the time for whole runs."""
        run_ids = list(run_ids)
        whole = dict[str, Condition]()
        with suppress(OSError), folder_at(self.folder) as here:
            for run_id in run_ids:
                if (found := whole_run(run_id, here)) is not None:
                    whole[run_id] = found
        return {run_id: whole.get(run_id) or self.condition(run_id) for run_id in run_ids}

    def inspect(self, run_id: str) -> tuple[Condition, Record | None]:
        """How the run is found, its frames compared with their checksums, and its record if it is whole."""
        return self._look(run_id, closely=True)

    def _look(self, run_id: str, *, closely: bool) -> tuple[Condition, Record | None]:
        for _ in range(ATTEMPTS):
            before = self._identity(run_id)
            found, record = self._examine(run_id, closely=closely)
            if found.state != "damaged" or () != before == self._identity(run_id):
                break  # otherwise another session replaced it between one look and the next
        return found, record

    def _identity(self, run_id: str) -> tuple[int, ...]:
        """Which folder the run's is, and since when; empty if there is none."""
        try:
            here = (self.folder / run_id).stat(follow_symlinks=False)
        except OSError:
            return ()
        return here.st_ino, here.st_ctime_ns  # numbers alone are used again

    def _examine(self, run_id: str, *, closely: bool) -> tuple[Condition, Record | None]:
        try:
            record, seal = self._load(run_id)
        except FileNotFoundError:
            there = is_folder(self.folder / run_id)
            return (Condition("damaged", f"{RECORD} is missing") if there else Condition("absent")), None
        except NewerError:
            return Condition("newer"), None
        except (DamagedError, OSError) as error:
            return Condition("damaged", str(error)), None
        broken = broken_file(self.folder, run_id, seal, closely=closely) if seal else ""
        broken = broken or (record.contradiction if closely else "")
        if broken:
            return Condition("damaged", broken), None
        return Condition(record.status, seconds=record.seconds, stamp=self._stamp(run_id)), record

    def _stamp(self, run_id: str) -> tuple[int, int]:
        try:
            return stamp_of((self.folder / run_id / RECORD).stat(follow_symlinks=False))
        except OSError:  # replaced a moment ago
            return 0, 0

    def read(self, run_id: str) -> Record | None:
        """The record of a run; None if there is none or it cannot be read."""
        try:
            return self._load(run_id)[0]
        except (DamagedError, NewerError, OSError):
            return None

    def _load(self, run_id: str) -> tuple[Record, Checksums | None]:
        """A record and its checksums; raises `DamagedError` if they disagree, `OSError` if it cannot be read."""
        return parsed(self._bytes(run_id, RECORD), run_id)

    def read_timing(self, run_id: str) -> Timing | None:
        """The timing pass of a run, or None. One without checksums counts only beside a record without any."""
        try:
            body, seal = verify(self._bytes(run_id, TIMING))
            if seal is None and verify(self._bytes(run_id, RECORD))[1] is not None:
                return None
            return Timing.model_validate_json(body)
        except (OSError, ValueError, ChecksumError):
            return None

    def read_frame(self, run_id: str, name: str) -> pd.DataFrame | None:
        """A frame of a run by its file's name, such as ``origins.parquet``; None if there is none."""
        import pandas as pd

        path = self.folder / run_id / name
        if not is_file(path):
            return None
        return pd.read_parquet(BytesIO(read_file(path, self.folder, FRAME_BYTES)))

    def read_columns(self, run_id: str, name: str, columns: Sequence[str]) -> dict[str, NDArray[Any]] | None:
        """Some columns of such a frame as arrays, quickly; None if there is no frame."""
        from pyarrow.parquet import ParquetFile

        path = self.folder / run_id / name
        if not is_file(path):
            return None
        with open_file(path, self.folder, FRAME_BYTES) as opened_file, ParquetFile(opened_file) as file:
            table = file.read(list(columns), use_threads=False)  # threads cost more than so small a file
        return {column: table[column].to_numpy() for column in columns}

    def found(self) -> list[str]:
        """Ids of all runs that have a folder, listed or not."""
        return sorted(path.name for path in self.folder.glob("*") if RUN_ID.fullmatch(path.name) and _is_run(path))

    def listed(self) -> list[str]:
        """Ids of the runs that the report is about, present or not; all runs if there is no list."""
        return list(self.read_manifest()) or self.found()

    def run_ids(self) -> list[str]:
        """Those of `listed` that left a record."""
        return [run_id for run_id in self.listed() if is_file(self.folder / run_id / RECORD)]

    def read_manifest(self) -> dict[str, str]:
        """Run id to run key (what the run is, apart from versions), in the order of the experiment."""
        try:
            listed = parse_json(read_file(self.folder / MANIFEST, self.folder, JSON_BYTES))
        except (OSError, ValueError):
            return {}
        items = listed.items() if isinstance(listed, dict) else ()
        return {run_id: str(cell) for run_id, cell in items if RUN_ID.fullmatch(run_id)}

    def write_manifest(self, cells: dict[str, str], *, keep: bool) -> None:
        """List the runs that the report is about, by run key; ``keep`` keeps those listed before."""
        fresh = set(cells.values())
        with file_lock(self.folder / WORK / f"{MANIFEST}.lock", self.folder):
            listed = self.read_manifest()
            before = {run_id: cell for run_id, cell in listed.items() if keep and cell not in fresh}
            if list((before | cells).items()) != list(listed.items()):
                replace_whole(self.folder / MANIFEST, json.dumps(before | cells, indent=1), self.folder)

    def records(self) -> Iterator[Record]:
        """All readable records; their datasets have the names of the list of runs."""
        listed = self.read_manifest()
        for run_id in self.run_ids():
            if (record := self.read(run_id)) is not None:
                yield called(record, listed.get(run_id, ""))

    def write(
        self, record: Record, frames: dict[str, pd.DataFrame], *, log: Path | None = None, replace: bool = True
    ) -> None:
        """Write a run.

        Args:
            record: Its record.
            frames: Its frames by file name.
            log: What it printed; moved into its folder, unless it is empty.
            replace: Whether to replace a run that another session completed meanwhile.
        """
        work = work_folder(self.folder)
        try:
            for name, frame in frames.items():
                with (work / name).open("wb") as file:  # which, unlike a path, may have a name of any bytes
                    frame.to_parquet(file, index=False)
            text = record.placeless.as_json()
            write_durably(work / RECORD, add_checksum(text, [work / name for name in frames]))
            if log is not None and is_file(log) and log.stat().st_size:
                _write_log(log, work / LOG)
                remove(log, log.parent)
            self.put(work, record.run_id, replace=replace)
        finally:
            remove(work, self.folder)

    def copy_as(self, run_id: str, record: Record) -> None:
        """Copy a whole run, its log and its timing pass under the id of another record."""
        folder, work = self.folder / run_id, work_folder(self.folder)
        try:
            _, seal = self._load(run_id)
            possible = seal.files if seal else (ORIGINS, FORECASTS, TRACE)
            frames = [name for name in possible if is_file(folder / name)]
            for name in [*frames, *([LOG] if is_file(folder / LOG) else [])]:
                write_durably(work / name, read_file(folder / name, self.folder, FRAME_BYTES))
            write_durably(work / RECORD, add_checksum(record.as_json(), [work / name for name in frames]))
            self.put(work, record.run_id, replace=False)
        finally:
            remove(work, self.folder)
        if (timing := self.read_timing(run_id)) is not None:
            self.write_timing(record.run_id, timing)

    def restate(self, record: Record) -> None:
        """Write the record of a run anew; its frames stay as they are, and a run that is not whole stays as it is."""
        found, before = self.inspect(record.run_id)
        if found.state == "ok" and before is not None and (seal := self._load(record.run_id)[1]) is not None:
            folder = self.folder / record.run_id
            text = add_checksum(record.as_json(), [folder / name for name in seal.files])
            replace_whole(folder / RECORD, text, self.folder)

    def put(self, work: Path, run_id: str, *, replace: bool) -> None:
        """Move a whole folder, written elsewhere on this disk, to its place as a run, in one step."""
        final = self.folder / run_id
        for _ in range(ATTEMPTS):
            require_plain(final, self.folder)
            try:
                work.rename(final)
                return
            except OSError as error:
                if error.errno not in (errno.ENOTEMPTY, errno.EEXIST) and not is_folder(final):
                    raise
            if not replace and self.has(run_id):
                return
            self._move_away(final, work_folder(self.folder))
        raise OSError(f"{final} could not be replaced: others keep writing there")

    def write_timing(self, run_id: str, timing: Timing) -> None:
        """Write the timing pass of a run beside its record; `OSError` if the run is missing."""
        path = self.folder / run_id / TIMING
        if not is_file(path.with_name(RECORD)):
            raise FileNotFoundError(errno.ENOENT, "the run is no longer there", str(path.parent))
        replace_whole(path, add_checksum(timing.as_json()), self.folder)

    def add_to_log(self, run_id: str, title: str, log: Path) -> None:
        """Append to a run's log what was printed later, under a title; the file ``log``, if any, is removed."""
        if is_file(log) and (text := read_file(log, log.parent)):
            path = self.folder / run_id / LOG
            before = read_file(path, self.folder) if is_file(path) else b""
            replace_whole(path, before + title.encode() + text, self.folder)
        remove(log, log.parent)

    def set_aside(self, run_id: str) -> bool:
        """Move a damaged run to ``.damaged``; False if it was whole, or gone, meanwhile.

        Raises:
            NotPlainError: It, or ``.damaged``, is a link, say.
        """
        for path in (self.folder / run_id, self.folder / DAMAGED):
            require_plain(path, self.folder)
        aside = work_folder(self.folder)
        try:
            (self.folder / run_id).rename(aside / run_id)
        except OSError:
            remove(aside, self.folder)
            return False
        if Store(aside).condition(run_id).state != "damaged":  # another session was just then replacing it
            self.put(aside / run_id, run_id, replace=False)
            remove(aside, self.folder)
            return False
        damaged = make_folder(self.folder / DAMAGED, self.folder)
        (aside / run_id).rename(damaged / f"{run_id}-{aside.name.rpartition('-')[2]}")
        remove(aside, self.folder)
        return True

    def sweep(self) -> None:
        """Remove what this process, and processes that have ended, left half-written."""
        sweep(self.folder)

    def _bytes(self, run_id: str, name: str) -> bytes:
        return read_file(self.folder / run_id / name, self.folder, JSON_BYTES)

    def _move_away(self, final: Path, aside: Path) -> None:
        """Take a folder out of the way, unless another process was quicker."""
        try:
            final.rename(aside / "replaced")
        except FileNotFoundError:
            pass
        finally:
            remove(aside, self.folder)


def _write_log(printed: Path, log: Path) -> None:
    """Write what a run printed as text, line by line: it may be long."""
    with printed.open("rb") as source, log.open("x", encoding="utf-8") as target:
        for line in iter(lambda: source.readline(1 << 20), b""):
            target.write(in_log(line))


def _is_run(path: Path) -> bool:
    """Whether a folder of an experiment's is, or is meant to be, a run."""
    return is_folder(path) and path.name not in (TRIALS, CHOSEN)


def experiments_in(results: Path, *, listed: bool = False) -> list[Path]:
    """Folders of experiments: ``results`` itself if it is one, otherwise those in it that hold records.

    A list of runs without a record makes an experiment too, if ``listed``.

    Raises:
        BenchError: There is none.
    """
    if _is_experiment(results, listed=listed):
        return [results]
    found = [
        folder
        for folder in sorted(results.glob("[!.]*"))
        if is_folder(folder) and _is_experiment(folder, listed=listed)
    ]
    if not found:
        raise BenchError(f"No results in {results}. Run an experiment first (bench run), or name its folder.")
    return found


def _is_experiment(folder: Path, *, listed: bool) -> bool:
    stores = [Store(folder), *([Store(folder / TRIALS)] if is_folder(folder / TRIALS) else [])]
    return any(store.run_ids() or (listed and store.read_manifest()) for store in stores)
