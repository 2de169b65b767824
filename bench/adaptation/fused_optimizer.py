"""Optimisers in one kernel."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

KINDS: dict[str, Any] = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}


def fused_optimizer(
    kind: str, parameters: list[nn.Parameter] | list[dict[str, Any]], **options: float
) -> torch.optim.Optimizer:
    """``adam``, ``adamw`` or ``sgd``, in one kernel for all parameters where torch has it for their device."""
    try:
        return KINDS[kind](parameters, fused=True, **options)  # type: ignore[no-any-return]
    except RuntimeError:  # not on this device
        return KINDS[kind](parameters, **options)  # type: ignore[no-any-return]
