"""A neural memory of what forecasts missed: written as pairs mature, read at each forecast.

The memory is one linear layer, and its writes are those of `titans_pytorch.NeuralMemory` of depth 1, without momentum,
norms and learned gates: each chunk of pairs takes one gradient step on the squared error of the memory's answers.
Source: Behrouz, Zhong and Mirrokni, "Titans: Learning to Memorize at Test Time" (2501.00663), eq. 8 to 10; keys, values
and steps are ours.
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
import torch
from pydantic import BeforeValidator, Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor

from bench.adaptation.exponential_weights import ExponentialWeights
from bench.contracts.config import Search
from bench.contracts.forecaster import Pairs, Task
from bench.contracts.strategy import Feedback, History, Strategy, StrategyConfig
from bench.forecasters.linear import design, normal_equations, outcome

SMALLEST_EIGENVALUE = 1e-3
"""Added to the eigenvalues of the Gram matrix, in units of their mean."""

MIX_RATE, MIX_KEPT = 8.0, 0.95
"""Learning rate of the exponential weights, and what a chunk leaves of the losses before it."""

PAIRS_IN_HORIZON = 8
"""So many pairs that start within a horizon are written by default."""

Rates = Annotated[tuple[PositiveFloat, ...], Field(min_length=1)]


class ErrorMemoryConfig(StrategyConfig):
    """Options of a memory of errors.

    Attributes:
        pair_power: How far windows are whitened before they are keys, from 0 (as they are) to 0.5 (all directions of
            the training windows alike).
        pair_step: Rows that a chunk's pairs stand for at which the step is a half: it is ``r / (r + pair_step)``, where
            r is the number of pairs times ``pair_every``. None (in TOML, ``"none"``) writes nothing.
        pair_rates: Factors of that step, one for each memory. The answers of several memories are mixed by exponential
            weights on their errors.
        pair_every: Rows between the pairs that are written; pairs between them, which overlap these, are left out.
            None is an eighth of the horizon.
        pair_chunk: Most pairs that are written against the same weights.
        pair_decay: Share of a memory that each chunk forgets.
        pair_per_channel: Whether each target has memories of its own, or all share them. Targets that are not inputs
            share them in any case.
    """

    pair_power: Annotated[float, Search(0.0, 0.5)] = Field(0.375, ge=0, le=0.5)
    pair_step: Annotated[
        NonNegativeFloat | None, Search(1.0, 64.0, log=True), BeforeValidator(lambda v: None if v == "none" else v)
    ] = 8.0
    pair_rates: Rates = (1.0, 2.0)
    pair_every: PositiveInt | None = None
    pair_chunk: PositiveInt = 24
    pair_decay: float = Field(0.0, ge=0, le=1)
    pair_per_channel: bool = False


class ErrorMemory:
    """What a forecaster missed, by window.

    A key is a channel's window less its last value, with a constant, whitened by the training windows; where targets
    are not inputs it is the whole window, flattened (`bench.forecasters.linear.design`). A value is what the forecast
    missed over the horizon.

    Args:
        history: Its labelled rows give the whitening; nothing is written.
        task: The shapes that are served.
        config: Options by the names of an `ErrorMemoryConfig`.

    Attributes:
        weights: ``(R, G, F, M)``, the memories, zero at first: R rates, G channels with memories of their own or 1, F
            the width of a key and M that of a value; ``F = L + 1`` and ``M = H`` where targets are inputs.
        mix: Weights of the memories in an answer, by their squared errors in units of those without a memory.
        every: Rows between the pairs that are written.
        chunks: Chunks written so far.
    """

    def __init__(self, history: History, task: Task, config: Any) -> None:
        self.task, self.config = task, config
        origins = torch.arange(task.lookback, len(history) - task.horizon + 1, device=history.inputs.device)
        pairs = Pairs(history.inputs, history.targets, origins, task.lookback, task.horizon)
        gram, moment = normal_equations(pairs, task, "last", constant=True)
        eigenvalues, vectors = np.linalg.eigh(gram)
        eigenvalues = eigenvalues.clip(min=0)
        scale = (eigenvalues + SMALLEST_EIGENVALUE * eigenvalues.mean()) ** -config.pair_power
        self.whitening = torch.from_numpy(vectors * scale).to(history.inputs)
        self.rates = self.whitening.new_tensor(config.pair_rates)[:, None, None, None]
        own = task.targets if config.pair_per_channel and task.target_index is not None else 1
        self.weights = self.whitening.new_zeros(len(self.rates), own, *moment.shape)
        self.mix = ExponentialWeights(self.whitening.new_zeros(len(self.rates)), MIX_RATE, MIX_KEPT)
        self.every = config.pair_every or max(1, task.horizon // PAIRS_IN_HORIZON)
        self.chunks = 0

    @property
    def writes(self) -> bool:
        """Whether writing changes anything."""
        return self.config.pair_step is not None

    def answer(self, windows: Tensor) -> Tensor:
        """What forecasts of these windows will miss: ``(B, L, C_in)`` to ``(B, H, C_out)``."""
        out: Tensor = self._keys(windows) @ torch.tensordot(self.mix.shares(), self.weights, dims=1)
        if self.task.target_index is None:
            return out.view(len(windows), self.task.horizon, self.task.targets)
        by_channel = out.transpose(0, 1) if len(out) > 1 else out.view(len(windows), -1, self.task.horizon)
        return by_channel.transpose(1, 2)

    def write(self, windows: Tensor, missed: Tensor) -> None:
        """Write pairs in order: windows ``(P, L, C_in)``, and what their forecasts missed, ``(P, H, C_out)``."""
        if not self.writes:
            return
        for x, y in zip(windows.split(self.config.pair_chunk), missed.split(self.config.pair_chunk), strict=True):
            keys, values = self._keys(x), self._by_memory(outcome(y, y.new_zeros(()), self.task))
            errors = values - keys @ self.weights
            surprise = keys.transpose(1, 2) @ errors / keys.square().sum(dim=(1, 2)).view(-1, 1, 1)
            covered = len(x) * self.every
            step = covered / (covered + self.config.pair_step)
            self.weights = (1 - self.config.pair_decay) * self.weights + step * self.rates * surprise
            without = values.square().mean().clamp(min=torch.finfo(values.dtype).tiny)
            self.mix.update(errors.square().mean(dim=(1, 2, 3)) / without, covered / self.config.pair_chunk)
            self.chunks += 1

    def norm(self) -> float:
        """Euclidean norm of all memories."""
        return float(self.weights.norm())

    def _keys(self, windows: Tensor) -> Tensor:
        """Keys of windows, ``(G, N, F)``."""
        rows, _ = design(windows, self.task, "last", constant=True)
        return self._by_memory(rows @ self.whitening)

    def _by_memory(self, rows: Tensor) -> Tensor:
        """``(B, R, F)``, R the channels or 1, as ``(G, N, F)`` with ``G N = B R``."""
        return rows.flatten(0, 1)[None] if self.weights.shape[1] == 1 else rows.transpose(0, 1)


class RemembersErrors(Strategy):
    """Adds a memory of errors to the strategy that follows it in a class's bases, whose ``Config`` has its options.

    Matured pairs are forecast by the other strategy as it is when they are released, in one pass with the next block.

    Attributes:
        errors: The memory.
    """

    def setup(self) -> None:
        """Start with an empty memory."""
        super().setup()
        history, protocol = self.history, self.protocol
        columns = history.inputs.shape[1], history.targets.shape[1]
        task = Task(protocol.lookback, protocol.horizon, *columns, history.target_index)
        self.errors = ErrorMemory(history, task, self.config)
        self._released: list[Feedback] = []

    def remembers(self) -> bool:
        """Whether pairs are still written."""
        return self.errors.writes

    def missed(self, feedback: Feedback, forecasts: Tensor) -> Tensor:
        """What is written for pairs, ``(P, H, C_out)``, given their forecasts."""
        return feedback.y - forecasts

    def adapt(self, feedback: Feedback) -> None:
        """Keep the pairs until the next forecast."""
        super().adapt(feedback)
        if not self.remembers():
            return
        written = feedback.origins % self.errors.every == 0
        if written.any():
            kept = torch.from_numpy(written).to(feedback.x.device)
            self._released.append(Feedback(feedback.x[kept], feedback.y[kept], feedback.origins[written]))

    @torch.no_grad()
    def predict(self, windows: Tensor) -> Tensor:
        """The other strategy's forecast, and what the memory expects it to miss."""
        released, self._released = self._released, []
        asked = torch.cat([*(feedback.x for feedback in released), windows]) if released else windows
        forecasts: Tensor = torch.as_tensor(super().predict(asked))
        *earlier, own = forecasts.split_with_sizes([*map(len, released), len(windows)])
        for feedback, before in zip(released, earlier, strict=True):
            self.errors.write(feedback.x, self.missed(feedback, before))
        return own + self.errors.answer(windows) if self.errors.chunks else own

    def trace(self) -> dict[str, float]:
        """Also the norm of the memory of errors."""
        return super().trace() | {"error_memory_norm": self.errors.norm()}
