"""Data are their content: wherever a user's file lies and however it is written, it is one dataset; no path is kept."""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench import load_results
from bench.contracts.config import build
from bench.contracts.errors import BenchError
from bench.contracts.naming import Called, plain_command, shortest, titles, without_places
from bench.contracts.outcomes import known, known_subjects
from bench.contracts.strategy import STRATEGIES
from bench.evaluation.run import RunPaths, execute, load_series
from bench.evaluation.run_spec import RunSpec, earlier_run_id, run_id, run_id_of_path
from bench.execution.experiment import Experiment, expand
from bench.execution.overrides import filtered
from bench.execution.tune.tuning import plan
from bench.report import write_report
from bench.results.merging import merge
from bench.results.record import DatasetRecord
from bench.results.store import Store

from ..conftest import Bench, Write
from ..sessions import change, store_of
from ..small_titans import ROW_TOKENS


def waves(seed: int = 0) -> str:
    t = np.arange(400)
    noise = 0.1 * np.random.default_rng(seed).normal(size=(400, 2))
    values = np.stack([np.sin(t / 4), np.cos(t / 3)], axis=1) + noise
    return "\n".join(["a,b", *(f"{a:.4f},{b:.4f}" for a, b in values)]) + "\n"


def spellings(folder: Path) -> list[str | dict[str, Any]]:
    """One file, by its path, by links, in other folders, under other names, as Parquet, in other writing."""
    text = waves()
    for name in ("waves.csv", "sub/waves.csv", "a folder/other name.csv"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    (folder / "semicolons.csv").write_text(text.replace(",", ";"))
    (folder / "link.csv").symlink_to(folder / "waves.csv")
    (folder / "linked").symlink_to(folder / "sub")
    pd.read_csv(folder / "waves.csv").to_parquet(folder / "waves.parquet")
    return [
        "csv:waves.csv",
        "csv:./waves.csv",
        f"csv:{folder}/waves.csv",
        f"csv:{folder}/sub/../waves.csv",
        "csv:sub/waves.csv",
        "csv:link.csv",
        "csv:linked/waves.csv",
        "csv:a folder/other name.csv",
        {"name": "csv", "path": "waves.csv"},
        {"name": "csv:waves.csv", "label": "Waves"},
        {"name": "csv:semicolons.csv", "sep": ";"},
        "parquet:waves.parquet",
    ]


def experiment(
    *datasets: str | dict[str, Any], strategies: tuple[str, ...] = ("persistence", "rls"), **more: Any
) -> Experiment:
    values = {"name": "e", "protocol": {"lookback": 12, "horizon": 3}, "strategies": strategies, "datasets": datasets}
    return build(Experiment, values | {"engine": "inline", "timing_blocks": 0} | more, "test")


RIDGES = {"sampler": "grid", "grid": {"rls.ridge": [1.0, 2.0]}}


@pytest.mark.usefixtures("registries")
def test_a_file_is_one_dataset_however_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    family = spellings(tmp_path)
    ids = [{run.run_id for run in expand(experiment(value), "cpu")} for value in family]
    assert all(found == ids[0] for found in ids)
    runs = expand(experiment(*family), "cpu")
    assert len(runs) == 2
    assert {run.shown for run in runs} == {"Waves"}
    grid = plan(experiment(*family, tune=RIDGES), "cpu")
    assert {search.title for search in grid} == {"Waves"}
    assert sum(len(search.trials) for search in grid) == 2
    kept = filtered(experiment({"name": "csv:waves.csv", "horizon": 2}), datasets=[f"csv:{tmp_path}/link.csv"])
    assert kept.datasets == [{"name": "csv:waves.csv", "horizon": 2}]


@pytest.mark.usefixtures("registries")
def test_files_of_one_name_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Write) -> None:
    monkeypatch.chdir(tmp_path)
    for i in range(3):
        write(f"{i}/waves.csv", waves(i))
    runs = expand(experiment("csv:0/waves.csv", "csv:1/waves.csv", "csv:2/waves.csv"), "cpu")
    assert len({run.run_id for run in runs}) == 6
    shown = {run.shown for run in runs}
    assert len(shown) == 3
    assert all(name.startswith("csv:waves.csv [") and "/" not in name for name in shown)
    searches = plan(experiment("csv:0/waves.csv", "csv:1/waves.csv", tune=RIDGES), "cpu")
    assert len({search.title for search in searches}) == 2
    same = {"name": "csv:0/waves.csv", "targets": ["a"]}
    assert {run.shown for run in expand(experiment("csv:0/waves.csv", same), "cpu")} == {
        "csv:waves.csv",
        "csv:waves.csv (targets=['a'])",
    }


