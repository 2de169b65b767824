"""The recurrences of momentum and decay over chunks, as lower-triangular matrices of products of gates.

A memory's weights after chunk ``n`` are linear in the surprises of the chunks so far, in the weights it started from
and in the momentum it started from. The factors depend on the gates alone, a few numbers for each chunk, so they are
multiplied out once and serve every weight matrix.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Recurrence:
    """How a segment's surprises, and its initial state, become updates, weights and momentum.

    ``n`` chunks and ``o`` orders of momentum; heads and batch come first. Without momentum its fields are empty.
    `keep` and `surprise`, which every query needs, are of the gates' type; the others are in double precision.

    Attributes:
        keep: ``(h, B, n + 1)``, factor of the first weights in the weights after 0 to ``n`` chunks.
        decay: ``(h, B, n + 1, n)``, factor of each chunk's update in those weights.
        surprise: ``(h, B, n + 1, n)``, factor of each chunk's surprise in them, if updates are linear in it.
        update: ``(h, B, n, n)``, factor of each chunk's surprise in each update.
        starts: For each order ``(h, B, n)``, factor of its first momentum in each update.
        orders: For each order ``(h, B, n, n)``, factor of each chunk's surprise in the momentum after each chunk.
        order_starts: For each order, and each order up to it, ``(h, B, n)``: factor of the first momentum there.
    """

    keep: Tensor
    decay: Tensor
    surprise: Tensor
    update: Tensor
    starts: tuple[Tensor, ...]
    orders: tuple[Tensor, ...]
    order_starts: tuple[tuple[Tensor, ...], ...]

    def momentum(self) -> tuple[Tensor, ...]:
        """For each order ``(h, B, n + 1)``, factor of its first momentum in the weights after 0 to ``n`` chunks."""
        return tuple((self.decay * start.unsqueeze(-2)).sum(-1).to(self.keep.dtype) for start in self.starts)


def products(log_gates: Tensor) -> tuple[Tensor, Tensor]:
    """Products of gates ``(..., n)`` over runs of chunks.

    Returns:
        ``(..., n)``, the product of gates 0 to ``i``; and ``(..., n, n)``, lower triangular, the product of gates
        ``j + 1`` to ``i``.
    """
    total = log_gates.cumsum(-1)
    runs = total.unsqueeze(-1) - total.unsqueeze(-2)
    above = torch.ones(runs.shape[-2:], dtype=torch.bool, device=runs.device).triu(1)
    return total.exp(), runs.masked_fill(above, -torch.inf).exp()


def recurrence(keeps: Tensor, combine: Tensor | None = None) -> Recurrence:
    """Multiply out the gates of one segment.

    Args:
        keeps: ``(1 + o, h, B, n)``, for each chunk the logits of the share that is kept of the weights, and then of
            each order of momentum.
        combine: ``(o, h, B, n)`` shares of each order in the update, or ``(o + 1, ...)`` with the bare surprise
            first; None takes the highest order.
    """
    dtype = keeps.dtype
    exact = torch.float32 if keeps.device.type == "mps" else torch.float64  # sums of logarithms cancel
    shares, runs = products(nn.functional.logsigmoid(keeps.to(exact)))
    kept, decays = shares[0], runs[0]
    orders: list[Tensor] = []
    first: list[list[Tensor]] = []
    for share, run in zip(shares[1:], runs[1:], strict=True):
        of_first = [(run @ factor.unsqueeze(-1)).squeeze(-1) for factor in first[-1]] if first else []
        orders.append(run @ orders[-1] if orders else run)
        first.append([*of_first, share])
    if not orders or combine is not None:
        eye = torch.eye(keeps.shape[-1], dtype=exact, device=keeps.device).expand(decays.shape)
        update, starts = (eye, []) if combine is None else _combined(eye, orders, first, combine)
    else:
        update, starts = orders[-1], first[-1]
    decays = nn.functional.pad(decays, (0, 0, 1, 0))
    return Recurrence(
        keep=nn.functional.pad(kept, (1, 0), value=1.0).to(dtype),
        decay=decays,
        surprise=(decays @ update if orders else decays).to(dtype),
        update=update,
        starts=tuple(starts),
        orders=tuple(orders),
        order_starts=tuple(tuple(factors) for factors in first),
    )


def _combined(
    eye: Tensor, orders: list[Tensor], first: list[list[Tensor]], combine: Tensor
) -> tuple[Tensor, list[Tensor]]:
    """The update of each chunk as factors of surprises and of the first momenta."""
    shares = combine.to(eye.dtype)
    linear = orders if len(shares) == len(orders) else [eye, *orders]
    update = torch.stack([share.unsqueeze(-1) * matrix for share, matrix in zip(shares, linear, strict=True)]).sum(0)
    own = shares[len(linear) - len(orders) :]
    starts = [torch.stack([own[o] * first[o][j] for o in range(j, len(orders))]).sum(0) for j in range(len(orders))]
    return update, starts
