"""The carried memory: a function of how far writing has come, and of exactly the rows that have left the window."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bench import DriftSeries, Protocol, Split, Task
from bench.contracts.config import build
from bench.contracts.discovery import load_plugins
from bench.contracts.strategy import STRATEGIES, StrategyContext
from bench.evaluation.pretraining import Recipe
from bench.evaluation.stream import PreparedSeries, Stream
from bench.forecasters.titans.carry import Carry, Policy
from bench.forecasters.titans.config import TitansConfig
from bench.forecasters.titans.forecaster import Titans
from bench.forecasters.titans.memory_bounds import Remedies
from bench.forecasters.titans.memory_state import MemoryCache
from bench.forecasters.titans.reference import _library_state
from bench.forecasters.titans.transformer import TimeSeriesTitansTransformer
from bench.forecasters.window_normalization import Normalization
from bench.testing import small_series
from tests.small_titans import ROW_TOKENS

from ..caches import same, tensors

torch.set_num_threads(1)
load_plugins()

CPU = torch.device("cpu")
L, U = 12, 4
Schedule = tuple[int, int]
SCHEDULES: tuple[Schedule, ...] = ((1, 1), (1, 24), (24, 1), (10, 3), (60, 1), (168, 1))

CONFIGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "long-term tokens": {"num_longterm_mem_tokens": 4, "segment_len": 4},
    "long-term tokens, unit of two segments": {
        "num_longterm_mem_tokens": 2,
        "segment_len": 3,
        "neural_memory_segment_len": 2,
    },
    "two memories, streams": {"neural_memory_layers": (1, 2), "num_residual_streams": 2},
    "heads, batches": {"memory_heads": 2, "neural_memory_batch_size": 4},
    "no momentum, pooled": {"memory_momentum": False, "attn_pool_chunks": True},
}


def titans(lookback: int = L, **options: Any) -> Titans:
    """A small, untrained model."""
    tiny = ROW_TOKENS | {
        "dim": 8,
        "heads": 1,
        "dim_head": 8,
        "neural_memory_segment_len": U,
        "num_persist_mem_tokens": 1,
    }
    config = build(TitansConfig, tiny | options, "forecaster 'titans'")
    model = Recipe("titans", config, Task(lookback, 3, 3, 3, (0, 1, 2)), seed=0).build(CPU)
    assert isinstance(model, Titans)
    return model


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def spy(carry: Any) -> dict[int, MemoryCache]:
    """Every state that a carry comes to hold from now on, by position."""
    seen = {carry.position: carry.cache}
    keep = carry._keep

    def record(cache: MemoryCache, position: int) -> None:
        assert position > carry.position
        seen[position] = cache
        keep(cache, position)

    carry._keep = record
    return seen


def carried(
    model: TimeSeriesTitansTransformer,
    rows: Tensor,
    parts: Iterable[int],
    history: int = L,
    remedies: Remedies | None = None,
) -> dict[int, MemoryCache]:
    """States by position, where ``rows`` follow the history in parts of the given sizes."""
    carry = Carry(model, rows[:history], L, remedies=remedies)
    seen, start = spy(carry), history
    for part in parts:
        carry.observe(rows[start : start + part])
        start += part
    return seen


# A state depends on its position alone


def long_series() -> DriftSeries:
    series = small_series(rows=430)
    return replace(series, split=Split(60, 70, 430), lookback=16)


def states_under(
    schedule: Schedule,
    forecaster: dict[str, Any],
    carry: Policy = "exact",
    warm: bool = False,
    series: DriftSeries | None = None,
    name: str = "titans-b",
    **options: Any,
) -> dict[int, MemoryCache]:
    """Every state that a strategy holds when the harness serves a series under a schedule (stride, block)."""
    stride, block = schedule
    series = series or long_series()
    protocol = Protocol(lookback=16, horizon=3, stride=stride, block=block, warm_start=warm)
    stage = PreparedSeries.of(series, protocol)
    entry = STRATEGIES[name]
    given = options if name == "titans-b-shuffled" else options | {"carry": carry}
    service = StrategyContext(
        build(entry.cls.Config, given, name),
        titans(16, **forecaster),
        stage.history(CPU),
        protocol,
        np.random.default_rng(0),
        CPU,
    )
    strategy: Any = entry.cls(service)
    seen = spy(strategy.memory)
    Stream(stage, strategy, CPU).run(stage.first_origin, series.split.end, lambda *_: None)
    return seen


@pytest.mark.slow
@pytest.mark.parametrize(
    ("forecaster", "unit"),
    [
        ({"neural_memory_segment_len": 8}, 8),
        ({"num_longterm_mem_tokens": 4, "segment_len": 6, "neural_memory_segment_len": 4}, 12),
    ],
    ids=["no long-term tokens", "4 long-term tokens"],
)
def test_no_schedule_changes_a_state(forecaster: dict[str, Any], unit: int) -> None:
    first, *others = (states_under(schedule, forecaster) for schedule in SCHEDULES)
    start = 70 - 16
    assert min(first) == start
    assert len(first) > 25
    assert not any(same(first[q], first[q + unit]) for q in first if q + unit in first)  # each unit leaves a trace
    for schedule, states in zip(SCHEDULES[1:], others, strict=True):
        last_origin = range(70, 430 - 3 + 1, schedule[0])[:: schedule[1]][-1]
        assert set(states) == set(range(start, last_origin - 16 + 1, unit)), schedule
        assert set(states) <= set(first), schedule
        assert len(states) > 20, schedule
        for q, state in states.items():
            assert same(state, first[q]), (schedule, q)


REMEDIES: dict[str, dict[str, Any]] = {
    "pull": {"memory_pull": 0.2},
    "norm bound": {"memory_norm_bound": 1.01},
    "reset": {"memory_reset_every": 44},
    "all": {"memory_pull": 0.1, "memory_norm_bound": 1.01, "memory_reset_every": 50},
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "remedy"), [("titans-b", remedy) for remedy in REMEDIES] + [("titans-b-shuffled", "all")]
)
def test_no_schedule_changes_a_state_whatever_the_remedy(name: str, remedy: str) -> None:
    series = replace(long_series(), split=Split(60, 70, 190))
    forecaster = {"neural_memory_segment_len": 8, "memory_max_lr": 1.0}
    first, *others = (
        states_under(schedule, forecaster, series=series, name=name, **REMEDIES[remedy])
        for schedule in ((1, 24), (1, 1), (10, 3))
    )
    plain = states_under((10, 3), forecaster, series=series, name=name)
    assert not all(same(first[q], plain[q]) for q in set(first) & set(plain))
    for states in others:
        assert len(states) > 10
        assert len(set(states) & set(first)) > 10
        assert all(same(states[q], first[q]) for q in set(states) & set(first))


def test_the_window_policy_depends_on_the_schedule() -> None:
    series = replace(long_series(), split=Split(60, 70, 120))
    each, fifth = (states_under((stride, 1), {}, "window", series=series) for stride in (1, 5))
    exact = states_under((5, 1), {}, series=series)
    assert set(fifth) == {54, *range(70, 118, 5)}  # a window's final memory holds the rows before its origin
    both = (set(each) & set(fifth)) - {54, 70}
    assert len(both) == 9
    assert not any(same(each[q], fifth[q]) for q in both)
    assert same(each[70], fifth[70])
    assert not any(same(exact[q], fifth[q]) for q in set(exact) & set(fifth) - {54})


def test_the_window_policy_hands_on_the_last_window_of_a_block() -> None:
    series = replace(long_series(), split=Split(60, 70, 90))
    blocks = states_under((2, 3), {}, "window", series=series)
    model, rows = (
        titans(16),
        torch.from_numpy(PreparedSeries.of(series, Protocol(lookback=16, horizon=3, stride=2)).inputs),
    )
    cache = model.initial_cache()
    assert sorted(blocks) == [54, 74, 80, 86]
    for t in (74, 80, 86):
        with torch.no_grad():
            _, after = model(rows[None, t - 16 : t], cache, return_cache=True)
        for ours, expected in zip(tensors(blocks[t]), tensors(after), strict=True):
            torch.testing.assert_close(ours, expected, atol=1e-6, rtol=1e-5)
        cache = blocks[t]


def parted(rows: int) -> st.SearchStrategy[list[int]]:
    """Ways to release so many rows, some of them leaving rows for later."""
    return st.lists(st.integers(1, 9), min_size=1, max_size=rows).filter(lambda parts: sum(parts) <= rows)


@pytest.mark.parametrize("options", CONFIGS.values(), ids=CONFIGS)
@settings(max_examples=4, deadline=None, derandomize=True)
@given(parts=parted(30))
def test_how_rows_are_released_changes_no_state(options: dict[str, Any], parts: list[int]) -> None:
    model, rows = titans(**options), normal(L + 30, 3)
    one_by_one, at_once = carried(model, rows, [1] * 30), carried(model, rows, [30])
    in_parts = carried(model, rows, parts)
    assert set(at_once) == set(one_by_one)
    for states in (at_once, in_parts):
        for q, state in states.items():
            assert same(state, one_by_one[q])
    unit = model.write_unit(L)[0]
    assert set(in_parts) == set(range(0, sum(parts) + 1, unit))  # fewer rows than a unit wait


@pytest.mark.parametrize(
    "remedies", [Remedies(0.2), Remedies(norm_bound=1.01), Remedies(reset_every=10), Remedies(0.1, 1.01, 10)]
)
@settings(max_examples=4, deadline=None, derandomize=True)
@given(parts=parted(30))
def test_how_rows_are_released_changes_no_state_with_remedies(remedies: Remedies, parts: list[int]) -> None:
    model, rows = titans(), normal(L + 30, 3)
    one_by_one, in_parts = (carried(model, rows, p, remedies=remedies) for p in ([1] * 30, parts))
    assert all(same(state, one_by_one[q]) for q, state in in_parts.items())


# Remedies


def test_a_remedy_acts_after_each_unit() -> None:
    model, rows = titans(), normal(L + 12, 3)
    pulled, plain = carried(model, rows, [12], remedies=Remedies(0.2)), carried(model, rows, [12])
    initial = model.initial_cache()
    assert same(pulled[4], Remedies(0.2).tempered(plain[4], initial))
    with torch.no_grad():
        assert same(pulled[8], Remedies(0.2).tempered(model.write(rows[None, 4 : 4 + L], pulled[4]), initial))


def test_a_reset_starts_again_at_its_period() -> None:
    model, rows = titans(), normal(L + 30, 3)
    states = carried(model, rows, [30], remedies=Remedies(reset_every=10))
    initial = model.initial_cache()
    assert [q for q, state in states.items() if same(state, initial)] == [0, 12, 20]  # and then 32
    later = carried(model, rows[12:], [18])
    assert same(states[16], later[4])


def test_a_bound_holds_over_the_stream() -> None:
    model, rows = titans(memory_max_lr=1.0), normal(L + 30, 3)
    for bound in (1.0, 1.05):
        carry = Carry(model, rows[:L], L, remedies=Remedies(norm_bound=bound))
        plain = Carry(model, rows[:L], L)
        norms = []
        for row in rows[L:]:
            carry.observe(row[None])
            plain.observe(row[None])
            norms.append((carry.norm(), plain.norm()))
        assert max(bounded for bounded, _ in norms) <= bound * (1 + 1e-5)
        assert max(free for _, free in norms) > bound


# What is measured


def distance(one: MemoryCache, other: MemoryCache) -> float:
    pairs = [(x.weights[k], y.weights[k]) for x, y in zip(one.layers, other.layers, strict=True) for k in x.weights]
    return float(torch.cat([(a - b).flatten() for a, b in pairs]).norm())


@pytest.mark.parametrize("name", ["plain", "two memories, streams", "long-term tokens"])
@pytest.mark.parametrize("pull", [0.0, 0.3])
def test_the_half_life_is_that_of_the_next_unit(name: str, pull: float) -> None:
    model, rows = titans(**CONFIGS[name]), normal(L + 22, 3)
    carry = Carry(model, rows[:L], L, remedies=Remedies(pull))
    assert math.isnan(carry.half_life())  # nothing has been written
    carry.observe(rows[L:])
    unit, _ = model.write_unit(L)
    q, initial, before = carry.position, model.initial_cache(), carry.cache
    with torch.no_grad():
        after, fresh = (model.write(rows[None, q : q + L], cache) for cache in (carry.cache, initial))
    left = (1 - pull) * distance(after, fresh) / distance(carry.cache, initial)
    assert 0 < left < 1
    assert carry.half_life() == pytest.approx(unit * math.log(2) / -math.log(left), rel=1e-3)
    assert carry.norm() == pytest.approx(carry.cache.norm() / initial.norm())
    assert (carry.cache, carry.position) == (before, q)


def test_where_a_write_leaves_no_difference_the_half_life_is_zero() -> None:
    model, rows = titans(), normal(L + 22, 3)
    carry = Carry(model, rows[:L], L)
    carry.observe(rows[L:])
    carry.remedies = Remedies(1.0)
    assert carry.half_life() == 0


def test_the_half_life_of_the_window_policy_is_that_of_a_window() -> None:
    model, rows = titans(), normal(L + 12, 3)
    carry = Carry(model, rows[:L], L, "window")
    with torch.no_grad():
        for t in range(L, L + 13, 3):
            if t > L:
                carry.observe(rows[t - 3 : t])
            window = rows[None, t - L : t]
            cache, initial = carry.cache, model.initial_cache()
            carry.hand_over(model(window, cache, return_cache=True)[1], t)
        after, fresh = (model(window, cache, return_cache=True)[1] for cache in (carry.cache, initial))
    left = distance(after, fresh) / distance(carry.cache, initial)
    assert carry.half_life() == pytest.approx(3 * math.log(2) / -math.log(left), rel=1e-4)


def test_half_of_what_was_carried_is_gone_after_a_half_life(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a memory whose writes keep three quarters of it, whatever is read."""
    model, rows = titans(), normal(L + 8, 3)
    carry = Carry(model, rows[:L], L)
    carry.observe(rows[L:])

    def written(share: float) -> Any:
        def write(_: Tensor, cache: MemoryCache) -> MemoryCache:
            layers = (replace(x, weights={k: w * share**U for k, w in x.weights.items()}) for x in cache.layers)
            return MemoryCache(tuple(layers), cache.batch)

        return write

    monkeypatch.setattr(model, "write", written(0.5))
    assert carry.half_life() == pytest.approx(1.0, rel=1e-4)  # each row halves it
    monkeypatch.setattr(model, "write", written(0.5 ** (1 / 10)))
    assert carry.half_life() == pytest.approx(10.0, rel=1e-4)
    monkeypatch.setattr(model, "write", written(1.0))
    assert carry.half_life() == math.inf
    monkeypatch.setattr(model, "write", written(math.nan))
    assert carry.half_life() == math.inf or math.isnan(carry.half_life())


