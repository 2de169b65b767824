"""Tuning end to end: trials on validation rows, the choice, the stream served with it and without."""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bench import load_results
from bench.analysis.tuning import grid_table
from bench.contracts.engine import Pool
from bench.contracts.strategy import STRATEGIES
from bench.evaluation.run import load_series
from bench.evaluation.run_spec import RunSpec
from bench.execution.engines.inline import Inline, InOrder
from bench.execution.experiment import Experiment, expand, load_experiment, pairs_of
from bench.execution.tune.design import design
from bench.execution.tune.options import TuneOptions
from bench.execution.tune.tuning import Search, as_told, plan
from bench.report.view.comparisons import tuned_beside_default
from bench.report.view.loading import read_results
from bench.report.view.tuning import read_tuning
from bench.results.record import Record
from bench.results.store import CHOSEN, RECORD, TRIALS, Store
from bench.results.trials import SERVED, Trial, listed_trials, read_served, read_trials

from ..conftest import Bench, Write
from ..sessions import change

pytestmark = pytest.mark.usefixtures("without_report")

GRID = '{ "rls.ridge" = [0.1, 10.0], "rls.forgetting" = [0.9, 0.999] }'


@pytest.fixture
def swept(tiny: Path) -> Path:
    """The tiny experiment with four points for ``rls`` and two seeds."""
    change(tiny, seeds="[0, 1]", tune=f"{{ sampler = 'grid', grid = {GRID} }}")
    return tiny


def folder_of(tiny: Path) -> Path:
    return tiny.parent / "results" / tiny.stem


def trials(tiny: Path) -> pd.DataFrame:
    return read_trials(folder_of(tiny))


def records(tiny: Path) -> list[Record]:
    return list(Store(folder_of(tiny) / TRIALS).records())


def chosen(tiny: Path) -> dict[str, dict[str, Any]]:
    """The chosen options by strategy."""
    table = grid_table(trials(tiny))
    return {row["strategy"]: json.loads(row["point"]) for _, row in table[table["chosen"]].iterrows()}


def snippet(tiny: Path) -> dict[str, Any]:
    (path,) = (folder_of(tiny) / TRIALS / CHOSEN).iterdir()
    return tomllib.loads(path.read_text())


def test_the_grid_is_tried_chosen_and_served(swept: Path, bench: Bench) -> None:
    ran = bench("tune", swept)
    assert ran.status == 0, ran.err
    assert "Validation rows: Now: 8 ok; 0 kept from before; 0 timed alone." in ran.err
    assert "Stream: Now: 6 ok; 0 kept from before; 3 timed alone." in ran.err
    assert ran.out.strip().endswith("reports/tiny/README.md")
    found = trials(swept)
    assert len(found) == 8
    assert found["status"].eq("ok").all()
    means = found.groupby("point", sort=False)["val_mse"].mean()
    assert list(means.index) == [
        json.dumps({"ridge": ridge, "forgetting": forgetting}) for ridge in (0.1, 10.0) for forgetting in (0.9, 0.999)
    ]
    best = json.loads(str(means.idxmin()))
    assert chosen(swept) == {"rls": best}
    # the stream is served with it, and with the options as they were
    served = list(Store(folder_of(swept)).records())
    given = {(record.strategy.name, json.dumps(record.strategy.given)) for record in served}
    assert given == {("persistence", "{}"), ("rls", "{}"), ("rls", json.dumps(best))}
    assert {record.rows for record in served} == {"stream"}
    # the choice is an experiment that is ready to run, and that has been run already
    text = snippet(swept)
    assert text["strategies"] == ["persistence", {"name": "rls", **best}]
    assert text["datasets"] == ["csv:waves.csv"]
    path = swept.with_name("again.toml")
    path.write_text(next((folder_of(swept) / TRIALS / CHOSEN).iterdir()).read_text())
    assert path.read_text().strip() in ran.out
    bench("run", path, "--engine", "inline")
    again = load_results(swept.parent / "results" / "tiny-tuned")
    assert set(again["run_id"]) < set(load_results(folder_of(swept))["run_id"])


