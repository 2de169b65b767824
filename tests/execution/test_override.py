"""``--set NAME.FIELD=VALUE`` reaches every option of every plug-in of an experiment, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench import BenchError
from bench.contracts.config import build
from bench.evaluation.run_spec import forecaster_config, strategy_config
from bench.execution.experiment import Experiment, expand
from bench.execution.overrides import Override, override, parse_value, split_target

from ..conftest import Bench

pytestmark = pytest.mark.usefixtures("registries")


def changed(*texts: str, **values: Any) -> Experiment:
    given = {"name": "e", "strategies": ["rls"], "datasets": ["realistic-drift"]} | values
    return override(build(Experiment, given, "test"), [Override.parse(text) for text in texts])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("attention", "attention"),
        ("mean-std", "mean-std"),
        ('"two words"', "two words"),
        ("1e-5", 1e-5),
        ("16", 16),
        ("true", True),
        ("[1, 2]", [1, 2]),
        ('["OT"]', ["OT"]),
        ("{ steps = 3 }", {"steps": 3}),
        ("2020-01-01", "2020-01-01"),
        ("", ""),
        ("1\nother = 2", "1\nother = 2"),
    ],
)
def test_values_are_read_as_in_toml(text: str, value: Any) -> None:
    assert parse_value(text) == value
    assert type(parse_value(text)) is type(value)


@pytest.mark.parametrize(
    ("target", "split"),
    [
        ("titans.dim", ("titans", ("dim",))),
        ("titans-c.online_lr", ("titans-c", ("online_lr",))),
        ("titans.training.steps", ("titans", ("training", "steps"))),
        ("csv:a.b.csv.horizon", ("csv:a.b.csv", ("horizon",))),
        ("my.own.rate", ("my.own", ("rate",))),
    ],
)
def test_a_name_may_have_dots_in_it(target: str, split: tuple[str, tuple[str, ...]]) -> None:
    assert split_target(target, ["titans", "titans-c", "csv:a.b.csv", "my", "my.own"]) == split


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("titans.dim", r"'titans.dim' is not an option of a plug-in: write NAME.FIELD=VALUE"),
        ("dim=3", r"'dim=3' is not an option of a plug-in: write NAME.FIELD=VALUE"),
        (
            "rsl.ridge=3",
            r"Unknown plug-in of this experiment 'rsl'. Did you mean 'rls'\? Available: realistic-drift, rls",
        ),
        ("rls.=3", "'rls.' names no option: write NAME.FIELD"),
    ],
)
def test_what_is_not_there_is_refused(text: str, message: str) -> None:
    with pytest.raises(BenchError, match=message):
        changed(text)


def test_an_option_changes_wherever_the_plug_in_is_named() -> None:
    experiment = changed(
        "titans.dim=16",
        "titans.training.steps=7",
        "titans-a.memory_max_lr=0.5",
        "titans-a.memory_max_lr=0.25",
        'realistic-drift.inputs=["feature1"]',
        strategies=["persistence", "@core"],
        forecasters=["titans", {"name": "titans", "dim": 8, "depth": 1}, "dlinear"],
        training={"batch": 4},
    )
    assert experiment.datasets == [{"name": "realistic-drift", "inputs": ["feature1"]}]
    found = expand(experiment, "cpu")
    for run in found:
        if run.forecaster and run.forecaster.name == "titans":
            config = forecaster_config(run.forecaster)
            assert (config.dim, config.training.steps, config.training.batch) == (16, 7, 4)
        elif run.forecaster:
            assert forecaster_config(run.forecaster).training.steps == 2000
        if run.strategy.name.startswith("titans-"):
            assert strategy_config(run.strategy).memory_max_lr == (0.25 if run.strategy.name == "titans-a" else None)
    assert {"persistence", "titans-a", "titans-b"} <= {run.strategy.name for run in found}
    configs = [forecaster_config(r.forecaster) for r in found if r.forecaster and r.forecaster.name == "titans"]
    assert {config.depth for config in configs} == {1, 2}


def test_without_overrides_an_experiment_stays_as_it_is() -> None:
    assert changed() == changed(strategies=["rls"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "titans.memory_modle=attention",
            "forecaster 'titans': unknown option 'memory_modle'. Did you mean 'memory_model'",
        ),
        (
            "titans.memory_model=atention",
            "forecaster 'titans': option 'memory_model': input should be 'mlp', 'attention'",
        ),
        ("titans.training.step=1", "forecaster 'titans': unknown option 'training.step'. Did you mean 'steps'"),
        ("rls.forgetting=fast", "strategy 'rls': option 'forgetting': input should be a valid number"),
    ],
)
def test_the_plug_ins_own_checks_apply(text: str, message: str) -> None:
    with pytest.raises(BenchError, match=message):
        expand(changed(text, strategies=["rls", "titans-a"], forecasters=["titans"]), "cpu")


@pytest.mark.usefixtures("without_report")
def test_the_command_line_sets_an_option(bench: Bench, tiny: Path, tmp_path: Path) -> None:
    ran = bench("run", tiny, "--strategy", "rls", "--set", "rls.forgetting=0.5", "--set", "csv:waves.csv.horizon=2")
    assert ran.status == 0, ran.err
    (record,) = (tmp_path / "results" / "tiny").glob("*/record.json")
    assert '"forgetting": 0.5' in record.read_text() or '"forgetting":0.5' in record.read_text()
    ran = bench("run", tiny, "--set", "rsl.forgetting=0.5")
    assert ran.status == 2
    assert "Unknown plug-in of this experiment 'rsl'. Did you mean 'rls'?" in ran.err
