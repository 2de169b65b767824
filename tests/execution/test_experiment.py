"""From TOML to runs: groups, options, mistakes, and ids that follow what decides an outcome and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import BenchError, Dataset, DatasetConfig, DriftSeries, ForecasterConfig, register_dataset
from bench.contracts.config import build
from bench.contracts.discovery import home, load_plugins
from bench.contracts.forecaster import TrainingConfig, register_forecaster
from bench.contracts.strategy import STRATEGIES
from bench.evaluation.run_spec import Choice, RunSpec, forecaster_config
from bench.execution.experiment import Experiment, expand, experiment_files, load_experiment, with_plugins
from bench.execution.overrides import filtered
from bench.execution.resources import engine_of
from bench.testing import small_series

from ..conftest import Bench, Write, forgetting


@pytest.fixture(autouse=True)
def _small(registries: None) -> None:
    """A dataset that costs nothing."""

    class SmallConfig(DatasetConfig):
        seed: int = 0
        hidden: bool = False

    @register_dataset("small")
    class Small(Dataset):
        """A small one."""

        Config = SmallConfig

        def load(self) -> DriftSeries:
            return small_series(seed=self.config.seed, hidden_targets=self.config.hidden)


def make(**values: Any) -> Experiment:
    given = {"name": "e", "strategies": ["persistence"], "datasets": ["small"]} | values
    return build(Experiment, given, "test")


def runs(**values: Any) -> list[RunSpec]:
    return expand(make(**values), "cpu")


def only(**values: Any) -> RunSpec:
    (run,) = runs(**values)
    return run


def named(found: list[RunSpec]) -> list[tuple[str, str | None]]:
    return [(run.strategy.name, run.forecaster.name if run.forecaster else None) for run in found]


@pytest.fixture
def strategy_file(write: Write) -> Path:
    return write(
        "mine.py",
        """
        from bench import Strategy, StrategyConfig, register_strategy

        @register_strategy("mine")
        class Mine(Strategy):
            "One of mine."

            class Config(StrategyConfig):
                rate: float = 0.5
        """,
    )


def test_a_file_becomes_runs(write: Write) -> None:
    path = write(
        "first.toml",
        """
        protocol = { preset = "online", lookback = 6, label_every = 4 }
        strategies = ["persistence", { name = "rls", forgetting = 0.99 }, "frozen"]
        forecasters = ["ridge", { name = "dlinear", kernel = 3 }]
        datasets = ["small", { name = "small", seed = 7 }]
        seeds = [3, 4]
        threads = 2
        """,
    )
    found = expand(load_experiment(str(path)), "cpu")
    assert len(found) == 2 * 2 * 4 == len({run.run_id for run in found})
    assert {run.experiment for run in found} == {"first"}
    assert [run.dataset for run in found] == [Choice("small", {})] * 8 + [Choice("small", {"seed": 7})] * 8
    expected = [("persistence", None), ("rls", None), ("frozen", "ridge"), ("frozen", "dlinear")]
    assert named(found[:8:2]) == expected
    assert [run.seed for run in found] == [3, 4] * 8
    assert found[2].strategy.options == {"forgetting": 0.99}
    for run in found:
        protocol = run.protocol
        assert (protocol.name, protocol.lookback, protocol.horizon, protocol.label_every) == ("online", 6, 3, 4)
        assert (run.device, run.threads, run.skip) == ("cpu", 2, "")
    assert found[-1].label == "frozen (dlinear) on small, seed 4"
    assert found[0].label == "persistence on small, seed 3"


def test_each_protocol_of_a_list_is_run_on_each_dataset(write: Write) -> None:
    path = write(
        "regimes.toml",
        """
        protocol = ["dense", { preset = "dense", label_rate = 0.1 }, { preset = "dense", label_rate = 1.0 }]
        strategies = ["rls", "frozen"]
        forecasters = ["ridge"]
        datasets = ["small", { name = "small", seed = 7 }]
        seeds = [0, 1]
        """,
    )
    found = expand(load_experiment(str(path)), "cpu")
    assert len(found) == 2 * 2 * 2 * 2 == len({run.run_id for run in found})  # the third protocol is the first
    assert [run.dataset.options for run in found] == [{}] * 8 + [{"seed": 7}] * 8
    assert [run.protocol.label_rate for run in found] == ([1.0] * 4 + [0.1] * 4) * 2
    alone = expand(load_experiment(str(path)).model_copy(update={"protocol": "dense"}), "cpu")
    assert [run.run_id for run in alone] == [run.run_id for run in found if run.protocol.label_rate == 1]


def test_defaults() -> None:
    made = make()
    assert (made.protocol, made.seeds, made.device, made.threads) == ("day-ahead", [0], "auto", 1)
    assert (made.engine, made.timing_blocks) == ("processes", 50)


@pytest.mark.parametrize("name", sorted(path.stem for path in (home() / "experiments").glob("*.toml")))
def test_the_experiments_that_come_along_can_be_read(name: str) -> None:
    found = load_experiment(name)
    assert found.name == name
    runs = expand(found.model_copy(update={"datasets": ["no-drift"]}), "cpu")
    assert all(STRATEGIES[run.strategy.name] for run in runs)


def test_experiments_of_the_working_folder_win(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = 'strategies = ["rls"]\ndatasets = ["small"]\n'
    write("experiments/smoke.toml", text)
    write("experiments/own.toml", text)
    monkeypatch.chdir(tmp_path)
    assert {"default", "smoke", "own"} <= set(experiment_files())
    assert load_experiment("smoke").strategies == load_experiment("own").strategies == ["rls"]
    assert load_experiment("default").strategies != ["rls"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("strategys = []", "unknown option 'strategys'. Did you mean 'strategies'? Options: datasets, device"),
        ("seeds = []", "option 'seeds': list should have at least 1 item"),
        ("seeds = [-1]", "option 'seeds.0': input should be greater than or equal to 0 (got -1)"),
        ("threads = 0", "option 'threads': input should be greater than 0"),
        ("timing_blocks = -1", "option 'timing_blocks': input should be greater than or equal to 0"),
        ('name = "Not A Name"', "name 'Not A Name' must be lower-case letters, digits"),
        ("seeds = [", "not a TOML file: "),
        ("\xff", "not a TOML file: "),
    ],
)
def test_mistakes_in_the_file(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(('strategies = ["rls"]\ndatasets = ["small"]\n' + text).encode("latin-1"))
    with pytest.raises(BenchError) as caught:
        load_experiment(str(path))
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"none\.toml: no such experiment file"):
        load_experiment(str(tmp_path / "none.toml"))
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(BenchError, match=r"folder\.toml: no such experiment file"):
        load_experiment(str(tmp_path / "folder.toml"))
    with pytest.raises(BenchError, match=r"Unknown experiment 'defalt'\. Did you mean 'default'\?"):
        load_experiment("defalt")
    (tmp_path / "mine.toml").write_text("")
    with pytest.raises(BenchError, match=r"Unknown experiment '(.*mine)'\. Did you mean '\1\.toml'\?"):
        load_experiment(str(tmp_path / "mine"))
    path = tmp_path / "empty.toml"
    path.write_text("")
    with pytest.raises(BenchError, match="option 'strategies': field required"):
        load_experiment(str(path))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"strategies": ["rsl"]}, "Unknown strategy 'rsl'. Did you mean 'rls'? Available: "),
        ({"strategies": ["@cores"]}, "Unknown group of strategies '@cores'. Did you mean '@core'? Available: @control"),
        ({"strategies": [{"name": "rls", "forgeting": 1}]}, "strategy 'rls': unknown option 'forgeting'. Did you mean"),
        ({"strategies": [{"name": "rls", "forgetting": 2}]}, "strategy 'rls': option 'forgetting': input should be"),
        ({"strategies": [{"forgetting": 0.9}]}, "a strategy given as a table needs a name: {'forgetting': 0.9}"),
        ({"strategies": [{"name": ["rls"]}]}, "a strategy given as a table needs a name"),
        ({"datasets": ["smal"]}, "Unknown dataset 'smal'. Did you mean 'small'? Available: "),
        ({"datasets": [{"name": "small", "sead": 1}]}, "dataset 'small': unknown option 'sead'. Did you mean 'seed'?"),
        ({"datasets": [{"seed": 1}]}, "a dataset given as a table needs a name"),
        ({"forecasters": ["rigde"]}, "Unknown forecaster 'rigde'. Did you mean 'ridge'? Available: dlinear, fits, "),
        ({"forecasters": [{"name": "ridge", "penalti": 1}]}, "forecaster 'ridge': unknown option 'penalti'. Did you"),
        ({"forecasters": [{"name": "ridge", "training": 3}]}, "forecaster 'ridge': option 'training': input should be"),
        ({"forecasters": ["dlinear"], "training": {"stepz": 3}}, "unknown option 'training.stepz'. Did you mean 'step"),
        ({"protocol": "onlin"}, "Unknown protocol preset 'onlin'. Did you mean 'online'?"),
        ({"protocol": {"lokback": 3}}, "protocol: unknown option 'lokback'. Did you mean 'lookback'?"),
        ({"protocol": []}, "experiment 'e' lists no protocol. Name one, or leave the key out."),
        ({"protocol": ["dense", {"lokback": 3}]}, "protocol: unknown option 'lokback'. Did you mean 'lookback'?"),
        ({"strategies": ["frozen"]}, "strategy 'frozen' adapts a forecaster, but the experiment names none (forecaste"),
        ({"strategies": ["@user"]}, "experiment 'e' selects no strategy"),
    ],
)  # fmt: skip
def test_mistakes_in_names_and_options(values: dict[str, Any], message: str) -> None:
    with pytest.raises(BenchError) as caught:
        runs(**values)
    assert message in str(caught.value)


def test_groups(strategy_file: Path) -> None:
    load_plugins([strategy_file])
    forecasters = ["ridge"]
    core = [entry.name for entry in STRATEGIES if entry.cls.group == "core"]
    assert "rls" in core
    assert "mine" not in core
    assert [s for s, _ in named(runs(strategies=["@core"], forecasters=forecasters))] == core
    assert [s for s, _ in named(runs(strategies=["@user"]))] == ["mine"]
    # one that is listed on its own, with options, is not added again by its group
    listed = [{"name": "rls", "forgetting": 0.9}, "@core", "@user"]
    found = runs(strategies=listed, forecasters=forecasters)
    assert [s for s, _ in named(found)] == ["rls", *(name for name in core if name != "rls"), "mine"]


def test_a_strategy_without_a_forecaster_runs_once_whatever_the_list() -> None:
    assert named(runs(strategies=["persistence", "frozen"], forecasters=["ridge", "dlinear"])) == [
        ("persistence", None),
        ("frozen", "ridge"),
        ("frozen", "dlinear"),
    ]


def test_what_cannot_be_is_a_run_that_is_skipped_with_its_reason() -> None:
    found = runs(strategies=["titans-a"], forecasters=["dlinear", "titans"])
    assert [run.skip for run in found] == ["titans-a needs memory, which dlinear lacks", ""]


def test_a_strategy_that_needs_gradients_and_memory() -> None:
    found = runs(strategies=["titans-c"], forecasters=["ridge"])
    assert [run.skip for run in found] == ["titans-c needs gradients and memory, which ridge lacks"]


def test_what_is_said_twice_is_one_run() -> None:
    strategies = ["rls", "rls", {"name": "rls"}, {"name": "rls", "forgetting": 0.9999}]
    assert len(runs(strategies=strategies, datasets=["small", "small"], seeds=[0, 0])) == 1
    assert len(runs(strategies=["frozen"], forecasters=["ridge", {"name": "ridge", "penalty": 1.0}])) == 1
    assert len(runs(datasets=["small", {"name": "small", "seed": 0}])) == 1


def test_dates_in_options_are_text(write: Write) -> None:
    class Since(DatasetConfig):
        since: str = ""

    @register_dataset("since")
    class From(Dataset):
        """A small one."""

        Config = Since

        def load(self) -> DriftSeries:
            assert self.config.since == "2024-01-31"
            return small_series()

    path = write("e.toml", 'strategies = ["rls"]\ndatasets = [{ name = "since", since = 2024-01-31 }]\n')
    (run,) = expand(load_experiment(str(path)), "cpu")
    assert run.dataset.options == {"since": "2024-01-31"}


def test_training_settings_merge() -> None:
    class OwnConfig(ForecasterConfig):
        training: TrainingConfig = TrainingConfig(steps=7, lr=0.5, batch=11)

    @register_forecaster("own")
    class Own:
        """With settings of its own."""

        Config = OwnConfig

    def settings(**values: Any) -> TrainingConfig:
        run = only(strategies=["frozen"], **values)
        assert run.forecaster
        found = forecaster_config(run.forecaster).training
        assert isinstance(found, TrainingConfig)
        return found

    assert settings(forecasters=["own"]) == TrainingConfig(steps=7, lr=0.5, batch=11)
    general = {"steps": 9, "clip": 2.0}
    assert settings(forecasters=["own"], training=general) == TrainingConfig(steps=9, lr=0.5, batch=11, clip=2.0)
    table = {"name": "own", "training": {"steps": 3}}
    assert settings(forecasters=[table], training=general) == TrainingConfig(steps=3, lr=0.5, batch=11, clip=2.0)
    own = TrainingConfig(steps=9, clip=2.0, evaluations=30, patience=10)  # dlinear's, where the table says nothing
    assert settings(forecasters=["dlinear"], training=general) == own


def test_a_forecaster_may_require_an_option() -> None:
    class Wide(ForecasterConfig):
        width: int

    @register_forecaster("wide")
    class Forecaster:
        """It must be told how wide."""

        Config = Wide

    with pytest.raises(BenchError, match="forecaster 'wide': option 'width': field required"):
        runs(strategies=["frozen"], forecasters=["wide"])
    assert len(runs(strategies=["frozen"], forecasters=[{"name": "wide", "width": 3}])) == 1


IDS = """
import json, sys
from bench.execution.experiment import expand, load_experiment
from bench.contracts.discovery import load_plugins
load_plugins()
print(json.dumps([run.run_id for run in expand(load_experiment(sys.argv[1]), "cpu")]))
"""


def test_ids_are_the_same_in_every_process(tiny: Path) -> None:
    text = tiny.read_text().replace("[]", '["dlinear"]').replace('["persistence", "rls"]', '["@core"]')
    tiny.write_text(text.replace("waves.csv", str(tiny.parent / "waves.csv")))
    here = [run.run_id for run in expand(load_experiment(str(tiny)), "cpu")]
    assert len(here) == len(set(here)) > 5
    assert all(len(name) == 20 and int(name, 16) >= 0 for name in here)
    there = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", IDS, str(tiny)],
        env=os.environ | {"PYTHONHASHSEED": "7"},
        cwd=tiny.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(there.stdout) == here


def ids(**values: Any) -> dict[str, str]:
    return {run.strategy.name: run.run_id for run in runs(**values)}


def test_ids_follow_what_decides() -> None:
    plain: dict[str, Any] = {"strategies": ["frozen"], "forecasters": ["dlinear"]}
    changes: list[dict[str, Any]] = [
        {},
        {"strategies": ["retrain"]},
        {"strategies": [{"name": "retrain", "every": 50}]},
        {"forecasters": ["ridge"]},
        {"forecasters": [{"name": "dlinear", "kernel": 3}]},
        {"training": {"steps": 5}},
        {"seeds": [1]},
        {"protocol": "online"},
        {"protocol": {"label_every": 2}},
        {"protocol": {"warm_start": False}},
        {"protocol": {"lookback": 11}},
        {"datasets": [{"name": "small", "seed": 1}]},
        {"datasets": [{"name": "small", "hidden": True}]},
    ]
    found = [only(**(plain | change)).run_id for change in changes]
    found.append(expand(make(**plain), "cuda")[0].run_id)
    assert len(set(found)) == len(found)


def test_ids_do_not_follow_what_decides_nothing() -> None:
    strategies: list[str | dict[str, Any]] = ["persistence", "rls", "seasonal-naive"]
    plain = ids(strategies=strategies)
    assert ids(strategies=strategies, name="other") == plain
    assert ids(strategies=strategies[::-1]) == plain
    assert ids(strategies=strategies, forecasters=["ridge"], training={"steps": 3}) == plain
    changes: list[dict[str, Any]] = [{"threads": 4}, {"engine": "serial"}, {"timing_blocks": 0}]
    for change in changes:
        assert ids(strategies=strategies, **change) == plain
    # an option spelt out at its default, and the recipe of a forecaster that brings its own fit
    assert ids(strategies=[{"name": "rls", "ridge": 1.0}])["rls"] == plain["rls"]
    closed: dict[str, Any] = {"strategies": ["frozen"], "forecasters": ["ridge"]}
    assert ids(**closed) == ids(**closed, training={"steps": 3})


def test_ids_follow_the_values_of_the_data(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(100, 2)).round(3)
    path = tmp_path / "d.csv"

    def found() -> str:
        np.savetxt(path, values, delimiter=",", header="a,b", comments="", fmt="%.3f")
        return only(datasets=[f"csv:{path}"], protocol={"lookback": 5, "horizon": 2}).run_id

    first = found()
    values[-1, 0] += 1  # a stream row
    second = found()
    values[-1, 0] -= 1
    assert first != second
    assert found() == first


def test_ids_follow_the_plug_in_s_file(strategy_file: Path) -> None:
    def found() -> tuple[str, str]:
        with forgetting():
            load_plugins([strategy_file])
            both = ids(strategies=["mine", "rls"])
        return both["mine"], both["rls"]

    first = found()
    text = strategy_file.read_text()
    strategy_file.write_text(text + "# a thought\n")
    assert found() == first
    strategy_file.write_text(text + "THOUGHT = 1\n")
    edited = found()
    strategy_file.write_text(text)
    assert edited[0] != first[0]
    assert edited[1] == first[1]
    assert found() == first


def test_narrow_filters_and_adds() -> None:
    full = make(strategies=["@core", {"name": "rls", "ridge": 2.0}], datasets=["small", "etth2"], seeds=[0, 1])
    assert filtered(full) == full
    found = filtered(full, ["rls", "titans-b-stale", "persistence"], ["small"], [7], device="cpu", threads=None)
    assert found.strategies == [{"name": "rls", "ridge": 2.0}, "titans-b-stale", "persistence"]
    assert found.datasets == ["small"]
    assert found.seeds == [7]
    assert found.device == "cpu"
    assert found.threads == full.threads
    assert filtered(full, datasets=["csv:new.csv"]).datasets == ["csv:new.csv"]
    assert filtered(full, ["@control"]).strategies == ["@control"]
    assert full.seeds == [0, 1]


def test_narrow_checks_what_it_is_given() -> None:
    with pytest.raises(BenchError, match=r"Unknown engine 'slurm'\. Available: inline, processes, ray, serial"):
        engine_of(filtered(make(), engine="slurm"))
    with pytest.raises(BenchError, match=r"command line: option 'seeds\.0'"):
        filtered(make(), seeds=[-3])


def test_what_comes_by_plugins_joins_and_can_be_filtered() -> None:
    plain = make(strategies=["rls"], datasets=["small"])
    joined = with_plugins(plain, ["mine"], ["wide"], ["walk"])
    assert joined.strategies == ["rls", "mine"]
    assert joined.forecasters == ["wide"]
    assert joined.datasets == ["small", "walk"]
    assert filtered(with_plugins(plain, ["mine"], [], ["walk"]), ["rls"], ["small"]) == plain
    assert filtered(joined, ["mine"]).strategies == ["mine"]
    assert plain.strategies == ["rls"]


def test_forecasters_join_where_none_is_named_and_are_chosen_by_name() -> None:
    named = make(strategies=["frozen"], forecasters=["dlinear", {"name": "tcn", "depth": 2}])
    joined = with_plugins(named, [], ["wide"], [])
    assert joined.forecasters == named.forecasters
    assert filtered(joined, forecasters=["tcn", "wide"]).forecasters == [{"name": "tcn", "depth": 2}, "wide"]


def test_what_joins_is_not_added_where_it_is_listed() -> None:
    listed = make(
        strategies=[{"name": "mine", "rate": 0.1}],
        forecasters=["wide", {"name": "deep"}],
        datasets=["walk", {"name": "small"}],
    )
    assert with_plugins(listed, ["mine"], ["deep", "wide"], ["walk", "small"]) == listed
    with pytest.raises(BenchError, match="a strategy given as a table needs a name"):
        with_plugins(make(strategies=[{"rate": 0.1}]), [], [], [])


def test_who_cannot_give_up_takes_no_timeout() -> None:
    with pytest.raises(BenchError, match=r"'inline' has no worker that a timeout could end: .* processes, ray, serial"):
        engine_of(filtered(make(), engine="inline", timeout=3.0))


MINE = """
from bench import Strategy, register_strategy

