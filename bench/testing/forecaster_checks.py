"""Checks of forecasters, and the leak canary of their training: the stream's rows must not change the weights."""

from __future__ import annotations

import copy
import hashlib
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call, grad, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._pytree import tree_leaves, tree_map

from bench.contracts.errors import words_of
from bench.contracts.forecaster import FORECASTERS, PARTS, abilities, parameters_of
from bench.contracts.protocol import ProtocolSpec
from bench.evaluation.pretraining import PartsRecipe, Recipe, pretrain, task_of, train_blind
from bench.evaluation.run_spec import Choice, forecaster_config
from bench.evaluation.stream import PreparedSeries, plain_array
from bench.testing.canary import DISTURBANCES, changed_from
from bench.testing.findings import CheckError, Findings, LeakError, NondeterministicError, becoming_ready, require
from bench.testing.replay import CPU
from bench.testing.tiny import small_series

CHECKED = "shape, determinism, independence of the batch, weights that survive saving, no leak in training"


def check_forecaster(name: str) -> list[str]:
    """Check shapes, determinism, independence of the batch, and weights: saved exactly, trained without the stream.

    Returns:
        What was checked, a line each.

    Raises:
        CheckError: The forecaster broke its contract.
    """
    found = Findings()
    for hidden in (False, True):
        with found.during(f"{targets(hidden)}: {CHECKED}"):
            recipe, stage = small_task(Choice(name, getattr(FORECASTERS[name].cls, "tiny", {})), hidden)
            _check_forecasts(recipe, stage)
            training_is_blind(recipe, stage)
    found.require_some()
    offers = f"offers: {', '.join(sorted(abilities(FORECASTERS[name].cls))) or 'nothing but forecasts'}"
    return [*found.lines, *found.refused, offers]


def _check_forecasts(recipe: Recipe, stage: PreparedSeries) -> None:
    """Train a forecaster three times, and compare what it forecasts."""
    # the third is read from the checkpoint of the second
    with tempfile.TemporaryDirectory() as folder, becoming_ready():
        first, second, restored = (pretrain(recipe, stage, CPU, c) for c in (None, Path(folder), Path(folder)))
    windows = torch.from_numpy(stage.windows(np.arange(20, 26)))
    before = windows.clone()
    with torch.no_grad():
        out, again, alone, kept = (
            plain_array(forecaster(given))
            for forecaster, given in ((first, windows), (second, windows), (first, windows[:1]), (restored, windows))
        )
    expected = (6, recipe.task.horizon, recipe.task.targets)
    require(out.shape == expected, f"a forecast has shape {out.shape}, expected (B, H, C_out) = {expected}")
    require(bool(np.isfinite(out).all()), "a forecast is not finite")
    require(torch.equal(windows, before), "it changed the windows that it was given")
    require(np.array_equal(out, again), "two trainings from the same seed differ")
    require(np.array_equal(out, kept), "a forecaster read back from its checkpoint forecasts otherwise")
    require(np.allclose(out[:1], alone, atol=1e-4, rtol=1e-4), "a forecast depends on the other windows of its batch")
    _check_parts(first)
    if "functional" in abilities(type(first)):
        _check_functional(first, windows[:3])
    if "any-window" in abilities(type(first)):
        _check_any_window(first, windows, expected)
    if "gradients" in abilities(type(first)):
        made = first(windows)
        require(isinstance(made, Tensor) and made.requires_grad, "it offers gradients, and its forecasts carry none")


def _check_functional(forecaster: Any, windows: Tensor) -> None:
    """Forecasts, and gradients, for weights of each window's own: all at once, and in a loop that sets the weights."""
    by_name = {name: weight.detach() for name, weight in forecaster.named_parameters() if weight.requires_grad}
    steps = torch.arange(1, len(windows) + 1).to(windows) / 10
    stacked = {name: torch.stack([weight * (1 - step) for step in steps]) for name, weight in by_name.items()}

    def forecast(weights: dict[str, Tensor], window: Tensor) -> Tensor:
        made: Tensor = functional_call(forecaster, weights, (window[None],))[0]
        return made

    def slope(weights: dict[str, Tensor], window: Tensor) -> dict[str, Tensor]:
        found: dict[str, Tensor] = grad(lambda given: forecast(given, window).square().mean())(weights)
        return found

    def forecast_as_set(weights: dict[str, Tensor], window: Tensor) -> Tensor:
        other = copy.deepcopy(forecaster)
        other.load_state_dict(weights, strict=False)
        made: Tensor = other(window[None])[0].detach()
        return made

    for what, function, one in (("forecasts", forecast, forecast_as_set), ("gradients", slope, slope)):
        try:
            with sdpa_kernel(SDPBackend.MATH):  # torch cannot map its fused attention on a CPU
                together = vmap(function)(stacked, windows)
        except Exception as error:  # torch raises many kinds of errors where it cannot map an operation
            raise CheckError(f"it offers functional, and vmap of its {what} fails: {words_of(error)}") from error
        own = [{name: weights[i] for name, weights in stacked.items()} for i in range(len(windows))]
        alone = [one(weights, window) for weights, window in zip(own, windows, strict=True)]
        close = tree_map(lambda whole, *parts: torch.allclose(whole, torch.stack(parts), 1e-4, 1e-5), together, *alone)
        require(all(tree_leaves(close)), f"it offers functional, and vmap of its {what} differs from a loop")


