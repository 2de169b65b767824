"""What the Titans forecaster refuses: options that the library cannot combine, and options that would do nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, combinations, product
from typing import TYPE_CHECKING, Any

from bench.contracts.forecaster import Task
from bench.forecasters.titans.memory_models import hidden_width, model_options
from bench.forecasters.titans.transformer import HIDDEN_TARGETS, no_unit, smallest_unit

if TYPE_CHECKING:
    from bench.forecasters.titans.config import TitansConfig

Change = dict[str, Any]
"""Options, and what they would be."""

OFF = {
    "sliding_window_attn": False,
    "gated_transition": False,
    "attn_pool_chunks": False,
    "store_with_lookahead_value": False,
    "max_grad_norm": None,
    "use_accelerated_scan": False,
    "channels": "mixed",
}
"""Options that not every task allows, and the value that all do."""

WHOLE = {
    "segment_len": None,
    "num_longterm_mem_tokens": 0,
    "neural_memory_segment_len": None,
    "neural_memory_batch_size": None,
}
"""Options that cut a window, as they cut any."""

MOST_WAYS, NEAREST = 3, 12
"""Ways out that are told, and values of each of two options that are tried together."""


def option_refusals(config: TitansConfig) -> Iterator[str]:
    """Why these options cannot stand together, whatever the task: one sentence each, with the way out."""
    yield from _transformer(config)
    yield from _memory_layers(config)
    yield from _memory_model(config)
    yield from _writes(config)
    if config.compile and (reasons := list(_uncovered(config))):
        yield f"compile needs the fast memory engine, which does not cover {' and '.join(reasons)}. Leave compile out."


def _uncovered(config: TitansConfig) -> Iterator[str]:
    """Options that are left to the library's own modules, which do not compile."""
    if config.memory_engine != "fast":
        yield f'memory_engine = "{config.memory_engine}"'
    if config.memory_model != "mlp":
        yield f'memory_model = "{config.memory_model}"'
    if config.memory_loss != "mse":
        yield f'memory_loss = "{config.memory_loss}"'
    for name in ("neural_mem_weight_residual", "store_with_lookahead_value", "sliding_window_attn"):
        if getattr(config, name):
            yield name


def task_refusals(
    config: TitansConfig, task: Task, device: str | None = None, *, carried: bool = False
) -> Iterator[str]:
    """Why these options cannot serve a task: one sentence each; `ways_out` knows how they can.

    Args:
        config: Options that `option_refusals` has nothing against.
        task: The shapes to serve.
        device: Kind of device; None where it is not known yet.
        carried: Whether a strategy carries the memory; training does where ``walk_share`` is above 0.
    """
    chunk, segment = window_sizes(config, task.lookback)
    tokens = task.lookback + (task.lookback - 1) // segment * config.num_longterm_mem_tokens
    batch = config.neural_memory_batch_size
    if chunk > tokens:
        yield (f"a window of {tokens} tokens holds no memory chunk of {chunk}, so nothing would be written.")
    elif batch is not None and batch % chunk:
        yield f"neural_memory_batch_size={batch} must be a multiple of the memory chunk ({chunk})."
    elif batch is not None and batch > tokens:
        yield (
            f"neural_memory_batch_size={batch} is more than the {tokens} tokens of a window, whose end it would never "
            "reach."
        )
    elif config.gated_transition and batch is not None and batch >= tokens:
        yield (
            f"gated_transition eases the memory from one batch of writes to the next, and a window of {tokens} tokens "
            f"holds only one batch of {batch}."
        )
    for name in ("attn_pool_chunks", "store_with_lookahead_value"):
        if getattr(config, name) and chunk == 1:
            yield f"{name} needs a memory chunk of more than one row."
    keys = chunk * config.num_kv_per_token - config.store_with_lookahead_value
    if config.memory_model == "attention" and config.max_grad_norm is not None and keys == 1:
        yield (
            "max_grad_norm divides by the norm of a surprise, which is zero where attention sees one key in a chunk."
        )
    if segment >= task.lookback:
        if config.num_longterm_mem_tokens:
            yield (
                f"long-term tokens stand between segments, and a window of {task.lookback} rows is one segment of "
                f"{segment}."
            )
        if config.sliding_window_attn:
            yield (
                f"sliding_window_attn slides over segments, and a window of {task.lookback} rows is one segment of "
                f"{segment}."
            )
    elif carried or config.walk_share:
        unit, _ = smallest_unit(segment, config.num_longterm_mem_tokens, chunk)
        if reason := no_unit(unit, config.num_longterm_mem_tokens, chunk, task.lookback):
            yield reason
    if config.channels == "independent" and not task.target_index:
        yield HIDDEN_TARGETS.removeprefix("titans: ")
    if config.use_accelerated_scan and device not in (None, "cuda"):
        yield (
            f"use_accelerated_scan is a CUDA kernel, and the device is {device!r}. "
            "The scan used instead computes the same."
        )


