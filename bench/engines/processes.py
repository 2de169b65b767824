"""Several worker processes on this machine, each with its threads limited, each replaced when it dies or hangs."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import Any

import psutil

from bench.engines.crew import LAST_WORDS_S, STILLBORN, Crew, J, Lost, Queue, R, Task, outcome, thread_limits
from bench.errors import WorkerLostError

LOOK_S = 0.5


@contextmanager
def in_processes(workers: int | None, threads: int) -> Iterator[Crew]:
    """A crew of worker processes, which start when they are needed and end with the context.

    A job whose worker dies is done again, once; one that takes longer than its ``timeout`` is not, and its worker is
    ended. Either is then `Lost`, and the others go on.

    Args:
        workers: Processes; None: as many as cores allow.
        threads: For the numerical libraries of each.
    """
    pool = _Pool(workers or cores_for(threads), threads)
    try:
        yield pool
    finally:
        pool.close()


def cores_for(threads: int) -> int:
    """Processes of so many threads that this process may use cores for, at least one."""
    from joblib import cpu_count

    return max(1, int(cpu_count()) // threads)


class _Worker:
    """A process that does one job after another.

    Functions must be importable by name, and jobs are names and numbers: both are pickled on their way to it.
    """

    def __init__(self, threads: int) -> None:
        from joblib.externals.loky.backend import get_context  # starts Python afresh, and leaves __main__ alone

        self.connection, theirs = Pipe()
        work = {"target": _work, "args": (theirs, os.getpid()), "daemon": False, "env": thread_limits(threads)}
        self.process = get_context("loky").Process(**work)
        self.process.start()
        theirs.close()

    def end(self) -> None:
        """End it, and all that it started, whatever it is doing."""
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(self.process.pid)
            for one in [process, *process.children(recursive=True)]:
                with contextlib.suppress(psutil.Error):
                    one.kill()
        self.process.join()
        self.connection.close()

    def cause(self) -> str:
        """How a dead one died."""
        self.process.join()
        code = self.process.exitcode or 0
        if code >= 0:
            return f"a worker process died (exit status {code})"
        with contextlib.suppress(ValueError):
            return f"a worker process died ({signal.Signals(-code).name}: it was killed, or ran out of memory)"
        return f"a worker process died (signal {-code})"


@dataclass
class _Pool:
    workers: int
    threads: int
    _idle: list[_Worker] = field(default_factory=list)
    _busy: dict[_Worker, Task] = field(default_factory=dict)
    _stillborn: int = 0
    _alone: _Pool | None = None

    def __call__(
        self, function: Callable[[J], R], jobs: Iterable[J], timeout: float | None = None
    ) -> Iterator[R | Lost[J]]:
        """As `Crew` has it.

        Raises:
            WorkerLostError: No worker can be started.
        """
        queue = Queue(jobs)
        try:
            while True:
                while len(self._busy) < self.workers and queue:
                    self._give(function, queue.take(), timeout)
                if not self._busy:
                    return
                for worker in self._await():
                    yield from self._heed(worker, queue, timeout)
        finally:
            for worker in list(self._busy):
                self._dismiss(worker)

    def alone(self) -> Crew:
        """One worker, once all others have ended: this process has more threads than a run may use."""
        self.close()
        self._alone = _Pool(1, self.threads)
        return self._alone

    def close(self) -> None:
        """End all workers."""
        for worker in [*self._idle, *self._busy]:
            worker.end()
        self._idle, self._busy = [], {}
        if self._alone is not None:
            self._alone.close()

    def _give(self, function: Callable[[J], R], task: Task, timeout: float | None) -> None:
        worker = self._idle.pop() if self._idle else _Worker(self.threads)
        self._busy[worker] = task
        task.tries += 1
        with contextlib.suppress(OSError):  # it is dead; that is seen next
            worker.connection.send((function, task.job, timeout))

    def _await(self) -> list[_Worker]:
        """The workers that have something to say, are dead, or are late."""
        deadline = min(task.deadline for task in self._busy.values())
        watched = {w.connection: w for w in self._busy} | {w.process.sentinel: w for w in self._busy}
        patience = None if deadline == float("inf") else max(0.0, deadline - time.monotonic())
        ready = {watched[one]: None for one in wait(list(watched), patience)}
        late = {worker: None for worker, task in self._busy.items() if task.deadline <= time.monotonic()}
        return list(ready | late)

    def _heed(self, worker: _Worker, queue: Queue, timeout: float | None) -> Iterator[Any]:
        """What became of a worker's job, if that is known; one that is to be done again joins ``queue``."""
        task = self._busy[worker]
        try:
            said = worker.connection.recv() if worker.connection.poll() else None
        except (EOFError, OSError):
            said = None
        if said == "begun":
            self._stillborn = 0
            if timeout is not None:
                task.deadline = time.monotonic() + timeout + LAST_WORDS_S
        elif said is not None:
            del self._busy[worker]
            self._idle.append(worker)
            well, result = said
            if not well:
                raise result
            yield result
        elif worker.process.is_alive() and task.deadline <= time.monotonic():
            self._dismiss(worker)
            yield Lost(task.job, f"timed out after {timeout:g} s")
        elif not worker.process.is_alive():
            yield from self._mourn(worker, task, queue)

    def _mourn(self, worker: _Worker, task: Task, queue: Queue) -> Iterator[Lost[Any]]:
        cause = worker.cause()
        self._dismiss(worker)
        self._stillborn += 1
        if self._stillborn > STILLBORN * self.workers:
            raise WorkerLostError(f"{cause} before it began anything, and so did {self._stillborn - 1} before it")
        yield from queue.do_again(task, cause)

    def _dismiss(self, worker: _Worker) -> None:
        del self._busy[worker]
        worker.end()


def _work(connection: Connection, parent: int) -> None:
    """What a worker does: say that a job has begun, then what came of it, until nobody is there to listen."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever stops the session stops its workers
    threading.Thread(target=_outlive_nobody, args=(parent,), daemon=True).start()
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    while True:
        try:
            function, job, timeout = connection.recv()
            connection.send("begun")
        except (EOFError, ConnectionError):
            return
        except Exception as error:  # what cannot be unpickled says so in many ways
            _say(connection, (False, error))
        else:
            _say(connection, outcome(function, job, timeout))


def _say(connection: Connection, said: tuple[bool, Any]) -> None:
    try:
        connection.send(said)
    except OSError:
        return
    except Exception:  # what cannot be pickled says so in many ways
        connection.send((False, RuntimeError(repr(said[1]))))


def _outlive_nobody(parent: int) -> None:
    """End this process when the session is gone, in the middle of whatever it does."""
    while os.getppid() == parent:
        time.sleep(LOOK_S)
    os._exit(1)
