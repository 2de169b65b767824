"""A sweep end to end: the grid on validation rows, the choice, the stream served with it."""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bench import load_results
from bench.analysis.sweeps import grid_table
from bench.contracts.engine import Pool
from bench.evaluation.run_spec import RunSpec
from bench.execution.engines.inline import Inline, InOrder
from bench.execution.experiment import expand, load_experiment
from bench.execution.sweep.sweep import plan
from bench.report.view.loading import read_results
from bench.results.record import Record
from bench.results.store import CHOSEN, RECORD, SWEEP, Store
from bench.results.trials import SERVED, listed_trials, read_served, read_trials

from ..conftest import Bench, Write
from ..sessions import change

pytestmark = pytest.mark.usefixtures("without_report")

GRID = '{ "rls.ridge" = [0.1, 10.0], "rls.forgetting" = [0.9, 0.999] }'


@pytest.fixture
def swept(tiny: Path) -> Path:
    """The tiny experiment with four points for ``rls`` and two seeds."""
    change(tiny, seeds="[0, 1]", sweep=f"{{ grid = {GRID} }}")
    return tiny


def folder_of(tiny: Path) -> Path:
    return tiny.parent / "results" / tiny.stem


def trials(tiny: Path) -> pd.DataFrame:
    return read_trials(folder_of(tiny))


def records(tiny: Path) -> list[Record]:
    return list(Store(folder_of(tiny) / SWEEP).records())


def chosen(tiny: Path) -> dict[str, dict[str, Any]]:
    """The chosen options by strategy."""
    table = grid_table(trials(tiny))
    return {row["strategy"]: json.loads(row["point"]) for _, row in table[table["chosen"]].iterrows()}


def snippet(tiny: Path) -> dict[str, Any]:
    (path,) = (folder_of(tiny) / SWEEP / CHOSEN).iterdir()
    return tomllib.loads(path.read_text())


def test_the_grid_is_tried_chosen_and_served(swept: Path, bench: Bench) -> None:
    ran = bench("sweep", swept)
    assert ran.status == 0, ran.err
    assert "Validation rows: Now: 8 ok; 0 kept from before; 0 timed alone." in ran.err
    assert "Stream: Now: 4 ok; 0 kept from before; 2 timed alone." in ran.err
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
    # the stream is served with it, and with what the grid leaves alone
    served = {record.strategy.name: record for record in Store(folder_of(swept)).records()}
    assert served["rls"].strategy.given == best
    assert served["persistence"].strategy.given == {}
    assert {record.rows for record in served.values()} == {"stream"}
    # the choice is an experiment that is ready to run, and that has been run already
    text = snippet(swept)
    assert text["strategies"] == ["persistence", {"name": "rls", **best}]
    assert text["datasets"] == ["csv:waves.csv"]
    path = swept.with_name("again.toml")
    path.write_text(next((folder_of(swept) / SWEEP / CHOSEN).iterdir()).read_text())
    assert path.read_text().strip() in ran.out
    bench("run", path, "--engine", "inline")
    again = load_results(swept.parent / "results" / "tiny-chosen")
    assert set(again["run_id"]) == set(load_results(folder_of(swept))["run_id"])


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
    assert bench("sweep", swept).status == 0
    (pool,) = pools
    assert isinstance(pool, Counted)
    assert pool.closed == 2


def test_the_validation_error_is_that_of_the_run_over_the_stream(swept: Path, bench: Bench) -> None:
    change(swept, strategies='["rls", "frozen"]', forecasters='["dlinear"]')
    change(swept, sweep='{ grid = { "rls.ridge" = [1.0], "dlinear.kernel" = [3] } }')
    bench("sweep", swept)
    stream = {(r.strategy.name, r.seed): r for r in Store(folder_of(swept)).records()}
    assert len(records(swept)) == len(stream) == 4
    for record in records(swept):
        other = stream[record.strategy.name, record.seed]
        assert other.errors is not None
        assert record.val_mse == other.errors.val_mse
        assert record.run_id != other.run_id
        assert (record.rows, record.errors, record.timing) == ("validation", None, None)


