"""The memory's perceptron: its surprise in closed form, layer by layer, and its answer to queries.

Per token the loss is the mean squared difference of the perceptron's answer to a key and the value (Titans, eq. 12),
weighted by the step size. The gradient of a layer's weights over a chunk is ``activations^T @ errors`` of its tokens,
so activations and errors are all that is kept of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from bench.forecasters.titans.fast_engine.projections import Projections

EPSILON, TINY = 1e-5, 1e-20  # of the library: in its layer norm, and in its norm of surprises
gelu_backward = torch.ops.aten.gelu_backward.default
layer_norm_backward = torch.ops.aten.native_layer_norm_backward.default


@dataclass(frozen=True)
class Perceptron:
    """The memory's weights as they are used.

    Attributes:
        layers: ``(h, 1 or B, d_in, d_out)`` each.
        gamma: ``(h, 1 or B, d)``, scale of the answer's norm less 1; None without norm and residual.
    """

    layers: tuple[Tensor, ...]
    gamma: Tensor | None


@dataclass(frozen=True)
class Surprise:
    """Gradients of the loss, layer by layer, as factors: ``activations^T @ errors`` of a chunk's tokens.

    Attributes:
        activations: ``(h, B, M, d_in)`` each: input of the layer. Or with heads and batch in one, as all others.
        errors: ``(h, B, M, d_out)`` each: gradient at its output.
        gamma: ``(h, B, M, d)``, gradient of ``gamma`` by token, or None.
    """

    activations: tuple[Tensor, ...]
    errors: tuple[Tensor, ...]
    gamma: Tensor | None

    def taken_from(self, tensors: list[Tensor]) -> list[Tensor]:
        """Tensors ``(G, ...)``, layers and then the norm's scale, less the gradients, in place; all in one batch."""
        for t, a, e in zip(tensors, self.activations, self.errors, strict=False):
            t.baddbmm_(a.mT, e, alpha=-1)
        if self.gamma is not None:
            tensors[-1].sub_(self.gamma.sum(1))
        return tensors


def times(x: Tensor, weights: Tensor) -> Tensor:
    """``(h, B, N, d_in) @ (h, 1 or B, d_in, d_out)``; weights that the batch shares are one product.

    Both may have heads and batch in one, ``(G, N, d_in) @ (G, d_in, d_out)``.
    """
    if x.ndim == 3:
        return torch.bmm(x, weights)
    if weights.shape[1] == x.shape[1] and x.shape[1] > 1:
        return x @ weights
    h, B, N, d = x.shape
    if h == 1:
        return (x.reshape(B * N, d) @ weights[0, 0]).view(h, B, N, -1)
    return (x.reshape(h, B * N, d) @ weights[:, 0]).view(h, B, N, -1)


def surprise(memory: Perceptron, keys: Tensor, values: Tensor, steps: Tensor) -> Surprise:
    """Gradients of the loss of keys and values ``(h, B, M, d)``, weighted by steps ``(h, B, M)``.

    All may have heads and batch in one.
    """
    activations = [keys]
    sums: list[Tensor] = []
    for i, layer in enumerate(memory.layers):
        if i:
            activations.append(nn.functional.gelu(sums[-1]))
        sums.append(times(activations[-1], layer))
    answer, d = sums[-1], keys.shape[-1]
    weight = (2.0 / d * steps).unsqueeze(-1)
    gamma = None
    if memory.gamma is None:
        error = weight * (answer - values)
    else:
        scale = 1.0 + memory.gamma.unsqueeze(-2)
        normed, mean, rstd = torch.native_layer_norm(answer, (d,), None, None, EPSILON)
        off = weight * (torch.addcmul(keys, normed, scale) - values)
        gamma = off * normed
        error, _, _ = layer_norm_backward(off * scale, answer, (d,), mean, rstd, None, None, (True, False, False))
    errors = [error]
    for layer, summed in zip(memory.layers[:0:-1], sums[-2::-1], strict=True):
        errors.append(gelu_backward(times(errors[-1], layer.transpose(-1, -2)), summed))
    return Surprise(tuple(activations), tuple(reversed(errors)), gamma)


def surprises(memory: Any, held: Perceptron, given: Projections) -> Surprise:
    """Gradients of the chunks given, at the weights held, as factors; heads and batch may be in one."""
    grads = surprise(held, given.keys, given.values, given.steps)
    factors = _factors(memory, grads, given.modulation, given.keeps.shape[-1])
    return grads if factors is None else _scaled(grads, factors)  # errors scaled once, and not each product with them


def _factors(memory: Any, grads: Surprise, modulation: Tensor | None, chunks: int) -> tuple[Tensor, ...] | None:
    """Factors of each chunk's surprise, ``(..., n)`` for each tensor, or None."""
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
