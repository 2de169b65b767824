"""The contract of an engine: who carries out the runs of a session, and on which machines."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from bench.contracts.config import Config
from bench.contracts.errors import BenchError, traceback_of, words_of
from bench.contracts.registry import Registry, not_a, not_a_config

J = TypeVar("J")
R = TypeVar("R")


@dataclass(frozen=True)
class FailedJob(Generic[J]):
    """A job that came to no result.

    Attributes:
        job: As it was given.
        reason: What it raised, or how its worker ended.
        traceback: Of what it raised.
    """

    job: J
    reason: str
    traceback: str = field(default="", compare=False)

    @classmethod
    def of(cls, job: J, error: BaseException) -> FailedJob[J]:
        """A job whose function raised."""
        return cls(job, words_of(error), traceback_of(error))


class Pool(Protocol):
    """Applies a function to jobs; results come as they are ready, in any order.

    A job whose function raises becomes a `FailedJob`, and the others go on; only `KeyboardInterrupt` and what ends the
    session may pass, where jobs run in the session's own process.
    """

    @property
    def workers(self) -> int:
        """How many jobs are under way at a time, at most."""
        ...

    def __call__(
        self, function: Callable[[J], R], jobs: Iterable[J], timeout: float | None = None
    ) -> Iterator[R | FailedJob[J]]:
        """Do all jobs.

        Args:
            function: Can be pickled, like the jobs and what it returns.
            jobs: Taken one by one, as workers become free.
            timeout: Seconds after which a job is ended; an engine without timeouts ignores it.
        """
        ...

    def alone(self) -> Pool:
        """A pool that does one job at a time after the workers of this one have ended: for the timing pass."""
        ...

    def close(self) -> None:
        """End all workers, whatever they are doing; new ones start when there is more to do."""
        ...


class EngineConfig(Config):
    """Options of an engine. An experiment gives them in a table that has the engine's name."""


class Engine:
    """Carries out jobs; subclass it and write ``pool``.

    Attributes:
        config: An instance of the class's ``Config``.

    Class attributes:
        Config: The options.
        has_workers: Whether jobs run in worker processes that do nothing else meanwhile. Plug-ins are loaded there,
            and what libraries and child processes print goes to the run's log.
        has_timeouts: Whether a job that takes too long can be ended.
        is_remote: Whether workers may be on other machines: a device need not be on this one then.
        one_at_a_time: Whether there is one worker only, whatever an experiment says.
        package: Name of a module that has to be installed; empty for none.
        install: What ``pip install`` is given to have it, where that is not the module's name.
    """

    Config: ClassVar[type[EngineConfig]] = EngineConfig
    has_workers: ClassVar[bool] = True
    has_timeouts: ClassVar[bool] = True
    is_remote: ClassVar[bool] = False
    one_at_a_time: ClassVar[bool] = False
    package: ClassVar[str] = ""
    install: ClassVar[str] = ""

    def __init__(self, config: Any = None) -> None:
        self.config: Any = config or self.Config()

    @property
    def wants_gpus(self) -> bool:
        """Whether the options ask for GPUs; the device ``auto`` is ``cuda`` then, where `is_remote`."""
        return False

    def pool(self, workers: int | None, threads: int, device: str = "cpu") -> AbstractContextManager[Pool]:
        """A pool for as long as the context lasts.

        Args:
            workers: Jobs at a time; None: as many as there is room for.
            threads: For the numerical libraries of each.
            device: Device of the jobs, resolved: ``cpu``, ``cuda:1`` ...

        Raises:
            BenchError: The engine cannot be used as it is asked for.
        """
        raise NotImplementedError

    @classmethod
    def load_package(cls) -> ModuleType:
        """Import `package`.

        Raises:
            BenchError: It is not installed; the message says how to install it.
        """
        try:
            return importlib.import_module(cls.package)
        except ImportError:
            name = next((entry.name for entry in ENGINES if entry.cls is cls), cls.__name__)
            raise BenchError(
                f"the engine {name!r} needs {cls.package}: pip install '{cls.install or cls.package}'"
            ) from None


ENGINES: Registry[Engine] = Registry("engine", lambda cls: not_a(Engine, cls) or not_a_config(EngineConfig, cls))
register_engine = ENGINES.register
