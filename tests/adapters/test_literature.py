"""What holds for every strategy of the literature, and the update of each by hand on a tiny case."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bench import DriftSeries, Feedback, PartialLabels, Protocol, Split
from bench.adaptation.drift_detectors import detector
from bench.adaptation.online_optimizer import KEPT_EVERY, OnlineConfig, OnlineOptimizer
from bench.adaptation.replay_buffers import ReplayBuffer, most_interfered
from bench.contracts.config import build
from bench.contracts.discovery import load_plugins
from bench.contracts.forecaster import FORECASTERS, Task
from bench.contracts.strategy import STRATEGIES, StrategyContext
from bench.evaluation.profiling.footprint import ParameterCount, state_bytes
from bench.evaluation.stream import PreparedSeries, Stream
from bench.forecasters.fsnet_tcn import ControlledConv
from bench.results.record import Parameters

torch.set_num_threads(1)
load_plugins()

CPU = torch.device("cpu")
NAMES = [entry.name for entry in STRATEGIES if entry.cls.group == "literature"]
L, H, C = 8, 2, 2
TRAIN, VALIDATION = 60, 80

OFF: dict[str, dict[str, Any]] = {name: {"online_lr": 0} for name in NAMES} | {
    "norm-stats": {"rate": 0},
    "hedge": {"experts": ["frozen"]},
    "elf": {"warmup": "none"},
    "dsof": {"online_lr": 0, "student_lr": 0, "fast_lr": 0},
    "onenet": {"online_lr": 0, "branch": "none"},
    "proceed": {"online_lr": 0, "generator": False},
}
"""Options with which a strategy is `frozen`."""

FAST: dict[str, dict[str, Any]] = {name: {"online_lr": 0.02} for name in NAMES} | {
    "norm-stats": {"rate": 0.1},
    "solid": {"online_lr": 1e-3},
    "hedge": {"experts": ["persistence", "seasonal-naive", "frozen"]},
    "elf": {"every": 10, "rate": 10},
    "fac": {"online_lr": 0.1},
    "cosa": {"online_lr": 0.05, "batch": 8},
    "orca": {"online_lr": 0.02, "buffer": 40, "batch": 16, "warm_up": 0},
    "dsof": {"online_lr": 0.02, "student_lr": 0.01, "fast_lr": 0.01},
    "onenet": {"online_lr": 0.02, "mix_lr": 0.02, "branch": "nlinear"},
}
"""Options for streams of some hundred rows."""

FIXED = {"orca", "cosa", "dynatta", "elf", "fac", "hedge", "norm-affine", "norm-stats", "petsa", "solid", "tafas"}
"""Who leaves the forecaster as it was trained."""

WITHOUT_GRADIENTS = {"elf", "hedge", "norm-stats"}
"""Who trains no parameter."""


class Decay(nn.Module):
    """Each channel decays to 0 from its last value, as the training rows do; a forecaster that is all head."""

    head_modules = ("map",)

    def __init__(self, keeps: float = 0.6) -> None:
        super().__init__()
        self.map = nn.Linear(L, H)
        self.recipe = SimpleNamespace(config=SimpleNamespace(training=SimpleNamespace(lr=1e-3)))
        with torch.no_grad():
            self.map.weight.zero_()
            self.map.bias.zero_()
            self.map.weight[:, -1] = torch.tensor([keeps ** (h + 1) for h in range(H)])

    def forward(self, windows: Tensor) -> Tensor:
        out: Tensor = self.map(windows.transpose(1, 2))
        return out.transpose(1, 2)


class ControlledDecay(nn.Module):
    """The same as a convolution over columns, whose multipliers are 1 until controllers learn."""

    def __init__(self, keeps: float = 0.6) -> None:
        super().__init__()
        self.map, plain = ControlledConv(L, H, 1, control=3, slots=4), Decay(keeps)
        self.recipe = plain.recipe
        with torch.no_grad():
            self.map.weight.copy_(plain.map.weight[..., None])
            assert self.map.bias is not None
            self.map.bias.zero_()
            for layer in (self.map.of_weights, self.map.of_outputs):
                layer.weight.zero_()

    def forward(self, windows: Tensor) -> Tensor:
        out: Tensor = self.map(windows)
        return out

    def controlled(self) -> list[ControlledConv]:
        return [self.map]


def model_of(name: str, keeps: float = 0.6) -> nn.Module:
    """What a strategy is tested on."""
    return ControlledDecay(keeps) if name == "fsnet" else Decay(keeps)


def series(values: NDArray[np.float64]) -> DriftSeries:
    names = tuple("abcdefg"[: values.shape[1]])
    split = Split(TRAIN, VALIDATION, len(values))
    return DriftSeries("made", values, names, np.arange(len(values)), split, names, names, season=6)


def decaying(rows: int, level_after: float) -> NDArray[np.float64]:
    """An autoregression around 0, and around another level from the stream's start on."""
    rng, values = np.random.default_rng(0), np.zeros((rows, C))
    for t in range(1, rows):
        values[t] = 0.6 * values[t - 1] + 0.3 * rng.standard_normal(C)
    values[VALIDATION:] += level_after
    return values


@dataclass(frozen=True)
class Service:
    """What a strategy left."""

    strategy: Any
    forecasts: NDArray[np.float32]
    mse: float
    moved: Parameters | None


