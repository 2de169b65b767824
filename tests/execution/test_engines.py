"""Engines carry every job to an end: where workers die or hang, those jobs alone are lost."""

from __future__ import annotations

import contextlib
import os
import platform
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from bench.contracts.engine import ENGINES, FailedJob, Pool
from bench.contracts.errors import BenchError, WorkerLostError
from bench.execution.engines.cluster import RayOptions
from bench.execution.engines.connection import connected
from bench.execution.engines.pool import LIBRARIES
from bench.execution.engines.processes import MUTE, in_processes

RAY_LOST = "(it left, was killed, ran out of memory, or its machine is gone)"


@pytest.fixture(scope="module")
def ray_here() -> Iterator[None]:
    """A ray cluster of two cores for all tests of this module; no process of it is left."""
    pytest.importorskip("ray", reason="the extra [ray] is not installed")
    before = set(psutil.Process().children(recursive=True))
    with pytest.MonkeyPatch.context() as patch, connected(RayOptions(address="local"), 2):
        patch.setenv("RAY_ADDRESS", "192.0.2.1:1")  # nobody is there: this process is connected already
        yield
    assert set(psutil.Process().children(recursive=True)) <= before


@pytest.fixture(params=["processes", "ray"])
def pool(request: pytest.FixtureRequest) -> Iterator[Pool]:
    if request.param == "ray":
        request.getfixturevalue("ray_here")
    before = set(psutil.Process().children())
    with ENGINES[request.param].cls().pool(2, 1) as pool:
        assert pool.workers == 2
        yield pool
    assert not [child for child in set(psutil.Process().children()) - before if "process-name" in words_of(child)]
    assert not actors()


def words_of(process: psutil.Process) -> str:
    try:
        return str(process.cmdline())
    except psutil.Error:  # it has ended
        return ""


def actors() -> list[psutil.Process]:
    """Those of this process that are alive, after a moment."""
    for _ in range(100):
        alive = [child for child in psutil.Process().children(recursive=True) if "ray::RayWorker" in words_of(child)]
        if not alive:
            break
        time.sleep(0.1)
    return alive


def square(number: int) -> int:
    return number * number


def limits(_: int) -> list[str | None]:
    return [os.environ.get(f"{name}_NUM_THREADS") for name in ("OMP", "MKL")]


def refuse(number: int) -> int:
    raise ValueError(f"not {number}")


def trouble(job: str, folder: Path) -> str:
    """Does what its name says; leaves a file for each time that it began."""
    (folder / f"{job}-{time.monotonic_ns()}").touch()
    if job == "dies":
        os._exit(3)
    if job == "is killed":
        os.kill(os.getpid(), 9)
    if job == "dies once" and len(list(folder.glob("dies once-*"))) == 1:
        os._exit(3)
    if job == "hangs":
        time.sleep(600)
    time.sleep(0.05)
    return job


def begun(folder: Path, job: str) -> int:
    return len(list(folder.glob(f"{job}-*")))


@pytest.mark.parametrize("name", ["serial", "processes", "ray", "inline"])
def test_every_job_has_one_result(name: str, request: pytest.FixtureRequest) -> None:
    if name == "ray":
        request.getfixturevalue("ray_here")
    with ENGINES[name].cls().pool(2, 1) as pool:
        assert sorted(str(one) for one in pool(square, range(20))) == sorted(str(n * n) for n in range(20))
        assert list(pool(square, [])) == []
        (lost,) = pool(refuse, [7])
        assert lost == FailedJob(7, "ValueError: not 7")
        assert 'raise ValueError(f"not {number}")' in lost.traceback
        assert list(pool(square, [3])) == [9]  # and goes on after that


