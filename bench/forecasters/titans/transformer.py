"""A forecaster on the Titans transformer: attention within segments, and a neural memory that writes as it reads.

Built on `titans_pytorch.MemoryAsContextTransformer` as released; its layers are called one by one, because its own
``forward`` takes token ids, hides the state before the logits, and cannot start from a carried memory.
Source: Behrouz, Zhong and Mirrokni, "Titans: Learning to Memorize at Test Time" (2501.00663).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from bench.contracts.errors import BenchError
from bench.contracts.forecaster import Pairs
from bench.forecasters.titans.channels import ChannelFold, Channels
from bench.forecasters.titans.compiled import Compiled
from bench.forecasters.titans.fast_engine.attention import attend
from bench.forecasters.titans.fast_engine.attention import uncovered as attention_uncovered
from bench.forecasters.titans.fast_engine.derived import Derived
from bench.forecasters.titans.fast_engine.memory import remember, uncovered
from bench.forecasters.titans.memory_state import MemoryCache, MemoryState
from bench.forecasters.titans.reference import library, remember_by_library
from bench.forecasters.titans.units import no_unit, require_whole_chunks, smallest_unit
from bench.forecasters.window_normalization import Normalization, WindowNormalization

Engine = Literal["fast", "reference"]


class TimeSeriesTitansTransformer(nn.Module):
    """Windows of a series in, forecasts out, with a memory that can be carried from window to window.

    Args:
        input_dim: Columns of a window, ``C_in``.
        output_dim: Columns of a forecast, ``C_out``.
        pred_len: Rows of a forecast, ``H``.
        dim: Width of a token.
        segment_len: Tokens that attend to each other.
        patch_len: Consecutive rows that make one token, all of their columns together; a window is whole patches.
        target_index: Position of each output among the inputs; ``()`` if outputs are not inputs. None is
            ``0 .. C_out - 1`` if there are as many inputs as outputs, else ``()``.
        normalize: See `WindowNormalization`, as for ``revin_affine``, ``anchor_rows`` and ``step_bound``; the latest
            rows are the last chunk.
        dropout: Share of the last hidden state that training drops before the head.
        write_dropout: Share of training passes that read the memory and do not write it, as a frozen memory serves.
        channels: ``mixed``, one sequence of all columns; or ``independent``, a sequence for each target, with the
            inputs that are not targets beside it, through shared weights and with a memory of its own.
        neural_memory_segment_len: Tokens in a memory chunk; None means ``segment_len``.
        neural_memory_layers: Layers with a memory, counted from 1.
        memory_engine: ``fast`` computes the same as the library another way, where it can (`fast_engine`);
            ``reference`` calls the library's modules as released.
        compile: Whether ``forward`` runs as a compiled graph; for the ``fast`` engine.
        **transformer: Further arguments of `titans_pytorch.MemoryAsContextTransformer`.

    Attributes:
        memory_writes: False reads the memory and never writes it.
        chunk: Tokens in a memory chunk.
        streams: Sequences that a window becomes, each with a memory of its own: the targets if channels are
            independent, otherwise 1. A state of ``B`` windows holds ``B * streams`` memories, window-major.
    """

    provides: ClassVar[frozenset[str]] = frozenset({"memory"})
    head_modules: ClassVar[tuple[str, ...]] = ("prediction_head",)
    backbone_modules: ClassVar[tuple[str, ...]] = ("normalization", "input_projection", "transformer")

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
        revin_affine: bool = False,
        channels: Channels = "mixed",
        anchor_rows: int = 0,
        step_bound: float | None = None,
        patch_len: int = 1,
        dropout: float = 0.0,
        write_dropout: float = 0.0,
        neural_memory_segment_len: int | None = None,
        neural_memory_layers: tuple[int, ...] = (1,),
        num_residual_streams: int = 1,
        memory_engine: Engine = "fast",
        compile: bool = False,  # noqa: A002 - the word that torch has for it
        **transformer: Any,
    ) -> None:
        super().__init__()
        if target_index is None:
            target_index = tuple(range(output_dim)) if input_dim == output_dim else ()
        self.pred_len, self.output_dim, self.patch_len = pred_len, output_dim, patch_len
        self.write_dropout = write_dropout
        self.memory_writes, self.memory_engine = True, memory_engine
        self.compile_forward = compile
        self._compiled: Compiled | None = None
        self.fold = ChannelFold.of(input_dim, target_index) if channels == "independent" else None
        self.streams = len(self.fold.columns) if self.fold else 1
        self.input_projection = nn.Linear(patch_len * (self.fold.width if self.fold else input_dim), dim)
        # The token embedding and the logits are for language; neither is called.
        self.transformer = library().MemoryAsContextTransformer(
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
        self.dropout = nn.Dropout(dropout)
        self.prediction_head = nn.Linear(dim, pred_len * (output_dim // self.streams))
        self.chunk: int = self.transformer.neural_memory_segment_len
        self.normalization = WindowNormalization(
            normalize,
            input_dim,
            (pred_len, output_dim),
            target_index,
            self.chunk * patch_len,
            affine=revin_affine,
            anchor_rows=anchor_rows,
            step_bound=step_bound,
        )
        if self.normalization.anchor is not None:
            nn.init.zeros_(self.prediction_head.weight)
            nn.init.zeros_(self.prediction_head.bias)
        _own_memory_parameters(self.memories)
        self._derived = Derived(
            self.transformer.axial_pos_emb,
            *self.memories,
            *(layer[5].rotary_emb for layer in self.transformer.layers),
        )
        # Coupled layers pass on weights that the fast engine never builds.
        coupled = self.transformer.neural_mem_weight_residual
        self._covered = tuple(not coupled and not uncovered(memory) for memory in self.memories)

    @property
    def memories(self) -> list[Any]:
        """The `NeuralMemory` modules, first layer first."""
        return [layer[4] for layer in self.transformer.layers if layer[4] is not None]

    def forward(self, x: Tensor, cache: MemoryCache | None = None, return_cache: bool = False) -> Any:
        """Forecast ``(B, H, C_out)`` for windows ``(B, L, C_in)``.

        Args:
            cache: The memory to start from, for batch 1 or B; None starts from the learned initial memory.
            return_cache: Whether to return also the memory at the window's end, a `MemoryCache` for batch B; the one it
                started from if writes are switched off.
        """
        if self.training and self.write_dropout and torch.rand(()) < self.write_dropout:
            with self._reading_only():
                return self(x, cache, return_cache)
        after = self._whole_chunks(x.shape[1]) if return_cache and self.memory_writes else None
        is_plain = not self.compile_forward and not torch.is_grad_enabled() and self._is_all_fast
        if is_plain:
            forecast, left = self._inferred(x, cache, after)
        else:
            run = self.compiled if self.compile_forward else self.run
            forecast, left = run(x, cache.ordinary() if cache else None, after)
        if not return_cache:
            return forecast
        return forecast, (left.detached() if left else (cache or self.initial_cache()).expand(len(x)))

    def _inferred(self, x: Tensor, cache: MemoryCache | None, after: int | None) -> tuple[Tensor, MemoryCache | None]:
        """`run` in inference mode, which saves a tenth of the time of one window."""
        self._derived.begin()
        with torch.inference_mode():
            forecast, left = self.run(x, cache, after)
        return forecast.clone(), left

    @property
    def _is_all_fast(self) -> bool:
        """Whether no layer uses the library's memory, which takes gradients even to answer."""
        return self.memory_engine == "fast" and all(self._covered)

    @property
    def compiled(self) -> Compiled:
        """`run` as compiled graphs, made at the first call of each kind."""
        if self._compiled is None:
            self._compiled = Compiled(self.run)
        return self._compiled

    def run(
        self, x: Tensor, cache: MemoryCache | None = None, after: int | None = None
    ) -> tuple[Tensor, MemoryCache | None]:
        """Forecast, with gradients, and return the memory after ``after`` tokens, whole chunks (None: no memory)."""
        rows, level, scale = self.normalization(x)
        hidden, states = self._encode(self._tokens(rows), cache, after)
        out = self.prediction_head(self.dropout(hidden)).unflatten(1, (self.pred_len, self.output_dim // self.streams))
        out = self.fold.unfold(out) if self.fold else out
        return out * scale + level, None if after is None else MemoryCache(states, len(x))

    def write(self, x: Tensor, cache: MemoryCache) -> MemoryCache:
        """Write the first unit of each window into the memory that it starts from, without gradients; for batch B."""
        self._derived.begin()
        with torch.inference_mode() if self._is_all_fast else torch.no_grad():
            return self.written(x, cache)

    def written(self, x: Tensor, cache: MemoryCache) -> MemoryCache:
        """As `write`, with gradients.

        Only what can matter is computed: all is causal, so the unit's own tokens go through the layers below the last
        memory. One token more goes with them where it matters: a segment's long-term tokens precede the next segment,
        and the gate applies to a full batch of writes before the next one.
        """
        rows, count = self.write_unit(x.shape[1])
        gated = any(memory.transition_gate is not None for memory in self.memories[:-1])
        beyond = self.patch_len if gated or self.transformer.num_longterm_mem_tokens else 0
        unit = self.normalization.head(x, rows + beyond)
        _, states = self._encode(self._tokens(unit), cache, count, memories_only=True)
        return MemoryCache(states, len(x))

    def _tokens(self, rows: Tensor) -> Tensor:
        """Normalised rows ``(B, N, C_in)`` as embedded tokens ``(B * streams, N / patch_len, D)``."""
        rows = self.fold.fold(rows) if self.fold else rows
        if self.patch_len > 1:
            rows = rows.unflatten(1, (-1, self.patch_len)).flatten(2)
        embedded: Tensor = self.input_projection(rows)
        return embedded

    @contextmanager
    def _reading_only(self) -> Iterator[None]:
        """Read the memory as it is, write nothing, and drop no further writes."""
        writes, dropped = self.memory_writes, self.write_dropout
        self.memory_writes, self.write_dropout = False, 0.0
        try:
            yield
        finally:
            self.memory_writes, self.write_dropout = writes, dropped

    def _encode(
        self, values: Tensor, cache: MemoryCache | None, after: int | None, *, memories_only: bool = False
    ) -> tuple[Tensor, tuple[MemoryState, ...]]:
        """The transformer on tokens ``(B, N, D)``; ``B`` counts sequences if channels are independent.

        Returns:
            ``(B, D)``, the hidden state of the last token, meaningless with ``memories_only``, which stops at the last
            memory; and the memories after so many tokens (None: no memories), first layer first.
        """
        model, fast = self.transformer, self.memory_engine == "fast"
        starts = iter(cache.layers_for(len(values) // self.streams) if cache else ())
        tokens = self._with_longterm_tokens(values)
        length = tokens.shape[1]
        x = model.expand_streams(tokens + self._derived(("positions", length), lambda: self._positions(length)))
        states: list[MemoryState] = []
        views: list[Tensor] = []  # later memories may choose their queries, keys and values from these
        first_values = coupled = None
        covered, memories_left = iter(self._covered), len(self._covered)
        for i, layer in enumerate(model.layers, 1):
            memory_branch, attention_branch, feedforward_branch, choose, memory, attention, feedforward = layer
            gates = None
            if memory is not None:
                memories_left -= 1
                memory_in, add = memory_branch(x)
                serve = remember if next(covered) and fast else remember_by_library
                remembered = serve(
                    memory,
                    _memory_views(memory_in, views, choose),
                    next(starts, None),
                    coupled=coupled,
                    writes=self.memory_writes,
                    reads=not memories_only or memories_left > 0,
                    after=after,
                    derived=self._derived,
                )
                states += [remembered.state] if remembered.state else []
                if memories_only and not memories_left:
                    break
                coupled = remembered.updates if model.neural_mem_weight_residual else None
                if model.gate_attn_output:
                    gates = remembered.retrieved.sigmoid()
                else:
                    x = add(remembered.retrieved)
            attention_in, add = attention_branch(x)
            if fast and not attention_uncovered(attention):
                last_only = i == len(model.layers)  # the head reads the last token only
                attended, own_values = attend(
                    attention, attention_in, first_values, gates, last_only=last_only, derived=self._derived
                )
                if last_only:
                    _, add = attention_branch(x[:, -1:])
            else:
                attended, kept = attention(attention_in, value_residual=first_values, output_gating=gates)
                own_values = kept.value_residual
            first_values = own_values if first_values is None else first_values
            x = add(attended)
            feedforward_in, add = feedforward_branch(x)
            fed = feedforward(feedforward_in)
            x = add(fed)
            views += [attention_in, attended, feedforward_in, fed]
        if memories_only:
            return x, tuple(states)
        return model.norm(model.reduce_streams(x[:, -1:]))[:, 0], tuple(states)

    def initial_cache(self, batch: int = 1, *, detach: bool = True) -> MemoryCache:
        """The learned initial memory for ``batch`` windows, without momentum; with gradients if not detached."""
        count = batch * self.streams
        layers = tuple(
            MemoryState(
                {k: w.clone() for k, w in memory.init_weights(count).items()},
                {k: m.detach().clone() for k, m in memory.init_momentum(count).items()} if memory.to_momentum else {},
            )
            for memory in self.memories
        )
        cache = MemoryCache(layers, batch)
        return cache.detached() if detach else cache

    def prepare(self, pairs: Pairs) -> None:
        """Solve the ridge regression that gives a forecast its level, if there is one; called before training."""
        self.normalization.prepare(pairs)

    def freeze_non_memory_params(self) -> None:
        """Leave only the parameters of the neural memories trainable."""
        memory = {id(p) for module in self.memories for p in module.parameters()}
        for parameter in self.parameters():
            parameter.requires_grad_(id(parameter) in memory)

    def set_memory(self, max_lr: float | None = None, batch_size: int | None = None) -> None:
        """Change how the memory writes in service; None leaves it as trained.

        Args:
            max_lr: Largest step of a write.
            batch_size: Tokens written against the same weights, `BenchError` if not a multiple of the chunk.
        """
        require_whole_chunks(batch_size, self.chunk)
        for memory in self.memories:
            if max_lr is not None:
                memory.adaptive_step_transform = partial(_step_size, max_lr=max_lr)
            if batch_size is not None:
                memory.batch_size = batch_size

    def write_unit(self, lookback: int) -> tuple[int, int]:
        """Rows and tokens of the smallest unit that can be carried, `BenchError` if not shorter than the window."""
        longterm = self.transformer.num_longterm_mem_tokens
        patches, tokens = smallest_unit(self.transformer.segment_len, longterm, self.chunk)
        if reason := no_unit(patches, longterm, self.chunk, lookback // self.patch_len):
            raise BenchError(f"titans: {reason}")
        return patches * self.patch_len, tokens

    def _whole_chunks(self, length: int) -> int:
        """Tokens of a window of ``length`` rows that fill whole chunks."""
        patches, longterm = length // self.patch_len, self.transformer.num_longterm_mem_tokens
        tokens: int = patches + (patches - 1) // self.transformer.segment_len * longterm
        return tokens // self.chunk * self.chunk

    def _positions(self, length: int) -> Tensor:
        """Position embeddings ``(N, D)``: a network for the chunk, and one for the place within it."""
        chunks = -(-length // self.chunk)
        outer, inner = (
            mlp(torch.arange(size, device=mlp[0].weight.device, dtype=mlp[0].weight.dtype).unsqueeze(1))
            for mlp, size in zip(self.transformer.axial_pos_emb.mlps, (chunks, self.chunk), strict=True)
        )
        positions: Tensor = (outer.unsqueeze(1) + inner).flatten(0, 1)
        return positions[:length]

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


def _memory_views(memory_in: Tensor, views: list[Tensor], choose: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs of queries, keys and values, each ``(B, N, D)``."""
    if choose is None:
        return memory_in, memory_in, memory_in
    q, k, v = torch.einsum("lbnd,vbnl->vbnd", torch.stack([memory_in, *views]), choose(memory_in))
    return q, k, v


def _step_size(logits: Tensor, max_lr: float) -> Tensor:
    return logits.sigmoid() * max_lr


def _own_memory_parameters(memories: list[Any]) -> None:
    """Give each initial memory storage of its own: the library leaves expanded views, which optimisers refuse."""
    for memory in memories:
        for i, parameter in enumerate(memory.memory_model_parameters):
            memory.memory_model_parameters[i] = nn.Parameter(parameter.detach().clone())
        # The module that receives the memory's weights keeps untrained ones of its own.
        memory.memory_model.requires_grad_(requires_grad=False)