# What a state is


@torch.no_grad()
def test_a_state_is_what_its_rows_wrote_when_they_headed_a_window() -> None:
    """Worked out from the definition, for a first layer: its memory reads embedded rows and nothing else."""
    model, rows = titans(normalize="last"), normal(L + 13, 3)
    states = carried(model, rows, [13])
    memory, state = model.memories[0], model.initial_cache().layers[0]
    positions = model.transformer.axial_pos_emb.forward_with_seq_len(U, (U,))
    for q in (0, 4, 8):
        level = rows[q + L - 1]  # the last row of the window [q, q + L)
        tokens = (model.input_projection(rows[q : q + U] - level) + positions).expand(3, 1, U, -1)
        _, after = memory(tokens, state=_library_state(state))
        weights, momentum = after.states
        state = replace(state, weights=dict(weights.items()), momentum=dict(momentum.items()))
        ours = states[q + U].layers[0]
        for name, tensor in ours.weights.items():
            torch.testing.assert_close(tensor, state.weights[name], atol=1e-6, rtol=1e-5)
            torch.testing.assert_close(ours.momentum[name], state.momentum[name], atol=1e-6, rtol=1e-5)
    assert max(states) == 12


@pytest.mark.parametrize("coupled", [False, True])
@torch.no_grad()
def test_a_window_is_encoded_from_the_memory_carried_so_far(coupled: bool) -> None:
    """With a unit as long as the window, what is carried is what each forward pass hands on to the next."""
    model = TimeSeriesTitansTransformer(
        *(3, 3, 2),
        dim=8,
        segment_len=L,
        dim_head=8,
        heads=1,
        neural_memory_layers=(1, 2),
        neural_mem_weight_residual=coupled,
        neural_memory_kwargs={"default_step_transform_max_lr": 0.1},
    ).eval()
    rows, cache = normal(4 * L, 3), model.initial_cache()
    states = carried(model, rows, [3 * L])
    assert sorted(states) == [0, L, 2 * L, 3 * L]
    for q in (0, L, 2 * L):
        _, cache = model(rows[None, q : q + L], cache, return_cache=True)
        for ours, expected in zip(tensors(states[q + L]), tensors(cache), strict=True):
            torch.testing.assert_close(ours, expected, atol=1e-6, rtol=1e-5)


