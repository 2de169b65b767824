"""A memory after one more chunk, by the recurrences as written: the usual step of a carried memory.

Nothing is read here, so the chunk's surprise is built once for weights and momentum, and no products of
gates are needed. `memory` computes the same for any number of chunks.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bench.forecasters.titans.fast_engine.held import names_by_layer, perceptron
from bench.forecasters.titans.fast_engine.orthogonal import orthogonalized
from bench.forecasters.titans.fast_engine.perceptron import surprises
from bench.forecasters.titans.fast_engine.projections import Projections
from bench.forecasters.titans.memory_state import MemoryState


def after_one_chunk(memory: Any, start: MemoryState, given: Projections) -> MemoryState:
    """Write one chunk into a state for batch B; ``given`` has heads and batch in one (Titans, eq. 13 and 14)."""
    names = names_by_layer(memory)
    held = [start.weights[name] for name in names]
    grads = surprises(memory, perceptron(tuple(held), memory), given)
    orders: list[list[Tensor]] = []
    keep, *shares = given.keeps.sigmoid()
    for order, share in enumerate(shares):
        old = [start.momentum[name][order] for name in names]
        orders.append(_added(orders[-1], share, old) if orders else grads.taken_from(_times(share, old)))
    if orders and given.combine is None:
        update = orders[-1]
    else:
        bare = grads.taken_from([torch.zeros_like(w) for w in held])
        update = bare if given.combine is None else _combined(given.combine, bare, orders)
    if memory.spectral_norm_surprises:
        layers = len(grads.errors)
        update = [*(orthogonalized(u) for u in update[:layers]), *update[layers:]]
    weights = _added(update, keep, held)
    if memory.transition_gate is not None and memory.batch_size == memory.store_chunk_size:
        share = memory.transition_gate.sigmoid()
        weights = [old.lerp(new, share) for old, new in zip(held, weights, strict=True)]
    at = {name: i for i, name in enumerate(names)}
    own = memory.memory_model_parameter_names
    return MemoryState(
        {name: weights[at[name]] for name in own},
        {name: _stacked([order[at[name]] for order in orders]) for name in own} if orders else {},
    )


def _combined(combine: Tensor, bare: list[Tensor], orders: list[list[Tensor]]) -> list[Tensor]:
    """The update as learned shares of the orders of momentum, and of the bare surprise if it is among them."""
    among = orders if len(combine) == len(orders) else [bare, *orders]
    parts = [_times(share, order) for share, order in zip(combine, among, strict=True)]
    return [sum(part) for part in zip(*parts, strict=True)]


def _stacked(orders: list[Tensor]) -> Tensor:
    return orders[0].unsqueeze(0) if len(orders) == 1 else torch.stack(orders)


def _times(factor: Tensor, tensors: list[Tensor]) -> list[Tensor]:
    """``(G, 1)`` times tensors ``(G, d, e)`` and ``(G, d)``."""
    wide = factor.unsqueeze(-1)
    return [(wide if t.ndim == 3 else factor) * t for t in tensors]


def _added(sums: list[Tensor], factor: Tensor, tensors: list[Tensor]) -> list[Tensor]:
    """``sums + factor * tensors``."""
    wide = factor.unsqueeze(-1)
    return [s.addcmul(wide if t.ndim == 3 else factor, t) for s, t in zip(sums, tensors, strict=True)]
