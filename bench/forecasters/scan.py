"""The recurrence of a memory's momentum and decay, over the few chunks of a window."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ChunkScan(nn.Module):
    """``out[i] = gates[i] * out[i - 1] + inputs[i]``, chunk after chunk.

    Does what the library's associative scan does. That one takes a logarithmic number of steps, each of which slices,
    pads and interleaves; a window has a handful of chunks, for which a plain loop is faster, most of all backward.
    """

    def forward(
        self, gates: Tensor, inputs: Tensor, prev: Tensor | None = None, remove_prev: bool | None = None
    ) -> Tensor:
        """Scan along the second axis.

        Args:
            gates: ``(B, n, 1)``.
            inputs: ``(B, n, ...)``.
            prev: ``out[-1]``, ``(B, ...)``; None starts from ``inputs[0]``.
            remove_prev: Whether ``prev`` is left out of the result; by default it is.

        Returns:
            ``(B, n, ...)``, or ``(B, n + 1, ...)`` with ``prev`` first.
        """
        gates = gates.reshape(*gates.shape[:2], *(1,) * (inputs.ndim - 2))
        outs: list[Tensor] = [] if prev is None else [prev]
        for gate, value in zip(gates.unbind(1), inputs.unbind(1), strict=True):
            outs.append(torch.addcmul(value, gate, outs[-1]) if outs else value)
        keep_prev = prev is not None and remove_prev is False
        return torch.stack(outs if keep_prev or prev is None else outs[1:], dim=1)