def ways_out(config: TitansConfig, task: Task, device: str | None = None, *, carried: bool = False) -> list[Change]:
    """Changes of options with which they can serve a task, each by itself, with the values nearest to the present ones.

    Args:
        config: Options that `task_refusals` has something against.
        task: The shapes to serve.
        device: As `task_refusals` takes it.
        carried: Likewise.

    Returns:
        Some that change one option; where none does, the first found that changes several; none where nothing works.
    """

    def refusals(change: Change) -> Iterator[str]:
        other = config.model_copy(update=change)
        yield from option_refusals(other)
        yield from task_refusals(other, task, device, carried=carried)

    def works(change: Change) -> bool:
        return not any(refusals(change))

    switches = {name: off for name, off in OFF.items() if getattr(config, name) != off}
    sizes = _sizes(config, task.lookback)
    singles: list[list[Change]] = [[{name: value} for value in values] for name, values in sizes.items()]
    singles += [[dict([switch])] for switch in switches.items()]
    firsts = [_first(changes, works) for changes in singles]
    if found := [change for change in firsts if change]:
        return found[:MOST_WAYS]
    beside: list[Change] = [{}, *(change for changes in singles[: len(sizes)] for change in changes)]
    for one, other in combinations(sizes, 2):
        both = product(_nearest(sizes[one]), _nearest(sizes[other]))
        beside += [{one: value, other: another} for value, another in both]
    reasons = len([*task_refusals(config, task, device, carried=carried)])
    needed = {name: off for name, off in switches.items() if len([*refusals({name: off})]) < reasons}
    several = (off | size for off in ({}, needed, switches) for size in beside)
    change = _first(chain(several, [switches | WHOLE]), works)
    return [change] if change else []


def _first(changes: Iterable[Change], works: Callable[[Change], bool]) -> Change:
    """The first that helps; empty where none does."""
    return next((change for change in changes if works(change)), {})


def told(ways: Iterable[Change]) -> str:
    """The same in words: the end of a message; empty where there is no way."""
    texts = [" and ".join(_told(name, value) for name, value in way.items()) for way in ways]
    return f" It can with {', or '.join(texts)}." if texts else ""


def _told(name: str, value: object) -> str:
    return f"no {name}" if value is None else f"{name} = {json.dumps(value)}"


def _sizes(config: TitansConfig, lookback: int) -> dict[str, list[int | None]]:
    """Other values of each option that cuts a window, those nearest to the present one first, the larger of two."""
    chunk, segment = window_sizes(config, lookback)
    batch, longterm = config.neural_memory_batch_size, config.num_longterm_mem_tokens
    found: dict[str, list[int | None]] = {
        "segment_len": _near(segment, range(1, lookback)),
        "num_longterm_mem_tokens": _near(longterm, range(longterm)),
        "neural_memory_segment_len": _near(chunk, range(1, lookback + 1)),
    }
    if batch is not None:
        most = lookback * (1 + longterm)
        return {"neural_memory_batch_size": [*_near(batch, range(chunk, most + 1, chunk)), None]} | found
    return found


def _nearest(values: list[int | None]) -> list[int | None]:
    """The first few, and no value at all where that is one."""
    return [*values[:NEAREST], *values[NEAREST:][-1:]]


def _near(present: int, values: range) -> list[int | None]:
    return [*sorted({*values} - {present}, key=lambda value: (abs(value - present), -value))]


def window_sizes(config: TitansConfig, lookback: int) -> tuple[int, int]:
    """Tokens in a memory chunk, and rows in a segment, for windows of ``lookback`` rows."""
    chunk = config.neural_memory_segment_len or largest_divisor(lookback, 24)
    return chunk, config.segment_len or (chunk if config.num_longterm_mem_tokens else lookback)


def largest_divisor(number: int, limit: int) -> int:
    """The largest divisor of ``number`` that is at most ``limit``."""
    return max(d for d in range(1, limit + 1) if number % d == 0)


def _transformer(config: TitansConfig) -> Iterator[str]:
    if config.dim_head % 2 or config.dim_head < 4:
        yield f"dim_head={config.dim_head} must be even and at least 4: attention rotates its dimensions in pairs"
    if int(config.dim * config.ff_mult * 2 / 3) < 1:
        yield f"dim={config.dim} with ff_mult={config.ff_mult} leaves the feed-forward layers no width: use more"
    if config.sliding_window_attn and config.segment_len is None:
        yield "sliding_window_attn slides over segments: give segment_len, of fewer rows than the window"
    if config.revin_affine and config.normalize not in ("mean-std", "blended"):
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
