"""Retraining: the pre-training recipe again, every so many rows, on what has been released."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import count
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor

from bench import (
    BenchError,
    Feedback,
    Pairs,
    Planned,
    Protocol,
    Search,
    Strategy,
    StrategyConfig,
    register_strategy,
)


@register_strategy("retrain")
class Retrain(Strategy):
    """Train again every `every` rows, on an expanding or a sliding history."""

    class Config(StrategyConfig):
        """Options.

        Attributes:
            every: Rows between two trainings; None goes by ``growth``.
            growth: Share by which the released rows must have grown since the last training, without ``every``.
            window: ``expanding`` keeps all released rows, ``sliding`` the last ``rows``.
            rows: Rows kept by a sliding window; None keeps as many as the history had.
            start: Weights at the start of a training: ``scratch`` or the ``last`` ones. A forecaster with a closed form
                is solved anew in any case.
            steps: Most gradient steps of a training; None takes as many as pre-training, which never takes fewer.
        """

        every: PositiveInt | None = None
        growth: Annotated[PositiveFloat, Search(0.06, 0.6, log=True)] = 0.18
        window: Literal["expanding", "sliding"] = "expanding"
        rows: PositiveInt | None = None
        start: Annotated[Literal["scratch", "last"], Search(choices=("scratch", "last"))] = "scratch"
        steps: PositiveInt | None = None

    group = "core"
    colour = "#009e73"
    uses_forecaster: ClassVar[bool] = True
    reads_exogenous: ClassVar[bool] = False
    heavy = True
    carries = "the weights, until the next training"
    tiny: ClassVar[dict[str, Any]] = {"every": 10}

    @classmethod
    def check_service(cls, config: Any, planned: Planned) -> None:
        """A sliding window must hold pairs to train on and pairs to validate on."""
        _require_pairs(config, planned.protocol, planned.history)

    def setup(self) -> None:
        """Keep the history and the origins of its pairs."""
        self.recipe = self.forecaster.recipe
        if self.config.steps is not None:
            training = self.recipe.config.training
            training = training.model_copy(update={"steps": min(self.config.steps, training.steps or math.inf)})
            self.recipe = replace(self.recipe, config=self.recipe.config.model_copy(update={"training": training}))
        self.inputs, self.targets = self.history.inputs, self.history.targets
        self.start = 0  # the row of the stream that stands first in `inputs`
        self.origins = self.history.pairs(self.protocol).origins
        _require_pairs(self.config, self.protocol, len(self.history))
        self.kept = self.config.rows or len(self.history)
        self.trained_at = len(self.history)
        self._quiet_memory()

    def observe(self, rows: Tensor) -> None:
        """Keep what became visible; its targets are unknown until their pair matures."""
        self.inputs = torch.cat([self.inputs, rows])
        self._reach(len(self.inputs))

    def adapt(self, feedback: Feedback) -> None:
        """Keep the pairs; train when it is time."""
        for s, y in zip(feedback.origins.tolist(), feedback.y, strict=True):
            self._reach(s - self.start + len(y))  # the truth of an instant label goes on beyond the rows seen
            self.targets[s - self.start : s - self.start + len(y)] = y
        fresh = torch.from_numpy(feedback.origins).to(self.origins.device) - self.start
        self.origins = torch.cat([self.origins, fresh])
        now = self.start + len(self.inputs)
        if now - self.trained_at >= (self.config.every or self.config.growth * self.trained_at):
            self.trained_at = now
            self._slide()
            self._train()

    def _reach(self, rows: int) -> None:
        """Hold targets for so many rows at least, unknown ones where none came."""
        if (more := rows - len(self.targets)) > 0:
            unknown = self.targets.new_full((more, self.targets.shape[1]), torch.nan)
            self.targets = torch.cat([self.targets, unknown])

    def _slide(self) -> None:
        """Forget rows that a sliding window has left."""
        drop = len(self.inputs) - self.kept
        if self.config.window == "expanding" or drop <= 0:
            return
        self.inputs, self.targets, self.start = self.inputs[drop:], self.targets[drop:], self.start + drop
        origins = self.origins - drop
        self.origins = origins[origins >= self.protocol.lookback]

    def _train(self) -> None:
        """The recipe from its own seed; the last fifth of the pairs validate, none of their truths is trained on.

        A neural memory is read only, in training as in service.
        """
        L, H = self.protocol.lookback, self.protocol.horizon
        border = int(0.8 * len(self.inputs))
        learn, check = self.origins[self.origins + H <= border], self.origins[self.origins >= border]
        if not len(learn) or not len(check):
            return
        pairs, validation = (Pairs(self.inputs, self.targets, origins, L, H) for origins in (learn, check))
        last, self.forecaster = self.forecaster, self.recipe.build(self.device)
        self._quiet_memory()
        if self.config.start == "last" and self.recipe.leaves_checkpoint:
            self.forecaster.load_state_dict(last.state_dict())
        self.forecaster = self.recipe.fit(self.forecaster, pairs, validation)

    def _quiet_memory(self) -> None:
        if "memory" in getattr(self.forecaster, "provides", ()):
            self.forecaster.memory_writes = False

    @torch.no_grad()
    def predict(self, windows: Tensor) -> Tensor:
        """Forecast with the last trained weights."""
        return self.forecaster(windows)  # type: ignore[no-any-return]


def _require_pairs(config: Any, protocol: Protocol, history: int) -> None:
    L, H = protocol.lookback, protocol.horizon
    kept = config.rows or history

    def holds(rows: int) -> bool:
        border = int(0.8 * rows)
        return border >= L + H and rows - border >= H

    if config.window == "sliding" and not holds(kept):
        raise BenchError(
            f"retrain: rows={kept} hold no pair to train on or none to validate on: four fifths must hold "
            f"lookback + horizon = {L + H} rows, and one fifth {H}. "
            f"It can with rows = {next(filter(holds, count(1)))}, or more."
        )
