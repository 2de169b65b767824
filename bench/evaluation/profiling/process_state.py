"""Modes, hooks, handlers and threads of this process: whatever a run changes is found, and restored."""

from __future__ import annotations

import contextlib
import gc
import os
import resource
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from torch.nn.modules import module as modules
from torch.optim import optimizer as optimizers
from torch.utils._device import DeviceContext

_C: Any = torch._C
_NUMPY: Any = np.random
_TORCH: Any = torch.random
ENDING_S = 0.2
"""Time for a thread of a run to end."""

KERNELS = ("CPU", "CompositeExplicitAutograd", "CompositeImplicitAutograd", "Autograd", "AutogradCPU")
"""Dispatch keys under which an operator of torch's own can be replaced; torch itself replaces some under others."""

LIBRARIES = ("torch._inductor", "tqdm")
"""Libraries whose waiting threads are kept from run to run."""

TRACKERS = ("_inductor", "resource_tracker")
"""Words in the command of child processes that are kept too."""

Values = tuple[Any, ...]


@dataclass(frozen=True)
class State:
    """Something that a run may change.

    Attributes:
        label: Its name in messages.
        read: Its current value, as plain values and objects.
        put_back: Restores what `read` returned.
    """

    label: str
    read: Callable[[], Values]
    put_back: Callable[[Values], object]


def _handlers() -> Values:
    return tuple(signal.getsignal(number) for number in sorted(signal.valid_signals()))


def _set_handlers(before: Values) -> None:
    for number, old in zip(sorted(signal.valid_signals()), before, strict=True):
        if old is not None and signal.getsignal(number) is not old:
            signal.signal(number, old)


def _timer() -> Values:
    return (signal.getitimer(signal.ITIMER_REAL)[0] > 0,)


def _tracers() -> Values:
    return sys.gettrace(), sys.getprofile(), threading.gettrace(), threading.getprofile()


def _set_tracers(before: Values) -> None:
    for put, old in zip((sys.settrace, sys.setprofile, threading.settrace, threading.setprofile), before, strict=True):
        put(old)


def _collector() -> Values:
    return gc.isenabled(), gc.get_threshold(), gc.get_debug(), tuple(gc.callbacks)


def _set_collector(before: Values) -> None:
    enabled, threshold, debug, callbacks = before
    (gc.enable if enabled else gc.disable)()
    gc.set_threshold(*threshold)
    gc.set_debug(debug)
    gc.callbacks[:] = callbacks


def _streams() -> Values:
    return sys.stdin, sys.stdout, sys.stderr


def _set_streams(before: Values) -> None:
    sys.stdin, sys.stdout, sys.stderr = before


def _umask() -> Values:
    mask = os.umask(0o077)
    os.umask(mask)
    return (mask,)


def _place() -> Values:
    """What the system gives this process: cores, priority, limits."""
    cores = tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else ()
    limits = tuple(resource.getrlimit(number) for number in _LIMITS)
    return cores, os.getpriority(os.PRIO_PROCESS, 0), limits


def _set_place(before: Values) -> None:
    cores, priority, limits = before
    if cores:
        os.sched_setaffinity(0, cores)
    for number, limit in zip(_LIMITS, limits, strict=True):
        if resource.getrlimit(number) != limit:
            resource.setrlimit(number, limit)
    os.setpriority(os.PRIO_PROCESS, 0, priority)


_LIMITS = tuple(getattr(resource, f"RLIMIT_{name}") for name in ("AS", "CORE", "CPU", "DATA", "FSIZE", "NOFILE"))


def _threads() -> Values:
    return tuple(one for one in threading.enumerate() if not _target(one).startswith(LIBRARIES))


def _target(thread: threading.Thread) -> str:
    target = getattr(thread, "_target", None)
    return str(getattr(target, "__module__", "")) or type(thread).__module__


