"""The leak canary over everything that is registered: presets, and schedules drawn at random."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from bench import DriftSeries, Protocol, Strategy
from bench.contracts.config import build
from bench.contracts.discovery import load_plugins
from bench.contracts.errors import BenchError
from bench.contracts.forecaster import FORECASTERS
from bench.contracts.protocol import PRESETS, ProtocolSpec
from bench.contracts.strategy import STRATEGIES
from bench.evaluation.run import make_strategy
from bench.evaluation.run_spec import Choice, RunSpec
from bench.evaluation.stream import PreparedSeries, Stream
from bench.testing import (
    Form,
    LeakError,
    MakeStrategy,
    Schedule,
    check_strategy,
    draw_schedule,
    fitting_forecasters,
    forecasts_of,
    leak_canary,
    small_series,
    tiny_maker,
)
from bench.testing.canary import DISTURBANCES, Canary
from bench.testing.replay import first_difference

from ..conftest import resolved, tiny_series

torch.set_num_threads(1)
load_plugins()

CPU = torch.device("cpu")
NAMES = [entry.name for entry in STRATEGIES if entry.cls.group != "leaky"]

Forecasts = dict[int, NDArray[np.float32]]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory, short_parts: None) -> Path:
    """Each forecaster is pre-trained once for each shape: no disturbance reaches what it is trained on."""
    return tmp_path_factory.mktemp("checkpoints")


@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("name", NAMES)
def test_no_strategy_leaks(name: str, preset: str, checkpoints: Path) -> None:
    """Every preset, one of them with hidden targets, each with a disturbance in turn; drawn schedules have all."""
    hidden = preset == "dense"
    series = tiny_series(hidden)
    protocol = resolved(series, preset, label_every=4 if hidden else 1)
    inside = series.split.validation + 7  # inside a block of five, and between two days of three
    assert preset == "online" or 7 % (protocol.block * protocol.stride)
    disturbance = DISTURBANCES[list(PRESETS).index(preset) % len(DISTURBANCES)]
    leak_canary(tiny_maker(name, checkpoints=checkpoints), series, protocol, (inside,), (disturbance,))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_no_strategy_leaks_whatever_the_schedule(name: str, checkpoints: Path) -> None:
    """Drawn: lookback, horizon, stride, block, labels, warm start, hidden targets, cut and disturbance."""
    forecaster = next(iter(fitting_forecasters(STRATEGIES[name].cls)), "")
    make = tiny_maker(name, forecaster=forecaster, checkpoints=checkpoints)
    chosen = Form.tiny(name, forecaster).forecaster
    drawn: list[Schedule] = []
    heard: list[bool] = []

    # a leak of one row shows at few cuts where a strategy trains now and then: more turns where they cost little
    turns = 20 if STRATEGIES[name].cls.uses_forecaster else 60

    @settings(max_examples=turns, deadline=None, derandomize=True, database=None)
    @given(data=st.data())
    def turn(data: st.DataObject) -> None:
        schedule = draw_schedule(lambda options: data.draw(st.sampled_from(options)), chosen)
        drawn.append(schedule)
        canary = Canary(make, schedule.series, schedule.protocol)
        plain = canary.digests()
        disturbed = canary.disturbed(schedule.cut, schedule.disturbance, plain)
        heard.append(first_difference(plain, disturbed, len(schedule.series)) is not None)

    turn()
    assert len(drawn) >= 20
    assert any(heard) or not STRATEGIES[name].cls.reads
    covered = Counter(kind for schedule in drawn for kind in kinds(schedule))
    assert set(covered) == KINDS


KINDS = {
    *("other values", "NaN", "another order", "inside a block", "between blocks", "cold", "warm"),
    *("hidden", "among the inputs", "all labels", "every n-th", "a share", "late", "partial"),
}


def kinds(schedule: Schedule) -> set[str]:
    """What a drawn schedule is an example of."""
    series, protocol = schedule.series, schedule.protocol
    inside = (schedule.cut - series.split.validation) % (protocol.block * protocol.stride)
    labels = {
        "every n-th": protocol.label_every > 1,
        "a share": protocol.label_rate < 1,
        "late": protocol.delay > 0,
        "partial": protocol.labels == "partial",
        "all labels": not protocol.is_sparse,
    }
    return {
        schedule.disturbance.name,
        "inside a block" if inside else "between blocks",
        "warm" if protocol.warm_start else "cold",
        "hidden" if series.target_index is None else "among the inputs",
        *(name for name, is_so in labels.items() if is_so),
    }


@pytest.mark.usefixtures("registries")
def test_only_lookbacks_that_a_forecaster_serves_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    def picky(config: Any, task: Any, device: str) -> None:
        if task.lookback % 8:
            raise BenchError("it serves whole chunks of 8 rows")

    monkeypatch.setattr(FORECASTERS["dlinear"].cls, "check_task", staticmethod(picky), raising=False)
    rng = np.random.default_rng(0)

    def choose(options: Any) -> Any:
        return options[int(rng.integers(len(options)))]

    assert {draw_schedule(choose, Choice("dlinear", {})).protocol.lookback for _ in range(20)} == {8}
    assert {draw_schedule(choose).protocol.lookback for _ in range(40)} == {4, 6, 8}
    monkeypatch.setattr("bench.testing.schedules.LOOKBACKS", (4, 6))
    with pytest.raises(BenchError, match="serves none of the lookbacks drawn: it serves whole chunks of 8 rows"):
        draw_schedule(choose, Choice("dlinear", {}))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "forecaster"), [("frozen", "titans"), ("retrain", "titans"), ("retrain", "ridge")])
def test_no_strategy_leaks_on_other_forecasters(name: str, forecaster: str) -> None:
    series = tiny_series()
    protocol = resolved(series, warm_start=False)
    entry, options = STRATEGIES[name], getattr(FORECASTERS[forecaster].cls, "tiny", {})
    run = RunSpec(
        "check",
        Choice(name, entry.cls.tiny | ({"every": 6} if name == "retrain" else {})),
        Choice(forecaster, options),
        Choice("small", {}),
        protocol,
        seed=0,
        device="cpu",
        threads=1,
        run_id="",
    )

    def make(stage: PreparedSeries) -> Strategy:
        with torch.random.fork_rng(devices=[]):
            return make_strategy(run, stage, CPU, None)

    leak_canary(make, series, protocol, cuts=(series.split.validation + 7,))


@pytest.mark.parametrize("name", ["persistence", "rls"])
def test_no_cut_is_special(name: str) -> None:
    series = tiny_series()
    for preset in PRESETS:
        start = series.split.validation
        leak_canary(tiny_maker(name), series, resolved(series, preset), cuts=range(start + 3, start + 11))


def test_checking_a_strategy_goes_through_every_preset_and_asks_for_its_trace() -> None:
    lines = check_strategy("persistence")
    cuts = [line for line in lines if line.startswith("no leak")]
    drawn = [line for line in cuts if "drawn (" in line]
    preset = [line for line in cuts if line not in drawn]
    assert len(preset) == len(set(preset)) == 30
    assert all(any(f"{name} (" in line for line in preset) for name in PRESETS)
    assert all(
        sum(regime in line for line in preset) == 6 for regime in ("every 4th", "40 % of", "2 rows late", "partial")
    )
    assert sum("targets hidden" in line for line in preset) == 15
    assert len(drawn) == len(set(drawn)) == 8
    for name in ("other values", "NaN", "another order", "cold start", "targets hidden", "targets among the inputs"):
        assert 0 < sum(name in line for line in drawn) < 8
    others = {f"asking for its trace changes nothing, targets {where}" for where in ("hidden", "among the inputs")}
    others |= {"12 runs again, in the opposite order: the same forecasts"}
    others |= {"another seed before and after: the same forecasts"}
    assert set(lines) - set(cuts) == others


def test_a_quick_check_goes_through_less_and_still_through_each_kind() -> None:
    lines = check_strategy("persistence", quick=True)
    preset = [line for line in lines if line.startswith("no leak") and "drawn (" not in line]
    assert len(preset) == len(set(preset)) == 6
    for kind in (*(f"{name} (" for name in PRESETS), "every 4th", "40 % of", "2 rows late", "targets hidden"):
        assert any(kind in line for line in preset), kind


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_labels_that_are_never_released_reach_nobody(name: str, checkpoints: Path) -> None:
    series = tiny_series(hidden=True)
    protocol = resolved(series, label_every=7)
    split, secret = series.split, np.zeros(len(series), dtype=bool)
    secret[split.validation :] = True
    for s in range(split.train, split.end - protocol.horizon + 1, 7):
        secret[s : s + protocol.horizon] = False
    assert secret.sum() > 10
    values = series.values.copy()
    values[secret, 2] = 1e6
    make = tiny_maker(name, checkpoints=checkpoints)
    clean, poisoned = (served(make, s, protocol) for s in (series, series.with_values(values)))
    assert all(np.array_equal(forecast, poisoned[origin]) for origin, forecast in clean.items())


def served(make: MakeStrategy, series: DriftSeries, protocol: Protocol) -> Forecasts:
    made: Forecasts = {}
    stage = PreparedSeries.of(series, protocol)

    def score(origins: NDArray[np.int64], forecasts: NDArray[np.float32]) -> None:
        made.update(zip(origins.tolist(), forecasts, strict=True))

    stream = Stream(stage, make(stage), CPU)
    stream.run(series.split.train, series.split.validation, score)
    stream.run(series.split.validation, series.split.end, score)
    return made


@pytest.mark.parametrize("hidden", [False, True])
def test_instant_labels_leak_and_the_canary_says_so(hidden: bool) -> None:
    series = small_series(hidden_targets=hidden)
    protocol = ProtocolSpec(preset="online", labels="instant").resolve(series)
    with pytest.raises(LeakError, match="leaks"):
        leak_canary(tiny_maker("rls"), series, protocol, cuts=(series.split.validation + 7,))


@pytest.mark.parametrize("labels", [{"label_rate": 0.1}, {"label_every": 10}, {"delay": 5}])
@pytest.mark.parametrize("name", ["titans-a", "titans-b"])
def test_titans_without_gradients_do_not_hear_labels(name: str, labels: dict[str, Any]) -> None:
    """Bit for bit, where targets are among the inputs."""
    series = small_series()
    forecasts = [
        forecasts_of(tiny_maker(name), series, build(ProtocolSpec, options, "test").resolve(series))
        for options in ({}, labels)
    ]
    assert forecasts[0].keys() == forecasts[1].keys()
    assert all(np.array_equal(forecasts[0][origin], forecasts[1][origin]) for origin in forecasts[0])
