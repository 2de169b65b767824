"""The recipe that pre-trains every forecaster, what trains a strategy's own parts, and the cache of checkpoints."""

from __future__ import annotations

import copy
import hashlib
import json
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.adaptation.fused_optimizer import fused_optimizer
from bench.contracts.forecaster import (
    FORECASTERS,
    Objective,
    Pairs,
    Task,
    TrainingConfig,
    check_task,
    fits_itself,
    seed_for,
)
from bench.contracts.outcomes import harness_sha
from bench.contracts.strategy import STRATEGIES, has_parts
from bench.evaluation.hidden_rows import hidden
from bench.evaluation.isolation import seeded
from bench.evaluation.stream import PreparedSeries
from bench.evaluation.validation import TrainingError, mse, validated, validation_error
from bench.results.file_lock import file_lock
from bench.results.record import Validation
from bench.results.tensors import read_tensors, write_tensors

if TYPE_CHECKING:
    import pandas as pd

CHECKPOINT_VERSION = 3
CURVE, VALIDATION = "curve", "validation"  # beside the tensors of a checkpoint


@dataclass(frozen=True)
class TrainingCurve:
    """Losses of each step of a training by gradients, and validation errors by step."""

    losses: tuple[float, ...]
    errors: dict[int, float]

    def frame(self) -> pd.DataFrame:
        """``training.parquet``: columns ``step, loss, validation_error``, NaN where not measured, from step 0 on."""
        import pandas as pd

        steps = np.arange(len(self.losses) + 1)
        looked = [self.errors.get(step, math.nan) for step in steps.tolist()]
        return pd.DataFrame({"step": steps, "loss": (math.nan, *self.losses), "validation_error": looked})

    def as_json(self) -> str:
        """For a checkpoint; `read` reads it."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, text: str) -> TrainingCurve:
        """What `as_json` wrote."""
        stored = json.loads(text)
        return cls(tuple(stored["losses"]), {int(step): error for step, error in stored["errors"].items()})


@dataclass(frozen=True)
class Recipe:
    """Everything that, with data, decides a trained forecaster. Kept on the forecaster as ``.recipe``.

    Its `TrainingCurve`, or None if it was not trained by gradients, is kept as ``.curve``, and what `validated` gives
    as ``.validation``.

    Attributes:
        name: Registered name of the forecaster.
        config: Its options, the training settings among them.
        task: The shapes that it serves.
        seed: Of initial weights and of the order of batches.
    """

    name: str
    config: Any
    task: Task
    seed: int

    @property
    def leaves_checkpoint(self) -> bool:
        """Whether the trained forecaster can be saved and loaded."""
        return hasattr(FORECASTERS[self.name].cls, "state_dict")

    def build(self, device: torch.device) -> Any:
        """An untrained forecaster: the same weights for the same recipe."""
        cls = FORECASTERS[self.name].cls
        check_task(cls, self.config, self.task, device.type)
        with seeded(self.seed):
            forecaster = cls(self.config, self.task, **seed_for(cls.__init__, self.seed))
        if isinstance(forecaster, nn.Module):
            forecaster = forecaster.to(device).eval()
        forecaster.recipe, forecaster.curve, forecaster.validation = self, None, None
        return forecaster

    def train(self, pairs: Pairs, validation: Pairs, device: torch.device) -> Any:
        """A forecaster trained from scratch."""
        return self.fit(self.build(device), pairs, validation)

    def fit(self, forecaster: Any, pairs: Pairs, validation: Pairs) -> Any:
        """A forecaster that this recipe built, trained from its present weights.

        It is trained by its own ``fit`` if it has one, otherwise by gradients.
        """
        with seeded(self.seed):
            if fits_itself(type(forecaster)):
                forecaster.fit(pairs, validation, **seed_for(forecaster.fit, self.seed))
                return forecaster
            if hasattr(forecaster, "prepare"):
                forecaster.prepare(pairs, **seed_for(forecaster.prepare, self.seed))
        forecaster.curve = train_by_gradients(forecaster, pairs, validation, self.config.training, self.seed)
        return forecaster

    def key(self, training_fingerprint: str, device: torch.device) -> str:
        """Name of the checkpoint: a hash of all that decides it, and of nothing from the stream."""
        entry = FORECASTERS[self.name]
        own_fit = fits_itself(entry.cls)
        decides = {
            "version": CHECKPOINT_VERSION,
            "forecaster": self.name,
            "code": [harness_sha(), entry.sha],
            "config": self.config.model_dump(mode="json", exclude={"training"} if own_fit else None),
            "task": asdict(self.task),
            "seed": self.seed,
            "data": training_fingerprint,
            "device": device.type,
            "packages": [version("torch"), version("titans-pytorch")],
        }
        return _hash(decides)


@dataclass(frozen=True)
class PartsRecipe:
    """Everything that, with data, decides the trained parts of a strategy (`bench.Strategy.make_parts`).

    Attributes:
        name: Registered name of the strategy.
        config: Its options, at their defaults where they decide nothing here.
        base: How its forecaster is trained, which the parts are trained for.
        forecaster: That forecaster, trained; None asks for a key only.
    """

    name: str
    config: Any
    base: Recipe
    forecaster: Any = None
    leaves_checkpoint = True

    @classmethod
    def of(cls, name: str, config: Any, base: Recipe, forecaster: Any = None) -> PartsRecipe | None:
        """None for a strategy without parts."""
        strategy = STRATEGIES[name].cls
        if not has_parts(strategy):
            return None
        fields = type(config).model_fields.items()
        unused = {field: info.get_default(call_default_factory=True) for field, info in fields}
        kept = {field: getattr(config, field) for field in strategy.pretrain_options}
        return cls(name, config.model_copy(update=unused | kept), base, forecaster)

    @property
    def task(self) -> Task:
        """The shapes that are served."""
        return self.base.task

    def build(self, device: torch.device) -> nn.Module | None:
        """Untrained parts; None where these options need none."""
        with seeded(self.base.seed):
            parts = STRATEGIES[self.name].cls.make_parts(self.config, self.task, copy.deepcopy(self.forecaster))
        return parts.to(device).eval() if parts is not None else None

    def train(self, pairs: Pairs, validation: Pairs, device: torch.device) -> nn.Module | None:
        """Trained parts."""
        if (parts := self.build(device)) is not None:
            strategy, forecaster, seed = STRATEGIES[self.name].cls, copy.deepcopy(self.forecaster), self.base.seed
            with seeded(seed):
                strategy.train_parts(parts, forecaster, pairs, validation, self.config, seed)
            parts.eval()
        return parts

    def key(self, training_fingerprint: str, device: torch.device) -> str:
        """As that of a `Recipe`."""
        entry = STRATEGIES[self.name]
        options = self.config.model_dump(mode="json", include=set(entry.cls.pretrain_options))
        return _hash([CHECKPOINT_VERSION, entry.name, entry.sha, options, self.base.key(training_fingerprint, device)])


def task_of(stage: PreparedSeries) -> Task:
    """The shapes that a forecaster must serve on a stage."""
    return Task.of(stage.series, stage.protocol)


def pretrain(recipe: Recipe | PartsRecipe, stage: PreparedSeries, device: torch.device, cache: Path | None) -> Any:
    """A forecaster, or parts, trained on the training rows and stopped on the validation rows; the caller's own copy.

    ``cache`` is the folder of checkpoints; None trains in any case.
    """
    if cache is None or not recipe.leaves_checkpoint:
        return train_blind(recipe, stage, device)
    path = checkpoint_file(cache, recipe.key(stage.series.training_fingerprint, device))
    forecaster: Any = _load(recipe, path, device)
    if forecaster is None:
        with file_lock(path.with_suffix(".lock"), cache.parent):  # one process trains it, and the others wait
            forecaster = _load(recipe, path, device)
            if forecaster is None:
                forecaster = trained = train_blind(recipe, stage, device)
                if trained is not None:
                    notes = {CURVE: getattr(trained, "curve", None), VALIDATION: getattr(trained, "validation", None)}
                    texts = {name: note.as_json() for name, note in notes.items() if note}
                    write_tensors(path, trained.state_dict(), texts)
    return forecaster


def checkpoint_file(cache: Path, name: str) -> Path:
    """Path of a checkpoint."""
    return cache / f"{name}.safetensors"


def train_blind(recipe: Recipe | PartsRecipe, stage: PreparedSeries, device: torch.device, seed: int = 0) -> Any:
    """A forecaster, or parts, trained on copies of the rows before the stream, while those of the stream are hidden.

    ``seed`` draws the values that replace them, and has no effect on what is trained.
    """
    split, task = stage.series.split, recipe.task
    inputs, targets = (
        torch.from_numpy(rows[: split.validation].copy()).to(device) for rows in (stage.inputs, stage.targets)
    )

    def pairs(start: int, end: int) -> Pairs:
        origins = torch.arange(start, end - task.horizon + 1, device=device)
        return Pairs(inputs, targets, origins, task.lookback, task.horizon)

    with hidden(stage, split.validation, seed):
        training, validation = pairs(task.lookback, split.train), pairs(split.train, split.validation)
        forecaster: Any = recipe.train(training, validation, device)
        if isinstance(recipe, Recipe):
            forecaster.validation = validated(forecaster, training, validation, stage.series.season)
    return forecaster


def _load(recipe: Recipe | PartsRecipe, path: Path, device: torch.device) -> Any | None:
    """What a checkpoint holds; None if there is none, or it is damaged, for example by a power cut."""
    try:
        tensors, notes = read_tensors(path)
    except FileNotFoundError:
        return None
    if tensors is None:
        return None
    if (forecaster := recipe.build(device)) is not None:
        forecaster.load_state_dict(tensors)
        if CURVE in notes:
            forecaster.curve = TrainingCurve.read(notes[CURVE])
        if VALIDATION in notes:
            forecaster.validation = Validation.model_validate_json(notes[VALIDATION])
    return forecaster


def train_by_gradients(
    model: nn.Module, pairs: Pairs, validation: Pairs, config: TrainingConfig, seed: int
) -> TrainingCurve:
    """AdamW on the MSE of shuffled windows, or on the model's own objective; keeps the weights that validated best.

    The weights before the first step count too: what a model solved in closed form may be the best that there is.

    Args:
        model: Trained in place, left in ``eval()``.
        validation: At most ``config.validation_windows`` of them, evenly spaced, are used.
        seed: Of the order of batches, and of whatever the model draws while it trains.

    Raises:
        TrainingError: The validation error was never finite after a step.
    """
    total = config.steps or config.epochs * math.ceil(len(pairs) / config.batch)
    learning = [p for p in model.parameters() if p.requires_grad]
    optimizer = fused_optimizer("adamw", learning, lr=config.lr, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _learning_rate(step, total))
    looks = {round(total * (i + 1) / config.evaluations) for i in range(config.evaluations)}
    best_error, best_weights, misses = math.inf, copy.deepcopy(model.state_dict()), 0
    losses, latest, errors = list[float](), list[Tensor](), dict[int, float]()
    objective: Objective = RandomWindows(model, pairs, validation, config, seed)
    if callable(choose := getattr(model, "objective", None)):
        objective = choose(objective, pairs, validation, config, seed)
    with seeded(seed):
        error = objective.validation_error()
        errors[0] = best_error = error if math.isfinite(error) else math.inf
        for step in range(1, total + 1):
            model.train()
            loss = objective.loss(config.batch)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), config.clip)
            optimizer.step()
            schedule.step()
            latest.append(loss.detach().reshape(()))
            if step in looks:
                losses += torch.stack(latest).tolist()  # waits for an accelerator here, not at each step
                latest.clear()
                error = errors[step] = objective.validation_error()
                if error < best_error:
                    best_error, best_weights, misses = error, copy.deepcopy(model.state_dict()), 0
                else:
                    misses += 1
                if misses == config.patience:
                    break
    if not any(math.isfinite(error) for step, error in errors.items() if step):
        raise TrainingError("training diverged: no validation error was finite. Try a smaller lr or clip.")
    model.load_state_dict(best_weights)
    model.eval()
    return TrainingCurve(tuple(losses), errors)


class RandomWindows:
    """The plain `Objective`: windows in shuffled order, each once in every pass."""

    def __init__(self, model: nn.Module, pairs: Pairs, validation: Pairs, config: TrainingConfig, seed: int) -> None:
        self.model, self.pairs, self.validation, self.config = model, pairs, validation, config
        self._rng = np.random.default_rng(seed)
        self._order = np.empty(0, dtype=np.int64)

    def loss(self, windows: int) -> Tensor:
        """MSE of the next ``windows`` windows, or of all if there are fewer; or the model's own ``training_loss``."""
        size = min(windows, len(self.pairs))
        while len(self._order) < size:
            self._order = np.concatenate([self._order, self._rng.permutation(len(self.pairs))])
        chosen, self._order = self._order[:size], self._order[size:]
        x, y = self.pairs.take(torch.from_numpy(chosen).to(self.pairs.origins.device))
        own: Callable[[Tensor, Tensor], Tensor] | None = getattr(self.model, "training_loss", None)
        return own(x, y) if own else mse(self.model(x), y)

    def validation_error(self) -> float:
        """MSE over evenly spaced validation windows."""
        return validation_error(self.model, self.validation, self.config)


def _hash(decides: object) -> str:
    return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:32]


def _learning_rate(step: int, total: int) -> float:
    """Factor on the peak rate: a linear rise over a tenth of the steps, then a cosine down to zero."""
    warmup = max(1, total // 10)
    if step < warmup:
        return (step + 1) / warmup
    return 0.5 * (1 + math.cos(math.pi * (step - warmup) / max(1, total - warmup)))
