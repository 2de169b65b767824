"""A small series and cheap strategies for the checks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from bench.contracts.forecaster import FORECASTERS, ForecasterConfig, Pairs, abilities
from bench.contracts.series import DriftEvent, DriftSeries, Split
from bench.contracts.strategy import STRATEGIES, Strategy
from bench.evaluation.pretraining import Recipe, task_of
from bench.evaluation.run import Pretrained, make_ready, make_strategy
from bench.evaluation.run_spec import Choice, RunSpec
from bench.evaluation.stream import PreparedSeries
from bench.results.audit import NO_OPTIONS, Options
from bench.testing.findings import CheckError
from bench.testing.replay import CPU, MakeStrategy

SHORT = {"steps": 4, "batch": 4, "evaluations": 1, "validation_windows": 16}
"""Training options of a forecaster whose other options are a run's."""


def small_series(
    *, hidden_targets: bool = False, rows: int = 150, seed: int | None = 0, split: Split | None = None
) -> DriftSeries:
    """A seeded series of three columns with a season of 6 and a jump, small enough for a canary.

    Args:
        hidden_targets: Whether the third column is a target and not an input; otherwise all are both.
        seed: Of its noise; None draws noise that cannot be repeated, so that no plug-in can know a check's rows.
        split: None makes the stream its last third.
    """
    rng = np.random.default_rng(seed)
    t = np.arange(rows)
    phase = 2 * np.pi * t / 6
    values = np.stack([np.sin(phase), np.cos(phase) + 0.01 * t, np.sin(phase + 1)], axis=1)
    values = values + 0.2 * rng.standard_normal(values.shape)
    jump = int(0.8 * rows)
    values[jump:] += 1.0
    names = ("a", "b", "c")
    return DriftSeries(
        name="small",
        values=values,
        columns=names,
        time=t.astype(np.int64),
        split=split or Split(int(0.55 * rows), int(0.66 * rows), rows),
        inputs=names[:2] if hidden_targets else names,
        targets=names[2:] if hidden_targets else names,
        events=(DriftEvent(jump, "jump"),),
        lookback=12,
        horizon=3,
        season=6,
    ).validated()


class RecipeInNumpy(Recipe):
    """Of a forecaster that is no module: a function of arrays, the mean of the window. There is nothing to train."""

    leaves_checkpoint = False

    def build(self, device: torch.device) -> Any:
        """The function."""
        del device

        def mean_of_window(windows: Any) -> NDArray[np.float32]:
            mean = np.asarray(windows)[..., : self.task.targets].mean(axis=1, keepdims=True)
            return np.repeat(mean, self.task.horizon, axis=1)

        forecaster: Any = mean_of_window
        forecaster.recipe, forecaster.curve = self, None
        return forecaster

    def fit(self, forecaster: Any, pairs: Pairs, validation: Pairs) -> Any:
        """The same."""
        del pairs, validation
        return forecaster


@dataclass(frozen=True)
class Form:
    """A strategy and its forecaster (None for a strategy that adapts none), with the options for a check.

    The name of the dataset is part of the seed of the strategy's generator.
    """

    strategy: Choice
    forecaster: Choice | None
    dataset: str = "small"

    @classmethod
    def tiny(cls, name: str, forecaster: str = "", given: Options = NO_OPTIONS) -> Form:
        """Made cheap: the given options, overridden by those that the classes declare as ``tiny``.

        The forecaster is by default the first that fits, `CheckError` if none does.
        """
        chosen = forecaster or next(iter(fitting_forecasters(STRATEGIES[name].cls)), "")
        other = Choice(chosen, given.forecaster | _tiny(FORECASTERS[chosen].cls)) if chosen else None
        return cls(Choice(name, given.strategy | _tiny(STRATEGIES[name].cls)), other)

    def as_run(self, given: Options, dataset: str) -> Form:
        """With exactly the given options, on the run's dataset; only training is short."""
        other = self.forecaster and Choice(self.forecaster.name, given.forecaster | {"training": SHORT})
        return Form(Choice(self.strategy.name, given.strategy), other, dataset)

    def maker(self, seed: int = 0, checkpoints: Path | None = None, *, in_numpy: bool = False) -> MakeStrategy:
        """A function that builds the strategy.

        Args:
            seed: Of the run.
            checkpoints: Folder that keeps pre-trained forecasters; None trains each time.
            in_numpy: Whether it is given what `RecipeInNumpy` builds in place of its forecaster.
        """

        def make(stage: PreparedSeries) -> Strategy:
            dataset = Choice(self.dataset, {})
            run = RunSpec("check", self.strategy, self.forecaster, dataset, stage.protocol, seed, "cpu", 1, "")
            if in_numpy:
                recipe = RecipeInNumpy("numpy", ForecasterConfig(), task_of(stage), seed)
                return make_ready(run, stage, CPU, Pretrained(recipe.build(CPU)))
            return make_strategy(run, stage, CPU, checkpoints)

        return make


def tiny_maker(name: str, seed: int = 0, *, forecaster: str = "", checkpoints: Path | None = None) -> MakeStrategy:
    """A function that builds the strategy ``name``, made cheap, on a cheap forecaster that offers what it needs.

    Args:
        forecaster: By default the first that fits.
        checkpoints: Folder that keeps pre-trained forecasters from one call to the next; None trains each time.

    Raises:
        CheckError: No registered forecaster offers what the strategy needs.
    """
    return Form.tiny(name, forecaster).maker(seed, checkpoints)


def _tiny(cls: type[Any]) -> dict[str, Any]:
    return dict(getattr(cls, "tiny", {}))


def fitting_forecasters(strategy: type[Strategy]) -> list[str]:
    """Names of the forecasters that offer what a strategy needs; none for one that adapts no forecaster.

    Raises:
        CheckError: It adapts one, and no registered one fits.
    """
    if not strategy.uses_forecaster:
        return []
    fitting = [entry.name for entry in FORECASTERS if strategy.needs <= abilities(entry.cls)]
    if not fitting:
        raise CheckError(f"no registered forecaster offers {', '.join(sorted(strategy.needs))}")
    return fitting