def level_rows(normalize: Normalization, q: int, unit: int) -> set[int]:
    """Rows that enter a state at ``q`` through the normalisation of the windows ``[q - u, q - u + L)`` and before."""
    heads: Sequence[int] = range(0, q, unit)
    if normalize == "none":
        return set()
    if normalize == "last":
        return {head + L - 1 for head in heads}
    return {row for head in heads for row in range(head, head + L)}


@pytest.mark.parametrize(
    ("name", "normalize"),
    [
        ("plain", "none"),
        ("plain", "last"),
        ("plain", "mean-std"),
        ("plain", "blended"),
        ("long-term tokens", "last"),
        ("two memories, streams", "none"),
    ],
)
@settings(max_examples=2, deadline=None, derandomize=True)
@given(seed=st.integers(0, 99))
def test_a_state_holds_exactly_the_rows_before_it(name: str, normalize: Normalization, seed: int) -> None:
    """Rows ``[q0, q)``, and what the windows that they headed were normalised by: all before ``q - u + L``."""
    model, rows = titans(normalize=normalize, **CONFIGS[name]), normal(L + 10, 3, seed=seed)
    states = carried(model, rows, [10])
    assert set(states) == {0, 4, 8}
    for row in range(len(rows)):
        changed = rows.clone()
        changed[row] += 1
        others = carried(model, changed, [10])
        for q in states:
            matters = row < q or row in level_rows(normalize, q, U)
            assert same(states[q], others[q]) != matters, (row, q)
            assert not matters or row < q - U + L


