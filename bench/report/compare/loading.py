"""Two versions' results side by side: reading them from folders, benchmark files and git commits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from bench.analysis.compare import BOUNDS, Bounds, compare_benchmarks, compare_runs
from bench.contracts.errors import BenchError
from bench.report.render.numbers import count
from bench.report.view.loaded import stretch_of
from bench.report.view.loading import details
from bench.report.view.places import opened
from bench.results.benchmark_files import THROUGHPUT, Benchmark, Session, read_session, read_sessions
from bench.results.frame import load_results, titled
from bench.results.record import Record
from bench.results.run_key import key_of_record
from bench.results.store import ORIGINS, Store, experiments_in

FORMS = (
    "Name an experiment's results, a folder of several, an archive of them, a .json file of pytest-benchmark (make "
    "throughput) or a folder of those, or one of these in a git commit as COMMIT:PATH."
)


@dataclass(frozen=True, eq=False)
class Side:
    """What one of the two holds.

    Attributes:
        runs: A row for each run, as `compare_runs` takes it; maybe empty.
        benchmarks: A row for each benchmark, as `compare_benchmarks` takes it; maybe empty.
        unreadable: Listed runs whose record is not there or could not be read.
        stores: Where the runs are.
        is_single: Whether the runs are those of one experiment, named by its folder and not by one above.
    """

    runs: pd.DataFrame
    benchmarks: pd.DataFrame
    unreadable: int
    stores: tuple[Store, ...] = ()
    is_single: bool = False

    def origins(self, run_id: str) -> pd.Series | None:
        """The MSE at each origin of a run; None where that is not there."""
        for store in self.stores:
            if (found := store.read_columns(run_id, ORIGINS, ("origin", "mse"))) is not None:
                return pd.Series(found["mse"], found["origin"])
        return None


@dataclass(frozen=True, eq=False)
class Comparison:
    """What became of everything.

    Attributes:
        changes: Rows of `compare_runs`, then those of `compare_benchmarks`.
        unreadable: Listed runs of A, and of B, whose record is not there or could not be read.
    """

    changes: pd.DataFrame
    unreadable: tuple[int, int]


def compare(a: str, b: str, bounds: Bounds = BOUNDS) -> Comparison:
    """Compare what two places hold.

    Args:
        a: A place: a folder, a file, or ``COMMIT:PATH``; see `open_side`.
        b: Likewise.
        bounds: From where on a change counts.

    Raises:
        BenchError: One of them cannot be read, or nothing is in both.
    """
    with open_side(a) as one, open_side(b) as other:
        return _compare(one, other, bounds, (a, b))


def _compare(one: Side, other: Side, bounds: Bounds, names: tuple[str, str]) -> Comparison:
    one_runs, other_runs = one.runs, other.runs
    if one.is_single and other.is_single:  # whatever their folders are called
        other_runs = other_runs.assign(experiment=one_runs["experiment"].iloc[0])
    frames = []
    if len(one_runs) or len(other_runs):
        frames.append(compare_runs(*_same_names(one_runs, other_runs), (one.origins, other.origins), bounds))
    if len(one.benchmarks) or len(other.benchmarks):
        frames.append(compare_benchmarks(one.benchmarks, other.benchmarks, bounds))
    changes = frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)
    if changes["verdict"].str.startswith("only in").all():
        a, b = (f"{name} ({_content(side)})" for name, side in zip(names, (one, other), strict=True))
        raise BenchError(f"Nothing is both in {a} and in {b}: nothing to compare")
    return Comparison(changes, (one.unreadable, other.unreadable))


@contextmanager
def open_side(place: str) -> Iterator[Side]:
    """Read all that is to be compared in a place, and keep errors at origins within reach.

    Args:
        place: An experiment's results; a folder of several, with what is in ``throughput`` beside them; a file of
            pytest-benchmark; a folder of those, of which the newest that has a benchmark counts for it; or
            ``COMMIT:PATH``, one of these as committed, its path from the top of the repository.

    Raises:
        BenchError: It is not there, or holds nothing of the kind.
    """
    with opened(place, FORMS) as path:
        yield _read(path, place)


def _read(path: Path, place: str) -> Side:
    if path.is_file():
        if (session := read_session(path)) is None:
            raise BenchError(f"{place}: not a file of pytest-benchmark, or one without a benchmark. {FORMS}")
        return Side(pd.DataFrame(), _benchmarks([session]), 0)
    folders = _experiments(path)
    benchmarks = _benchmarks([*read_sessions(path), *read_sessions(path / THROUGHPUT)])
    if not folders and benchmarks.empty:
        what = "no results of runs and no benchmarks here" if path.is_dir() else "no such file or folder"
        raise BenchError(f"{place}: {what}. {FORMS}")
    is_single = folders == [path]
    read = [_runs(folder, "" if is_single else folder.name, place) for folder in folders]
    runs = pd.concat([frame for frame, _ in read], ignore_index=True) if read else pd.DataFrame()
    return Side(runs, benchmarks, sum(bad for _, bad in read), tuple(map(Store, folders)), is_single)


def _experiments(path: Path) -> list[Path]:
    """Folders of experiments with runs over a stream: trials of options have no errors to compare."""
    try:
        found = experiments_in(path)
    except BenchError:
        return []
    return [folder for folder in found if Store(folder).run_ids()]


def _runs(folder: Path, experiment: str, place: str) -> tuple[pd.DataFrame, int]:
    """The runs of an experiment, oldest first, and how many records could not be read."""
    store = Store(folder)
    found = list(store.records())
    [records] = titled([found])
    if not records:
        raise BenchError(f"{place}: no readable results{f' in {experiment}' if experiment else ''}. {FORMS}")
    runs = load_results(folder)
    files = {record.run_id for record in found if record.dataset.called.is_file}
    more = pd.DataFrame([_more(records[run_id], store, run_id in files) for run_id in runs["run_id"]])
    runs = pd.concat([runs, more], axis=1).sort_values("started", kind="stable")
    return runs.assign(experiment=experiment or runs["experiment"].iloc[-1]), len(store.listed()) - len(records)


def _more(record: Record, store: Store, is_file: bool) -> dict[str, Any]:
    """What `bench.load_results` leaves out."""
    alone = store.read_timing(record.run_id)
    name = alone.device_name if alone else str(record.environment.get("device_name", ""))
    cell = key_of_record(record.with_dataset("", {}) if is_file else record)
    more = {"cell": cell, "file": record.dataset.fingerprint if is_file else "", "device_name": name}
    return (
        details(record, alone) | more | {"stretch": stretch_of(record, record.errors.windows if record.errors else 1)}
    )


def _same_names(a: pd.DataFrame, b: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Both sides with one name for each file of the user's, that of A; what has the same name in both is the same file.

    Cells are of runs whose file is not named in them: its name comes in.
    """
    if len(a) and len(b):
        known = {(place, data): (name, given) for place, data, name, given in _files(a) if data}
        shared = {(place, known[place, data][0]) for place, data, *_ in _files(b) if (place, data) in known}
        named = []
        for place, data, name, given in _files(b):
            is_other = data and (place, name) in shared and (place, data) not in known
            named.append(known.get((place, data), (f"{name} [{data[:8]}]" if is_other else name, given)))
        b = b.assign(dataset=[name for name, _ in named], dataset_options=[given for _, given in named])
    one, other = (
        side.assign(cell=side["cell"] + ("\n" + side["dataset"]).where(side["file"] != "", "")) if len(side) else side
        for side in (a, b)
    )
    return one, other


