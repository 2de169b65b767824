"""A pool of forecasters, each for windows of its own level and deviation."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from bench import Feedback, Protocol
from bench.evaluation.stream import PreparedSeries

from ..literature import VALIDATION, C, Decay, H, L, made, series, serve, slope

torch.set_num_threads(1)


ORIGINS = itertools.count(200, H)
"""Of truths that do not overlap: each window counts."""


def at(level: float, count: int, seed: int = 0) -> Feedback:
    """Pairs whose windows have mean ``level`` and deviation 1 in each column."""
    generator = torch.Generator().manual_seed(seed)
    x, y = (torch.randn(count, rows, C, generator=generator) for rows in (L, H))
    x = (x - x.mean(dim=1, keepdim=True)) / x.std(dim=1, keepdim=True, correction=0) + level
    return Feedback(x, y, np.array([next(ORIGINS) for _ in range(count)]), present=x[-1])


def pool(**options: Any) -> Any:
    strategy = made("cep", least=3, tiny=False, **options)
    strategy.adapt(at(0.0, 30))
    assert len(strategy.pools[0].members) == 1
    return strategy


def test_a_new_member_is_a_copy_for_windows_of_another_level() -> None:
    strategy = pool(online_lr=0.01)
    (first,) = strategy.pools[0].members
    weight = first.forecaster.map.weight.detach().clone()
    strategy.adapt(at(2.0, 1))  # less than three deviations away
    assert len(strategy.pools[0].members) == 1
    weight = first.forecaster.map.weight.detach().clone()
    far = at(8.0, 1)
    strategy.adapt(far)
    assert [len(one.members) for one in strategy.pools] == [2]
    second = strategy.pools[0].members[1]
    torch.testing.assert_close(first.forecaster.map.weight, weight)
    copied = Decay()
    copied.map.weight.data.copy_(weight)
    copied.map.bias.data.copy_(first.forecaster.map.bias.data)
    step = -0.5 * 0.01 * slope(copied, far.x, far.y).sign()  # Adam's first step, at half the rate
    torch.testing.assert_close(second.forecaster.map.weight.data, weight + step, atol=1e-5, rtol=0)


def test_forecasts_are_the_nearest_member_s() -> None:
    strategy = pool(online_lr=0.01)
    strategy.adapt(at(8.0, 12))
    first, second = strategy.pools[0].members
    near, far = at(0.5, 2, seed=3).x, at(7.0, 3, seed=4).x
    expected = torch.cat([first.forecaster(near), second.forecaster(far)]).detach()
    torch.testing.assert_close(strategy.predict(torch.cat([near, far])), expected)


def test_columns_apart_have_a_pool_each() -> None:
    strategy = made("cep", apart=True, least=3, tiny=False, online_lr=0.01)
    calm, moved = at(0.0, 30), at(0.0, 4, seed=1)
    strategy.adapt(calm)
    moved.x[:, :, 1] += 8
    strategy.adapt(moved)
    assert [len(one.members) for one in strategy.pools] == [1, 2]
    window = moved.x[:1]
    own, other = strategy.pools[0].members[0], strategy.pools[1].members[1]
    expected = torch.stack([own.forecaster(window)[..., 0], other.forecaster(window)[..., 1]], dim=-1)
    torch.testing.assert_close(strategy.predict(window), expected.detach())


def test_the_key_of_a_member_by_hand() -> None:
    strategy = pool(online_lr=0.01)
    member = strategy.pools[0].members[0]
    fast, slow, count = member.fast.clone(), member.slow.clone(), member.count
    new = at(1.0, 1)
    strategy.adapt(new)
    statistic = torch.tensor([1.0] * C + [1.0] * C)
    torch.testing.assert_close(member.fast, 0.8 * fast + 0.2 * statistic)
    torch.testing.assert_close(member.slow, slow + (statistic - slow) / (count + 1))
    torch.testing.assert_close(member.key(0.8), 0.8 * member.fast + 0.2 * member.slow)


@pytest.mark.parametrize(("unused", "left"), [(4, 2), (8, 1)])
def test_a_member_that_is_not_used_dies(unused: int, left: int) -> None:
    """After 1.5 times the windows that it had, here 4."""
    strategy = pool(online_lr=0.01)
    strategy.adapt(at(8.0, 4))
    strategy.adapt(at(0.0, unused))
    assert len(strategy.pools[0].members) == left


def test_a_full_pool_gives_up_the_member_that_was_not_used_for_longest() -> None:
    strategy = pool(online_lr=0.01, most=2)
    strategy.adapt(at(8.0, 20))
    strategy.adapt(at(-8.0, 1))
    assert len(strategy.pools[0].members) == 2
    assert sorted(round(float(one.slow[0])) for one in strategy.pools[0].members) == [-8, 8]


def test_windows_count_once_in_a_horizon_and_all_pairs_are_learned_from() -> None:
    strategy = pool(online_lr=0.01)
    (member,) = strategy.pools[0].members
    count, steps, new = member.count, member.online.taken, at(1.0, 4)
    strategy.adapt(replace(new, origins=new.origins[0] + np.arange(4)))
    assert member.count == count + 4 // H
    assert member.online.taken == steps + 1
    strategy.adapt(replace(at(1.0, 1), origins=new.origins[:1] + 4))
    assert member.count == count + 4 // H + 1


def two_laws(rows: int) -> NDArray[np.float64]:
    """Rows go back to their level, then, at a higher level, swing around it, then go back again."""
    rng, values = np.random.default_rng(0), np.zeros((rows, C))
    other = range(VALIDATION + 200, VALIDATION + 500)
    for t in range(1, rows):
        values[t] = (-0.6 if t in other else 0.6) * values[t - 1] + 0.3 * rng.standard_normal(C)
    values[other] += 3.0
    return values


def test_what_was_learned_of_a_law_is_there_when_it_comes_back() -> None:
    """Over 20 forecasts, from windows on that have at most three rows of the other law."""
    values, protocol = two_laws(700), Protocol(lookback=L, horizon=H, stride=1)
    back = slice(500 + L - 3, 520 + L - 3)
    truth = PreparedSeries.of(series(values), protocol).truths(np.arange(VALIDATION, len(values) - H + 1))
    errors = {
        name: np.square(serve(name, values, tiny=False, online_lr=0.01).forecasts - truth)[back].mean()
        for name in ("ogd", "cep")
    }
    assert errors["cep"] < 0.6 * errors["ogd"]


def test_each_target_has_a_pool_or_all_share_one() -> None:
    assert len(made("cep", apart=True).pools) == C
    assert len(made("cep").pools) == 1