class FussyError(Exception):
    """Can be pickled, but not be made again from that."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(f"{what}: {why}")


class SilentError(Exception):
    """Has a message that cannot be made."""

    def __str__(self) -> str:
        raise RuntimeError("silent")


def fails_so(kind: str) -> object:
    """Comes to no result, in a way that its worker survives."""
    match kind:
        case "exit":
            sys.exit(0)
        case "interrupt":
            raise KeyboardInterrupt
        case "generator":
            raise GeneratorExit
        case "lost line":
            raise EOFError("no line")
        case "lost reader":
            raise BrokenPipeError("no reader")
        case "fussy":
            raise FussyError("a", "b")
        case "silent":
            raise SilentError
        case "no text":
            raise ValueError("\ud800 \udcff")
        case "long":
            raise ValueError("long " * 10**6)
        case "cannot travel":
            return lambda: None
        case "well":
            return kind
    raise AssertionError(kind)


RAISED = {
    "exit": "SystemExit: 0",
    "interrupt": "KeyboardInterrupt: ",
    "generator": "GeneratorExit: ",
    "lost line": "EOFError: no line",
    "lost reader": "BrokenPipeError: no reader",
    "fussy": "FussyError: a: b",
    "silent": "SilentError: its message cannot be made: RuntimeError",
    "no text": r"ValueError: \ud800 \udcff",
    "long": "ValueError: long long",
}


def test_whatever_a_job_raises_is_its_own(pool: Pool) -> None:
    """Its worker lives on: also after what would end a process, and what looks like a lost worker."""
    (worker,) = pool(process_here, [0])
    lost = {one.job: one.reason for one in pool(fails_so, RAISED) if isinstance(one, FailedJob)}
    assert {kind: lost[kind][: len(reason)] for kind, reason in RAISED.items()} == RAISED
    assert all(len(reason) < 30_000 and reason.encode() for reason in lost.values())
    assert worker in list(pool(process_here, range(20)))


def test_a_result_that_cannot_travel_is_a_reason() -> None:
    with in_processes(1, 1) as pool:
        lost, well = pool(fails_so, ["cannot travel", "well"])
    assert isinstance(lost, FailedJob)
    assert "pickle" in lost.reason
    assert well == "well"


def test_an_unknown_engine_is_a_mistake() -> None:
    with pytest.raises(BenchError, match=r"Unknown engine 'processs'\. Did you mean 'processes'"):
        ENGINES["processs"]


def test_workers_have_their_threads(pool: Pool) -> None:
    assert list(pool(limits, [0])) == [["1", "1"]]


def test_a_job_whose_worker_dies_is_done_again_once(pool: Pool, tmp_path: Path) -> None:
    jobs = ["dies", *(f"good {i}" for i in range(6)), "dies once", "is killed"]
    results = list(pool(partial(trouble, folder=tmp_path), jobs))
    lost = {one.job: one.reason for one in results if isinstance(one, FailedJob)}
    for job, cause in (("dies", "exit status 3"), ("is killed", "SIGKILL: it was killed, or ran out of memory")):
        on_ray = f"a worker process died on {platform.node()} {RAY_LOST}"
        assert lost.pop(job) in {f"{how}, as the one before it" for how in (f"a worker process died ({cause})", on_ray)}
    assert not lost
    well = sorted(one for one in results if not isinstance(one, FailedJob))
    assert well == ["dies once", *(f"good {i}" for i in range(6))]
    assert [begun(tmp_path, job) for job in ("dies", "is killed", "dies once")] == [2, 2, 2]
    assert all(begun(tmp_path, f"good {i}") == 1 for i in range(6))


def test_a_job_that_hangs_is_given_up_and_the_others_go_on(pool: Pool, tmp_path: Path) -> None:
    jobs = ["hangs", *(f"good {i}" for i in range(6))]
    start = time.monotonic()
    results = list(pool(partial(trouble, folder=tmp_path), jobs, timeout=1.5))
    assert time.monotonic() - start < 60
    assert [one for one in results if isinstance(one, FailedJob)] == [FailedJob("hangs", "timed out after 1.5 s")]
    assert len(results) == 7
    assert begun(tmp_path, "hangs") == 1  # it would hang again


def test_what_is_left_undone_leaves_no_process(pool: Pool, tmp_path: Path) -> None:
    results = pool(partial(trouble, folder=tmp_path), ["good", "hangs", "hangs"])
    assert next(results) == "good"
    results.close()  # type: ignore[attr-defined]
    assert list(pool(square, [3])) == [9]


def test_workers_that_cannot_start_are_said_to(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with in_processes(1, 1) as pool, pytest.raises(WorkerLostError, match="a worker process died"):
        list(pool(square, range(9)))


def child_of_mine(folder: Path) -> None:
    """Starts another process, and hangs."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    (folder / str(child.pid)).touch()
    time.sleep(600)


def test_what_a_late_job_started_ends_with_it(pool: Pool, tmp_path: Path) -> None:
    (lost,) = pool(child_of_mine, [tmp_path], timeout=1.5)
    assert lost == FailedJob(tmp_path, "timed out after 1.5 s")
    (started,) = tmp_path.iterdir()
    for _ in range(100):
        if not psutil.pid_exists(int(started.name)) or psutil.Process(int(started.name)).status() == "zombie":
            return
        time.sleep(0.1)
    pytest.fail("it lives on")


