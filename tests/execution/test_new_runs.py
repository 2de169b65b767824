"""What makes a run new, and that it is said; what is trained again; results of earlier versions of this package."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from bench import load_results
from bench.contracts.outcomes import Known, harness, known_subjects
from bench.evaluation.pretraining import Recipe
from bench.evaluation.run import execute
from bench.execution import worker
from bench.results.record import SCHEMA_VERSION
from bench.results.store import CHECKPOINTS, RECORD, Store

from ..conftest import Bench, Write
from ..sessions import change, mine, records, stamps, store_of

pytestmark = pytest.mark.usefixtures("without_report", "unaudited")


@pytest.fixture
def unaudited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Audits take seconds, and train small forecasters of their own."""
    monkeypatch.setattr("bench.execution.session.audit_missing", lambda *_, **__: None)


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables are not broken."""
    monkeypatch.setenv("COLUMNS", "400")


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the forecasters that are trained, in order."""
    names: list[str] = []
    train = Recipe.train

    def spy(self: Recipe, *args: Any) -> Any:
        names.append(self.name)
        return train(self, *args)

    monkeypatch.setattr(Recipe, "train", spy)
    return names


MODEL = """
    import torch
    from bench import ForecasterConfig, Strategy, register_forecaster, register_strategy
    from .layers import shift

    @register_forecaster("own")
    class Own(torch.nn.Module):
        "The last row, and a learned offset."

        def __init__(self, config, task):
            super().__init__()
            self.task, self.offset = task, torch.nn.Parameter(torch.zeros(task.horizon, task.targets))

        def forward(self, windows):
            return windows[:, -1:, list(self.task.target_index)] + shift(self.offset)

    @register_strategy("served")
    class Served(Strategy):
        "The forecaster, as it is."
        uses_forecaster = True

        def predict(self, windows):
            return self.forecaster(windows)
"""
LAYERS = """
    def shift(offset):
        return {factor} * offset.cumsum(dim=0)
"""


def model(write: Write, factor: float = 1.0) -> Path:
    """A package with a forecaster, whose architecture stands in a file of its own, and a strategy."""
    write("own/layers.py", LAYERS.format(factor=factor))
    return write("own/__init__.py", MODEL).parent


def test_an_edit_of_a_helper_trains_and_serves_its_model_again(tiny: Path, bench: Bench, write: Write) -> None:
    change(tiny, strategies='["persistence", "served"]', forecasters='["own", "dlinear"]', timing_blocks="0")
    path = model(write)
    assert "Now: 3 ok" in bench("run", tiny, "--plugins", path).err
    before, first = stamps(store_of(tiny).folder), records(tiny)
    model(write, factor=-0.5)
    ahead = bench("run", tiny, "--plugins", path, "--dry-run")
    assert "changed: own/layers.py" in ahead.out
    assert "1 to pre-train first" in ahead.out
    edited = bench("run", tiny, "--plugins", path)
    assert "changed: own/layers.py. New runs: served (own), served (dlinear)\n" in edited.err
    assert "Now: 2 ok; 1 kept from before" in edited.err
    assert stamps(store_of(tiny).folder).items() >= before.items()
    fresh = bench("run", tiny, "--plugins", path, "--results", "fresh")
    assert "changed" not in fresh.err
    found = records(tiny)["served+own"].errors
    assert found != first["served+own"].errors
    (tiny.parent / "results").rename(tiny.parent / "edited")
    assert "changed" not in bench("run", tiny, "--plugins", path).err
    assert found == records(tiny)["served+own"].errors  # what a new results folder holds


