"""TAFAS with its published schedule: what it sees too early, and that it says so."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from bench import BenchError, Planned, Protocol
from bench.contracts.forecaster import Task
from bench.contracts.protocol import ProtocolSpec
from bench.contracts.strategy import STRATEGIES
from bench.evaluation.profiling.footprint import state_bytes
from bench.evaluation.stream import PreparedSeries
from bench.testing import LeakError, audit_strategy, leak_canary, small_series, tiny_maker

from ..conftest import Bench
from ..literature import VALIDATION, H, L, decaying, made, moving, series, serve

torch.set_num_threads(1)

NAME = "tafas-as-published"


def test_switched_off_it_is_frozen_to_the_bit() -> None:
    values = decaying(140, 3.0)
    frozen = serve("frozen", values, block=5).forecasts
    np.testing.assert_array_equal(serve(NAME, values, block=5, online_lr=0).forecasts, frozen)


def test_it_learns_from_a_batch_that_has_just_ended_and_from_the_first_rows_of_its_own_truth() -> None:
    """By hand: in the second batch of three origins, the pairs of the first are whole; then leads beyond it change."""
    values = decaying(140, 3.0)
    served = serve(NAME, values, end=VALIDATION + 5 + H, block=3, online_lr=0.1)
    rows = torch.from_numpy(PreparedSeries.of(series(values), Protocol(lookback=L, horizon=H, stride=1)).inputs)
    layers = made("tafas", online_lr=0.1)  # has seen no pair

    def windows(first: int) -> Tensor:
        return torch.stack([rows[t - L : t] for t in range(first, first + 3)])

    def learn(x: Tensor, y: Tensor, leads: int) -> None:
        layers.online.learn(lambda: (layers.forecast(x) - y)[:, :leads].square().mean())

    expected = []
    for first in (VALIDATION, VALIDATION + 3):
        x = windows(first)
        if first > VALIDATION:
            truth = torch.stack([rows[s : s + H] for s in range(VALIDATION, VALIDATION + 3)])
            learn(windows(VALIDATION), truth, H)  # its last rows come after the origin of window 0
        before = layers.forecast(x).detach()
        learn(x[:1], rows[None, first : first + H], 2)
        after = layers.forecast(x).detach()
        late = torch.tensor([[h >= 2 - i for h in range(H)] for i in range(3)])
        expected.append(torch.where(late[..., None], after, before))
    torch.testing.assert_close(torch.from_numpy(served.forecasts), torch.cat(expected))


def test_what_it_sees_is_of_use() -> None:
    """Where the level moves it is ahead of the causal `tafas` in the same blocks."""
    own, causal = (serve(name, moving(400), tiny=False, block=7, online_lr=0.02).mse for name in (NAME, "tafas"))
    assert own < 0.7 * causal


def test_its_state_does_not_grow() -> None:
    values = moving(VALIDATION + 300)
    ends = (VALIDATION + 150, VALIDATION + 300)
    assert len({state_bytes(serve(NAME, values, block=5, end=end).strategy) for end in ends}) == 1


def test_in_blocks_of_one_it_is_tafas() -> None:
    values = moving(300)
    own, causal = (serve(name, values, online_lr=0.02).forecasts for name in (NAME, "tafas"))
    np.testing.assert_allclose(own, causal, atol=1e-6)


@pytest.mark.parametrize(("stride", "index"), [(2, (0, 1)), (1, None)], ids=["stride", "hidden"])
def test_it_refuses_where_rows_are_no_truths(stride: int, index: tuple[int, ...] | None) -> None:
    cls = STRATEGIES[NAME].cls
    planned = Planned(Protocol(lookback=L, horizon=H, stride=stride, block=5), Task(L, H, 2, 2, index), 80)
    with pytest.raises(BenchError, match="takes truths from the rows of consecutive origins"):
        cls.check_service(cls.Config(), planned)


def test_it_is_in_no_group_that_is_ranked() -> None:
    cls = STRATEGIES[NAME].cls
    assert cls.group == "leaky"
    assert cls.labels_from_rows
    assert not cls.takes_partial


def test_the_canary_catches_it() -> None:
    series = small_series()
    protocol = ProtocolSpec(preset="dense", block=5).resolve(series)
    with pytest.raises(LeakError, match="of a later window of its block"):
        leak_canary(tiny_maker(NAME), series, protocol, cuts=(series.split.validation + 7,))


def test_its_audit_fails_and_says_that_it_leaks_on_purpose() -> None:
    audit = audit_strategy(NAME, "dlinear", quick=True)
    assert audit.status == "failed"
    assert audit.reason.startswith("leaks on purpose, as its group says, and is never ranked: ")
    assert "of a later window of its block" in audit.reason


def test_bench_check_says_that_it_leaks(bench: Bench) -> None:
    ran = bench("check", NAME, "--engine", "inline", "--forecaster", "dlinear")
    assert ran.status == 1
    assert f"strategy '{NAME}' FAILED: leaks on purpose, as its group says, and is never ranked: " in ran.err
