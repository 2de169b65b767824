"""What is light stays light: help and reports import neither torch nor a plug-in, and do without torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.cli.listing import code_behind_lists

from ..conftest import Bench, Write

HEAVY = ("torch", "titans_pytorch", "bench_plugins", "bench.forecasters", "safetensors", "joblib", "scipy")
SCRIPT = """
import json, sys

class Absent:  # as on a machine without torch
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "titans_pytorch"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

if "--without-torch" in sys.argv:
    sys.argv.remove("--without-torch")
    sys.meta_path.insert(0, Absent())
try:
    %s
except SystemExit as ended:
    assert not ended.code, ended.code
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
"""
STRATEGY = """
from bench import Strategy, register_strategy

@register_strategy("mine")
class Mine(Strategy):
    pass
"""
COMMAND = "from bench.cli.main import main; main()"


def ran(code: str, *words: str, folder: Path) -> tuple[str, set[str]]:
    """What some code prints, and the modules that are loaded after it."""
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT % code, *words],
        cwd=folder,
        env=os.environ | {"MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout, set(json.loads(run.stderr.strip().splitlines()[-1]))


def loaded(code: str, *words: str, folder: Path) -> set[str]:
    """Modules that are loaded after some code."""
    return ran(code, *words, folder=folder)[1]


def heavy(modules: set[str]) -> set[str]:
    return {name for name in modules for root in HEAVY if name == root or name.startswith(f"{root}.")}


def test_the_probe_sees_what_is_imported(tmp_path: Path) -> None:
    code = "import torch; from bench.contracts.discovery import load_plugins; load_plugins()"
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SCRIPT % code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    found = heavy(set(json.loads(run.stderr.strip().splitlines()[-1])))
    assert {"torch", "bench_plugins.adapters.baselines", "bench.forecasters.linear"} <= found
    with pytest.raises(AssertionError, match="No module named 'torch'"):
        loaded("import torch", "--without-torch", folder=tmp_path)


@pytest.mark.parametrize("without", [[], ["--without-torch"]])
def test_importing_the_package(tmp_path: Path, without: list[str]) -> None:
    assert {name for name in loaded("import bench", folder=tmp_path) if name.startswith("bench")} == {"bench"}
    modules = loaded("import bench; bench.Strategy, bench.Dataset, bench.load_results", *without, folder=tmp_path)
    assert "bench.contracts.strategy" in modules
    assert heavy(modules) == set()
    assert "pandas" not in modules
    assert "matplotlib" not in modules


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["data", "--help"]])
def test_help(tmp_path: Path, words: list[str]) -> None:
    modules = loaded(COMMAND, *words, folder=tmp_path)
    assert heavy(modules) == set()
    assert "pandas" not in modules
    if words == ["--help"]:
        assert not {"numpy", "pydantic"} & modules


def test_what_is_listed_again_needs_no_torch_and_no_plug_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: Write
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    words = ("list", "--json")
    first, modules = ran(COMMAND, *words, folder=tmp_path)
    assert "torch" in modules
    assert {"rls", "persistence"} <= {row["name"] for row in json.loads(first)["strategies"]}
    again, modules = ran(COMMAND, *words, "--without-torch", folder=tmp_path)
    assert heavy(modules) == set()
    assert again == first
    kept = next((tmp_path / "cache").rglob("listed.json"))
    kept.write_text(kept.read_text().replace('"code": "', '"code": "0'))  # as of other code
    mine = write("adapters/mine.py", STRATEGY)
    assert "mine" in {row["name"] for row in json.loads(ran(COMMAND, *words, folder=tmp_path)[0])["strategies"]}
    assert '"code": "0' in kept.read_text()  # the user's own files are never kept
    kept.write_text("[")
    mine.unlink()
    assert ran(COMMAND, *words, folder=tmp_path)[0] == first


def test_what_decides_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.contracts.discovery.home", lambda: tmp_path)
    monkeypatch.setattr("bench.contracts.discovery.PACKAGE", tmp_path / "bench")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "site")])
    found = [code_behind_lists()]
    for name in ("bench/a.py", "adapters/b/__init__.py", "adapters/b/_part.py", "datasets/c.py", "site/x-1.dist-info"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
        found.append(code_behind_lists())
    (tmp_path / "adapters/b/_part.py").write_text("x = 1")
    found.append(code_behind_lists())
    (tmp_path / "bench/a.py").rename(tmp_path / "bench/d.py")
    found.append(code_behind_lists())
    assert len(set(found)) == len(found)
    assert code_behind_lists() == found[-1]


@pytest.mark.usefixtures("without_report")
def test_reports_need_no_torch_and_no_plug_in(tiny: Path, bench: Bench) -> None:
    assert bench("run", tiny).status == 0
    for without in ([], ["--without-torch"]):
        modules = loaded(COMMAND, "report", *without, folder=tiny.parent)
        assert heavy(modules) - {name for name in modules if name.partition(".")[0] == "scipy"} == set()
        page = tiny.parent / "reports" / "tiny" / "README.md"
        assert "rls" in page.read_text()
        page.unlink()


@pytest.mark.usefixtures("without_report")
def test_comparing_needs_no_torch_and_no_plug_in(tiny: Path, bench: Bench) -> None:
    assert bench("run", tiny).status == 0
    for without in ([], ["--without-torch"]):
        modules = loaded(COMMAND, "compare", "results", "results/tiny", *without, folder=tiny.parent)
        assert "bench.analysis.compare" in modules
        assert heavy(modules) == set()
        assert "matplotlib" not in modules


@pytest.mark.usefixtures("without_report")
def test_pooling_needs_no_torch_and_no_plug_in(tiny: Path, bench: Bench) -> None:
    assert bench("run", tiny).status == 0
    modules = loaded(COMMAND, "leaderboard", "--without-torch", folder=tiny.parent)
    assert "bench.analysis.pooling" in modules
    assert not heavy(modules) & {"torch", "titans_pytorch", "bench_plugins"}


def test_the_doctor_says_that_torch_is_not_there(tmp_path: Path) -> None:
    modules = loaded(COMMAND, "doctor", "--without-torch", folder=tmp_path)
    assert "bench.cli.doctor" in modules
    assert not heavy(modules) & {"torch", "titans_pytorch", "bench_plugins"}


def test_results_and_their_analysis_need_no_torch(tiny: Path, bench: Bench, without_report: None) -> None:
    assert bench("run", tiny).status == 0
    code = "import bench, bench.analysis as a; print(a.leaderboard(bench.load_results('results')).to_string())"
    code += "; bench.load_errors(); bench.load_forecasts()"
    modules = loaded(code, "--without-torch", folder=tiny.parent)
    assert not heavy(modules) & {"torch", "titans_pytorch"}