def test_what_changed_besides_files_is_named(
    tiny: Path, bench: Bench, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(tiny, timing_blocks="0")
    bench("run", tiny)
    text = (tiny.parent / "waves.csv").read_text()
    write("waves.csv", text + "0.5,0.5\n")
    assert "changed: data of csv:waves.csv. New runs: persistence, rls" in bench("run", tiny).err
    monkeypatch.setattr("bench.evaluation.run_spec.harness_sha", lambda: "another")
    monkeypatch.setattr("bench.evaluation.run.harness_sha", lambda: "another")
    monkeypatch.setattr("bench.execution.changes.harness_sha", lambda: "another")
    assert "changed: code of the harness. New runs: persistence, rls" in bench("run", tiny).err


@pytest.mark.parametrize(("option", "done"), [("--always", 3), ("--retrain", 2)])
def test_forecasters_are_trained_again_when_asked(
    tiny: Path, bench: Bench, trained: list[str], option: str, done: int
) -> None:
    change(tiny, strategies='["persistence", "frozen"]', forecasters='["dlinear", "ridge"]', timing_blocks="0")
    bench("run", tiny)
    assert sorted(trained) == ["dlinear", "ridge"]
    checkpoints = tiny.parent / "results" / CHECKPOINTS
    before, first = stamps(checkpoints), records(tiny)
    bench("run", tiny)
    assert len(trained) == 2
    ran = bench("run", tiny, option)
    assert f"Now: {done} ok; {3 - done} kept from before" in ran.err
    assert sorted(trained) == ["dlinear", "dlinear", "ridge", "ridge"]
    after = stamps(checkpoints)
    assert before.keys() == after.keys()
    assert not before.items() & after.items()
    assert {name: record.errors for name, record in records(tiny).items()} == {n: r.errors for n, r in first.items()}


def test_prune_removes_checkpoints_that_no_run_was_made_with(tiny: Path, bench: Bench, write: Write) -> None:
    change(tiny, strategies='["served"]', forecasters='["own", "dlinear"]', timing_blocks="0")
    path = model(write)
    bench("run", tiny, "--plugins", path)
    model(write, factor=2.0)
    bench("run", tiny, "--plugins", path)
    folder = tiny.parent / "results" / CHECKPOINTS
    assert len(list(folder.iterdir())) == 3
    ran = bench("results", "prune", "results/tiny")  # other experiments may need them
    assert "2 removed" in ran.out
    assert len(list(folder.iterdir())) == 3
    ran = bench("results", "prune", "results")
    assert "is a checkpoint that no run was made with" in ran.out
    assert {path.stem for path in folder.iterdir()} == {record.checkpoint for record in store_of(tiny).records()}
    assert "nothing to do" in bench("run", tiny, "--plugins", path).err


def test_labels_that_a_strategy_does_not_take_make_no_second_run(
    tiny: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[str, str]] = []

    def spy(run: Any, *rest: Any) -> Any:
        made.append((run.strategy.name, run.protocol.labels))
        return execute(run, *rest)

    monkeypatch.setattr(worker, "execute", spy)
    text = tiny.read_text().replace(
        "{ lookback = 12, horizon = 3 }", "{ lookback = 12, horizon = 3, labels = 'partial' }"
    )
    tiny.write_text(text)
    assert bench("run", tiny).status == 0
    first = records(tiny)
    tiny.write_text(text.replace("labels = 'partial'", "labels = 'matured'"))
    assert bench("run", tiny).status == 0
    second = records(tiny)
    assert sorted(made) == [("persistence", "matured"), ("persistence", "partial"), ("rls", "partial")]
    assert first["rls"].errors == second["rls"].errors
    assert (first["rls"].protocol.labels, second["rls"].protocol.labels) == ("partial", "matured")
    assert first["rls"].run_id != second["rls"].run_id
    assert bench("results", "check").status == 0


EARLIER = Path(__file__).parents[1] / "earlier"
PLUGINS = {
    "mine.py": '''
        """A strategy in one file."""

        from bench import Strategy, register_strategy


        @register_strategy("mine")
        class Mine(Strategy):
            """The mean of the window."""

            def predict(self, windows):
                return windows.mean(dim=1, keepdim=True).expand(-1, self.protocol.horizon, -1)
        ''',
    "with_helper.py": '''
        """A strategy that imports a library of its author's."""

        from bench import Strategy, register_strategy
        from half_of_mine import FACTOR


        @register_strategy("with-helper")
        class WithHelper(Strategy):
            """The mean of the window, times something."""

            def predict(self, windows):
                return FACTOR * windows.mean(dim=1, keepdim=True).expand(-1, self.protocol.horizon, -1)
        ''',
}


@pytest.fixture
def earlier(tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An experiment as version 0.1.0 of d535a99 left it, whose records had no identities of code."""
    shutil.copytree(EARLIER, tmp_path, dirs_exist_ok=True)
    change(tmp_path / "earlier.toml", engine='"inline"')  # a worker process would know the versions left out below
    for name, text in PLUGINS.items():
        write(f"plugins/{name}", dedent(text).removeprefix("\n"))
    write("library/half_of_mine.py", "FACTOR = 0.5\n")
    monkeypatch.syspath_prepend(tmp_path / "library")
    harness()  # of this package's code, before versions of distributions are left out of account
    monkeypatch.setattr(
        "bench.contracts.sources._distributions", lambda top: {"of any version": ""} if top in INSTALLED else {}
    )
    return tmp_path / "earlier.toml"


INSTALLED = ("numpy", "scipy", "torch", "pydantic", "titans_pytorch", "tensordict")


def test_runs_of_an_earlier_version_are_kept_where_nothing_else_can_have_changed(earlier: Path, bench: Bench) -> None:
    before = {record.strategy.name: record for record in Store(earlier.parent / "results" / "earlier").records()}
    version = json.loads((earlier.parent / "results" / "earlier" / before["mine"].run_id / RECORD).read_text())
    assert version["schema_version"] == 2
    ahead = bench("run", earlier, "--plugins", "plugins", "--dry-run")
    assert "5 runs: 2 kept, 3 to do" in ahead.out
    ran = bench("run", earlier, "--plugins", "plugins")
    assert "Kept from an earlier version of this package: 2 runs.\n" in ran.err
    assert "Made anew, as it did not note which files with-helper imports: 1 runs of an earlier version." in ran.err
    assert "Now: 3 ok; 2 kept from before; 3 timed alone." in ran.err
    after = {record.strategy.name: record for record in Store(earlier.parent / "results" / "earlier").records()}
    for name, record in after.items():
        assert record.schema_version == SCHEMA_VERSION
        assert record.run_id != before[name].run_id
        assert record.errors is not None
        kept = record.errors.model_copy(update={"metrics": {}})  # of rls too, whose number is another since then
        assert (kept == before[name].errors) == (name != "frozen")  # dlinear forecasts otherwise since then
        assert record.harness
    assert bench("results", "check", "results").status == 0
    frame = load_results(earlier.parent / "results").set_index("strategy")
    assert frame["timed_alone"].all()
    again = bench("run", earlier, "--plugins", "plugins")
    assert "Now: nothing to do; 5 kept from before; 0 timed alone." in again.err
    assert "earlier version" not in again.err
    assert "5 removed" in bench("results", "prune", "results").out


def test_no_run_is_kept_across_a_change_of_results(
    earlier: Path, bench: Bench, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither across an edit of the plug-in, nor across a harness that gives other results."""
    write("plugins/mine.py", mine("mine"))
    ran = bench("run", earlier, "--plugins", "plugins", "--dry-run")
    assert "5 runs: 1 kept, 4 to do" in ran.out
    subjects = known_subjects() | {"harness": Known(2, harness().content)}
    monkeypatch.setattr("bench.contracts.outcomes.known_subjects", lambda: subjects)
    assert "5 runs: 0 kept, 5 to do" in bench("run", earlier, "--plugins", "plugins", "--dry-run").out


def test_a_known_drift_makes_no_run_new_and_stands_in_all_records(tiny: Path, bench: Bench) -> None:
    assert bench("run", tiny).status == 0
    text, name = tiny.read_text(), '"csv:waves.csv"'
    for said in ('[{ time = 250, name = "holiday" }]', '[{ time = 250, name = "a strike" }]', "[]"):
        tiny.write_text(text.replace(name, f"{{ name = {name}, events = {said} }}"))
        assert "2 kept from before" in bench("run", tiny).err
        for record in store_of(tiny).records():
            assert [(event.row, event.name) for event in record.dataset.events] == (
                [] if said == "[]" else [(250, said.split('"')[1])]
            )
            assert "events" not in record.dataset.given
    assert bench("results", "check", "results").status == 0