def test_what_is_swept_is_in_no_leaderboard(swept: Path, bench: Bench) -> None:
    bench("sweep", swept, "--no-serve")
    assert not list(folder_of(swept).glob(f"[!_]*/{RECORD}"))
    assert len(records(swept)) == 8
    bench("run", swept)
    frame = load_results(swept.parent / "results")
    assert len(frame) == 4
    assert frame["mse"].notna().all()
    assert load_results(folder_of(swept))["run_id"].tolist() == frame["run_id"].tolist()
    assert len(load_results(folder_of(swept) / SWEEP)) == 8
    assert len(read_results(folder_of(swept)).board) == 2


@pytest.mark.parametrize("text", ["[]", "{", '{"r1": 1}', ""])
def test_a_damaged_note_of_what_was_served_is_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / SWEEP).mkdir()
    (tmp_path / SWEEP / SERVED).write_text(text)
    assert read_served(tmp_path) == {}


def test_the_same_command_again_does_what_is_missing(swept: Path, bench: Bench) -> None:
    bench("sweep", swept)
    first = chosen(swept)
    (gone, *_) = sorted(trials(swept)["run_id"])
    shutil.rmtree(folder_of(swept) / SWEEP / gone)
    ran = bench("sweep", swept)
    assert "Validation rows: Now: 1 ok; 7 kept from before" in ran.err
    assert "Stream: Now: nothing to do; 4 kept from before" in ran.err
    assert chosen(swept) == first
    # a wider grid runs the new points only
    wider = GRID.replace("[0.1, 10.0]", "[0.1, 1.0, 10.0]")
    change(swept, sweep=f"{{ grid = {wider} }}")
    ran = bench("sweep", swept, "--no-serve")
    assert "Validation rows: Now: 4 ok; 8 kept from before" in ran.err
    assert "Stream" not in ran.err
    assert len(trials(swept)) == 12
    ran = bench("sweep", swept, "--no-serve", "--always")
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


