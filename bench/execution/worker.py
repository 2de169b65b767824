"""One job of a session, in whatever process: a run, or the pre-training that several runs share."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import torch

from bench.contracts.discovery import load_plugins, raised_at
from bench.contracts.errors import ENDS_SESSION, traceback_of, words_of
from bench.contracts.strategy import STRATEGIES
from bench.evaluation.isolation import isolated
from bench.evaluation.profiling.allocator import keep_freed_memory
from bench.evaluation.profiling.clocks import resolve_device
from bench.evaluation.profiling.leftovers import swept
from bench.evaluation.run import RunPaths, describe, execute, load_series, pretrained_for
from bench.evaluation.run_spec import RunSpec, run_id
from bench.evaluation.stream import PreparedSeries
from bench.evaluation.together import execute_together
from bench.execution.progress import ProgressFile
from bench.execution.run_log import logged
from bench.results.record import Record
from bench.results.store import FORECASTS, ORIGINS, TRACE, TRAINING, Store

Made = tuple[Record, dict[str, Any]]
"""A run's record, and its frames by file name."""

OTHERWISE = (
    "this would be another run here than where the session is: a plug-in's file or the dataset differs. "
    "It was edited meanwhile, or is not the same on all machines; run the same command again"
)
"""Why a worker declines a run: a record says what made it, by the run's id."""


MOVED = "the folder of results was moved or removed while the session ran: nothing is written in its place"


def number_of(folder: Path) -> int:
    """The number of a folder on its disk; -1 where there is none."""
    try:
        return folder.stat().st_ino
    except OSError:
        return -1


@dataclass(frozen=True)
class Work:
    """What is asked of whoever carries out runs.

    Attributes:
        progress_folder: Where a run says how far it is, and what it prints until it is over.
        replace: Whether runs that ended well are replaced.
        folder: Number of the folder of results on its disk: by this it is known again. 0 where nobody looked.
        retrain: Whether checkpoints that are there are made again.
    """

    place: RunPaths
    progress_folder: Path
    replace: bool = False
    own_process: bool = False
    timeout: float | None = None
    folder: int = 0
    retrain: bool = False

    @property
    def is_in_place(self) -> bool:
        """Whether the folder of results is the one that the session began in, neither moved nor removed since."""
        return self.folder in (0, number_of(self.place.results))

    def log(self, run: RunSpec) -> Path:
        """Where a run prints while it is under way."""
        return self.progress_folder / f".{run.run_id}.txt"


@dataclass(frozen=True)
class Ended:
    """How a run ended; its record is on disk, if the disk took it.

    Attributes:
        reason: The record's; and where in a plug-in's file it came from.
        left: What it left behind in its process.
    """

    run: RunSpec
    status: str
    reason: str = ""
    seconds: float = 0.0
    elsewhere: bool = False
    left: tuple[str, ...] = ()


def run_one(run: RunSpec, work: Work) -> Ended:
    """One run, whose record is on disk when this returns."""
    return run_group((run,), work)[0]


def run_group(runs: Sequence[RunSpec], work: Work) -> list[Ended]:
    """Runs of one group, whose records are on disk when this returns: in one pass where that can be, or one by one."""
    prepare(work)
    settled = {run.run_id: ended for run in runs if (ended := _settled(run, work))}
    left = [run for run in runs if run.run_id not in settled]
    made = _served_together(left, work) if len(left) > 1 else {}
    return [settled.get(run.run_id) or _carried_out(run, work, made.get(run.run_id)) for run in runs]


def _settled(run: RunSpec, work: Work) -> Ended | None:
    """How a run ended that is not to be carried out."""
    if not work.replace and (found := Store(work.place.results).condition(run.run_id)).is_done:
        return Ended(run, found.state, elsewhere=True)
    if work.own_process and run_id(run, load_series(run)) != run.run_id:
        return record_failure(run, work, OTHERWISE)
    return None if work.replace else _under_other_labels(run, work)


