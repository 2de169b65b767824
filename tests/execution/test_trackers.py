"""Trackers are handed each run that a session carried out, and cannot fail one."""

from __future__ import annotations

import json
import re
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.contracts.config import build
from bench.contracts.tracker import TRACKERS, FinishedRun, Tracker

from ..conftest import Bench, Write

ROOT = Path(__file__).parents[2]


@pytest.fixture
def lines(write: Write) -> Path:
    """The tracker that the page on trackers shows."""
    text = (ROOT / "docs" / "trackers.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    return write("lines.py", example)


def test_the_tracker_of_the_documentation_hears_of_each_run_once(
    tiny: Path, bench: Bench, lines: Path, without_report: None
) -> None:
    ran = bench("run", tiny, "--plugins", lines, "--tracker", "lines")
    assert ran.status == 0, ran.err
    heard = [json.loads(line) for line in (tiny.parent / "runs.jsonl").read_text().splitlines()]
    assert sorted(run["strategy"] for run in heard) == ["persistence", "rls"]
    (rls,) = (run for run in heard if run["strategy"] == "rls")
    assert rls["status"] == "ok"
    assert rls["protocol.horizon"] == 3
    assert rls["strategy.forgetting"] == 0.9999
    assert rls["mse"] > 0
    assert rls["predict_p50_ms"] > 0
    assert bench("run", tiny, "--plugins", lines, "--tracker", "lines").status == 0
    assert len((tiny.parent / "runs.jsonl").read_text().splitlines()) == 2  # nothing was run again


def test_a_tracker_that_fails_is_said_once_and_fails_no_run(
    tiny: Path, bench: Bench, lines: Path, without_report: None
) -> None:
    tiny.write_text(f'trackers = [{{ name = "lines", file = "nowhere/runs.jsonl" }}]\n{tiny.read_text()}')
    ran = bench("run", tiny, "--plugins", lines)
    assert ran.status == 0, ran.err
    assert "2 ok" in ran.err
    assert ran.err.count("tracker 'lines' failed, and is left out from now on: FileNotFoundError") == 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ('"mflow"', r"Unknown tracker 'mflow'\. Did you mean 'mlflow'\?"),
        ('{ name = "mlflow", url = "here" }', r"tracker 'mlflow': unknown option 'url'\. Did you mean 'uri'\?"),
        ('"wandb"', r"the tracker 'wandb' needs wandb: pip install 'adaptbench\[trackers\]'"),
    ],
)
def test_mistakes_are_said_before_anything_runs(
    given: str, message: str, tiny: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    tiny.write_text(f"trackers = [{given}]\n{tiny.read_text()}")
    ran = bench("run", tiny)
    assert ran.status == 2
    assert re.search(message, ran.err.replace("\n", " "))
    assert not (tiny.parent / "results").exists()


def made(name: str, here: Path, **options: Any) -> Tracker:
    cls = TRACKERS[name].cls
    return cls(build(cls.Config, options, name), "tiny", here)


def run(**more: Any) -> FinishedRun:
    fields = {"run_id": "abc", "experiment": "tiny", "name": "rls on waves, seed 0", "status": "ok"} | more
    many = {f"strategy.option{i}": i for i in range(120)}
    return FinishedRun(
        **fields, parameters={"strategy": "rls", **many}, values={"mse": 0.25}, curves={"mse_by_lead": [0.1, 0.4]}
    )


@pytest.mark.skipif(find_spec("mlflow") is None, reason="needs mlflow-skinny")
@pytest.mark.filterwarnings("default")
def test_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # a store in files needs nothing else
    from mlflow.tracking import MlflowClient

    uri = (tmp_path / "store").as_uri()
    tracker = made("mlflow", tmp_path, uri=uri)
    tracker.log(run())
    tracker.log(run(run_id="def", status="failed", reason="ValueError: no"))
    client: Any = MlflowClient(tracking_uri=uri)
    found = client.search_runs([client.get_experiment_by_name("tiny").experiment_id])
    states = {one.data.tags["bench.run_id"]: one.info.status for one in found}
    assert states == {"abc": "FINISHED", "def": "FAILED"}
    (good,) = (one for one in found if one.info.status == "FINISHED")
    assert good.info.run_name == "rls on waves, seed 0"
    assert len(good.data.params) == 121
    assert good.data.metrics["mse"] == 0.25
    leads = client.get_metric_history(good.info.run_id, "mse_by_lead")
    assert [(one.step, one.value) for one in leads] == [(1, 0.1), (2, 0.4)]


@pytest.mark.skipif(find_spec("tensorboard") is None, reason="needs tensorboard")
@pytest.mark.filterwarnings("default")
def test_tensorboard(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    made("tensorboard", tmp_path, folder=str(tmp_path)).log(run())
    events = EventAccumulator(str(tmp_path / "tiny" / "abc"))
    events.Reload()
    assert [(one.step, round(one.value, 3)) for one in events.Scalars("mse_by_lead")] == [(1, 0.1), (2, 0.4)]
    assert [one.value for one in events.Scalars("mse")] == [0.25]


def test_wandb_is_called_as_it_documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a stand-in: the package is large, and its service elsewhere."""
    heard: list[Any] = []
    there = SimpleNamespace(
        log=heard.append, summary=SimpleNamespace(update=heard.append), finish=lambda exit_code: heard.append(exit_code)
    )

    def init(**given: Any) -> Any:
        heard.append(given)
        return there

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init))
    made("wandb", tmp_path, mode="offline").log(run(status="failed", reason="no"))
    given, first, second, summary, status = heard
    assert (given["project"], given["mode"], given["config"]["strategy"]) == ("tiny", "offline", "rls")
    assert [first, second] == [{"lead": 1, "mse_by_lead": 0.1}, {"lead": 2, "mse_by_lead": 0.4}]
    assert summary == {"mse": 0.25, "status": "failed", "reason": "no"}
    assert status == 1
