"""What tests of sessions share: a strategy of the user's, and what is found in the results of the tiny experiment."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from bench.results.record import Record
from bench.results.store import RECORD, Store

from .conftest import Ran

MINE = """
    from bench import Strategy, StrategyConfig, register_strategy

    @register_strategy("{name}")
    class Mine(Strategy):
        "The mean of the window, times something."

        class Config(StrategyConfig):
            factor: float = {factor}

        def predict(self, windows):
            mean = windows.mean(dim=1, keepdim=True) * self.config.factor
            return mean.expand(-1, self.protocol.horizon, -1)
"""


def mine(name: str = "mine", factor: float = 1.0) -> str:
    return MINE.format(name=name, factor=factor)


def store_of(tiny: Path) -> Store:
    return Store(tiny.parent / "results" / "tiny")


def records(tiny: Path) -> dict[str, Record]:
    """Records by strategy and forecaster; of one seed."""
    found = {}
    for record in store_of(tiny).records():
        found[record.strategy.name + (f"+{record.forecaster.name}" if record.forecaster else "")] = record
    return found


def stamps(folder: Path) -> dict[str, int]:
    """When each file of the results was last written."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "runs.json"]
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in files}


def change(tiny: Path, **lines: str) -> None:
    """Replace lines of the experiment by key."""
    kept = [line for line in tiny.read_text().splitlines() if line.split(" =")[0] not in lines]
    tiny.write_text("\n".join([*kept, *(f"{key} = {value}" for key, value in lines.items())]) + "\n")


def clean(tiny: Path) -> bool:
    """Whether nothing but finished work is left in the results."""
    folder = store_of(tiny).folder
    stray = [*folder.glob(".tmp/*"), *folder.glob(".progress*")]
    return not stray and all((path / RECORD).is_file() for path in folder.glob("[!.]*") if path.is_dir())


WITHOUT_REPORT = """
import bench.report
bench.report.write_report = lambda _, report, **__: report / "README.md"  # drawing takes seconds
"""
MAIN = "from bench.cli.main import main\n{}main()\n"
FORKED = "from tests.forked import forked_workers\nwith forked_workers(): "


def command(*words: object, report: bool = False, forked: bool = False) -> list[str]:
    """``bench WORDS...`` for a process of its own; without ``report`` it writes none, ``forked`` are its workers."""
    code = ("" if report else WITHOUT_REPORT) + MAIN.format(FORKED if forked else "")
    return [
        sys.executable,
        "-W",
        "ignore",
        *(["-m", "bench"] if report and not forked else ["-c", code]),
        *map(str, words),
    ]


ROOT = str(Path(__file__).parents[1])
ENVIRONMENT = os.environ | {"OMP_NUM_THREADS": "1", "MPLBACKEND": "agg", "PYTHONPATH": ROOT}


def run_apart(tiny: Path, *words: object, report: bool = False, forked: bool = False) -> Ran:
    """``bench run`` in a process of its own."""
    given = command("run", tiny, *words, report=report, forked=forked)
    ran = subprocess.run(given, cwd=tiny.parent, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    return Ran(ran.returncode, ran.stdout, ran.stderr)
