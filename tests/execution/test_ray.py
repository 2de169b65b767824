"""A session on a ray cluster of two machines, of which one is lost; and what a cluster may be asked for."""

from __future__ import annotations

import contextlib
import random
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import TypeVar

import psutil
import pytest

from bench.contracts.config import build
from bench.contracts.discovery import load_plugins
from bench.contracts.errors import BenchError
from bench.evaluation.run import RunPaths
from bench.execution.engines.cluster import Cluster, RayOptions, Share
from bench.execution.experiment import expand, load_experiment
from bench.execution.resources import device_of
from bench.execution.worker import OTHERWISE, Work, run_one
from bench.results.maintenance import check
from bench.results.store import FORECASTS, ORIGINS, Store

from ..conftest import Bench, Write
from ..execution.test_faults import MARK, marked
from ..sessions import ENVIRONMENT, change, clean, command

T = TypeVar("T")

SEED = 7
HOST = "127.0.0.2"  # an address of this machine's own that ray does not put another in place of
ANSWER_S = 120.0
SESSION_S = 150.0

GATED = """
    import os, pathlib, time
    from bench import Strategy, StrategyConfig, register_strategy

    @register_strategy("gated")
    class Gated(Strategy):
        "The mean of the window, in no hurry; leaves word of the machine that it is on."

        class Config(StrategyConfig):
            pause: float = 0.0

        def setup(self):
            if self.config.pause:
                machine = pathlib.Path(f"on-{os.getppid()}")
                machine.mkdir(exist_ok=True)
                (machine / f"{os.getpid()}-{time.monotonic_ns()}").touch()

        def predict(self, windows):
            time.sleep(self.config.pause)
            return windows.mean(dim=1, keepdim=True).expand(-1, self.protocol.horizon, -1)
"""


@dataclass
class Machines:
    """Machines of a ray cluster, all of them this one: a raylet each, with one core.

    Attributes:
        mark: In the environment of all processes.
        folder: Of ray's own; its path is short.
        port: Of the first.
    """

    mark: str
    folder: str
    port: int
    _started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        return ENVIRONMENT | {MARK: self.mark, "RAY_AUTH_MODE": "token", "RAY_USAGE_STATS_ENABLED": "0"}

    def add(self, *words: str) -> psutil.Process:
        """Start one more, and answer with its raylet."""
        few = ["--num-cpus=1", "--object-store-memory=83886080", f"--node-ip-address={HOST}", "--block", *words]
        ray = [sys.executable, "-c", "from ray.scripts.scripts import main; main()", "start", *few]
        quiet = subprocess.DEVNULL
        self._started.append(subprocess.Popen(ray, env=self.environment, stdout=quiet, stderr=quiet))
        own = psutil.Process(self._started[-1].pid)
        return awaited(lambda: next((one for one in own.children(recursive=True) if one.name() == "raylet"), None))

    def answers(self) -> bool:
        with contextlib.suppress(OSError):
            socket.create_connection((HOST, self.port)).close()
            return True
        return False

    def stop(self) -> None:
        for one in marked(self.mark):
            with contextlib.suppress(psutil.Error):
                one.kill()
        for process in self._started:
            process.wait()


def awaited(look: Callable[[], T | None]) -> T:
    """What there is to see, once there is."""
    deadline = time.monotonic() + ANSWER_S
    while time.monotonic() < deadline:
        if seen := look():
            return seen
        time.sleep(0.05)
    raise AssertionError("it does not come")


@pytest.fixture
def two_machines() -> Iterator[tuple[Machines, psutil.Process]]:
    """A cluster of two machines, and the raylet of the second; nothing of them is left."""
    pytest.importorskip("ray", reason="the extra [ray] is not installed")
    if sys.platform != "linux":
        pytest.skip(f"{HOST} is this machine on Linux only")
    with socket.socket() as free, tempfile.TemporaryDirectory(prefix="bench-", dir="/tmp") as folder:
        free.bind((HOST, 0))
        machines = Machines(uuid.uuid4().hex, folder, free.getsockname()[1])
        free.close()
        try:
            watched = '--system-config={"health_check_initial_delay_ms": 1000, "health_check_period_ms": 1000}'
            first = ["--head", f"--port={machines.port}", f"--temp-dir={folder}", "--include-dashboard=false"]
            machines.add(*first, watched)  # so that a loss is noticed in half the time
            awaited(machines.answers)
            yield machines, machines.add(f"--address={machines.address}")
        finally:
            machines.stop()
    assert not marked(machines.mark)