def serve(
    name: str, values: NDArray[np.float64], forecaster: Any = None, *, tiny: bool = True, end: int = 0, **options: Any
) -> Service:
    cls = STRATEGIES[name].cls
    config = build(cls.Config, (dict(cls.tiny) if tiny else {}) | options, name)
    protocol = Protocol(lookback=L, horizon=H, stride=1, warm_start=False)
    stage = PreparedSeries.of(series(values), protocol)
    own = copy.deepcopy(model_of(name) if forecaster is None else forecaster)
    torch.manual_seed(0)
    parts = cls.make_parts(config, Task(L, H, C, C, (0, 1)), own)
    context = StrategyContext(config, own, stage.history(CPU), protocol, np.random.default_rng(0), CPU, parts)
    stream, made, errors = Stream(stage, cls(context), CPU), [], []
    count = ParameterCount(stream.strategy)

    def score(origins: NDArray[np.int64], forecasts: NDArray[np.float32]) -> None:
        made.append(forecasts)
        errors.append((forecasts - stage.truths(origins)) ** 2)

    stream.run(VALIDATION, end or len(values), score)
    mse = float(np.concatenate(errors).mean())
    return Service(stream.strategy, np.concatenate(made), mse, count.now(stream.strategy))


BASES: dict[str, Any] = {  # where the forecaster's own forecasts stand among what waits for its truth
    "fac": lambda made: made,
    "cosa": lambda made: made[:, :H],
    "orca": lambda made: made[:, -H:],
    "elf": lambda made: made[:, 0],
    "hedge": lambda made: made[:, 2],
}


@pytest.mark.parametrize(("stride", "block"), [(1, 1), (1, 5), (2, 3), (3, 1)])
@pytest.mark.parametrize("name", BASES)
def test_what_waits_for_its_truth_meets_it(name: str, stride: int, block: int) -> None:
    """Also after the warm start, behind which origins are left out whose truth would reach into the stream."""
    cls, values = STRATEGIES[name].cls, decaying(140, 1.0)
    protocol = Protocol(lookback=L, horizon=H, stride=stride, block=block, warm_start=True)
    stage = PreparedSeries.of(series(values), protocol)
    config = build(cls.Config, dict(cls.tiny), name)
    context = StrategyContext(config, Decay(), stage.history(CPU), protocol, np.random.default_rng(0), CPU)
    stream = Stream(stage, cls(context), CPU)
    strategy: Any = stream.strategy
    plain, met = strategy.waiting.matured, list[int]()

    def matured(feedback: Feedback) -> Any:
        made, found = plain(feedback)
        for forecast, i in zip(made, found, strict=True):
            torch.testing.assert_close(BASES[name](forecast[None])[0], strategy.forecaster(feedback.x[i : i + 1])[0])
            met.append(int(feedback.origins[i]))
        return made, found

    strategy.waiting.matured = matured
    stream.run(TRAIN, VALIDATION, lambda *_: None)
    stream.run(VALIDATION, len(values), lambda *_: None)
    assert sum(origin >= VALIDATION for origin in met) > 10


# Every strategy


@pytest.mark.parametrize("name", NAMES)
def test_switched_off_it_is_frozen_to_the_bit(name: str) -> None:
    values = decaying(140, 3.0)
    frozen = serve("frozen", values, model_of(name)).forecasts
    np.testing.assert_array_equal(serve(name, values, **OFF[name]).forecasts, frozen)


@pytest.mark.parametrize("name", NAMES)
def test_it_helps_where_the_level_moves(name: str) -> None:
    values = decaying(400, 3.0)
    assert serve(name, values, tiny=False, **FAST[name]).mse < 0.8 * serve("frozen", values).mse


