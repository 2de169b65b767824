"""A forecaster on the Titans transformer: attention within segments, and a neural memory that writes as it reads.

Built on `titans_pytorch.MemoryAsContextTransformer` as released; its layers are called one by one, because its own
``forward`` takes token ids, hides the state before the logits, and cannot start from a memory that was carried.
Source: Behrouz, Zhong and Mirrokni, "Titans: Learning to Memorize at Test Time" (2501.00663).
"""

from __future__ import annotations

import math
import warnings
from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn

from bench.errors import BenchError
from bench.forecaster import Pairs, Task
from bench.forecasters.linear import normal_equations
from bench.forecasters.memory import MemoryCache, MemoryRead, MemoryState, library_state, state_of
from bench.forecasters.scan import ChunkScan

Normalization = Literal["none", "last", "mean-std", "blended"]
BLEND_GAIN = 10.0  # so that the blend moves as fast as the weights do


class TimeSeriesTitansTransformer(nn.Module):
    """Windows of a series in, forecasts out, with a memory that can be carried from window to window.

    Args:
        input_dim: Columns of a window, ``C_in``.
        output_dim: Columns of a forecast, ``C_out``.
        pred_len: Rows of a forecast, ``H``.
        dim: Width of a token; one token is one row.
        depth: Layers.
        segment_len: Rows that attend to each other.
        target_index: Where each output stands among the inputs; None takes ``0 .. C_out - 1`` if there are as many
            inputs as outputs, and otherwise says that outputs are not inputs, as ``()`` does.
        normalize: What is taken off each window. ``none``; ``last``, its last row; ``mean-std``, its mean and
            deviation; ``blended``, the mean of its last chunk and its deviation, and then the forecast's level is a
            learned blend, for each lead, of that mean and the last row, and its scale never more than one deviation
            of the training rows (a channel that grows tenfold does not make its errors grow tenfold).
        anchor_rows: Rows of the window that a ridge regression reads to give the level of outputs that are not inputs;
            the transformer then learns what is left. 0 has no such level.
        neural_memory_segment_len: Rows in a memory chunk; None means ``segment_len``.
        neural_memory_layers: Layers with a memory, counted from 1.
        **transformer: Further arguments of `titans_pytorch.MemoryAsContextTransformer`.

    Attributes:
        memory_writes: Switch it off and the memory is read, never written.
        chunk: Tokens in a memory chunk.
    """

    provides: ClassVar[frozenset[str]] = frozenset({"memory"})

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        pred_len: int,
        dim: int = 64,
        depth: int = 2,
        segment_len: int = 32,
        *,
        target_index: tuple[int, ...] | None = None,
        normalize: Normalization = "blended",
        anchor_rows: int = 0,
        neural_memory_segment_len: int | None = None,
        neural_memory_layers: tuple[int, ...] = (1,),
        num_residual_streams: int = 1,
        **transformer: Any,
    ) -> None:
        super().__init__()
        if target_index is None:
            target_index = tuple(range(output_dim)) if input_dim == output_dim else ()
        self.target_index, self.normalize = target_index, normalize
        self.pred_len, self.output_dim = pred_len, output_dim
        self.memory_writes = True
        self.input_projection = nn.Linear(input_dim, dim)
        # The token embedding and the logits belong to language; neither is called.
        self.transformer = _transformer_class()(
            num_tokens=1,
            dim=dim,
            depth=depth,
            segment_len=segment_len,
            token_emb=nn.Identity(),
            neural_memory_segment_len=neural_memory_segment_len,
            neural_memory_layers=neural_memory_layers,
            num_residual_streams=num_residual_streams,
            **transformer,
        )
        self.transformer.to_logits = nn.Identity()
        for layer in self.transformer.layers:  # the same attention, in one fused kernel
            attention = layer[5]
            attention.attend = type(attention.attend)(causal=True, flash=True)
        self.prediction_head = nn.Linear(dim, pred_len * output_dim)
        self.blend: nn.Parameter | None = None
        if normalize == "blended" and target_index:
            self.blend = nn.Parameter(torch.zeros(pred_len))
        self.anchor: nn.Linear | None = None
        if anchor_rows and not target_index:
            self.anchor = nn.Linear(anchor_rows * input_dim, pred_len * output_dim)
            self.anchor.requires_grad_(requires_grad=False)
            nn.init.zeros_(self.prediction_head.weight)
            nn.init.zeros_(self.prediction_head.bias)
        self.chunk: int = self.transformer.neural_memory_segment_len
        _own_memory_parameters(self.memories)
        for memory in self.memories:
            if not memory.use_accelerated_scan:
                memory.assoc_scan = ChunkScan()

    @property
    def memories(self) -> list[Any]:
        """The `NeuralMemory` modules, first layer first."""
        return [layer[4] for layer in self.transformer.layers if layer[4] is not None]

    def forward(self, x: Tensor, cache: MemoryCache | None = None, return_cache: bool = False) -> Any:
        """Forecast.

        Args:
            x: ``(B, L, C_in)``.
            cache: The memory to start from, for batch 1 or B; None starts from the learned initial memory.
            return_cache: Whether to hand back the memory at the window's end.

        Returns:
            ``(B, H, C_out)``, and with ``return_cache`` also a `MemoryCache` for batch B: what it started from, where
            writes are switched off.
        """
        forecast, states, _ = self.run(x, cache)
        if not return_cache:
            return forecast
        if self.memory_writes:
            return forecast, MemoryCache(states, len(x))
        return forecast, (cache or self.initial_cache()).expand(len(x))

    def run(self, x: Tensor, cache: MemoryCache | None) -> tuple[Tensor, tuple[MemoryState, ...], list[MemoryRead]]:
        """Forecast, with each memory layer's final state and what it was given."""
        rows, level, scale = self._normalized(x)
        hidden, states, reads = self.encode(self.input_projection(rows), cache)
        out = self.prediction_head(hidden[:, -1]).unflatten(1, (self.pred_len, self.output_dim))
        return out * scale + level, states, reads

    def encode(
        self, values: Tensor, cache: MemoryCache | None
    ) -> tuple[Tensor, tuple[MemoryState, ...], list[MemoryRead]]:
        """The transformer on embedded rows: ``(B, L, D)`` to hidden states ``(B, L, D)`` before any logits."""
        model = self.transformer
        batch, length, _ = values.shape
        starts = iter(cache.expand(batch).layers if cache else ())
        tokens = self._with_longterm_tokens(values)
        positions = model.axial_pos_emb.forward_with_seq_len(tokens.shape[1], (self.chunk,))
        x = model.expand_streams(tokens + positions)
        states: list[MemoryState] = []
        reads: list[MemoryRead] = []
        views: list[Tensor] = []  # what later memories may choose their queries, keys and values from
        first_values = coupled = None
        for memory_branch, attention_branch, feedforward_branch, choose, memory, attention, feedforward in model.layers:
            gates = None
            if memory is not None:
                memory_in, add = memory_branch(x)
                read = MemoryRead(_memory_views(memory_in, views, choose), coupled)
                retrieved, state = self._remember(memory, read, next(starts, None))
                reads.append(read)
                if state is not None:
                    states.append(state_of(state))
                    coupled = state.updates if model.neural_mem_weight_residual else None
                if model.gate_attn_output:
                    gates = retrieved.sigmoid()
                else:
                    x = add(retrieved)
            attention_in, add = attention_branch(x)
            attended, intermediates = attention(attention_in, value_residual=first_values, output_gating=gates)
            if first_values is None:
                first_values = intermediates.value_residual
            x = add(attended)
            feedforward_in, add = feedforward_branch(x)
            fed = feedforward(feedforward_in)
            x = add(fed)
            views += [attention_in, attended, feedforward_in, fed]
        x = self._without_longterm_tokens(model.reduce_streams(x), length)
        return model.norm(x), tuple(states), reads

    def write(self, cache: MemoryCache, reads: list[MemoryRead], tokens: int) -> MemoryCache:
        """Write the first ``tokens`` tokens of a forward pass into the memories it started from.

        Args:
            cache: The memory to write to.
            reads: What each memory layer was given in that pass.
            tokens: How many; whole chunks.
        """
        states = []
        for memory, read, start in zip(self.memories, reads, cache.layers, strict=True):
            _, state = memory(read.tokens[:, :, :tokens], state=library_state(start), prev_weights=read.coupled)
            states.append(state_of(state))
        return MemoryCache(tuple(states), cache.batch)

    def initial_cache(self, batch: int = 1) -> MemoryCache:
        """The learned initial memory, with no momentum yet."""
        layers = tuple(
            MemoryState(
                {k: w.detach().clone() for k, w in memory.init_weights(batch).items()},
                {k: m.detach().clone() for k, m in memory.init_momentum(batch).items()} if memory.to_momentum else {},
            )
            for memory in self.memories
        )
        return MemoryCache(layers, batch)

    def prepare(self, pairs: Pairs) -> None:
        """Solve the ridge regression that anchors outputs which are not inputs; called before training."""
        if self.anchor is None:
            return
        task = Task(pairs.lookback, pairs.horizon, pairs.inputs.shape[1], pairs.targets.shape[1])
        gram, moment = normal_equations(pairs, task, "last", constant=True)
        solution = torch.from_numpy(np.linalg.solve(gram + np.eye(len(gram)), moment))
        with torch.no_grad():
            self.anchor.weight.copy_(solution[:-1].T)
            self.anchor.bias.copy_(solution[-1])

    def freeze_non_memory_params(self) -> None:
        """Leave only the parameters of the neural memories trainable."""
        memory = {id(p) for module in self.memories for p in module.parameters()}
        for parameter in self.parameters():
            parameter.requires_grad_(id(parameter) in memory)

    def set_memory(self, max_lr: float | None = None, batch_size: int | None = None) -> None:
        """Change how the memory writes in service; None leaves it as trained.

        Args:
            max_lr: Largest step of a write.
            batch_size: Tokens written against the same weights.

        Raises:
            BenchError: The batch size is not a multiple of the chunk.
        """
        require_whole_chunks(batch_size, self.chunk)
        for memory in self.memories:
            if max_lr is not None:
                memory.adaptive_step_transform = partial(_step_size, max_lr=max_lr)
            if batch_size is not None:
                memory.batch_size = batch_size

    def write_unit(self, lookback: int) -> tuple[int, int]:
        """Rows and tokens of the smallest unit that can be carried: whole chunks, and whole segments.

        Raises:
            BenchError: There are long-term tokens and no unit shorter than the window.
        """
        longterm, segment = self.transformer.num_longterm_mem_tokens, self.transformer.segment_len
        if not longterm:
            return self.chunk, self.chunk
        segments = math.lcm(segment + longterm, self.chunk) // (segment + longterm)
        rows = segments * segment
        if rows >= lookback:
            raise BenchError(
                f"titans: with {longterm} long-term tokens the memory is carried in units of {rows} rows, "
                f"which must be fewer than the lookback of {lookback}. Use a smaller segment_len."
            )
        return rows, segments * (segment + longterm)

    def _normalized(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Rows without the window's level and scale, and the level and scale of the forecast.

        Args:
            x: ``(B, L, C_in)``.

        Returns:
            ``(B, L, C_in)``, and two that broadcast to ``(B, H, C_out)``.
        """
        last, one = x[:, -1:], torch.ones_like(x[:, -1:])
        if self.normalize == "none":
            rows, level, scale = x, torch.zeros_like(last), one
        elif self.normalize == "last":
            rows, level, scale = x - last, last, one
        else:
            std = (x.var(dim=1, keepdim=True, unbiased=False) + 1e-5).sqrt()
            mean = (x if self.normalize == "mean-std" else x[:, -self.chunk :]).mean(dim=1, keepdim=True)
            rows, level, scale = (x - mean) / std, mean, std
            if self.blend is not None:
                level = mean + torch.sigmoid(BLEND_GAIN * self.blend)[:, None] * (last - mean)
                scale = std / (1 + std.square()).sqrt()
        if self.target_index:
            index = list(self.target_index)
            return rows, level[..., index], scale[..., index]
        if self.anchor is None:
            return rows, x.new_zeros(()), x.new_ones(())
        return rows, self.anchor(x.flatten(1)).unflatten(1, (self.pred_len, self.output_dim)), x.new_ones(())

    def _remember(self, memory: Any, read: MemoryRead, start: MemoryState | None) -> tuple[Tensor, Any]:
        """Read a memory, and write to it unless writes are switched off."""
        if self.memory_writes:
            state = library_state(start) if start else None
            return memory(read.tokens, state=state, prev_weights=read.coupled)  # type: ignore[no-any-return]
        queries = read.tokens[0]
        weights = start.weights if start else memory.init_weights(len(queries))
        chunks = math.ceil((queries.shape[1] + 1) / memory.retrieve_chunk_size)
        same = {k: w.unsqueeze(1).expand(-1, chunks, *w.shape[1:]) for k, w in weights.items()}
        return memory.retrieve_memories(queries, same), None

    def _with_longterm_tokens(self, values: Tensor) -> Tensor:
        """Put the long-term tokens after each segment that another one follows."""
        count, segment = self.transformer.num_longterm_mem_tokens, self.transformer.segment_len
        if not count:
            return values
        longterm = self.transformer.longterm_mems.expand(len(values), -1, -1)
        parts: list[Tensor] = []
        for part in values.split(segment, dim=1):
            parts += [part, longterm]
        return torch.cat(parts[:-1], dim=1)

    def _without_longterm_tokens(self, x: Tensor, length: int) -> Tensor:
        count, segment = self.transformer.num_longterm_mem_tokens, self.transformer.segment_len
        if not count:
            return x
        kept = torch.arange(x.shape[1], device=x.device) % (segment + count) < segment
        return x[:, kept][:, :length]


def _memory_views(memory_in: Tensor, views: list[Tensor], choose: Any) -> Tensor:
    """Queries', keys' and values' views of the tokens, ``(3, B, N, D)``."""
    if choose is None:
        return torch.stack([memory_in] * 3)
    return torch.einsum("lbnd,vbnl->vbnd", torch.stack([memory_in, *views]), choose(memory_in))


def _step_size(logits: Tensor, max_lr: float) -> Tensor:
    return logits.sigmoid() * max_lr


def _own_memory_parameters(memories: list[Any]) -> None:
    """Give each initial memory storage of its own: the library leaves expanded views, which optimisers refuse."""
    for memory in memories:
        for i, parameter in enumerate(memory.memory_model_parameters):
            memory.memory_model_parameters[i] = nn.Parameter(parameter.detach().clone())
        # The module that the memory's weights are poured into keeps untrained ones of its own.
        memory.memory_model.requires_grad_(requires_grad=False)


def require_whole_chunks(batch_size: int | None, chunk: int) -> None:
    """Refuse a memory batch that is not whole chunks, with a `BenchError`."""
    if batch_size is not None and batch_size % chunk:
        raise BenchError(
            f"titans: neural_memory_batch_size={batch_size} must be a multiple of the memory chunk ({chunk})"
        )


def _transformer_class() -> Any:
    with warnings.catch_warnings():  # titans_pytorch 0.5.5 uses torch.jit.script, which torch deprecates
        warnings.filterwarnings("ignore", message=".*torch.jit.script.*")
        from titans_pytorch import MemoryAsContextTransformer
    return MemoryAsContextTransformer
