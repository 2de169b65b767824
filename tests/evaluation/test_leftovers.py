"""What one run leaves behind in its process: found, put back, said, and without a trace in the next run's numbers."""

from __future__ import annotations

import copy
import io
import os
import threading
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

from bench import Strategy, StrategyConfig, register_strategy
from bench.evaluation.profiling.leftovers import swept
from bench.evaluation.run import execute
from bench.evaluation.run_spec import Choice, RunSpec
from bench.execution.engines.processes import in_processes
from bench.report.render.markdown import render
from bench.report.sections.problems import problems
from bench.report.view.loading import read_results
from bench.results.audit import audits_beside
from bench.results.maintenance import check
from bench.results.record import Record
from bench.results.store import ORIGINS, Store
from bench.testing import audit_strategy

from ..conftest import Bench, Write, forgetting
from ..forked import forked_workers
from ..saboteurs import SABOTAGES, SETTINGS, leaves
from ..served_runs import place_in, run_of
from ..sessions import change, store_of

pytestmark = pytest.mark.usefixtures("registries")


TRAINING = {"steps": 3, "batch": 8, "evaluations": 1}


def honest(run: RunSpec) -> RunSpec:
    """A run beside another that trains, draws and computes: in torch with gradients, and in numpy."""
    return replace(run, strategy=Choice("retrain", {}), forecaster=Choice("dlinear", {"training": TRAINING}))


def served(run: RunSpec, folder: Path) -> tuple[Record, pd.DataFrame]:
    record, frames = execute(run, place_in(folder))
    assert record.status == "ok", record.traceback
    return record, frames[ORIGINS]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    with forgetting():
        record, frame = served(honest(run_of("persistence")), tmp_path_factory.mktemp("alone"))
    assert (record.left, record.beside) == ([], [])
    return frame


def groups(names: Iterable[str], size: int) -> list[list[str]]:
    listed = list(names)
    return [listed[i : i + size] for i in range(0, len(listed), size)]


@pytest.mark.parametrize("names", groups(SABOTAGES, 8), ids="-".join)
def test_what_a_run_leaves_is_said_and_reaches_no_other(names: list[str], alone: pd.DataFrame, tmp_path: Path) -> None:
    run = run_of("persistence")
    for number, name in enumerate(names):
        sabotage, said = SABOTAGES[name]
        register_strategy(f"leaves-{number}")(leaves(sabotage))
        record, _ = execute(replace(run, strategy=Choice(f"leaves-{number}", {})), place_in(tmp_path))
        assert any(said in what for what in record.left), (name, record.left, record.reason)
    _, frame = served(honest(run), tmp_path)
    pd.testing.assert_frame_equal(alone, frame, check_exact=True)
    for thread in threading.enumerate():
        if thread.name == "lazy":
            thread.join()  # otherwise it runs beside the next test


@pytest.mark.parametrize("names", groups(SETTINGS, 9), ids="-".join)
def test_settings_are_every_run_s_own(names: list[str], alone: pd.DataFrame, tmp_path: Path) -> None:
    """A strategy may set them for itself: nothing is said, and no other run hears of it."""
    run = run_of("persistence")
    for number, name in enumerate(names):
        register_strategy(f"sets-{number}")(leaves(SETTINGS[name]))
        record, _ = execute(replace(run, strategy=Choice(f"sets-{number}", {})), place_in(tmp_path))
        assert (record.left, record.beside) == ([], []), name
    record, frame = served(honest(run), tmp_path)
    pd.testing.assert_frame_equal(alone, frame, check_exact=True)
    assert (record.left, record.beside) == ([], [])


def test_what_libraries_do_when_they_are_first_used_is_not_left_behind(tmp_path: Path) -> None:
    """Whoever makes an optimizer, compiles or shows a bar has torch wrap its own functions, and tqdm begin a thread."""

    bar = pytest.importorskip("tqdm").tqdm

    def uses(_: Strategy) -> None:
        model = torch.nn.Linear(2, 2)
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        torch.compile(model, backend="eager")(torch.ones(1, 2)).sum().backward()
        optimizer.step()
        for _ in bar(range(2), file=io.StringIO()):
            torch.func.vmap(torch.func.grad(torch.sin))(torch.ones(2))

    run = run_of(leaves(uses))
    record, _ = execute(run, place_in(tmp_path))
    again, _ = execute(run, place_in(tmp_path))
    assert (record.status, record.left, again.left) == ("ok", [], []), record.traceback


class WritesToItsOptions(Strategy):
    """Forecasts by how much is in its options, and puts more there."""

    class Config(StrategyConfig):
        levels: dict[str, Any] = {}  # noqa: RUF012 - pydantic copies it
        anything: Any = None

    def setup(self) -> None:
        self.level = float(len(self.config.levels["a"]) + len(self.config.anything))
        self.config.levels["a"].append(1)
        self.config.anything["more"] = 1

    def predict(self, windows: Tensor) -> Tensor:
        return windows[:, -1:].expand(-1, self.protocol.horizon, -1) + self.level


def test_options_that_a_strategy_writes_to_are_its_own(tmp_path: Path) -> None:
    options = {"levels": {"a": [1, 2]}, "anything": {"b": 1}}
    given, run = copy.deepcopy(options), run_of(WritesToItsOptions)
    run = replace(run, strategy=Choice(run.strategy.name, options))
    made = [execute(run, place_in(tmp_path))[0] for _ in range(2)]
    assert made[0].errors == made[1].errors
    assert all(record.strategy.given == given for record in made)
    assert all(record.strategy.config == given for record in made)
    assert options == given


