"""The state of a memory between two chunks, in the layout of the engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from bench.forecasters.titans.fast_engine.perceptron import Perceptron
from bench.forecasters.titans.memory_state import MemoryState


@dataclass(frozen=True)
class Held:
    """The state of a memory between two chunks; tensors by layer, the norm's scale last if there is one.

    Attributes:
        weights: ``(h, 1 or B, ...)`` each.
        momentum: The same for each order; no orders if there is no momentum, or none yet.
    """

    weights: tuple[Tensor, ...]
    momentum: tuple[tuple[Tensor, ...], ...]


def is_normed(memory: Any) -> bool:
    """Whether the memory's answer has a norm and a residual."""
    return str(memory.memory_model_parameter_names[0]) == "norm.gamma"


def perceptron(weights: tuple[Tensor, ...], memory: Any) -> Perceptron:
    """The memory's weights by their use."""
    return Perceptron(weights[:-1], weights[-1]) if is_normed(memory) else Perceptron(weights, None)


def held_at(memory: Any, start: MemoryState | None, batch: int) -> Held:
    """The state at the start of a window; ``start`` is for batch 1 or B, None the learned initial memory."""
    names, heads = names_by_layer(memory), memory.heads
    if start is None:
        own = dict(zip(memory.memory_model_parameter_names, memory.memory_model_parameters, strict=True))
        if memory.per_head_learned_parameters:
            return Held(tuple(own[name].unsqueeze(1) for name in names), ())
        return Held(tuple(own[name].expand(heads, 1, *own[name].shape) for name in names), ())
    if len(start) not in (heads, batch * heads):
        start = start.repeated(batch * heads // len(start))

    def by_head(tensor: Tensor) -> Tensor:
        return tensor.unsqueeze(0) if heads == 1 else tensor.unflatten(0, (-1, heads)).transpose(0, 1)

    orders = range(memory.momentum_order if start.momentum else 0)
    return Held(
        tuple(by_head(start.weights[name]) for name in names),
        tuple(tuple(by_head(start.momentum[name][o]) for name in names) for o in orders),
    )


def state_of(memory: Any, held: Held, batch: int) -> MemoryState:
    """The state to carry, for batch B; names in the library's order."""

    def rows(tensor: Tensor) -> Tensor:
        if tensor.shape[1] != batch:
            tensor = tensor.expand(-1, batch, *tensor.shape[2:])
        return tensor[0] if memory.heads == 1 else tensor.transpose(0, 1).flatten(0, 1)

    at = {name: i for i, name in enumerate(names_by_layer(memory))}
    names = list(memory.memory_model_parameter_names)
    weights = {name: rows(held.weights[at[name]]) for name in names}
    if memory.to_momentum is None:
        return MemoryState(weights, {})
    orders = held.momentum or tuple(
        tuple(torch.zeros_like(w) for w in held.weights) for _ in range(memory.momentum_order)
    )
    momentum = {name: torch.stack([rows(order[at[name]]) for order in orders]) for name in names}
    return MemoryState(weights, momentum)


def names_by_layer(memory: Any) -> list[str]:
    """Names of the memory's tensors: its layers, and the norm's scale last."""
    names = list(memory.memory_model_parameter_names)
    return [*names[1:], names[0]] if is_normed(memory) else names
