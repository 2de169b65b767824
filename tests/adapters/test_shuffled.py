"""The shuffled memory: the same rows, each once, the order destroyed; everything else as it is in order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bench import Task
from bench.adaptation.shuffled import ShuffledCarry
from bench.contracts.config import build
from bench.evaluation.pretraining import Recipe
from bench.forecasters.titans.carry import Carry
from bench.forecasters.titans.config import TitansConfig
from bench.forecasters.titans.forecaster import Titans
from bench.forecasters.titans.memory_bounds import Remedies
from bench.forecasters.titans.memory_state import MemoryCache
from tests.small_titans import ROW_TOKENS

from ..caches import same

torch.set_num_threads(1)
CPU = torch.device("cpu")
L, U, ROWS = 12, 4, 60


def titans(**options: Any) -> Titans:
    tiny = ROW_TOKENS | {
        "dim": 8,
        "heads": 1,
        "dim_head": 8,
        "neural_memory_segment_len": U,
        "num_persist_mem_tokens": 1,
    }
    config = build(TitansConfig, tiny | options, "forecaster 'titans'")
    model = Recipe("titans", config, Task(L, 3, 3, 3, (0, 1, 2)), seed=0).build(CPU)
    assert isinstance(model, Titans)
    return model


def series(seed: int = 0) -> Tensor:
    return torch.randn(L + ROWS, 3, generator=torch.Generator().manual_seed(seed))


class Diary:
    """What a carry wrote, in order: the row at which a unit began, the state before, the rows known by then."""

    def __init__(self, carry: Any, rows: Tensor) -> None:
        self.entries: list[tuple[int, MemoryCache, int]] = []
        self.states: dict[int, MemoryCache] = {}
        self.known = L
        written, keep = carry._written, carry._keep

        def note(window: Tensor, cache: MemoryCache) -> MemoryCache:
            (row,) = [q for q in range(len(rows) - L + 1) if torch.equal(rows[q : q + L], window)]
            self.entries.append((row, cache, self.known))
            result = written(window, cache)
            assert isinstance(result, MemoryCache)
            return result

        def record(cache: MemoryCache, position: int) -> None:
            self.states[position] = cache
            keep(cache, position)

        carry._written, carry._keep = note, record

    @property
    def order(self) -> list[int]:
        return [row for row, _, _ in self.entries]


def shuffled(parts: list[int], most: int = 4, seed: int = 0, remedies: Remedies | None = None) -> tuple[Any, Diary]:
    rows = series()
    carry = ShuffledCarry(titans(), rows[:L], L, np.random.default_rng(seed), most, remedies=remedies)
    diary, start = Diary(carry, rows), L
    for part in parts:
        diary.known = start + part
        carry.observe(rows[start : start + part])
        start += part
    return carry, diary


def test_each_unit_is_written_once_after_it_has_left_in_another_order() -> None:
    carry, diary = shuffled([1] * ROWS)
    units = list(range(0, ROWS, U))
    waiting = [q for q in units if q not in diary.order]
    assert len(diary.order) == len(set(diary.order)) == len(units) - 3
    assert set(diary.order) <= set(units)
    assert diary.order != sorted(diary.order)
    assert len(waiting) == len(carry._pool) == 3
    assert all(row + L + U <= known for row, _, known in diary.entries)  # the unit has left the window
    assert carry.position == ROWS


def test_nothing_is_written_before_the_pool_is_full() -> None:
    carry, diary = shuffled([3 * U])
    assert diary.order == []
    assert carry.cache is carry.initial
    carry, diary = shuffled([4 * U])
    assert len(diary.order) == 1


def test_a_unit_is_encoded_at_the_head_of_its_window_from_the_memory_of_its_writing() -> None:
    _, diary = shuffled([ROWS])
    model, rows, cache = titans(), series(), titans().initial_cache()
    for row in diary.order:
        cache = model.write(rows[None, row : row + L], cache)
    assert same(cache, diary.states[ROWS])


def test_a_pool_of_one_writes_in_order() -> None:
    rows = series()
    ordered: Any = Carry(titans(), rows[:L], L)
    expected = Diary(ordered, rows)
    ordered.observe(rows[L:])
    _, diary = shuffled([ROWS], most=1)
    assert set(diary.states) == set(expected.states)
    assert all(same(state, expected.states[q]) for q, state in diary.states.items())


def test_the_order_comes_from_the_generator_alone() -> None:
    orders = {seed: shuffled([ROWS], seed=seed)[1].order for seed in (0, 1)}
    assert orders[0] == shuffled([ROWS], seed=0)[1].order
    assert orders[0] != orders[1]


@pytest.mark.parametrize("remedies", [Remedies(), Remedies(0.2, 1.02, 3 * U)], ids=["plain", "remedies"])
@settings(max_examples=4, deadline=None, derandomize=True)
@given(parts=st.lists(st.integers(1, 9), min_size=1).filter(lambda parts: sum(parts) <= ROWS))
def test_how_rows_are_released_changes_no_state(remedies: Remedies, parts: list[int]) -> None:
    _, one_by_one = shuffled([1] * ROWS, remedies=remedies)
    _, in_parts = shuffled(parts, remedies=remedies)
    assert set(in_parts.states) <= set(one_by_one.states)
    assert all(same(state, one_by_one.states[q]) for q, state in in_parts.states.items())


def test_measuring_the_half_life_draws_nothing() -> None:
    carry, diary = shuffled([ROWS])
    state = carry._rng.bit_generator.state
    assert carry.half_life() > 0
    assert carry._rng.bit_generator.state == state
    assert carry.cache is diary.states[ROWS]
