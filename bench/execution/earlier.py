"""Runs that an earlier version of this package made, and that today's would repeat to the bit: they are kept."""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from bench.contracts.forecaster import FORECASTERS
from bench.contracts.outcomes import harness, known
from bench.contracts.plugin_import import ROOT
from bench.contracts.registry import Entry
from bench.contracts.strategy import STRATEGIES
from bench.evaluation.run import describe_code, load_series
from bench.evaluation.run_spec import RunSpec, earlier_run_id, run_id_of_path
from bench.results.record import Record
from bench.results.store import Store


@dataclass
class Earlier:
    """Runs that are not there under today's ids, and are under those of an earlier version.

    Attributes:
        kept: Records that count, with the code and the id of today, by their earlier ids.
    """

    kept: dict[str, Record] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)


def find_earlier(runs: Iterable[RunSpec], store: Store) -> Earlier:
    """Look for runs under the ids that an earlier version gave them.

    Versions that wrote records of schema 2 or 1 hashed the file of a plug-in and those of plug-ins that it inherits
    from, and no others. A run is kept where nothing else that decides it can have changed.
    """
    earlier = Earlier()
    for run, record in _found(runs, store):
        if why_not := _why_not(run, record):
            earlier.refused[why_not] += 1
        else:
            code = describe_code(run, load_series(run))
            earlier.kept[record.run_id] = record.model_copy(update=code | {"run_id": run.run_id})
    return earlier


def _found(runs: Iterable[RunSpec], store: Store) -> Iterator[tuple[RunSpec, Record]]:
    runs = list(runs)
    listed = _listed_files(store) if any(run.called.is_file for run in runs) else []
    for run in runs:
        for earlier in _earlier_ids(run, listed):
            if store.condition(earlier, closely=True).is_done and (record := store.read(earlier)):
                yield run, record
                break


def _earlier_ids(run: RunSpec, listed: Iterable[str]) -> Iterator[str]:
    """Ids that a run can have had, of a file by each path that it can have been named by."""
    series = load_series(run)
    names = dict.fromkeys([run.dataset.name, *listed] if run.called.is_file else [run.dataset.name])
    if run.called.is_file:
        yield from (run_id_of_path(run, series, name) for name in names)
    if (now := known("harness", harness())) and now.earlier:
        for shas in product(*map(_earlier_shas, _entries(run))):
            yield from (earlier_run_id(run, series, *shas, dataset=name) for name in names)


def _listed_files(store: Store) -> list[str]:
    """Names of datasets in the list of runs, as they were written in the experiment before this one."""
    names: dict[str, None] = {}
    for cell in store.read_manifest().values():
        try:
            name = json.loads(cell)[3]
        except (ValueError, KeyError, TypeError, IndexError):
            continue
        names.setdefault(str(name))
    return list(names)


def _entries(run: RunSpec) -> list[Entry[Any]]:
    strategy: Entry[Any] = STRATEGIES[run.strategy.name]
    return [strategy, FORECASTERS[run.forecaster.name]] if run.forecaster else [strategy]


def _earlier_shas(entry: Entry[Any]) -> list[str]:
    """What an earlier version can have made of a plug-in that is as it was then."""
    if now := known(entry.subject, entry.code):
        return list(now.earlier)
    return [hashlib.sha256(b"".join(sorted(file.read_bytes() for file in _own_files(entry)))).hexdigest()]


def _own_files(entry: Entry[Any]) -> set[Path]:
    """The plug-in's file, and those of plug-ins that it inherits from."""
    modules = [sys.modules[base.__module__] for base in entry.cls.__mro__ if base.__module__.startswith(f"{ROOT}.")]
    return {entry.file, *(Path(module.__file__ or "").resolve() for module in modules)}


def _may_draw(entry: Entry[Any]) -> bool:
    """Whether a plug-in may take random numbers in service."""
    now = known(entry.subject, entry.code)
    return now is None or now.draws


def _why_not(run: RunSpec, record: Record) -> str:
    """Why a run of an earlier version cannot be kept; empty where it can."""
    if run.called.is_file and any(map(_may_draw, _entries(run))):
        return "the random numbers of a strategy depended on the path of your file"
    versions = record.environment.get("packages", {})
    for entry in _entries(run):
        if not known(entry.subject, entry.code) and len(entry.code.files) > len(_own_files(entry)):
            return f"it did not note which files {entry.name} imports"
        for name, version in entry.code.packages.items():
            then = str(versions.get(name, version)).partition("+")[0]
            if then != version:
                return f"{name} was {then} then, and is {version}"
    return ""
