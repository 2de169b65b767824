"""The library's own neural memory, called as released: the reference for the fast engine, and its fallback."""

from __future__ import annotations

import math
import warnings
from typing import Any

import torch
from torch import Tensor

from bench.forecasters.titans.memory_state import MemoryState, Remembered


def library() -> Any:
    """`titans_pytorch`; version 0.5.5 uses torch.jit.script, which torch warns of as deprecated."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*torch.jit.script.*")
        import titans_pytorch
    return titans_pytorch


def remember_by_library(
    memory: Any,
    views: tuple[Tensor, Tensor, Tensor],
    start: MemoryState | None,
    *,
    coupled: Any = None,
    writes: bool = True,
    reads: bool = True,
    after: int | None = None,
    derived: Any = None,
) -> Remembered:
    """`fast_engine.memory.remember` by the library; ``coupled`` are weights of the memory layer before, or None."""
    del derived
    batch = len(views[0])
    if start is not None and (missing := batch * memory.heads // len(start)) > 1:
        start = start.repeated(missing)
    if not writes:
        return Remembered(_read_only(memory, views[0], start), None)
    tokens = torch.stack(views)
    state = _library_state(start) if start else None
    retrieved, end = views[0], None
    if reads:
        retrieved, end = memory(tokens, state=state, prev_weights=coupled)
    kept = None
    if after is not None:
        whole = tokens.shape[2] // memory.store_chunk_size * memory.store_chunk_size
        if end is None or after != whole:
            _, end_of_kept = memory(tokens[:, :, :after], state=state, prev_weights=coupled)
        else:
            end_of_kept = end
        kept = _state_of(memory, end_of_kept)
    return Remembered(retrieved, kept, end.updates if end else None)


def _read_only(memory: Any, queries: Tensor, start: MemoryState | None) -> Tensor:
    """Answers of a memory that is not written."""
    weights = start.weights if start else memory.init_weights(len(queries))
    chunks = math.ceil((queries.shape[1] + 1) / memory.retrieve_chunk_size)
    same = {k: w.unsqueeze(1).expand(-1, chunks, *w.shape[1:]) for k, w in weights.items()}
    answers: Tensor = memory.retrieve_memories(queries, same)
    return answers


def _state_of(memory: Any, state: Any) -> MemoryState:
    """The library's state as one to start from: its last update, momentum kept if there is any, no remainder."""
    weights, momentum = state.states
    return MemoryState(dict(weights.items()), {} if memory.to_momentum is None else dict(momentum.items()))


def _library_state(state: MemoryState) -> Any:
    """A state for the library: index 0, no remainder."""
    from tensordict import TensorDict
    from titans_pytorch.neural_memory import NeuralMemState

    weights, momentum = TensorDict(state.weights), TensorDict(state.momentum)
    return NeuralMemState(0, weights, None, (weights, momentum), None)
