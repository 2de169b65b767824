"""Several worker processes on this machine, each with its threads limited, each replaced when it dies or hangs."""

from __future__ import annotations

import contextlib
import os
import signal
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from itertools import count
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import ForkingPickler
from typing import Any

import psutil

from bench.contracts.engine import Engine, FailedJob, J, Pool, R, register_engine
from bench.contracts.errors import WorkerLostError
from bench.execution.engines.pool import (
    MAX_STARTUP_FAILURES,
    TRACEBACK_GRACE_S,
    Outcome,
    Queue,
    Task,
    failure,
    outcome,
    thread_limits,
)

LOOK_S = 0.5
DYING_S = 0.5
"""Seconds for a process whose connection closed to end; after that it counts as alive."""

END_S = 10.0
"""Seconds for a killed process to be gone."""

LONGEST_ANSWER = 2**28
"""Bytes; a message that claims to be longer is no answer."""

HEADER = struct.Struct("!i")
"""The length that `Connection.send_bytes` puts before a message."""

CANNOT_ANSWER = 113
"""Exit status of a worker that cannot answer its session any more."""

MUTE = "it closed, or wrote to, the descriptors by which its worker answers"


@contextmanager
def in_processes(workers: int | None, threads: int) -> Iterator[Pool]:
    """A pool of worker processes, which start when they are needed and end with the context.

    A job whose worker dies is done again, once; one that takes longer than its ``timeout`` is not, and its worker is
    ended. Either is then `FailedJob`, and the others go on.

    Args:
        workers: Processes; None: as many as cores allow.
    """
    pool = _Pool(workers or cores_for(threads), threads)
    try:
        yield pool
    finally:
        pool.close()


@register_engine("processes")
class Processes(Engine):
    """Worker processes of this machine, as many as cores allow."""

    def pool(self, workers: int | None, threads: int, device: str = "cpu") -> AbstractContextManager[Pool]:
        """See `in_processes`."""
        del device
        return in_processes(workers, threads)


@register_engine("serial")
class Serial(Engine):
    """One job after the other, in one process beside the session's."""

    one_at_a_time = True

    def pool(self, workers: int | None, threads: int, device: str = "cpu") -> AbstractContextManager[Pool]:
        """See `in_processes`; with one worker, whatever ``workers`` says."""
        del workers, device
        return in_processes(1, threads)