def _served_together(runs: Sequence[RunSpec], work: Work) -> dict[str, Made]:
    """What came of runs in one pass, by id; nothing of those that have to be carried out alone."""
    first = runs[0]
    progress_file = ProgressFile(work.progress_folder, first.run_id, f"{first.label}, and {len(runs) - 1} more")
    with logged(work.log(first), own_process=work.own_process):
        try:
            return execute_together(runs, work.place, progress_file)
        except ENDS_SESSION:
            raise
        except BaseException as error:  # a plug-in may raise anything; each run alone then says what
            print(f"Not served together:\n{traceback_of(error)}", file=sys.stderr)  # noqa: T201 - into the run's own log
            return {}
        finally:
            progress_file.erase()


def _carried_out(run: RunSpec, work: Work, made: Made | None) -> Ended:
    """A run, served by now or alone, written down."""
    progress_file = ProgressFile(work.progress_folder, run.run_id, run.label)
    if made is None:
        progress_file(0, 1, lambda: float("nan"))
        with logged(work.log(run), own_process=work.own_process):
            made = execute(run, work.place, progress_file)
            if made[0].traceback:
                print(made[0].placeless.traceback, file=sys.stderr)  # noqa: T201 - into the run's own log
    record, frames = made
    if not work.is_in_place:
        return Ended(run, "failed", MOVED)
    try:
        Store(work.place.results).write(record, frames, log=work.log(run), replace=work.replace)
    except Exception as error:  # the disk is full, say, or a name is no text: a record alone may still fit
        return record_failure(run, work, f"not written: {words_of(error)}")
    finally:
        progress_file.erase()
    reason = record.reason + raised_at(record.traceback)
    return Ended(run, record.status, reason, record.seconds, left=tuple(record.left))


def _under_other_labels(run: RunSpec, work: Work) -> Ended | None:
    """Who takes no partial labels is served the same with them and without: a copy of the run that was made."""
    store, other = Store(work.place.results), {"partial": "matured", "matured": "partial"}.get(run.protocol.labels)
    if run.skip or other is None or STRATEGIES[run.strategy.name].cls.takes_partial:
        return None
    protocol = run.protocol.model_copy(update={"labels": other})
    twin = run_id(replace(run, protocol=protocol), load_series(run))
    condition, record = store.inspect(twin)
    if condition.state != "ok" or record is None or not work.is_in_place:
        return None
    found = {name: store.read_frame(twin, name) for name in (ORIGINS, FORECASTS, TRACE, TRAINING)}
    frames = {name: frame for name, frame in found.items() if frame is not None}
    store.write(record.model_copy(update={"run_id": run.run_id, "protocol": run.protocol}), frames, replace=False)
    return Ended(run, record.status, record.reason, record.seconds)


def record_failure(run: RunSpec, work: Work, reason: str, traceback: str = "") -> Ended:
    """Record that a run came to nothing; where no record can be made, it is done again next time."""
    if not work.is_in_place:
        return Ended(run, "failed", MOVED)
    with contextlib.suppress(Exception):
        record = failure(run, work.place, reason).model_copy(update={"traceback": traceback})
        Store(work.place.results).write(record, {}, log=work.log(run), replace=work.replace)
    ProgressFile(work.progress_folder, run.run_id, run.label).erase()
    return Ended(run, "failed", reason)


def failure(run: RunSpec, place: RunPaths, reason: str) -> Record:
    """The record of a run that could not leave one."""
    record = describe(run, load_series(run), place, torch.device(run.device))
    return record.model_copy(update={"reason": reason})


def train_shared(run: RunSpec, work: Work) -> None:
    """Leave the run's checkpoint behind. What goes wrong here will go wrong, and be recorded, in the run."""
    keep_freed_memory()
    try:
        with logged(work.log(run), own_process=work.own_process):
            _train(run, work)
    except ENDS_SESSION:
        raise
    except BaseException:  # noqa: S110 - a plug-in may raise anything; see above
        pass


def _train(run: RunSpec, work: Work) -> None:
    prepare(work)
    stage = PreparedSeries.of(load_series(run), run.protocol)
    # a plug-in may have changed torch's settings when it was loaded, and may leave something behind
    with isolated(run.seed, run.threads), swept():
        pretrained_for(run, stage, resolve_device(run.device), work.place.checkpoints)


def prepare(work: Work) -> None:
    """A worker knows no plug-ins yet; the session itself had them loaded before it could tell its runs."""
    if work.own_process:
        _load_once(work.place.plugins)


_load_once = cache(load_plugins)
