"""Results of several experiments or machines as one table: reading them, and where each came from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pandas as pd

from bench.analysis import overall, verdicts_over
from bench.analysis.pooling import PARTS, pool, pooled_board, version_differences
from bench.analysis.verdicts import SURE
from bench.contracts.errors import BenchError
from bench.contracts.naming import shortest
from bench.report.sections.audits import may_have_seen
from bench.report.view.comparisons import frozen_skills
from bench.report.view.loaded import Results
from bench.report.view.loading import inspected, read_results
from bench.report.view.origin_errors import OriginErrors, read_origin_errors
from bench.report.view.places import opened
from bench.report.view.rankings import datasets_of
from bench.results.frame import MetricColumn, metric_columns, shown_metrics
from bench.results.record import Record
from bench.results.store import Store, experiments_in

FORMS = (
    "Name folders of results, such as results or results/default, archives of bench results publish, or either of them "
    "in a git commit as COMMIT:PATH."
)
NAMED = ["scenario", "entry", "base", "protocol_label"]  # anew over all sources


@dataclass(frozen=True)
class Source:
    """One experiment's folder.

    Attributes:
        name: Of its folder, with as many of the folders above as tell it from other sources.
        runs: How many it holds that are not superseded.
        lost: Runs that it lists, and that are missing or damaged.
        machines: Where they ran: processors or accelerators, and platforms.
        devices: Such as ``cpu`` or ``cuda:0``.
        versions: Of packages and of the code.
    """

    name: str
    runs: int
    lost: int
    machines: tuple[str, ...]
    devices: tuple[str, ...]
    versions: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Pooled:
    """All sources together.

    Attributes:
        board: `pooled_board`: a row for each entry of each scenario, best first; both with the columns of its verdict
            against frozen, see `frozen_skills` and `verdicts_over`.
        overall: `bench.analysis.overall` of it; ``counted``: scenarios that the verdict is over.
        metrics: Those that some run has a value of, in the order of their columns.
        protocols: What each scenario's protocol is, in full.
        sources: In the order in which they are numbered, from 1.
        doubled: Runs that were there twice.
        differing: Ids of those whose errors differ.
        versions: What differs between versions of one entry, see `version_differences`.
        seen: Scenarios, and entries on them, that `may_have_seen` the data.
    """

    board: pd.DataFrame
    overall: pd.DataFrame
    metrics: list[MetricColumn]
    protocols: dict[str, str]
    sources: tuple[Source, ...]
    doubled: int
    differing: list[str]
    versions: Mapping[tuple[str, ...], list[str]] = field(default_factory=dict)
    seen: frozenset[tuple[str, str]] = frozenset()


@dataclass(frozen=True, eq=False)
class _Together(Results):
    """All sources as one experiment.

    Attributes:
        stores: Of each run, by its id.
    """

    stores: Mapping[str, Store] = field(default_factory=dict)

    @cached_property
    def origin_errors(self) -> dict[str, OriginErrors]:
        return read_origin_errors(self.stores.__getitem__, self.ok)


def read_pooled(places: Sequence[str]) -> Pooled:
    """Read and pool what several places hold.

    Args:
        places: Folders of experiments, folders of several of those, archives of them, or ``COMMIT:PATH``, one of these
            as committed. What tuning tried is left out.

    Raises:
        BenchError: One of them holds no results.
    """
    with ExitStack() as stack:
        folders = [
            found for place in places for found in _experiments(place, stack.enter_context(opened(place, FORMS)))
        ]
        return _read(folders)


def _read(folders: Sequence[tuple[str, Path]]) -> Pooled:
    found = inspected([Store(folder) for _, folder in folders])
    metrics = metric_columns(record for records, _ in found for record in records.values())
    named = zip(shortest([name for name, _ in folders]), folders, found, strict=True)
    read = [(name, read_results(folder, here, metrics)) for name, (_, folder), here in named]
    pooled = pool(pd.concat([_runs(results, i) for i, (_, results) in enumerate(read, 1)], ignore_index=True))
    board, together = pooled_board(pooled.runs), _together([results for _, results in read], pooled.runs)
    skills = frozen_skills(together)
    over = verdicts_over(skills, datasets_of(together))
    return Pooled(
        board=board.merge(skills[["scenario", "entry", *SURE]], on=["scenario", "entry"], how="left"),
        overall=overall(board).merge(over.rename(columns={"scenarios": "counted"}), on="entry", how="left"),
        metrics=shown_metrics(metrics, pooled.runs[pooled.runs["status"] == "ok"]),
        protocols=dict(zip(pooled.runs["scenario"], pooled.runs["protocol_label"], strict=True)),
        sources=tuple(_source(name, results) for name, results in read),
        doubled=pooled.doubled,
        differing=pooled.differing,
        versions=version_differences(pooled.runs),
        seen=frozenset(may_have_seen(together)),
    )


def _together(sources: Sequence[Results], runs: pd.DataFrame) -> Results:
    source_of = {run_id: sources[i - 1] for run_id, i in zip(runs["run_id"], runs["source"], strict=True)}
    records = {run_id: source.records[run_id] for run_id, source in source_of.items()}
    stores = {run_id: source.store for run_id, source in source_of.items()}
    return _Together(sources[0].store, runs, records, {}, {}, 0, (), stores=stores)


def _experiments(place: str, path: Path) -> list[tuple[str, Path]]:
    """Name and folder of each experiment in a place, now at ``path``, that has runs over a stream."""
    if not path.is_dir():
        raise BenchError(f"{place}: {'not a folder' if path.exists() else 'no such folder'}. {FORMS}")
    folders = [folder for folder in experiments_in(path) if Store(folder).run_ids()]
    if not folders:
        raise BenchError(f"{place}: trials without served runs. There is nothing to rank before bench tune serves.")
    return [(place if folder == path else f"{place.rstrip('/')}/{folder.name}", folder) for folder in folders]


def _runs(results: Results, source: int) -> pd.DataFrame:
    """The runs that count in a source's own report."""
    runs = results.runs
    parts = pd.DataFrame([_parts(results.records[run_id]) for run_id in runs["run_id"]], columns=PARTS)
    versions = ["\n".join(values) for values in zip(runs["version"], *(parts[name] for name in PARTS), strict=True)]
    hashed = [hashlib.sha256(text.encode()).hexdigest()[:12] for text in versions]
    return pd.concat([runs.drop(columns=NAMED).assign(source=source, version=hashed), parts], axis=1)


