"""The recipe: the same bits from the same seed, the best weights kept, and a cache that knows what decides them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from bench import BenchError, DriftSeries, ForecasterConfig, Pairs, Task, register_forecaster
from bench.contracts.config import build
from bench.contracts.forecaster import FORECASTERS, Objective, TrainingConfig, abilities
from bench.contracts.protocol import ProtocolSpec
from bench.evaluation import pretraining as training
from bench.evaluation.pretraining import Recipe, pretrain, task_of, train_by_gradients
from bench.evaluation.stream import PreparedSeries
from bench.evaluation.validation import TrainingError, validation_error
from bench.results import disk
from bench.testing import small_series

from ..conftest import Write

pytestmark = pytest.mark.usefixtures("registries")

CPU = torch.device("cpu")
QUICK = {"training": {"steps": 12, "batch": 8, "evaluations": 3}}


def stage(series: DriftSeries | None = None) -> PreparedSeries:
    series = series or small_series()
    return PreparedSeries.of(series, ProtocolSpec().resolve(series))


def recipe(name: str = "dlinear", seed: int = 0, options: dict[str, Any] | None = None) -> Recipe:
    config = build(FORECASTERS[name].cls.Config, {"kernel": 3, **QUICK} if options is None else options, "test")
    return Recipe(name, config, task_of(stage()), seed)


def key(made: Recipe, series: DriftSeries | None = None) -> str:
    return made.key((series or small_series()).training_fingerprint, CPU)


def weights(forecaster: Any) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in forecaster.state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def pairs(count: int, lookback: int = 2, horizon: int = 1, rows: int | None = None) -> Pairs:
    """Pairs that are told apart by the value of their first row."""
    size = rows or count + lookback + horizon
    data = torch.arange(size, dtype=torch.float32)[:, None]
    return Pairs(data, data, torch.arange(lookback, lookback + count), lookback, horizon)


@dataclass
class Log:
    """What a spying model saw and was given as validation errors."""

    batches: list[list[int]] = field(default_factory=list)
    looks: list[int] = field(default_factory=list)


class Spy(nn.Module):
    """One weight; it keeps the windows that it was trained on."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.log = log

    def forward(self, windows: Tensor) -> Tensor:
        if self.training:
            self.log.batches.append(windows[:, 0, 0].long().tolist())
        return windows[:, -1:] * self.weight


@pytest.mark.parametrize("name", ["dlinear", "ridge"])
def test_the_same_recipe_gives_the_same_bits(name: str) -> None:
    made = recipe(name, options={} if name == "ridge" else None)
    torch.manual_seed(1)
    first = weights(pretrain(made, stage(), CPU, None))
    torch.manual_seed(2)  # the state of the global generator decides nothing
    state = torch.get_rng_state()
    second = weights(pretrain(made, stage(), CPU, None))
    assert same(first, second)
    assert torch.equal(torch.get_rng_state(), state)  # nor is it disturbed


def test_another_seed_gives_other_weights() -> None:
    one, other = (weights(pretrain(recipe(seed=seed), stage(), CPU, None)) for seed in (0, 1))
    assert not same(one, other)


def test_training_does_not_read_the_stream() -> None:
    series = small_series()
    values = series.values.copy()
    values[series.split.validation :] = np.nan
    assert same(
        weights(pretrain(recipe(), stage(), CPU, None)),
        weights(pretrain(recipe(), stage(series.with_values(values)), CPU, None)),
    )


