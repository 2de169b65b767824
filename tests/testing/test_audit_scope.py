"""What an audit speaks of: a version with the options of its runs, and the services that it was seen to give."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from bench import (
    BenchError,
    Feedback,
    ForecasterConfig,
    Protocol,
    Strategy,
    StrategyConfig,
    Task,
    register_forecaster,
    register_strategy,
)
from bench.evaluation.run_spec import Choice, RunSpec
from bench.evaluation.stream import PreparedSeries
from bench.execution.audits import Subject, subjects_of
from bench.results.audit import NO_OPTIONS, Audit, Options, service_of, traits_of
from bench.testing import AsRun, OutOfTimeError, audit_strategy, checks, small_series

from ..cheats import Cheat, Honest, LooksUpTheStack

pytestmark = pytest.mark.usefixtures("registries", "young_heap")

DAILY = Protocol(name="day-ahead", lookback=24, horizon=6, stride=6)


def run_of(strategy: str, /, protocol: Protocol = DAILY, forecaster: Choice | None = None, **changes: Any) -> RunSpec:
    options = changes.pop("options", {})
    run = RunSpec(
        "e", Choice(strategy, options), forecaster, Choice("akl-pedestrians", {}), protocol, 0, "cpu", 1, "id"
    )
    return replace(run, **changes)


def audited(*runs: RunSpec, **changes: Any) -> Audit:
    """The audit that a session makes of runs with the same options."""
    (subject,) = subjects_of(runs)
    return audit_strategy(
        subject.strategy,
        subject.forecaster,
        quick=True,
        given=subject.options,
        services=[AsRun.of(run) for run in subject.runs],
        **changes,
    )


class Configured(LooksUpTheStack):
    """Cheats where it takes what it is given for a run."""

    class Config(StrategyConfig):
        every: PositiveInt = 500
        rate: float = 0.1

    tiny: ClassVar[dict[str, Any]] = {"every": 6}

    def is_run(self) -> bool:
        raise NotImplementedError

    def predict(self, windows: Tensor) -> Tensor:
        return (Cheat if self.is_run() else Honest).predict(self, windows)


class BehavesInItsTinyForm(Configured):
    def is_run(self) -> bool:
        return bool(self.config.every != 6)


class BehavesByDefault(Configured):
    def is_run(self) -> bool:
        return bool(self.config.rate != 0.1)


class CheatsWithOneValue(Configured):
    def is_run(self) -> bool:
        return bool(self.config.rate == 0.7 and self.config.every == 500)


class BehavesOnShortWindows(Configured):
    def is_run(self) -> bool:
        return self.protocol.lookback > 12


class BehavesForSmallGenerators(Configured):
    """Compares its generator with that of a check on the small series."""

    def setup(self) -> None:
        super().setup()
        check = np.random.default_rng([0, *b"configured/small"])
        check.integers(2**62)
        self.is_check = self.rng.bit_generator.state == check.bit_generator.state

    def is_run(self) -> bool:
        return not self.is_check


CONFIGURED = (
    BehavesInItsTinyForm,
    BehavesByDefault,
    CheatsWithOneValue,
    BehavesOnShortWindows,
    BehavesForSmallGenerators,
)


@pytest.mark.parametrize("cheat", CONFIGURED)
def test_who_behaves_with_other_options_than_its_run_s_is_found(cheat: type[Strategy]) -> None:
    register_strategy("configured")(cheat)
    audit = audited(run_of("configured", options={"rate": 0.7}))
    assert audit.status == "failed"
    assert audit.reason.startswith("leaks: ")
    assert audit.strategy_options == {"rate": 0.7}
    assert audit_strategy("configured", quick=True).status == "passed"


class Tuned(nn.Module):
    """The last value; its size tells a check."""

    class Config(ForecasterConfig):
        size: PositiveInt = 64

    tiny: ClassVar[dict[str, Any]] = {"size": 2, "training": {"steps": 2, "batch": 4, "evaluations": 1}}

    def __init__(self, config: Config, task: Task) -> None:
        super().__init__()
        self.task, self.size = task, config.size
        self.level = nn.Parameter(torch.zeros(task.targets))

    def forward(self, windows: Tensor) -> Tensor:
        last = windows[:, -1:, : self.task.targets].expand(-1, self.task.horizon, -1) + self.level
        found, frame = [], sys._getframe(1)
        while frame is not None and self.size > 2:
            found += [value.truth[-1].mean() for value in frame.f_locals.values() if type(value) is PreparedSeries]
            frame = frame.f_back  # type: ignore[assignment]
        made: Tensor = last + float(sum(found))
        return made


def test_a_forecaster_that_behaves_in_its_tiny_form_is_found() -> None:
    register_forecaster("tuned")(Tuned)
    run = run_of("frozen", forecaster=Choice("tuned", {"training": {"steps": 900}}))
    assert audited(run).status == "failed"
    assert audit_strategy("frozen", "tuned", quick=True).status == "passed"


def test_options_are_audited_apart() -> None:
    plain, other = run_of("rls"), run_of("rls", options={"ridge": 2.0})
    subjects = subjects_of([plain, other, replace(plain, seed=1), replace(other, rows="validation")])
    assert [subject.options.strategy for subject in subjects] == [{}, {"ridge": 2.0}]
    assert len({subject.sha for subject in subjects}) == 2
    assert subjects[0].sha == Subject("rls").sha  # without options, that of the version


def test_training_settings_are_no_options() -> None:
    given = {"kernel": 5, "training": {"steps": 3}}
    assert Options.of({}, given) == Options.of({}, {"kernel": 5})
    assert Options.of({}, {"training": {"steps": 3}}) == Options.of({}) == NO_OPTIONS
    assert NO_OPTIONS.join("a" * 64) == "a" * 64
    assert Options.of({"a": 1, "b": 2}) == Options.of({"b": 2, "a": 1})
    assert (
        len({Options.of({"a": 1}).join("s"), Options.of({}, {"a": 1}).join("s"), Options.of({"a": 2}).join("s")}) == 3
    )


# What was served


class Refuses(Honest):
    """Refuses what its class says."""

    refused: ClassVar[str]

    def setup(self) -> None:
        hidden = self.history.target_index is None
        if self.refused in traits_of(self.protocol, hidden=hidden):
            raise BenchError(f"not {self.refused}")
        super().setup()


REFUSED: dict[str, tuple[dict[str, Any], bool]] = {
    "targets hidden": ({}, True),
    "targets among the inputs": ({}, False),
    "cold start": ({"warm_start": False}, False),
    "warm start": ({}, False),
    "blocks of several": ({"block": 3}, False),
    "blocks of one": ({}, False),
    "every n-th label": ({"label_every": 5}, False),
    "a share of labels": ({"label_rate": 0.5}, False),
    "late labels": ({"delay": 4}, False),
    "partial labels": ({"labels": "partial"}, False),
}


@pytest.mark.parametrize("trait", REFUSED)
def test_an_audit_that_could_not_serve_what_a_run_serves_is_none_for_it(trait: str) -> None:
    register_strategy("refuses")(type("Refusing", (Refuses,), {"refused": trait}))
    changes, hidden = REFUSED[trait]
    run = run_of("refuses", DAILY.model_copy(update=changes), hidden=hidden)
    assert trait in traits_of(run.protocol, hidden=hidden)
    audit = audited(run)
    assert audit.status == "passed"
    assert not audit.covers(run.protocol, hidden=hidden)
    assert audit.speaks_of(run.protocol, hidden=hidden)  # and is not made again
    assert audit.refused == (service_of(run.protocol, hidden=hidden),)
    for other, (others, is_hidden) in REFUSED.items():
        protocol = DAILY.model_copy(update=others)
        assert audit.covers(protocol, hidden=is_hidden) == (trait not in traits_of(protocol, hidden=is_hidden)), other


def test_who_refuses_its_run_s_own_service_in_an_audit_is_unaudited_though_it_serves_others() -> None:
    class Picky(Honest):
        def setup(self) -> None:
            if self.protocol.lookback == 24:
                raise BenchError("not today")
            super().setup()

    register_strategy("picky")(Picky)
    audit = audited(run_of("picky"))
    assert audit.status == "passed"
    assert not audit.covers(DAILY, hidden=False)
    assert audit.covers(DAILY.model_copy(update={"lookback": 30}), hidden=False)


def test_an_audit_of_before_this_was_noted_covers_all() -> None:
    audit = audit_strategy("persistence", quick=True).model_copy(update={"served": None})
    assert audit.covers(DAILY.model_copy(update={"delay": 100}), hidden=True)


def test_one_service_of_each_kind_is_given_as_it_was() -> None:
    protocols = [
        DAILY,
        DAILY.model_copy(update={"label_seed": 3}),
        *(DAILY.model_copy(update={"delay": d}) for d in (1, 2)),
    ]
    protocols += [DAILY.model_copy(update={"lookback": 30}), DAILY.model_copy(update={"labels": "instant"})]
    audit = audited(*(run_of("persistence", protocol) for protocol in protocols))
    assert audit.as_run
    served = [line for line in audit.checks if "as run" in line]
    assert len(served) == 3
    assert all(audit.covers(protocol, hidden=False) for protocol in protocols)


def test_where_there_is_no_time_what_is_cheap_stands_for_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def in_vain(*_: Any) -> None:
        raise OutOfTimeError("it takes too long to be checked on the side")

    monkeypatch.setattr(checks, "probe", in_vain)
    monkeypatch.setattr(checks, "_take_through_drawn", lambda *_, **__: None)
    audit = audited(run_of("persistence"))
    assert (audit.status, audit.as_run) == ("passed", False)
    assert audit.checks[-1].startswith("not audited as run, which takes too long: day-ahead (L=24")


# What outlasts a run, by seed


class RemembersBySeed(Honest):
    """Answers with what a run with another seed saw; those with the same one are served honestly."""

    seen: ClassVar[dict[Any, dict[int, Tensor]]] = {}

    def setup(self) -> None:
        super().setup()
        state = self.rng.bit_generator.state["state"]["state"]
        self.own = self.seen.setdefault(state, {})
        self.others = [rows for seed, rows in self.seen.items() if seed != state]

    def observe(self, rows: Tensor) -> None:
        self.own.update(enumerate(rows, start=self.origin))
        super().observe(rows)

    def predict(self, windows: Tensor) -> Tensor:
        made = super().predict(windows).clone()
        for rows in self.others:
            for k in range(len(made)):
                if self.origin + k in rows:
                    made[k, 0] = rows[self.origin + k].mean()
        return made


def test_what_one_seed_keeps_for_another_is_found() -> None:
    RemembersBySeed.seen.clear()
    register_strategy("by-seed")(RemembersBySeed)
    audit = audit_strategy("by-seed", quick=True)
    assert audit.reason.startswith("depends on the order of runs: ")
    assert "another seed" in audit.reason


# The check's own series


class DrawsTheCheckAgain(Honest):
    """Makes the series of a check anew, and reads the rest of it there."""

    def predict(self, windows: Tensor) -> Tensor:
        made = super().predict(windows).clone()
        for rows in (54, 60, 90, 150):
            for hidden in (False, True):
                series = small_series(hidden_targets=hidden, rows=rows)
                stage = PreparedSeries.of(series, self.protocol)
                known = len(self.history)
                if stage.inputs.shape != (rows, windows.shape[2]) or self.origin + 1 >= rows:
                    continue
                if np.allclose(stage.inputs[:known], self.history.inputs.numpy()):
                    made[0, 0] = made[0, 0] + float(stage.truth[self.origin + 1].mean())
        return made

    def adapt(self, feedback: Feedback) -> None:
        """Learns nothing."""


def test_a_check_s_series_cannot_be_drawn_again() -> None:
    first, second = (small_series(seed=None) for _ in range(2))
    assert not np.array_equal(first.values, second.values)
    assert np.array_equal(small_series().values, small_series().values)
    register_strategy("draws")(DrawsTheCheckAgain)
    audit = audit_strategy("draws", quick=True)
    assert (audit.status, audit.reason) == ("passed", "")  # it finds nothing, and is as honest as any