def _children() -> Values:
    """Child processes that exist; none if the system does not list them."""
    found = []
    for file in Path("/proc/self/task").glob("*/children"):
        try:
            found += [int(pid) for pid in file.read_text().split()]
        except OSError:  # that thread has ended
            continue
    return tuple(sorted(found))


def _process(pid: int) -> psutil.Process | None:
    with contextlib.suppress(psutil.Error):
        return psutil.Process(pid)
    return None


def _only_waits(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        words = " ".join(process.cmdline())
        return any(name in words for name in TRACKERS)
    return False


def _generators() -> Values:
    return torch.default_generator, _TORCH.default_generator, _NUMPY.get_bit_generator()


def _set_generators(before: Values) -> None:
    torch.default_generator, _TORCH.default_generator, bits = before
    _NUMPY.set_bit_generator(bits)


def _function_modes() -> Values:
    """All but that of a default device, which every run sets anew."""
    stack = (_C._get_function_stack_at(i) for i in range(_C._len_torch_function_stack()))
    return tuple(mode for mode in stack if type(mode) is not DeviceContext)


def _set_function_modes(before: Values) -> None:
    devices = []
    while _C._len_torch_function_stack():
        mode = _C._pop_torch_function_stack()
        devices += [mode] if type(mode) is DeviceContext else []
    for mode in (*devices[-1:], *before):
        _C._push_on_torch_function_stack(mode)


def _dispatch_modes() -> Values:
    return tuple(_C._get_dispatch_stack_at(i) for i in range(_C._len_torch_dispatch_stack()))


def _set_dispatch_modes(before: Values) -> None:
    while _C._len_torch_dispatch_stack():
        _C._pop_torch_dispatch_stack(None)
    for mode in before:
        _C._push_on_torch_dispatch_stack(mode)


def _saved_tensors() -> Values:
    hooks = _C._autograd._top_saved_tensors_default_hooks(True)
    return hooks or (), _C._autograd._saved_tensors_hooks_get_disabled_error_message()


def _set_saved_tensors(before: Values) -> None:
    hooks, refusal = before
    _C._autograd._saved_tensors_hooks_enable()
    for _ in range(1000):
        now = _C._autograd._top_saved_tensors_default_hooks(True) or ()
        if not now or _is_same(now, hooks):
            break
        _C._autograd._pop_saved_tensors_default_hooks()
    if refusal is not None:
        _C._autograd._saved_tensors_hooks_disable(refusal)


_HOOKS = tuple(
    (module, name)
    for module in (modules, optimizers)
    for name in sorted(vars(module))
    if name.startswith("_global_") and isinstance(vars(module)[name], dict)
)


def _hooks() -> Values:
    full = modules._global_is_full_backward_hook
    return full, tuple(tuple(getattr(module, name).items()) for module, name in _HOOKS)


def _set_hooks(before: Values) -> None:
    modules._global_is_full_backward_hook = before[0]
    for (module, name), items in zip(_HOOKS, before[1], strict=True):
        held = getattr(module, name)
        held.clear()
        held.update(items)


_KINDS = ("cpu", "cuda")


def _autocast() -> Values:
    each = ((torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)) for kind in _KINDS)
    return (*each, torch.is_autocast_cache_enabled())


def _set_autocast(before: Values) -> None:
    *each, cache = before
    for kind, (enabled, dtype) in zip(_KINDS, each, strict=True):
        torch.set_autocast_enabled(kind, enabled)
        torch.set_autocast_dtype(kind, dtype)
    torch.set_autocast_cache_enabled(cache)


def _overrides() -> Values:
    """Operators of torch's own that other code replaces."""
    found = (name for name in torch.library._impls if name.startswith("aten/") and name.endswith(_ENDINGS))
    return tuple(sorted(found))


_ENDINGS = tuple(f"/{key}" for key in KERNELS)


def _end_overrides(before: Values) -> None:
    names = set(_overrides()) - set(before)
    for one in gc.get_objects():
        if type(one) is torch.library.Library and names & one._op_impls:
            one._destroy()


