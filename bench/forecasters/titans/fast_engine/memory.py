"""One neural memory over one window: reading and writing in a few large products.

The same parameters, the same state and the same answers as `titans_pytorch.NeuralMemory`, which takes a gradient for
each chunk, scans over them and pours each chunk's weights into a module. Here the gradients are in closed form
(`perceptron`), the scans are products of gates (`gates`), and a query is answered in whichever of two ways costs less.
Weights are linear in the surprises, and a surprise is ``activations^T @ errors``, so no chunk's weights need be built:

    query @ weights(chunk) = keep * (query @ first weights) - ((query @ activations^T) * factors) @ errors.

That grows with the square of the tokens. Where they are many beside the width of the memory, the weights after each
chunk are built after all, and so they are where surprises are orthogonalised, which is not linear.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from bench.forecasters.titans.fast_engine.derived import Derived
from bench.forecasters.titans.fast_engine.gates import Recurrence, recurrence
from bench.forecasters.titans.fast_engine.held import Held, held_at, is_normed, perceptron, state_of
from bench.forecasters.titans.fast_engine.one_chunk import after_one_chunk
from bench.forecasters.titans.fast_engine.orthogonal import orthogonalized
from bench.forecasters.titans.fast_engine.perceptron import EPSILON, Surprise, surprises, times
from bench.forecasters.titans.fast_engine.projections import Projections, project
from bench.forecasters.titans.memory_state import MemoryState, Remembered

BUILDING_PAYS = 2.0  # factor of fewer multiplications required, as the matrices are smaller


def uncovered(memory: Any) -> str:
    """Why this engine does not serve a `NeuralMemory`; empty if it does."""
    from titans_pytorch.memory_models import MemoryMLP, ResidualNorm
    from titans_pytorch.neural_memory import default_loss_fn

    model = memory.memory_model
    inner = model.model if type(model) is ResidualNorm else model
    if type(inner) is not MemoryMLP:
        return f"the memory model is a {type(inner).__name__}, not a MemoryMLP"
    if memory.store_memory_loss_fn is not default_loss_fn:
        return "the memory has a loss of its own"
    if memory.to_learned_weight_residual_mix is not None:
        return "memory layers are coupled by a weight residual"
    if memory.store_with_lookahead_value:
        return "values are taken one step ahead"
    if memory.retrieve_chunk_size != memory.store_chunk_size:
        return "chunks read and chunks written differ"
    return ""


def remember(
    memory: Any,
    views: tuple[Tensor, Tensor, Tensor],
    start: MemoryState | None,
    *,
    coupled: Any = None,
    writes: bool = True,
    reads: bool = True,
    after: int | None = None,
    derived: Derived | None = None,
) -> Remembered:
    """Write a window's tokens into a memory, and read it.

    Args:
        memory: A `titans_pytorch.NeuralMemory` that is not `uncovered`.
        views: Inputs of queries, keys and values, each ``(B, N, D)``.
        start: For batch 1 or B; None is the learned initial memory.
        coupled: None: what is covered has no weight residual.
        writes: False leaves the memory as it starts.
        reads: False leaves out the answers.
        after: Return the state after so many tokens, whole chunks; None returns none.
    """
    del coupled
    (batch, length), chunk = views[0].shape[:2], memory.store_chunk_size
    reach = length if reads else after or 0
    chunks = reach // chunk if writes else 0
    derived = derived or Derived()
    if chunks == 1 and not reads and start is not None and len(start) == batch * memory.heads:
        given = project(memory, views, chunk, derived, reads=False, rows=True)
        return Remembered(views[0], after_one_chunk(memory, start, given))
    given = project(memory, views, chunks * chunk, derived, reads=reads)
    held, state = held_at(memory, start, batch), None
    if writes and after == 0:
        state = state_of(memory, held, batch)
    place = torch.arange(1, length + 1, device=views[0].device) // chunk
    answers: list[Tensor] = []
    segments = _segments(memory, chunks, ragged=length > chunks * chunk)
    for first, last in segments:
        is_final = (first, last) == segments[-1]
        segment = _Segment.of(memory, held, given.chunks(first, last), reads=reads)
        begin, end = max(0, first * chunk - 1), length if is_final else last * chunk - 1
        if reads and end > begin:
            where = place[begin:end] - first
            answers.append(segment.answer(given.queries[:, :, begin:end], where, front=int(first == 0)))
        if after and first < after // chunk <= last:
            state = state_of(memory, segment.held_after(after // chunk - first), batch)
        if not is_final:
            held = segment.held_after(last - first)
    if not reads:
        return Remembered(views[0], state)
    return Remembered(_merged(memory, torch.cat(answers, dim=2) if len(answers) > 1 else answers[0], given.gate), state)


def _segments(memory: Any, chunks: int, *, ragged: bool) -> list[tuple[int, int]]:
    """Runs of chunks whose surprises are taken at the same weights; the rest of a chunk may be a run of none."""
    size = (memory.batch_size or 0) // memory.store_chunk_size or max(chunks, 1)
    segments = [(first, min(first + size, chunks)) for first in range(0, max(chunks, 1), size)]
    if ragged and chunks and memory.batch_size and chunks % size == 0:
        segments.append((chunks, chunks))
    return segments


@dataclass(frozen=True)
class _Segment:
    """A run of chunks whose surprises were taken at the same weights.

    Attributes:
        memory: A `titans_pytorch.NeuralMemory`.
        held: Its state where the run begins.
        surprise: Of all chunks; None if there are none, as `scan`.
        scan: How surprises add up.
        built: For each layer ``(h, B, n + 1, d_in, d_out)``, weights after 0 to ``n`` chunks; None if not built.
        momentum: Factors of the first momenta in the weights, if there are any.
    """

    memory: Any
    held: Held
    surprise: Surprise | None = None
    scan: Recurrence | None = None
    built: tuple[Tensor, ...] | None = None
    momentum: tuple[Tensor, ...] = ()

    @classmethod
    def of(cls, memory: Any, held: Held, given: Projections, *, reads: bool) -> _Segment:
        """Take the surprises of a run of chunks, to be read or only written."""
        if given.keeps.shape[-1] == 0:
            return cls(memory, held)
        scan = recurrence(given.keeps, given.combine)
        grads = surprises(memory, perceptron(held.weights, memory), given)
        segment = cls(memory, held, grads, scan, None, scan.momentum() if held.momentum else ())
        if memory.spectral_norm_surprises or (reads and _building_pays(memory, held, given)):
            return segment._with_weights_built()
        return segment

    def answer(self, queries: Tensor, place: Tensor, front: int) -> Tensor:
        """Answer queries ``(h, B, Q, d)``.

        Args:
            place: ``(Q,)``, how many of the segment's chunks are written before each query.
            front: Distance of the first query from the beginning of its chunk.
        """
        x, layers = queries, len(self.held.weights) - is_normed(self.memory)
        linear = self.built is None and self.scan is not None
        if linear:
            assert self.scan is not None
            assert self.surprise is not None
            keep = self.scan.keep.index_select(-1, place).unsqueeze(-1)
            starts = [s.index_select(-1, place).unsqueeze(-1) for s in self.momentum]
            seen = self.scan.surprise.index_select(-2, place)
            seen = seen.repeat_interleave(self.surprise.errors[0].shape[2] // seen.shape[-1], dim=-1).flatten(0, 1)
        for i in range(layers):
            if i:
                x = nn.functional.gelu(x)
            if linear:
                out = keep * times(x, self.held.weights[i])
                for share, momentum in zip(starts, self.held.momentum, strict=False):
                    out.addcmul_(share, times(x, momentum[i]))
                assert self.surprise is not None
                written, errors = self.surprise.activations[i].flatten(0, 1), self.surprise.errors[i].flatten(0, 1)
                scores = torch.bmm(x.flatten(0, 1), written.transpose(1, 2)) * seen
                out.view(scores.shape[0], *out.shape[2:]).baddbmm_(scores, errors, alpha=-1)
                x = out
            elif self.built is not None:
                x = _by_chunk(x, self.built[i], front, self.memory.store_chunk_size)
            else:
                x = times(x, self.held.weights[i])
        if not is_normed(self.memory):
            return x
        gamma = self.held.weights[-1].unsqueeze(2)
        if self.scan is not None:
            gamma = self._gamma().index_select(2, place)
        return torch.addcmul(queries, nn.functional.layer_norm(x, x.shape[-1:], eps=EPSILON), 1.0 + gamma)

    def held_after(self, chunks: int) -> Held:
        """The state after so many chunks of the segment."""
        if self.scan is None or chunks == 0:
            return self.held
        assert self.surprise is not None
        if self.built is not None:
            weights = tuple(w[:, :, chunks] for w in self.built)
            weights += (self._gamma()[:, :, chunks],) if is_normed(self.memory) else ()
        else:
            starts = [s[..., chunks] for s in self.momentum]
            weights = self._sum(self.scan.surprise[..., chunks, :], self.scan.keep[..., chunks], starts)
        if self.memory.transition_gate is not None and self._is_complete(chunks):
            gate = self.memory.transition_gate.sigmoid()
            weights = tuple(old.lerp(new, gate) for old, new in zip(self.held.weights, weights, strict=True))
        orders = tuple(
            self._sum(order[..., chunks - 1, :], None, [start[..., chunks - 1] for start in order_starts])
            for order, order_starts in zip(self.scan.orders, self.scan.order_starts, strict=True)
        )
        return Held(weights, orders)

    def _is_complete(self, chunks: int) -> bool:
        """Whether the segment ends there because the memory's batch is full."""
        return bool(self.memory.batch_size) and chunks * self.memory.store_chunk_size == self.memory.batch_size

    def _sum(self, row: Tensor, keep: Tensor | None, starts: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Weights or momentum after a chunk: factors of surprises, of the first weights, of the first momenta."""
        assert self.surprise is not None
        errors = self.surprise.errors[0]
        tokens = row.to(errors).repeat_interleave(errors.shape[2] // row.shape[-1], dim=-1).unsqueeze(-1)
        sums = [
            -((a * tokens).transpose(-1, -2) @ e)
            for a, e in zip(self.surprise.activations, self.surprise.errors, strict=True)
        ]
        if self.surprise.gamma is not None:
            sums.append(-(self.surprise.gamma * tokens).sum(2))
        for i, first in enumerate(self.held.weights):
            if keep is not None:
                sums[i] = sums[i] + _as(keep, first) * first
            for share, momentum in zip(starts, self.held.momentum, strict=False):
                sums[i] = sums[i] + _as(share.to(momentum[i]), momentum[i]) * momentum[i]
        return tuple(sums)

    def _gamma(self) -> Tensor:
        """The norm's scale after 0 to n chunks, ``(h, B, n + 1, d)``."""
        assert self.scan is not None
        assert self.surprise is not None
        assert self.surprise.gamma is not None
        by_chunk = self.surprise.gamma.unflatten(2, (self.scan.update.shape[-1], -1)).sum(3)
        gamma: Tensor = self.scan.keep.unsqueeze(-1) * self.held.weights[-1].unsqueeze(2)
        gamma = gamma - self.scan.surprise @ by_chunk
        for share, momentum in zip(self.momentum, self.held.momentum, strict=False):
            gamma = gamma + share.unsqueeze(-1) * momentum[-1].unsqueeze(2)
        return gamma

    def _with_weights_built(self) -> _Segment:
        """Build the weights after each chunk."""
        assert self.scan is not None
        assert self.surprise is not None
        n, built = self.scan.update.shape[-1], []
        for i, (a, e) in enumerate(zip(self.surprise.activations, self.surprise.errors, strict=True)):
            grads = -(a.unflatten(2, (n, -1)).transpose(-1, -2) @ e.unflatten(2, (n, -1)))
            shape, grads = grads.shape[-2:], grads.flatten(3)
            momenta = [momentum[i].flatten(2).unsqueeze(2) for momentum in self.held.momentum]
            if self.memory.spectral_norm_surprises:
                weights = self._sum_of_directions(grads, momenta, shape)
            else:
                weights = _with_starts(self.scan.surprise @ grads, self.momentum, momenta)
            weights = torch.addcmul(weights, self.scan.keep.unsqueeze(-1), self.held.weights[i].flatten(2).unsqueeze(2))
            built.append(weights.unflatten(3, shape))
        return replace(self, built=tuple(built))

    def _sum_of_directions(self, grads: Tensor, momenta: list[Tensor], shape: torch.Size) -> Tensor:
        """Sums of the updates of 0 to ``n`` chunks, each orthogonalised first: ``(h, B, n + 1, ...)``.

        Args:
            grads: ``(h, B, n, d_in * d_out)``, less each chunk's surprise.
            momenta: ``(h, 1 or B, 1, d_in * d_out)`` each, the first momenta.
            shape: ``(d_in, d_out)``.
        """
        assert self.scan is not None
        updates = _with_starts(self.scan.update.to(grads) @ grads, [s.to(grads) for s in self.scan.starts], momenta)
        return self.scan.decay.to(grads) @ orthogonalized(updates.unflatten(3, shape)).flatten(3)


def _building_pays(memory: Any, held: Held, given: Projections) -> bool:
    """Whether weights after each chunk answer queries, as many as there are tokens, in fewer products."""
    written, chunks = given.keys.shape[2], given.keeps.shape[-1]
    read = chunks * memory.store_chunk_size
    layers = perceptron(held.weights, memory).layers
    unbuilt = sum(read * written * sum(layer.shape[-2:]) for layer in layers)
    built = sum((read + written + chunks * (chunks + 1)) * layer[0, 0].numel() for layer in layers)
    return bool(unbuilt > BUILDING_PAYS * built)


def _with_starts(sums: Tensor, shares: Sequence[Tensor], momenta: Sequence[Tensor]) -> Tensor:
    """Sums ``(h, B, n, d)`` plus the first momenta: shares ``(h, B, n)`` of ``(h, 1 or B, 1, d)``."""
    for share, momentum in zip(shares, momenta, strict=False):
        sums = torch.addcmul(sums, share.unsqueeze(-1), momentum)
    return sums


def _by_chunk(x: Tensor, weights: Tensor, front: int, chunk: int) -> Tensor:
    """Each token through the weights of its chunk: ``(h, B, N, d_in)`` and ``(h, B, n + 1, d_in, d_out)``."""
    count = x.shape[2]
    chunks = -(-(front + count) // chunk)
    padded = nn.functional.pad(x, (0, 0, front, chunks * chunk - front - count)).unflatten(2, (chunks, chunk))
    answers: Tensor = (padded @ weights[:, :, :chunks]).flatten(2, 3)
    return answers[:, :, front : front + count]


def _as(factor: Tensor, like: Tensor) -> Tensor:
    return factor.reshape(*factor.shape, *(1,) * (like.ndim - 2))


def _merged(memory: Any, answers: Tensor, gate: Tensor | None) -> Tensor:
    """``(h, B, Q, d)`` answers of the heads to ``(B, Q, D)``."""
    answers = answers.transpose(0, 1)  # (B, h, Q, d), as the library's norm of answers expects
    answers = memory.multihead_rmsnorm(answers)
    if gate is not None:
        answers = answers * gate
    merged: Tensor = memory.combine_heads(answers.transpose(1, 2).flatten(2))
    return merged
