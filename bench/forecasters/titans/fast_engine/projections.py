"""Queries, keys, values and the gates of each chunk, from a memory's tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from bench.forecasters.titans.fast_engine.derived import Derived
from bench.forecasters.titans.fast_engine.maps import Layers, in_one_product, one_by_one


@dataclass(frozen=True)
class Projections:
    """Heads first, then batch; or both in one, ``G = B * h``, as states have them.

    Attributes:
        queries: ``(h, B, N, d)``.
        gate: ``(B, h, N, 1)``, or None if answers are not gated.
        keys: ``(h, B, M, d)`` or ``(G, M, d)``: ``u`` of them for each token that is written.
        values: As the keys.
        steps: ``(h, B, M)`` or ``(G, M)`` step sizes.
        keeps: ``(1 + o, h, B, n)`` or ``(1 + o, G, n)``, see `recurrence`.
        combine: ``(o, h, B, n)``, or one more with the bare surprise first, or with heads and batch in one; see
            `recurrence`.
        modulation: ``(w, h, B, n)`` or ``(w, G, n)`` factors for each of the memory's tensors, or None.
    """

    queries: Tensor
    gate: Tensor | None
    keys: Tensor
    values: Tensor
    steps: Tensor
    keeps: Tensor
    combine: Tensor | None
    modulation: Tensor | None

    def chunks(self, first: int, last: int) -> Projections:
        """The part of chunks ``first`` to ``last`` (excluded), with all queries."""
        n = self.keeps.shape[-1]
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
            self.keeps[..., some],
            None if self.combine is None else self.combine[..., some],
            None if self.modulation is None else self.modulation[..., some],
        )


def project(
    memory: Any, views: Sequence[Tensor], written: int, derived: Derived, *, reads: bool = True, rows: bool = False
) -> Projections:
    """Queries of all tokens, and the rest of the first ``written`` tokens, whole chunks.

    Args:
        views: Inputs of queries, keys and values, ``(B, N, D)`` each; gates come from the keys' too.
        reads: False leaves the queries empty, and reads only the written tokens.
        rows: Whether heads and batch are in one.
    """
    layers = derived((memory, "layers"), lambda: Layers.of(memory))
    if not reads:
        views = _first_of(views, written)
    queries, keys, values = views
    if layers.is_one_product and queries is keys and keys is values:
        maps = in_one_product(memory, layers, queries, written, derived, reads=reads)
    else:
        maps = one_by_one(memory, layers, views, written)
    heads, updates = memory.heads, memory.num_kv_per_token
    by_head, by_chunk = (_rows, _chunk_rows) if rows else (_heads_in_front, _chunk_heads_in_front)
    k = _normed(memory.k_norm, by_head(_activated(memory.to_keys, maps.keys), heads, updates), derived)
    v = by_head(_activated(memory.to_values, maps.values), heads, updates)
    q, gate = maps.queries, None
    if reads:
        q = _normed(memory.q_norm, _heads_in_front(_activated(memory.to_queries, q), heads), derived)
        gate = memory.retrieve_gate(maps.asked()) if memory.retrieve_gate is not None else None
    steps = memory.adaptive_step_transform(by_head(maps.steps, heads, updates).squeeze(-1))
    keeps, combine, modulation = by_chunk(maps.gates, heads), None, None
    if layers.widths.keys() & {"combine", "modulation"}:
        gates = dict(zip(layers.widths, keeps.split_with_sizes([*layers.widths.values()]), strict=True))
        keeps = keeps[: 1 + layers.widths.get("momentum", 0)]
        combine = gates["combine"].softmax(0) if "combine" in gates else None
        if "modulation" in gates:
            modulation = gates["modulation"].sigmoid() * memory.max_mem_layer_modulation
    return Projections(q, gate, k, v, steps, keeps, combine, modulation)


def _first_of(views: Sequence[Tensor], written: int) -> list[Tensor]:
    """The first tokens of each; equal tensors stay one."""
    first = {id(t): t if t.shape[1] == written else t[:, :written] for t in views}
    return [first[id(t)] for t in views]


def _activated(layer: Any, x: Tensor) -> Tensor:
    """Apply what follows a linear map in the library's layer, if anything does."""
    return layer[1](x) if isinstance(layer, nn.Sequential) else x


def _normed(norm: Any, x: Tensor, derived: Derived) -> Tensor:
    """Queries or keys by head, normed as the library does with heads after the batch."""
    if isinstance(norm, nn.Identity):
        return x
    width = x.shape[-1:]
    if len(norm.gamma) == 1:
        return nn.functional.rms_norm(x, width, derived((norm, "scale"), lambda: norm.gamma[0, 0] + 1.0))
    scale: Tensor = derived((norm, "scales"), lambda: norm.gamma + 1.0)  # (h, 1, d)
    if x.ndim == 3:
        return nn.functional.rms_norm(x, width) * scale.repeat(len(x) // len(scale), 1, 1)
    return nn.functional.rms_norm(x, width) * scale.unsqueeze(1)


def _heads_in_front(x: Tensor, heads: int, updates: int = 1) -> Tensor:
    """``(B, N, h * u * d)`` to ``(h, B, N * u, d)``."""
    if heads == 1 and updates == 1:
        return x.unsqueeze(0)
    split: Tensor = x.unflatten(2, (heads, updates, -1))
    return split.permute(2, 0, 1, 3, 4).flatten(2, 3)


def _rows(x: Tensor, heads: int, updates: int = 1) -> Tensor:
    """``(B, N, h * u * d)`` to ``(B * h, N * u, d)``."""
    if heads == 1 and updates == 1:
        return x
    split: Tensor = x.unflatten(2, (heads, updates, -1))
    return split.permute(0, 2, 1, 3, 4).flatten(0, 1).flatten(1, 2)


def _chunk_heads_in_front(x: Tensor, heads: int) -> Tensor:
    """``(B, n, h * w)`` to ``(w, h, B, n)``."""
    split: Tensor = x.unflatten(2, (heads, -1))
    return split.permute(3, 2, 0, 1)


def _chunk_rows(x: Tensor, heads: int) -> Tensor:
    """``(B, n, h * w)`` to ``(w, B * h, n)``."""
    if heads == 1:
        return x.permute(2, 0, 1)
    split: Tensor = x.unflatten(2, (heads, -1))
    return split.permute(3, 0, 2, 1).flatten(1, 2)
