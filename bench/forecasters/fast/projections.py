"""What a memory makes of its tokens before it reads or writes: queries, keys, values, and the gates of each chunk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

Parts = tuple[Tensor, Tensor, Tensor, Tensor]


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
    asked, stored, (q, k, v, steps) = _linear(memory, queries, keys, values, written)
    q, k = _normed_heads(
        memory,
        _by_head(_activated(memory.to_queries, q), heads),
        _by_head(_activated(memory.to_keys, k), heads, updates),
    )
    v = _by_head(_activated(memory.to_values, v), heads, updates)
    gate = memory.retrieve_gate(asked) if memory.retrieve_gate is not None else None
    steps = memory.adaptive_step_transform(steps + memory.to_adaptive_step[0].bias)  # (B, N, h * u)
    steps = steps.unflatten(2, (heads, updates)).permute(2, 0, 1, 3).flatten(2)
    pooled = _pooled(memory.reduce_to_chunk_rep, stored, chunk)
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


def rms_normed(x: Tensor) -> Tensor:
    """Each vector over the root of its mean square, as `torch.nn.RMSNorm` without its scale."""
    square = x.square().mean(dim=-1, keepdim=True)
    return x * torch.rsqrt(square + torch.finfo(x.dtype).eps)


def _linear(memory: Any, queries: Tensor, keys: Tensor, values: Tensor, written: int) -> tuple[Tensor, Tensor, Parts]:
    """Tokens as they are asked with and as they are stored, ``(B, N, D)``, and their four linear maps.

    Where all are the same tokens, their norms differ by a scale of each column at most, which the weights take on, and
    one product does for all.
    """
    maps = [_weight(memory.to_queries), _weight(memory.to_keys), _weight(memory.to_values)]
    maps.append(memory.to_adaptive_step[0].weight)
    if not (queries is keys and keys is values and isinstance(memory.store_norm, nn.RMSNorm)):
        asked, stored = memory.retrieve_norm(queries), memory.store_norm(keys[:, :written])
        valued = stored if values is keys else memory.store_norm(values[:, :written])
        tokens = (asked, stored, valued, stored)
        q, k, v, steps = (t @ weight.T for t, weight in zip(tokens, maps, strict=True))
        return asked, stored, (q, k, v, steps)
    normed = rms_normed(queries)
    asking, storing = memory.retrieve_norm.weight, memory.store_norm.weight
    scaled = torch.cat([maps[0] * asking, *(weight * storing for weight in maps[1:])])
    together = (normed.flatten(0, 1) @ scaled.T).view(*normed.shape[:2], len(scaled))
    q, k, v, steps = together.split([len(weight) for weight in maps], dim=2)
    asked = normed * asking if memory.retrieve_gate is not None else normed
    return asked, normed[:, :written] * storing, (q, k[:, :written], v[:, :written], steps[:, :written])


def _pooled(pool: Any, stored: Tensor, chunk: int) -> Tensor:
    """One vector for each chunk, ``(B, n, D)``."""
    from titans_pytorch.neural_memory import AveragePool

    if isinstance(pool, AveragePool):
        return stored.unflatten(1, (-1, chunk)).mean(2)  # type: ignore[no-any-return]
    return pool(stored, chunk_size=chunk)  # type: ignore[no-any-return]


def _weight(layer: Any) -> Tensor:
    linear: Any = layer[0] if isinstance(layer, nn.Sequential) else layer
    weight: Tensor = linear.weight
    return weight


def _activated(layer: Any, x: Tensor) -> Tensor:
    """What follows a linear map in the library's layer, if anything does."""
    return layer[1](x) if isinstance(layer, nn.Sequential) else x


def _normed_heads(memory: Any, q: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
    """Queries and keys, ``(h, B, ., d)``, normed as the library does with heads behind the batch."""
    if isinstance(memory.q_norm, nn.Identity):
        return q, k
    q_scale, k_scale = torch.stack([memory.q_norm.gamma, memory.k_norm.gamma]).add(1.0).unsqueeze(2)
    return rms_normed(q) * q_scale, rms_normed(k) * k_scale


def _by_head(x: Tensor, heads: int, updates: int = 1) -> Tensor:
    """``(B, N, h * u * d)`` to ``(h, B, N * u, d)``."""
    if heads == 1 and updates == 1:
        return x.unsqueeze(0)
    split: Tensor = x.unflatten(2, (heads, updates, -1))
    return split.permute(2, 0, 1, 3, 4).flatten(2, 3)
