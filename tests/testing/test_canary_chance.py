"""Chance, and what outlasts a run: forecasts that differ from run to run are caught, and their cause is named."""

from __future__ import annotations

import os
import random
import time
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench import Feedback, Strategy, register_strategy
from bench.contracts.protocol import PRESETS
from bench.evaluation.isolation import seeded
from bench.evaluation.stream import PreparedSeries
from bench.testing import NondeterministicError, OrderError, check_strategy, forecasts_of
from bench.testing.canary import Canary
from bench.testing.replay import digests_of

from ..cheats import Cheat, Drawn, FromNumpy, Honest, LooksUpTheStack, canary, hire
from ..conftest import resolved, tiny_series


class FromPython(Drawn):
    def draw(self) -> float:
        return random.random()


class FromAFreshGenerator(Drawn):
    def draw(self) -> float:
        return float(np.random.default_rng().normal())


class FromTheSystem(Drawn):
    def draw(self) -> float:
        return int.from_bytes(os.urandom(3), "big") / 2**24


class FromTheClock(Drawn):
    def draw(self) -> float:
        return time.perf_counter_ns() % 1_000_003 / 1_000_003


class FromItsOwn(Drawn):
    def draw(self) -> float:
        return float(self.rng.normal())


@pytest.mark.parametrize("cheat", [FromNumpy, FromPython])
def test_a_generator_that_all_share_is_named(cheat: type[Strategy]) -> None:
    found = (
        r"not deterministic: two runs on the same data differ at origin 49\. It draws from a generator that is not its"
    )
    with pytest.raises(NondeterministicError, match=rf"{found} own \(numpy's or Python's\)\. Draw from self\.rng"):
        canary(cheat)


@pytest.mark.parametrize("cheat", [FromAFreshGenerator, FromTheSystem, FromTheClock])
def test_the_clock_and_the_systems_entropy_are_not_deterministic(cheat: type[Strategy]) -> None:
    with pytest.raises(NondeterministicError, match=r"not deterministic: .* origin 49, though all .* uses the clock"):
        canary(cheat)


class LearnsWithDropout(Honest):
    """A step of training on each block's pairs, in ``train()``: dropout draws from torch's generator."""

    def setup(self) -> None:
        super().setup()
        wide = len(self.bias)
        self.model = nn.Sequential(nn.Linear(wide, 8), nn.Dropout(0.5), nn.Linear(8, wide))
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.01)

    def adapt(self, feedback: Feedback) -> None:
        if len(feedback):
            self.model.train()
            loss = (self.model(feedback.x[:, -1, : len(self.bias)]) - feedback.y[:, 0]).square().mean()
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()

    @torch.no_grad()
    def predict(self, windows: Tensor) -> Tensor:
        made: Tensor = self.model.eval()(windows[:, -1:, : len(self.bias)])
        return made.expand(-1, self.protocol.horizon, -1)


@pytest.mark.parametrize("cls", [FromItsOwn, LearnsWithDropout])
@pytest.mark.parametrize("preset", PRESETS)
def test_its_own_generator_and_torch_s_are_seeded(cls: type[Strategy], preset: str) -> None:
    state = torch.get_rng_state()
    canary(cls, preset=preset)
    assert torch.equal(torch.get_rng_state(), state)


def test_naming_a_draw_leaves_the_generators_as_they_were() -> None:
    np.random.seed(3)  # noqa: NPY002
    expected = np.random.random(2)  # noqa: NPY002
    np.random.seed(3)  # noqa: NPY002
    with seeded(5):
        np.random.random(7)  # noqa: NPY002
    assert np.array_equal(np.random.random(2), expected)  # noqa: NPY002


class CountsRuns(Honest):
    """Forecasts otherwise in each run."""

    runs: ClassVar[int] = 0

    def setup(self) -> None:
        super().setup()
        CountsRuns.runs += 1

    def predict(self, windows: Tensor) -> Tensor:
        return super().predict(windows) + 0.01 * CountsRuns.runs