def process_here(_: int) -> int:
    return os.getpid()


def write_everywhere(what: bytes) -> None:
    for number in range(3, 256):
        with contextlib.suppress(OSError):
            if stat.S_ISSOCK(os.fstat(number).st_mode):
                os.write(number, what)


def sabotage(job: str) -> str:
    """Does to the worker what its name says, or nothing."""
    match job.partition(" ")[0]:
        case "closes":
            os.closerange(0, 256)
            time.sleep(0.2)
        case "closes-and-hangs":
            os.closerange(3, 4096)
            time.sleep(600)
        case "takes":  # the numbers of what it closed
            os.closerange(3, 256)
            for _ in range(253):
                os.open(os.devnull, os.O_RDWR)
        case "writes":
            write_everywhere(b"xxxxxxxx")
            time.sleep(600)
        case "writes-a-bit":
            write_everywhere(b"x")
        case "forks":
            os.fork()
        case "leaves-a-fork":  # which holds all that would tell of its end
            if os.fork() == 0:
                time.sleep(600)
            os._exit(0)
        case "reads":
            with open(0, closefd=False) as typed:
                return typed.read() + job
    time.sleep(0.02)
    return job


SABOTAGE = {
    "closes": MUTE,
    "closes-and-hangs": MUTE,
    "takes": MUTE,
    "writes": MUTE,
    "writes-a-bit": MUTE,
    "leaves-a-fork": "a worker process died (exit status 0), as the one before it",
}


def test_a_job_that_spoils_its_worker_on_ray_is_lost_and_no_other(ray_here: None) -> None:
    jobs = ["forks", "closes", *(f"good {i}" for i in range(4))]
    with ENGINES["ray"].cls().pool(2, 1) as pool:
        ended = list(pool(sabotage, jobs))
    assert [one.job for one in ended if isinstance(one, FailedJob)] == ["closes"]
    assert sorted(one for one in ended if isinstance(one, str)) == sorted({*jobs} - {"closes"})


def test_a_job_that_spoils_its_worker_is_lost_and_no_other() -> None:
    """Nobody waits for an answer that cannot come, and nobody takes one for another's."""
    good = [f"good {i}" for i in range(8)]
    jobs = ["forks", *SABOTAGE, "reads", *good]
    before = set(psutil.Process().children(recursive=True))
    with in_processes(2, 1) as pool:
        ended = list(pool(sabotage, jobs))
        assert list(pool(square, [3])) == [9]
    assert len(ended) == len(jobs)
    lost = {one.job: one.reason for one in ended if isinstance(one, FailedJob)}
    assert lost == SABOTAGE
    assert sorted(one for one in ended if isinstance(one, str)) == sorted(["forks", "reads", *good])
    psutil.wait_procs(left := set(psutil.Process().children(recursive=True)) - before, timeout=5)
    assert not [one for one in left if "process-name" in words_of(one)]


def test_what_is_timed_is_alone(pool: Pool) -> None:
    """Whoever did jobs before is gone, and one at a time is done from then on."""
    workers = {pid for pid in pool(process_here, range(20)) if not isinstance(pid, FailedJob)}
    alone = pool.alone()
    assert alone.workers == 1
    (timed_by,) = set(alone(process_here, range(3)))
    assert timed_by not in workers
    gone = [psutil.Process(pid) for pid in workers if psutil.pid_exists(pid)]
    assert not psutil.wait_procs(gone, timeout=10)[1]


def test_a_pool_that_was_closed_does_more(pool: Pool) -> None:
    """Its workers have ended, also who was alone; others do what comes next."""
    before = [*pool(process_here, [0]), *pool.alone()(process_here, [0])]
    pool.close()
    (after,) = pool(process_here, [0])
    assert after not in before
    gone = [psutil.Process(pid) for pid in {*before} - {os.getpid()} if isinstance(pid, int) and psutil.pid_exists(pid)]
    assert not psutil.wait_procs(gone, timeout=10)[1]


def thread_limit_here(library: str) -> str | None:
    return os.environ.get(f"{library}_NUM_THREADS")


def test_what_is_timed_has_the_threads_of_a_run(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Libraries that torch's own limit does not reach fight for cores where they have as many threads as there are."""
    for library in LIBRARIES:
        monkeypatch.delenv(f"{library}_NUM_THREADS", raising=False)
    assert set(pool.alone()(thread_limit_here, LIBRARIES)) == {"1"}