def _check_any_window(forecaster: Any, windows: Tensor, expected: tuple[int, ...]) -> None:
    """Windows of other lengths, one row longer and twice as long."""
    for longer in (torch.cat([windows[:, :1], windows], dim=1), torch.cat([windows, windows], dim=1)):
        try:
            with torch.no_grad():
                shape = plain_array(forecaster(longer)).shape
        except Exception as error:  # a plug-in may raise anything
            raise CheckError(f"it offers any-window, and fails on a longer one: {words_of(error)}") from error
        require(shape == expected, f"it offers any-window, and forecasts {shape} from a longer one, not {expected}")


def _check_parts(forecaster: Any) -> None:
    """A forecaster that names its head or its backbone divides all weights that are trained between the two."""
    if not {"head", "backbone"} & abilities(type(forecaster)):
        return
    trained = sorted(name for name, weight in forecaster.named_parameters() if weight.requires_grad)
    held = sorted(name for part in PARTS for name in parameters_of(forecaster, part))
    named = "head_modules and backbone_modules"
    require(held == trained, f"{named} hold {', '.join(held) or 'nothing'}; trained, each once: {', '.join(trained)}")


def parts_are_blind(name: str, config: Any, recipe: Recipe, stage: PreparedSeries) -> None:
    """`training_is_blind` for the parts of a strategy, if it has any.

    Args:
        name: The strategy's.
        config: Its options.
        recipe: Its forecaster's.
        stage: As in `training_is_blind`.
    """
    with becoming_ready():
        own = PartsRecipe.of(name, config, recipe, train_blind(recipe, stage, CPU))
    if own is not None:
        training_is_blind(own, stage)


def training_is_blind(recipe: Recipe | PartsRecipe, stage: PreparedSeries) -> None:
    """Prove, by training three times, that no row of the stream affects the weights.

    Args:
        recipe: Of a forecaster, or of a strategy's parts.
        stage: A small one; its series is changed in place meanwhile, and restored.

    Raises:
        NondeterministicError: Two equal trainings give other weights, or other forecasts.
        LeakError: Other rows of the stream do.
    """
    forecasting = stage if isinstance(recipe, Recipe) else None
    with becoming_ready():
        first, second = (_digest(train_blind(recipe, stage, CPU), forecasting) for _ in range(2))
    if first != second:
        raise NondeterministicError(
            "not deterministic: two trainings from the same seed and rows differ. Draw from the seed that is passed to "
            "the class or to fit, or from torch's generator, which is seeded."
        )
    series = stage.series
    with changed_from(series, series.split.validation, DISTURBANCES[0].change) as other:
        elsewhere = _digest(train_blind(recipe, PreparedSeries.of(other, stage.protocol), CPU, seed=1), forecasting)
    if first != elsewhere:
        raise LeakError(
            "leaks: trained where other rows of the stream lay, its weights are others. It was handed none of them: it "
            "reached past its pairs (frames of its callers, the garbage collector, memory behind a view)."
        )


def _digest(trained: Any, stage: PreparedSeries | None) -> bytes:
    """Hash of weights, and of a forecaster's forecasts before the stream; None for what is no forecaster."""
    digest = hashlib.sha256()
    for name, tensor in sorted(getattr(trained, "state_dict", dict)().items()):
        digest.update(name.encode() + plain_array(tensor).tobytes())
    if stage is not None:
        first = stage.protocol.lookback
        windows = stage.windows_at(np.arange(first, first + 6))
        with torch.no_grad():
            digest.update(plain_array(trained(windows)).tobytes())
    return digest.digest()


def small_task(forecaster: Choice, hidden: bool) -> tuple[Recipe, PreparedSeries]:
    """A forecaster with some options, and what it is trained on."""
    series = small_series(hidden_targets=hidden, seed=None)
    stage = PreparedSeries.of(series, ProtocolSpec(preset="online").resolve(series))
    return Recipe(forecaster.name, forecaster_config(forecaster), task_of(stage), 0), stage


def targets(hidden: bool) -> str:
    """Where the targets are, for a line of findings."""
    return f"targets {'hidden' if hidden else 'among the inputs'}"
