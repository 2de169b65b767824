"""The registered Titans forecaster: its options, under the library's names and meanings."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import Field, PositiveFloat, PositiveInt

from bench.errors import BenchError
from bench.forecaster import ForecasterConfig, Task, register_forecaster
from bench.forecasters.titans import Normalization, TimeSeriesTitansTransformer, require_whole_chunks


class TitansConfig(ForecasterConfig):
    """Options that decide pre-training; names and meanings are the library's.

    Attributes:
        dim: Width of a token.
        depth: Layers.
        dim_head: Width of an attention head.
        heads: Attention heads.
        ff_mult: Width of the feed-forward layers, in units of ``dim``.
        segment_len: Rows that attend to each other; None is the whole window, or one memory chunk where there are
            long-term tokens.
        neural_memory_segment_len: Rows in a memory chunk; None is the largest divisor of the lookback up to 24.
        neural_memory_batch_size: Tokens written against the same weights; None is the whole window.
        neural_memory_layers: Layers with a memory, counted from 1.
        num_residual_streams: Streams of hyper-connections; 1 is a plain residual.
        num_persist_mem_tokens: Learned tokens that every segment attends to.
        num_longterm_mem_tokens: Learned tokens that stand after each segment.
        memory_max_lr: Largest step of a write.
        memory_heads: Heads of the memory.
        memory_dim_head: Width of a memory head; None is ``dim``, divided by the heads.
        memory_depth: Layers of the memory's perceptron.
        memory_expansion: Width of its hidden layers, in units of the head's.
        memory_momentum: Whether surprise has momentum.
        attn_pool_chunks: Whether step, momentum and decay of a chunk come from attention rather than a mean.
        qk_rmsnorm: Whether the memory's queries and keys are normalised.
        per_parameter_lr_modulation: Whether each weight of the memory has a step size of its own.
        spectral_norm_surprises: Whether surprises are orthogonalised (Newton-Schulz).
        normalize: What is taken off each window.
    """

    dim: PositiveInt = 32
    depth: PositiveInt = 2
    dim_head: PositiveInt = 16
    heads: PositiveInt = 2
    ff_mult: PositiveInt = 2
    segment_len: PositiveInt | None = None
    neural_memory_segment_len: PositiveInt | None = None
    neural_memory_batch_size: PositiveInt | None = None
    neural_memory_layers: tuple[PositiveInt, ...] = (1,)
    num_residual_streams: PositiveInt = 1
    num_persist_mem_tokens: int = Field(4, ge=0)
    num_longterm_mem_tokens: int = Field(0, ge=0)
    memory_max_lr: PositiveFloat = 0.1
    memory_heads: PositiveInt = 1
    memory_dim_head: PositiveInt | None = None
    memory_depth: PositiveInt = 2
    memory_expansion: PositiveFloat = 2.0
    memory_momentum: bool = True
    attn_pool_chunks: bool = False
    qk_rmsnorm: bool = True
    per_parameter_lr_modulation: bool = False
    spectral_norm_surprises: bool = False
    normalize: Normalization = "blended"


@register_forecaster("titans")
class Titans(TimeSeriesTitansTransformer):
    """Titans transformer, memory as context, on one token per row."""

    Config: ClassVar[type[ForecasterConfig]] = TitansConfig
    tiny: ClassVar[dict[str, Any]] = {
        "dim": 8,
        "heads": 1,
        "dim_head": 8,
        "neural_memory_segment_len": 4,
        "training": {"steps": 2, "batch": 4, "evaluations": 1, "validation_windows": 4},
    }

    def __init__(self, config: TitansConfig, task: Task) -> None:
        chunk = config.neural_memory_segment_len or largest_divisor(task.lookback, 24)
        segment = config.segment_len or (chunk if config.num_longterm_mem_tokens else task.lookback)
        _check_config(config, chunk, segment, task.lookback)
        super().__init__(
            task.inputs,
            task.targets,
            task.horizon,
            dim=config.dim,
            depth=config.depth,
            segment_len=segment,
            target_index=task.target_index or (),
            normalize=config.normalize,
            anchor_rows=task.lookback,
            neural_memory_segment_len=chunk,
            neural_memory_layers=config.neural_memory_layers,
            neural_memory_batch_size=config.neural_memory_batch_size,
            num_residual_streams=config.num_residual_streams,
            num_persist_mem_tokens=config.num_persist_mem_tokens,
            num_longterm_mem_tokens=config.num_longterm_mem_tokens,
            dim_head=config.dim_head,
            heads=config.heads,
            ff_mult=config.ff_mult,
            neural_memory_kwargs={
                "heads": config.memory_heads,
                "dim_head": config.memory_dim_head or config.dim // config.memory_heads,
                "momentum": config.memory_momentum,
                "attn_pool_chunks": config.attn_pool_chunks,
                "qk_rmsnorm": config.qk_rmsnorm,
                "per_parameter_lr_modulation": config.per_parameter_lr_modulation,
                "spectral_norm_surprises": config.spectral_norm_surprises,
                "default_step_transform_max_lr": config.memory_max_lr,
                "default_model_kwargs": {"depth": config.memory_depth, "expansion_factor": config.memory_expansion},
            },
        )


def largest_divisor(number: int, limit: int) -> int:
    """The largest divisor of ``number`` that is at most ``limit``."""
    return max(d for d in range(1, limit + 1) if number % d == 0)


def _check_config(config: TitansConfig, chunk: int, segment: int, lookback: int) -> None:
    """Refuse at once what the library cannot do, and a memory that would never be written."""
    require_whole_chunks(config.neural_memory_batch_size, chunk)
    tokens = lookback + (lookback - 1) // segment * config.num_longterm_mem_tokens
    if chunk > tokens:
        raise BenchError(
            f"titans: a window of {tokens} tokens holds no memory chunk of {chunk}, so nothing would be written. "
            "Use a smaller neural_memory_segment_len."
        )
    if too_deep := [layer for layer in config.neural_memory_layers if layer > config.depth]:
        raise BenchError(f"titans: neural_memory_layers names layer {too_deep[0]}, but depth is {config.depth}")
    if config.memory_heads == 1 and config.memory_dim_head not in (None, config.dim):
        raise BenchError(f"titans: memory_dim_head must be dim ({config.dim}) where memory_heads is 1")
    if config.attn_pool_chunks and chunk == 1:
        raise BenchError("titans: attn_pool_chunks needs a memory chunk of more than one row")
