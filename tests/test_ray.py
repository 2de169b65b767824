"""A session on a ray cluster of two machines, of which one is lost; and what a cluster may be asked for."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from bench.engines.cluster import RayOptions, Share, _slots
from bench.engines.connection import connected
from bench.engines.ray import on_ray
from bench.errors import BenchError
from bench.store import FORECASTS, ORIGINS, RECORD

from .conftest import Bench, Write
from .test_engines import square
from .test_faults import MARK, marked
from .test_session import ENVIRONMENT, change, clean, command, store_of

SEED = 7
HOST = "127.0.0.2"  # an address of this machine's own that ray does not put another in place of
ANSWER_S = 60.0
SESSION_S = 150.0

GATED = """
    import os, pathlib, time
    from bench import Strategy, register_strategy

    @register_strategy("gated")
    class Gated(Strategy):
        "The mean of the window, in no hurry; says on which machine it is."

        def setup(self):
            node = pathlib.Path(f"on-{os.getppid()}")
            node.mkdir(exist_ok=True)
            (node / f"{os.getpid()}-{time.monotonic_ns()}").touch()

        def predict(self, windows):
            time.sleep(0.04)
            return windows.mean(dim=1, keepdim=True).expand(-1, self.protocol.horizon, -1)
"""


@dataclass
class Machines:
    """Nodes of a ray cluster, all on this machine: a raylet each, with a core each.

    Attributes:
        address: Of the first.
        variables: Of the environment of all, and of their sessions.
    """

    address: str
    variables: dict[str, str]
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def add(self, *words: str) -> psutil.Process:
        """Start one more; what is returned is its raylet."""
        few = ["--num-cpus=1", "--object-store-memory=83886080", f"--node-ip-address={HOST}", "--block"]
        ray = [sys.executable, "-W", "ignore", "-m", "ray.scripts.scripts", "start", *few, *words]
        self.started.append(subprocess.Popen(ray, env=os.environ | self.variables, stdout=subprocess.DEVNULL))
        return awaited(lambda: self._raylet(self.started[-1].pid))

    @staticmethod
    def _raylet(pid: int) -> psutil.Process | None:
        for one in psutil.Process(pid).children(recursive=True):
            if one.name() == "raylet":
                return one
        return None

    def stop(self, mark: str) -> None:
        for one in marked(mark):
            one.kill()
        for process in self.started:
            process.wait()
