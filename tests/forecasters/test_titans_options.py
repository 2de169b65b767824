"""Each option of the Titans forecaster is in effect, and what cannot be combined is refused, not ignored."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic_core import PydanticUndefined
from torch import Tensor, nn

from bench import BenchError, Task
from bench.contracts.config import build
from bench.evaluation.isolation import seeded
from bench.evaluation.pretraining import Recipe
from bench.execution.experiment import Experiment, expand
from bench.forecasters.titans.carry import Carry
from bench.forecasters.titans.config import TitansConfig
from bench.forecasters.titans.forecaster import Titans
from bench.forecasters.titans.memory_models import MemoryModel
from tests.small_titans import ROW_TOKENS

torch.set_num_threads(1)

L, H = 12, 3
TASK = Task(L, H, 3, 2, (2, 0))
TINY: dict[str, Any] = ROW_TOKENS | {"dim": 8, "heads": 1, "dim_head": 8, "neural_memory_segment_len": 4}
TWO: dict[str, Any] = {"neural_memory_layers": (1, 2)}


def configured(**options: Any) -> TitansConfig:
    return build(TitansConfig, TINY | options, "forecaster 'titans'")


def titans(task: Task = TASK, **options: Any) -> Titans:
    with seeded(0):
        return Titans(configured(**options), task).eval()


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


# Every option is in effect

# A change of each option, and what it needs beside it.
CHANGES: dict[str, tuple[Any, dict[str, Any]]] = {
    "patch_len": (3, {}),
    "skip": ("ridge", {}),
    "dim": (6, {}),
    "depth": (3, {}),
    "dim_head": (4, {}),
    "heads": (2, {}),
    "ff_mult": (4, {}),
    "segment_len": (5, {}),
    "sliding_window_attn": (True, {"segment_len": 4}),
    "num_residual_streams": (2, {}),
    "num_persist_mem_tokens": (1, {}),
    "num_longterm_mem_tokens": (2, {"segment_len": 6}),
    "neural_memory_layers": ((2,), {}),
    "neural_memory_segment_len": (3, {}),
    "neural_memory_batch_size": (4, {}),
    "neural_mem_gate_attn_output": (True, {}),
    "neural_mem_weight_residual": (True, TWO),
    "neural_memory_qkv_receives_diff_views": (True, TWO),
    "memory_heads": (2, {}),
    "memory_dim_head": (8, {"memory_heads": 2}),
    "per_head_learned_parameters": (False, {"memory_heads": 2}),
    "memory_model": ("attention", {}),
    "memory_depth": (3, {}),
    "memory_expansion": (1.0, {}),
    "memory_rank": (3, {"memory_model": "factorized_mlp"}),
    "memory_attention_scale": (1.0, {"memory_model": "attention"}),
    "memory_residual_norm": (False, {}),
    "memory_max_lr": (0.5, {}),
    "memory_step_bias": (-3.0, {}),
    "memory_loss": ("huber", {}),
    "num_kv_per_token": (2, {}),
    "store_with_lookahead_value": (True, {}),
    "max_grad_norm": (0.01, {}),
    "per_parameter_lr_modulation": (True, {}),
    "max_mem_layer_modulation": (5.0, {"per_parameter_lr_modulation": True}),
    "memory_momentum": (False, {}),
    "memory_momentum_order": (2, {}),
    "memory_momentum_bias": (2.0, {}),
    "learned_momentum_combine": (True, {"memory_momentum_order": 2}),
    "learned_combine_include_zeroth": (True, {"memory_momentum_order": 2, "learned_momentum_combine": True}),
    "memory_decay_bias": (-4.0, {}),
    "spectral_norm_surprises": (True, {}),
    "gated_transition": (True, {"neural_memory_batch_size": 4}),
    "attn_pool_chunks": (True, {}),
    "pre_rmsnorm": (False, {}),
    "post_rmsnorm": (True, {}),
    "qk_rmsnorm": (False, {}),
    "memory_activation": ("silu", {}),
    "normalize": ("last", {}),
    "revin_affine": (True, {}),
    "channels": ("independent", {}),
}
STARTS = {
    "memory_step_bias": "to_adaptive_step",
    "memory_momentum_bias": "to_momentum",
    "memory_decay_bias": "to_decay_factor",
}
# The recipe, a bound and what drops in training, a CUDA kernel, how training walks, and what computes the same:
# test_training, test_titans_patches, test_walk, test_fast_memory.
ELSEWHERE = {
    "training", "skip_bound", "dropout", "write_dropout",
    "use_accelerated_scan", "walk_share", "walk_truncation", "walk_age", "memory_engine", "compile"
}  # fmt: skip


def test_every_option_is_tried() -> None:
    assert set(CHANGES) | ELSEWHERE == set(TitansConfig.model_fields)


@torch.no_grad()
def outcome(model: Titans) -> list[Tensor]:
    """Forecasts, and the memory after them."""
    forecast, cache = model(3 * normal(2, L, 3), return_cache=True)
    return [forecast, *(t for layer in cache.layers for t in layer.weights.values())]


def differ(one: list[Tensor], other: list[Tensor]) -> bool:
    pairs = zip(one, other, strict=True)
    return any(a.shape != b.shape or not torch.allclose(a, b, atol=1e-6, rtol=1e-4) for a, b in pairs)


@torch.no_grad()
def move(parameter: Tensor, seed: int) -> None:
    parameter.add_(0.1 + 0.1 * normal(*parameter.shape, seed=seed))


@pytest.mark.parametrize("name", sorted(set(CHANGES) - set(STARTS)))
def test_an_option_changes_what_the_model_does(name: str) -> None:
    """Even with equal weights where both have them; and the weights that only one has matter."""
    value, needed = CHANGES[name]
    models = titans(**needed), titans(**needed | {name: value})
    one, other = ({k: p for k, p in m.named_parameters() if p.numel() and ".memory_model." not in k} for m in models)
    shared = {key for key, p in one.items() if key in other and other[key].shape == p.shape}
    with torch.no_grad():
        for seed, key in enumerate(sorted(shared)):
            other[key].copy_(one[key])
            for parameter in (one[key], other[key]):
                move(parameter, seed)
    for model, parameters in zip(models, (one, other), strict=True):
        before, own = outcome(model), set(parameters) - shared
        for key in own:
            move(parameters[key], 0)
        assert not own or differ(before, outcome(model))
    assert differ(outcome(models[0]), outcome(models[1]))


@pytest.mark.parametrize("name", STARTS)
def test_a_bias_says_where_a_gate_starts(name: str) -> None:
    value, _ = CHANGES[name]
    for layer, starts in ((titans(**{name: value}), True), (titans(), False)):
        linear = getattr(layer.memories[0], STARTS[name])[0]
        assert (bool((linear.bias == value).all()) and not linear.weight.any()) == starts


def test_a_large_bias_keeps_a_memory() -> None:
    """What the decay bias is for: with no steps, a chunk leaves sigmoid(4) = 98 % of the weights."""
    model = titans(memory_decay_bias=-4.0, neural_memory_segment_len=12)
    model.set_memory(max_lr=0.0)
    _, after = model(normal(1, L, 3), return_cache=True)
    for name, weight in model.initial_cache().layers[0].weights.items():
        torch.testing.assert_close(after.layers[0].weights[name], 0.98201 * weight, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", get_args(MemoryModel))
def test_every_memory_model_learns_and_remembers(name: MemoryModel) -> None:
    model = titans(memory_model=name, memory_heads=2, **TWO)
    assert (
        type(model.memories[0].memory_model.model).__name__
        in {
            "mlp": "MemoryMLP",
            "attention": "MemoryAttention",
            "factorized_mlp": "FactorizedMemoryMLP",
            "swiglu_mlp": "MemorySwiGluMLP",
            "gated_residual": "GatedResidualMemoryMLP",
        }[name]
    )
    x = normal(2, L, 3)
    forecast, cache = model(x, return_cache=True)
    forecast.square().mean().backward()
    for memory in model.memories:
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in memory.memory_model_parameters)
    assert not torch.allclose(model(x), model(x, cache), atol=1e-6)


def test_the_plain_perceptron_is_drawn_for_each_layer() -> None:
    one, two = titans(**TWO).memories
    assert not torch.equal(one.memory_model_parameters[1], two.memory_model_parameters[1])


# What cannot be is refused

ANYWHERE: list[tuple[dict[str, Any], str]] = [
    ({"dim_head": 5}, "dim_head=5 must be even and at least 4"),
    ({"dim_head": 2}, "dim_head=2 must be even and at least 4"),
    ({"dim": 1, "ff_mult": 1}, "leaves the feed-forward layers no width"),
    ({"sliding_window_attn": True}, "sliding_window_attn slides over segments: give segment_len"),
    ({"revin_affine": True, "normalize": "last"}, 'Use normalize = "mean-std" or "blended"'),
    ({"neural_memory_layers": ()}, "neural_memory_layers is empty"),
    ({"neural_memory_layers": (2, 1)}, r"\[2, 1\] must name each layer once, first layer first"),
    ({"neural_memory_layers": (1, 1)}, r"\[1, 1\] must name each layer once"),
    ({"neural_memory_layers": (1, 3)}, "names layer 3, but depth is 2"),
    ({"neural_mem_weight_residual": True}, "couples each memory to the one before, and there is one only"),
    ({"neural_memory_qkv_receives_diff_views": True}, "chooses from earlier layers, and layer 1 has none"),
    ({"memory_dim_head": 4}, r"memory_dim_head must be dim \(8\) where memory_heads is 1"),
    ({"memory_heads": 9}, "memory_heads=9 leaves each no width of dim=8"),
    ({"per_head_learned_parameters": False}, "it needs memory_heads above 1"),
    ({"memory_rank": 4}, '"mlp" has no use for memory_rank'),
    ({"memory_attention_scale": 4.0}, '"mlp" has no use for memory_attention_scale'),
    ({"memory_depth": 1, "memory_expansion": 3.0}, '"mlp" of one layer has no use for memory_expansion'),
    ({"memory_model": "attention", "memory_depth": 2}, '"attention" has no use for memory_depth'),
    ({"memory_model": "factorized_mlp", "memory_expansion": 2.0}, '"factorized_mlp" has no use for memory_expansion'),
    ({"memory_expansion": 0.1}, "memory_expansion=0.1 leaves no hidden width on heads of 8"),
    ({"memory_model": "swiglu_mlp", "memory_expansion": 0.15}, "leaves no hidden width on heads of 8"),
    ({"memory_momentum": False, "memory_momentum_order": 2}, "memory_momentum_order needs memory_momentum = true"),
    ({"memory_momentum": False, "memory_momentum_bias": 1.0}, "memory_momentum_bias needs memory_momentum = true"),
    ({"memory_momentum": False, "learned_momentum_combine": True}, "learned_momentum_combine needs memory_momentum"),
    ({"learned_momentum_combine": True}, "needs memory_momentum_order above 1"),
    ({"learned_combine_include_zeroth": True}, "needs learned_momentum_combine = true"),
    ({"store_with_lookahead_value": True, "num_kv_per_token": 2}, "is another of the same token. Use num_kv"),
    ({"gated_transition": True}, "give neural_memory_batch_size, of fewer tokens than the window"),
    ({"max_grad_norm": 1.0, "memory_activation": "relu"}, "the norm of a surprise, which relu can make zero"),
    ({"max_mem_layer_modulation": 2.0}, "needs per_parameter_lr_modulation = true"),
    ({"memory_model": "rnn"}, "option 'memory_model': input should be 'mlp', 'attention'"),
    ({"memory_mode": "mlp"}, "unknown option 'memory_mode'. Did you mean 'memory_model'"),
    ({"num_kv_per_token": 0}, "option 'num_kv_per_token': input should be greater than 0"),
]  # fmt: skip

ON_A_TASK: list[tuple[dict[str, Any], str]] = [
    ({"neural_memory_segment_len": 13}, "a window of 12 tokens holds no memory chunk of 13"),
    ({"neural_memory_batch_size": 6}, r"neural_memory_batch_size=6 must be a multiple of the memory chunk \(4\)"),
    ({"neural_memory_batch_size": 16}, "than the 12 tokens of a window.* It can with neural_memory_batch_size = 12"),
    ({"neural_memory_batch_size": 12, "gated_transition": True}, "a window of 12 tokens holds only one batch of 12"),
    ({"neural_memory_segment_len": 1, "attn_pool_chunks": True}, "attn_pool_chunks needs a memory chunk of more than"),
    ({"neural_memory_segment_len": 1, "store_with_lookahead_value": True}, "value needs a memory chunk of more than"),
    ({"memory_model": "attention", "max_grad_norm": 1.0, "neural_memory_segment_len": 1}, "sees one key in a chunk"),
    ({"num_longterm_mem_tokens": 2, "segment_len": 12}, "window of 12 tokens is one segment of 12.* segment_len = 10"),
    ({"sliding_window_attn": True, "segment_len": 20}, "window of 12 tokens is one segment of 20.* segment_len = 11"),
    ({"use_accelerated_scan": True}, "use_accelerated_scan is a CUDA kernel, and the device is 'cpu'"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "message"), ANYWHERE)
def test_options_that_cannot_stand_together_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BenchError, match=rf"^forecaster 'titans': .*{message}"):
        configured(**options)


@pytest.mark.parametrize(("options", "message"), ON_A_TASK)
def test_options_that_cannot_serve_a_task_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(BenchError, match=rf"^titans: .*{message}"):
        Recipe("titans", configured(**options), TASK, seed=0).build(torch.device("cpu"))


def test_all_reasons_are_told_at_once() -> None:
    with pytest.raises(BenchError, match=r"dim_head=5 .*; learned_combine_include_zeroth needs"):
        configured(dim_head=5, learned_combine_include_zeroth=True)


def test_an_accelerated_scan_is_for_cuda() -> None:
    config = configured(use_accelerated_scan=True)
    Titans.check_task(config, TASK, "cuda")
    assert Titans(config, TASK).memories[0].assoc_scan.use_accelerated


@pytest.mark.usefixtures("registries")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"neural_memory_batch_size": 5}, "must be a multiple of the memory chunk"),
        ({"channels": "independent"}, 'channels = "independent" needs targets among the inputs'),
        ({"use_accelerated_scan": True}, "CUDA kernel"),
        ({"dim_head": 3}, "must be even"),
    ],
)
def test_an_experiment_is_refused_before_anything_runs(options: dict[str, Any], message: str) -> None:
    def experiment(strategy: str) -> Experiment:
        forecaster = {"name": "titans", **ROW_TOKENS, "neural_memory_segment_len": 4, **options}
        values = {"strategies": [strategy], "forecasters": [forecaster], "datasets": ["realistic-drift"]}
        return build(Experiment, {"name": "e"} | values, "test")

    with pytest.raises(BenchError, match=message):
        expand(experiment("titans-a"), "cpu")
    if "dim_head" not in options:
        expand(experiment("persistence"), "cpu")  # which adapts no forecaster
        with pytest.raises(BenchError, match=r"^forecaster 'titans' on dataset 'realistic-drift': titans: "):
            expand(experiment("titans-a"), "cpu")


# What is refused says what is not

GIVEN: dict[str, list[Any]] = {
    "segment_len": [None, *range(1, 60, 7), 31],
    "num_longterm_mem_tokens": [0, 1, 2, 5, 16],
    "neural_memory_segment_len": [None, 1, 5, 12, 13, 64],
    "neural_memory_batch_size": [None, None, 6, 12, 500],
    "walk_share": [0.0, 0.25, 0.25],
    "sliding_window_attn": [False, False, True],
    "gated_transition": [False, False, True],
    "attn_pool_chunks": [False, True],
    "store_with_lookahead_value": [False, True],
    "use_accelerated_scan": [False, False, True],
    "channels": ["mixed", "mixed", "independent"],
}


def hinted(message: str) -> list[dict[str, Any]]:
    """The changes that a message proposes, each by itself."""
    ways = re.fullmatch(r".* It can with (.*)\.", message, re.S)
    assert ways, message
    found = []
    for way in ways[1].split(", or "):
        parts = [
            part.split(" = ") if " = " in part else [part.removeprefix("no "), "null"] for part in way.split(" and ")
        ]
        found.append({name: json.loads(value) for name, value in parts})
    return found


def test_whoever_follows_a_hint_is_served() -> None:
    drawn, refused = random.Random(0), 0
    for _ in range(150):
        options = {name: drawn.choice(values) for name, values in GIVEN.items()}
        index = drawn.choice([(2, 0), None])
        task = Task(drawn.choice([12, 24, 96, 97]), H, 3, 2, index)
        try:
            config = configured(**options)
        except BenchError:  # says which option to leave out, whatever the task
            continue
        try:
            Titans.check_task(config, task, "cpu")
        except BenchError as error:
            refused += 1
            for change in hinted(str(error)):
                Titans.check_task(configured(**options | change), task, "cpu")
    assert refused > 40


@pytest.mark.usefixtures("registries")
def test_a_unit_longer_than_the_lookback_is_refused_before_anything_runs(tmp_path: Path) -> None:
    """By the forecaster where training carries the memory, by the strategy where only that does."""

    def experiment(strategy: str, **options: Any) -> Experiment:
        longterm = {"segment_len": 31, "num_longterm_mem_tokens": 2, "neural_memory_segment_len": 12}
        forecaster = {"name": "titans", **ROW_TOKENS, "dim": 8, "heads": 1, "dim_head": 8, **longterm, **options}
        values = {"strategies": [strategy], "forecasters": [forecaster], "datasets": ["realistic-drift"]}
        return build(Experiment, {"name": "e", "protocol": {"lookback": 96, "horizon": 12}} | values, "test")

    for strategy in ("frozen", "titans-b"):
        with pytest.raises(BenchError, match=r"units of 124 tokens.*a window's 96. It can with segment_len = 30"):
            expand(experiment(strategy), "cpu")
    expand(experiment("titans-b", segment_len=30), "cpu")
    for strategy in ("frozen", "titans-a"):
        expand(experiment(strategy, walk_share=0.0), "cpu")
    for strategy in ("titans-b", "titans-b-stale", "titans-b-window", "titans-b-shuffled", "titans-c"):
        with pytest.raises(BenchError, match=r"strategy '[a-z-]+' on forecaster 'titans' .* segment_len = 30"):
            expand(experiment(strategy, walk_share=0.0), "cpu")


# Whatever the options: it serves, or it is refused

DRAWN: dict[str, list[Any]] = {
    "dim": [8, 6, 5],
    "depth": [1, 2, 3],
    "dim_head": [8, 4, 2],
    "heads": [1, 2],
    "segment_len": [None, 3, 4, 6, 20],
    "num_longterm_mem_tokens": [0, 2, 4],
    "num_persist_mem_tokens": [0, 2],
    "num_residual_streams": [1, 2],
    "neural_memory_layers": [(1,), (2,), (1, 2), (1, 3)],
    "neural_memory_segment_len": [None, 5, 4, 3, 1],
    "neural_memory_batch_size": [None, 4, 8, 24],
    "memory_heads": [1, 2],
    "memory_dim_head": [None, 4, 8],
    "memory_model": list(get_args(MemoryModel)),
    "memory_depth": [None, 1, 2],
    "memory_expansion": [None, 0.2, 2.0],
    "memory_rank": [None, 2],
    "memory_loss": ["mse", "mae", "huber"],
    "memory_step_bias": [None, -3.0],
    "memory_decay_bias": [None, -4.0],
    "memory_momentum_bias": [None, 1.0],
    "memory_momentum_order": [1, 2, 3],
    "num_kv_per_token": [1, 2],
    "max_grad_norm": [None, 1.0],
    "memory_activation": ["none", "silu", "relu", "tanh", "gelu"],
    "normalize": ["none", "last", "mean-std", "last-std", "blended"],
    "patch_len": [None, 1, 2, 3],
    "skip": ["ridge", "none"],
    "channels": ["mixed", "independent"],
    **{
        name: [False, True]
        for name, field in TitansConfig.model_fields.items()
        if field.annotation is bool and name != "compile"
    },
}
TASKS = [Task(L, H, 3, 3, (0, 1, 2)), Task(13, H, 3, 1, (2,)), Task(L, H, 1, 1, (0,)), Task(10, 1, 2, 1, None)]


def leaves_no_unit(model: Titans, lookback: int) -> bool:
    """Whether long-term tokens make the patches that fill whole chunks and segments as many as a window's."""
    lookback //= model.patch_len
    longterm, segment = model.transformer.num_longterm_mem_tokens, model.transformer.segment_len
    whole = (
        n for n in range(1, lookback) if n % segment == 0 and n // segment * (segment + longterm) % model.chunk == 0
    )
    return longterm > 0 and next(whole, None) is None


