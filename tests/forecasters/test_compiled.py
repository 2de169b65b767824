"""A compiled model: the same forecasts, one graph for each way of calling it, none compiled later on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench import BenchError, Protocol, Split, Task
from bench.contracts.config import build
from bench.contracts.discovery import load_plugins
from bench.contracts.strategy import STRATEGIES, StrategyContext
from bench.evaluation.isolation import seeded
from bench.evaluation.pretraining import Recipe
from bench.evaluation.stream import PreparedSeries, Stream
from bench.forecasters.titans.compiled import Compiled
from bench.forecasters.titans.config import TitansConfig
from bench.forecasters.titans.forecaster import Titans
from bench.forecasters.titans.memory_state import MemoryCache
from bench.testing import small_series
from tests.small_titans import ROW_TOKENS

# what torch's own tracer does to an autograd function that has a backward pass of its own
pytestmark = pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
torch.set_num_threads(1)
load_plugins()

L, H = 12, 3
TINY: dict[str, Any] = ROW_TOKENS | {"depth": 1, "dim": 8, "heads": 1, "dim_head": 8, "neural_memory_segment_len": 4}
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def no_recompiling(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Graphs are found and not compiled further; a graph that stands in for another one is an error."""
    plain = Compiled.__init__
    monkeypatch.setattr(Compiled, "__init__", lambda self, run: plain(self, run, backend="eager"))
    yield
    torch.compiler.reset()


def titans(**options: Any) -> Titans:
    with seeded(0):
        return Titans(build(TitansConfig, TINY | options, "forecaster 'titans'"), Task(L, H, 3, 2, (2, 0))).eval()