@pytest.mark.parametrize("name", NAMES)
def test_it_changes_nothing_where_nothing_is_missed(name: str) -> None:
    """The last value goes on, and the forecaster says so."""
    values = decaying(200, 0.0)
    values[VALIDATION - L - H :] = 0.5
    before = serve("frozen", values, model_of(name, 1.0)).forecasts
    np.testing.assert_allclose(serve(name, values, model_of(name, 1.0), **FAST[name]).forecasts, before, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_stuck_sensor_makes_no_nan(name: str) -> None:
    """On a forecaster that divides by each window's deviation, too."""
    values = decaying(240, 1.0)
    values[VALIDATION:200, 0] = values[VALIDATION, 0]
    entry = FORECASTERS["tcn"]
    torch.manual_seed(0)
    tcn = entry.cls(build(entry.cls.Config, entry.cls.tiny, "tcn"), Task(L, H, C, C, (0, 1))).eval()
    tcn.recipe = Decay().recipe
    for forecaster in (model_of(name), *([] if name == "fsnet" else [tcn])):
        made = serve(name, values, forecaster, **FAST[name]).forecasts
        assert np.abs(made).max() < 100


def moving(rows: int) -> NDArray[np.float64]:
    """Another level from the stream's start on, and again another one 40 rows later, which a detector sees."""
    values = decaying(rows, 1.0)
    values[VALIDATION + 40 :] += 3.0
    return values


@pytest.mark.parametrize("name", NAMES)
def test_its_state_does_not_grow(name: str) -> None:
    values = moving(VALIDATION + 4 * KEPT_EVERY)
    sizes = {state_bytes(serve(name, values, end=end).strategy) for end in (VALIDATION + 2 * KEPT_EVERY, len(values))}
    assert len(sizes) == 1


@pytest.mark.parametrize("name", NAMES)
def test_what_it_moved_is_counted(name: str) -> None:
    served = serve(name, moving(160), **FAST[name])
    assert served.moved is not None
    assert (served.moved.trainable == 0) == (name in WITHOUT_GRADIENTS)
    assert (served.moved.updated == 0) == (name in {"solid", *WITHOUT_GRADIENTS})
    untouched = model_of(name).state_dict()
    if name in FIXED:
        after = served.strategy.forecaster.state_dict()
        assert all(torch.equal(value, after[key]) for key, value in untouched.items())


# Updates by hand


def made(name: str, forecaster: Any = None, **options: Any) -> Any:
    """A strategy in service, before its first block."""
    return serve(name, decaying(140, 0.0), forecaster, end=VALIDATION + H, **options).strategy


def pairs(count: int, seed: int, first: int = 200) -> Feedback:
    generator = torch.Generator().manual_seed(seed)
    x, y, issued = (torch.randn(count, rows, C, generator=generator) for rows in (L, H, H))
    return Feedback(x, y, np.arange(first, first + count), present=x[-1] if count else None, issued=issued)


def slope(model: Decay, x: Tensor, y: Tensor, rows: Tensor | None = None) -> Tensor:
    """Gradient ``(H, L)`` of the mean squared error with respect to the map's weights."""
    miss = model(x) - y
    if rows is not None:
        miss = miss * rows[..., None]
    count = miss.numel() if rows is None else rows.sum() * C
    return (2 * torch.einsum("phc,plc->hl", miss, x) / count).detach()


def test_online_gradient_descent_takes_the_step_of_the_mean_squared_error() -> None:
    strategy, new = made("ogd", optimizer="sgd", online_lr=0.1), pairs(3, 0)
    model = copy.deepcopy(strategy.forecaster)
    strategy.adapt(new)
    torch.testing.assert_close(strategy.forecaster.map.weight, model.map.weight - 0.1 * slope(model, new.x, new.y))


def test_partial_labels_count_as_far_as_they_are_known() -> None:
    young = pairs(1, 1)
    known = torch.tensor([[True, False]])
    for partial, expected in ((True, True), (False, False)):
        strategy = made("ogd", optimizer="sgd", online_lr=0.1, partial=partial)
        model = copy.deepcopy(strategy.forecaster)
        strategy.adapt(replace(pairs(0, 0), partial=PartialLabels(young.x, young.y, known, young.origins)))
        moved = model.map.weight - 0.1 * slope(model, young.x, young.y, known) if expected else model.map.weight
        torch.testing.assert_close(strategy.forecaster.map.weight, moved)


def test_a_head_alone_may_learn() -> None:
    entry = FORECASTERS["tcn"]
    tcn = entry.cls(build(entry.cls.Config, entry.cls.tiny, "tcn"), Task(L, H, C, C, (0, 1))).eval()
    strategy = made("ogd", tcn, trains="head", online_lr=0.1)
    before = copy.deepcopy(strategy.forecaster.state_dict())
    strategy.adapt(pairs(2, 0))
    moved = {name for name, value in strategy.forecaster.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {"head.0.weight", "head.0.bias"}


@pytest.mark.parametrize("name", ["er", "der-pp"])
def test_replay_adds_earlier_pairs_and_their_forecasts(name: str) -> None:
    strategy, old, new = made(name, optimizer="sgd", online_lr=0.1), pairs(1, 0), pairs(1, 1, 201)
    strategy.buffer = ReplayBuffer("reservoir", 10, strategy.rng)
    strategy.adapt(old)  # enters after the step
    model = copy.deepcopy(strategy.forecaster)
    strategy.adapt(new)
    step = slope(model, new.x, new.y) + 0.2 * slope(model, old.x, old.y)
    if name == "der-pp":
        assert old.issued is not None
        step = step + 0.2 * slope(model, old.x, old.issued)
    torch.testing.assert_close(strategy.forecaster.map.weight, model.map.weight - 0.1 * step)


def test_the_slow_stream_learns_from_its_buffer_alone() -> None:
    strategy = made("dsof-slow", optimizer="sgd", online_lr=0.1, least=3)
    strategy.buffer = ReplayBuffer("fifo", 10, strategy.rng)
    model, new = copy.deepcopy(strategy.forecaster), pairs(3, 0)
    for i in range(3):
        torch.testing.assert_close(strategy.forecaster.map.weight, model.map.weight)
        strategy.adapt(Feedback(new.x[i : i + 1], new.y[i : i + 1], new.origins[i : i + 1]))
    torch.testing.assert_close(strategy.forecaster.map.weight, model.map.weight - 0.1 * slope(model, new.x, new.y))


def test_the_pairs_that_a_step_would_harm_most_are_replayed() -> None:
    """A step towards a higher forecast harms the pair whose truth is low, and leaves no trace."""
    model = Decay()
    before = copy.deepcopy(model.state_dict())
    x, high = torch.ones(3, L, C), torch.full((1, H, C), 5.0)
    truths = torch.stack([torch.full((H, C), value) for value in (4.0, -4.0, 1.0)])
    chosen = most_interfered(
        list(model.parameters()), (model(x[:1]) - high).square().mean(), 0.01,
        lambda: (model(x) - truths).square().mean(dim=(1, 2)), 2,
    )  # fmt: skip
    assert chosen.tolist() == [1, 2]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_buffers() -> None:
    rows = torch.arange(1000.0)[:, None]
    latest = ReplayBuffer("fifo", 7, np.random.default_rng(0))
    latest.add(rows)
    assert sorted(latest.take(torch.arange(7))[0].flatten().tolist()) == list(range(993, 1000))
    assert len(set(latest.draw(5)[0].flatten().tolist())) == 5
    means = []
    for seed in range(40):
        reservoir = ReplayBuffer("reservoir", 50, np.random.default_rng(seed))
        reservoir.add(rows)
        means.append(float(reservoir.take(torch.arange(50))[0].mean()))
    assert abs(np.mean(means) - 499.5) < 4 * 289 / (50 * 40) ** 0.5  # uniform over all that were seen


def test_context_is_near_and_in_phase_and_the_head_is_restored() -> None:
    strategy = made("solid", online_lr=0.1, pairs=100, nearest=1, phase=0.2)  # the season has 6 rows: 0 or 1 before
    trained = copy.deepcopy(strategy.forecaster)
    strategy.recent = ReplayBuffer("fifo", 100, strategy.rng)
    old = pairs(12, 0, first=240)
    old.x[:] = torch.arange(12.0)[:, None, None]
    strategy.adapt(old)
    strategy.origin = 302  # phase 2, so that origins of phases 1 and 2 qualify: places 1, 2, 7 and 8
    window = torch.full((1, L, C), 4.9)
    made_now = strategy.predict(window)
    stepped = copy.deepcopy(trained)
    miss = (trained(old.x[7:8]) - old.y[7:8]).detach()
    with torch.no_grad():
        stepped.map.weight -= 0.1 * slope(trained, old.x[7:8], old.y[7:8])
        stepped.map.bias -= 0.1 * 2 * miss.sum(dim=(0, 2)) / miss.numel()
    torch.testing.assert_close(made_now, stepped(window).detach())
    for name, value in strategy.forecaster.state_dict().items():
        assert torch.equal(value, trained.state_dict()[name])


def test_solid_plus_keeps_its_step() -> None:
    strategy, new = made("solid-pp", optimizer="sgd", online_lr=0.1, phase=1.0, pairs=50, nearest=50), pairs(2, 0)
    strategy.recent = ReplayBuffer("fifo", 50, strategy.rng)
    model = copy.deepcopy(strategy.forecaster)
    strategy.adapt(new)
    torch.testing.assert_close(strategy.forecaster.map.weight, model.map.weight - 0.1 * slope(model, new.x, new.y))


def test_statistics_are_exponential_means() -> None:
    strategy = made("norm-stats", rate=0.25)
    rows = torch.randn(30, C, generator=torch.Generator().manual_seed(0))
    strategy.mean, strategy.variance = torch.zeros(C), torch.ones(C)
    mean, square = np.zeros(C), np.ones(C)
    for part in rows.split([1, 4, 25]):
        strategy.observe(part)
    for row in rows.double().numpy():
        mean, square = 0.75 * mean + 0.25 * row, 0.75 * square + 0.25 * row**2
    np.testing.assert_allclose(strategy.mean, mean, rtol=1e-5)
    np.testing.assert_allclose(strategy.variance, square - mean**2, rtol=1e-5)
    window = torch.randn(1, L, C)
    deviation = strategy.variance.sqrt()
    expected = strategy.forecaster((window - strategy.mean) / deviation) * deviation + strategy.mean
    torch.testing.assert_close(strategy.predict(window), expected)


def test_statistics_take_the_place_of_the_windows_own() -> None:
    """A window's own level is then not removed: what is far from the recent rows stays far."""
    entry = FORECASTERS["tcn"]
    tcn = entry.cls(build(entry.cls.Config, entry.cls.tiny, "tcn"), Task(L, H, C, C, (0, 1))).eval()
    strategy = made("norm-stats", tcn, rate=0.1)
    window = torch.randn(1, L, C)
    assert not torch.allclose(strategy.predict(window + 5), strategy.predict(window) + 5, atol=0.1)
    off = made("norm-stats", tcn, rate=0)
    torch.testing.assert_close(off.predict(window + 5), off.predict(window) + 5, atol=1e-4, rtol=0)


def test_calibration_is_a_gated_map_before_and_after() -> None:
    strategy, x = made("tafas"), torch.randn(3, L, C)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in strategy.layers.parameters():
            parameter.normal_()

    def mapped(layer: Any, rows: Tensor) -> Any:
        out = torch.einsum("cij,bjc->bic", layer.weight, rows) + layer.bias.T
        return rows + torch.tanh(layer.gate) * out

    expected = mapped(strategy.layers["forecast"], strategy.forecaster(mapped(strategy.layers["window"], x)))
    torch.testing.assert_close(strategy.predict(x), expected.detach())
    shared = made("tafas", shared=True, calibrates_input=False)
    assert {name: tuple(p.shape) for name, p in shared.layers.named_parameters()} == {
        "forecast.weight": (1, H, H), "forecast.bias": (1, H), "forecast.gate": (1,)
    }  # fmt: skip


def test_the_low_rank_map_has_its_gate_inside() -> None:
    strategy, x = made("petsa", rank=3, calibrates_input=False), torch.randn(3, L, C)
    layer = strategy.layers["forecast"]
    with torch.no_grad():
        layer.up.normal_()
        layer.bias.normal_()
    y = strategy.forecaster(x).detach()
    maps = torch.einsum("ir,crj->cij", layer.down, layer.up)
    expected = y + torch.einsum("cij,bic->bjc", maps, torch.tanh(layer.gate * y)) + layer.bias.T
    torch.testing.assert_close(strategy.predict(x), expected.detach())


def test_the_loss_of_petsa_compares_shapes() -> None:
    strategy, truth = made("petsa", spectrum=0.1, structure=1.0), torch.randn(2, 6, C)
    assert strategy.loss(truth, truth, None).item() == pytest.approx(0, abs=1e-6)
    higher = strategy.loss(truth + 2, truth, None).item()  # Huber 0.5 (2 - 0.25); spectrum 12 of 4 frequencies; mean 2
    assert higher == pytest.approx(0.5 * 1.75 + 0.1 * 12 / 4 + 2, rel=1e-4)
    turned = strategy.loss(2 * truth.mean(dim=1, keepdim=True) - truth, truth, None).item()
    assert turned > 2  # a correlation of -1
    known = torch.tensor([[True] * 6, [True] * 3 + [False] * 3])
    moved = truth.clone()
    moved[1, 3:] += 9  # not known yet
    assert strategy.loss(moved, truth, known).item() == pytest.approx(0, abs=1e-6)


def test_the_step_of_dynatta_follows_the_shift() -> None:
    calm, values = decaying(400, 0.0), decaying(400, 0.0)
    values[300:] *= 5.0
    rates = {}
    for name, rows in (("calm", calm), ("moved", values)):
        strategy = serve("dynatta", rows, tiny=False, end=320, online_lr=1e-3, smoothing=1.0).strategy
        rates[name] = strategy.rate
        assert strategy.online.optimizer.param_groups[0]["lr"] <= 1e-3
    assert 1e-4 <= rates["calm"] < rates["moved"] <= 1e-3
    assert len(strategy.best_windows) == strategy.config.best
    assert (strategy.lowest.diff() >= 0).all()


@pytest.mark.parametrize("kind", ["z-test", "page-hinkley", "adwin", "kswin"])
def test_a_detector_sees_a_jump_and_little_else(kind: Any) -> None:
    if kind in ("adwin", "kswin"):
        pytest.importorskip("river")
    calm = np.random.default_rng(0).gamma(2.0, 0.5, 400)
    found = detector(kind, 0)
    alarms = [t for t, error in enumerate([*calm, *(3 + calm[:100])]) if found.update(float(error))]
    assert sum(t < 400 for t in alarms) <= 8
    assert any(400 <= t < 450 for t in alarms)


def test_the_z_test_by_hand() -> None:
    rng = np.random.default_rng(1)
    errors, found = rng.random(60).tolist() + [2.0] * 10, detector("z-test", 0)
    start = 0
    for t, error in enumerate(errors):
        seen = np.array(errors[start : t + 1])
        score = (seen[-16:].mean() - seen.mean()) / (seen.std() / np.sqrt(len(seen))) if len(seen) >= 16 else 0
        alarmed = found.update(error)
        assert alarmed == (score > 2.97)
        start = t + 1 if alarmed else start
    assert start > 60


def test_the_detector_is_fed_one_error_in_a_horizon() -> None:
    strategy, fed = made("detect-retrain"), list[float]()
    strategy.fed_until, strategy.count, strategy.usual = 0, 16, 2.0
    strategy.detector = SimpleNamespace(update=lambda error: bool(fed.append(error)))  # type: ignore[func-returns-value]
    new = pairs(5, 0)
    assert new.issued is not None
    new.issued[2] = torch.nan  # between strides
    strategy.adapt(new)
    errors = (new.issued - new.y).square().mean(dim=(1, 2)) / 2
    assert fed == pytest.approx(errors[[0, 3]].tolist())


@pytest.mark.parametrize("action", ["retrain", "raise-rate", "reset"])
def test_what_an_alarm_does(action: str) -> None:
    strategy, new = made("detect-retrain", action=action, optimizer="sgd", online_lr=0.1, raised_blocks=2), pairs(4, 0)
    model = copy.deepcopy(strategy.forecaster)
    strategy.detector = SimpleNamespace(update=lambda _: False)
    strategy.adapt(new)
    after = model.map.weight - (0 if action == "retrain" else 0.1 * slope(model, new.x, new.y))
    torch.testing.assert_close(strategy.forecaster.map.weight, after)
    strategy.recent, strategy.fed_until = ReplayBuffer("fifo", 4, strategy.rng), 0
    strategy.detector = SimpleNamespace(update=lambda _: True)
    model = copy.deepcopy(strategy.forecaster)
    strategy.adapt(new)
    rate = {"retrain": 0.1, "raise-rate": 1.0, "reset": 0.1}[action]
    start = Decay() if action == "reset" else model
    expected = start.map.weight - rate * slope(start, new.x, new.y)
    torch.testing.assert_close(strategy.forecaster.map.weight, expected)
    assert strategy.trace()["alarms"] == 2


def test_d3a_learns_beside_what_was_before() -> None:
    strategy, new = made("d3a", optimizer="sgd", online_lr=0.1, pairs=3, before=3, epochs=1, replay=0.5), pairs(3, 0)
    old, model = strategy.before, copy.deepcopy(strategy.forecaster)
    strategy.recent, strategy.detector = ReplayBuffer("fifo", 3, strategy.rng), SimpleNamespace(update=lambda _: True)
    strategy.adapt(new)
    step = slope(model, new.x, new.y) + 0.5 * slope(model, *old)
    torch.testing.assert_close(strategy.forecaster.map.weight, model.map.weight - 0.1 * step)
    assert sorted(strategy.before[0].flatten().tolist()) == sorted(new.x.flatten().tolist())


def test_experts_are_weighed_by_their_share_of_the_squared_error() -> None:
    strategy = made("hedge", experts=["persistence", "frozen"], rate=2.0, kept=0.5)
    strategy.mix.losses.zero_()
    losses = torch.zeros(2, C)
    for seed in range(2):
        window, origin = torch.randn(1, L, C, generator=torch.Generator().manual_seed(seed)), strategy.waiting.now
        strategy.predict(window)
        forecasts = strategy.waiting._made[origin]  # (2, H, C)
        truth = forecasts[0] + torch.tensor([1.0, 3.0])
        strategy.adapt(Feedback(window, truth[None], np.array([origin])))
        square = (forecasts - truth).square().mean(dim=1)
        losses = losses / 2 + square / square.sum(dim=0)
        strategy.waiting.see(1)
    torch.testing.assert_close(strategy.mix.losses, losses)
    window = torch.randn(1, L, C)
    experts = torch.stack([expert.predict(window)[0] for expert in strategy.experts])
    weights = torch.exp(-2.0 * losses)
    expected = (weights[:, None] * experts).sum(dim=0) / weights.sum(dim=0)
    torch.testing.assert_close(strategy.predict(window)[0], expected)


def waiting(strategy: Any, window: Tensor, missed: float) -> Feedback:
    """The feedback on a forecast that is made now, and that the truth exceeds by a constant."""
    origin = strategy.waiting.now
    forecast = strategy.predict(window)
    return Feedback(window, forecast + missed, np.array([origin]))


def test_the_offset_of_frequency_0_moves_all_leads() -> None:
    """With a truth ``d`` above a forecast of 0, its gradient is ``-2 d / H``, and it adds an H-th of itself."""
    strategy = made("fac", optimizer="sgd", online_lr=0.1)
    with torch.no_grad():
        strategy.correction.offset.zero_()
        strategy.correction.gain.zero_()
    window = torch.zeros(1, L, C)
    strategy.adapt(waiting(strategy, window, 5.0))
    torch.testing.assert_close(strategy.predict(window), torch.full((1, H, C), 2 * 5.0 * 0.1 / H**2))


def test_the_gate_opens_along_the_residual() -> None:
    options = {"batch": 1, "steps": 1, "weight_decay": 0, "online_clip": "none"}
    strategy = made("cosa", optimizer="sgd", online_lr=0.1, **options)
    correction = strategy.correction
    with torch.no_grad():
        correction.gate.zero_()
    strategy.factor, window = 1.0, torch.randn(1, L, C, generator=torch.Generator().manual_seed(0))
    known = torch.cat([strategy.forecaster(window), strategy.means[None]], dim=1).detach()
    residual = correction.map(known.transpose(1, 2)).detach()
    strategy.before = math.inf
    strategy.adapt(waiting(strategy, window, 5.0))
    torch.testing.assert_close(correction.gate.detach(), 0.1 * 2 * 5.0 * residual.mean())


def test_the_context_of_a_forecast_is_that_of_its_time() -> None:
    strategy = made("cosa", context=2)
    window = torch.zeros(1, L, C)
    feedback = waiting(strategy, window, 5.0)
    before = strategy.means.clone()
    strategy.adapt(feedback)
    torch.testing.assert_close(strategy.means[-1], feedback.y[0].mean(dim=0))
    torch.testing.assert_close(strategy.batch[-1][0][H:], before)


def waves(count: int) -> Feedback:
    """Pairs of one sine at several phases, heights and levels."""
    t, rng = torch.arange(float(L + H))[:, None], np.random.default_rng(0)
    rows = [rng.normal() + rng.uniform(1, 2) * torch.sin(2 * np.pi * t / L + rng.uniform(0, 6)) for _ in range(count)]
    both = torch.stack(rows).expand(-1, -1, C).float()
    return Feedback(both[:, :L], both[:, L:], np.arange(500, 500 + count))


def test_spectra_are_regressed_and_mixed_by_their_losses() -> None:
    strategy, new = made("elf", every=60, penalty=1e-4, warmup=0, rate=100.0), waves(60)
    strategy.adapt(new)
    rows = new.x.transpose(1, 2)
    deviation = strategy._scale()
    x = torch.fft.rfft((rows - rows.mean(dim=2, keepdim=True)) / deviation)[..., : strategy.bins]
    y = torch.fft.rfft((new.y.transpose(1, 2) - rows.mean(dim=2, keepdim=True)) / deviation)
    gram = x[:, 0].mH @ x[:, 0] + 1e-4 * torch.eye(strategy.bins)
    solved = torch.linalg.solve(gram, x[:, 0].mH @ y[:, 0])
    torch.testing.assert_close(strategy.weights[0], solved, atol=1e-4, rtol=1e-4)
    first, forecast = strategy.waiting.now, strategy.predict(new.x[:3])
    own = torch.fft.irfft(x[:, 0] @ solved, n=H) * deviation[0] + rows[:, 0].mean(dim=1, keepdim=True)
    issued = torch.stack([strategy.waiting._made[first + i] for i in range(3)])
    torch.testing.assert_close(issued[:, 1, :, 0], own[:3], atol=1e-3, rtol=0)
    torch.testing.assert_close(forecast, issued[:, :2].mean(dim=1))  # no loss yet: equal weights
    strategy.adapt(Feedback(new.x, own[..., None].expand(-1, -1, C), np.arange(first, first + 60)))
    assert strategy.slow.shares()[1].min() > 0.99  # its own forecasts were right, the forecaster's wrong


def test_the_student_learns_slowly_from_pairs_and_fast_from_rows() -> None:
    """Each by hand, on a student that is one linear layer."""
    strategy = made("dsof", optimizer="sgd", online_lr=0.1, student_lr=0.2, fast_lr=0.3, least=1, batch=2, size=2)
    student = strategy.parts
    student.layers = nn.Sequential(nn.Linear(L + H, H))
    strategy.slow, strategy.fast = strategy._optimizer(0.2), strategy._optimizer(0.3)
    strategy.buffer, strategy._before, strategy._since = ReplayBuffer("fifo", 2, strategy.rng), None, []
    new, teacher, layer = pairs(2, 0), copy.deepcopy(strategy.forecaster), copy.deepcopy(student.layers[0])
    strategy.adapt(new)
    torch.testing.assert_close(strategy.forecaster.map.weight, teacher.map.weight - 0.1 * slope(teacher, new.x, new.y))
    forecasts = teacher(new.x).detach()
    read = torch.cat([new.x, forecasts], dim=1)
    miss = forecasts + student_of(layer, read) - new.y
    step = (2 * torch.einsum("phc,plc->hl", miss, read) / miss.numel()).detach()
    torch.testing.assert_close(student.layers[0].weight, layer.weight - 0.2 * step)
    layer, present, row = copy.deepcopy(student.layers[0]), torch.randn(L, C), torch.randn(1, C)
    strategy.observe(row)
    strategy.adapt(Feedback(new.x[:0], new.y[:0], new.origins[:0], present=present))
    assert new.present is not None
    taught, now = strategy.forecaster(torch.stack([new.present, present])).detach().split(1)
    target, read = torch.cat([row, now[0, :1]])[None], torch.cat([new.present[None], taught], dim=1)
    miss = (taught + student_of(layer, read) - target) * torch.tensor([1.0, 0.9])[:, None]
    step = (2 * torch.einsum("phc,plc->hl", miss, read) / miss.numel()).detach()
    torch.testing.assert_close(student.layers[0].weight, layer.weight - 0.3 * step)


def student_of(layer: nn.Linear, read: Tensor) -> Tensor:
    out: Tensor = layer(read.mT)
    return out.mT


def test_the_ensemble_leans_to_the_better_branch() -> None:
    strategy = made("onenet", branch="nlinear", optimizer="sgd", online_lr=0.0, mix_lr=0.5)
    strategy.parts = Decay(0.0)
    new = pairs(3, 0)
    truth = replace(new, y=strategy.forecaster(new.x).detach())  # the first branch is right
    w, y1, y2 = strategy.mixture["w"].detach().clone(), truth.y, strategy.parts(new.x).detach()
    strategy.adapt(truth)
    share = torch.sigmoid(w)
    miss = share * y1 + (1 - share) * y2 - truth.y
    slope_of_w = (2 * miss * share * (1 - share) * (y1 - y2)).sum(dim=(0, 1)) / miss.numel()
    torch.testing.assert_close(strategy.mixture["w"].detach(), w - 0.5 * slope_of_w)
    assert (strategy.mixture["w"] > 0).all()
    assert strategy.trace()["first_share"] > 0.5


def test_weights_follow_the_drift_of_each_window() -> None:
    strategy = made("proceed", optimizer="sgd", online_lr=0.1)
    generator, model, x = strategy.parts, strategy.forecaster, torch.randn(3, L, C)
    torch.testing.assert_close(strategy.predict(x), model(x).detach())  # the identity before it is trained
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.normal_()
    strategy.newest = torch.randn(1, 3)
    drifts = generator.drift(x, strategy.newest.expand(3, -1))
    assert (drifts.norm(dim=1) <= 1 + 1e-6).all()
    expected = []
    for drift, window in zip(drifts, x, strict=True):
        hidden = torch.sigmoid(generator.modulation.down["group0"](drift) + generator.modulation.biases["map"])
        rows, columns, scale, shift = generator.modulation.up["group0"](hidden).split([H, L, H, H])
        weight = model.map.weight * torch.outer(1 + rows, 1 + columns)
        expected.append((weight @ window).T + model.map.bias * (1 + scale) + shift)
    torch.testing.assert_close(strategy.predict(x), torch.stack(expected).mT.detach())


def test_a_pair_is_learned_from_with_the_drift_that_was_known_at_its_origin() -> None:
    strategy = made("proceed")
    strategy.known = [(10, torch.zeros(1, 3)), (12, torch.ones(1, 3)), (14, torch.full((1, 3), 2.0))]
    assert [float(strategy._concept_at(origin)[0, 0]) for origin in (9, 10, 13, 14, 99)] == [0, 0, 1, 2, 2]


def test_controllers_follow_the_gradient_and_recall_where_it_turns() -> None:
    torch.manual_seed(0)
    layer = ControlledConv(2, 3, 2, control=4, slots=3)
    with torch.no_grad():
        layer.memory /= 2 * layer.memory.norm(dim=0)  # a column that is not written is not clipped either
        for own in (layer.of_weights, layer.of_outputs):
            own.weight.normal_()
    first, x = layer.multipliers(), torch.randn(1, 2, 5)
    weights, bias, features = first.split([4, 3, 3])
    plain = nn.functional.conv1d(x, layer.weight * weights.view(2, 2), layer.bias * bias) * features[:, None]
    torch.testing.assert_close(layer(x), plain)
    gradient = torch.randn(3, 2, 2)
    unit = gradient / gradient.norm(dim=1, keepdim=True)
    for _ in range(30):
        layer.weight.grad = gradient
        assert not layer.take_in(remembers=True)
    torch.testing.assert_close(layer.slow, unit * (1 - 0.9**30))
    torch.testing.assert_close(layer.fast, unit)
    assert not torch.allclose(layer.multipliers(), first)
    for _ in range(3):
        layer.weight.grad = -gradient
        before = layer.memory.clone()
        recalled = layer.take_in(remembers=True)
        if recalled:
            break
    assert recalled
    assert (layer.memory != before).any(dim=0).sum() == 2
    recalling = layer.multipliers()
    layer.share.zero_()
    torch.testing.assert_close(recalling, 0.75 * layer.multipliers() + 0.25 * layer.read)


def test_the_refiner_is_trusted_as_far_as_it_helps() -> None:
    strategy = made("orca", confidence=10.0, warm_up=0)
    strategy.refined = strategy.plain = 0.0
    assert strategy.trust() == 0.5
    known, y = torch.randn(4, L + H, C), torch.randn(4, H, C)
    with torch.no_grad():
        strategy.correction.time.bias.fill_(0.3)
        strategy.correction.mix.weight.copy_(torch.eye(C))
    base = known[:, -H:]
    strategy.learn(known, y)
    kept = 0.01 * 0.99 ** torch.arange(3, -1, -1)
    expected = [(kept * (made_now - y).square().mean(dim=(1, 2))).sum().item() for made_now in (base + 0.6, base)]
    assert [strategy.refined, strategy.plain] == pytest.approx(expected)
    gain = (expected[1] - expected[0]) / sum(expected)
    assert strategy.trust() == pytest.approx(1 / (1 + np.exp(-10 * gain)))


# The optimiser


def online(**options: Any) -> tuple[nn.Linear, OnlineOptimizer]:
    model = nn.Linear(1, 1, bias=False)
    nn.init.ones_(model.weight)
    return model, OnlineOptimizer(model, model.parameters(), OnlineConfig(optimizer="sgd", **options))


def test_diverged_weights_return_to_the_last_good_ones() -> None:
    """Each step multiplies the error by -9."""
    model, optimizer = online(online_lr=5.0)
    for _ in range(40):
        optimizer.learn(lambda: (model.weight - 0.9).square().sum())
        assert model.weight.detach().abs() < 1e4
    assert optimizer.returns > 0
    assert optimizer.taken == 40


def test_a_loss_that_is_not_finite_takes_no_step() -> None:
    model, optimizer = online(online_lr=0.1)
    optimizer.learn(lambda: model.weight.sum() * torch.nan)
    assert model.weight.item() == 1
    assert optimizer.taken == optimizer.returns == 0


def test_no_forecast_is_made_with_weights_that_are_not_finite() -> None:
    model, optimizer = online(online_lr=0.1)
    optimizer.learn(lambda: (model.weight - 1).abs().sqrt().sum())  # 0, with a gradient that is not a number
    assert model.weight.isnan().all()
    assert optimizer.sound(lambda: model(torch.ones(1, 1))).item() == 1
    assert optimizer.returns == 1
    assert optimizer.sound(lambda: model(torch.full((1, 1), torch.nan))).isnan().all()  # the window's own
    assert optimizer.returns == 1


def test_where_the_data_jump_learning_goes_on() -> None:
    model, optimizer = online(online_lr=0.25)
    for target in [1.1] * 10 + [100.0] * 30:
        optimizer.learn(lambda target=target: (model.weight - target).square().sum())  # type: ignore[misc]
    assert abs(model.weight.item() - 100) < 0.1
    assert optimizer.returns == 0


def test_gradients_are_clipped() -> None:
    model, optimizer = online(online_lr=1.0, online_clip=0.5)
    optimizer.learn(lambda: 8 * model.weight.sum())
    assert model.weight.item() == pytest.approx(0.5)


def test_dropout_is_on_in_train_mode_only() -> None:
    for mode in ("eval", "train"):
        model, modes = nn.Sequential(nn.Linear(1, 1), nn.Dropout()).eval(), list[bool]()

        def loss(model: nn.Module = model, modes: list[bool] = modes) -> Tensor:
            modes.append(model.training)
            return model(torch.ones(1, 1)).sum()  # type: ignore[no-any-return]

        OnlineOptimizer(model, model.parameters(), build(OnlineConfig, {"mode": mode}, "")).learn(loss)
        assert modes == [mode == "train"]
        assert not model.training
