"""The contract of a tracker: it is told of each run that a session has carried out."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from bench.contracts.config import Config
from bench.contracts.errors import BenchError
from bench.contracts.registry import Registry, not_a, not_a_config


@dataclass(frozen=True)
class FinishedRun:
    """A run that ended, in the words of trackers.

    Attributes:
        run_id: Hash of all that decides its outcome.
        experiment: Name of the experiment.
        name: Strategy, forecaster, dataset and seed, for lists.
        status: ``ok``, ``failed`` or ``skipped``.
        reason: Why the status is not ``ok``; empty if it is.
        parameters: What was run, by names such as ``strategy``, ``strategy.rate``, ``protocol.horizon``, ``seed``.
        values: What came of it, by the names of `bench.load_results`: ``mse`` and the like in scaled units (1 is a
            standard deviation over the training rows), ``_ms`` in milliseconds; finite numbers only.
        curves: ``mse_by_lead`` and ``mae_by_lead``, ``(H,)`` each, scaled, first lead first.
    """

    run_id: str
    experiment: str
    name: str
    status: str
    reason: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[str, float] = field(default_factory=dict)
    curves: Mapping[str, Sequence[float]] = field(default_factory=dict)


class TrackerConfig(Config):
    """Options of a tracker. An experiment gives them in a table: ``{ name = "mlflow", uri = "..." }``."""


class Tracker:
    """Hands finished runs on to an experiment tracker; subclass it and write `log`.

    It is called in the session's own process, between runs, outside all measured times. What it raises fails no run: it
    is named once, and the tracker is left out for the rest of the session.

    Attributes:
        config: An instance of the class's ``Config``.
        experiment: Name of the experiment.
        folder: The experiment's folder of results, for what a tracker keeps in files.

    Class attributes:
        Config: The options.
        package: Name of a module that has to be installed; empty for none.
    """

    Config: ClassVar[type[TrackerConfig]] = TrackerConfig
    package: ClassVar[str] = ""

    def __init__(self, config: Any, experiment: str, folder: Path) -> None:
        self.config: Any = config
        self.experiment = experiment
        self.folder = folder

    def log(self, run: FinishedRun) -> None:
        """Take a run that ended; called once for each."""
        raise NotImplementedError

    def close(self) -> None:
        """The session is over."""

    @classmethod
    def require_package(cls, name: str) -> None:
        """Import `package`.

        Args:
            name: Of the tracker, for the message.

        Raises:
            BenchError: It is not installed; the message says how to install it.
        """
        try:
            importlib.import_module(cls.package or "bench")
        except ImportError:
            raise BenchError(
                f"the tracker {name!r} needs {cls.package}: pip install 'adaptbench[trackers]', or {cls.package} alone"
            ) from None


TRACKERS: Registry[Tracker] = Registry("tracker", lambda cls: not_a(Tracker, cls) or not_a_config(TrackerConfig, cls))
register_tracker = TRACKERS.register