def test_one_pool_tries_and_serves(swept: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster of the session's own starts once; no worker of the trials is left when the stream is served."""
    pools: list[InOrder] = []

    class Counted(InOrder):
        closed = 0

        def close(self) -> None:
            self.closed += 1

    @contextmanager
    def counting(*_: object) -> Iterator[Pool]:
        pools.append(Counted())
        yield pools[-1]

    monkeypatch.setattr(Inline, "pool", counting)
    assert bench("tune", swept).status == 0
    (pool,) = pools
    assert isinstance(pool, Counted)
    assert pool.closed == 2


def test_the_validation_error_is_that_of_the_run_over_the_stream(swept: Path, bench: Bench) -> None:
    change(swept, strategies='["rls", "frozen"]', forecasters='["dlinear"]')
    change(swept, tune='{ sampler = "grid", grid = { "rls.ridge" = [1.0], "dlinear.kernel" = [3] } }')
    bench("tune", swept)
    stream = {(r.strategy.name, r.seed): r for r in Store(folder_of(swept)).records()}
    assert len(records(swept)) == len(stream) == 4
    for record in records(swept):
        other = stream[record.strategy.name, record.seed]
        assert other.errors is not None
        assert record.val_mse == other.errors.val_mse
        assert record.run_id != other.run_id
        assert (record.rows, record.errors, record.timing) == ("validation", None, None)


def test_what_is_swept_is_in_no_leaderboard(swept: Path, bench: Bench) -> None:
    bench("tune", swept, "--no-serve")
    assert not list(folder_of(swept).glob(f"[!_]*/{RECORD}"))
    assert len(records(swept)) == 8
    bench("run", swept)
    frame = load_results(swept.parent / "results")
    assert len(frame) == 4
    assert frame["mse"].notna().all()
    assert load_results(folder_of(swept))["run_id"].tolist() == frame["run_id"].tolist()
    assert len(load_results(folder_of(swept) / TRIALS)) == 8
    assert len(read_results(folder_of(swept)).board) == 2


@pytest.mark.parametrize("text", ["[]", "{", '{"r1": 1}', ""])
def test_a_damaged_note_of_what_was_served_is_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / TRIALS).mkdir()
    (tmp_path / TRIALS / SERVED).write_text(text)
    assert read_served(tmp_path) == {}


def test_trials_of_earlier_versions_are_read() -> None:
    left = (
        '{"strategy": "rls", "forecaster": "none", "dataset": "d", "protocol": "p", "seed": 0, "point": {"ridge": 1.0}}'
    )
    assert not Trial.model_validate_json(left).is_default


def test_the_same_command_again_does_what_is_missing(swept: Path, bench: Bench) -> None:
    bench("tune", swept)
    first = chosen(swept)
    (gone, *_) = sorted(trials(swept)["run_id"])
    shutil.rmtree(folder_of(swept) / TRIALS / gone)
    ran = bench("tune", swept)
    assert "Validation rows: Now: 1 ok; 7 kept from before" in ran.err
    assert "Stream: Now: nothing to do; 6 kept from before" in ran.err
    assert chosen(swept) == first
    # a wider grid runs the new points only
    wider = GRID.replace("[0.1, 10.0]", "[0.1, 1.0, 10.0]")
    change(swept, tune=f"{{ sampler = 'grid', grid = {wider} }}")
    ran = bench("tune", swept, "--no-serve")
    assert "Validation rows: Now: 4 ok; 8 kept from before" in ran.err
    assert "Stream" not in ran.err
    assert len(trials(swept)) == 12
    ran = bench("tune", swept, "--no-serve", "--always")
    assert "Validation rows: Now: 12 ok; 0 kept from before" in ran.err