@pytest.mark.parametrize("kind", ["nan", "garbage"])
def test_no_row_of_the_stream_has_a_say(
    kind: str, tiny: Path, bench: Bench, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stream's rows replaced, every id, error and choice of the sweep stays the same to the bit."""
    plugin = write("canary.py", CANARY)
    change(
        tiny, strategies='["rls", "titans-c"]', forecasters='[{ name = "titans", dim = 8, heads = 1, dim_head = 8 }]'
    )
    change(tiny, datasets='["canary"]')
    words = ["--grid", "rls.ridge=0.1,10", "--grid", "titans-c.online_lr=1e-4,0.1", "--no-serve", "--plugins", plugin]
    found = {}
    for stream in ("true", kind):
        monkeypatch.setenv("CANARY_STREAM", stream)
        ran = bench("sweep", tiny, *words, "--results", f"results-{stream}")
        assert ran.status == 0, ran.err
        folder = tiny.parent / f"results-{stream}" / "tiny"
        store = Store(folder / SWEEP)
        same = {"environment": {}, "seconds": 0.0}
        snippets = sorted((path.name, path.read_text()) for path in (store.folder / CHOSEN).iterdir())
        left = [record.model_copy(update=same).model_dump() for record in store.records()]
        checkpoints = sorted(path.name for path in (folder.parent / ".checkpoints").iterdir())
        found[stream] = listed_trials(folder), left, snippets, checkpoints
    assert len(found["true"][0]) == 4
    assert all(record["val_mse"] > 0 for record in found["true"][1])
    assert found[kind] == found["true"]


def test_checkpoints_are_shared(swept: Path, bench: Bench) -> None:
    change(swept, strategies='["frozen"]', forecasters='["dlinear"]', sweep='{ grid = { "dlinear.kernel" = [3, 25] } }')
    bench("run", swept)
    before = {path.name for path in (swept.parent / "results" / ".checkpoints").iterdir()}
    assert len(before) == 2  # kernel 25, two seeds
    bench("sweep", swept)
    after = {path.name for path in (swept.parent / "results" / ".checkpoints").iterdir()}
    assert after > before
    assert len(after) == 4


def test_a_forecaster_s_options_are_chosen_for_each_strategy(swept: Path, bench: Bench) -> None:
    change(swept, strategies='["persistence", "frozen", "retrain"]', forecasters='["dlinear"]', seeds="[0]")
    change(swept, sweep='{ grid = { "dlinear.training.steps" = [1, 60], "retrain.every" = [50, 100] } }')
    ran = bench("sweep", swept)
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
    words = ["sweep", swept, "--plugins", plugin]
    ran = bench(*words, "--grid", "fragile.level=1,2,0.5,3")
    assert ran.status == 0, ran.err
    assert {record.strategy.name for record in Store(folder_of(swept)).records()} == {"fragile", "persistence", "rls"}
    assert "Validation rows: Now: 4 failed, 4 ok" in ran.err
    table = grid_table(trials(swept))
    assert table["failed"].tolist() == [2, 2, 0, 0]
    assert table["reason"].tolist()[0] == "RuntimeError: one is too many"
    assert table["reason"].tolist()[1].startswith("StreamError: diverged: the forecast at origin 80 is not finite")
    assert chosen(swept) == {"fragile": {"level": 0.5}}
    # where nothing is left to choose, that is said, and the stream is not served with a guess
    ran = bench(*words, "--grid", "fragile.level=1,2")
    assert ran.status == 1
    assert "No choice: every point of fragile on csv:waves.csv had a run that failed." in ran.err
    assert {record.strategy.name for record in Store(folder_of(swept)).records()} == {"persistence", "rls"}


def test_what_was_chosen_before_no_longer_counts(swept: Path, bench: Bench, write: Write) -> None:
    plugin = write("fragile.py", FRAGILE)
    words = ["sweep", swept, "--plugins", plugin]
    bench(*words, "--grid", "fragile.level=0.5,3", "--grid", "rls.ridge=1.0,10.0")
    assert set(chosen(swept)) == {"fragile", "rls"}
    before = {record.strategy.name: record.run_id for record in Store(folder_of(swept)).records()}
    # narrowed to one, the others stay
    ran = bench(*words, "--strategy", "fragile", "--grid", "fragile.level=0.1,0.5")
    assert "Validation rows: Now: 2 ok; 2 kept from before" in ran.err
    assert set(chosen(swept)) == {"fragile", "rls"}
    after = {record.strategy.name: record.run_id for record in Store(folder_of(swept)).records()}
    assert after.pop("fragile") != before.pop("fragile")
    assert after == before
    results = read_results(folder_of(swept))
    assert sorted(results.board["entry"]) == ["fragile (options=chosen)", "persistence", "rls (options=chosen)"]
    assert results.replaced == 0
    assert {served.group[0] for served in read_served(folder_of(swept)).values()} == {"fragile", "rls"}


def test_one_entry_whatever_was_chosen_for_each_dataset(swept: Path, bench: Bench, write: Write) -> None:
    rows = (swept.parent / "waves.csv").read_text().splitlines()
    write("slow.csv", "\n".join([rows[0], *(f"{i / 9 + (i % 7) / 3:.3f},{i % 5}.0" for i in range(400))]) + "\n")
    change(swept, datasets='["csv:waves.csv", "csv:slow.csv"]')
    change(swept, sweep='{ grid = { "rls.forgetting" = [0.2, 0.9999] } }')
    bench("sweep", swept)
    given = {r.dataset.name: r.strategy.given for r in Store(folder_of(swept)).records() if r.strategy.name == "rls"}
    assert given["csv:waves.csv"] == {"forgetting": 0.9999}
    results = read_results(folder_of(swept))
    assert set(results.board["entry"]) == {"persistence", "rls (options=chosen)"}
    assert results.overall["mean_rank"].notna().all()
    assert len(list((folder_of(swept) / SWEEP / CHOSEN).iterdir())) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "experiment 'tiny' has no grid. Give --grid "),
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
    ran = bench("sweep", tiny, *words)
    assert ran.status == 2
    assert message in ran.err
    assert "Traceback" not in ran.err
    assert not (tiny.parent / "results").exists()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ({"sweep": "{ gird = {} }"}, "unknown option 'sweep.gird'. Did you mean 'grid'?"),
        ({"sweep": "{ grid = {} }"}, "experiment 'tiny' has no grid. Give --grid "),
        ({"sweep": '{ grid = { "rls.ridge" = 1.0 } }'}, "option 'sweep.grid.rls.ridge': input should be a valid list"),
        ({"sweep": '{ grid = { "rls.rigde" = [1.0] } }'}, "grid 'rls.rigde': Unknown option 'rigde'"),
        ({"sweep": f"{{ grid = {GRID} }}", "protocol": "{ warm_start = false }"}, "a sweep chooses on the validatio"),
        ({"sweep": f"{{ grid = {GRID} }}", "protocol": '["dense", "online"]'}, "a sweep chooses under one protocol"),
        (
            {"sweep": '{ grid = { "dlinear.kernel" = [3] } }', "forecasters": '["dlinear"]'},
            "the grid (dlinear.kernel) changes none of the runs",
        ),
    ],
)  # fmt: skip
def test_mistakes_in_the_experiment(tiny: Path, bench: Bench, lines: dict[str, str], message: str) -> None:
    change(tiny, **lines)
    ran = bench("sweep", tiny)
    assert ran.status == 2
    assert message in ran.err
    assert not (tiny.parent / "results").exists()