class RemembersTheStream(Honest):
    """Answers with what it saw of the stream in an earlier run."""

    seen: ClassVar[dict[int, Tensor]] = {}

    def observe(self, rows: Tensor) -> None:
        self.seen.update(enumerate(rows, start=self.origin))
        super().observe(rows)

    def predict(self, windows: Tensor) -> Tensor:
        honest = super().predict(windows)
        return torch.stack([self.seen.get(self.origin + k, row[0]).expand_as(row) for k, row in enumerate(honest)])


LAST_BIAS: list[Tensor] = []


class StartsWhereTheLastRunEnded(Honest):
    """Like `Honest` within runs on the same data, where the bias at the end is the same; and not after other data."""

    shows_from: ClassVar[int] = 0

    def setup(self) -> None:
        super().setup()
        self.added = float(LAST_BIAS[0].sum() != EXPECTED[0]) if LAST_BIAS and EXPECTED else 0.0

    def adapt(self, feedback: Feedback) -> None:
        super().adapt(feedback)
        LAST_BIAS[:] = [self.bias]

    def predict(self, windows: Tensor) -> Tensor:
        return super().predict(windows) + (self.added if self.origin >= self.shows_from else 0.0)


class AndShowsItLate(StartsWhereTheLastRunEnded):
    """The same, beyond the cut only: where no leak is looked for."""

    shows_from = 75


EXPECTED: list[float] = []


def test_a_counter_of_runs_is_named() -> None:
    with pytest.raises(OrderError, match=r"order of runs: .* changes what outlasts it: CountsRuns\.runs\. Keep it"):
        canary(CountsRuns)


def test_a_memory_of_earlier_runs_is_named() -> None:
    RemembersTheStream.seen.clear()
    with pytest.raises(OrderError, match="depends on the order of runs: a second run on the same data differs"):
        canary(RemembersTheStream, preset="online")


@pytest.mark.parametrize("cheat", [StartsWhereTheLastRunEnded, AndShowsItLate])
def test_what_shows_after_other_data_only_is_found(cheat: type[Strategy]) -> None:
    series = tiny_series()
    protocol = resolved(series)
    LAST_BIAS.clear()
    EXPECTED.clear()
    forecasts_of(hire(cheat), series, protocol)
    EXPECTED.append(float(LAST_BIAS[0].sum()))
    before = digests_of(hire(cheat), series, protocol)
    Canary(hire(cheat), series, protocol).require_unmoved(before)  # the same data: nothing shows
    with pytest.raises(OrderError, match=r"after runs on other data, .*outlasts it: .*LAST_BIAS"):
        canary(cheat)


class KeepsTheStage(LooksUpTheStack):
    """Half honest, half what the first stage that any run was served from says: no disturbance reaches that."""

    first: ClassVar[list[PreparedSeries]] = []

    def predict(self, windows: Tensor) -> Tensor:
        if not self.first:
            self.first.extend(super().stages()[-1:])
        return (Cheat.predict(self, windows) + Honest.predict(self, windows)) / 2

    def stages(self) -> list[PreparedSeries]:
        return self.first


def test_a_stage_that_outlasts_its_run_is_named() -> None:
    KeepsTheStage.first.clear()
    with pytest.raises(OrderError, match=r"keeps the harness's own rows .* in KeepsTheStage\.first"):
        canary(KeepsTheStage)


class CheatsInTheSecondSchedule(Honest):
    """Remembers the protocol of the first run that ever was, and forecasts otherwise under any other afterwards."""

    known: ClassVar[list[str]] = []

    def setup(self) -> None:
        super().setup()
        self.known.append(self.protocol.label)

    def predict(self, windows: Tensor) -> Tensor:
        return super().predict(windows) + (len(set(self.known)) > 1 and self.protocol.label == self.known[0])


@pytest.mark.usefixtures("registries")
def test_a_registered_strategy_is_run_in_another_order_too() -> None:
    CheatsInTheSecondSchedule.known.clear()
    register_strategy("depends-on-order")(CheatsInTheSecondSchedule)
    with pytest.raises(OrderError, match=r"depends on the order of runs: after runs on other data, .*\.known"):
        check_strategy("depends-on-order", quick=True)