CANARY = """
    import os
    from dataclasses import replace
    import numpy as np
    from bench import Dataset, register_dataset
    from bench.testing import small_series

    @register_dataset("canary")
    class Canary(Dataset):
        "Its stream is what the environment says."

        def load(self):
            series = small_series()
            values, start = series.values.copy(), series.split.validation
            kind = os.environ["CANARY_STREAM"]
            if kind == "nan":
                values[start:] = np.nan
            if kind == "garbage":
                values[start:] = np.random.default_rng(1).normal(1e6, 1e9, values[start:].shape)
            return replace(series, values=values)
"""


GRIDS = ("--grid", "rls.ridge=0.1,10", "--grid", "titans-c.online_lr=1e-4,0.1")


@pytest.mark.parametrize("kind", ["nan", "garbage"])
@pytest.mark.parametrize("sampler", [GRIDS, ("--trials", "2")], ids=["grid", "sobol"])
def test_no_row_of_the_stream_has_a_say(
    kind: str, sampler: tuple[str, ...], tiny: Path, bench: Bench, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stream's rows replaced, every id, error and choice stays the same to the bit."""
    plugin = write("canary.py", CANARY)
    change(
        tiny, strategies='["rls", "titans-c"]', forecasters='[{ name = "titans", dim = 8, heads = 1, dim_head = 8 }]'
    )
    change(tiny, datasets='["canary"]')
    words = [*sampler, "--no-serve", "--plugins", plugin]
    found = {}
    for stream in ("true", kind):
        monkeypatch.setenv("CANARY_STREAM", stream)
        ran = bench("tune", tiny, *words, "--results", f"results-{stream}")
        assert ran.status == 0, ran.err
        folder = tiny.parent / f"results-{stream}" / "tiny"
        store = Store(folder / TRIALS)
        same = {"environment": {}, "seconds": 0.0}
        snippets = sorted((path.name, path.read_text()) for path in (store.folder / CHOSEN).iterdir())
        left = [record.model_copy(update=same).model_dump() for record in store.records()]
        checkpoints = sorted(path.name for path in (folder.parent / ".checkpoints").iterdir())
        found[stream] = listed_trials(folder), left, snippets, checkpoints
    assert len(found["true"][0]) == 4
    assert all(record["val_mse"] > 0 for record in found["true"][1])
    assert found[kind] == found["true"]


def test_checkpoints_are_shared(swept: Path, bench: Bench) -> None:
    change(
        swept,
        strategies='["frozen"]',
        forecasters='["dlinear"]',
        tune='{ sampler = "grid", grid = { "dlinear.kernel" = [3, 25] } }',
    )
    bench("run", swept)
    before = {path.name for path in (swept.parent / "results" / ".checkpoints").iterdir()}
    assert len(before) == 2  # kernel 25, two seeds
    bench("tune", swept)
    after = {path.name for path in (swept.parent / "results" / ".checkpoints").iterdir()}
    assert after > before
    assert len(after) == 4


def test_a_forecaster_s_options_are_chosen_for_each_strategy(swept: Path, bench: Bench) -> None:
    change(swept, strategies='["persistence", "frozen", "retrain"]', forecasters='["dlinear"]', seeds="[0]")
    change(
        swept, tune='{ sampler = "grid", grid = { "dlinear.training.steps" = [1, 60], "retrain.every" = [50, 100] } }'
    )
    ran = bench("tune", swept)
    assert ran.status == 0, ran.err
    assert set(chosen(swept)) == {"frozen", "retrain"}
    assert set(chosen(swept)["retrain"]) == {"every", "dlinear.training.steps"}
    served = {record.strategy.name: record for record in Store(folder_of(swept)).records()}
    for name, point in chosen(swept).items():
        record = served[name]
        assert record.forecaster is not None
        assert record.forecaster.config["training"]["steps"] == point["dlinear.training.steps"]
        assert record.forecaster.config["training"]["batch"] == 8  # the experiment's own, below the grid
    assert served["persistence"].forecaster is None


FRAGILE = """
    import numpy as np
    from bench import Strategy, StrategyConfig, register_strategy

    @register_strategy("fragile")
    class Fragile(Strategy):
        "Persistence that may break."

        class Config(StrategyConfig):
            level: float = 0.0

        def predict(self, windows):
            if self.config.level == 1:
                raise RuntimeError("one is too many")
            forecast = windows[:, -1:].expand(-1, self.protocol.horizon, -1) + self.config.level
            return forecast * np.nan if self.config.level == 2 else forecast
"""


def test_points_that_fail_are_records_with_their_reasons(swept: Path, bench: Bench, write: Write) -> None:
    plugin = write("fragile.py", FRAGILE)
    words = ["tune", swept, "--plugins", plugin]
    ran = bench(*words, "--grid", "fragile.level=1,2,0.5,3")
    assert ran.status == 0, ran.err
    assert {record.strategy.name for record in Store(folder_of(swept)).records()} == {"fragile", "persistence", "rls"}
    assert "Validation rows: Now: 4 failed, 4 ok" in ran.err
    table = grid_table(trials(swept))
    assert table["failed"].tolist() == [2, 2, 0, 0]
    assert table["reason"].tolist()[0] == "RuntimeError: one is too many"
    assert table["reason"].tolist()[1].startswith("StreamError: diverged: the forecast at origin 80 is not finite")
    assert chosen(swept) == {"fragile": {"level": 0.5}}
    # where nothing is left to choose, that is said, and the stream is served with the options as they were
    ran = bench(*words, "--grid", "fragile.level=1,2")
    assert ran.status == 1
    assert "No choice: every point of fragile on csv:waves.csv had a run that failed." in ran.err
    options = {record.strategy.name: record.strategy.given for record in Store(folder_of(swept)).records()}
    assert options == {"persistence": {}, "rls": {}, "fragile": {}}


def test_what_was_chosen_for_ones_own_strategy_runs_as_written(swept: Path, bench: Bench, write: Write) -> None:
    """It names the plug-ins, by paths from its own folder; what else they hold does not join."""
    plugin = write("mine/fragile.py", FRAGILE + FRAGILE.replace("fragile", "another").replace("Fragile", "Another"))
    words = ["--strategy", "fragile", "--grid", "fragile.level=0.5,3", "--results", "made/results"]
    assert bench("tune", swept, "--plugins", plugin, *words).status == 0
    (file,) = swept.parent.glob("made/results/*/_sweep/chosen/*.toml")
    written = tomllib.loads(file.read_text())
    assert written["plugins"] == ["../../../../../mine/fragile.py"]
    ran = bench("run", file)
    assert ran.status == 0, ran.err
    records = list(Store(swept.parent / "results" / f"{swept.stem}-tuned").records())
    assert {record.strategy.name for record in records} == {"fragile"}
    assert {record.strategy.given["level"] for record in records} == {0.5}


def test_what_was_chosen_before_no_longer_counts(swept: Path, bench: Bench, write: Write) -> None:
    plugin = write("fragile.py", FRAGILE)
    words = ["tune", swept, "--plugins", plugin]
    bench(*words, "--grid", "fragile.level=0.5,3", "--grid", "rls.ridge=1.0,10.0")
    assert set(chosen(swept)) == {"fragile", "rls"}
    before = set(Store(folder_of(swept)).read_manifest())
    # narrowed to one, the others stay
    ran = bench(*words, "--strategy", "fragile", "--grid", "fragile.level=0.1,0.5")
    assert "Validation rows: Now: 2 ok; 2 kept from before" in ran.err
    assert set(chosen(swept)) == {"fragile", "rls"}
    after = set(Store(folder_of(swept)).read_manifest())
    assert len(after) == len(before)
    assert len(after - before) == 2  # one for each seed
    results = read_results(folder_of(swept))
    assert sorted(results.board["entry"]) == ["fragile", "fragile (tuned)", "persistence", "rls", "rls (tuned)"]
    assert results.replaced == 0
    assert {served.group[0] for served in read_served(folder_of(swept)).values()} == {"fragile", "rls"}


def test_one_entry_whatever_was_chosen_for_each_dataset(swept: Path, bench: Bench, write: Write) -> None:
    rows = (swept.parent / "waves.csv").read_text().splitlines()
    write("slow.csv", "\n".join([rows[0], *(f"{i / 9 + (i % 7) / 3:.3f},{i % 5}.0" for i in range(400))]) + "\n")
    change(swept, datasets='["csv:waves.csv", "csv:slow.csv"]')
    change(swept, tune='{ sampler = "grid", grid = { "rls.forgetting" = [0.2, 0.999] } }')
    bench("tune", swept)
    given = [r.strategy.given for r in Store(folder_of(swept)).records() if "waves" in r.dataset.name]
    assert {"forgetting": 0.999} in given
    results = read_results(folder_of(swept))
    assert set(results.board["entry"]) == {"persistence", "rls", "rls (tuned)"}
    assert results.overall["mean_rank"].notna().all()
    assert len(list((folder_of(swept) / TRIALS / CHOSEN).iterdir())) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--grid", "rls.ridge=1", "--trials", "2"], "--trials belongs to the Sobol design, --grid replaces it: give "),
        (["--grid", "rsl.ridge=1"], "grid 'rsl.ridge': Unknown strategy or forecaster 'rsl'. Did you mean 'rls'?"),
        (["--grid", "rls.rigde=1"], "grid 'rls.rigde': Unknown option 'rigde'. Did you mean 'ridge'?"),
        (["--grid", "rls.ridge=-1"], "grid 'rls.ridge': option 'ridge': input should be greater than"),
        (["--grid", "rls.ridge"], "--grid rls.ridge: expected PLUGIN.OPTION=VALUE"),
        (["--grid", "titans.dim=8"], "grid 'titans.dim': 'titans' is not in this experiment"),
        (["--grid", "rls.ridge=1", "--strategy", "persistence"], "grid 'rls.ridge': 'rls' is not in this experiment"),
        (["--grid", "rls.ridge=1", "--dataset", "etth"], "Unknown dataset 'etth'. Did you mean 'etth2'?"),
    ],
)  # fmt: skip
def test_mistakes(tiny: Path, bench: Bench, words: list[str], message: str) -> None:
    ran = bench("tune", tiny, *words)
    assert ran.status == 2
    assert message in ran.err
    assert "Traceback" not in ran.err
    assert not (tiny.parent / "results").exists()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ({"tune": "{ gird = {} }"}, "unknown option 'tune.gird'. Did you mean 'grid'?"),
        ({"tune": "{ sampler = 'grid' }"}, "experiment 'tiny' has no grid. Give --grid "),
        ({"tune": f"{{ grid = {GRID} }}"}, "option 'tune': a grid is tried by the sampler 'grid': set sampler = "),
        ({"sweep": "{}"}, "unknown option 'sweep'."),
        ({"tune": '{ grid = { "rls.ridge" = 1.0 } }'}, "option 'tune.grid.rls.ridge': input should be a valid list"),
        ({"tune": '{ sampler = "grid", grid = { "rls.rigde" = [1.0] } }'}, "grid 'rls.rigde': Unknown option 'rigde'"),
        ({"protocol": "{ warm_start = false }"}, "tuning chooses on the validatio"),
        ({"protocol": '["dense", "online"]'}, "tuning chooses under one protocol"),
        (
            {"tune": '{ sampler = "grid", grid = { "dlinear.kernel" = [3] } }', "forecasters": '["dlinear"]'},
            "the grid (dlinear.kernel) changes none of the runs",
        ),
    ],
)  # fmt: skip
def test_mistakes_in_the_experiment(tiny: Path, bench: Bench, lines: dict[str, str], message: str) -> None:
    change(tiny, **lines)
    ran = bench("tune", tiny)
    assert ran.status == 2
    assert message in ran.err
    assert not (tiny.parent / "results").exists()


