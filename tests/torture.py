"""An experiment of small runs, killed at random moments and started again, until it is done: nothing may be lost.

``python -m tests.torture [kills] [seed]`` (``make torture``): half of the kills over ``inline``, half over
``processes`` (a tenth, and a smaller experiment, where there are fewer than 50).
"""

from __future__ import annotations

import io
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil

from bench.contracts.discovery import load_plugins
from bench.execution.console import Screen
from bench.execution.experiment import Experiment
from bench.execution.session import run_experiment
from bench.results.audit import AUDITS
from bench.results.disk import WORK
from bench.results.maintenance import check
from bench.results.merging import VARIES
from bench.results.store import MANIFEST, Store

STRATEGIES = ["persistence", "rls"]


@dataclass
class Torture:
    """One experiment under fire.

    Attributes:
        folder: Where it happens.
        waves: The data.
        engine: That carries it out.
        seeds: Of each strategy; there are as many runs.
        draw: Decides the moments.
        kills: So far.
        rounds: How often it came to its end, was looked at, and begun anew.
    """

    folder: Path
    waves: Path
    engine: str
    seeds: int
    draw: random.Random
    kills: int = 0
    rounds: int = 0
    _orphans: list[psutil.Process] = field(default_factory=list)

    def inflict(self, kills: int, right: Store) -> None:
        """Kill it so often, start it again each time; then let it end, and look at what is there.

        Args:
            kills: How often.
            right: What an undisturbed session left; its audits hold here too.
        """
        shutil.copytree(right.folder.parent / AUDITS, self._results / AUDITS)
        begun = time.monotonic()
        self.let_end()
        usual = time.monotonic() - begun
        self._look(right)
        while self.kills < kills:
            child = _fork(self._session)
            if _ends_within(child, self.draw.uniform(0, 0.8 * usual)):
                self._look(right)
            else:
                self._kill(child)
        self.let_end()
        self._look(right)

    def let_end(self) -> Store:
        """A session that nobody disturbs."""
        child = _fork(self._session)
        _, status = os.waitpid(child, 0)
        assert status == 0, f"the session ended with status {status}"
        return Store(self._results / "e")

    @property
    def runs(self) -> int:
        """Of the experiment."""
        return len(STRATEGIES) * self.seeds

    @property
    def _results(self) -> Path:
        return self.folder / self.engine

    def _session(self) -> None:
        where = f"csv:{self.waves}"
        experiment = Experiment(
            name="e",
            protocol={"lookback": 12, "horizon": 3},
            strategies=STRATEGIES,
            datasets=[where],
            seeds=list(range(self.seeds)),
            engine=self.engine,
            timing_blocks=0,
        )
        run_experiment(experiment, self._results, console=Screen(file=io.StringIO()))

    def _kill(self, child: int) -> None:
        """The session and its workers, or the session alone: its workers then end by themselves, a little later."""
        self._orphans += psutil.Process(child).children(recursive=True)
        if self.draw.random() < 0.6:
            os.killpg(child, signal.SIGKILL)
        else:
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        self.kills += 1

    def _look(self, right: Store) -> None:
        """One good record of each run, equal to the undisturbed one, and nothing else; then all of it goes."""
        assert not psutil.wait_procs(self._orphans, timeout=60)[1], "a worker outlived its session"
        self.rounds += 1
        store = Store(self._results / "e")
        assert store.found() == right.found() == sorted(store.read_manifest())
        assert len(store.found()) == self.runs
        for run_id in store.found():
            assert store.condition(run_id, closely=True).state == "ok"
            ours, theirs = (place.read(run_id) for place in (store, right))
            assert ours is not None
            assert theirs is not None
            assert ours.model_dump_json(exclude=set(VARIES)) == theirs.model_dump_json(exclude=set(VARIES))
            names = sorted(path.name for path in (store.folder / run_id).iterdir())
            assert names == sorted(path.name for path in (right.folder / run_id).iterdir())
            for name in names:
                same = (store.folder / run_id / name).read_bytes() == (right.folder / run_id / name).read_bytes()
                assert same or name == "record.json", f"{run_id}/{name} differs"
        assert check(self._results) == [], check(self._results)
        assert list((store.folder / WORK).iterdir()) == []
        here = {path.name for path in store.folder.iterdir()}
        assert here == {*store.found(), MANIFEST, WORK}  # no .damaged either: what is killed is never seen half
        shutil.rmtree(store.folder)


def _fork(session: Callable[[], None]) -> int:
    """Start a session in a process group of its own; everything is imported already."""
    if child := os.fork():
        return child
    try:
        os.setpgid(0, 0)
        session()
        os._exit(0)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    os._exit(1)


def _ends_within(child: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            assert status == 0, f"the session ended with status {status}"
            return True
        time.sleep(0.002)
    return False


def torture(folder: Path, kills: dict[str, int], seed: int, seeds: int) -> dict[str, Torture]:
    """Inflict so many kills on each engine.

    Args:
        folder: Empty.
        kills: By engine.
        seed: Of the moments.
        seeds: Of the experiment.
    """
    load_plugins()
    t = np.arange(200)
    rows = [f"{a:.4f},{b:.4f}" for a, b in zip(np.sin(t / 4), np.cos(t / 3), strict=True)]
    waves = folder / "waves.csv"
    waves.write_text("\n".join(["a,b", *rows]) + "\n")
    right = Torture(folder / "undisturbed", waves, "inline", seeds, random.Random()).let_end()
    done = {}
    for engine, count in kills.items():
        done[engine] = Torture(folder, waves, engine, seeds, random.Random(f"{seed} {engine}"))
        done[engine].inflict(count, right)
    return done


def main() -> None:
    """``[kills] [seed]``."""
    kills, seed = (int(word) for word in [*sys.argv[1:], *("100", "0")[len(sys.argv) - 1 :]])
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        fewer, seeds = (kills // 2, 20) if kills >= 50 else (kills // 10, 8)  # a start of workers takes seconds
        done = torture(Path(folder), {"inline": kills - fewer, "processes": fewer}, seed, seeds)
    for engine, one in done.items():
        print(
            f"{engine}: {one.kills} kills, {one.runs} runs looked at {one.rounds} times: all there, all right, no other"
        )
    print(f"seed {seed}, {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()
