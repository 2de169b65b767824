"""Networks of a strategy's own: trained before the stream, blind to it, once for all runs with what decides them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench import BenchError, Pairs, Strategy, StrategyConfig, Task, register_strategy
from bench.contracts.protocol import ProtocolSpec
from bench.evaluation.run import checkpoints_of, make_strategy
from bench.evaluation.run_spec import Choice, RunSpec
from bench.evaluation.stream import PreparedSeries
from bench.results.store import CHECKPOINTS
from bench.testing import audit_strategy, small_series
from bench.testing.forecaster_checks import parts_are_blind, small_task

from ..conftest import Bench, Write
from ..sessions import change, store_of

pytestmark = pytest.mark.usefixtures("registries")

CPU = torch.device("cpu")
QUICK = {"kernel": 3, "training": {"steps": 4, "batch": 8, "evaluations": 1}}
TRAINED: list[float] = []


class Corrects(Strategy):
    """Adds, to a forecast, a bias by lead that it learned before the stream."""

    class Config(StrategyConfig):
        share: float = 1.0
        shown: float = 1.0

    uses_forecaster = True
    pretrain_options = ("share",)

    @classmethod
    def make_parts(cls, config: Any, task: Task, forecaster: Any) -> nn.Module | None:
        return nn.Linear(task.horizon, task.horizon) if config.share else None

    @classmethod
    def train_parts(cls, parts: Any, forecaster: Any, pairs: Pairs, validation: Pairs, config: Any, seed: int) -> None:
        assert config.shown == 1.0  # what decides no part is not shown
        TRAINED.append(config.share)
        x, y = pairs.take(slice(0, 8))
        with torch.no_grad():
            parts.bias.copy_(config.share * (y - forecaster(x)).mean(dim=(0, 2)))
            for weight in forecaster.parameters():
                weight.fill_(7.0)  # of a copy

    @torch.no_grad()
    def predict(self, windows: Tensor) -> Tensor:
        made: Tensor = self.forecaster(windows)
        return made if self.parts is None else made + self.config.shown * self.parts.bias[:, None]


def run_of(name: str, *, seed: int = 0, forecaster: dict[str, Any] | None = None, **options: Any) -> RunSpec:
    protocol = ProtocolSpec().resolve(small_series())
    base = Choice("dlinear", QUICK | (forecaster or {}))
    return RunSpec("e", Choice(name, options), base, Choice("small", {}), protocol, seed, "cpu", 1, "id")


def made(run: RunSpec, cache: Path | None) -> Any:
    return make_strategy(run, PreparedSeries.of(small_series(), run.protocol), CPU, cache)


def test_runs_share_parts_where_nothing_that_decides_them_differs(tmp_path: Path) -> None:
    register_strategy("corrects")(Corrects)
    TRAINED.clear()
    first, second = (made(run_of("corrects", shown=shown), tmp_path) for shown in (1.0, 0.5))
    assert TRAINED == [1.0]
    assert first.parts is not second.parts
    assert torch.equal(first.parts.bias, second.parts.bias)
    assert first.parts.bias.abs().max() > 0
    assert not first.parts.training
    assert float(next(first.forecaster.parameters()).detach().max()) < 7
    others = [run_of("corrects", **one) for one in ({"share": 0.5}, {"seed": 1}, {"forecaster": {"kernel": 5}})]
    for run in others:
        made(run, tmp_path)
    assert TRAINED == [1.0, 0.5, 1.0, 1.0]
    names = [checkpoints_of(run, small_series()) for run in [run_of("corrects"), *others]]
    assert {name for pair in names for name in pair} == {path.stem for path in tmp_path.glob("*.safetensors")}
    assert len({parts for _, parts in names}) == 4
    assert made(run_of("corrects", share=0.0), tmp_path).parts is None
    assert made(run_of("frozen"), None).parts is None
    assert checkpoints_of(run_of("frozen"), small_series())[1] == ""


def test_their_training_is_blind_and_part_of_the_audit() -> None:
    register_strategy("corrects")(Corrects)
    parts_are_blind("corrects", Corrects.Config(), *small_task(Choice("dlinear", QUICK), hidden=True))

    class Peeps(Corrects):
        @classmethod
        def train_parts(cls, parts: Any, *_: Any) -> None:
            frame = sys._getframe(1)
            while not isinstance(stage := frame.f_locals.get("stage"), PreparedSeries):
                assert frame.f_back is not None
                frame = frame.f_back
            nn.init.constant_(parts.bias, float(np.nanmean(stage.inputs[-20:])))

    register_strategy("peeps")(Peeps)
    audit = audit_strategy("peeps", "dlinear", quick=True)
    assert audit.status == "failed"
    assert audit.reason.startswith("leaks: trained where other rows of the stream lay")


PLUGIN = '''
    """A strategy with a network of its own."""

    import torch
    from bench import Strategy, StrategyConfig, register_strategy


    @register_strategy("own-parts")
    class OwnParts(Strategy):
        """Adds a bias that it learned."""

        class Config(StrategyConfig):
            rate: float = 1.0

        uses_forecaster = True

        @classmethod
        def make_parts(cls, config, task, forecaster):
            return torch.nn.Linear(1, 1)

        @classmethod
        def train_parts(cls, parts, forecaster, pairs, validation, config, seed):
            print("parts are trained")

        def predict(self, windows):
            with torch.no_grad():
                return self.forecaster(windows) + self.config.rate * self.parts.bias
    '''


@pytest.mark.usefixtures("without_report")
def test_a_session_trains_them_once_and_keeps_them(
    tiny: Path, bench: Bench, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.execution.session.audit_missing", lambda *_, **__: None)
    change(tiny, strategies='["frozen", "own-parts", { name = "own-parts", rate = 0.5 }]', forecasters='["dlinear"]')
    path = write("own_parts.py", PLUGIN)
    assert bench("run", tiny, "--plugins", path).status == 0
    records = {record.run_id: record for record in store_of(tiny).records()}
    names = {record.parts for record in records.values() if record.strategy.name == "own-parts"}
    assert len(names) == 1
    folder = tiny.parent / "results" / CHECKPOINTS
    bench("results", "prune", "results")
    assert {path.stem for path in folder.glob("*.safetensors")} == {*names, *(r.checkpoint for r in records.values())}
    assert [record.parts for record in records.values() if record.strategy.name == "frozen"] == [""]


def test_statements_that_cannot_be_are_refused() -> None:
    class Unknown(Corrects):
        pretrain_options = ("rate",)

    class Alone(Corrects):
        uses_forecaster: ClassVar[bool] = False

    with pytest.raises(BenchError, match="names rate in pretrain_options, which its Config does not have"):
        register_strategy("unknown")(Unknown)
    with pytest.raises(BenchError, match="say uses_forecaster = True, too"):
        register_strategy("alone")(Alone)


@pytest.mark.parametrize("hidden", [False, True])
def test_pairs_of_the_history_are_those_without_hidden_targets(hidden: bool) -> None:
    series = small_series(hidden_targets=hidden)
    protocol = ProtocolSpec(label_every=4, warm_start=False).resolve(series)
    history = PreparedSeries.of(series, protocol).history(CPU)
    pairs, L, H = history.pairs(protocol), protocol.lookback, protocol.horizon
    rows = range(L, len(history) - H + 1)
    assert pairs.origins.tolist() == [s for s in rows if not history.targets[s : s + H].isnan().any()]
    assert (len(pairs) < len(rows)) == hidden
    assert (pairs.lookback, pairs.horizon) == (L, H)
    x, _ = pairs.take(slice(0, 1))
    np.testing.assert_array_equal(x[0], history.inputs[:L])