def test_the_command_line_narrows_the_grid_of_the_file(swept: Path, bench: Bench) -> None:
    change(swept, tune='{ sampler = "grid", grid = { "rls.ridge" = [0.1, 10.0], "seasonal-naive.x" = [1] } }')
    assert "'seasonal-naive' is not in this experiment" in bench("tune", swept).err
    change(swept, strategies='["rls", "frozen"]', forecasters='["dlinear"]')
    change(swept, tune='{ sampler = "grid", grid = { "rls.ridge" = [0.1, 10.0], "dlinear.kernel" = [3, 5] } }')
    ran = bench("tune", swept, "--strategy", "rls", "--seed", "3", "--no-serve")
    assert "Validation rows: Now: 2 ok" in ran.err
    assert set(trials(swept)["seed"]) == {3}
    ran = bench("tune", swept, "--strategy", "persistence", "--no-serve")
    assert ran.status == 2
    assert "changes none of the runs" in ran.err


def test_what_cannot_be_is_not_swept(swept: Path, bench: Bench) -> None:
    change(swept, strategies='["titans-a", "frozen"]', forecasters='["dlinear"]', seeds="[0]")
    change(swept, tune='{ sampler = "grid", grid = { "dlinear.kernel" = [3, 5] } }')
    ran = bench("tune", swept)
    assert ran.status == 0, ran.err
    assert set(trials(swept)["strategy"]) == {"frozen"}
    status = {record.strategy.name: record.status for record in Store(folder_of(swept)).records()}
    assert status == {"titans-a": "skipped", "frozen": "ok"}