@register_strategy("{0}")
class Mine(Strategy):
    def predict(self, windows):
        return windows[:, -1:].expand(-1, self.protocol.horizon, -1)
"""


def test_an_experiment_names_its_plugins(tiny: Path, bench: Bench, write: Write) -> None:
    """Their paths are relative to its file; those of ``--plugins`` join besides."""
    write("sub/mine.py", MINE.format("mine"))
    write("sub/deeper/others.py", MINE.format("unlisted"))
    told = tiny.read_text().replace('["persistence", "rls"]', '["persistence", "mine"]')
    there = write("sub/tiny.toml", told + '\nplugins = ["mine.py", "deeper"]\n')
    ran = bench("run", there, "--dry-run", "--plugins", write("third.py", MINE.format("third")))
    assert ran.status == 0, ran.err
    assert {"persistence", "mine", "third"} <= set(ran.out.split())
    assert "unlisted" not in ran.out
    assert bench("run", there, "--dry-run", "--plugins", "sub/mine.py").status == 0  # both ways: it is loaded once
    write("sub/tiny.toml", told + '\nplugins = ["gone.py"]\n')
    ran = bench("run", there, "--dry-run")
    assert ran.status == 2
    assert "tiny.toml: plugins names 'gone.py': no such file or folder. Its path is relative to" in ran.err
