"""What a forecaster may do: take a seed, load weights, answer in numpy, refuse a task; what is kept of its training."""

from __future__ import annotations

import random
from itertools import product
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from bench import BenchError, Feedback, ForecasterConfig, Pairs, Strategy, Task, register_forecaster, register_strategy
from bench.contracts.config import build
from bench.contracts.forecaster import FORECASTERS, abilities
from bench.contracts.protocol import ProtocolSpec
from bench.evaluation.pretraining import Recipe, pretrain, task_of
from bench.evaluation.stream import PreparedSeries, Stream
from bench.evaluation.validation import TrainingError
from bench.results.store import TRAINING, Store
from bench.testing import CheckError, audit_strategy, check_forecaster, check_strategy, small_series, tiny_maker

from ..conftest import Bench

pytestmark = pytest.mark.usefixtures("registries")

CPU = torch.device("cpu")
QUICK = {"training": {"steps": 6, "batch": 8, "evaluations": 2}}


def staged() -> PreparedSeries:
    series = small_series()
    return PreparedSeries.of(series, ProtocolSpec(preset="online").resolve(series))


def recipe(name: str, seed: int = 0, **options: Any) -> Recipe:
    return Recipe(name, build(FORECASTERS[name].cls.Config, options or QUICK, "test"), task_of(staged()), seed)


class Level(nn.Module):
    """The last value and a constant for each target."""

    Config = ForecasterConfig
    tiny: ClassVar[dict[str, Any]] = QUICK

    def __init__(self, config: ForecasterConfig, task: Task) -> None:
        super().__init__()
        self.task = task
        self.level = nn.Parameter(torch.zeros(task.targets))

    def forward(self, windows: Tensor) -> Any:
        return windows[:, -1:, : self.task.targets].expand(-1, self.task.horizon, -1) + self.level


# A seed


def seeded_class(built: bool, fitted: bool | None, prepared: bool, seen: dict[str, Any]) -> type[Level]:
    """A class whose parts take a seed, or not."""

    class Plain(Level):
        def __init__(self, config: ForecasterConfig, task: Task) -> None:
            super().__init__(config, task)
            seen["built"] = None

    class Built(Level):
        def __init__(self, config: ForecasterConfig, task: Task, seed: int = -1) -> None:
            super().__init__(config, task)
            seen["built"] = seed

    def fit(self: Any, pairs: Pairs, validation: Pairs) -> None:
        seen["fitted"] = None

    def fit_by_seed(self: Any, pairs: Pairs, validation: Pairs, *, seed: int) -> None:
        seen["fitted"] = seed

    def prepare(self: Any, pairs: Pairs) -> None:
        seen["prepared"] = None

    def prepare_by_seed(self: Any, pairs: Pairs, seed: int = -1) -> None:
        seen["prepared"] = seed

    parts: dict[str, Any] = {"prepare": prepare_by_seed if prepared else prepare}
    if fitted is not None:
        parts["fit"] = fit_by_seed if fitted else fit
    return type("Made", (Built if built else Plain,), parts)


@pytest.mark.parametrize(
    ("built", "fitted", "prepared"), list(product([False, True], [None, False, True], [False, True]))
)
def test_a_seed_reaches_the_parts_that_take_one(built: bool, fitted: bool | None, prepared: bool) -> None:
    seen: dict[str, Any] = {}
    register_forecaster("made")(seeded_class(built, fitted, prepared, seen))
    pretrain(recipe("made", seed=17), staged(), CPU, None)
    expected = {"built": 17 if built else None}
    if fitted is None:
        expected["prepared"] = 17 if prepared else None
    else:
        expected["fitted"] = 17 if fitted else None
    assert seen == expected


