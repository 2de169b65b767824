"""Isolation of runs in one process: global state is the same at the start of each, and restored after it."""

from __future__ import annotations

import os
import random
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import torch


@contextmanager
def isolated(seed: int, threads: int) -> Iterator[None]:
    """Global state as every run finds it, whatever ran before in this process; restored afterwards.

    Gradients are on, the default type is float32 and the default device the CPU, matrix products are in full
    precision, torch has its threads, and the global generators of torch, numpy and Python are seeded, so that draws do
    not depend on the order of runs. The working folder, environment variables,
    module paths, the recursion limit, numpy's floating-point error state, warning filters and
    torch's choice of kernels are only restored. `profiling.leftovers` covers what no strategy has reason to
    change for good. A process that was forked meanwhile ends when it reaches the end of this: it must write nothing.
    """
    with ExitStack() as stack:
        stack.callback(end_fork, process_id())
        stack.callback(torch.set_num_threads, torch.get_num_threads())
        torch.set_num_threads(threads)
        stack.enter_context(_process_kept())
        stack.enter_context(_torch_kept())
        stack.enter_context(seeded(seed))
        stack.enter_context(torch.inference_mode(mode=False))
        stack.enter_context(torch.enable_grad())
        yield


@contextmanager
def generators_kept() -> Iterator[None]:
    """Restore the generators that all code shares (torch's, numpy's, Python's) afterwards."""
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002 - plug-ins may draw from it
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        np.random.set_state(numpy_state)  # noqa: NPY002
        random.setstate(python_state)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """The shared generators start from ``seed``, and are restored afterwards."""
    with generators_kept():
        random.seed(seed)  # hyper-connections draw from it
        np.random.seed(seed % 2**32)  # noqa: NPY002
        torch.manual_seed(seed)
        yield


process_id, _leave = os.getpid, os._exit  # taken before any run


def end_fork(process: int) -> None:
    """End this process if a run forked it from ``process``: it must not go on as if it were its parent."""
    if process_id() != process:
        _leave(0)


@contextmanager
def _process_kept() -> Iterator[None]:
    """Python's and numpy's part."""
    folder, variables = _working_folder(), dict(os.environ)
    depth, paths = sys.getrecursionlimit(), sys.path.copy()
    with np.errstate(), warnings.catch_warnings():
        try:
            yield
        finally:
            sys.setrecursionlimit(depth)
            sys.path[:] = paths
            if variables != dict(os.environ):
                os.environ.clear()
                os.environ.update(variables)
                time.tzset()
            if folder is not None and _working_folder() != folder:
                os.chdir(folder)


def _working_folder() -> Path | None:
    """The working folder; None if it was removed."""
    try:
        return Path.cwd()
    except OSError:
        return None


@contextmanager
def _torch_kept() -> Iterator[None]:
    """Torch's part, but for its generators and whether it takes gradients."""
    dtype, device = torch.get_default_dtype(), torch.get_default_device()
    precision, onednn = torch.get_float32_matmul_precision(), torch.backends.mkldnn.enabled
    deterministic = torch.get_deterministic_debug_mode()
    anomalies = torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()
    switches = [(owner, name, getattr(owner, name)) for owner, name in _SWITCHES]
    attention = [(put, get()) for get, put in _ATTENTION]
    torch.set_default_dtype(torch.float32)
    torch.set_default_device(None)
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_default_dtype(dtype)
        torch.set_default_device(None if device.type == "cpu" else device)  # a device, once set, slows every call
        torch.set_float32_matmul_precision(precision)
        torch.backends.mkldnn.set_flags(onednn)
        torch.set_deterministic_debug_mode(deterministic)
        torch.set_flush_denormal(False)
        torch.autograd.set_detect_anomaly(*anomalies)
        for owner, name, value in switches:
            setattr(owner, name, value)
        for put, value in attention:
            put(value)


_SWITCHES = (
    *((torch.backends.cudnn, name) for name in ("enabled", "benchmark", "deterministic", "allow_tf32")),
    *((torch.backends.opt_einsum, name) for name in ("enabled", "strategy")),
)
_ATTENTION = tuple(
    (getattr(torch.backends.cuda, f"{kind}_sdp_enabled"), getattr(torch.backends.cuda, f"enable_{kind}_sdp"))
    for kind in ("flash", "mem_efficient", "math", "cudnn")
)
"""Getters and setters of the kernels of attention."""
