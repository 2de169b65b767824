"""The weights of several models side by side, so that one pass serves all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from bench.contracts.forecaster import abilities


class Stack:
    """M models of one class, whose weights become views into tensors that hold all of them.

    Args:
        models: As `can_stack` has them.

    Attributes:
        weights: ``(M, ...)`` by name; those that learn require a gradient.
    """

    def __init__(self, models: Sequence[Any]) -> None:
        self._model = models[0]
        self.weights: dict[str, Tensor] = {}
        for name, own in self._model.named_parameters():
            same = [model.get_parameter(name) for model in models]
            weights = torch.stack([parameter.detach() for parameter in same])
            for parameter, view in zip(same, weights.unbind(0), strict=True):
                parameter.data = view
            self.weights[name] = weights.requires_grad_(own.requires_grad)

    def forecast(self, windows: Tensor) -> Tensor:
        """Forecasts ``(M, B, H, C_out)`` of windows ``(B, L, C_in)``."""
        return self._model.forward_stacked(self.weights, windows)  # type: ignore[no-any-return]


def can_stack(models: Sequence[Any]) -> bool:
    """Whether models can be stacked: one class that has the ability, the same weights, and no other state."""
    one = models[0]
    if "stacked" not in abilities(type(one)) or not getattr(one, "stacks", True):
        return False
    shapes = [
        {name: (weight.shape, weight.dtype, weight.requires_grad) for name, weight in model.named_parameters()}
        for model in models
    ]
    same = all(type(model) is type(one) for model in models) and all(found == shapes[0] for found in shapes)
    return same and not any(isinstance(model, nn.Module) and [*model.buffers()] for model in models)
