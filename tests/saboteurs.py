"""Strategies that leave something behind in their process: what would change later runs, their time, or the session."""

from __future__ import annotations

import builtins
import functools
import gc
import math
import os
import random
import signal
import subprocess
import sys
import threading
import time
import types
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import optimizer
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

import bench.evaluation.stream
from bench import Strategy
from bench.contracts.discovery import load_plugins
from bench.contracts.protocol import PRESETS, Protocol
from bench.contracts.strategy import STRATEGIES
from bench.evaluation.metrics import ErrorSums
from bench.evaluation.stream import PreparedSeries

load_plugins()

Sabotage = Callable[[Strategy], object]


class Leaves(Strategy):
    """The last row of each window, and whatever its first forecast leaves behind."""

    sabotage: Sabotage
    has_begun = False

    def predict(self, windows: Tensor) -> Tensor:
        last = windows[:, -1:].expand(-1, self.protocol.horizon, -1)
        if not self.has_begun:
            self.has_begun = True
            type(self).sabotage(self)
        return last


def leaves(sabotage: Sabotage) -> type[Strategy]:
    """A strategy that does this."""
    return type("Leaves", (Leaves,), {"sabotage": staticmethod(sabotage), "__module__": __name__, "__doc__": "It."})


def _other(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that answers a little more than another where that is a number, and works for longer."""

    @functools.wraps(function)
    def other(*args: Any, **options: Any) -> Any:
        answer = function(*args, **options)
        return answer * 1.001 if isinstance(answer, float | np.ndarray | Tensor | np.floating) else answer

    return other


def replaces(owner: Any, name: str, by: Any = None) -> Sabotage:
    """Another function, class or number in the place of one."""

    def sabotage(_: Strategy) -> None:
        setattr(owner, name, by if by is not None else _other(getattr(owner, name)))

    return sabotage


def rewrites(function: Any) -> Sabotage:
    """Other code in a function that stays the same object."""

    def sabotage(_: Strategy) -> None:
        function.__code__ = (lambda *args, **options: None).__code__

    return sabotage


class Shifts(TorchFunctionMode):
    """Answers products a little too large."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = function(*args, **(kwargs or {}))
        return made + 1e-3 if isinstance(made, Tensor) and made.is_floating_point() and made.ndim == 2 else made


class Watches(TorchDispatchMode):
    """Does nothing but take time."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return function(*args, **(kwargs or {}))


def entered(make: Any) -> None:
    """A context that is never left."""
    make().__enter__()


KEPT: list[Any] = []


def overrides_an_operator(_: Strategy) -> None:
    library = torch.library.Library("aten", "IMPL")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        library.impl("relu", lambda x: x.clamp(min=0) + 1e-3, "CPU")
    KEPT.append(library)


def rewrites_its_series(_: Strategy) -> None:
    frame = sys._getframe(1)
    while frame is not None:
        for value in list(frame.f_locals.values()):
            if isinstance(value, PreparedSeries):
                value.series.values[:] = value.series.values + 0.01
                return
        frame = frame.f_back  # type: ignore[assignment]


def hides_builtin(_: Strategy) -> None:
    sys.modules["bench.evaluation.metrics"].__dict__["float"] = lambda _: 0.5


def leaves_a_thread(_: Strategy) -> None:
    threading.Thread(target=time.sleep, args=(0.6,), daemon=True, name="lazy").start()


def leaves_a_child(_: Strategy) -> None:
    KEPT.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]))


def numpy_state(_: Strategy) -> None:
    vars(np.random)["set_bit_generator"](np.random.PCG64(1))


SABOTAGES: dict[str, tuple[Sabotage, str]] = {
    "np.square": (replaces(np, "square"), "numpy.square"),
    "np.mean": (replaces(np, "mean"), "numpy.mean"),
    "np.default_rng": (replaces(np.random, "default_rng", lambda *_: np.random.Generator(np.random.PCG64(3))), "numpy"),
    "np.pi": (replaces(np, "pi", 3.0), "numpy.pi"),
    "np.linalg": (replaces(np.linalg, "solve"), "numpy.linalg.solve"),
    "math.cos": (replaces(math, "cos"), "math.cos"),
    "a scorer's add": (replaces(ErrorSums, "add"), "bench.evaluation.metrics.ErrorSums.add"),
    "the code of a scorer's add": (rewrites(ErrorSums.add), "bench.evaluation.metrics.ErrorSums.add"),
    "when pairs mature": (
        replaces(bench.evaluation.stream, "matured_origins", lambda *_: range(0)),
        "bench.evaluation.stream",
    ),
    "a property": (
        replaces(Protocol, "is_leaky", property(lambda _: True)),
        "bench.contracts.protocol.Protocol.is_leaky",
    ),
    "a preset": (lambda _: PRESETS["dense"].update(block=3), "bench.contracts.protocol.PRESETS"),
    "a registered class": (
        lambda _: vars(STRATEGIES["rls"]).update(cls=STRATEGIES["persistence"].cls),
        "the strategy 'rls'",
    ),
    "another strategy's method": (replaces(STRATEGIES["rls"].cls, "predict"), "predict"),
    "time.perf_counter": (replaces(time, "perf_counter", lambda: 0.0), "time.perf_counter"),
    "time.perf_counter_ns": (replaces(time, "perf_counter_ns", lambda: 0), "time.perf_counter_ns"),
    "mse_loss": (replaces(nn.functional, "mse_loss"), "torch.nn.functional.mse_loss"),
    "torch.matmul": (replaces(torch, "matmul"), "torch.matmul"),
    "Tensor.__matmul__": (replaces(torch.Tensor, "__matmul__"), "torch.Tensor.__matmul__"),
    "Linear.forward": (replaces(nn.Linear, "forward"), "torch.nn.modules.linear.Linear.forward"),
    "an inherited __call__": (replaces(nn.Linear, "__call__"), "torch.nn.modules.linear.Linear.__call__"),
    "AdamW.step": (replaces(torch.optim.AdamW, "step", lambda *_, **__: None), "torch.optim.adamw.AdamW.step"),
    "torch.manual_seed": (replaces(torch, "manual_seed", lambda _: None), "torch.manual_seed"),
    "torch.set_num_threads": (replaces(torch, "set_num_threads", lambda _: None), "torch.set_num_threads"),
    "builtins.sum": (replaces(builtins, "sum", lambda *_: 0), "builtins.sum"),
    "builtins.all": (replaces(builtins, "all", lambda *_: True), "builtins.all"),
    "builtins.isinstance": (replaces(builtins, "isinstance", lambda *_: False), "builtins.isinstance"),
    "a builtin hidden in a module": (hides_builtin, "bench.evaluation.metrics.float"),
    "random.random": (replaces(random, "random", lambda: 0.5), "random.random"),
    "a module": (lambda _: sys.modules.update(math=types.ModuleType("math")), "the module math"),
    "a forward hook": (
        lambda _: nn.modules.module.register_module_forward_hook(lambda module, given, made: made * 1.001),
        "global hooks",
    ),
    "an optimizer hook": (
        lambda _: optimizer.register_optimizer_step_pre_hook(lambda *_: None),
        "global hooks",
    ),
    "a function mode": (lambda _: entered(Shifts), "a torch function mode"),
    "a dispatch mode": (lambda _: entered(Watches), "a torch dispatch mode"),
    "saved tensors": (
        lambda _: entered(lambda: torch.autograd.graph.saved_tensors_hooks(lambda x: x * 0, lambda x: x)),
        "hooks on saved tensors",
    ),
    "autocast": (lambda _: entered(lambda: torch.autocast("cpu", torch.bfloat16)), "autocast"),
    "an operator": (overrides_an_operator, "an operator of torch"),
    "vmap": (lambda _: torch._C._functorch._vmap_increment_nesting(2, "error"), "a torch.func transform"),
    "its series": (rewrites_its_series, "rows of its series"),
    "numpy's generator": (numpy_state, "a shared generator"),
    "gc off": (lambda _: gc.disable(), "garbage collector"),
    "a tracer": (lambda _: sys.setprofile(lambda *_: None), "a trace or profile function"),
    "a signal handler": (lambda _: signal.signal(signal.SIGUSR1, signal.SIG_IGN), "signal handlers"),
    "an alarm": (lambda _: signal.setitimer(signal.ITIMER_REAL, 1000), "an alarm"),
    "umask": (lambda _: os.umask(0o777), "the mask of new files"),
    "one core": (lambda _: os.sched_setaffinity(0, {min(os.sched_getaffinity(0))}), "cores, priority or limits"),
    "output": (lambda _: setattr(sys, "stdout", None), "standard streams"),
    "a child process": (leaves_a_child, "a child process"),
    "a thread": (leaves_a_thread, "the running thread lazy"),
}
"""By name: what is done, and how what is left begins in the record."""


SETTINGS: dict[str, Sabotage] = {
    "threads": lambda _: torch.set_num_threads(3),
    "type": lambda _: torch.set_default_dtype(torch.float64),
    "device": lambda _: torch.set_default_device("meta"),
    "gradients": lambda _: torch.set_grad_enabled(False),
    "inference": lambda _: entered(torch.inference_mode),
    "deterministic": lambda _: torch.use_deterministic_algorithms(True),
    "denormals": lambda _: torch.set_flush_denormal(True),
    "anomalies": lambda _: torch.autograd.set_detect_anomaly(True),
    "onednn": lambda _: torch.backends.mkldnn.set_flags(False),
    "attention": lambda _: torch.backends.cuda.enable_flash_sdp(False),
    "einsum": lambda _: setattr(torch.backends.opt_einsum, "strategy", "greedy"),
    "seed": lambda _: (torch.manual_seed(9), np.random.seed(9), random.seed(9)),  # noqa: NPY002
    "numpy's errors": lambda _: np.seterr(all="raise"),
    "folder": lambda _: os.chdir("/"),
    "environment": lambda _: os.environ.update(TZ="Asia/Tokyo"),
    "recursion": lambda _: sys.setrecursionlimit(900),
    "path": lambda _: sys.path.insert(0, "/"),
}
"""What every run finds set, or put back, without a word: strategies may set it for themselves."""