def test_the_command_line_narrows_the_grid_of_the_file(swept: Path, bench: Bench) -> None:
    change(swept, sweep='{ grid = { "rls.ridge" = [0.1, 10.0], "seasonal-naive.x" = [1] } }')
    assert "'seasonal-naive' is not in this experiment" in bench("sweep", swept).err
    change(swept, strategies='["rls", "frozen"]', forecasters='["dlinear"]')
    change(swept, sweep='{ grid = { "rls.ridge" = [0.1, 10.0], "dlinear.kernel" = [3, 5] } }')
    ran = bench("sweep", swept, "--strategy", "rls", "--seed", "3", "--no-serve")
    assert "Validation rows: Now: 2 ok" in ran.err
    assert set(trials(swept)["seed"]) == {3}
    ran = bench("sweep", swept, "--strategy", "persistence", "--no-serve")
    assert ran.status == 2
    assert "changes none of the runs" in ran.err


def test_what_cannot_be_is_not_swept(swept: Path, bench: Bench) -> None:
    change(swept, strategies='["titans-a", "frozen"]', forecasters='["dlinear"]', seeds="[0]")
    change(swept, sweep='{ grid = { "dlinear.kernel" = [3, 5] } }')
    ran = bench("sweep", swept)
    assert ran.status == 0, ran.err
    assert set(trials(swept)["strategy"]) == {"frozen"}
    status = {record.strategy.name: record.status for record in Store(folder_of(swept)).records()}
    assert status == {"titans-a": "skipped", "frozen": "ok"}


def specs(tiny: Path, **grid: list[Any]) -> list[RunSpec]:
    found = plan(load_experiment(str(tiny)), {key.replace("__", "."): values for key, values in grid.items()}, "cpu")
    return [run for search in found for run, _ in search.trials]


@pytest.mark.usefixtures("registries")
def test_ids_of_a_sweep_are_its_own_and_ordinary_ones_stay(swept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(swept.parent)
    runs = specs(swept, rls__ridge=[1.0, "1.0", 2.0])
    assert len(runs) == len({run.run_id for run in runs}) == 4  # 1.0 is said twice
    plain = expand(load_experiment(str(swept)), "cpu")
    assert not {run.run_id for run in plain} & {run.run_id for run in runs}
    change(swept, sweep='{ grid = { "rls.ridge" = [5.0] } }')
    assert [run.run_id for run in expand(load_experiment(str(swept)), "cpu")] == [run.run_id for run in plain]


def test_processes_find_the_same(swept: Path, bench: Bench) -> None:
    bench("sweep", swept, "--no-serve")
    serial = trials(swept).drop(columns="seconds")
    ran = bench("sweep", swept, "--no-serve", "--engine", "processes", "--results", "other")
    assert ran.status == 0, ran.err
    assert "8 ok" in ran.err
    other = read_trials(swept.parent / "other" / "tiny").drop(columns="seconds")
    pd.testing.assert_frame_equal(other, serial)
    assert [path.name for path in (swept.parent / "other" / "tiny").iterdir()] == [SWEEP]