def _files(runs: pd.DataFrame) -> list[tuple[str, str, str, str]]:
    """Experiment, fingerprint of a file of the user's (else empty), name and options of each run's dataset."""
    columns = ("experiment", "file", "dataset", "dataset_options")
    return list(zip(*(runs[column] for column in columns), strict=True))


def _benchmarks(sessions: list[Session]) -> pd.DataFrame:
    """Each benchmark as the last of these sessions that has it measured it."""
    rows = {one.name: _row(one, session.machine) for session in sessions for one in session.benchmarks}
    return pd.DataFrame(list(rows.values()), columns=["name", "median_ms", "ratio", "against", "machine"])


def _row(one: Benchmark, machine: str) -> dict[str, Any]:
    ratio = one.extra.get("ratio")
    return {
        "name": one.name,
        "median_ms": one.median_ms,
        "ratio": float(ratio) if isinstance(ratio, int | float) else float("nan"),
        "against": str(one.extra.get("against", "")),
        "machine": machine,
    }


def _content(side: Side) -> str:
    names = sorted(side.runs["experiment"].unique()) if len(side.runs) else []
    parts = [f"runs of {', '.join(names)}"] if names else []
    parts += [count(len(side.benchmarks), "benchmark")] if len(side.benchmarks) else []
    return " and ".join(parts)