def cores_for(threads: int) -> int:
    """Processes of so many threads that this process may use cores for, at least one."""
    from joblib import cpu_count

    return max(1, int(cpu_count()) // threads)


@dataclass(frozen=True)
class _Answer:
    """What a worker says of a job.

    Attributes:
        pid: Of the process that speaks: one that a run forked has another, and is not listened to.
        outcome: None: the job has begun.
    """

    number: int
    pid: int
    outcome: Outcome[Any] | None = None


class _Worker:
    """A process that does one job after another.

    Functions must be importable by name, and jobs are names and numbers: both are pickled on their way to it.
    """

    def __init__(self, threads: int) -> None:
        from joblib.externals.loky.backend import get_context  # starts Python afresh, and leaves __main__ alone

        self._received, self._is_closed = bytearray(), False
        self.connection, theirs = Pipe()
        work = {"target": _work, "args": (theirs, os.getpid()), "daemon": False, "env": thread_limits(threads)}
        self.process = get_context("loky").Process(**work)
        self.process.start()
        theirs.close()

    def give(self, function: Callable[[Any], Any], task: Task, timeout: float | None) -> None:
        """Hand it a job."""
        job = bytes(ForkingPickler.dumps((function, task.job)))
        with contextlib.suppress(OSError):  # it is dead; that is seen next
            self.connection.send((task.number, timeout, job))

    def receive(self) -> list[_Answer]:
        """Its answers since the last call; those of another process do not count.

        Raises:
            Exception: Of any kind: its end of the connection is closed, or what came is not of a worker.
        """
        while not self._is_closed and self.connection.poll():
            came = os.read(self.connection.fileno(), 2**16)  # what is there: the rest of it may never come
            self._received += came
            self._is_closed = not came
        answers: list[_Answer] = [ForkingPickler.loads(message) for message in self._messages()]
        if self._is_closed and not answers:
            raise EOFError
        return [one for one in answers if one.pid == self.process.pid]

    def _messages(self) -> Iterator[bytes]:
        """Messages that have arrived whole."""
        while len(self._received) >= HEADER.size:
            end = HEADER.size + HEADER.unpack_from(self._received)[0]
            if not HEADER.size < end < LONGEST_ANSWER:
                raise ValueError("no worker says that")
            if len(self._received) < end:
                return
            yield bytes(self._received[HEADER.size : end])
            del self._received[:end]

    def ends_within(self, seconds: float) -> bool:
        """Whether it ends in so short a time."""
        until = time.monotonic() + seconds
        while self.process.is_alive():
            if time.monotonic() > until:
                return False
            time.sleep(0.01)
        return True

    def end(self) -> None:
        """End it, and all that it started, whatever it is doing."""
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(self.process.pid)
            for one in [process, *process.children(recursive=True)]:
                with contextlib.suppress(psutil.Error):
                    one.kill()
        _kill_group(self.process.pid)
        self.ends_within(END_S)  # a child may hold the descriptor that `join` waits for
        self.connection.close()

    def cause(self) -> str:
        """How a dead one died."""
        code = self.process.exitcode or 0
        if code >= 0:
            return f"a worker process died (exit status {code})"
        with contextlib.suppress(ValueError):
            return f"a worker process died ({signal.Signals(-code).name}: it was killed, or ran out of memory)"
        return f"a worker process died (signal {-code})"


def _kill_group(leader: int) -> None:
    """What a worker started stays in its group, unless it leaves it."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(OSError):  # nobody is left
            os.killpg(leader, signal.SIGKILL)


@dataclass
class _Pool:
    workers: int
    threads: int
    _idle: list[_Worker] = field(default_factory=list)
    _busy: dict[_Worker, Task] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=count)
    _failed_starts: int = 0
    _alone: _Pool | None = None

    def __call__(
        self, function: Callable[[J], R], jobs: Iterable[J], timeout: float | None = None
    ) -> Iterator[R | FailedJob[J]]:
        """As `Pool` has it.

        Raises:
            WorkerLostError: No worker can be started.
        """
        queue = Queue(jobs)
        try:
            while True:
                while len(self._busy) < self.workers and queue:
                    self._submit(function, queue.take(), timeout)
                if not self._busy:
                    return
                for worker in self._await():
                    yield from self._on_message(worker, queue, timeout)
        finally:
            for worker in list(self._busy):
                self._terminate(worker)

    def alone(self) -> Pool:
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

    def _submit(self, function: Callable[[J], R], task: Task, timeout: float | None) -> None:
        worker = self._idle.pop() if self._idle else _Worker(self.threads)
        self._busy[worker] = task
        task.tries += 1
        task.number = next(self._numbers)
        worker.give(function, task, timeout)

    def _await(self) -> list[_Worker]:
        """The workers that have something to say, are dead, or are late.

        Whether one is dead is asked again and again: what it started may hold all that would tell.
        """
        deadline = min(task.deadline for task in self._busy.values())
        watched = {w.connection: w for w in self._busy} | {w.process.sentinel: w for w in self._busy}
        ready = {watched[one]: None for one in wait(list(watched), _patience(deadline))}
        late = {worker: None for worker, task in self._busy.items() if task.deadline <= time.monotonic()}
        dead = {worker: None for worker in self._busy if not worker.process.is_alive()}
        return list(ready | late | dead)

    def _on_message(self, worker: _Worker, queue: Queue, timeout: float | None) -> Iterator[Any]:
        """What became of a worker's job, if that is known; one that is to be done again joins ``queue``."""
        task = self._busy[worker]
        try:
            answers = worker.receive()
            is_cut_off = not answers and bool(wait([worker.process.sentinel], 0))
        except Exception:  # what is said to a session by other than a worker may be anything
            answers, is_cut_off = [], True
        if answers := [one for one in answers if one.number == task.number]:
            for one in answers:
                yield from self._note(worker, task, one.outcome, timeout)
        elif is_cut_off and not worker.ends_within(DYING_S):
            self._terminate(worker)
            yield FailedJob(task.job, MUTE)
        elif not worker.process.is_alive():
            yield from self._on_worker_death(worker, task, queue)
        elif task.deadline <= time.monotonic():
            self._terminate(worker)
            yield FailedJob(task.job, f"timed out after {timeout:g} s")

    def _note(self, worker: _Worker, task: Task, what: Outcome[Any] | None, timeout: float | None) -> Iterator[Any]:
        """That a job has begun, or what came of it."""
        if what is None:
            self._failed_starts = 0
            if timeout is not None:
                task.deadline = time.monotonic() + timeout + TRACEBACK_GRACE_S
            return
        if what.spent:
            self._terminate(worker)
        else:
            del self._busy[worker]
            self._idle.append(worker)
        yield what.of(task.job)

    def _on_worker_death(self, worker: _Worker, task: Task, queue: Queue) -> Iterator[FailedJob[Any]]:
        cause, is_cut_off = worker.cause(), worker.process.exitcode == CANNOT_ANSWER
        self._terminate(worker)
        if is_cut_off:
            yield FailedJob(task.job, MUTE)
            return
        self._failed_starts += 1
        if self._failed_starts > MAX_STARTUP_FAILURES * self.workers:
            raise WorkerLostError(f"{cause} before it began anything, and so did {self._failed_starts - 1} before it")
        yield from queue.do_again(task, cause)

    def _terminate(self, worker: _Worker) -> None:
        del self._busy[worker]
        worker.end()


def _patience(deadline: float) -> float:
    return min(LOOK_S, max(0.0, deadline - time.monotonic()))


def _work(connection: Connection, parent: int) -> None:
    """What a worker does: say that a job has begun, then what came of it, until nobody is there to listen."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever stops the session stops its workers
    if hasattr(os, "setpgrp"):  # what a run starts, and leaves, ends with its worker
        os.setpgrp()
    _read_nothing()
    threading.Thread(target=_exit_with_parent, args=(parent,), daemon=True).start()
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    answers = _Answers(connection)
    while True:
        try:
            number, timeout, job = connection.recv()
        except (EOFError, ConnectionError):
            return
        except OSError:
            _leave(CANNOT_ANSWER)
        try:
            function, given = ForkingPickler.loads(job)  # which imports what it needs
        except BaseException as error:  # what cannot be unpickled says so in many ways
            answers.send(number, failure(error))
        else:
            answers.send(number)
            answers.send(number, outcome(function, given, timeout))


class _Answers:
    """Sends a worker's answers to its session; a process that a run forked sends none."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self._pid, self._pipe = connection, os.getpid(), _identity(connection.fileno())

    def send(self, number: int, what: Outcome[Any] | None = None) -> None:
        """Say that a job has begun, or what came of it; a process that cannot, or is a fork, ends."""
        if _process_id() != self._pid:
            _leave(0)
        try:
            message = bytes(ForkingPickler.dumps(_Answer(number, self._pid, what)))
        except Exception as error:  # what cannot be pickled says so in many ways
            message = bytes(ForkingPickler.dumps(_Answer(number, self._pid, failure(error))))
        try:
            if _identity(self._connection.fileno()) != self._pipe:  # another file has its number by now
                _leave(CANNOT_ANSWER)
            self._connection.send_bytes(message)
        except (BrokenPipeError, ConnectionResetError):
            return  # the session is gone
        except OSError:
            _leave(CANNOT_ANSWER)


_process_id, _leave = os.getpid, os._exit  # as they are before any run


def _identity(descriptor: int) -> tuple[int, int]:
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino


def _read_nothing() -> None:
    """Standard input is empty: nobody is there to type."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)


def _exit_with_parent(parent: int) -> None:
    """End this process, and what it started, when the session is gone, in the middle of whatever it does."""
    while os.getppid() == parent:
        time.sleep(LOOK_S)
    _kill_group(os.getpid())
    os._exit(1)