def test_what_a_fit_draws_from_the_generators_that_all_share_depends_on_its_seed_alone() -> None:
    drawn: list[tuple[float, ...]] = []

    class Draws(Level):
        def fit(self, pairs: Pairs, validation: Pairs) -> None:
            drawn.append((float(torch.rand(())), float(np.random.random()), random.random()))  # noqa: NPY002

    register_forecaster("draws")(Draws)
    for seed in (3, 3, 4):
        torch.rand(7), np.random.random(5), random.random()  # noqa: NPY002
        pretrain(recipe("draws", seed=seed), staged(), CPU, None)
    assert drawn[0] == drawn[1]
    assert all(one != other for one, other in zip(drawn[0], drawn[2], strict=True))


# Weights that were trained before


class Learns(Strategy):
    """Goes on training by gradients."""

    uses_forecaster = True
    needs = frozenset({"gradients"})

    def setup(self) -> None:
        self.optimizer = torch.optim.SGD(self.forecaster.parameters(), lr=0.1)

    def adapt(self, feedback: Feedback) -> None:
        if len(feedback):
            self.optimizer.zero_grad()
            nn.functional.mse_loss(self.forecaster(feedback.x), feedback.y).backward()
            self.optimizer.step()

    def predict(self, windows: Tensor) -> Tensor:
        made: Tensor = self.forecaster(windows)
        return made.detach()


class Pretrained(Level):
    """Loads its weights from a file, and may be trained on."""

    file: ClassVar[Path]
    provides = frozenset({"gradients"})

    def fit(self, pairs: Pairs, validation: Pairs) -> None:
        self.load_state_dict(load_file(self.file))


@pytest.fixture
def pretrained(tmp_path: Path, registries: None) -> None:
    Pretrained.file = tmp_path / "weights.safetensors"
    save_file({"level": torch.tensor([1.0, 2.0, 3.0])}, Pretrained.file)
    register_forecaster("pretrained")(Pretrained)
    register_strategy("learns")(Learns)


@pytest.mark.usefixtures("pretrained")
def test_weights_that_were_loaded_are_served_and_trained_on(tmp_path: Path) -> None:
    stage = staged()
    for cache in (None, tmp_path / "cache", tmp_path / "cache"):
        assert pretrain(recipe("pretrained"), stage, CPU, cache).level.tolist() == [1.0, 2.0, 3.0]
    assert "gradients" in abilities(Pretrained)
    strategy = tiny_maker("learns", forecaster="pretrained")(stage)
    before = strategy.forecaster.level.clone()
    split = stage.series.split
    Stream(stage, strategy, CPU).run(split.train, split.validation, lambda *_: None)
    assert not torch.equal(strategy.forecaster.level, before)
    assert audit_strategy("learns", "pretrained", quick=True).status == "passed"


def test_a_fit_of_its_own_takes_gradients_away_unless_it_says_otherwise() -> None:
    class Silent(Pretrained):
        provides = frozenset()

    assert abilities(Silent) == frozenset()
    assert abilities(Pretrained) == {"gradients"}
    assert abilities(Level) == {"gradients"}


def test_gradients_that_are_promised_must_be_there() -> None:
    class Promises(Level):
        provides = frozenset({"gradients"})

        def fit(self, pairs: Pairs, validation: Pairs) -> None:
            self.requires_grad_(requires_grad=False)

    register_forecaster("promises")(Promises)
    with pytest.raises(CheckError, match="it offers gradients, and its forecasts carry none"):
        check_forecaster("promises")


class Mapped(Level):
    """Offers to be mapped over weights."""

    provides = frozenset({"functional"})


class Branches(Mapped):
    def forward(self, windows: Tensor) -> Tensor:
        made: Tensor = super().forward(windows)
        return made * (2.0 if float(self.level.detach().sum()) > 0 else 1.0)


class KeepsItsWeights(Mapped):
    def forward(self, windows: Tensor) -> Tensor:
        own = self.__dict__.setdefault("own", [self.level])[0]  # of its first call
        made: Tensor = super().forward(windows) - self.level + own
        return made