def specs(tiny: Path, **grid: list[Any]) -> list[RunSpec]:
    values = {key.replace("__", "."): values for key, values in grid.items()}
    found = plan(as_told(experiment := load_experiment(str(tiny)), experiment, values, None), "cpu")
    return [run for search in found for run, _ in search.trials]


@pytest.mark.usefixtures("registries")
def test_ids_of_trials_are_their_own_and_ordinary_ones_stay(swept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(swept.parent)
    runs = specs(swept, rls__ridge=[1.0, "1.0", 2.0])
    assert len(runs) == len({run.run_id for run in runs}) == 4  # 1.0 is said twice
    plain = expand(load_experiment(str(swept)), "cpu")
    assert not {run.run_id for run in plain} & {run.run_id for run in runs}
    change(swept, tune='{ sampler = "grid", grid = { "rls.ridge" = [5.0] } }')
    assert [run.run_id for run in expand(load_experiment(str(swept)), "cpu")] == [run.run_id for run in plain]


def test_processes_find_the_same(swept: Path, bench: Bench) -> None:
    bench("tune", swept, "--no-serve")
    serial = trials(swept).drop(columns="seconds")
    ran = bench("tune", swept, "--no-serve", "--engine", "processes", "--results", "other")
    assert ran.status == 0, ran.err
    assert "8 ok" in ran.err
    other = read_trials(swept.parent / "other" / "tiny").drop(columns="seconds")
    pd.testing.assert_frame_equal(other, serial)
    assert [path.name for path in (swept.parent / "other" / "tiny").iterdir()] == [TRIALS]


EQUAL = """
    from typing import Annotated
    from bench import Search, Strategy, StrategyConfig, register_strategy

    @register_strategy("late")
    class Late(Strategy):
        "Persistence, further and further off when the stream begins."

        class Config(StrategyConfig):
            factor: Annotated[float, Search(0.0, 1.0)] = 0.5

        def predict(self, windows):
            self.rows = getattr(self, "rows", 0) + len(windows)
            right = 1.0 if self.history.stream_start > len(self.history) + self.rows else 0.0
            error = 1e3 * (self.config.factor - right)
            return windows[:, -1:].expand(-1, self.protocol.horizon, -1) + error
"""


@pytest.fixture
def equal(tiny: Path) -> Path:
    """The tiny experiment with strategies of every kind, on one forecaster."""
    change(tiny, strategies='["persistence", "frozen", "ogd", "rls", "retrain", "norm-stats"]')
    change(tiny, forecasters='["dlinear"]', tune="{ trials = 4, seed = 1 }")
    return tiny


def searches(tiny: Path, monkeypatch: pytest.MonkeyPatch, **lines: str) -> dict[str, Search]:
    monkeypatch.chdir(tiny.parent)
    change(tiny, **lines)
    return {search.pair[0].name: search for search in plan(load_experiment(str(tiny)), "cpu")}


@pytest.mark.usefixtures("registries")
def test_every_strategy_has_the_same_budget(equal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = searches(equal, monkeypatch)
    assert not found.pop("persistence").trials  # which has nothing to search
    first = [next(iter(search.points.values())) for search in found.values()]
    assert {len(search.trials) for search in found.values()} == {4}
    # the first are the options as they are
    assert all(point.pair == search.pair for point, search in zip(first, found.values(), strict=True))
    assert [trial.is_default for _, trial in found["ogd"].trials] == [True, False, False, False]
    assert first[1].values == {"dlinear.training.lr": 0.002, "dlinear.training.weight_decay": 1e-4, "online_lr": 1e-4}
    # trial i has one forecaster for all
    trained = {tuple(str(run.forecaster) for run, _ in search.trials) for search in found.values()}
    assert len(trained - {("None",) * 4}) == 1
    # rows of a trial: the validation rows, and none after them
    series = load_series(found["ogd"].trials[0][0])
    assert len(series) == series.split.validation == series.split.end
    for search in found.values():
        for run, _ in search.trials:
            assert (run.rows, load_series(run).fingerprint, run.protocol) == (
                "validation", series.fingerprint, found["ogd"].trials[0][0].protocol,
            )  # fmt: skip


@pytest.mark.usefixtures("registries")
def test_more_trials_keep_those_before_and_another_seed_has_others(
    equal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ids(**lines: str) -> list[str]:
        return [run.run_id for run, _ in searches(equal, monkeypatch, **lines)["ogd"].trials]

    few, many = ids(), ids(tune="{ trials = 16, seed = 1 }")
    assert many[:4] == few
    assert len(set(many)) == 16
    assert set(ids(tune="{ trials = 4, seed = 2 }")) & set(few) == {few[0]}
    ordinary = [run.run_id for run in expand(load_experiment(str(equal)), "cpu")]
    change(equal, tune="{ trials = 3, seeds = 1 }")
    assert [run.run_id for run in expand(load_experiment(str(equal)), "cpu")] == ordinary
    assert len(ids(seeds="[5, 6]")) == 3


@pytest.mark.usefixtures("registries")
@pytest.mark.parametrize("forecaster", ["titans", "dlinear", "ridge"])
def test_every_built_in_strategy_has_as_many_trials(forecaster: str) -> None:
    experiment = {"name": "e", "datasets": ["abrupt-mean"], "forecasters": [forecaster], "training": {"steps": 5}}
    pairs = pairs_of(Experiment(**experiment, strategies=[entry.name for entry in STRATEGIES]))
    sizes = {pair[0].name: len(design(pair, TuneOptions(trials=12), {"training": {"steps": 5}})) for pair in pairs}
    assert {name for name, size in sizes.items() if not size} == {"persistence", "seasonal-naive"}
    assert set(sizes.values()) == {0, 12}


@pytest.mark.usefixtures("registries")
def test_what_the_experiment_sets_is_not_searched(equal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = searches(
        equal,
        monkeypatch,
        strategies='["frozen", { name = "rls", ridge = 3.0 }]',
        forecasters='["dlinear", { name = "ridge", penalty = 2.0 }]',
        training="{ steps = 6, lr = 0.5 }",
    )
    assert {key for point in found["rls"].points.values() for key in point.values} == {"forgetting"}
    on_ridge = found["frozen"]  # the last forecaster: its closed form is all there is to it
    assert on_ridge.points == {}
    (dlinear, _, _) = plan(load_experiment(str(equal)), "cpu")
    assert {key for point in dlinear.points.values() for key in point.values} == {"dlinear.training.weight_decay"}


@pytest.mark.usefixtures("registries")
def test_a_default_that_the_experiment_repeats_is_not_searched(equal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both = "training = { lr = 2e-3, weight_decay = 1e-4 }"
    found = searches(
        equal, monkeypatch, strategies='["frozen", "ogd"]', forecasters=f'[{{ name = "dlinear", {both} }}]'
    )
    assert found["frozen"].points == {}
    assert {key for point in found["ogd"].points.values() for key in point.values} == {"online_lr"}


def test_tuned_and_as_it_was(equal: Path, bench: Bench) -> None:
    bench("run", equal)
    ran = bench("tune", equal)
    assert ran.status == 0, ran.err
    assert "Validation rows: Now: 20 ok" in ran.err
    assert "6 kept from before" in ran.err  # the stream with the options as they are
    results = read_results(folder_of(equal))
    tuned = {f"{name}{more}" for name in ("frozen", "ogd", "rls", "retrain", "norm-stats") for more in ("", " (tuned)")}
    assert set(results.board["entry"]) == tuned | {"persistence"}
    assert set(results.board["base"]) == {"none", "dlinear", "dlinear (tuned)"}
    mse = results.board.set_index("entry")["mse"]
    # each against the frozen forecaster, tuned where it was
    skill = results.board.set_index("entry")["skill_frozen"]
    assert skill["ogd (tuned)"] == pytest.approx(100 * (1 - mse["ogd (tuned)"] / mse["frozen (tuned)"]))
    assert skill["rls (tuned)"] == pytest.approx(100 * (1 - mse["rls (tuned)"] / mse["frozen"]))
    again = bench("tune", equal)
    assert "Validation rows: Now: nothing to do; 20 kept" in again.err
    assert "Stream: Now: nothing to do" in again.err
    more = bench("tune", equal, "--trials", "5", "--no-serve")
    assert "Validation rows: Now: 5 ok; 20 kept" in more.err


def test_defaults_that_were_chosen_are_two_entries(equal: Path, bench: Bench) -> None:
    bench("tune", equal, "--trials", "1")
    results = read_results(folder_of(equal))
    assert len(list(Store(folder_of(equal)).records())) == 6
    mse = results.board.set_index("entry")["mse"]
    assert len(mse) == 11
    assert all(mse[entry] == mse[entry.removesuffix(" (tuned)")] for entry in mse.index)


def test_a_strategy_that_validation_misleads(equal: Path, bench: Bench, write: Write) -> None:
    words = ("tune", equal, "--plugins", write("late.py", EQUAL), "--strategy", "late", "--strategy", "rls")
    assert bench(*words).status == 0
    results = read_results(folder_of(equal))
    mse = results.board.set_index("entry")["mse"]
    assert mse["late (tuned)"] > mse["late"]
    table = tuned_beside_default(replace(results, tuning=read_tuning(folder_of(equal)))).set_index("entry")
    assert table["prefers"]["late (tuned)"] == "defaults"
    assert table["val_mse_tuned"]["late (tuned)"] < table["val_mse_default"]["late (tuned)"]
    assert table["trials"].tolist() == [4, 4]