def test_fewer_rows_than_a_unit_wait() -> None:
    model, rows = titans(), normal(L + 9, 3)
    carry = Carry(model, rows[:L], L)
    initial = carry.cache
    for count in range(1, 10):
        before = carry.cache
        carry.observe(rows[L + count - 1 : L + count])
        assert carry.position == count // U * U
        assert (carry.cache is before) == (count % U > 0)
    assert not same(carry.cache, initial)


def test_rows_before_the_last_lookback_of_the_history_are_not_read() -> None:
    model, rows = titans(), normal(20 + 8, 3)
    long = carried(model, rows, [8], history=20)
    short = carried(model, rows[20 - L :], [8])
    assert set(long) == {8, 12, 16}
    for q, state in long.items():
        assert same(state, short[q - 8])


def test_writing_changes_no_state_already_held() -> None:
    model, rows = titans(**CONFIGS["two memories, streams"]), normal(L + 12, 3)
    carry = Carry(model, rows[:L], L, remembered=9)
    held: list[tuple[MemoryCache, list[Tensor]]] = []
    for start in range(L, L + 12, U):
        held.append((carry.cache, [t.clone() for t in tensors(carry.cache)]))
        carry.observe(rows[start : start + U])
    for cache, copies in held:
        assert all(torch.equal(t, copy) for t, copy in zip(tensors(cache), copies, strict=True))
        assert not any(t.requires_grad for t in tensors(cache))


# The ring


@given(remembered=st.integers(1, 4), row=st.integers(-3, 20))
@settings(max_examples=20, deadline=None, derandomize=True)
def test_the_ring_answers_with_the_latest_state_that_fits(remembered: int, row: int) -> None:
    model, rows = titans(), normal(L + 16, 3)
    carry = Carry(model, rows[:L], L, remembered=remembered)
    seen = spy(carry)
    carry.observe(rows[L:])
    held = sorted(seen)[-remembered:]
    fitting = [q for q in held if q <= row] or held[:1]
    assert carry.at(row) is seen[fitting[-1]]
    assert carry.cache is seen[16]


def test_each_policy_ignores_what_the_other_one_does() -> None:
    model, rows = titans(), normal(L + 8, 3)
    exact, window = Carry(model, rows[:L], L), Carry(model, rows[:L], L, "window", remembered=2)
    other = model.initial_cache()
    exact.hand_over(other, 40)
    window.observe(rows[L:])
    assert (exact.position, window.position) == (0, 0)
    window.hand_over(other, 40)
    assert (window.position, window.cache) == (40, other)
    assert window.at(40) is other
    assert window.at(39) is not other
