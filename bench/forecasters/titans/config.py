"""The registered Titans forecaster: its options, under the library's names and meanings."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from bench.contracts.errors import BenchError
from bench.contracts.forecaster import ForecasterConfig, Objective, Pairs, Task, TrainingConfig, register_forecaster
from bench.forecasters.titans.channels import Channels
from bench.forecasters.titans.memory_models import (
    ACTIVATIONS,
    MemoryActivation,
    MemoryLoss,
    MemoryModel,
    memory_loss,
    memory_model,
    model_options,
)
from bench.forecasters.titans.transformer import Engine, TimeSeriesTitansTransformer, require_whole_chunks
from bench.forecasters.titans.validation import option_refusals, task_refusals, told, ways_out, window_sizes
from bench.forecasters.titans.walk import Walk, Walking
from bench.forecasters.window_normalization import Normalization


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
        sliding_window_attn: Whether a row also attends to the segment before its own, as far back as a segment is long.
        num_residual_streams: Streams of hyper-connections; 1 is a plain residual.
        num_persist_mem_tokens: Learned tokens that every segment attends to.
        num_longterm_mem_tokens: Learned tokens that stand after each segment that another one follows.
        neural_memory_layers: Layers with a memory, counted from 1.
        neural_memory_segment_len: Rows in a memory chunk; None is the largest divisor of the lookback up to 24.
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
        normalize: What is taken off each window: ``none``, ``last``, ``mean-std`` (RevIN) or ``blended``.
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
        walk_age: Units of rows that a memory is carried for before it starts afresh.
    """

    dim: PositiveInt = 32
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
    normalize: Normalization = "blended"
    revin_affine: bool = False
    memory_engine: Engine = "fast"
    compile: bool = False
    channels: Channels = "mixed"
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
        self.check_task(config, task)
        chunk, segment = window_sizes(config, task.lookback)
        super().__init__(
            task.inputs,
            task.targets,
            task.horizon,
            dim=config.dim,
            depth=config.depth,
            segment_len=segment,
            target_index=task.target_index or (),
            normalize=config.normalize,
            revin_affine=config.revin_affine,
            channels=config.channels,
            anchor_rows=task.lookback,
            dim_head=config.dim_head,
            heads=config.heads,
            ff_mult=config.ff_mult,
            sliding_window_attn=config.sliding_window_attn,
            num_residual_streams=config.num_residual_streams,
            num_persist_mem_tokens=config.num_persist_mem_tokens,
            num_longterm_mem_tokens=config.num_longterm_mem_tokens,
            neural_memory_layers=config.neural_memory_layers,
            neural_memory_segment_len=chunk,
            neural_memory_batch_size=config.neural_memory_batch_size,
            neural_mem_gate_attn_output=config.neural_mem_gate_attn_output,
            neural_mem_weight_residual=config.neural_mem_weight_residual,
            neural_memory_qkv_receives_diff_views=config.neural_memory_qkv_receives_diff_views,
            memory_engine=config.memory_engine,
            compile=config.compile,
            **_memory_arguments(config),
        )
        self.walking = Walking(config.walk_share, config.walk_truncation, config.walk_age)

    def objective(
        self, plain: Objective, pairs: Pairs, validation: Pairs, training: TrainingConfig, seed: int
    ) -> Objective:
        """Plain windows, or a mix of them with windows that start from a carried memory; see `Walk`."""
        if not self.walking.share:
            return plain
        return Walk(self, plain, pairs, validation, self.walking, training, seed)

    @classmethod
    def check_task(cls, config: TitansConfig, task: Task, device: str | None = None, *, carried: bool = False) -> None:
        """Refuse at once what these options cannot do on a task, or where they would do nothing.

        Args:
            config: The options.
            task: The shapes to serve.
            device: Kind of device; None where it is not known yet.
            carried: Whether a strategy carries the memory from window to window.

        Raises:
            BenchError: The reasons, and options that can.
        """
        if reasons := list(task_refusals(config, task, device, carried=carried)):
            raise BenchError(f"titans: {' '.join(reasons)}{told(ways_out(config, task, device, carried=carried))}")

    @classmethod
    def check_memory(cls, config: TitansConfig, task: Task, batch_size: int | None, *, carried: bool) -> None:
        """The same for a strategy that writes in batches of its own, or carries the memory.

        Args:
            config: The options.
            task: The shapes to serve.
            batch_size: Tokens that the strategy writes against the same weights; None as trained.
            carried: Whether it carries the memory from window to window.

        Raises:
            BenchError: As `check_task`.
        """
        chunk, _ = window_sizes(config, task.lookback)
        require_whole_chunks(batch_size, chunk)
        cls.check_task(config, task, carried=carried)


def _memory_arguments(config: TitansConfig) -> dict[str, Any]:
    """The library's arguments for the memory's network, and for what reads and writes it."""
    options, _ = model_options(
        config.memory_model,
        config.memory_depth,
        config.memory_expansion,
        config.memory_rank,
        config.memory_attention_scale,
    )
    activation, loss = ACTIVATIONS[config.memory_activation], memory_loss(config.memory_loss)
    reads_and_writes = {
        "heads": config.memory_heads,
        "dim_head": config.memory_width,
        "per_head_learned_parameters": config.per_head_learned_parameters,
        "mem_model_norm_add_residual": config.memory_residual_norm,
        "default_step_transform_max_lr": config.memory_max_lr,
        "init_adaptive_step_bias": config.memory_step_bias,
        "num_kv_per_token": config.num_kv_per_token,
        "store_with_lookahead_value": config.store_with_lookahead_value,
        "max_grad_norm": config.max_grad_norm,
        "per_parameter_lr_modulation": config.per_parameter_lr_modulation,
        "max_mem_layer_modulation": config.max_mem_layer_modulation,
        "momentum": config.memory_momentum,
        "momentum_order": config.memory_momentum_order,
        "init_momentum_bias": config.memory_momentum_bias,
        "learned_momentum_combine": config.learned_momentum_combine,
        "learned_combine_include_zeroth": config.learned_combine_include_zeroth,
        "init_decay_bias": config.memory_decay_bias,
        "spectral_norm_surprises": config.spectral_norm_surprises,
        "gated_transition": config.gated_transition,
        "attn_pool_chunks": config.attn_pool_chunks,
        "use_accelerated_scan": config.use_accelerated_scan,
        "pre_rmsnorm": config.pre_rmsnorm,
        "post_rmsnorm": config.post_rmsnorm,
        "qk_rmsnorm": config.qk_rmsnorm,
        "activation": activation() if activation else None,
        **({"store_memory_loss_fn": loss} if loss else {}),
    }
    if config.memory_model == "mlp":  # the library's own, drawn for each layer; another one is copied to each
        return {"neural_memory_kwargs": reads_and_writes | {"default_model_kwargs": options}}
    model = memory_model(config.memory_model, config.memory_width, options)
    return {"neural_memory_model": model, "neural_memory_kwargs": reads_and_writes}