def _parts(record: Record) -> tuple[str, ...]:
    """What makes the version of a run, in the order of `PARTS`."""
    strategy, forecaster = record.strategy, record.forecaster
    options = [strategy.config, forecaster.config if forecaster else {}, record.training]
    own, other, recipe = (json.dumps(values, sort_keys=True, default=str) for values in options)
    device = str(record.environment.get("device", "")).partition(":")[0]
    return strategy.sha, own, forecaster.sha if forecaster else "", other, recipe, record.harness, device


def _source(name: str, results: Results) -> Source:
    environments = [record.environment for record in results.records.values()]
    machines, devices, versions = set(), set(), set()
    for env in environments:
        named = (str(env.get(key) or "") for key in ("device_name", "platform"))
        machines.add(", ".join(part for part in named if part))
        devices.add(str(env.get("device") or ""))
        packages, git = env.get("packages") or {}, env.get("git") or {}
        parts = [f"{package} {packages[package]}" for package in ("adaptbench", "torch") if package in packages]
        parts += (
            [f"git {str(git['commit'])[:8]}{' (changed)' if git.get('dirty') else ''}"] if git.get("commit") else []
        )
        versions.add(", ".join(parts))
    told = (tuple(sorted(found - {""})) for found in (machines, devices, versions))
    return Source(name, len(results.runs), len(results.lost), *told)