def normal(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


OPTIONS: dict[str, dict[str, Any]] = {
    "plain, two layers": {"depth": 2},
    "heads, momentum twice, combined, long-term tokens": {
        "memory_heads": 2,
        "memory_momentum_order": 2,
        "learned_momentum_combine": True,
        "num_longterm_mem_tokens": 2,
        "segment_len": 4,
    },
    "orthogonal, batches": {"spectral_norm_surprises": True, "neural_memory_batch_size": 8},
    "streams": {"num_residual_streams": 2},
    "channels": {"channels": "independent", "normalize": "last"},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_it_computes_the_same(options: dict[str, Any]) -> None:
    eager, compiled = titans(**options), titans(**options, compile=True)
    x = normal(5, L, 3)
    for start in (None, eager.initial_cache(), eager.initial_cache(5)) if "depth" in options else (None,):
        if "num_residual_streams" not in options:  # a graph of streams takes long, and their memory is as any other
            with torch.no_grad():
                (ours, after), (theirs, expected) = (model(x, start, return_cache=True) for model in (compiled, eager))
            torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
            for layer, other in zip(after.layers, expected.layers, strict=True):
                for name, weights in layer.weights.items():
                    torch.testing.assert_close(weights, other.weights[name], atol=1e-5, rtol=1e-5)
        if start is not None:  # that titans-c learns through these is seen below
            continue
        ours, theirs = compiled(x), eager(x)
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
        for model, forecast in ((compiled, ours), (eager, theirs)):
            model.zero_grad()
            forecast.square().sum().backward()
        for p, q in zip(compiled.parameters(), eager.parameters(), strict=True):
            if q.grad is not None:
                torch.testing.assert_close(p.grad, q.grad, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_a_smaller_batch_is_filled_up() -> None:
    eager, model = titans(), titans(compile=True)
    x = normal(6, L, 3)
    own = MemoryCache.stack([eager(x[i : i + 1], return_cache=True)[1] for i in range(6)])
    for start in (None, own.first(1), own):
        for windows in (6, 2, 5, 1):
            given = start.first(windows) if start is not None and start.batch > 1 else start
            if start is own and windows == 1:
                continue  # one memory for one window serves any number
            forecast, after = model(x[:windows], given, return_cache=True)
            expected, state = eager(x[:windows], given, return_cache=True)
            assert forecast.shape == expected.shape
            assert after.batch == windows
            torch.testing.assert_close(forecast, expected, atol=1e-5, rtol=1e-5)
            ours, theirs = (next(iter(cache.layers[0].weights.values())) for cache in (after, state))
            torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    assert model.compiled.graphs == 3
    assert model.compiled.seconds > 0


def test_batches_that_grow_and_grow_compile_seldom() -> None:
    """As releases of sparse labels do, now and then, over a whole stream."""
    eager, model = titans(), titans(compile=True)
    with torch.no_grad():
        model(normal(2, L, 3))
    for windows in (1, 2, 3, 4, 5):
        x = normal(windows, L, 3)
        ours, theirs = model(x), eager(x)
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
        grads = [
            torch.autograd.grad(out.square().sum(), m.prediction_head.weight)[0]
            for m, out in ((model, ours), (eager, theirs))
        ]
        torch.testing.assert_close(*grads, atol=1e-4, rtol=1e-4)
    assert model.compiled.graphs == 1 + 4  # for 1, 2, 4 and 8 windows


@torch.no_grad()
def test_many_graphs_are_no_failure() -> None:
    model = titans(compile=True)
    with torch._dynamo.config.patch(recompile_limit=2):  # to compile 8, as it is, takes long
        for length in range(4, 8):
            model(normal(1, length, 3))
    assert model.compiled.graphs == 4


def served(name: str, **forecaster: Any) -> tuple[list[NDArray[np.float32]], Any]:
    """A stream in blocks of 5, the last one shorter; a graph that is compiled again after two blocks is an error."""
    rules = Protocol(lookback=L, horizon=H, stride=1, block=5, warm_start=False)
    stage = PreparedSeries.of(replace(small_series(rows=104), split=Split(60, 74, 104)), rules)
    config = build(TitansConfig, TINY | forecaster, "forecaster 'titans'")
    task = Task(L, H, 3, 3, (0, 1, 2))
    model: Any = Recipe("titans", config, task, seed=0).build(CPU)
    cls = STRATEGIES[name].cls
    rng = np.random.default_rng(0)
    strategy = cls(StrategyContext(build(cls.Config, {}, name), model, stage.history(CPU), rules, rng, CPU))
    made: list[NDArray[np.float32]] = []
    stream = Stream(stage, strategy, CPU)
    stream.run(74, 92, lambda _, forecasts: made.append(forecasts))
    with torch.compiler.set_stance("fail_on_recompile"):
        stream.run(92, 104, lambda _, forecasts: made.append(forecasts))
    return made, strategy


@pytest.mark.parametrize(
    ("name", "graphs"),  # the first release of pairs holds fewer than a block
    [("titans-a", 1), ("titans-b", 1), ("titans-b-window", 1), ("titans-c", 3)],
)
def test_a_stream_compiles_in_its_first_blocks_and_never_again(name: str, graphs: int) -> None:
    eager, _ = served(name)
    compiled, strategy = served(name, compile=True)
    assert len({len(block) for block in eager}) == 2
    for ours, theirs in zip(compiled, eager, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-4, rtol=1e-4)
    assert strategy.forecaster.compiled.graphs == graphs
    assert strategy.trace()["compile_s"] == strategy.forecaster.compiled.seconds > 0


@pytest.mark.parametrize(
    "options",
    [
        {"memory_engine": "reference"},
        {"memory_model": "attention"},
        {"memory_loss": "huber"},
        {"sliding_window_attn": True, "segment_len": 4},
        {"neural_mem_weight_residual": True, "depth": 2, "neural_memory_layers": (1, 2)},
    ],
)
def test_what_the_fast_engine_does_not_cover_is_not_compiled(options: dict[str, Any]) -> None:
    with pytest.raises(BenchError, match="compile needs the fast memory engine"):
        titans(**options, compile=True)