@pytest.mark.slow
def test_a_machine_that_is_lost_in_mid_run(
    two_machines: tuple[Machines, psutil.Process], tiny: Path, bench: Bench, write: Write, without_report: None
) -> None:
    """Every run has one good record in the end, equal to the bit to what one process finds undisturbed."""
    machines, second = two_machines
    seeds = str(list(range(5)))
    strategies = '["rls", { name = "gated", pause = 0.05 }]'
    change(tiny, protocol="{ lookback = 12, horizon = 12 }", strategies=strategies, seeds=seeds)
    plugin = ["--plugins", write("gated.py", GATED)]
    ray = ["--engine", "ray", "--address", machines.address, "--timeout", 60]
    words = command("run", tiny, *plugin, *ray)
    with subprocess.Popen(
        words, cwd=tiny.parent, env=machines.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as session:
        there = tiny.parent / f"on-{second.pid}"
        awaited(lambda: list(there.glob("*")) or session.poll() is not None)
        time.sleep(random.Random(SEED).uniform(0.0, 1.0))  # of a run that takes 25 steps of 0.05 s
        second.kill()
        out, err = session.communicate(timeout=SESSION_S)
    assert session.returncode == 0, err
    assert "Now: 10 ok; 0 kept from before; 2 timed alone." in err
    assert out.splitlines() == ["reports/tiny/README.md"]
    assert len(list(there.glob("*"))) >= 1
    assert clean(tiny)
    assert check(tiny.parent / "results") == []
    assert bench("run", tiny, *plugin, "--engine", "inline", "--results", "serial").status == 0
    ours, right = (Store(tiny.parent / results / "tiny") for results in ("results", "serial"))
    assert ours.found() == right.found() == sorted(ours.read_manifest())
    for run_id in right.found():
        assert ours.condition(run_id, closely=True).state == "ok"
        one, other = (store.read(run_id) for store in (ours, right))
        assert one is not None
        assert other is not None
        assert one.errors == other.errors
        for name in (ORIGINS, FORECASTS):
            assert (ours.folder / run_id / name).read_bytes() == (right.folder / run_id / name).read_bytes()


def machine(name: str, cpus: float, gpus: float = 0.0, *, alive: bool = True) -> dict[str, object]:
    return {"NodeID": name, "Alive": alive, "Resources": {"CPU": cpus, "GPU": gpus} if gpus else {"CPU": cpus}}


def cluster(*machines: dict[str, object]) -> Cluster:
    return Cluster(SimpleNamespace(nodes=lambda: list(machines)), "the cluster", lambda: None)


def test_what_room_there_is() -> None:
    here = cluster(machine("a", 8), machine("b", 4, 2), machine("gone", 64, 8, alive=False), machine("head", 0))
    assert here.slots(Share(1)) == 12
    assert here.slots(Share(3)) == 3
    assert here.slots(Share(1, gpus=0.5)) == 4
    assert here.slots(Share(1, gpus=0.3)) == 4  # as many as cores allow
    assert here.slots(Share(2, gpus=1)) == 2
    with pytest.raises(BenchError, match="the cluster has no machine with 2 CPUs and 4 GPUs"):
        here.slots(Share(2, gpus=4))
    assert here.has_room(Share(8))
    assert not here.has_room(Share(9))


def test_whoever_is_timed_has_the_largest_machine_to_itself() -> None:
    here = cluster(machine("a", 8), machine("b", 4, 2), machine("c", 4, 2), machine("gone", 64, 8, alive=False))
    assert here.whole(Share(1)) == here.whole(Share(1, gpus=0.25)) == Share(4, 2, "c")
    assert here.whole(Share(6)) == Share(8, 0, "a")
    assert here.whole(Share(99)) == Share(99)


@pytest.mark.parametrize(("gpus", "fits"), [(0.25, True), (2, True), (1.5, False), (-1, False)])
def test_parts_of_a_gpu(gpus: float, fits: bool) -> None:
    if fits:
        assert build(RayOptions, {"gpus": gpus}, "ray").gpus == gpus
        return
    with pytest.raises(BenchError, match="gpus"):
        build(RayOptions, {"gpus": gpus}, "ray")


def test_a_cluster_that_is_not_there(tiny: Path, bench: Bench, without_report: None) -> None:
    """A line at once, and exit status 2; where there is nothing to do nobody asks."""
    pytest.importorskip("ray", reason="the extra [ray] is not installed")
    nobody = ["--engine", "ray", "--address", "127.0.0.1:1"]
    begun = time.monotonic()
    ran = bench("run", tiny, *nobody)
    assert ran.status == 2
    assert "the ray cluster at 127.0.0.1:1 does not answer" in ran.err
    assert "Traceback" not in ran.err
    assert time.monotonic() - begun < 30
    assert bench("run", tiny).status == 0
    assert "nothing to do; 2 kept from before" in bench("run", tiny, *nobody).err


def test_without_ray_a_line_says_how_to_get_it(tiny: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    ran = bench("run", tiny, "--engine", "ray")
    assert ran.status == 2
    assert "the engine 'ray' needs ray: pip install 'adaptbench[ray]'" in ran.err


def test_an_address_is_of_a_ray_cluster(tiny: Path, bench: Bench) -> None:
    ran = bench("run", tiny, "--address", "auto")
    assert ran.status == 2
    assert "--address is of a cluster, and the engine 'inline' uses none: add --engine ray" in ran.err


@pytest.mark.parametrize("given", ["cuda", "cuda:1"])
def test_devices_of_other_machines_count_as_they_are_named(given: str, tiny: Path) -> None:
    experiment = load_experiment(str(tiny)).model_copy(update={"engine": "ray", "device": given})
    assert device_of(experiment) == "cuda"
    auto = experiment.model_copy(update={"device": "auto", "engine_options": {"ray": {"gpus": 0.5}}})
    assert device_of(auto) == "cuda"
    with pytest.raises(BenchError, match="Unknown device 'gpu'"):
        device_of(experiment.model_copy(update={"device": "gpu"}))


def test_a_worker_declines_what_would_be_another_run_there(tiny: Path, bench: Bench, without_report: None) -> None:
    load_plugins()
    change(tiny, datasets=f'["csv:{tiny.parent / "waves.csv"}"]')
    run = expand(load_experiment(str(tiny)), "cpu")[0]
    place = RunPaths(tiny.parent / "results" / "tiny", tiny.parent / "checkpoints")
    work = Work(place, tiny.parent / "progress_folder", own_process=True)
    assert run_one(run, work).status == "ok"
    ended = run_one(replace(run, run_id="0" * 20), work)
    assert (ended.status, ended.reason) == ("failed", OTHERWISE)
    record = Store(place.results).read("0" * 20)
    assert record is not None
    assert (record.status, record.reason) == ("failed", OTHERWISE)
