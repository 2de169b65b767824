"""Size of a strategy: bytes of state, parameters that change, floating-point operations."""

from __future__ import annotations

import types
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from bench.results.record import Parameters

if TYPE_CHECKING:
    from bench.contracts.strategy import Strategy

_LEAVES = (str, bytes, int, float, complex, bool, type, types.ModuleType, types.FunctionType, np.generic, torch.dtype)


def state_bytes(strategy: Strategy) -> int:
    """Bytes of tensors and arrays that a strategy reaches, besides the history and the weights of what it has `fixed`.

    This is what a service has to keep for each stream: a carried memory, an optimiser's moments, buffers of pairs.
    Storage that is reached twice counts once.
    """
    given = {id(strategy.history), id(strategy.protocol), id(strategy.config), id(strategy.rng)}
    weights = _storages(list(strategy.fixed()))
    history = _storages([strategy.history.inputs, strategy.history.targets])
    held = _storages(vars(strategy), given)
    return sum(size for place, size in held.items() if place not in weights and place not in history)


class ParameterCount:
    """Counts a forecaster's parameters with what a strategy has `learned`, and later those that changed.

    Holds a copy until then.
    """

    def __init__(self, strategy: Strategy) -> None:
        self._before = {name: p.detach().clone() for name, p in _parameters(strategy).items()}

    def now(self, strategy: Strategy) -> Parameters | None:
        """The count for the strategy as it is now; None without parameters."""
        named = _parameters(strategy)
        if not named:
            return None
        return Parameters(
            total=sum(p.numel() for p in named.values()),
            trainable=sum(p.numel() for p in strategy.learned()),
            updated=sum(p.numel() for name, p in named.items() if not _is_same(p.detach(), self._before.get(name))),
        )


class FlopCount:
    """Counts floating-point operations of steps: ``with count: ...``, in place of a stopwatch.

    Counted as `torch.utils.flop_counter` does: matrix products, convolutions and attention, two for a multiplication
    and an addition; nothing that numpy does.
    """

    name = "torch.utils.flop_counter"

    def __init__(self) -> None:
        self._mode = FlopCounterMode(display=False)
        self.total = 0

    def __enter__(self) -> None:
        self._mode = FlopCounterMode(display=False)
        self._mode.__enter__()

    def __exit__(self, *error: Any) -> None:
        self._mode.__exit__(*error)
        self.total += int(self._mode.get_total_flops())


def _parameters(strategy: Strategy) -> dict[str, Tensor]:
    """By name those of the forecaster, by number those that only the strategy has."""
    model = strategy.forecaster
    named: dict[str, Tensor] = dict(model.named_parameters()) if isinstance(model, nn.Module) else {}
    known = {id(parameter) for parameter in named.values()}
    return named | {str(i): p for i, p in enumerate(strategy.learned()) if id(p) not in known}


def _is_same(now: Tensor, before: Tensor | None) -> bool:
    return before is not None and now.shape == before.shape and torch.equal(now, before)


def _storages(root: Any, skipped: set[int] | None = None) -> dict[tuple[str, int], int]:
    """Storage of every tensor and array that can be reached: its address, and its bytes."""
    found: dict[tuple[str, int], int] = {}
    seen, todo = set(skipped or ()), deque([root])
    kept = []  # ids are unique among live objects
    while todo:
        item = todo.pop()
        if item is None or id(item) in seen or isinstance(item, _LEAVES):
            continue
        seen.add(id(item))
        kept.append(item)
        if isinstance(item, Tensor):
            storage = item.untyped_storage()
            found[str(item.device), storage.data_ptr()] = storage.nbytes()
        elif isinstance(item, np.ndarray):
            while isinstance(item.base, np.ndarray):
                item = item.base
            found["cpu", item.ctypes.data] = item.nbytes
        else:
            todo.extend(_within(item))
    return found


def _within(item: Any) -> list[Any]:
    """Contents of a container or an object."""
    if isinstance(item, nn.Module):
        return [*item.parameters(), *item.buffers()]
    if isinstance(item, torch.optim.Optimizer):
        return list(item.state.values())
    if isinstance(item, Mapping):
        return [*item.keys(), *item.values()]
    if isinstance(item, list | tuple | set | frozenset | deque):
        return list(item)
    slots = [getattr(item, name, None) for name in getattr(type(item), "__slots__", ())]
    return [*getattr(item, "__dict__", {}).values(), *slots]