@pytest.mark.usefixtures("registries")
def test_an_id_of_a_built_in_dataset_is_as_it_was(tmp_path: Path) -> None:
    """As versions before this one made them, label or not."""
    for value in ("abrupt-mean", {"name": "abrupt-mean", "label": "Jumps"}):
        [run] = expand(experiment(value, strategies=("persistence",)), "cpu")
        assert run.identity == run.dataset.name == "abrupt-mean"
        series = load_series(run)
        assert run.run_id == run_id(replace(run, data=""), series) == run_id_of_path(run, series, "abrupt-mean")


@pytest.mark.parametrize("label", ["", " x", "x\ny", "x" * 61, 3, "\x1b[0m"])
@pytest.mark.usefixtures("registries")
def test_a_label_is_a_line_of_text(label: Any) -> None:
    with pytest.raises(BenchError, match="label"):
        expand(experiment({"name": "abrupt-mean", "label": label}), "cpu")


def test_titles_are_unique_whatever_names_labels_and_options_come_together() -> None:
    drawn = random.Random(0)
    for _ in range(300):
        called = [
            Called(
                drawn.choice(["csv:x.csv", "parquet:x", "etth1", "x"]),
                drawn.choice("0123") * 64,
                drawn.choice(["", "", "x", "csv:x.csv"]),
                drawn.choice([{}, {"sep": ";"}]),
            )
            for _ in range(drawn.randint(1, 8))
        ]
        names = titles(called)
        assert set(names) == {one.key for one in called}
        assert len({title.name for title in names.values()}) == len(names)


FOLDERS = ["/home/me", "/tmp/a b", "/data/é", "~/x", "C:\\users\\me"]


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_text_keeps_a_folder(folder: str) -> None:
    sep = "\\" if "\\" in folder else "/"
    path = f"{folder}{sep}in{sep}my.csv"
    words = plain_command(" ".join(f"'{before}{path}'" for before in ("", "csv:", "--results=", "m.w=")))
    for text in (words, without_places(f'File "{path}", line 3'), without_places(f"No such file: '{path}'")):
        assert "my.csv" in text
        assert folder not in text
        assert f"in{sep}" not in text
    record = DatasetRecord(
        name=f"csv:{path}", given={"path": path}, fingerprint="", rows=1, inputs=[], targets=[], borders=(1, 1, 1)
    )
    assert (record.name, record.given) == ("csv:my.csv", {})
    assert DatasetRecord.model_validate(record.model_dump()).name == "csv:my.csv"


