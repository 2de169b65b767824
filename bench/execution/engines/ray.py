"""Workers on a ray cluster, of one machine or many; each is replaced when it hangs, or dies, maybe with its machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from bench.contracts.engine import Engine, FailedJob, J, Pool, R, register_engine
from bench.contracts.errors import BenchError, WorkerLostError
from bench.execution.engines.cluster import Cluster, RayOptions, Share
from bench.execution.engines.connection import connected
from bench.execution.engines.pool import (
    MAX_STARTUP_FAILURES,
    TRACEBACK_GRACE_S,
    Queue,
    Task,
    thread_limits,
)
from bench.execution.engines.processes import cores_for
from bench.execution.engines.ray_worker import RayWorker, WorkerInfo

LOOK_S = 0.5
NO_WORKER_S = 60.0
"""Seconds without a worker after which it is checked whether the cluster could still have one."""


@register_engine("ray")
class Ray(Engine):
    """Actors of a ray cluster, of one machine or many."""

    Config = RayOptions
    is_remote = True
    package = "ray"
    install = "adaptbench[ray]"

    @property
    def wants_gpus(self) -> bool:
        """Whether each worker is to have a GPU, or a part of one."""
        return bool(self.config.gpus)

    @contextmanager
    def pool(self, workers: int | None, threads: int, device: str = "cpu") -> Iterator[Pool]:
        """A pool of actors, which start when they are needed and end with the context, as does a cluster of our own.

        What becomes of jobs whose workers die or hang is as with `in_processes`.

        Args:
            workers: Actors; None: as many as the cluster has room for.
            threads: For the numerical libraries of each, and its CPUs.
            device: On ``cuda`` each has a GPU, unless the options say otherwise.

        Raises:
            BenchError: ray is not installed, no cluster answers, or none of its machines is large enough; this is
                found when there is something to do.
        """
        options = self.config
        if options.gpus is None and device.startswith("cuda"):
            options = options.model_copy(update={"gpus": 1.0})
        with ExitStack() as stack:
            yield _LazyPool(workers, threads, options, stack)


@dataclass
class _LazyPool:
    """A pool on a cluster that is looked for, or started, when there is something to do."""

    asked: int | None
    threads: int
    options: RayOptions
    leave: ExitStack

    @property
    def workers(self) -> int:
        return self._actors.workers

    def __call__(
        self, function: Callable[[J], R], jobs: Iterable[J], timeout: float | None = None
    ) -> Iterator[R | FailedJob[J]]:
        if jobs := list(jobs):
            yield from self._actors(function, jobs, timeout)

    def alone(self) -> Pool:
        return self._actors.alone()

    def close(self) -> None:
        if "_actors" in vars(self):
            self._actors.close()

    @cached_property
    def _actors(self) -> _ActorPool:
        cpus = self.threads * (self.asked or cores_for(self.threads))
        cluster = self.leave.enter_context(connected(self.options, cpus))
        share = Share(self.threads, self.options.gpus or 0.0)
        workers = self.asked or cluster.slots(share)
        actors = _ActorPool(cluster, workers, self.threads, share, self.options.exclusive)
        self.leave.callback(actors.close)
        return actors


@dataclass(eq=False)
class _Actor:
    """An actor as its session sees it.

    Attributes:
        awaited: What it is to answer next: facts when it is ready for jobs, then what came of its task.
    """

    handle: Any
    awaited: Any
    facts: WorkerInfo | None = None
    task: Task | None = None


@dataclass
class _ActorPool:
    cluster: Cluster
    workers: int
    threads: int
    share: Share
    exclusive: bool
    whole: bool = False
    _coming: set[_Actor] = field(default_factory=set)
    _idle: list[_Actor] = field(default_factory=list)
    _busy: set[_Actor] = field(default_factory=set)
    _failed_starts: int = 0
    _last_answer: float = 0.0
    _alone: _ActorPool | None = None

    def __call__(
        self, function: Callable[[J], R], jobs: Iterable[J], timeout: float | None = None
    ) -> Iterator[R | FailedJob[J]]:
        """As `Pool` has it.

        Raises:
            WorkerLostError: The cluster cannot have a worker any more, or each dies before it begins anything.
            BenchError: A machine of the cluster has other code than this one, or not the session's folder.
        """
        queue = Queue(jobs)
        self._last_answer = time.monotonic()
        try:
            while queue or self._busy:
                while self._idle and queue:
                    self._submit(function, queue.take(), timeout)
                while len(self._coming) + len(self._busy) < self.workers and self._are_too_few(queue):
                    self._start(function)
                for actor, has_answered in self._await():
                    if has_answered:
                        yield from self._on_message(actor, queue)
                    elif actor.task is not None:
                        self._terminate(actor)
                        yield FailedJob(actor.task.job, f"timed out after {timeout:g} s")
        finally:
            for actor in list(self._busy):
                self._terminate(actor)

    def alone(self) -> Pool:
        """One worker, with a whole machine to itself where that is asked for; the others end."""
        self.close()
        self._alone = _ActorPool(self.cluster, 1, self.threads, self.share, self.exclusive, whole=self.exclusive)
        return self._alone

    def close(self) -> None:
        """End all workers, and the one that was to be alone."""
        for actor in [*self._coming, *self._idle, *self._busy]:
            self._terminate(actor)
        if self._alone is not None:
            self._alone.close()

    def _are_too_few(self, queue: Queue) -> bool:
        """Whether queued jobs exceed workers being started."""
        coming = len(self._coming)
        return queue.waiting(coming + 1) > coming

    def _start(self, function: Callable[[J], R]) -> None:
        share = self.cluster.whole(self.share) if self.whole else self.share
        handle = self.cluster.actor(RayWorker, share, thread_limits(self.threads))
        self._coming.add(_Actor(handle, handle.prepare.remote(str(Path.cwd()), function)))

    def _submit(self, function: Callable[[J], R], task: Task, timeout: float | None) -> None:
        actor = self._idle.pop()
        task.tries += 1
        task.deadline = float("inf") if timeout is None else time.monotonic() + timeout + TRACEBACK_GRACE_S
        actor.task, actor.awaited = task, actor.handle.do.remote(function, task.job, timeout)
        self._busy.add(actor)

    def _await(self) -> list[tuple[_Actor, bool]]:
        """The actors that have answered, or died, and those that are late."""
        deadline = min((actor.task.deadline for actor in self._busy if actor.task), default=float("inf"))
        waiting = {actor.awaited: actor for actor in (*self._busy, *self._coming)}
        answered = self.cluster.wait(list(waiting), min(LOOK_S, max(0.0, deadline - time.monotonic())))
        now = time.monotonic()
        if answered or self._busy:
            self._last_answer = now
        elif now - self._last_answer > NO_WORKER_S and not self.cluster.has_room(self.share):
            raise WorkerLostError(f"{self.cluster.place} has no machine left with {self.share}")
        found = dict.fromkeys((waiting[one] for one in answered), True)
        late = {actor: False for actor in self._busy if actor.task and actor.task.deadline <= now}
        return list((late | found).items())

    def _on_message(self, actor: _Actor, queue: Queue) -> Iterator[Any]:
        """What came of an actor's preparation or job; one that is to be done again joins ``queue``."""
        try:
            answer = self.cluster.ray.get(actor.awaited)
        except self.cluster.ray.exceptions.RayTaskError as error:
            self._terminate(actor)
            raise _refusal(error) from None
        except self.cluster.ray.exceptions.RayError:
            yield from self._on_worker_death(actor, queue)
            return
        task, actor.task = actor.task, None
        if task is not None and answer.spent:
            self._terminate(actor)
        else:
            self._coming.discard(actor)
            self._busy.discard(actor)
            self._idle.append(actor)
        if task is None:
            self._failed_starts = 0
            actor.facts = answer
            _require_same_code(answer)
            return
        yield answer.of(task.job)

    def _on_worker_death(self, actor: _Actor, queue: Queue) -> Iterator[FailedJob[Any]]:
        where = f" on {actor.facts.host}" if actor.facts else ""
        cause = f"a worker process died{where} (it left, was killed, ran out of memory, or its machine is gone)"
        self._terminate(actor)
        if actor.task is not None:
            yield from queue.do_again(actor.task, cause)
            return
        self._failed_starts += 1
        if self._failed_starts > MAX_STARTUP_FAILURES * self.workers:
            raise WorkerLostError(f"{cause} before it began anything, and so did {self._failed_starts - 1} before it")

    def _terminate(self, actor: _Actor) -> None:
        self._coming.discard(actor)
        self._busy.discard(actor)
        if actor in self._idle:
            self._idle.remove(actor)
        self.cluster.end(actor.handle)


def _refusal(error: Exception) -> Exception:
    """The error for an actor that could not unpickle a job, or pickle what came of it."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, BenchError):
        return BenchError(str(cause))
    last = str(error).strip().splitlines()[-1]
    return BenchError(
        f"a worker of the ray cluster cannot do what it is asked to ({last}). "
        "Install the same version of this package, and what plug-ins need, on every machine"
    )


def _require_same_code(facts: WorkerInfo) -> None:
    from bench.results.audit import code_sha

    if facts.code != code_sha():
        raise BenchError(
            f"the machine {facts.host} has another version of this package than the session. Install the same on both"
        )