@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data())
def test_whatever_the_options_a_model_serves_or_is_refused(data: st.DataObject) -> None:
    names = data.draw(st.lists(st.sampled_from(sorted(DRAWN)), max_size=8, unique=True))
    options = {name: data.draw(st.sampled_from(DRAWN[name]), name) for name in names}
    task = data.draw(st.sampled_from(TASKS))
    try:
        model = titans(task, **options)
        Titans.check_task(configured(**options), task, "cpu")
    except BenchError:
        return
    windows, truths = normal(2, task.lookback, task.inputs), normal(2, task.horizon, task.targets)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    loss = nn.functional.mse_loss(model(windows), truths)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    optimizer.step()
    rows = normal(task.lookback + 13, task.inputs, seed=1)
    if leaves_no_unit(model, task.lookback):
        with pytest.raises(BenchError, match=r"the memory is carried in units of .* fewer than a window's"):
            Carry(model, rows[: task.lookback], task.lookback)
        return
    carry = Carry(model, rows[: task.lookback], task.lookback)
    carry.observe(rows[task.lookback :])
    assert carry.position > 0
    forecast, cache = model(windows, carry.cache, return_cache=True)
    assert torch.isfinite(forecast).all()
    assert cache.batch == 2
    assert forecast.shape == truths.shape


# The page that lists them

PAGE = Path(__file__).parents[2] / "docs" / "titans-options.md"


def table() -> str:
    """The options as a table: from the docstring of `TitansConfig`, in its order."""
    doc = (TitansConfig.__doc__ or "").partition("Attributes:")[2]
    meanings = {name: " ".join(text.split()) for name, text in re.findall(r"^ {8}(\w+): ((?:.|\n {12,})+)", doc, re.M)}
    rows = ["| option | default | meaning |", "|---|---|---|"]
    for name, meaning in meanings.items():
        default = TitansConfig.model_fields[name].default
        assert default is not PydanticUndefined
        text = list(default) if isinstance(default, tuple) else default
        text = {"True": "true", "False": "false", "None": ""}.get(str(text), text)
        rows.append(f"| `{name}` | {text} | {meaning.replace('``', '`')} |")
    assert set(meanings) == set(TitansConfig.model_fields) - {"training"}
    return "\n".join(rows)


def test_the_page_lists_every_option() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert table() in page, f"docs/titans-options.md is behind TitansConfig; its table should be:\n{table()}"
