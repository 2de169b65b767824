"""Newton-Schulz iteration on many small matrices: the nearest orthogonal direction of each surprise.

Source: Jordan et al., "Muon" (2024), with its quintic coefficients; five steps, as the library takes them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

STEPS, TINY = 5, 1e-7
A, B, C = 3.4445, -4.7750, 2.0315
BLOCK = 1 << 18  # numbers iterated on together, to fit a core's cache


def orthogonalized(matrices: Tensor) -> Tensor:
    """Each of the ``(..., i, j)`` matrices with its singular values pushed towards 1."""
    rows, columns = matrices.shape[-2:]
    flat = matrices.reshape(-1, rows, columns)
    if rows > columns:
        flat = flat.transpose(1, 2)
    flat = flat / torch.linalg.vector_norm(flat, dim=(1, 2), keepdim=True).clamp(min=TINY)
    out: Tensor = _NewtonSchulz.apply(flat)  # type: ignore[no-untyped-call]
    if rows > columns:
        out = out.transpose(1, 2)
    return out.reshape(matrices.shape)


class _NewtonSchulz(torch.autograd.Function):
    """``T <- (a I + b A + c A^2) T`` with ``A = T T^T``, block by block."""

    @staticmethod
    def forward(ctx: Any, matrices: Tensor) -> Tensor:
        blocks = [_iterated(block) for block in _blocks(matrices)]
        ctx.save_for_backward(*(step for steps in blocks for step in steps[:-1]))
        return torch.cat([steps[-1] for steps in blocks])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        saved = ctx.saved_tensors
        out, start = [], 0
        for i in range(0, len(saved), STEPS):
            end = start + len(saved[i])
            out.append(_pulled_back(saved[i : i + STEPS], grads[0][start:end]))
            start = end
        return torch.cat(out)


def _blocks(matrices: Tensor) -> tuple[Tensor, ...]:
    if matrices.device.type != "cpu":  # an accelerator takes all of them at once
        return (matrices,)
    return torch.split(matrices, max(1, BLOCK // matrices[0].numel()))


def _polynomial(gram: Tensor) -> Tensor:
    """``a I + b G + c G^2``."""
    polynomial = torch.baddbmm(gram, gram, gram, beta=B, alpha=C)
    polynomial.diagonal(dim1=1, dim2=2).add_(A)
    return polynomial


def _iterated(matrices: Tensor) -> list[Tensor]:
    """The matrices before each step, and the result."""
    steps = [matrices]
    for _ in range(STEPS):
        last = steps[-1]
        steps.append(_polynomial(last @ last.transpose(1, 2)) @ last)
    return steps


def _pulled_back(steps: tuple[Tensor, ...], grad: Tensor) -> Tensor:
    """The gradient at the first matrices, from that at the result."""
    for last in reversed(steps):
        gram = last @ last.transpose(1, 2)
        outer = grad @ last.transpose(1, 2)
        outer = outer + outer.transpose(1, 2)  # the polynomial is symmetric, and so is its argument
        cross = outer @ gram
        inner = B * outer + C * (cross + cross.transpose(1, 2))
        grad = torch.baddbmm(_polynomial(gram) @ grad, inner, last)
    return grad
