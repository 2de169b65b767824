"""Scales and shifts of a network's layers, generated from a vector: what makes weights differ from window to window."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from bench.adaptation.calibration_layers import zero_linear

MODULATED = (nn.Linear, nn.Conv1d)


class LayerModulation(nn.Module):
    """From a vector to the weights of all linear layers and convolutions of a network; at first those that it has.

    A layer of weight ``(out, in, ...)`` has a factor for each output and each input, and a factor and a shift for each
    element of its bias. Layers of one shape share a generator, a bottleneck with a bias for each layer.

    Args:
        model: The network. Layers that are not trained are left as they are.
        width: Of the vector.
        bottleneck: Width of the generators.

    Source: PROCEED, Zhao and Shen (KDD 2025).
    """

    def __init__(self, model: nn.Module, width: int, bottleneck: int) -> None:
        super().__init__()
        layers = {
            name: module
            for name, module in model.named_modules()
            if isinstance(module, MODULATED) and module.weight.requires_grad
        }
        shapes = {name: (*layer.weight.shape, layer.bias is not None) for name, layer in layers.items()}
        groups = {shape: f"group{i}" for i, shape in enumerate(dict.fromkeys(shapes.values()))}
        self.group_of = {name: groups[shape] for name, shape in shapes.items()}
        self.sizes = {name: _sizes(layer) for name, layer in layers.items()}
        self.down, self.up = nn.ModuleDict(), nn.ModuleDict()
        for shape, group in groups.items():
            first = next(name for name, own in shapes.items() if own == shape)
            self.down[group] = nn.Linear(width, bottleneck, bias=False)
            self.up[group] = zero_linear(bottleneck, sum(self.sizes[first]), bias=False)
        bound = 1 / math.sqrt(bottleneck)
        self.biases = nn.ParameterDict(
            {_key(name): nn.Parameter(torch.empty(bottleneck).uniform_(-bound, bound)) for name in layers}
        )

    def forward(self, vector: Tensor, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weights and biases of the modulated layers by name, for a vector ``(width,)`` and the present parameters."""
        found = {}
        for name, group in self.group_of.items():
            hidden = torch.sigmoid(self.down[group](vector) + self.biases[_key(name)])
            rows, columns, scale, shift = self.up[group](hidden).split(self.sizes[name])
            weight = parameters[f"{name}.weight"]
            beyond = [1] * (weight.dim() - 2)
            factors = (1 + rows).view(-1, 1, *beyond) * (1 + columns).view(1, -1, *beyond)
            found[f"{name}.weight"] = weight * factors
            if len(scale):
                found[f"{name}.bias"] = parameters[f"{name}.bias"] * (1 + scale) + shift
        return found


def _sizes(layer: nn.Linear | nn.Conv1d) -> list[int]:
    """Numbers that a layer needs: factors of outputs and of inputs, factors and shifts of its bias."""
    outputs, inputs = layer.weight.shape[:2]
    own = outputs if layer.bias is not None else 0
    return [outputs, inputs, own, own]


def _key(name: str) -> str:
    return name.replace(".", "/")
