"""What keeps a carried memory in bounds: each remedy against its definition, on memories made up for the purpose."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bench.forecasters.titans.memory_bounds import Remedies
from bench.forecasters.titans.memory_state import MemoryCache, MemoryState

few = settings(max_examples=30, deadline=None, derandomize=True)
HEADS, BATCH = 2, 3


def cache(seed: int, batch: int = BATCH, size: float = 1.0) -> MemoryCache:
    """Two layers of random weights, two heads each."""
    generator = torch.Generator().manual_seed(seed)

    def layer(width: int) -> MemoryState:
        shapes = {"up": (batch * HEADS, width, 4), "down": (batch * HEADS, 4, width)}
        weights = {k: size * torch.randn(*shape, generator=generator) for k, shape in shapes.items()}
        return MemoryState(weights, {k: torch.randn(1, *w.shape, generator=generator) for k, w in weights.items()})

    return MemoryCache((layer(3), layer(5)), batch)


def vectors(memory: MemoryCache) -> Tensor:
    """All weights, ``(layers, B, -1)``, the layers padded to one length."""
    flat = [torch.cat([w.reshape(memory.batch, -1) for w in x.weights.values()], dim=1) for x in memory.layers]
    return torch.nn.utils.rnn.pad_sequence([f.T for f in flat], batch_first=True).transpose(1, 2)


def momenta(memory: MemoryCache) -> Tensor:
    """The same for momentum, of order one."""
    return vectors(
        MemoryCache(tuple(MemoryState({k: m[0] for k, m in x.momentum.items()}, {}) for x in memory.layers), BATCH)
    )


def test_nothing_is_done_unless_asked() -> None:
    written = cache(1)
    assert Remedies().after_write(written, cache(0), 0, 4) is written
    assert Remedies(norm_bound=100.0, reset_every=8).after_write(written, cache(0), 0, 4) is written


@few
@given(pull=st.floats(0.01, 1), shared=st.booleans())
def test_pull_goes_a_share_of_the_way_back(pull: float, shared: bool) -> None:
    written, initial = cache(1), cache(0, batch=1 if shared else BATCH)
    pulled = Remedies(pull=pull).tempered(written, initial)
    start = vectors(initial.expand(BATCH))
    torch.testing.assert_close(vectors(pulled), start + (1 - pull) * (vectors(written) - start))
    torch.testing.assert_close(momenta(pulled), (1 - pull) * momenta(written))


def test_a_pull_of_one_is_the_initial_memory() -> None:
    pulled = Remedies(pull=1.0).tempered(cache(1), cache(0))
    assert torch.equal(vectors(pulled), vectors(cache(0)))
    assert not momenta(pulled).any()


@few
@given(bound=st.floats(1, 4), size=st.floats(0.1, 5), seed=st.integers(1, 99))
def test_a_layer_beyond_the_bound_goes_back_to_it(bound: float, size: float, seed: int) -> None:
    """On the straight line to the initial memory, each layer and window by itself, and no further than need be."""
    written, initial = cache(seed, size=size), cache(0)
    kept = Remedies(norm_bound=bound).tempered(written, initial)
    before, after, start = vectors(written), vectors(kept), vectors(initial)
    limit = bound * start.norm(dim=2)
    beyond = before.norm(dim=2) > limit * (1 + 1e-6)
    torch.testing.assert_close(after[~beyond], before[~beyond], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(after.norm(dim=2)[beyond], limit[beyond], atol=1e-4, rtol=1e-4)
    way, gone = before - start, after - start
    share = gone.norm(dim=2) / way.norm(dim=2)
    torch.testing.assert_close(gone, share[..., None] * way, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(momenta(kept), share[..., None] * momenta(written), atol=1e-3, rtol=1e-3)


def test_within_the_bound_nothing_moves() -> None:
    written = cache(1)
    ratio = float((vectors(written).norm(dim=2) / vectors(cache(0)).norm(dim=2)).max())
    assert Remedies(norm_bound=ratio * 1.01).tempered(written, cache(0)) is written
    assert Remedies(norm_bound=ratio * 0.99).tempered(written, cache(0)) is not written


def test_a_memory_that_was_not_written_is_within_every_bound() -> None:
    assert Remedies(norm_bound=1.0).tempered(cache(0), cache(0)) is not None
    assert torch.equal(vectors(Remedies(norm_bound=1.0).tempered(cache(0), cache(0))), vectors(cache(0)))


def test_first_the_pull_then_the_bound() -> None:
    both = Remedies(pull=0.3, norm_bound=1.5).tempered(cache(1, size=4.0), cache(0))
    one_by_one = Remedies(norm_bound=1.5).tempered(Remedies(pull=0.3).tempered(cache(1, size=4.0), cache(0)), cache(0))
    assert torch.equal(vectors(both), vectors(one_by_one))


@pytest.mark.parametrize(
    ("every", "before", "after", "returns"),
    [(8, 0, 4, False), (8, 4, 8, True), (6, 4, 8, True), (6, 8, 12, True), (20, 16, 20, True), (20, 20, 24, False)],
)
def test_a_reset_follows_the_write_that_reaches_its_period(every: int, before: int, after: int, returns: bool) -> None:
    written, initial = cache(1), cache(0)
    kept = Remedies(reset_every=every).after_write(written, initial, before, after)
    assert kept is (initial if returns else written)
    assert Remedies(reset_every=every, pull=0.5).after_write(written, cache(0, batch=1), 4, 99).batch == BATCH


def test_distance_is_that_of_all_weights() -> None:
    one, other = cache(1), cache(0)
    assert one.distance(other) == pytest.approx(float((vectors(one) - vectors(other)).norm()), rel=1e-6)
    assert one.distance(one) == 0
    assert math.isclose(one.norm(), float(vectors(one).norm()), rel_tol=1e-6)
