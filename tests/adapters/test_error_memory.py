"""The memory of errors: its update by hand and by the library, and the strategies that have one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from titans_pytorch import NeuralMemory
from torch import Tensor, nn

from bench import Task
from bench.adaptation.error_memory import ErrorMemory, ErrorMemoryConfig
from bench.contracts.strategy import History
from tests.titans_in_service import START, H, L, protocol, serve

torch.set_num_threads(1)

RNG = np.random.default_rng(0)
TASK = Task(L, H, 3, 3, (0, 1, 2))


def history(rows: int = 80, hidden: bool = False) -> History:
    values = torch.from_numpy(RNG.normal(size=(rows, 3)).astype(np.float32))
    return History(values, values[:, :2] if hidden else values, None if hidden else (0, 1, 2), None, rows)


def memory(task: Task = TASK, hidden: bool = False, **options: Any) -> ErrorMemory:
    return ErrorMemory(history(hidden=hidden), task, ErrorMemoryConfig(**options))


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


# The update


def test_one_pair_of_one_channel_by_hand() -> None:
    """Without whitening a key is the anchored window and a 1, and the step n / (n + 8) is a ninth of the error."""
    rows = torch.arange(80.0)[:, None]
    task = Task(2, 1, 1, 1, (0,))
    errors = ErrorMemory(History(rows, rows, (0,), None, 80), task, ErrorMemoryConfig(pair_power=0, pair_rates=(1.0,)))
    errors.whitening = torch.eye(3)
    window, missed = torch.tensor([[[5.0], [2.0]]]), torch.tensor([[[6.0]]])
    errors.write(window, missed)
    key = torch.tensor([3.0, 0.0, 1.0])
    torch.testing.assert_close(errors.weights[0, 0, :, 0], 6.0 / 9 * key / 10)
    torch.testing.assert_close(errors.answer(window), missed / 9)
    errors.write(window, missed)
    torch.testing.assert_close(errors.answer(window), missed / 9 + (missed - missed / 9) / 9)


def test_its_writes_are_those_of_the_librarys_memory() -> None:
    """A `NeuralMemory` of depth 1, without norms and momentum, given our keys and values, holds the same."""
    errors = memory(pair_rates=(1.0,), pair_chunk=4)
    errors.whitening = errors.whitening.double()
    errors.weights, errors.rates = errors.weights.double(), errors.rates.double()
    errors.mix.losses = errors.mix.losses.double()
    width = L + 1  # the library's memory is square: the value's other columns are 0
    theirs = NeuralMemory(
        dim=width, chunk_size=12, batch_size=12, model=LinearMemory(width), momentum=False, qk_rmsnorm=False,
        pre_rmsnorm=False, heads=1, dim_head=width, mem_model_norm_add_residual=False,
        default_step_transform_max_lr=1.0,
    ).double()  # fmt: skip
    held = torch.zeros(width, width, dtype=torch.float64)
    for seed in (1, 2):
        windows, missed = normal(4, L, 3, seed=seed).double(), normal(4, H, 3, seed=seed + 10).double()
        keys = errors._keys(windows)[0]
        values = nn.functional.pad(missed.transpose(1, 2).flatten(0, 1), (0, width - H))
        step = 4 / 12 * width / 2 / keys.square().sum()  # the library's loss is a mean over the value's columns
        loss = theirs.store_memory_loss_fn((keys @ held.requires_grad_()), values)
        (grad,) = torch.autograd.grad((loss * step).sum(), held)
        held = (held - grad).detach()
        errors.write(windows, missed)
        torch.testing.assert_close(errors.weights[0, 0], held[:, :H], rtol=1e-9, atol=1e-12)


class LinearMemory(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(width, width))

    def forward(self, x: Tensor) -> Tensor:
        return x @ self.weight


def test_a_relation_that_holds_is_learned_and_the_size_of_the_state_does_not_grow() -> None:
    errors, truth = memory(), normal(L, H)
    shape = errors.weights.shape
    assert shape == (2, 1, L + 1, H)

    def missed(windows: Tensor) -> Tensor:
        return ((windows - windows[:, -1:]).transpose(1, 2) @ truth).transpose(1, 2)

    for seed in range(200):
        windows = normal(24, L, 3, seed=seed)
        errors.write(windows, missed(windows))
    new = normal(10, L, 3, seed=999)
    left = (missed(new) - errors.answer(new)).square().mean() / missed(new).square().mean()
    assert left < 0.05
    assert errors.weights.shape == shape
    assert errors.chunks == 200


def test_the_better_rate_has_the_greater_share() -> None:
    """The relation turns at each chunk: who follows fast is wrong by more."""
    errors = memory(pair_rates=(0.1, 1.9))
    for seed in range(40):
        windows = normal(24, L, 3, seed=seed)
        errors.write(windows, (-1) ** seed * windows[:, :H])
    slow, fast = errors.mix.shares().tolist()
    assert slow > 0.9 > fast


def test_each_channel_may_have_memories_of_its_own() -> None:
    own, shared = memory(pair_per_channel=True), memory()
    assert own.weights.shape == (2, 3, L + 1, H)
    for errors in (own, shared):
        for seed in range(20):
            windows = normal(24, L, 3, seed=seed)
            missed = windows[:, :H].clone()
            missed[..., 1] *= -1
            errors.write(windows, missed)
    windows = normal(50, L, 3, seed=99)
    truth = windows[:, :H] * torch.tensor([1.0, -1.0, 1.0])
    left = [(truth - errors.answer(windows)).square().mean(dim=(0, 1)) for errors in (own, shared)]
    assert (left[0] < left[1]).all()
    torch.testing.assert_close(own.answer(windows)[3:4], own.answer(windows[3:4]))


def test_targets_that_are_not_inputs_are_read_from_the_whole_window() -> None:
    errors = memory(Task(L, H, 3, 2, None), hidden=True, pair_per_channel=True)
    assert errors.weights.shape == (2, 1, 3 * L + 1, 2 * H)
    windows = normal(24, L, 3)
    missed = torch.stack([windows[:, :H, 0], windows[:, :H, 2]], dim=-1)
    for _ in range(200):
        errors.write(windows, missed)
    assert errors.answer(windows).shape == missed.shape
    assert (errors.answer(windows) - missed).abs().mean() < 0.3 * missed.abs().mean()


def test_decay_forgets() -> None:
    errors = memory(pair_decay=0.5, pair_step=1e9)
    errors.weights = errors.weights + 1
    errors.write(normal(24, L, 3), torch.zeros(24, H, 3))
    torch.testing.assert_close(errors.weights, torch.full_like(errors.weights, 0.5), rtol=1e-3, atol=1e-3)


# In service

RULES = protocol(stride=3, warm_start=True)


@pytest.mark.parametrize("options", [{"pair_step": "none"}, {}])
def test_where_nothing_is_written_d_is_a_to_the_last_bit(options: dict[str, Any]) -> None:
    rules = RULES if options else protocol(stride=3, warm_start=True, delay=1000)  # labels that never come
    a, d = serve("titans-a", rules), serve("titans-d", rules, **options)
    assert a.forecasts.keys() == d.forecasts.keys()
    assert all(np.array_equal(a.forecasts[t], d.forecasts[t]) for t in a.forecasts)


def test_what_is_written_is_what_a_missed() -> None:
    """At each block the memory holds the pairs that matured by then, and answers on top of A."""
    a, d = serve("titans-a", RULES), serve("titans-d", RULES)
    differ = [t for t in a.forecasts if not np.allclose(a.forecasts[t], d.forecasts[t], atol=1e-6)]
    assert len(differ) > 5
    assert d.strategy.errors.chunks == len(a.forecasts) - 1  # nothing has matured at the first block


@pytest.mark.parametrize(("given", "horizon", "every"), [(None, 24, 3), (None, 1, 1), (None, 9, 1), (5, 24, 5)])
def test_pairs_between_those_written_are_left_out(given: int | None, horizon: int, every: int) -> None:
    task = Task(L, horizon, 3, 3, (0, 1, 2))
    assert ErrorMemory(history(), task, ErrorMemoryConfig(pair_every=given)).every == every


def test_every_third_pair_is_written_whatever_the_blocks_and_takes_the_step_of_three() -> None:
    written: list[int] = []

    def watch(strategy: Any) -> None:
        missed = strategy.missed

        def spy(feedback: Any, forecasts: Tensor) -> Tensor:
            written.extend(feedback.origins.tolist())
            found: Tensor = missed(feedback, forecasts)
            return found

        strategy.missed = spy

    found = []
    for stride in (1, 5):
        written.clear()
        serve("titans-d", protocol(stride=stride, warm_start=True), watch=watch, pair_every=3)
        found.append([s for s in written if s < START])
        assert all(s % 3 == 0 for s in written)
        assert len(written) > 5
    assert found[0] == found[1]
    one, three = memory(pair_every=1, pair_rates=(1.0,)), memory(pair_every=3, pair_rates=(1.0,))
    windows, missed = normal(4, L, 3), normal(4, H, 3)
    for errors in (one, three):
        errors.whitening = torch.eye(L + 1)
        errors.write(windows, missed)
    torch.testing.assert_close(three.weights, one.weights * (12 / 20) / (4 / 12))


def test_stale_is_d_until_the_stream_begins_and_is_not_written_after() -> None:
    d, stale = serve("titans-d", RULES), serve("titans-d-stale", RULES)
    before = [t for t in d.forecasts if t < START]
    assert before
    assert all(np.array_equal(d.forecasts[t], stale.forecasts[t]) for t in before)
    assert any(not np.array_equal(d.forecasts[t], stale.forecasts[t]) for t in d.forecasts if t > START + H)
    assert stale.strategy.errors.chunks == len(before) - 1


def test_shuffled_writes_all_errors_beside_windows_that_they_are_not_of() -> None:
    seen: list[tuple[Tensor, Tensor]] = []

    def watch(strategy: Any) -> None:
        write = strategy.errors.write

        def spy(x: Tensor, y: Tensor) -> None:
            seen.append((x, y))
            write(x, y)

        strategy.errors.write = spy

    serve("titans-d", RULES, watch=watch)
    own, seen = torch.cat([y for _, y in seen]), []
    served = serve("titans-d-shuffled", RULES, watch=watch, waiting_errors=8)
    drawn = torch.cat([y for _, y in seen])
    assert own.shape == drawn.shape
    known = {tuple(one.flatten().tolist()) for one in own.double().round(decimals=4)}
    assert sum(tuple(one.flatten().tolist()) in known for one in drawn.double().round(decimals=4)) > 0.9 * len(drawn)
    kept = (own - drawn).abs().amax(dim=(1, 2)) < 1e-4
    assert kept.float().mean() < 0.5
    assert len(served.strategy._pool) == 8


@pytest.mark.parametrize("name", ["titans-d", "ridge-d", "error-memory", "titans-cd"])
def test_nothing_grows_with_the_stream(name: str) -> None:
    short, long = (serve(name, RULES, end=end).strategy for end in (100, 200))
    assert short.errors.weights.shape == long.errors.weights.shape
    assert not long._released
    assert set(long.trace()) >= {"error_memory_norm"}


def test_error_memory_reads_a_memory_of_tokens_that_is_never_written() -> None:
    frozen, errors = serve("frozen", RULES), serve("error-memory", RULES, pair_step=None)
    assert all(np.array_equal(frozen.forecasts[t], errors.forecasts[t]) for t in frozen.forecasts)


def test_cd_trains_the_backbone_and_remembers_what_it_misses() -> None:
    c = serve("titans-c", RULES, online_lr=1e-3)
    nothing = serve("titans-cd", RULES, online_lr=1e-3, pair_step=None)
    both = serve("titans-cd", RULES, online_lr=1e-3)
    assert all(np.array_equal(c.forecasts[t], nothing.forecasts[t]) for t in c.forecasts)
    assert any(not np.allclose(c.forecasts[t], both.forecasts[t]) for t in c.forecasts)
