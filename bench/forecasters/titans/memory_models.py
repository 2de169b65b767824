"""The networks whose weights are the memory, and the losses of a write, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from torch import Tensor, nn

from bench.forecasters.titans.reference import library

MemoryModel = Literal["mlp", "attention", "factorized_mlp", "swiglu_mlp", "gated_residual"]
MemoryLoss = Literal["mse", "mae", "huber"]
MemoryActivation = Literal["none", "silu", "gelu", "relu", "tanh"]

ACTIVATIONS: dict[str, type[nn.Module] | None] = {
    "none": None,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
}

_CLASSES = {
    "mlp": "MemoryMLP",
    "attention": "MemoryAttention",
    "factorized_mlp": "FactorizedMemoryMLP",
    "swiglu_mlp": "MemorySwiGluMLP",
    "gated_residual": "GatedResidualMemoryMLP",
}

_LOSSES: dict[str, Callable[..., Tensor]] = {"mae": nn.functional.l1_loss, "huber": nn.functional.smooth_l1_loss}

# Default options of each model; those that are absent do not apply to it.
_DEFAULTS: dict[str, dict[str, float]] = {
    "mlp": {"depth": 2, "expansion_factor": 2.0},
    "attention": {"scale": 8.0, "expansion_factor": 2.0},
    "factorized_mlp": {"depth": 2, "k": 8},
    "swiglu_mlp": {"depth": 1, "expansion_factor": 2.0},
    "gated_residual": {"depth": 1, "expansion_factor": 2.0},
}


def model_options(
    name: MemoryModel,
    depth: int | None = None,
    expansion: float | None = None,
    rank: int | None = None,
    scale: float | None = None,
) -> tuple[dict[str, Any], list[str]]:
    """The arguments of a memory model (None: its default), and the given options that it does not use."""
    given = {"depth": depth, "expansion_factor": expansion, "k": rank, "scale": scale}
    words = {
        "depth": "memory_depth",
        "expansion_factor": "memory_expansion",
        "k": "memory_rank",
        "scale": "memory_attention_scale",
    }
    defaults = _DEFAULTS[name]
    chosen = {key: value if given[key] is None else given[key] for key, value in defaults.items()}
    unused = [words[key] for key, value in given.items() if value is not None and key not in defaults]
    if name == "mlp" and chosen["depth"] == 1 and expansion is not None:  # one layer has no hidden width
        unused.append(words["expansion_factor"])
    return chosen, unused


def hidden_width(name: MemoryModel, width: int, options: dict[str, Any]) -> int:
    """Width of the model's hidden layers, on heads of ``width``; the library rounds down."""
    if name == "factorized_mlp" or (name == "mlp" and options["depth"] == 1):
        return width
    return int(width * options["expansion_factor"] * (2 / 3 if name == "swiglu_mlp" else 1))


def memory_model(name: MemoryModel, width: int, options: dict[str, Any]) -> nn.Module:
    """The library's network from ``(..., width)`` to ``(..., width)``, with options of `model_options`."""
    model: nn.Module = getattr(library().memory_models, _CLASSES[name])(width, **options)
    return model


def memory_loss(name: MemoryLoss) -> Callable[[Tensor, Tensor], Tensor] | None:
    """Loss of each token, from two ``(..., D)`` to ``(...)``; None is the library's own, the squared error."""
    if name == "mse":
        return None
    loss = _LOSSES[name]

    def per_token(predicted: Tensor, target: Tensor) -> Tensor:
        return loss(predicted, target, reduction="none").mean(dim=-1)

    return per_token
