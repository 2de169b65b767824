"""Names and files from elsewhere: they are text and data, and lead nowhere, run nothing, mark nothing up."""

from __future__ import annotations

import ast
import io
import pickle
import time
from pathlib import Path

import pytest

from bench.execution.console import Screen
from bench.execution.experiment import load_experiment
from bench.execution.progress import EVERY, ProgressDisplay, ProgressFile
from bench.results.merging import merge
from bench.results.store import Store

from ..conftest import Bench
from ..results.test_maintenance import filled
from ..sessions import change, records

ROOT = Path(__file__).parents[2]
HOSTILE = "[bold]a[/nope] <script>alert(1)</script> `x` | y $z$ *w*.csv".replace("/", "\N{DIVISION SLASH}")


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_hostile_file_name_is_printed_as_it_is_and_names_no_file(
    tiny: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tiny.parent / HOSTILE).write_bytes((tiny.parent / "waves.csv").read_bytes())
    change(tiny, datasets=f"['csv:{HOSTILE}']", strategies='["persistence", "titans-a"]', forecasters='["dlinear"]')
    ran = bench("run", tiny)
    assert ran.status == 0
    assert f"skipped: titans-a (dlinear) on csv:{HOSTILE}, seed 0" in ran.err
    monkeypatch.setenv("COLUMNS", "400")
    assert f"csv:{HOSTILE}" in bench("run", tiny, "--dry-run").out
    assert bench("report").status == 0
    text = (tiny.parent / "reports" / "tiny" / "README.md").read_text()
    assert "<script>" not in text
    assert "[bold]" not in text.replace(r"\[bold\]", "")
    made = {name for name in files(tiny.parent) if name.startswith(("results/", "reports/"))}
    assert not [name for name in made if "script>" in name or "[bold]" in name]
    assert all(record.dataset.name == f"csv:{HOSTILE}" for record in records(tiny).values())


def test_a_hostile_label_is_drawn_as_it_is(tmp_path: Path) -> None:
    drawn = io.StringIO()
    with ProgressDisplay(tmp_path / "progress_folder", Screen(file=drawn, force_terminal=True, width=200)) as display:
        ProgressFile(display.progress_folder, "id", "[/nope] :x: [bold]b")(1, 10, lambda: 0.5)
        time.sleep(3 * EVERY)
        display.advance(display.stage("runs", 2), "[/nope] line", "[/nope] note")
    for text in ("[/nope] :x: [bold]b", "[/nope] line", "[/nope] note"):
        assert text in drawn.getvalue()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "a/b", ".", "..", "a b", "A", "<b>", "-x", ""])
def test_an_experiment_s_name_is_no_path(tiny: Path, bench: Bench, name: str) -> None:
    change(tiny, name=f"'{name}'")
    ran = bench("run", tiny)
    assert ran.status == 2
    assert f"name {name!r} must be lower-case letters" in ran.err
    assert not (tiny.parent / "results").exists()


def test_a_checkpoint_that_is_a_pickle_is_not_run(tiny: Path, bench: Bench) -> None:
    change(tiny, strategies='["frozen"]', forecasters='["dlinear"]', timing_blocks="0")
    bench("run", tiny)
    first = records(tiny)["frozen+dlinear"]
    (checkpoint,) = (tiny.parent / "results" / ".checkpoints").iterdir()
    trap = tiny.parent / "sprung"
    checkpoint.write_bytes(pickle.dumps(Trap(trap)))
    assert bench("run", tiny, "--always").status == 0
    assert records(tiny)["frozen+dlinear"].errors == first.errors
    assert not trap.exists()
    pickle.loads(pickle.dumps(Trap(trap)))
    assert trap.exists()  # it would have been


class Trap:
    """Whoever unpickles it leaves a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


LOADERS = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal"}


def test_no_code_reads_pickles() -> None:
    """`multiprocessing` does, between a session and the workers that it started, through pipes that they inherit."""
    sources = [path for folder in ("bench", "adapters", "datasets") for path in (ROOT / folder).rglob("*.py")]
    assert len(sources) > 100
    for path in sources:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            owner = node.func.value.id if isinstance(node.func.value, ast.Name) else ""
            loads = node.func.attr in ("load", "loads", "Unpickler", "read_pickle")
            assert not (loads and owner in {*LOADERS, "torch", "joblib", "np", "numpy", "pd"}), f"{path}: {owner}"
            allowed = [word.value for word in node.keywords if word.arg == "allow_pickle"]
            assert not allowed, path


def test_what_a_link_leads_to_is_not_merged(tmp_path: Path) -> None:
    store = filled(tmp_path / "a", "r1")
    (tmp_path / "secret").write_text("secret")
    (store.folder / "r1" / "log.txt").symlink_to(tmp_path / "secret")
    (store.folder / "r1" / "more.parquet").symlink_to(tmp_path / "secret")
    assert merge([tmp_path / "a"], tmp_path / "b").taken == 1
    assert all(b"secret" not in (tmp_path / "b" / name).read_bytes() for name in files(tmp_path / "b"))
    assert Store(tmp_path / "b" / "e").condition("r1", closely=True).state == "ok"


def test_a_name_in_an_experiment_file_reads_no_other_file(tiny: Path, bench: Bench) -> None:
    change(tiny, strategies='["../../etc/passwd"]')
    ran = bench("run", tiny)
    assert (ran.status, "Unknown strategy '../../etc/passwd'" in ran.err) == (2, True)
    assert load_experiment(str(tiny)).name == "tiny"
