"""Training with carried memories: walkers carry a memory along the training rows, as a stream does in service.

Source: truncated backpropagation through time, here through the writes of a memory (Sun et al., "Learning to (Learn
at Test Time)", 2407.04620, train the same way within one sequence).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.contracts.forecaster import Objective, Pairs, TrainingConfig
from bench.forecasters.titans.memory_state import MemoryCache
from bench.forecasters.titans.transformer import TimeSeriesTitansTransformer

AT_ONCE = 64  # windows of a validation in memory, each with a memory of its own


@dataclass(frozen=True)
class Walking:
    """How much of training walks, and how.

    Attributes:
        share: Share of a step's windows that start from a carried memory; 0 to 1.
        truncation: Consecutive windows through whose writes the gradient flows.
        age: Units that a memory is carried for before it restarts.
    """

    share: float
    truncation: int
    age: int


class Walk:
    """An `Objective`: some windows at random from the initial memory, the others at the walkers.

    A walker is at a row ``q`` with a memory of the rows before it, by the exact rule of `Carry`. It forecasts from
    its window ``[q, q + L)``, writes the window's first unit of rows, and advances by that unit. One step takes
    ``truncation`` windows of every walker (as many as fit in a row of pairs); then its memory is kept, without its
    graph. A walker restarts, at a random row and from the learned initial memory, when it has walked ``age`` units or
    would leave the pairs; the first lives are of different lengths, so that a step sees memories of all ages.

    Args:
        plain: The windows at random, and their validation error.
        pairs: Training pairs; a truth that is not among them is not learned from.
        seed: Of where walkers start.

    Attributes:
        position: ``(W,)`` rows ``q`` of the walkers.
        left: ``(W,)`` units until each restarts, at 0 with the next step.
        cache: Their memories, detached, for batch W.
        truncation: Windows of a walker in one step.
    """

    def __init__(
        self,
        model: TimeSeriesTitansTransformer,
        plain: Objective,
        pairs: Pairs,
        validation: Pairs,
        walking: Walking,
        training: TrainingConfig,
        seed: int,
    ) -> None:
        self.model, self.plain, self.pairs, self.validation = model, plain, pairs, validation
        self.unit, _ = model.write_unit(pairs.lookback)
        self._first, self._last = (int(pairs.origins[i]) - pairs.lookback for i in (0, -1))
        walked = max(1, round(training.batch * walking.share))
        self.truncation = min(walking.truncation, walked, 1 + (self._last - self._first) // self.unit)
        walkers = walked // self.truncation
        self._life = -(-walking.age // self.truncation) * self.truncation  # whole steps
        self._most = training.validation_windows
        self._rng = np.random.default_rng([seed, *b"walk"])
        self._known = _known(pairs)
        lives = np.arange(1, walkers + 1) * self._life // walkers
        self._lives = -(-lives // self.truncation) * self.truncation  # of the walkers at the next restart
        self.left = np.zeros(walkers, dtype=np.int64)
        self.position = np.zeros(walkers, dtype=np.int64)
        self.cache = model.initial_cache(walkers)

    def loss(self, windows: int) -> Tensor:
        """MSE over windows: `truncation` of each walker, which advances, and the others drawn at random."""
        errors = self._walk()
        others = windows - len(self.position) * self.truncation
        if others <= 0:
            return errors.sum() / max(1, len(errors))
        return (errors.sum() + others * self.plain.loss(others)) / (len(errors) + others)

    def validation_error(self) -> float:
        """The mean of two: from the initial memory, and from a memory carried through the validation rows in order."""
        return (self.plain.validation_error() + self.carried_error()) / 2

    @torch.no_grad()
    def carried_error(self) -> float:
        """MSE of one forecast for each unit of the validation rows, from the memory that a stream would have there."""
        self.model.eval()
        pairs, known = self.validation, _known(self.validation)
        origins = range(int(pairs.origins[0]), int(pairs.origins[-1]) + 1, self.unit)[: self._most]
        cache, total, count = self.model.initial_cache(), 0.0, 0
        for i in range(0, len(origins), AT_ONCE):
            x, y = _windows(pairs, np.array(origins[i : i + AT_ONCE]) - pairs.lookback)
            starts = []
            for window in x:
                starts.append(cache)
                cache = self.model.write(window[None], cache)
            errors = self.model.run(x, MemoryCache.stack(starts))[0] - y
            errors = errors[known[origins[i : i + AT_ONCE]]]
            total, count = total + float(errors.square().flatten(1).mean(dim=1).sum()), count + len(errors)
        return total / count

    def _walk(self) -> Tensor:
        """MSE of each window walked whose truth is known.

        A forecast depends only on the writes before it, so all are made at once after them.
        """
        starts, windows, known = [self._restart()], [], []
        for _ in range(self.truncation):
            windows.append(_windows(self.pairs, self.position))
            known.append(self._known[self.position + self.pairs.lookback])
            self.position, self.left = self.position + self.unit, self.left - 1
            if len(windows) < self.truncation:
                starts.append(self.model.written(windows[-1][0], starts[-1]))
        self.cache = self.model.write(windows[-1][0], starts[-1]).ordinary()  # not used by this step's forecasts
        x, y = (torch.cat(parts) for parts in zip(*windows, strict=True))
        errors = self.model.run(x, MemoryCache.stack(starts))[0] - y
        return errors[torch.cat(known)].square().flatten(1).mean(dim=1)

    def _restart(self) -> MemoryCache:
        """The walkers' memories; those that restart have the graph of the learned initial memory."""
        beyond = self.position + (self.truncation - 1) * self.unit > self._last
        fresh = (self.left <= 0) | beyond
        if not fresh.any():
            return self.cache
        room = self._last - (self.truncation - 1) * self.unit - self._first
        self.position = np.where(fresh, self._first + self._rng.integers(room + 1, size=len(fresh)), self.position)
        self.left = np.where(fresh, self._lives, self.left)
        self._lives = np.full_like(self._lives, self._life)
        which = torch.from_numpy(fresh).to(self.pairs.origins.device)
        return self.cache.restarted(which, self.model.initial_cache(detach=False))


def _known(pairs: Pairs) -> Tensor:
    """Which rows are the origin of a pair, ``(N,)`` bool."""
    known = torch.zeros(len(pairs.inputs) + 1, dtype=torch.bool, device=pairs.origins.device)
    known[pairs.origins] = True
    return known


def _windows(pairs: Pairs, starts: np.ndarray[Any, np.dtype[np.int64]]) -> tuple[Tensor, Tensor]:
    """Windows and truths of the origins a lookback after ``starts``."""
    origins = torch.from_numpy(starts + pairs.lookback).to(pairs.origins.device)
    return Pairs(pairs.inputs, pairs.targets, origins, pairs.lookback, pairs.horizon).take(slice(None))
