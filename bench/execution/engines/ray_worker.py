"""What a worker of a ray cluster does; nothing here imports ray."""

from __future__ import annotations

import os
import platform
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.contracts.errors import BenchError
from bench.execution.engines.pool import Outcome, outcome

_process_id, _leave = os.getpid, os._exit  # as they are before any run


@dataclass(frozen=True)
class WorkerInfo:
    """Where a worker is.

    Attributes:
        code: Hash of this package's code as it is there.
    """

    host: str
    pid: int
    code: str


class RayWorker:
    """An actor that does one job after another, in a process of its own."""

    def prepare(self, folder: str, function: Callable[[Any], Any]) -> WorkerInfo:
        """Be ready for jobs: what they need is imported by now, since the function has arrived.

        Raises:
            BenchError: This machine has no such folder.
        """
        from bench.results.audit import code_sha

        del function
        host = platform.node()
        if not Path(folder).is_dir():
            raise BenchError(
                f"the machine {host} has no folder {folder}. Machines of a ray cluster must share the folder that a "
                "session is started in, and its results; those that share nothing take --shard, and bench results merge"
            )
        os.chdir(folder)
        if hasattr(signal, "pthread_sigmask"):  # whoever started the cluster may have blocked it
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
        return WorkerInfo(host, os.getpid(), code_sha())

    def do(self, function: Callable[[Any], Any], job: Any, timeout: float | None) -> Outcome[Any]:
        """Do one job.

        Args:
            timeout: Seconds after which this process says to its standard error where each of its threads stands;
                whoever gave the job ends it then.
        """
        here = _process_id()
        done = outcome(function, job, timeout)
        if _process_id() != here:  # this is a process that the job forked: it answers for nobody
            _leave(0)
        return done
