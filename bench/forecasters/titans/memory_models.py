"""The networks whose weights are the memory, and the loss that a write takes a step on, by name."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Literal

from torch import Tensor, nn

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

_LOSSES: dict[str, Callable[..., Tensor]] = {"mae": nn.functional.l1_loss, "huber": nn.functional.smooth_l1_loss}

# What an option is where it is not given. Those that are absent do not apply to the model.
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
    """The arguments of a memory model, and the options given that it has no use for.

    Args:
        name: Which model.
        depth: Its layers; None is the model's own default, here and below.
        expansion: Width of its hidden layers, in units of the head's.
        rank: Of factorised weights.
        scale: Of attention logits.
    """
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
    """A network from ``(..., width)`` to ``(..., width)``, as the library has it.

    Args:
        name: Which.
        width: Of a memory head.
        options: As `model_options` gives them.
    """
    with warnings.catch_warnings():  # titans_pytorch 0.5.5 uses torch.jit.script, which torch deprecates
        warnings.filterwarnings("ignore", message=".*torch.jit.script.*")
        from titans_pytorch import memory_models
    classes: dict[str, Callable[..., nn.Module]] = {
        "mlp": memory_models.MemoryMLP,
        "attention": memory_models.MemoryAttention,
        "factorized_mlp": memory_models.FactorizedMemoryMLP,
        "swiglu_mlp": memory_models.MemorySwiGluMLP,
        "gated_residual": memory_models.GatedResidualMemoryMLP,
    }
    return classes[name](width, **options)


def memory_loss(name: MemoryLoss) -> Callable[[Tensor, Tensor], Tensor] | None:
    """The loss of each token, ``(..., D)`` and ``(..., D)`` to ``(...)``; None is the library's own, squared error."""
    if name == "mse":
        return None
    loss = _LOSSES[name]

    def per_token(predicted: Tensor, target: Tensor) -> Tensor:
        return loss(predicted, target, reduction="none").mean(dim=-1)

    return per_token
