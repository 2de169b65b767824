"""The linear maps of a memory's tokens, in one product if all have the same input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bench.forecasters.titans.fast_engine.derived import Derived


@dataclass(frozen=True)
class Layers:
    """A memory's layers that are linear in tokens.

    Attributes:
        queries: Without what may follow it, as `keys` and `values`.
        steps: Of step sizes.
        gates: By name: ``decay`` of each chunk, and if there are any ``momentum``, ``combine`` (shares of its orders)
            and ``modulation`` (factors for each of the memory's tensors).
        widths: Logits that each gate has for one head.
        is_one_product: Whether one product suffices: norms are root mean squares, which differ by a scale
            of each column at most, and gates see the mean of a chunk's tokens.
    """

    queries: nn.Linear
    keys: nn.Linear
    values: nn.Linear
    steps: nn.Linear
    gates: dict[str, nn.Linear]
    widths: dict[str, int]
    is_one_product: bool

    @classmethod
    def of(cls, memory: Any) -> Layers:
        """Those of a `titans_pytorch.NeuralMemory`."""
        from titans_pytorch.neural_memory import AveragePool

        found = {
            "decay": memory.to_decay_factor,
            "momentum": memory.to_momentum,
            "combine": memory.to_learned_momentum_combine,
            "modulation": memory.to_layer_modulation,
        }
        gates = {name: layer[0] for name, layer in found.items() if layer is not None}
        return cls(
            queries=_linear(memory.to_queries),
            keys=_linear(memory.to_keys),
            values=_linear(memory.to_values),
            steps=memory.to_adaptive_step[0],
            gates=gates,
            widths={name: len(layer.weight) // memory.heads for name, layer in gates.items()},
            is_one_product=isinstance(memory.store_norm, nn.RMSNorm)
            and isinstance(memory.reduce_to_chunk_rep, AveragePool),
        )

    def of_tokens(self) -> tuple[nn.Linear, ...]:
        """All but the gates, in the order of the one product."""
        return (self.queries, self.keys, self.values, self.steps)

    def joined(self, of_gates: Sequence[Tensor], dim: int) -> Tensor:
        """Tensors of gates, heads and widths in one at ``dim``, joined by head; decay negated, as the share kept."""
        split = [t.unflatten(dim, (-1, width)) for t, width in zip(of_gates, self.widths.values(), strict=True)]
        return torch.cat([-split[0], *split[1:]], dim + 1).flatten(dim, dim + 1)


@dataclass(frozen=True)
class Maps:
    """Outputs of the layers.

    Attributes:
        queries: ``(B, N, h * d)``.
        keys: ``(B, M, h * u * d)``.
        values: ``(B, M, h * u * d)``.
        steps: ``(B, M, h * u)`` logits.
        gates: ``(B, n, h * w)`` logits, for each head those of the share of the weights that is kept, then of all other
            gates.
        asked: Gives the input ``(B, N, D)`` of the gate of answers.
    """

    queries: Tensor
    keys: Tensor
    values: Tensor
    steps: Tensor
    gates: Tensor
    asked: Callable[[], Tensor]


def one_by_one(memory: Any, layers: Layers, views: Sequence[Tensor], written: int) -> Maps:
    """Each map by itself: inputs of queries, keys and values ``(B, N, D)``, of which ``written`` tokens are written."""
    queries, keys, values = views
    asked, stored = memory.retrieve_norm(queries), memory.store_norm(keys[:, :written])
    valued = stored if values is keys else memory.store_norm(values[:, :written])
    pooled = memory.reduce_to_chunk_rep(stored, chunk_size=memory.store_chunk_size)
    return Maps(
        layers.queries(asked),
        layers.keys(stored),
        layers.values(valued),
        layers.steps(stored),
        layers.joined([layer(pooled) for layer in layers.gates.values()], 2),
        lambda: asked,
    )


def in_one_product(memory: Any, layers: Layers, tokens: Tensor, written: int, derived: Derived, *, reads: bool) -> Maps:
    """All maps at once, of the same tokens ``(B, N, D)``, for `Layers.is_one_product`.

    The weights include the norms' column scales, and the gates of a chunk's mean are the mean of its tokens' gates.
    """
    asking, storing = memory.retrieve_norm, memory.store_norm

    def together() -> tuple[Tensor, Tensor, list[int]]:
        gates = list(layers.gates.values())
        asks, *stores = [layer.weight for layer in layers.of_tokens()]
        stores.append(layers.joined([layer.weight for layer in gates], 0))
        weight = torch.cat([asks * asking.weight, *(w * storing.weight for w in stores)])
        biases = [layer.weight.new_zeros(len(layer.weight)) for layer in layers.of_tokens()[:3]]
        biases += [layers.steps.bias, layers.joined([layer.bias for layer in gates], 0)]
        bias, sizes = torch.cat(biases), [len(b) for b in biases]
        if not reads:
            weight, bias, sizes = weight[sizes[0] :], bias[sizes[0] :], [0, *sizes[1:]]
        return weight.T, bias, sizes

    weight, bias, sizes = derived((memory, "maps", reads), together)
    normed = nn.functional.rms_norm(tokens, tokens.shape[-1:])
    batch, length, width = tokens.shape
    product = torch.addmm(bias, normed.view(-1, width), weight).view(batch, length, -1)
    queries, *stored = product.split_with_sizes(sizes, dim=2)
    if written < length:
        stored = [t[:, :written] for t in stored]
    keys, values, steps, by_token = stored
    gates = by_token.view(batch, -1, memory.store_chunk_size, sizes[-1]).mean(2)
    return Maps(queries, keys, values, steps, gates, lambda: normed * asking.weight)


def _linear(layer: Any) -> nn.Linear:
    first: Any = layer[0] if isinstance(layer, nn.Sequential) else layer
    linear: nn.Linear = first
    return linear
