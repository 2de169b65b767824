"""The registered Titans forecaster."""

from __future__ import annotations

from typing import Any, ClassVar

from bench.contracts.errors import BenchError
from bench.contracts.forecaster import ForecasterConfig, Objective, Pairs, Task, TrainingConfig, register_forecaster
from bench.forecasters.titans.config import TitansConfig
from bench.forecasters.titans.memory_models import ACTIVATIONS, memory_loss, memory_model, model_options
from bench.forecasters.titans.transformer import TimeSeriesTitansTransformer
from bench.forecasters.titans.validation import as_sentence, task_refusals, ways_out
from bench.forecasters.titans.walk import Walk, Walking

TRANSFORMER_OPTIONS = (
    "dropout", "write_dropout", "dim", "depth", "normalize", "revin_affine", "channels", "dim_head", "heads", "ff_mult",
    "sliding_window_attn",
    "num_residual_streams", "num_persist_mem_tokens", "num_longterm_mem_tokens", "neural_memory_layers",
    "neural_memory_batch_size", "neural_mem_gate_attn_output", "neural_mem_weight_residual",
    "neural_memory_qkv_receives_diff_views", "memory_engine", "compile",
)  # fmt: skip
"""Options that the transformer takes under the same name."""

MEMORY_OPTIONS = (
    "per_head_learned_parameters", "num_kv_per_token", "store_with_lookahead_value", "max_grad_norm",
    "per_parameter_lr_modulation", "max_mem_layer_modulation", "learned_momentum_combine",
    "learned_combine_include_zeroth", "spectral_norm_surprises", "gated_transition", "attn_pool_chunks",
    "use_accelerated_scan", "pre_rmsnorm", "post_rmsnorm", "qk_rmsnorm",
)  # fmt: skip
"""Options that the library's memory takes under the same name."""

RENAMED = {
    "heads": "memory_heads",
    "dim_head": "memory_width",
    "mem_model_norm_add_residual": "memory_residual_norm",
    "default_step_transform_max_lr": "memory_max_lr",
    "init_adaptive_step_bias": "memory_step_bias",
    "momentum": "memory_momentum",
    "momentum_order": "memory_momentum_order",
    "init_momentum_bias": "memory_momentum_bias",
    "init_decay_bias": "memory_decay_bias",
}
"""The library's names of other options of its memory, and ours."""


@register_forecaster("titans")
class Titans(TimeSeriesTitansTransformer):
    """Titans transformer, memory as context, on patches of rows; it learns what a ridge regression leaves over."""

    Config: ClassVar[type[ForecasterConfig]] = TitansConfig
    tiny: ClassVar[dict[str, Any]] = {
        "patch_len": 1,
        "dim": 8,
        "heads": 1,
        "dim_head": 8,
        "neural_memory_segment_len": 4,
        "training": {"steps": 2, "batch": 4, "evaluations": 1, "validation_windows": 4},
    }

    def __init__(self, config: TitansConfig, task: Task) -> None:
        self.check_task(config, task)
        chunk, segment = config.window_sizes(task)
        regressed = config.skip == "ridge" or not task.target_index
        super().__init__(
            task.inputs,
            task.targets,
            task.horizon,
            segment_len=segment,
            target_index=task.target_index or (),
            anchor_rows=task.lookback if regressed else 0,
            step_bound=config.skip_bound,
            patch_len=config.token_rows(task),
            neural_memory_segment_len=chunk,
            **{name: getattr(config, name) for name in TRANSFORMER_OPTIONS},
            **_memory_arguments(config),
        )
        self.walking = Walking(config.walk_share, config.walk_truncation, config.walk_age)

    def objective(
        self, plain: Objective, pairs: Pairs, validation: Pairs, training: TrainingConfig, seed: int
    ) -> Objective:
        """Plain windows, or a `Walk`: some windows start from a carried memory, if it writes at all."""
        if not self.walking.share or not self.memory_writes:
            return plain
        return Walk(self, plain, pairs, validation, self.walking, training, seed)

    @classmethod
    def check_task(cls, config: TitansConfig, task: Task, device: str | None = None, *, carried: bool = False) -> None:
        """`BenchError` with the reasons if the options cannot serve a task, or would do nothing, and with ways out.

        ``device`` is its kind, None if not known yet; ``carried`` says whether a strategy carries the memory.
        """
        if reasons := list(task_refusals(config, task, device, carried=carried)):
            ways = as_sentence(ways_out(config, task, device, carried=carried))
            raise BenchError(f"titans: {' '.join(reasons)}{ways}")

    @classmethod
    def check_memory(cls, config: TitansConfig, task: Task, batch_size: int | None, *, carried: bool) -> None:
        """`check_task` for a strategy that writes in batches of its own (None: as trained), or carries the memory."""
        if batch_size is not None:
            config = config.model_copy(update={"neural_memory_batch_size": batch_size})
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
    reads_and_writes: dict[str, Any] = {name: getattr(config, name) for name in MEMORY_OPTIONS}
    reads_and_writes |= {theirs: getattr(config, ours) for theirs, ours in RENAMED.items()}
    reads_and_writes["activation"] = activation() if activation else None
    if loss:
        reads_and_writes["store_memory_loss_fn"] = loss
    if config.memory_model == "mlp":  # the library makes one for each layer; other models are copied to each
        return {"neural_memory_kwargs": reads_and_writes | {"default_model_kwargs": options}}
    model = memory_model(config.memory_model, config.memory_width, options)
    return {"neural_memory_model": model, "neural_memory_kwargs": reads_and_writes}
