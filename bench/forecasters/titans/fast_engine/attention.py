"""The library's segmented attention in a few products; for the last token alone if no other is read."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from bench.forecasters.titans.fast_engine.derived import Derived


def uncovered(attention: Any) -> str:
    """Why a `titans_pytorch` attention module is left to the library; empty if it is not."""
    if attention.sliding:
        return "attention slides"
    if attention.use_flex_attn and attention.to_qkv.weight.is_cuda:
        return "flex attention was asked for"
    return ""


def attend(
    attention: Any,
    x: Tensor,
    first_values: Tensor | None,
    gates: Tensor | None,
    *,
    last_only: bool,
    derived: Derived | None = None,
) -> tuple[Tensor, Tensor]:
    """Causal attention of tokens ``(B, N, D)`` within segments, learned tokens first.

    Args:
        first_values: ``(B, h, N, d)``, values of the first layer, which later ones mix in.
        gates: Factors of the output, of its shape, or None.
        last_only: Whether only the last token's output is needed.

    Returns:
        ``(B, N, D)`` or ``(B, 1, D)``, and this layer's own values (of its last segment only with ``last_only``).
    """
    segment, length = attention.total_segment_len, x.shape[1]
    start = (length - 1) // segment * segment if last_only else 0
    normed = attention.norm(x[:, start:])
    q, k, own = _queries_keys_values(attention, normed, last_only=last_only)
    v = own
    if attention.to_learned_v_mix is not None:
        assert first_values is not None
        mix = attention.to_learned_v_mix[0](normed).sigmoid().transpose(1, 2).unsqueeze(-1)
        v = v.lerp(first_values[:, :, start:], mix)
    rotary, kept = attention.rotary_emb, derived or Derived()
    name = (rotary, start, length, x.dtype)
    cos, sin = kept(name, lambda: _rotations(rotary, start, length, x.dtype))
    q, k = _rotated(q, cos[-q.shape[2] :], sin[-q.shape[2] :]), _rotated(k, cos, sin)
    folded = length - start > segment
    if folded:
        q, k, v = (_folded(t, segment) for t in (q, k, v))
    persistent = attention.num_persist_mem_tokens
    if persistent:
        first_keys, other_values = attention.persistent_memory.unsqueeze(1).expand(-1, len(k), -1, -1, -1)
        k, v = torch.cat([first_keys, k], dim=2), torch.cat([other_values, v], dim=2)
    mask = None
    if q.shape[2] > 1:
        shape = (q.shape[2], k.shape[2])
        mask = kept(
            ("causal", *shape, x.device),
            lambda: torch.ones(shape, dtype=torch.bool, device=x.device).tril(persistent),
        )
    out = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    out = out.transpose(1, 2).flatten(2)
    if folded:
        out = out.unflatten(0, (len(x), -1)).flatten(1, 2)[:, :length]
    out = attention.to_out(out)
    return (out if gates is None else out * gates), own


def _queries_keys_values(attention: Any, normed: Tensor, *, last_only: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Each ``(B, h, N, d)``; one query with ``last_only``."""
    heads = attention.persistent_memory.shape[1]

    def by_head(t: Tensor) -> Tensor:
        split: Tensor = t.unflatten(2, (heads, -1))
        return split.transpose(1, 2)

    if not last_only:
        q, k, v = attention.to_qkv(normed).chunk(3, dim=-1)
        return by_head(q), by_head(k), by_head(v)
    weight = attention.to_qkv.weight
    inner = len(weight) // 3
    # plain matrix products: torch computes a linear layer on three axes differently with gradients
    k, v = (normed.flatten(0, 1) @ weight[inner:].T).unflatten(0, normed.shape[:2]).chunk(2, dim=-1)
    return by_head((normed[:, -1] @ weight[:inner].T).unsqueeze(1)), by_head(k), by_head(v)


def _rotations(rotary: Any, start: int, end: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Cosine and sine of every pair's angle at positions ``start`` to ``end``, as `_rotated` takes them."""
    positions = torch.arange(start, end, device=rotary.freqs.device, dtype=rotary.freqs.dtype)
    angles = (positions.unsqueeze(1) * rotary.freqs.detach()).to(dtype)
    cos, sin = angles.cos(), angles.sin()
    return torch.stack([cos, cos], dim=-1).flatten(1), torch.stack([-sin, sin], dim=-1).flatten(1)


def _rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions of ``(..., n, d)``: neighbouring numbers are a pair, rotated by its angle.

    ``cos`` and ``sin`` are ``(n, d)``, each value twice; sines negative for the first of a pair.
    """
    other = x.unflatten(-1, (-1, 2)).flip(-1).flatten(-2)
    return torch.addcmul(x * cos, other, sin)


def _folded(x: Tensor, segment: int) -> Tensor:
    """``(B, h, N, d)`` to ``(B * segments, h, segment, d)``, the last segment padded."""
    x = nn.functional.pad(x, (0, 0, 0, -x.shape[2] % segment))
    segments: Tensor = x.unflatten(2, (-1, segment))
    return segments.transpose(1, 2).flatten(0, 1)