def test_no_training_truth_is_validated_and_none_of_either_is_streamed(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    monkeypatch.setattr(training, "train_by_gradients", lambda *given: made.extend(given))
    pretrain(recipe(), stage(), CPU, None)
    _, learn, check, *_ = made
    split = small_series().split
    assert learn.origins[0] == 12
    assert learn.origins[-1] + 3 == split.train
    assert check.origins[0] == split.train
    assert check.origins[-1] + 3 == split.validation
    assert len(learn.inputs) == split.validation


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the forecasters trained while the test runs."""
    done: list[str] = []
    original = Recipe.train

    def train(self: Recipe, *args: Any) -> Any:
        done.append(self.name)
        return original(self, *args)

    monkeypatch.setattr(Recipe, "train", train)
    return done


@pytest.mark.parametrize("name", ["dlinear", "ridge", "titans"])
def test_a_cached_checkpoint_is_the_same_and_not_trained_again(name: str, tmp_path: Path, trainings: list[str]) -> None:
    options = getattr(FORECASTERS[name].cls, "tiny", {})
    made = recipe(name, options=options)
    cache = tmp_path / "cache"
    first = pretrain(made, stage(), CPU, cache)
    assert trainings == [name]
    assert [path.name for path in cache.iterdir()] == [f"{key(made)}.safetensors"]
    second = pretrain(made, stage(), CPU, cache)
    assert trainings == [name]
    assert same(weights(first), weights(second))
    assert second.recipe == made
    windows = torch.from_numpy(stage().windows(np.arange(20, 26)))
    with torch.no_grad():
        assert torch.equal(first(windows), second(windows))
    # each caller has its own copy
    for tensor in first.state_dict().values():
        tensor.zero_()
    assert not same(weights(first), weights(second))


def test_a_checkpoint_of_before_there_were_checksums_counts(tmp_path: Path, trainings: list[str]) -> None:
    first = pretrain(recipe(), stage(), CPU, tmp_path)
    (path,) = tmp_path.iterdir()
    save_file(first.state_dict(), path)
    assert same(weights(first), weights(pretrain(recipe(), stage(), CPU, tmp_path)))
    assert trainings == ["dlinear"]


def test_without_a_cache_nothing_is_written_and_all_is_trained(tmp_path: Path, trainings: list[str]) -> None:
    pretrain(recipe(), stage(), CPU, None)
    pretrain(recipe(), stage(), CPU, None)
    assert trainings == ["dlinear", "dlinear"]
    assert list(tmp_path.iterdir()) == []


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "zeros": lambda _: b"\0" * 100,
    "cut": lambda whole: whole[: len(whole) // 2],
    "a page of zeros": lambda whole: whole[:-64] + b"\0" * 64,
    "a flipped bit": lambda whole: whole[:-10] + bytes([whole[-10] ^ 1]) + whole[-9:],
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_checkpoint_is_trained_again(
    damage: Callable[[bytes], bytes], tmp_path: Path, trainings: list[str]
) -> None:
    first = pretrain(recipe(), stage(), CPU, tmp_path)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    second = pretrain(recipe(), stage(), CPU, tmp_path)
    assert trainings == ["dlinear", "dlinear"]
    assert same(weights(first), weights(second))
    third = pretrain(recipe(), stage(), CPU, tmp_path)
    assert trainings == ["dlinear", "dlinear"]
    assert same(weights(first), weights(third))
    assert list(tmp_path.iterdir()) == [path]


def test_a_checkpoint_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_off(path: Path, _: bytes) -> None:
        path.write_bytes(b"half")
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(disk, "write_durably", break_off)
        with pytest.raises(OSError, match="no space left"):
            pretrain(recipe(), stage(), CPU, tmp_path)
    assert not list(tmp_path.glob("*.safetensors"))
    pretrain(recipe(), stage(), CPU, tmp_path)
    assert len(list(tmp_path.glob("*.safetensors"))) == 1


def test_weights_may_be_shared_between_layers(tmp_path: Path) -> None:
    @register_forecaster("tied")
    class Tied(nn.Module):
        """Two maps with one weight."""

        Config = ForecasterConfig

        def __init__(self, config: ForecasterConfig, task: Task) -> None:
            super().__init__()
            self.one, self.two = (nn.Linear(task.lookback, task.horizon) for _ in range(2))
            self.two.weight = self.one.weight

        def forward(self, windows: Tensor) -> Tensor:
            rows = windows.transpose(1, 2)
            made: Tensor = self.one(rows) + self.two(rows)
            return made.transpose(1, 2)

    made = recipe("tied", options=QUICK)
    first, second = (pretrain(made, stage(), CPU, tmp_path) for _ in range(2))
    assert same(weights(first), weights(second))
    assert second.two.weight is second.one.weight


def test_the_key_is_stable_and_follows_what_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    made = recipe()
    keys = {
        "as it is": key(made),
        "options": key(recipe(options={"kernel": 5, **QUICK})),
        "training": key(recipe(options={"kernel": 3, "training": {**QUICK["training"], "lr": 1e-3}})),
        "seed": key(recipe(seed=1)),
        "task": key(replace(made, task=replace(made.task, horizon=4))),
        "targets hidden": key(replace(made, task=replace(made.task, target_index=None))),
        "data": key(made, small_series(seed=1)),
        "another forecaster": key(recipe("ridge", options={})),
    }
    with monkeypatch.context() as patch:
        patch.setattr(training, "version", lambda package: "another release")
        keys["packages"] = key(made)
    assert len(set(keys.values())) == len(keys)
    assert key(recipe()) == keys["as it is"]


def test_the_key_follows_the_forecaster_s_file(write: Write) -> None:
    from bench.contracts.discovery import load_plugins

    from ..conftest import forgetting

    text = """
    import torch
    from bench import register_forecaster

    @register_forecaster("mine")
    class Mine(torch.nn.Module):
        "Zero."

        def __init__(self, config, task):
            super().__init__()
    """
    keys = []
    for content in (text, text + "WIDTH = 1\n", text):
        with forgetting():
            load_plugins([write("mine.py", content)])
            keys.append(key(recipe("mine", options={})))
    assert keys[0] == keys[2] != keys[1]


@pytest.mark.parametrize("row", range(0, 150, 7))
def test_the_key_follows_rows_before_the_stream_and_no_others(row: int) -> None:
    series = small_series()
    values = series.values.copy()
    values[row, 1] += 1e-6
    moved = key(recipe(), series.with_values(values)) != key(recipe(), series)
    assert moved == (row < series.split.validation)


def test_a_closed_form_forecaster_does_not_depend_on_the_gradient_recipe() -> None:
    assert key(recipe("ridge", options={})) == key(recipe("ridge", options=QUICK))
    assert key(recipe("ridge", options={})) != key(recipe("ridge", options={"penalty": 2.0}))


def test_every_pair_is_shown_once_in_a_pass() -> None:
    log = Log()
    config = TrainingConfig(steps=None, epochs=3, batch=4, evaluations=1)
    train_by_gradients(Spy(log), pairs(20), pairs(5), config, seed=0)
    assert len(log.batches) == 15
    for epoch in range(3):
        shown = [window for batch in log.batches[5 * epoch : 5 * epoch + 5] for window in batch]
        assert sorted(shown) == list(range(20))
    assert log.batches[:5] != log.batches[5:10]  # in another order each time


def test_passes_are_whole_where_batches_do_not_divide_them() -> None:
    log = Log()
    train_by_gradients(Spy(log), pairs(10), pairs(5), TrainingConfig(steps=15, batch=4, evaluations=1), seed=0)
    shown = [window for batch in log.batches for window in batch]
    assert len(shown) == 60
    for start in range(0, 60, 10):
        assert sorted(shown[start : start + 10]) == list(range(10))
    assert set(Counter(shown).values()) == {6}


def test_a_batch_is_never_larger_than_there_are_pairs() -> None:
    log = Log()
    train_by_gradients(Spy(log), pairs(3), pairs(5), TrainingConfig(steps=4, batch=32, evaluations=1), seed=0)
    assert [sorted(batch) for batch in log.batches] == [[0, 1, 2]] * 4


@pytest.mark.parametrize(("steps", "epochs", "expected"), [(7, 5, 7), (None, 1, 3), (None, 4, 12)])
def test_steps_count_before_epochs(steps: int | None, epochs: int, expected: int) -> None:
    log = Log()
    config = TrainingConfig(steps=steps, epochs=epochs, batch=4, evaluations=1)
    train_by_gradients(Spy(log), pairs(10), pairs(5), config, seed=0)
    assert len(log.batches) == expected


def scripted(monkeypatch: pytest.MonkeyPatch, errors: list[float]) -> tuple[Spy, list[float]]:
    """A model whose validation errors are given, that before training first, and its weights at each look."""
    seen: list[float] = []
    model = Spy(Log())
    script: Iterator[float] = iter(errors)

    def look(model: Spy, *_: Any) -> float:
        seen.append(model.weight.item())
        return next(script)

    monkeypatch.setattr(training, "validation_error", look)
    return model, seen


def test_the_weights_that_validated_best_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    model, seen = scripted(monkeypatch, [4.0, 3.0, 1.0, 2.0, 1.5])
    train_by_gradients(model, pairs(20), pairs(5), TrainingConfig(steps=8, batch=4, evaluations=4), seed=0)
    assert len(set(seen)) == 5
    assert model.weight.item() == seen[2]
    assert not model.training
    assert len(model.log.batches) == 8  # three misses are fewer than four


def test_patience_ends_training(monkeypatch: pytest.MonkeyPatch) -> None:
    model, seen = scripted(monkeypatch, [3.0, 2.0, 1.0, 1.0, 1.0, 0.5])
    config = TrainingConfig(steps=10, batch=4, evaluations=5, patience=2)
    train_by_gradients(model, pairs(20), pairs(5), config, seed=0)
    assert len(seen) == 5
    assert len(model.log.batches) == 8
    assert model.weight.item() == seen[2]


def test_the_weights_before_the_first_step_may_be_the_best(monkeypatch: pytest.MonkeyPatch) -> None:
    model, seen = scripted(monkeypatch, [1.0, 3.0, 2.0, 1.0])
    curve = train_by_gradients(model, pairs(20), pairs(5), TrainingConfig(steps=6, batch=4, evaluations=3), seed=0)
    assert model.weight.item() == seen[0]
    assert curve.errors == {0: 1.0, 2: 3.0, 4: 2.0, 6: 1.0}


def test_training_whose_errors_are_never_finite_after_a_step_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    model, _ = scripted(monkeypatch, [1.0, math.inf, math.nan])
    with pytest.raises(TrainingError, match="training diverged"):
        train_by_gradients(model, pairs(20), pairs(5), TrainingConfig(steps=4, batch=4, evaluations=2), seed=0)


def test_a_better_look_renews_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    model, seen = scripted(monkeypatch, [5.0, 3.0, 4.0, 2.0, 4.0, 1.0])
    config = TrainingConfig(steps=10, batch=4, evaluations=5, patience=2)
    train_by_gradients(model, pairs(20), pairs(5), config, seed=0)
    assert model.weight.item() == seen[5]


def test_the_last_step_is_always_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    for evaluations in (1, 3, 7, 50):
        model, seen = scripted(monkeypatch, [1.0 / (i + 1) for i in range(60)])
        train_by_gradients(
            model, pairs(20), pairs(5), TrainingConfig(steps=7, batch=4, evaluations=evaluations), seed=0
        )
        assert len(seen) == 1 + min(evaluations, 7)
        assert model.weight.item() == seen[-1]


def test_training_learns() -> None:
    data = pairs(50)
    scaled = replace(data, inputs=data.inputs / 25 - 1, targets=data.inputs / 25 - 1)
    model = Spy(Log())
    before = validation_error(model, scaled, TrainingConfig())
    train_by_gradients(model, scaled, scaled, TrainingConfig(steps=60, batch=16, lr=0.1), seed=0)
    assert validation_error(model, scaled, TrainingConfig()) < 0.05 * before


def test_the_validation_error_is_the_mean_over_evenly_spaced_windows() -> None:
    data = pairs(101, rows=110)
    model = Spy(Log())  # forecasts zero
    truths = (data.origins.numpy() * 1.0) ** 2
    whole = validation_error(model, data, TrainingConfig(batch=8))
    assert whole == pytest.approx(truths.mean(), rel=1e-5)
    few = validation_error(model, data, TrainingConfig(validation_windows=11, batch=2))
    assert few == pytest.approx(truths[::10].mean(), rel=1e-5)
    assert math.isfinite(validation_error(model, data, TrainingConfig(validation_windows=1)))


def test_windows_and_truths_of_pairs() -> None:
    data = pairs(10, lookback=3, horizon=2)
    x, y = data.take(torch.tensor([0, 4]))
    assert x[:, :, 0].tolist() == [[0, 1, 2], [4, 5, 6]]
    assert y[:, :, 0].tolist() == [[3, 4], [7, 8]]
    assert len(data) == 10
    assert data.take(slice(2, 5))[0].shape == (3, 3, 1)


def test_a_forecaster_s_own_fit_replaces_the_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "train_by_gradients", lambda *_: pytest.fail("trained by gradients"))
    forecaster = pretrain(recipe("ridge", options={}), stage(), CPU, None)
    assert float(forecaster.weights.abs().sum()) > 0
    assert abilities(type(forecaster)) == frozenset()


def test_least_squares_without_a_penalty_may_be_singular() -> None:
    """The last value is taken off the window: its column is zero."""
    without = pretrain(recipe("ridge", options={"penalty": 0.0, "anchor": "last"}), stage(), CPU, None)
    with_little = pretrain(recipe("ridge", options={"penalty": 1e-6, "anchor": "last"}), stage(), CPU, None)
    torch.testing.assert_close(without.weights, with_little.weights, atol=1e-4, rtol=1e-4)


def test_a_forecaster_may_be_plain_numpy(tmp_path: Path) -> None:
    @register_forecaster("numpy-mean")
    class Mean:
        """The mean of the window; nothing to save."""

        Config = ForecasterConfig

        def __init__(self, config: ForecasterConfig, task: Task) -> None:
            self.task = task

        def fit(self, pairs: Pairs, validation: Pairs) -> None:
            self.fitted = len(pairs), len(validation)

        def __call__(self, windows: Tensor) -> Any:
            return windows.mean(dim=1, keepdim=True).expand(-1, self.task.horizon, -1).numpy()

    forecaster = pretrain(recipe("numpy-mean", options={}), stage(), CPU, tmp_path)
    assert forecaster.fitted == (68, 15)
    assert list(tmp_path.iterdir()) == []


def test_a_forecast_that_would_be_broadcast_is_an_error() -> None:
    @register_forecaster("held")
    class Held(torch.nn.Module):
        """One lead for all."""

        Config = ForecasterConfig

        def __init__(self, config: ForecasterConfig, task: Task) -> None:
            super().__init__()
            self.level = torch.nn.Parameter(torch.zeros(task.targets))

        def forward(self, windows: Tensor) -> Tensor:
            return self.level.expand(len(windows), 1, -1)

    with pytest.raises(TrainingError, match=r"the forecaster returned shape \(\d+, 1, \d+\), expected \(B, H, C_out\)"):
        pretrain(recipe("held", options={}), stage(), CPU, None)


def test_prepare_is_called_before_the_recipe() -> None:
    calls: list[str] = []

    @register_forecaster("prepared")
    class Prepared(Spy):
        """Says when it is called."""

        def __init__(self, config: ForecasterConfig, task: Task) -> None:
            super().__init__(Log())
            self.task = task

        def prepare(self, pairs: Pairs) -> None:
            calls.append(f"prepare {len(pairs)}")

        def forward(self, windows: Tensor) -> Tensor:
            calls.append("train" if self.training else "look")
            return windows[:, -1:].expand(-1, self.task.horizon, -1) * self.weight

    pretrain(recipe("prepared", options={"training": {"steps": 2, "evaluations": 1}}), stage(), CPU, None)
    assert calls == ["prepare 68", "look", "train", "train", "look", "look"]  # the last is kept with the run


class Choosy(Spy):
    """Brings an objective of its own: half the plain windows, pulled to 3; it validates on how near it came."""

    def objective(
        self, plain: Objective, pairs: Pairs, validation: Pairs, config: TrainingConfig, seed: int
    ) -> Objective:
        assert (len(pairs), len(validation), config.batch, seed) == (20, 5, 4, 7)
        model = self

        class Pull:
            def loss(self, windows: int) -> Tensor:
                plain.loss(windows // 2)
                return (model.weight - 3).square().sum()

            def validation_error(self) -> float:
                assert plain.validation_error() > 0
                model.log.looks.append(1)
                return abs(model.weight.item() - 3)

        return Pull()


def test_a_forecaster_may_bring_its_own_objective() -> None:
    model = Choosy(Log())
    config = TrainingConfig(steps=120, batch=4, evaluations=6, lr=0.2)
    train_by_gradients(model, pairs(20), pairs(5), config, seed=7)
    assert [len(batch) for batch in model.log.batches] == [2] * 120
    assert len(model.log.looks) == 7
    assert model.weight.item() == pytest.approx(3, abs=0.1)


@pytest.mark.parametrize("options", [{"steps": 0}, {"batch": 0}, {"lr": 0}, {"patience": 0}, {"stepz": 1}])
def test_training_settings_are_closed(options: dict[str, Any]) -> None:
    with pytest.raises(BenchError, match=r"option 'training\."):
        recipe(options={"training": options})
