"""Results of ten thousand runs that nobody ran: 20 entries on 50 datasets with 10 seeds, 400 origins each."""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from bench.results.record import PluginRecord
from bench.results.store import Store

from ..report.conftest import FakeScenario, FakeStrategy, run_id, write_run

ENTRIES = 20
"""Of each dataset: two strategies without a forecaster, nine on two forecasters."""

ALONE = (FakeStrategy("persistence", 0.40, 1.6, 0.02, 0.01, noise=0.0), FakeStrategy("rls", 0.21, 1.2, 0.05, 1.6))
ADAPTING = tuple(
    FakeStrategy(name, error, recovery, 5.0, adapt_ms, uses_forecaster=True)
    for name, error, recovery, adapt_ms in (
        ("frozen", 0.24, 2.6, 0.01),
        ("titans-a", 0.235, 2.5, 0.01),
        ("titans-b", 0.26, 1.4, 4.0),
        ("titans-c", 0.205, 1.3, 31.0),
        ("retrain", 0.215, 1.5, 55.0),
        ("titans-b-stale", 0.232, 2.3, 0.02),
        ("ogd", 0.245, 1.4, 9.0),
        ("buffer", 0.222, 1.5, 12.0),
        ("gated", 0.228, 1.7, 7.0),
    )
)
FORECASTERS = ("titans", "dlinear")
KINDS = (
    FakeScenario(targets=("load",), events=((0.4, "outage"),)),
    FakeScenario(targets=("north", "south", "west"), events=((0.3, "lockdown"), (0.6, "reopening"))),
    FakeScenario(targets=tuple(f"sensor {i}" for i in range(7)), events=()),
)
"""Shapes that datasets take in turn."""


def scenario(number: int, origins: int) -> FakeScenario:
    """One of many datasets, each a little different."""
    kind = KINDS[number % len(KINDS)]
    return FakeScenario(
        f"site-{number:02d}", kind.targets, kind.events, origins=origins, scale=1.0 + 0.1 * (number % 17)
    )


def write_dataset(number: int, folder: Path, seeds: int, origins: int) -> None:
    """All runs on one dataset."""
    store, where = Store(folder), scenario(number, origins)
    for seed in range(seeds):
        for strategy in ALONE:
            write_run(store, strategy, where, seed)
        for i, name in enumerate(FORECASTERS):
            forecaster = PluginRecord(name=name, summary=f"What {name} is.", sha=name)
            for strategy in ADAPTING:
                own = FakeStrategy(**vars(strategy) | {"error": strategy.error * (1 + 0.04 * i)})
                write_run(store, own, where, seed, run_id=f"{run_id(own, where, seed)}-{name}", forecaster=forecaster)


def write_many(folder: Path, datasets: int = 50, seeds: int = 10, origins: int = 400, workers: int = 1) -> Store:
    """An experiment of ``ENTRIES * datasets * seeds`` runs, written through the store.

    Args:
        folder: ``results/<experiment>``.
        datasets: Each of one of three shapes.
        seeds: Of each entry.
        origins: Rows of each run's ``origins.parquet``.
        workers: Processes that write.
    """
    write = partial(write_dataset, folder=folder, seeds=seeds, origins=origins)
    if workers == 1:
        for number in range(datasets):
            write(number)
    else:
        with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
            list(pool.map(write, range(datasets)))
    return Store(folder)