@pytest.mark.parametrize(
    ("cls", "found"),
    [
        (Mapped, ""),
        (Branches, "it offers functional, and vmap of its forecasts fails"),
        (KeepsItsWeights, "it offers functional, and vmap of its forecasts differs from a loop"),
    ],
)
def test_what_is_offered_as_functional_is_mapped_as_a_loop_does(cls: type[Any], found: str) -> None:
    register_forecaster("mapped")(cls)
    if found:
        with pytest.raises(CheckError, match=found):
            check_forecaster("mapped")
    else:
        assert "functional" in check_forecaster("mapped")[-1]


class AnyWindow(Level):
    """Offers to take windows of any length."""

    provides = frozenset({"any-window"})


class OneLength(AnyWindow):
    def forward(self, windows: Tensor) -> Tensor:
        made: Tensor = super().forward(windows)
        return made + windows.reshape(len(windows), 12, -1).sum() * 0


@pytest.mark.parametrize(
    ("cls", "found"), [(AnyWindow, ""), (OneLength, "it offers any-window, and fails on a longer one")]
)
def test_what_is_offered_for_any_window_takes_longer_ones(cls: type[Any], found: str) -> None:
    register_forecaster("long")(cls)
    if found:
        with pytest.raises(CheckError, match=found):
            check_forecaster("long")
    else:
        assert check_forecaster("long")


# Head and backbone


@pytest.mark.parametrize(
    ("head", "backbone", "held"),
    [
        (("level",), (), ""),
        (("layer",), ("level",), ""),
        (("layer.weight", "level"), ("layer.bias",), ""),
        (("layer",), (), "layer.bias, layer.weight"),
        (("lay",), ("level",), "level"),
        (("layer", "level"), ("layer.bias",), "layer.bias, layer.bias, layer.weight, level"),
    ],
)
def test_head_and_backbone_hold_every_weight_once(head: tuple[str, ...], backbone: tuple[str, ...], held: str) -> None:
    class Parts(Level):
        head_modules, backbone_modules = head, backbone

        def __init__(self, config: ForecasterConfig, task: Task) -> None:
            super().__init__(config, task)
            if head != ("level",):
                self.layer = nn.Linear(1, task.targets)

        def forward(self, windows: Tensor) -> Any:
            made = super().forward(windows)
            return made + self.layer(windows[:, -1:, :1]) if hasattr(self, "layer") else made

    register_forecaster("parts")(Parts)
    assert {"head", "backbone"} & abilities(Parts) == {"head"} | ({"backbone"} if backbone else set())
    if not held:
        assert "offers: " in check_forecaster("parts")[-1]
        return
    with pytest.raises(CheckError, match=rf"backbone_modules hold {held}; trained, each once: layer.bias"):
        check_forecaster("parts")


def test_a_loss_of_its_own_is_trained_on_and_the_mse_validates() -> None:
    class Own(Level):
        def training_loss(self, windows: Tensor, truths: Tensor) -> Tensor:
            assert windows.shape[1:] == (12, 3)
            assert truths.shape[1:] == (3, 3)
            return (self.level - 5).square().sum()

    register_forecaster("own-loss")(Own)
    training = {"steps": 60, "lr": 1.0, "evaluations": 2}
    made = pretrain(recipe("own-loss", training=training), staged(), CPU, None)
    assert made.curve.losses[0] == 75
    assert made.curve.losses[-1] < 1
    plain = staged()
    y = torch.from_numpy(plain.truths(np.arange(plain.series.split.train, plain.series.split.validation - 2))).float()
    x = torch.from_numpy(plain.windows(np.arange(plain.series.split.train, plain.series.split.validation - 2)))
    with torch.no_grad():
        assert min(made.curve.errors.values()) == pytest.approx(float((made(x) - y).square().mean()), rel=1e-4)


# Answers in numpy


class InNumpy:
    """The mean of the window, no tensor anywhere."""

    Config = ForecasterConfig

    def __init__(self, config: ForecasterConfig, task: Task) -> None:
        self.task = task

    def fit(self, pairs: Pairs, validation: Pairs) -> None:
        self.level = float(np.nanmean(np.asarray(pairs.targets)))

    def __call__(self, windows: Tensor) -> Any:
        mean = np.asarray(windows).mean(axis=1, keepdims=True)[..., : self.task.targets]
        return np.repeat(mean + self.level, self.task.horizon, axis=1)


