"""A small Titans transformer, and what tests of it share."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import settings
from torch import Tensor

from bench.evaluation.isolation import seeded
from bench.forecasters.titans.transformer import TimeSeriesTitansTransformer

torch.set_num_threads(1)

DIM, L, H = 8, 12, 3
ROW_TOKENS: dict[str, Any] = {
    "patch_len": 1,
    "skip": "none",
    "normalize": "blended",
    "dropout": 0.0,
    "write_dropout": 0.0,
}
"""Options of a model with one token for each row and no skip, whose head starts at random where targets are inputs."""
few = settings(max_examples=12, deadline=None, derandomize=True)


def made(memory: dict[str, Any] | None = None, **options: Any) -> TimeSeriesTitansTransformer:
    """A small model in ``eval()`` whose parameters, those that start at zero too, are all moved off their start."""
    settled: dict[str, Any] = {
        "input_dim": 2,
        "output_dim": 2,
        "pred_len": H,
        "dim": DIM,
        "depth": 2,
        "segment_len": L,
        "neural_memory_segment_len": 4,
        "dim_head": 8,
        "heads": 1,
    }
    step = {"default_step_transform_max_lr": 0.1, "default_model_kwargs": {"depth": 2, "expansion_factor": 2.0}}
    with seeded(1):
        model = TimeSeriesTitansTransformer(
            **settled | options, neural_memory_kwargs=step | (memory or {"dim_head": DIM})
        )
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