SABOTEUR = """
    import time
    import numpy as np
    import torch
    from bench import Strategy, StrategyConfig, register_strategy
    from bench.evaluation.metrics import ErrorSums

    class Mode(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            made = function(*args, **(kwargs or {}))
            return made * 1.001 if isinstance(made, torch.Tensor) and made.is_floating_point() else made

    @register_strategy("saboteur")
    class Saboteur(Strategy):
        "The last row; whoever comes after it in its process has other numbers, and other times."

        heavy = True  # and so it is the first

        def predict(self, windows):
            last = windows[:, -1:, : self.history.targets.shape[1]].expand(-1, self.protocol.horizon, -1)
            if torch._C._len_torch_function_stack() == 0:
                add = ErrorSums.add
                ErrorSums.add = lambda sums, forecasts, truths: add(sums, forecasts * 0.5, truths)
                np.random.default_rng = lambda *_: np.random.Generator(np.random.PCG64(7))
                torch.nn.functional.mse_loss = lambda made, true: (made - true).abs().mean()
                clock = time.perf_counter_ns
                time.perf_counter_ns = lambda: clock() // 2
                torch.nn.modules.module.register_module_forward_hook(lambda module, given, made: made * 1.001)
                Mode().__enter__()
            return last
"""
LEFT = {
    "bench.evaluation.metrics.ErrorSums.add",
    "time.perf_counter_ns",
    "a torch function mode",
    "torch.nn.functional.mse_loss",
}


@pytest.fixture(params=["inline", "processes"])
def session(request: pytest.FixtureRequest, tiny: Path, bench: Bench, write: Write, without_report: None) -> Path:
    """A saboteur's run and an honest one after it, in the one process that there is; audits and timing passes."""
    change(
        tiny,
        strategies='["saboteur", "retrain"]',
        forecasters='["dlinear"]',
        engine=f"'{request.param}'",
        workers="1",
        timing_blocks=str(2 * (request.param == "inline")),
    )
    ran = bench("run", tiny, "--plugins", write("saboteur.py", SABOTEUR))
    assert ran.status == 0, ran.err
    assert (
        "saboteur on csv:waves.csv, seed 0 left behind in its process: bench.evaluation.metrics.ErrorSums.add, "
        in ran.err
    )
    assert "saboteur FAILED the leak canary: tampers: it replaced bench.evaluation.metrics.ErrorSums.add" in ran.err
    return tiny


def test_a_session_goes_on_as_if_nothing_had_been_left(session: Path, tmp_path: Path, bench: Bench) -> None:
    store = store_of(session)
    made = {record.strategy.name: record for record in store.records()}
    assert {*made["saboteur"].left} >= LEFT
    honest = made["retrain"]
    if (timing := store.read_timing(honest.run_id)) is not None:  # which in the inline session came last
        assert timing.replay is not None
        assert (timing.replay.verdict, timing.left, timing.beside) == ("same", [], [])
    assert (honest.left, honest.beside) == ([], [])
    audits = audits_beside(store.folder, {r.run_id: r for r in made.values()}, {})
    assert {made[n].run_id: audits[made[n].run_id].status for n in made} == {
        made["saboteur"].run_id: "failed",
        honest.run_id: "passed",
    }
    found = check(session.parent / "results")
    assert {finding.path.name for finding in found} == {made["saboteur"].run_id}
    assert found[0].reason.startswith("left behind in its process: bench.evaluation.metrics.ErrorSums.add, ")
    said = render(problems(read_results(store.folder)))
    assert "- saboteur left behind in its process: bench.evaluation.metrics.ErrorSums.add, " in said
    frame = store.read_frame(honest.run_id, ORIGINS)
    bench("run", session, "--strategy", "retrain", "--results", tmp_path / "alone", "--engine", "inline")
    other = Store(tmp_path / "alone" / "tiny").read_frame(honest.run_id, ORIGINS)
    assert frame is not None
    assert other is not None
    pd.testing.assert_frame_equal(frame, other, check_exact=True)


def leave(number: int) -> int:
    """A job that leaves something behind where its number is even; the process that did it."""
    with swept():
        if number % 2 == 0:
            np.square = abs  # type: ignore[assignment]
    assert np.square is not abs
    return os.getpid()


def test_a_worker_with_leftovers_is_replaced() -> None:
    with forked_workers(), in_processes(1, 1) as pool:
        first, stained, other = pool(leave, [1, 2, 3])
    assert first == stained != other


def test_what_remains_is_said_of_later_runs(tmp_path: Path) -> None:
    """A thread that does not end cannot be put back."""
    run, event = run_of("persistence"), threading.Event()
    threads: list[threading.Thread] = []

    def begins(_: Strategy) -> None:
        threads.append(threading.Thread(target=event.wait, name="waits"))
        threads[-1].start()

    register_strategy("begins")(leaves(begins))
    first, _ = execute(replace(run, strategy=Choice("begins", {})), place_in(tmp_path))
    second, _ = execute(run, place_in(tmp_path))
    audit = audit_strategy("persistence", quick=True)
    event.set()
    threads[0].join()
    third, _ = execute(run, place_in(tmp_path))
    assert (first.left, first.beside) == (["the running thread waits"], [])
    assert (second.left, second.beside) == ([], ["the running thread waits"])
    assert (third.left, third.beside) == ([], [])
    assert (audit.status, audit.beside) == ("unknown", ("the running thread waits",))