def _transforms() -> Values:
    return _C._functorch.maybe_current_level(), int(_C._get_torch_function_state())


def _end_transforms(before: Values) -> None:
    while _C._functorch.maybe_current_level() != before[0]:
        _C._functorch.pop_dynamic_layer_stack()
    _C._set_torch_function_state(_C._TorchFunctionState(before[1]))


_ALL = (
    State("a torch function mode", _function_modes, _set_function_modes),
    State("a torch dispatch mode", _dispatch_modes, _set_dispatch_modes),
    State("a torch.func transform, or torch functions switched off", _transforms, _end_transforms),
    State("hooks on saved tensors", _saved_tensors, _set_saved_tensors),
    State("global hooks of modules or optimizers", _hooks, _set_hooks),
    State("autocast", _autocast, _set_autocast),
    State("an operator of torch", _overrides, _end_overrides),
    State("a shared generator", _generators, _set_generators),
    State("the garbage collector's settings", _collector, _set_collector),
    State("a trace or profile function", _tracers, _set_tracers),
    State("the mask of new files", _umask, lambda before: os.umask(*before)),
    State("cores, priority or limits of the process", _place, _set_place),
    State("standard streams", _streams, _set_streams),
)
_OF_MAIN = (
    State("signal handlers", _handlers, _set_handlers),
    State("an alarm", _timer, lambda _: signal.setitimer(signal.ITIMER_REAL, 0)),
)


def _readable(states: Iterable[State]) -> Iterator[State]:
    """Those that this version of torch can read."""
    for state in states:
        with contextlib.suppress(AttributeError):
            state.read()
            yield state


STATES, OF_MAIN = tuple(_readable(_ALL)), tuple(_readable(_OF_MAIN))
"""States that are checked; only the main thread may restore the second."""


@dataclass(frozen=True)
class Remains:
    """Something that could not be restored, and whether it still is there."""

    label: str
    is_there: Callable[[], bool]


class ProcessState:
    """Everything of `STATES`, threads and child processes at the time when this is made."""

    def __init__(self) -> None:
        states = STATES + OF_MAIN if threading.current_thread() is threading.main_thread() else STATES
        self._before = [(state, state.read()) for state in states]
        self._threads, self._children = set(threading.enumerate()), set(_children())

    def put_back(self) -> tuple[list[str], list[Remains]]:
        """Restore it; returns names of what was changed, and what still is."""
        found, remains = [], []
        for state, before in self._before:
            if _is_same(state.read(), before):
                continue
            found.append(state.label)
            with contextlib.suppress(Exception):  # then it remains, and is reported
                state.put_back(before)
            remains.append(Remains(state.label, partial(_differs, state, before)))
        remains += self._running()
        found += [one.label for one in remains if one.label not in found]
        return found, [one for one in remains if one.is_there()]

    def _running(self) -> Iterator[Remains]:
        """New threads and child processes that do not end."""
        for thread in set(_threads()) - self._threads:
            thread.join(ENDING_S)
            if thread.is_alive():
                yield Remains(f"the running thread {thread.name}", thread.is_alive)
        begun = [one for one in map(_process, set(_children()) - self._children) if one and not _only_waits(one)]
        for process in psutil.wait_procs(begun, ENDING_S)[1] if begun else ():
            with contextlib.suppress(psutil.Error):
                process.kill()
                process.wait(ENDING_S)
            yield Remains("a child process", process.is_running)


def _differs(state: State, before: Values) -> bool:
    return not _is_same(state.read(), before)


def _is_same(one: Any, other: Any) -> bool:
    """Whether values are the same: tuples by their members, numbers and text by value, all else by identity."""
    if type(one) is tuple and type(other) is tuple:
        return len(one) == len(other) and all(map(_is_same, one, other))
    return one is other or (type(one) in (bool, int, float, str) and type(one) is type(other) and one == other)