class ModuleInNumpy(nn.Module):
    """The same, as a module."""

    Config = ForecasterConfig

    def __init__(self, config: ForecasterConfig, task: Task) -> None:
        super().__init__()
        self.task = task
        self.level: Tensor
        self.register_buffer("level", torch.zeros((), dtype=torch.float64))

    def fit(self, pairs: Pairs, validation: Pairs) -> None:
        self.level.fill_(float(np.nanmean(np.asarray(pairs.targets))))

    def forward(self, windows: Tensor) -> Any:
        mean = np.asarray(windows).mean(axis=1, keepdims=True)[..., : self.task.targets]
        return np.repeat(mean + self.level.numpy(), self.task.horizon, axis=1)


@pytest.mark.parametrize("cls", [InNumpy, ModuleInNumpy])
@pytest.mark.parametrize("strategy", ["frozen", "retrain"])
def test_a_forecaster_may_answer_in_numpy(cls: type[Any], strategy: str) -> None:
    register_forecaster("in-numpy")(cls)
    check_forecaster("in-numpy")
    audit = audit_strategy(strategy, "in-numpy", quick=True)
    assert (audit.status, audit.reason) == ("passed", "")


@pytest.mark.parametrize(
    ("takes_arrays", "begins"), [(True, "no leak on"), (False, "could not be made ready (no leak on")]
)
def test_who_needs_nothing_is_tried_on_a_function_of_arrays(takes_arrays: bool, begins: str) -> None:
    class Halves(Strategy):
        uses_forecaster = True

        def predict(self, windows: Tensor) -> Tensor:
            made = self.forecaster(windows)
            return 0.5 * (torch.as_tensor(made) if takes_arrays else made.clamp(-1, 1))

    register_strategy("halves")(Halves)
    lines = check_strategy("halves", "ridge", quick=True)
    assert [line for line in lines if "a function of numpy arrays" in line and line.startswith(begins)]


def test_the_gradient_recipe_says_that_it_needs_tensors() -> None:
    class Stops(Level):
        def forward(self, windows: Tensor) -> Any:
            return super().forward(windows).numpy(force=True)

    register_forecaster("stops")(Stops)
    with pytest.raises(TrainingError, match=r"returned a ndarray, through which no gradient passes: return a tensor"):
        pretrain(recipe("stops"), staged(), CPU, None)


# Tasks that are refused


def refuses(task: Task, error: type[Exception]) -> None:
    if task.target_index is None:
        raise error("targets must be inputs")


class InCheck(Level):
    error: ClassVar[type[Exception]]

    @classmethod
    def check_task(cls, config: Any, task: Task, device: str) -> None:
        refuses(task, cls.error)


class InInit(Level):
    error: ClassVar[type[Exception]]

    def __init__(self, config: ForecasterConfig, task: Task) -> None:
        refuses(task, self.error)
        super().__init__(config, task)


class InPrepare(Level):
    error: ClassVar[type[Exception]]

    def prepare(self, pairs: Pairs) -> None:
        refuses(self.task, self.error)


@pytest.mark.parametrize("error", [BenchError, NotImplementedError, ValueError, AssertionError, KeyError])
@pytest.mark.parametrize("where", [InCheck, InInit, InPrepare])
def test_hidden_targets_may_be_refused_whatever_is_raised(where: type[Any], error: type[Exception]) -> None:
    register_forecaster("refuses")(type("Refuses", (where,), {"error": error}))
    said = "refused" if error is BenchError else "could not be made ready"
    lines = check_forecaster("refuses")
    assert [line.startswith(said) for line in lines] == [False, True, False]
    assert "targets must be inputs" in lines[1]
    audit = audit_strategy("frozen", "refuses", quick=True)
    assert (audit.status, audit.reason) == ("passed", "")
    refused = [line for line in audit.checks if line.startswith(said)]
    assert refused
    assert all("targets must be inputs" in line for line in refused)
    assert all("targets hidden" in line or "(drawn)" in line for line in refused)


