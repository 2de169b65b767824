"""Connecting to a ray cluster: one that is there, or one of the session's own on this machine, which ends with it."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import psutil

from bench.contracts.engine import ENGINES
from bench.contracts.errors import BenchError
from bench.execution.engines.cluster import Cluster, RayOptions
from bench.execution.run_log import routed
from bench.results.plain import remove

ANSWER_S = 10.0
"""Seconds for a cluster to answer, and for killed processes to be gone."""

OBJECTS = 80 * 2**20
"""Bytes of ray's shared memory, about its minimum: jobs are names and numbers."""

QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DEDUP_LOGS": "0", "RAY_TQDM_PATCH_PRINT": "0"}
VITAL = {"gcs_server", "raylet"}
"""Processes of ray that `ray.shutdown` needs."""

LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""Makes ray listen on the loopback address only; ray reads it once, when it is imported."""


@contextmanager
def connected(options: RayOptions, cpus: int) -> Iterator[Cluster]:
    """A cluster for as long as the context lasts; where this process is connected to one already, that one.

    Raises:
        BenchError: ray is not installed, or no cluster answers.
    """
    address = options.address or os.environ.get("RAY_ADDRESS") or "local"
    with _termination_later() as raise_pending, ExitStack() as stack:
        stack.enter_context(_environment(QUIET | (LOOPBACK if address == "local" else {})))
        ray: Any = ENGINES["ray"].cls.load_package()
        place = "the ray cluster of this session" if address == "local" else f"the ray cluster at {address}"
        if ray.is_initialized():
            yield Cluster(ray, "the ray cluster of this process", raise_pending)
            return
        if address == "local":
            stack.enter_context(_started(ray, cpus))
        else:
            _require_answer(address, place)
            stack.callback(ray.shutdown)
            _init(ray, place, address=address)
        # what ray's own threads print is dropped: what became of a run is said by its record
        out, nowhere = sys.stdout, stack.enter_context(Path(os.devnull).open("w", encoding="utf-8"))
        without_ray = routed(lambda: nowhere if threading.current_thread().name.startswith("ray_") else out)
        stack.enter_context(contextlib.redirect_stdout(without_ray))
        yield Cluster(ray, place, raise_pending)


def _init(ray: Any, place: str, **how: Any) -> None:
    before = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(log_to_driver=False, logging_level=logging.ERROR, **how)
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise BenchError(f"{place} cannot be used: {str(error).splitlines()[0]}") from error
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)  # ray took it for itself


def _require_answer(address: str, place: str) -> None:
    """Fail fast if nothing listens; ray would retry for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon:  # auto
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWER_S).close()
    except (OSError, ValueError) as error:
        raise BenchError(
            f"{place} does not answer ({error}). Start one (ray start --head), or leave the address out for one here"
        ) from None


@contextmanager
def _started(ray: Any, cpus: int) -> Iterator[None]:
    """A cluster of one machine, this one; no dashboard, nothing listens to the network, and no process is left."""
    short = Path("/tmp")  # noqa: S108 - a socket's path must be short; the folder in it is made for this session alone
    folder = Path(tempfile.mkdtemp(prefix="bench-", dir=short if short.is_dir() else None))
    how = {"include_dashboard": False, "object_store_memory": OBJECTS, "_node_ip_address": "127.0.0.1"}
    before = set(psutil.Process().children())
    try:
        with _sigterm_blocked():
            _init(ray, "a ray cluster on this machine", address="local", num_cpus=cpus, _temp_dir=str(folder), **how)
        yield
    finally:
        daemons = [child for child in psutil.Process().children() if child not in before]
        started = [*daemons, *(one for child in daemons for one in _descendants(child))]
        _kill(one for one in daemons if _name(one) not in VITAL)  # ray would ask them to end, and they block SIGTERM
        ray.shutdown()
        _kill(started)
        psutil.wait_procs(started, ANSWER_S)
        remove(folder, folder.parent)


def _kill(processes: Iterable[psutil.Process]) -> None:
    for one in processes:
        with contextlib.suppress(psutil.Error):
            one.kill()


def _name(process: psutil.Process) -> str:
    with contextlib.suppress(psutil.Error):
        return process.name()
    return ""


def _descendants(process: psutil.Process) -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        return process.children(recursive=True)
    return []


@contextmanager
def _termination_later() -> Iterator[Callable[[], None]]:
    """Hold back a SIGTERM that comes meanwhile; raise it when asked to, and at the end.

    What its handler raises while code of ray's runs, ray drops.
    """
    before, came = signal.getsignal(signal.SIGTERM), list[tuple[int, FrameType | None]]()
    if not callable(before) or threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return

    def raise_pending() -> None:
        if came:
            before(*came.pop())

    signal.signal(signal.SIGTERM, lambda number, frame: came.append((number, frame)))
    try:
        yield raise_pending
    finally:
        signal.signal(signal.SIGTERM, before)
    raise_pending()


@contextmanager
def _sigterm_blocked() -> Iterator[None]:
    """Processes started meanwhile block SIGTERM.

    A scheduler sends it to all processes of a group. The session then ends the cluster; one without its central
    process would not answer any more, and be waited for.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
