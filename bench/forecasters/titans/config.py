"""Options of the Titans forecaster, under the library's names and meanings, and which of them cannot be combined."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from bench.contracts.forecaster import ForecasterConfig, Task, TrainingConfig
from bench.forecasters.titans.channels import Channels
from bench.forecasters.titans.memory_models import (
    MemoryActivation,
    MemoryLoss,
    MemoryModel,
    hidden_width,
    model_options,
)
from bench.forecasters.titans.transformer import Engine
from bench.forecasters.titans.units import largest_divisor
from bench.forecasters.window_normalization import Normalization

Skip = Literal["ridge", "none"]
MOST_TOKEN_ROWS, SHORT_TOKEN_ROWS, MOST_CHUNK_ROWS = 24, 8, 24


class TitansConfig(ForecasterConfig):
    """Options that decide pre-training; names and meanings are the library's where it has them.

    The defaults were chosen on validation rows; docs/titans.md says what else was tried.

    Attributes:
        patch_len: Rows in a token, all columns together; a window is whole tokens. None is the largest divisor of the
            lookback up to 24, or up to 8 where the horizon is shorter than 24.
        skip: What the transformer's output is added to: ``ridge``, a ridge regression on the window in closed form; or
            ``none``, the window's level, where targets are inputs (otherwise the regression in any case).
        skip_bound: Deviation of a channel's window, in training deviations, beyond which the steps that the regression
            predicts no longer grow with it: a guard for channels whose scale grows far beyond training.
        dropout: Share of the last hidden state that training drops before the head.
        write_dropout: Share of training steps that read the memory and do not write it, so that ``frozen`` is served as
            it was trained.
        dim: Width of a token.
        depth: Layers.
        dim_head: Width of an attention head.
        heads: Attention heads.
        ff_mult: Width of the feed-forward layers, in units of ``dim``.
        segment_len: Tokens that attend to each other; None is the whole window, or one memory chunk where there are
            long-term tokens.
        sliding_window_attn: Whether a token also attends to the segment before its own, as far back as a segment is
            long.
        num_residual_streams: Streams of hyper-connections; 1 is a plain residual.
        num_persist_mem_tokens: Learned tokens that every segment attends to.
        num_longterm_mem_tokens: Learned tokens between segments.
        neural_memory_layers: Layers with a memory, counted from 1.
        neural_memory_segment_len: Tokens in a memory chunk; None is the largest divisor of a window's tokens whose
            rows are at most 24.
        neural_memory_batch_size: Tokens written against the same weights; None is the whole window.
        neural_mem_gate_attn_output: Whether what is read gates the output of attention, rather than joining the
            residual stream.
        neural_mem_weight_residual: Whether the weights of the memory before are added where a later memory's surprise
            is taken.
        neural_memory_qkv_receives_diff_views: Whether a memory's queries, keys and values each choose their input from
            the inputs and outputs of the layers before.
        memory_heads: Heads of the memory.
        memory_dim_head: Width of a memory head; None is ``dim``, divided by the heads.
        per_head_learned_parameters: Whether each head has an initial memory of its own, or all share one.
        memory_model: The network whose weights are the memory: ``mlp``, ``attention``, ``factorized_mlp``,
            ``swiglu_mlp`` or ``gated_residual``.
        memory_depth: Its layers; None is 2 for ``mlp`` and ``factorized_mlp``, 1 for ``swiglu_mlp`` and
            ``gated_residual``.
        memory_expansion: Width of its hidden layers, in units of the head's; None is 2. Not for ``factorized_mlp``.
        memory_rank: Rank of its factorised weights (``factorized_mlp``); None is 8.
        memory_attention_scale: Scale of its attention logits (``attention``); None is 8.
        memory_residual_norm: Whether its output is normalised and added to its input.
        memory_max_lr: Largest step of a write.
        memory_step_bias: Where the logit of the step starts, for every token alike; None is a random layer.
        memory_loss: What a write lowers, between the memory's answer to a key and the value: ``mse``, ``mae`` or
            ``huber``.
        num_kv_per_token: Keys and values that each token writes.
        store_with_lookahead_value: Whether a key is written with the value of the token after it, within a chunk.
        max_grad_norm: Soft limit on the norm of a chunk's surprise, for each weight; None is no limit.
        per_parameter_lr_modulation: Whether each weight of the memory has a step size of its own.
        max_mem_layer_modulation: Largest factor of that step size.
        memory_momentum: Whether surprise has momentum.
        memory_momentum_order: Times that momentum is taken, each of the one before.
        memory_momentum_bias: Where the logit of momentum starts, for every chunk alike; None is a random layer.
        learned_momentum_combine: Whether orders of momentum are weighed, rather than the last one taken.
        learned_combine_include_zeroth: Whether the surprise itself is weighed among them.
        memory_decay_bias: Where the logit of forgetting starts, for every chunk alike: -4 keeps 98 % of a memory from
            chunk to chunk; None is a random layer.
        spectral_norm_surprises: Whether surprises are orthogonalised (Newton-Schulz).
        gated_transition: Whether a learned gate eases the weights from one batch of writes to the next.
        attn_pool_chunks: Whether step, momentum and decay of a chunk come from attention rather than a mean.
        use_accelerated_scan: Whether the scan over chunks is a CUDA kernel.
        pre_rmsnorm: Whether tokens are normalised before they are read from or written to the memory.
        post_rmsnorm: Whether what is read is normalised, in each head.
        qk_rmsnorm: Whether the memory's queries and keys are normalised.
        memory_activation: What follows the projections to queries, keys and values: ``none``, ``silu``, ``gelu``,
            ``relu`` or ``tanh``.
        normalize: What is taken off each window: ``none``, ``last``, ``mean-std`` (RevIN), ``last-std`` or
            ``blended``.
        revin_affine: Whether each column has a learned gain and shift after that, undone on the forecast.
        memory_engine: ``fast`` computes the same as the library another way, where it can; ``reference`` calls it.
        compile: Whether forecasts and training steps run as compiled graphs (`torch.compile`); compiling takes a minute
            or so at the start of each run.
        channels: ``mixed`` is one sequence of all columns; ``independent`` is a sequence for each target, with the
            inputs that are not targets beside it, and with a memory of its own.
        walk_share: Share of each training step's windows that start from a carried memory, as they do in service; the
            others are drawn at random and start from the learned initial memory. Above 0, training also stops on the
            error of both.
        walk_truncation: Consecutive windows whose writes the gradient is followed through.
        walk_age: Units of rows that a memory is carried for before it restarts.
    """

    patch_len: PositiveInt | None = None
    skip: Skip = "ridge"
    skip_bound: PositiveFloat | None = 4.0
    dropout: float = Field(0.2, ge=0, lt=1)
    write_dropout: float = Field(0.5, ge=0, lt=1)
    dim: PositiveInt = 64
    depth: PositiveInt = 2
    dim_head: PositiveInt = 16
    heads: PositiveInt = 2
    ff_mult: PositiveInt = 2
    segment_len: PositiveInt | None = None
    sliding_window_attn: bool = False
    num_residual_streams: PositiveInt = 1
    num_persist_mem_tokens: NonNegativeInt = 4
    num_longterm_mem_tokens: NonNegativeInt = 0
    neural_memory_layers: tuple[PositiveInt, ...] = (1,)
    neural_memory_segment_len: PositiveInt | None = None
    neural_memory_batch_size: PositiveInt | None = None
    neural_mem_gate_attn_output: bool = False
    neural_mem_weight_residual: bool = False
    neural_memory_qkv_receives_diff_views: bool = False
    memory_heads: PositiveInt = 1
    memory_dim_head: PositiveInt | None = None
    per_head_learned_parameters: bool = True
    memory_model: MemoryModel = "mlp"
    memory_depth: PositiveInt | None = None
    memory_expansion: PositiveFloat | None = None
    memory_rank: PositiveInt | None = None
    memory_attention_scale: PositiveFloat | None = None
    memory_residual_norm: bool = True
    memory_max_lr: PositiveFloat = 0.1
    memory_step_bias: float | None = None
    memory_loss: MemoryLoss = "mse"
    num_kv_per_token: PositiveInt = 1
    store_with_lookahead_value: bool = False
    max_grad_norm: PositiveFloat | None = None
    per_parameter_lr_modulation: bool = False
    max_mem_layer_modulation: PositiveFloat = 1.0
    memory_momentum: bool = True
    memory_momentum_order: PositiveInt = 1
    memory_momentum_bias: float | None = None
    learned_momentum_combine: bool = False
    learned_combine_include_zeroth: bool = False
    memory_decay_bias: float | None = None
    spectral_norm_surprises: bool = False
    gated_transition: bool = False
    attn_pool_chunks: bool = False
    use_accelerated_scan: bool = False
    pre_rmsnorm: bool = True
    post_rmsnorm: bool = False
    qk_rmsnorm: bool = True
    memory_activation: MemoryActivation = "none"
    normalize: Normalization = "last-std"
    revin_affine: bool = False
    memory_engine: Engine = "fast"
    compile: bool = False
    channels: Channels = "mixed"
    training: TrainingConfig = TrainingConfig(steps=800, evaluations=16, patience=5)
    walk_share: float = Field(0.25, ge=0, le=1)
    walk_truncation: PositiveInt = 4
    walk_age: PositiveInt = 64

    @model_validator(mode="after")
    def _can_be(self) -> Self:
        if reasons := list(option_refusals(self)):
            raise ValueError("; ".join(reasons))
        return self

    @property
    def memory_width(self) -> int:
        """Width of a memory head."""
        return self.memory_dim_head or self.dim // self.memory_heads

    def token_rows(self, task: Task) -> int:
        """Rows in a token of a task's windows."""
        most = MOST_TOKEN_ROWS if task.horizon >= MOST_TOKEN_ROWS else SHORT_TOKEN_ROWS
        return self.patch_len or largest_divisor(task.lookback, most)

    def window_sizes(self, task: Task) -> tuple[int, int]:
        """Tokens in a memory chunk, and in a segment, of a task's windows."""
        rows = self.token_rows(task)
        tokens = task.lookback // rows
        chunk = self.neural_memory_segment_len or largest_divisor(tokens, max(1, MOST_CHUNK_ROWS // rows))
        return chunk, self.segment_len or (chunk if self.num_longterm_mem_tokens else tokens)


def option_refusals(config: TitansConfig) -> Iterator[str]:
    """Why these options cannot be combined, whatever the task: one sentence each, with the way out."""
    yield from _transformer(config)
    yield from _memory_layers(config)
    yield from _memory_model(config)
    yield from _writes(config)
    if config.compile and (reasons := list(_uncovered(config))):
        yield f"compile needs the fast memory engine, which does not cover {' and '.join(reasons)}. Leave compile out."


def _uncovered(config: TitansConfig) -> Iterator[str]:
    """Options that need the library's own modules, which do not compile."""
    if config.memory_engine != "fast":
        yield f'memory_engine = "{config.memory_engine}"'
    if config.memory_model != "mlp":
        yield f'memory_model = "{config.memory_model}"'
    if config.memory_loss != "mse":
        yield f'memory_loss = "{config.memory_loss}"'
    for name in ("neural_mem_weight_residual", "store_with_lookahead_value", "sliding_window_attn"):
        if getattr(config, name):
            yield name


def _transformer(config: TitansConfig) -> Iterator[str]:
    if config.dim_head % 2 or config.dim_head < 4:
        yield f"dim_head={config.dim_head} must be even and at least 4: attention rotates its dimensions in pairs"
    if int(config.dim * config.ff_mult * 2 / 3) < 1:
        yield f"dim={config.dim} with ff_mult={config.ff_mult} leaves the feed-forward layers no width: use more"
    if config.sliding_window_attn and config.segment_len is None:
        yield "sliding_window_attn slides over segments: give segment_len, of fewer rows than the window"
    if config.revin_affine and config.normalize not in ("mean-std", "last-std", "blended"):
        yield (
            f'revin_affine follows a normalisation by mean and deviation, not normalize = "{config.normalize}". '
            'Use normalize = "mean-std" or "blended".'
        )


def _memory_layers(config: TitansConfig) -> Iterator[str]:
    layers = config.neural_memory_layers
    if not layers:
        yield "neural_memory_layers is empty, so nothing would be remembered. Name a layer, such as [1]."
    elif list(layers) != sorted(set(layers)):
        yield f"neural_memory_layers={list(layers)} must name each layer once, first layer first"
    if too_deep := [layer for layer in layers if layer > config.depth]:
        yield f"neural_memory_layers names layer {too_deep[0]}, but depth is {config.depth}"
    if config.neural_mem_weight_residual and len(layers) < 2:
        yield (
            "neural_mem_weight_residual couples each memory to the one before, and there is one only. "
            "Name two layers in neural_memory_layers."
        )
    if config.neural_memory_qkv_receives_diff_views and layers == (1,):
        yield (
            "neural_memory_qkv_receives_diff_views chooses from earlier layers, and layer 1 has none. "
            "Name a later layer in neural_memory_layers."
        )


def _memory_model(config: TitansConfig) -> Iterator[str]:
    heads, width = config.memory_heads, config.memory_width
    if heads == 1 and width != config.dim:
        yield f"memory_dim_head must be dim ({config.dim}) where memory_heads is 1"
    if heads == 1 and not config.per_head_learned_parameters:
        yield "per_head_learned_parameters = false shares one initial memory among heads: it needs memory_heads above 1"
    if width < 1:
        yield f"memory_heads={heads} leaves each no width of dim={config.dim}. Use fewer, or give memory_dim_head."
        return
    options, unused = model_options(
        config.memory_model,
        config.memory_depth,
        config.memory_expansion,
        config.memory_rank,
        config.memory_attention_scale,
    )
    for name in unused:
        one = " of one layer" if name == "memory_expansion" and config.memory_model == "mlp" else ""
        yield f'memory_model = "{config.memory_model}"{one} has no use for {name}. Leave it out.'
    if hidden_width(config.memory_model, width, options) < 1:
        factor = options["expansion_factor"]
        yield f"memory_expansion={factor} leaves no hidden width on heads of {width}. Use a larger one."


def _writes(config: TitansConfig) -> Iterator[str]:
    if not config.memory_momentum:
        for name, given in (
            ("memory_momentum_order", config.memory_momentum_order > 1),
            ("memory_momentum_bias", config.memory_momentum_bias is not None),
            ("learned_momentum_combine", config.learned_momentum_combine),
        ):
            if given:
                yield f"{name} needs memory_momentum = true"
    elif config.learned_momentum_combine and config.memory_momentum_order == 1:
        yield "learned_momentum_combine weighs several orders of momentum: it needs memory_momentum_order above 1"
    if config.learned_combine_include_zeroth and not config.learned_momentum_combine:
        yield "learned_combine_include_zeroth needs learned_momentum_combine = true"
    if config.store_with_lookahead_value and config.num_kv_per_token > 1:
        yield (
            "store_with_lookahead_value pairs a key with the value after it, which with "
            f"num_kv_per_token={config.num_kv_per_token} is another of the same token. Use num_kv_per_token = 1."
        )
    if config.gated_transition and config.neural_memory_batch_size is None:
        yield (
            "gated_transition eases the memory from one batch of writes to the next: "
            "give neural_memory_batch_size, of fewer tokens than the window"
        )
    if config.max_grad_norm is not None and config.memory_activation == "relu":
        yield (
            "max_grad_norm divides by the norm of a surprise, which relu can make zero. "
            'Use another memory_activation, such as "silu".'
        )
    if config.max_mem_layer_modulation != 1 and not config.per_parameter_lr_modulation:
        yield "max_mem_layer_modulation needs per_parameter_lr_modulation = true"