@pytest.mark.parametrize("error", [BenchError, NotImplementedError])
def test_what_is_refused_altogether_is_said(error: type[Exception]) -> None:
    class Never(Level):
        def __init__(self, config: ForecasterConfig, task: Task) -> None:
            raise error("not today")

    register_forecaster("never")(Never)
    with pytest.raises(Exception, match="not today"):
        check_forecaster("never")
    audit = audit_strategy("frozen", "never", quick=True)
    assert audit.status == ("failed" if error is BenchError else "unknown")
    assert "not today" in audit.reason


# How training went


def test_the_curve_of_a_training_is_kept_with_its_checkpoint(tmp_path: Path) -> None:
    first, second = (pretrain(recipe("dlinear"), staged(), CPU, tmp_path) for _ in range(2))
    assert len(first.curve.losses) == 6
    assert sorted(first.curve.errors) == [0, 3, 6]
    assert second.curve == first.curve
    frame = first.curve.frame()
    assert frame["step"].tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert frame["loss"].tolist()[1:] == list(first.curve.losses)
    assert frame["validation_error"].notna().tolist() == [True, False, False, True, False, False, True]
    assert first.curve.losses[-1] < first.curve.losses[0]
    assert first.validation == second.validation
    assert first.validation.forecaster == pytest.approx(min(first.curve.errors.values()), rel=1e-6)


def test_what_a_forecaster_must_beat_is_measured_on_the_same_validation_pairs(tmp_path: Path) -> None:
    stage, ridge = staged(), pretrain(recipe("ridge"), staged(), CPU, tmp_path)
    assert ridge.curve is None
    found, split, protocol = ridge.validation, stage.series.split, stage.protocol
    origins = range(split.train, split.validation - protocol.horizon + 1)
    assert found.windows == len(origins)  # all, as there are few
    assert found.forecaster == found.ridge
    season = stage.series.season
    assert season

    def error(back: int) -> float:
        rows = np.array([[s + h - back * (h // back + 1) for h in range(protocol.horizon)] for s in origins])
        truth = np.array([range(s, s + protocol.horizon) for s in origins])
        return float(np.square(stage.targets[rows] - stage.targets[truth]).mean())

    assert found.seasonal_naive == pytest.approx(error(season), rel=1e-5)
    assert found.persistence == pytest.approx(error(1), rel=1e-5)
    assert pretrain(recipe("dlinear"), staged(), CPU, None).validation.ridge == found.ridge


@pytest.mark.usefixtures("without_report")
def test_a_run_leaves_its_forecaster_s_curve(tiny: Path, bench: Bench) -> None:
    text = tiny.read_text().replace('["persistence", "rls"]', '["persistence", "frozen", "retrain"]')
    tiny.write_text(text.replace("forecasters = []", 'forecasters = ["dlinear", "ridge"]'))
    assert bench("run", tiny).status == 0
    store = Store(tiny.parent / "results" / "tiny")
    frames = {
        (r.strategy.name, r.forecaster.name if r.forecaster else ""): store.read_frame(r.run_id, TRAINING)
        for r in store.records()
    }
    for (_, forecaster), frame in frames.items():
        assert (frame is not None) == (forecaster == "dlinear")
    frozen, retrained = (frames[name, "dlinear"] for name in ("frozen", "retrain"))
    assert frozen is not None
    assert retrained is not None
    assert len(frozen) == 7
    assert frozen["validation_error"].notna().sum() == 3
    validated = {r.forecaster.name if r.forecaster else "": r.validation for r in store.records()}
    assert validated[""] is None
    assert validated["dlinear"] is not None
    assert validated["ridge"] is not None
    assert validated["dlinear"].ridge == validated["ridge"].forecaster
    assert frozen.equals(retrained)
    assert bench("results", "check").status == 0
