"""What a memory makes of its tokens before it reads or writes: queries, keys, values, and the gates of each chunk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Projections:
    """Heads in front, then batch.

    Attributes:
        queries: ``(h, B, N, d)``.
        gate: ``(B, h, N, 1)``, or None where answers are not gated.
        keys: ``(h, B, M, d)``: ``u`` of them for each token that is written.
        values: ``(h, B, M, d)``.
        steps: ``(h, B, M)`` step sizes.
        decay: ``(h, B, n)`` logits, one for each chunk.
        momentum: ``(o, h, B, n)`` logits, or None.
        combine: ``(o, h, B, n)`` shares of the orders of momentum, or None.
        modulation: ``(w, h, B, n)`` factors for each of the memory's tensors, or None.
    """

    queries: Tensor
    gate: Tensor | None
    keys: Tensor
    values: Tensor
    steps: Tensor
    decay: Tensor
    momentum: Tensor | None
    combine: Tensor | None
    modulation: Tensor | None

    def chunks(self, first: int, last: int) -> Projections:
        """What belongs to chunks ``first`` to ``last`` (left out); queries stay."""
        n = self.decay.shape[-1]
        if (first, last) == (0, n):
            return self
        per_chunk = self.keys.shape[2] // n
        tokens, some = slice(first * per_chunk, last * per_chunk), slice(first, last)
        return Projections(
            self.queries,
            self.gate,
            self.keys[:, :, tokens],
            self.values[:, :, tokens],
            self.steps[..., tokens],
            self.decay[..., some],
            None if self.momentum is None else self.momentum[..., some],
            None if self.combine is None else self.combine[..., some],
            None if self.modulation is None else self.modulation[..., some],
        )


def project(memory: Any, queries: Tensor, keys: Tensor, values: Tensor, written: int) -> Projections:
    """Queries of every token given, the rest of the first ``written`` tokens, whole chunks.

    Args:
        memory: A `titans_pytorch.NeuralMemory`.
        queries: ``(B, N, D)`` tokens.
        keys: ``(B, N, D)`` tokens; gates come from them too.
        values: ``(B, N, D)`` tokens.
        written: How many tokens are written.
    """
    heads, updates, chunk = memory.heads, memory.num_kv_per_token, memory.store_chunk_size
    asked = memory.retrieve_norm(queries)
    q = memory.q_norm(_by_head(memory.to_queries(asked), heads).transpose(0, 1)).transpose(0, 1)
    gate = memory.retrieve_gate(asked) if memory.retrieve_gate is not None else None
    stored = memory.store_norm(keys[:, :written])
    same = values is keys
    valued = stored if same else memory.store_norm(values[:, :written])
    k = memory.k_norm(_by_head(memory.to_keys(stored), heads, updates).transpose(0, 1)).transpose(0, 1)
    v = _by_head(memory.to_values(valued), heads, updates)
    steps = memory.adaptive_step_transform(memory.to_adaptive_step[0](stored))  # (B, N, h * u)
    steps = steps.unflatten(2, (heads, updates)).permute(2, 0, 1, 3).flatten(2)
    pooled = memory.reduce_to_chunk_rep(stored, chunk_size=chunk)
    decay = memory.to_decay_factor[0](pooled).permute(2, 0, 1)
    momentum = combine = modulation = None
    if memory.to_momentum is not None:
        momentum = memory.to_momentum[0](pooled).unflatten(2, (heads, -1)).permute(3, 2, 0, 1)
    if memory.to_learned_momentum_combine is not None:
        logits = memory.to_learned_momentum_combine[0](pooled).unflatten(2, (heads, -1)).permute(3, 2, 0, 1)
        combine = logits.softmax(0)
    if memory.to_layer_modulation is not None:
        logits = memory.to_layer_modulation[0](pooled).unflatten(2, (heads, -1)).permute(3, 2, 0, 1)
        modulation = logits.sigmoid() * memory.max_mem_layer_modulation
    return Projections(q, gate, k, v, steps, decay, momentum, combine, modulation)


def _by_head(x: Tensor, heads: int, updates: int = 1) -> Tensor:
    """``(B, N, h * u * d)`` to ``(h, B, N * u, d)``."""
    if heads == 1 and updates == 1:
        return x.unsqueeze(0)
    split: Tensor = x.unflatten(2, (heads, updates, -1))
    return split.permute(2, 0, 1, 3, 4).flatten(2, 3)
