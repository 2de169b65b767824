"""A session end to end: what is missing is done, what is there is kept, and one failure stops nobody else."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import load_results
from bench.evaluation.pretraining import Recipe
from bench.execution.progress import ProgressFile
from bench.results.owner import process_name
from bench.results.provenance import CODE
from bench.results.store import FORECASTS, ORIGINS, RECORD, TIMING, TRAINING, Store

from ..conftest import Bench, Write
from ..sessions import change, clean, mine, records, stamps, store_of

pytestmark = pytest.mark.usefixtures("without_report")


def test_the_first_run_does_all_and_the_second_nothing(tiny: Path, bench: Bench) -> None:
    change(tiny, strategies='["persistence", "rls", "frozen"]', forecasters='["dlinear"]', seeds="[0, 1]")
    ran = bench("run", tiny)
    assert ran.status == 0
    assert "Now: 6 ok; 0 kept from before; 3 timed alone." in ran.err
    assert ran.out.strip() == "reports/tiny/README.md"
    frame = load_results(tiny.parent / "results")
    assert frame["status"].eq("ok").all()
    assert sorted(zip(frame["strategy"], frame["seed"], frame["timed_alone"], strict=True)) == [
        (name, seed, seed == 0) for name in ("frozen", "persistence", "rls") for seed in (0, 1)
    ]
    assert frame["windows"].eq(100).all()
    for run_id in frame["run_id"]:
        here = {path.name for path in (store_of(tiny).folder / run_id).iterdir()}
        assert here - {TIMING, TRAINING} == {RECORD, ORIGINS, FORECASTS}
    assert clean(tiny)
    before = stamps(tiny.parent / "results")
    assert len([name for name in before if name.endswith(".safetensors")]) == 2
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as gone:
        half = store_of(tiny).folder / ".tmp" / f"{process_name(gone.pid)}-0123456789ab"  # what a killed one had begun
        gone.communicate(b"\n")
    half.mkdir(parents=True)
    again = bench("run", tiny)
    assert again.status == 0
    assert "Now: nothing to do; 6 kept from before; 0 timed alone." in again.err
    assert stamps(tiny.parent / "results") == before
    assert clean(tiny)


def test_what_a_record_holds(tiny: Path, bench: Bench) -> None:
    change(tiny, strategies='[{ name = "rls", ridge = 2.0 }, "frozen"]', forecasters='["dlinear"]')
    bench("run", tiny)
    found = records(tiny)
    rls, frozen = found["rls"], found["frozen+dlinear"]
    assert rls.strategy.given == {"ridge": 2.0}
    assert rls.strategy.config == {"ridge": 2.0, "forgetting": 0.9999}
    assert rls.strategy.summary.startswith("Linear forecaster")
    assert (rls.forecaster, rls.training) == (None, None)
    assert frozen.forecaster
    assert frozen.training
    assert frozen.forecaster.config["kernel"] == 25
    assert frozen.training["steps"] == 6
    assert rls.dataset.borders == (80, 100, 400)
    assert rls.environment["command"] == f"bench run {tiny.name}"
    assert {"python", "platform", "packages", "git", "started", "device"} <= rls.environment.keys()
    assert rls.environment["packages"]["torch"]
    assert len(rls.strategy.sha) == 64


def test_scores_on_disk_are_those_of_the_data(tiny: Path, bench: Bench) -> None:
    """Persistence by hand, from the CSV file: an independent check of the whole path."""
    bench("run", tiny, "--strategy", "persistence")
    (record,) = store_of(tiny).records()
    values = np.loadtxt(tiny.parent / "waves.csv", delimiter=",", skiprows=1)
    mean, std = values[:80].mean(axis=0), values[:80].std(axis=0)

    def errors(start: int, end: int) -> np.ndarray[Any, Any]:
        return np.array([values[t : t + 3] - values[t - 1] for t in range(start, end - 2, 3)])

    stream, warm = errors(100, 400), errors(80, 100)
    assert record.errors is not None
    assert record.errors.windows == len(stream) == 100
    assert record.errors.mse == pytest.approx(np.mean((stream / std) ** 2), rel=1e-5)
    assert record.errors.mae == pytest.approx(np.mean(np.abs(stream / std)), rel=1e-5)
    assert record.errors.mae_original == pytest.approx(np.mean(np.abs(stream)), rel=1e-5)
    assert record.errors.rmse_original == pytest.approx(np.sqrt(np.mean(stream**2)), rel=1e-5)
    assert record.errors.val_mse == pytest.approx(np.mean((warm / std) ** 2), rel=1e-5)
    np.testing.assert_allclose(record.errors.mse_by_lead, ((stream / std) ** 2).mean(axis=(0, 2)), rtol=1e-5)
    np.testing.assert_allclose(record.errors.mae_by_channel, np.abs(stream / std).mean(axis=(0, 1)), rtol=1e-5)
    origins = store_of(tiny).read_frame(record.run_id, ORIGINS)
    assert origins is not None
    assert origins["origin"].tolist() == list(range(100, 400, 3))
    np.testing.assert_allclose(origins["mse"], ((stream / std) ** 2).mean(axis=(1, 2)), rtol=1e-4)
    np.testing.assert_allclose(origins["mae_original"], np.abs(stream).mean(axis=(1, 2)), rtol=1e-4)
    kept = store_of(tiny).read_frame(record.run_id, FORECASTS)
    assert kept is not None
    column = kept["channel"].map({"a": 0, "b": 1})
    np.testing.assert_allclose(kept["truth"], values[kept["origin"] + kept["lead"] - 1, column])
    np.testing.assert_allclose(kept["forecast"], values[kept["origin"] - 1, column], rtol=1e-5, atol=1e-6)
    assert (mean != 0).all()


def test_a_new_strategy_is_a_new_row_and_nothing_else_is_run_again(tiny: Path, bench: Bench, write: Write) -> None:
    bench("run", tiny)
    before = stamps(tiny.parent / "results")
    path = write("mine.py", mine())
    assert len(path.read_text().strip().splitlines()) <= 20
    ran = bench("run", tiny, "--plugins", path)
    assert ran.status == 0
    assert "Now: 1 ok; 2 kept from before; 1 timed alone." in ran.err
    first = records(tiny)
    assert sorted(first) == ["mine", "persistence", "rls"]
    assert stamps(tiny.parent / "results").items() >= before.items()

    # editing its file makes its rows new ones, and leaves the others alone
    with_mine = stamps(tiny.parent / "results")
    write("mine.py", mine(factor=0.25))
    ran = bench("run", tiny, "--plugins", path)
    assert "Now: 1 ok; 2 kept from before; 1 timed alone." in ran.err
    second = records(tiny)
    assert sorted(second) == ["mine", "persistence", "rls"]
    assert second["mine"].run_id != first["mine"].run_id
    assert second["mine"].errors != first["mine"].errors
    assert stamps(tiny.parent / "results").items() >= with_mine.items()

    # as it was before, its earlier row counts again
    write("mine.py", mine())
    ran = bench("run", tiny, "--plugins", path)
    assert "Now: nothing to do; 3 kept from before; 0 timed alone." in ran.err
    assert records(tiny)["mine"].run_id == first["mine"].run_id

    # and without it, the report is about the others
    bench("run", tiny)
    assert sorted(records(tiny)) == ["persistence", "rls"]


FAILURES = """
    import numpy as np
    from bench import Strategy, register_strategy

    class Fails(Strategy):
        "Fails in its own way."

        def predict(self, windows):
            return windows[:, -1:].expand(-1, self.protocol.horizon, -1)

    @register_strategy("fails-in-setup")
    class Setup(Fails):
        def setup(self):
            raise RuntimeError("no luck today")

    @register_strategy("fails-late")
    class Late(Fails):
        served = 0
        def predict(self, windows):
            self.served += 1
            if self.served == 50:
                raise ZeroDivisionError("in the middle")
            return super().predict(windows)

    @register_strategy("wrong-shape")
    class Shape(Fails):
        def predict(self, windows):
            return windows[:, -1:]

    @register_strategy("not-finite")
    class NotFinite(Fails):
        def predict(self, windows):
            return super().predict(windows) * np.nan

    @register_strategy("not-written")
    class NotWritten(Strategy):
        "It has no predict."
