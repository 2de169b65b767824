"""``bench new``: each template is a file that works as it stands, under any name."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from bench import load_results
from bench.cli.new import FOLDERS
from bench.contracts.discovery import load_plugins
from bench.contracts.strategy import STRATEGIES
from bench.testing import check_dataset, check_forecaster, check_metric, check_strategy

from ..conftest import Bench, pictures

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("kind", FOLDERS)
def test_a_new_file_is_used_by_the_next_run(kind: str, bench: Bench, tiny: Path, tmp_path: Path) -> None:
    made = bench("new", kind, "first-try")
    assert made.status == 0, made.err
    file, *commands = made.out.split("\n")[:-1]
    assert file == f"{FOLDERS[kind]}/{'first-try.toml' if kind == 'experiment' else 'first_try.py'}"
    assert all(re.match(r"  bench (run|check|data|report) ", line) for line in commands)

    words = {
        "strategy": ["--strategy", "first-try", "--forecaster", "nlinear"],
        "forecaster": ["--strategy", "frozen", "--forecaster", "first-try"],
        "dataset": ["--strategy", "rls", "--dataset", "first-try"],
        "experiment": ["--strategy", "rls", "--dataset", "csv:waves.csv", "--engine", "inline", "--seed", "0"],
    }.get(kind, ["--strategy", "rls"])
    with pictures():
        ran = bench("run", "first-try" if kind == "experiment" else tiny, *words)
    assert ran.status == 0, ran.err

    runs = load_results(tmp_path / "results")
    assert (runs["status"] == "ok").all()
    report = (tmp_path / ran.out.strip()).read_text(encoding="utf-8")
    if kind == "strategy":
        assert set(runs["strategy"]) == {"first-try"}
    elif kind == "forecaster":
        assert set(runs["forecaster"]) == {"first-try"}
    elif kind == "dataset":
        assert set(runs["dataset"]) == {"first-try"}
        assert "known drifts: 1" in report
    elif kind == "metric":
        assert runs["first-try"].gt(0).all()
    elif kind == "section":
        assert "## first-try" in report


@pytest.mark.usefixtures("registries")
@pytest.mark.parametrize(
    ("kind", "check"),
    [
        ("strategy", partial(check_strategy, forecaster="nlinear", quick=True)),
        ("forecaster", check_forecaster),
        ("dataset", check_dataset),
        ("metric", check_metric),
    ],
)
def test_a_new_plug_in_passes_its_checks(kind: str, check: object, bench: Bench, tmp_path: Path) -> None:
    assert bench("new", kind, "second", "--folder", "own").status == 0
    load_plugins([tmp_path / "own" / "second.py"])
    assert callable(check)
    assert check("second")


def test_new_files_are_as_the_linter_wants_them(bench: Bench, tmp_path: Path) -> None:
    for kind in FOLDERS:
        for name in ("first-try", "2.search", "strategy", "class"):  # none of these may be a class's name as it is
            assert bench("new", kind, name, "--folder", f"own-{kind}").status == 0
    (tmp_path / "bench").symlink_to(ROOT / "bench")  # as in a checkout, where bench is the first party
    config = ["--config", str(ROOT / "pyproject.toml"), "--no-cache"]
    for words in (["check"], ["format", "--check"]):
        command = [sys.executable, "-m", "ruff", *words, *config, *sorted(map(str, tmp_path.glob("own-*")))]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


@pytest.mark.usefixtures("registries")
def test_any_name_will_do(bench: Bench, tmp_path: Path) -> None:
    names = ["2.search", "strategy", "class", "torch"]
    for name in names:
        assert bench("new", "strategy", name, "--folder", "own").status == 0
    load_plugins([tmp_path / "own"])
    assert {*names} <= {*STRATEGIES.names}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["strategi", "mine"], "Unknown kind of file 'strategi'. Did you mean 'strategy'?"),
        (["strategy", "My Own"], "'My Own' cannot name a strategy: use lower-case letters"),
        (["strategy", "rls"], "The strategy 'rls' is there already, in "),
        (["experiment", "smoke"], "The experiment 'smoke' is there already, in "),
        (["metric", "mine"], "adapters/mine.py is there already. Choose another name, or another --folder."),
    ],
)
def test_mistakes(bench: Bench, tmp_path: Path, words: list[str], message: str) -> None:
    (tmp_path / "adapters").mkdir()
    (tmp_path / "adapters" / "mine.py").touch()
    ran = bench("new", *words)
    assert ran.status == 2
    assert message in ran.err
    assert (tmp_path / "adapters" / "mine.py").read_text() == ""
