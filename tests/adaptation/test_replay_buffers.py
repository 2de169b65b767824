"""Buffers of pairs, and which of them are replayed."""

from __future__ import annotations

import copy

import numpy as np
import torch

from bench.adaptation.replay_buffers import ReplayBuffer, most_interfered

from ..literature import (
    C,
    Decay,
    H,
    L,
)

torch.set_num_threads(1)


def test_the_pairs_that_a_step_would_harm_most_are_replayed() -> None:
    """A step towards a higher forecast harms the pair whose truth is low, and leaves no trace."""
    model = Decay()
    before = copy.deepcopy(model.state_dict())
    x, high = torch.ones(3, L, C), torch.full((1, H, C), 5.0)
    truths = torch.stack([torch.full((H, C), value) for value in (4.0, -4.0, 1.0)])
    chosen = most_interfered(
        list(model.parameters()), (model(x[:1]) - high).square().mean(), 0.01,
        lambda: (model(x) - truths).square().mean(dim=(1, 2)), 2,
    )  # fmt: skip
    assert chosen.tolist() == [1, 2]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_buffers() -> None:
    rows = torch.arange(1000.0)[:, None]
    latest = ReplayBuffer("fifo", 7, np.random.default_rng(0))
    latest.add(rows)
    assert sorted(latest.take(torch.arange(7))[0].flatten().tolist()) == list(range(993, 1000))
    assert len(set(latest.draw(5)[0].flatten().tolist())) == 5
    means = []
    for seed in range(40):
        reservoir = ReplayBuffer("reservoir", 50, np.random.default_rng(seed))
        reservoir.add(rows)
        means.append(float(reservoir.take(torch.arange(50))[0].mean()))
    assert abs(np.mean(means) - 499.5) < 4 * 289 / (50 * 40) ** 0.5  # uniform over all that were seen