def test_places_are_told_apart_by_as_few_folders_as_need_be() -> None:
    assert shortest(["/home/me/results/a", "results/b"]) == ["a", "b"]
    assert shortest(["/x/r/a", "/y/r/a", "."]) == ["x/r/a", "y/r/a", "here"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("a person's folder")


def holds(folder: Path, text: str) -> list[str]:
    """Files in which a text stands."""
    return [str(file) for file in folder.rglob("*") if file.is_file() and text.encode() in file.read_bytes()]


FAILS = """
    from bench import Strategy, register_strategy

    @register_strategy("fails")
    class Fails(Strategy):
        "Fails."

        def predict(self, windows):
            open("{folder}/there is none.csv")
"""


@pytest.mark.usefixtures("unaudited", "without_report")
def test_what_is_published_holds_no_path(tiny: Path, bench: Bench, write: Write) -> None:
    here = tiny.parent
    for i in range(2):
        write(f"{i}/waves.csv", waves(i))
    plugin = write("plugins/fails.py", FAILS.format(folder=here))
    labelled = f'{{ name = "csv", path = "{here}/1/waves.csv", label = "One" }}'
    text = f'"csv:{here}/0/waves.csv", {labelled}, "csv:waves.csv"'
    change(tiny, datasets=f"[{text}]", strategies='["persistence", "fails"]', timing_blocks="0")
    ran = bench("run", tiny, "--plugins", plugin)
    assert "Now: 2 failed, 2 ok" in ran.err
    assert bench("results", "export", "all.csv").status == 0
    write_report(here / "results" / "tiny", here / "reports" / "tiny", page=True)
    for place in ("results", "reports"):
        assert holds(here / place, str(here)) == []
        assert holds(here / place, here.name) == []
    assert str(here) not in (here / "all.csv").read_text()
    frame = load_results(here / "results")
    assert set(frame["dataset"]) == {"csv:waves.csv", "One"}
    report = (here / "reports" / "tiny" / "README.md").read_text()
    assert "One" in report
    assert "No such file or directory: 'there is none.csv'" in report
    [failed] = {
        record.traceback for record in store_of(tiny).records() if record.traceback and record.dataset.called.label
    }
    assert 'File "fails.py"' in failed
    assert 'File "bench/' in failed
    board = bench("leaderboard", here / "results" / "tiny")
    assert str(here) not in board.out
    # the label is what the experiment says now, though nothing is run for it
    tiny.write_text(tiny.read_text().replace('"One"', '"Two"'))
    assert "Now: 2 failed; 2 kept" in bench("run", tiny, "--plugins", plugin).err
    assert set(load_results(here / "results")["dataset"]) == {"csv:waves.csv", "Two"}


@pytest.fixture
def unaudited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.execution.session.audit_missing", lambda *_, **__: None)


@pytest.mark.usefixtures("unaudited", "without_report")
def test_one_file_in_two_places_is_one_in_merge_compare_and_leaderboard(tiny: Path, bench: Bench, write: Write) -> None:
    here = tiny.parent
    change(tiny, timing_blocks="0")
    write("copy/of waves.csv", (here / "waves.csv").read_text())
    write("copy/waves.csv", waves(7))
    assert bench("run", tiny, "--results", "one").status == 0
    change(tiny, datasets='["csv:copy/of waves.csv", "csv:copy/waves.csv"]')
    assert bench("run", tiny, "--results", "two").status == 0
    ran = bench("compare", "one", "two", "--all")
    assert "2 runs compared: 0 worse, 0 slower, 2 only in B" in ran.out
    board = bench("leaderboard", "one", "two").out
    assert board.count("## csv:") == 2
    assert "| persistence" in board.split("## csv:waves.csv")[1].split("##")[0]
    merged = merge([here / "one", here / "two"], here / "both")
    assert (merged.taken, merged.same, merged.conflicts) == (4, 2, [])
    assert load_results(here / "both")["dataset"].nunique() == 2
    change(tiny, datasets='["csv:waves.csv", "csv:copy/waves.csv"]')
    assert "Now: nothing to do; 4 kept" in bench("run", tiny, "--results", "both").err
    # an edited file is the same file, and is not compared with what it was
    write("waves.csv", waves(8))
    change(tiny, datasets='["csv:waves.csv"]')
    assert "changed: data of csv:waves.csv" in bench("run", tiny, "--results", "one", "--strategy", "rls").err
    assert len(load_results(here / "one")) == 2


def under(run: RunSpec, store: Store, old: str, **more: Any) -> None:
    """Put a run's results under an id of an earlier version, and list it so."""
    record = store.read(run.run_id)
    assert record is not None
    store.copy_as(run.run_id, record.model_copy(update={"run_id": old, **more}))
    shutil.rmtree(store.folder / run.run_id)
    cell = json.dumps(
        [run.strategy.name, {}, None, "csv:/an/old/place/waves.csv", {}, run.protocol.model_dump(), run.seed]
    )
    store.write_manifest({old: cell}, keep=True)


@pytest.mark.parametrize("version", ["by path", "schema 2"])
@pytest.mark.usefixtures("unaudited", "without_report")
def test_results_made_under_a_path_are_found_again(
    tiny: Path, bench: Bench, write: Write, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    write("noisy.py", NOISY)
    change(tiny, strategies='["persistence", "noisy"]', timing_blocks="0")
    assert bench("run", tiny, "--plugins", "noisy.py").status == 0
    store, made = store_of(tiny), {}
    monkeypatch.chdir(tiny.parent)

    def age(run: RunSpec) -> None:
        name, series = "csv:/an/old/place/waves.csv", load_series(run)
        entry = STRATEGIES[run.strategy.name]
        now = known(entry.subject, entry.code)
        if version == "by path":
            under(run, store, run_id_of_path(run, series, name))
        elif now:
            under(run, store, earlier_run_id(run, series, now.earlier[0], dataset=name))

    from bench.contracts.discovery import load_plugins
    from bench.execution.experiment import load_experiment

    from ..conftest import forgetting

    (store.folder / "runs.json").unlink()
    with forgetting():
        load_plugins(["noisy.py"])
        for run in expand(load_experiment("tiny.toml"), "cpu"):
            made[run.strategy.name] = store.read(run.run_id)
            age(run)
    ran = bench("run", tiny, "--plugins", "noisy.py")
    assert "Kept from an earlier version of this package: 1 runs." in ran.err
    if version == "by path":
        assert "as the random numbers of a strategy depended on the path of your file: 1 runs" in ran.err
    records = {record.strategy.name: record for record in store.records()}
    before = made["persistence"]
    assert before is not None
    assert records["persistence"].errors == before.errors
    assert records["persistence"].run_id == before.run_id
    assert records["persistence"].dataset.name == "csv:waves.csv"
    assert "earlier version" not in bench("run", tiny, "--plugins", "noisy.py").err


NOISY = """
    from bench import Strategy, register_strategy

    @register_strategy("noisy")
    class Noisy(Strategy):
        "The last row, and noise."

        def predict(self, windows):
            last = windows[:, -1:].expand(-1, self.protocol.horizon, -1)
            return last + float(self.rng.normal())
"""


@pytest.mark.usefixtures("registries", "short_parts")
def test_the_file_of_outcomes_knows_who_draws_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whose forecasts do not depend on what seeds the generator are kept from versions that seeded it by a path."""
    monkeypatch.chdir(tmp_path)
    training = {"steps": 4, "batch": 4, "evaluations": 1, "validation_windows": 16}
    options = STRATEGIES_OPTIONS
    draws = {}
    for name in sorted(s.partition(" ")[2] for s in known_subjects() if s.startswith("strategy ")):
        cls = STRATEGIES[name].cls
        tiny = {"name": name} | dict(cls.tiny if cls.group == "literature" else {})
        tiny |= {"every": 60} if name == "retrain" else {}
        other = {"any-window": "gru", "controllers": "fsnet-tcn", "functional": "dlinear"}
        forecasters = [{"name": other[need]} for need in cls.needs if need in other]
        if cls.uses_forecaster and not forecasters:
            forecasters = [{"name": "titans", **options}]
        dataset = {"name": "abrupt-mean", "rows": 160}
        [run] = expand(experiment(dataset, strategies=(tiny,), forecasters=forecasters, training=training), "cpu")  # type: ignore[arg-type]
        place = RunPaths(tmp_path, tmp_path / ".checkpoints")
        errors = [execute(replace(run, data=data), place)[0].errors for data in ("one", "another")]
        assert errors[0] is not None
        draws[name] = errors[0] != errors[1]
    assert draws == {name: known_subjects()[f"strategy {name}"].draws for name in draws}


STRATEGIES_OPTIONS = ROW_TOKENS | {"dim": 8, "heads": 1, "dim_head": 8, "depth": 1, "walk_share": 0.0}


OPEN = """
    from pathlib import Path

    from bench import Strategy, StrategyConfig, register_strategy

    @register_strategy("opens")
    class Opens(Strategy):
        "Reads a number from a file."

        class Config(StrategyConfig):
            weights: str

        def setup(self):
            self.weight = float(Path(self.config.weights).read_text())

        def predict(self, windows):
            return self.weight * windows[:, -1:].expand(-1, self.protocol.horizon, -1)
"""


@pytest.mark.usefixtures("without_report")
def test_a_path_among_options_is_served_and_audited_and_not_kept(tiny: Path, bench: Bench, write: Write) -> None:
    here = tiny.parent
    weights, plugin = write("in/weights.txt", "0.5"), write("opens.py", OPEN)
    change(tiny, strategies=f'[{{ name = "opens", weights = "{weights}" }}]', timing_blocks="0")
    assert "Now: 1 ok" in bench("run", tiny, "--plugins", plugin).err
    assert holds(here / "results", str(here)) == []
    frame = load_results(here / "results")
    assert frame["audit"].tolist() == ["unaudited"]  # `bench check` knows no weights
    assert json.loads(frame["strategy_config"][0])["weights"].startswith("weights.txt [")
    assert "nothing to do" in bench("run", tiny, "--plugins", plugin).err