"""


def test_failures_are_records_and_the_others_go_on(tiny: Path, bench: Bench, write: Write) -> None:
    path = write("failures.py", FAILURES)
    ran = bench("run", tiny, "--plugins", path)
    assert ran.status == 1
    assert "Now: 5 failed, 2 ok; 0 kept from before; 2 timed alone. Failed runs are in the report" in ran.err
    found = records(tiny)
    reasons = {name: record.reason for name, record in found.items()}
    assert reasons == {
        "persistence": "",
        "rls": "",
        "fails-in-setup": "RuntimeError: no luck today",
        "fails-late": "ZeroDivisionError: in the middle",
        "wrong-shape": "StreamError: predict returned shape (1, 1, 2), expected (K, H, C_out) = (1, 3, 2)",
        "not-finite": "StreamError: diverged: the forecast at origin 80 is not finite",
        "not-written": "NotImplementedError: NotWritten has no predict(self, windows)",
    }
    for name, record in found.items():
        ok = name in ("persistence", "rls")
        assert record.status == ("ok" if ok else "failed")
        assert (record.errors is None) == (record.timing is None) == (not ok)
        assert (f'File "{path.name}"' in record.traceback) == (name in ("fails-in-setup", "fails-late"))
        assert record.traceback.startswith("Traceback") != ok
        assert f"failed: {name} on csv:waves.csv, seed 0: {record.reason}" in ran.err or ok
    line = next(number for number, row in enumerate(path.read_text().splitlines(), 1) if "no luck" in row)
    assert f"seed 0: RuntimeError: no luck today (failures.py, line {line})\n" in ran.err
    frame = load_results(tiny.parent / "results").set_index("strategy")
    assert frame["reason"].to_dict() == reasons
    assert clean(tiny)

    # the same command does the failed ones again, and them alone; mended, they are as good as any
    before = stamps(tiny.parent / "results")
    ran = bench("run", tiny, "--plugins", path)
    assert ran.status == 1
    assert "Now: 5 failed; 2 kept from before" in ran.err
    kept = {
        name: at for name, at in before.items() if found["rls"].run_id in name or found["persistence"].run_id in name
    }
    assert stamps(tiny.parent / "results").items() >= kept.items()
    write("failures.py", mine("fails-late"))
    ran = bench("run", tiny, "--plugins", path)
    assert ran.status == 0
    assert "Now: 1 ok; 2 kept from before; 1 timed alone." in ran.err


def test_what_cannot_be_is_recorded_as_skipped(tiny: Path, bench: Bench) -> None:
    change(tiny, strategies='["titans-a", "persistence"]', forecasters='["dlinear"]')
    ran = bench("run", tiny)
    assert ran.status == 0
    assert "skipped: titans-a (dlinear) on csv:waves.csv, seed 0: titans-a needs memory, which dlinear lacks" in ran.err
    assert "Now: 1 ok, 1 skipped; 0 kept from before; 1 timed alone." in ran.err
    skipped = records(tiny)["titans-a+dlinear"]
    assert (skipped.status, skipped.errors, skipped.traceback) == ("skipped", None, "")
    assert "2 kept from before" in bench("run", tiny).err


def test_a_run_can_be_narrowed_and_the_other_rows_stay(tiny: Path, bench: Bench, write: Write) -> None:
    write("other.csv", (tiny.parent / "waves.csv").read_text().replace("a,b", "c,d"))
    change(tiny, datasets='["csv:waves.csv", "csv:other.csv"]', seeds="[0, 1]", timing_blocks="0")
    assert "Now: 8 ok" in bench("run", tiny).err
    before = stamps(tiny.parent / "results")
    ran = bench("run", tiny, "--strategy", "seasonal-naive", "--dataset", "csv:waves.csv", "--seed", 5)
    assert "Now: 1 ok; 0 kept from before; 0 timed alone." in ran.err
    frame = load_results(tiny.parent / "results")
    assert len(frame) == 9
    (row,) = frame[frame["strategy"] == "seasonal-naive"].to_dict("records")
    assert (row["dataset"], row["seed"], row["status"]) == ("csv:waves.csv", 5, "ok")
    both = ("--strategy", "rls", "--strategy", "persistence")
    ran = bench("run", tiny, *both, "--dataset", "csv:other.csv", "--seed", 1)
    assert "Now: nothing to do; 2 kept from before" in ran.err
    assert stamps(tiny.parent / "results").items() >= before.items()
    assert len(load_results(tiny.parent / "results")) == 9
    bench("run", tiny)  # whole again: the row that was added goes
    assert len(load_results(tiny.parent / "results")) == 8


def test_what_comes_by_plugins_joins_what_is_asked_for(tiny: Path, bench: Bench, write: Write) -> None:
    """`--strategy` and `--dataset` mean these only, plug-ins or not; a dataset that is listed too is run once."""
    walk = """
    import numpy as np
    from bench import Dataset, DriftSeries, Split, register_dataset

    @register_dataset("walk")
    class Walk(Dataset):
        "A random walk."

        def load(self):
            values = np.random.default_rng(0).standard_normal((300, 1)).cumsum(axis=0)
            return DriftSeries(
                name=self.name, values=values, columns=("x",), time=np.arange(300), split=Split.by_fraction(300),
                inputs=("x",), targets=("x",),
            )
    """
    change(tiny, timing_blocks="0")
    path = write("mine.py", mine() + walk)
    assert "Now: 6 ok" in bench("run", tiny, "--plugins", path).err
    ran = bench("run", tiny, "--plugins", path, "--strategy", "rls", "--dataset", "csv:waves.csv", "--results", "r2")
    assert "Now: 1 ok" in ran.err
    ran = bench("run", tiny, "--plugins", path, "--strategy", "mine", "--dataset", "walk", "--results", "r3")
    assert "Now: 1 ok" in ran.err
    ran = bench("run", tiny, "--strategy", "frozen", "--forecaster", "ridge", "--results", "r5")
    assert "Now: 1 ok" in ran.err
    change(tiny, datasets='["walk"]', strategies='["rls", { name = "mine", factor = 0.5 }, "@user"]')
    assert "Now: 2 ok" in bench("run", tiny, "--plugins", path, "--results", "r4").err
    assert len(load_results(tiny.parent / "r4")) == 2


def test_always_does_everything_again(tiny: Path, bench: Bench) -> None:
    bench("run", tiny)
    before, first = stamps(tiny.parent / "results"), records(tiny)
    ran = bench("run", tiny, "--always")
    assert "Now: 2 ok; 0 kept from before; 2 timed alone." in ran.err
    after, second = stamps(tiny.parent / "results"), records(tiny)
    assert before.keys() == after.keys()
    assert {name for name, _ in before.items() & after.items() if not name.startswith(CODE)} == set()
    assert [record.errors for record in first.values()] == [record.errors for record in second.values()]
    assert clean(tiny)


def test_a_checkpoint_is_trained_once_for_all_who_share_it(
    tiny: Path, bench: Bench, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[int] = []
    train = Recipe.train

    def spy(self: Recipe, *args: Any) -> Any:
        trained.append(self.seed)
        return train(self, *args)

    monkeypatch.setattr(Recipe, "train", spy)
    monkeypatch.setattr(
        "bench.execution.session.audit_missing", lambda *_, **__: None
    )  # audits train small ones of their own
    path = write(
        "twice.py",
        """
        from bench import Strategy, register_strategy

        @register_strategy("twice")
        class Twice(Strategy):
            "The forecaster, twice."
            uses_forecaster = True

            def predict(self, windows):
                for weight in self.forecaster.parameters():
                    weight.data.mul_(1.01)  # its own copy
                return self.forecaster(windows)
        """,
    )
    change(tiny, strategies='["twice", "frozen"]', forecasters='["dlinear"]', seeds="[0, 1]")
    assert "Now: 4 ok" in bench("run", tiny, "--plugins", path).err
    assert sorted(trained) == [0, 1]
    change(tiny, strategies='["frozen"]', protocol='{ preset = "online", lookback = 12, horizon = 3 }')
    assert "Now: 2 ok" in bench("run", tiny).err  # another protocol, the same task and rows
    assert sorted(trained) == [0, 1]
    alone = bench("run", tiny, "--results", "alone", "--strategy", "frozen", "--always")
    assert "Now: 2 ok" in alone.err
    both = [load_results(tiny.parent / name).query("strategy == 'frozen'")["mse"] for name in ("results", "alone")]
    assert both[0].tolist() == both[1].tolist()


def test_a_damaged_checkpoint_does_not_stop_the_next_run(tiny: Path, bench: Bench) -> None:
    change(tiny, strategies='["frozen"]', forecasters='["dlinear"]')
    bench("run", tiny)
    first = records(tiny)["frozen+dlinear"]
    (checkpoint,) = (tiny.parent / "results" / ".checkpoints").iterdir()
    checkpoint.write_bytes(checkpoint.read_bytes()[:50])
    ran = bench("run", tiny, "--always")
    assert ran.status == 0
    assert records(tiny)["frozen+dlinear"].errors == first.errors


def test_a_run_that_cannot_be_timed_alone_keeps_its_result(tiny: Path, bench: Bench, write: Write) -> None:
    lives = (
        "\n            Mine.lives = getattr(Mine, 'lives', 0) + (len(self.history) == 80)"  # of a run, not of an audit
    )
    setup = f"\n        def setup(self):{lives}\n            assert Mine.lives < 2, 'once is enough'\n"
    path = write("mine.py", mine() + setup)
    ran = bench("run", tiny, "--plugins", path, "--strategy", "mine")
    assert ran.status == 0
    assert "not timed: mine on csv:waves.csv, seed 0: AssertionError: once is enough" in ran.err
    assert "Now: 1 ok; 0 kept from before; 0 timed alone." in ran.err
    frame = load_results(tiny.parent / "results")
    assert frame["status"].tolist() == ["ok"]
    assert frame["timed_alone"].tolist() == [False]


def test_progress_that_cannot_be_shown_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "occupied").write_text("")  # as where another session swept the folder away at the wrong moment
    progress_file = ProgressFile(tmp_path / "occupied", "id", "label")
    progress_file(1, 10, lambda: 0.5)
    (tmp_path / "free").mkdir()
    progress_file = ProgressFile(tmp_path / "free", "id", "label")
    progress_file(1, 10, lambda: 0.5)
    assert json.loads((tmp_path / "free" / "id").read_text())["done"] == 1
    progress_file(2, 10, lambda: 0.5)  # a moment later: not worth a line
    assert json.loads((tmp_path / "free" / "id").read_text())["done"] == 1
    progress_file.erase()
    progress_file.erase()
    assert list((tmp_path / "free").iterdir()) == []


def test_what_other_work_disturbed_is_timed_again_when_asked(tiny: Path, bench: Bench) -> None:
    change(tiny, strategies='["persistence", "rls"]')
    bench("run", str(tiny))
    store = store_of(tiny)
    disturbed, quiet = sorted(store.run_ids())
    for run_id, others in ((disturbed, 1000.0), (quiet, 0.0)):
        timing = store.read_timing(run_id)
        assert timing is not None
        store.write_timing(run_id, timing.model_copy(update={"others": others, "warmup": 77}))
    again = bench("run", str(tiny))
    assert "Now: nothing to do; 2 kept from before; 0 timed alone." in again.err
    again = bench("run", str(tiny), "--retime")
    assert "Now: nothing to do; 2 kept from before; 1 timed alone." in again.err
    warmups = [store.read_timing(run_id) for run_id in (disturbed, quiet)]
    assert [timing.warmup for timing in warmups if timing] == [3, 77]


MOVER = """
    from pathlib import Path
    from bench import Strategy, register_strategy

    @register_strategy("mover")
    class Mover(Strategy):
        "Moves {what} away once a run is done."

        def predict(self, windows):
            here = Path({where!r})
            if list(here.rglob("record.json")):
                here.rename(here.with_name("moved"))
            return windows[:, -1:].expand(-1, self.protocol.horizon, -1)
"""


@pytest.mark.parametrize("what", ["results/tiny", "results"])
def test_results_that_are_moved_meanwhile_are_not_begun_anew(tiny: Path, bench: Bench, write: Write, what: str) -> None:
    """Before, later runs went to a new folder of that name, and the report told of these alone."""
    where = tiny.parent / what
    path = write("mover.py", MOVER.format(what=what, where=str(where)))
    change(tiny, strategies='["rls", "mover", "persistence"]', seeds="[0, 1]", timing_blocks="0")
    ran = bench("run", tiny, "--plugins", path)
    assert ran.status == 2
    assert "results/tiny was moved or removed while this session ran" in ran.err
    assert not where.exists()
    moved = where.with_name("moved")
    experiment = moved if what == "results/tiny" else moved / "tiny"
    done = set(Store(experiment).run_ids())
    moved.rename(where)
    change(tiny, strategies='["rls", "persistence"]')
    again = bench("run", tiny)
    assert (again.status, f"{4 - len(done)} ok" in again.err or "nothing to do" in again.err) == (0, True)
