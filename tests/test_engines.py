"""Engines carry every job to an end: where workers die or hang, those jobs alone are lost."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from bench.engines import Crew, Lost, engine
from bench.engines.processes import in_processes
from bench.errors import BenchError, WorkerLostError


@pytest.fixture
def crew() -> Iterator[Crew]:
    before = set(psutil.Process().children())
    with in_processes(2, 1) as hands:
        yield hands
    assert not [child for child in set(psutil.Process().children()) - before if "process-name" in str(child.cmdline())]


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


@pytest.mark.parametrize("name", ["serial", "processes"])
def test_every_job_has_one_result(name: str) -> None:
    with engine(name)(2, 1) as crew:
        assert sorted(str(one) for one in crew(square, range(20))) == sorted(str(n * n) for n in range(20))
        assert list(crew(square, [])) == []
        with pytest.raises(ValueError, match="not 7"):
            list(crew(refuse, [7]))
        assert list(crew(square, [3])) == [9]  # and goes on after that


def test_an_unknown_engine_is_a_mistake() -> None:
    with pytest.raises(BenchError, match=r"Unknown engine 'processs'\. Did you mean 'processes'"):
        engine("processs")


def test_workers_have_their_threads(crew: Crew) -> None:
    assert list(crew(limits, [0])) == [["1", "1"]]


def test_a_job_whose_worker_dies_is_done_again_once(crew: Crew, tmp_path: Path) -> None:
    jobs = ["dies", *(f"good {i}" for i in range(6)), "dies once", "is killed"]
    results = list(crew(partial(trouble, folder=tmp_path), jobs))
    lost = {one.job: one.reason for one in results if isinstance(one, Lost)}
    assert lost == {
        "dies": "a worker process died (exit status 3), as the one before it",
        "is killed": "a worker process died (SIGKILL: it was killed, or ran out of memory), as the one before it",
    }
    well = sorted(one for one in results if not isinstance(one, Lost))
    assert well == ["dies once", *(f"good {i}" for i in range(6))]
    assert [begun(tmp_path, job) for job in ("dies", "is killed", "dies once")] == [2, 2, 2]
    assert all(begun(tmp_path, f"good {i}") == 1 for i in range(6))


def test_a_job_that_hangs_is_given_up_and_the_others_go_on(crew: Crew, tmp_path: Path) -> None:
    jobs = ["hangs", *(f"good {i}" for i in range(6))]
    start = time.monotonic()
    results = list(crew(partial(trouble, folder=tmp_path), jobs, timeout=1.5))
    assert time.monotonic() - start < 60
    assert [one for one in results if isinstance(one, Lost)] == [Lost("hangs", "timed out after 1.5 s")]
    assert len(results) == 7
    assert begun(tmp_path, "hangs") == 1  # it would hang again


def test_what_is_left_undone_leaves_no_process(crew: Crew, tmp_path: Path) -> None:
    results = crew(partial(trouble, folder=tmp_path), ["good", "hangs", "hangs"])
    assert next(results) == "good"
    results.close()  # type: ignore[attr-defined]
    assert list(crew(square, [3])) == [9]


def test_workers_that_cannot_start_are_said_to(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with in_processes(1, 1) as crew, pytest.raises(WorkerLostError, match="a worker process died"):
        list(crew(square, range(9)))
