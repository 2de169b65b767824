"""The surprise of a run of chunks: the perceptron's gradients, each chunk's bounded and weighted as the memory asks."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from bench.forecasters.titans.fast_engine.perceptron import Perceptron, Surprise, surprise
from bench.forecasters.titans.fast_engine.projections import Projections

TINY = 1e-20


def surprises(memory: Any, held: Perceptron, given: Projections) -> Surprise:
    """Gradients of the chunks given, at the weights held, as factors.

    Args:
        memory: A `titans_pytorch.NeuralMemory`.
        held: Its weights where the run begins.
        given: Keys, values and gates of these chunks; heads and batch may be in one, in both.
    """
    grads = surprise(held, given.keys, given.values, given.steps)
    factors = _factors(memory, grads, given.modulation, given.keeps.shape[-1])
    return grads if factors is None else _scaled(grads, factors)  # errors scaled once, and not each product with them


def _factors(memory: Any, grads: Surprise, modulation: Tensor | None, chunks: int) -> tuple[Tensor, ...] | None:
    """What each chunk's surprise is multiplied by, ``(..., n)`` for each tensor, or None for nothing."""
    if memory.max_grad_norm is None and modulation is None:
        return None
    ones = grads.errors[0].new_ones((*grads.errors[0].shape[:-2], chunks))
    factors = [ones] * (len(grads.errors) + (grads.gamma is not None))
    if memory.max_grad_norm is not None:
        squares = []
        for a, e in zip(grads.activations, grads.errors, strict=True):
            a, e = a.unflatten(-2, (chunks, -1)), e.unflatten(-2, (chunks, -1))
            squares.append(((a @ a.transpose(-1, -2)) * (e @ e.transpose(-1, -2))).sum((-1, -2)))
        if grads.gamma is not None:
            squares.append(grads.gamma.unflatten(-2, (chunks, -1)).sum(-2).square().sum(-1))
        half = memory.max_grad_norm / 2
        norms = [square.clamp(min=TINY).sqrt() for square in squares]
        factors = [((norm / half).tanh() * half + half) / norm for norm in norms]
    if modulation is not None:  # the library's order: the norm's scale first
        by_tensor = [*modulation[1:], modulation[0]] if grads.gamma is not None else list(modulation)
        factors = [factor * own for factor, own in zip(factors, by_tensor, strict=True)]
    return tuple(factors)


def _scaled(grads: Surprise, factors: tuple[Tensor, ...]) -> Surprise:
    def spread(factor: Tensor) -> Tensor:
        return factor.repeat_interleave(grads.errors[0].shape[-2] // factor.shape[-1], dim=-1).unsqueeze(-1)

    errors = tuple(e * spread(f) for e, f in zip(grads.errors, factors, strict=False))
    gamma = None if grads.gamma is None else grads.gamma * spread(factors[-1])
    return Surprise(grads.activations, errors, gamma)
