"""The linear maps of a memory's tokens, in one product where all are of the same tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bench.forecasters.fast.derived import Derived


@dataclass(frozen=True)
class Layers:
    """A memory's layers that are linear in tokens, found once.

    Attributes:
        queries: Of queries; as `keys` and `values`, without what may follow it.
        keys: Of keys.
        values: Of values.
        steps: Of step sizes.
        gates: By name, those that give each chunk its ``decay``, and where there are any ``momentum``, ``combine``
            (shares of its orders) and ``modulation`` (factors for each of the memory's tensors).
        is_one_product: Whether one product does for all of them: norms are root mean squares, which differ by a scale
            of each column at most, and gates see the mean of a chunk's tokens.
    """

    queries: nn.Linear
    keys: nn.Linear
    values: nn.Linear
    steps: nn.Linear
    gates: dict[str, nn.Linear]
    is_one_product: bool

    @classmethod
    def of(cls, memory: Any) -> Layers:
        """Those of a `titans_pytorch.NeuralMemory`."""
        from titans_pytorch.neural_memory import AveragePool

        gates = {
            "decay": memory.to_decay_factor,
            "momentum": memory.to_momentum,
            "combine": memory.to_learned_momentum_combine,
            "modulation": memory.to_layer_modulation,
        }
        return cls(
            queries=_linear(memory.to_queries),
            keys=_linear(memory.to_keys),
            values=_linear(memory.to_values),
            steps=memory.to_adaptive_step[0],
            gates={name: layer[0] for name, layer in gates.items() if layer is not None},
            is_one_product=isinstance(memory.store_norm, nn.RMSNorm)
            and isinstance(memory.reduce_to_chunk_rep, AveragePool),
        )

    def all(self) -> tuple[nn.Linear, ...]:
        """In the order of the one product."""
        return (self.queries, self.keys, self.values, self.steps, *self.gates.values())


@dataclass(frozen=True)
class Maps:
    """What the layers make of tokens.

    Attributes:
        queries: ``(B, N, h * d)``.
        keys: ``(B, M, h * u * d)``.
        values: ``(B, M, h * u * d)``.
        steps: ``(B, M, h * u)`` logits.
        gates: ``(B, n, ...)`` logits for each of `Layers.gates`.
        asked: Gives the tokens ``(B, N, D)`` as the gate of answers takes them.
    """

    queries: Tensor
    keys: Tensor
    values: Tensor
    steps: Tensor
    gates: Sequence[Tensor]
    asked: Callable[[], Tensor]


def one_by_one(memory: Any, layers: Layers, views: Sequence[Tensor], written: int) -> Maps:
    """Each map by itself.

    Args:
        memory: A `titans_pytorch.NeuralMemory`.
        layers: Its own.
        views: Queries', keys' and values' tokens, ``(B, N, D)`` each.
        written: How many tokens are written, whole chunks.
    """
    queries, keys, values = views
    asked, stored = memory.retrieve_norm(queries), memory.store_norm(keys[:, :written])
    valued = stored if values is keys else memory.store_norm(values[:, :written])
    pooled = memory.reduce_to_chunk_rep(stored, chunk_size=memory.store_chunk_size)
    return Maps(
        layers.queries(asked),
        layers.keys(stored),
        layers.values(valued),
        layers.steps(stored),
        [layer(pooled) for layer in layers.gates.values()],
        lambda: asked,
    )


def in_one_product(memory: Any, layers: Layers, tokens: Tensor, written: int, derived: Derived, *, reads: bool) -> Maps:
    """All maps at once, of the same tokens.

    The weights take on what norms scale columns by, and gates of a chunk's mean are the mean of its tokens' gates.

    Args:
        memory: A `titans_pytorch.NeuralMemory`.
        layers: Its own, with `Layers.is_one_product`.
        tokens: ``(B, N, D)``.
        written: How many tokens are written, whole chunks.
        derived: Keeps the weights.
        reads: False leaves out the queries.
    """
    asking, storing = memory.retrieve_norm, memory.store_norm

    def together() -> tuple[Tensor, Tensor, list[int], list[int]]:
        asks, *stores = (layer.weight for layer in layers.all())
        weight = torch.cat([asks * asking.weight, *(w * storing.weight for w in stores)])
        bias = torch.cat(
            [w.new_zeros(len(w)) if b is None else b for w, b in ((e.weight, e.bias) for e in layers.all())]
        )
        gates = [len(layer.weight) for layer in layers.gates.values()]
        sizes = [*(len(layer.weight) for layer in layers.all()[:4]), sum(gates)]
        if not reads:
            weight, bias, sizes = weight[sizes[0] :], bias[sizes[0] :], [0, *sizes[1:]]
        return weight.T, bias, sizes, gates

    weight, bias, sizes, gates = derived((memory, "maps", reads), together)
    normed = nn.functional.rms_norm(tokens, tokens.shape[-1:])
    product = torch.addmm(bias, normed.flatten(0, 1), weight).unflatten(0, normed.shape[:2])
    queries, *stored = product.split(sizes, dim=2)
    if written < tokens.shape[1]:
        stored = [t[:, :written] for t in stored]
    keys, values, steps, by_token = stored
    by_chunk = by_token.unflatten(1, (-1, memory.store_chunk_size)).mean(2)
    return Maps(queries, keys, values, steps, by_chunk.split(gates, dim=2), lambda: normed * asking.weight)


def _linear(layer: Any) -> nn.Linear:
    first: Any = layer[0] if isinstance(layer, nn.Sequential) else layer
    linear: nn.Linear = first
    return linear
