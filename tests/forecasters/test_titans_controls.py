"""Controls of the carried memory: never written again, written window by window, written in another order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from torch import Tensor

from bench import BenchError
from bench.forecasters.titans.memory_state import MemoryCache

from ..caches import same
from ..titans_in_service import START, H, L, TraceSampler, U, protocol, serve, spy


@pytest.mark.parametrize("carry", ["exact", "window"])
@pytest.mark.parametrize(("stride", "block"), [(1, 1), (3, 2), (5, 1)])
def test_stale_keeps_the_memory_of_the_streams_start(stride: int, block: int, carry: str) -> None:
    rules = protocol(stride=stride, block=block, warm_start=True)
    states: dict[str, dict[int, MemoryCache]] = {}

    def watch(strategy: Any) -> None:
        states[type(strategy).__name__] = spy(strategy)

    b, stale = (serve(name, rules, watch=watch, carry=carry) for name in ("titans-b", "titans-b-stale"))
    carried, kept = states["TitansCarried"], states["TitansStale"]
    reached = max(q for q in carried if q <= (START - L if carry == "exact" else START - H))
    assert max(kept) == reached > min(kept)
    assert stale.strategy.memory.cache is kept[reached]
    assert all(same(kept[q], carried[q]) for q in kept)
    assert max(carried) > reached
    assert not same(b.strategy.memory.cache, stale.strategy.memory.cache)
    for t, forecast in b.forecasts.items():
        equal = np.array_equal(forecast, stale.forecasts[t])
        assert equal or t > START, t
    assert not np.array_equal(b.forecasts[max(b.forecasts)], stale.forecasts[max(b.forecasts)])


def test_stale_from_a_cold_start_is_a() -> None:
    a, stale = (serve(name, protocol()).forecasts for name in ("titans-a", "titans-b-stale"))
    assert all(np.array_equal(a[t], stale[t]) for t in a)


# The other controls


@pytest.mark.parametrize(("stride", "block"), [(1, 1), (3, 2)])
def test_the_window_control_is_b_with_the_window_policy(stride: int, block: int) -> None:
    rules = protocol(stride=stride, block=block, warm_start=True)
    control, b = serve("titans-b-window", rules), serve("titans-b", rules, carry="window")
    assert all(np.array_equal(control.forecasts[t], b.forecasts[t]) for t in b.forecasts)
    assert same(control.strategy.memory.cache, b.strategy.memory.cache)
    with pytest.raises(BenchError, match="unknown option 'carry'"):
        serve("titans-b-window", rules, carry="exact")


def test_the_window_control_writes_a_row_as_often_as_windows_hold_it() -> None:
    written: dict[str, int] = {}

    def count(name: str) -> TraceSampler:
        def watch(strategy: Any) -> None:
            model = strategy.forecaster
            run, write = model.run, model.write

            def running(x: Tensor, cache: MemoryCache | None, after: int | None = None) -> Any:
                if after is not None:  # the memory at the end of each window is handed on
                    written[name] = written.get(name, 0) + after
                return run(x, cache, after)

            def writing(x: Tensor, cache: MemoryCache) -> Any:
                written[name] = written.get(name, 0) + U
                return write(x, cache)

            model.run, model.write = running, writing

        return watch

    for name in ("titans-b", "titans-b-window"):
        serve(name, protocol(), 100, count(name))
    windows = 100 - START - H + 1
    assert written == {"titans-b": (windows - 1) // U * U, "titans-b-window": windows * L}


def test_shuffled_in_a_pool_of_one_is_b_and_otherwise_is_not() -> None:
    rules = protocol(warm_start=True)
    b = serve("titans-b", rules)
    one, four = (serve("titans-b-shuffled", rules, waiting_units=units) for units in (1, 4))
    assert all(np.array_equal(b.forecasts[t], one.forecasts[t]) for t in b.forecasts)
    assert not np.array_equal(b.forecasts[97], four.forecasts[97])
    assert four.strategy.memory.position == b.strategy.memory.position
