"""The wheel away from its checkout: what it carries, what it declares, and that it runs in an empty folder."""

from __future__ import annotations

import ast
import os
import re
import shlex
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Callable, Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
KINDS = ("adapters", "datasets", "experiments")
MODULES = {"mlflow-skinny": "mlflow"}  # where a distribution has another name
WORKSHOP = {"dev", "docs"}  # extras of who works on this package
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

Installed = Callable[..., str]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    here = ["--no-build-isolation"] if find_spec("hatchling") else []
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", *here, "-w", str(folder), str(ROOT)]
    done = subprocess.run(build, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (file,) = folder.glob("*.whl")
    return file


@pytest.fixture
def installed(wheel: Path, tmp_path: Path) -> Installed:
    """Run ``bench WORDS...`` of the wheel in an empty folder, ``tmp_path/here``; returns what it prints."""
    site, here = tmp_path / "site", tmp_path / "here"
    here.mkdir()
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(site)  # a wheel of Python alone needs no more

    def run(*words: str) -> str:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "bench", *words],
            cwd=here,
            env=os.environ | {"PYTHONPATH": str(site), "MPLBACKEND": "agg"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.mark.slow
def test_the_wheel_carries_all_that_is_built_in(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        carried = {name for name in packed.namelist() if "__pycache__" not in name}
    for kind in KINDS:
        ours = {f"bench/_builtin/{kind}/{file.name}" for file in (ROOT / kind).glob("[!_]*.*")}
        assert {name for name in carried if name.startswith(f"bench/_builtin/{kind}/")} == ours
    others = {name for name in carried if not name.startswith("bench/")}
    assert all(".dist-info/" in name for name in others)


@pytest.mark.slow
def test_a_newcomer_in_an_empty_folder_does_what_is_printed(installed: Installed, tmp_path: Path) -> None:
    """A strategy and data of one's own, to a report, with the commands that `bench new` and `bench init` print."""
    here = tmp_path / "here"
    listed = installed("list")
    assert {"persistence", "akl-pedestrians", "smoke"} <= set(re.findall(r"^[\w-]+", listed, re.M))
    assert str(tmp_path / "site") in re.sub(r"\s", "", listed)  # not the checkout's; a long path is wrapped

    for words in printed(installed("new", "strategy", "mine")):
        installed(*words)
    assert {path.name for path in here.iterdir()} == {"adapters", "results", "reports"}
    report = here / "reports" / "smoke" / "README.md"
    assert "mine" in report.read_text(encoding="utf-8")
    report.unlink()
    assert installed("report").split() == ["reports/smoke/README.md"]
    assert report.is_file()

    days = np.datetime64("2023-01-01") + np.arange(600)
    lines = [f"{day},{3 + k % 7 + (k > 400) * 2}.{k * k % 10}" for k, day in enumerate(days)]
    (here / "counts.csv").write_text("\n".join(["day,count", *lines]) + "\n", encoding="utf-8")
    *_, last = printed(installed("init", "data", "counts.csv", "--event", "2024-02-05=new road"))
    assert last == ["run", "counts.toml"]
    assert re.search(r"^mine +dlinear +counts ", installed(*last, "--dry-run"), re.M)
    installed(*last, "--strategy", "persistence", "--strategy", "rls", "--seed", "0")
    text = (here / "reports" / "counts" / "README.md").read_text(encoding="utf-8")
    assert "known drifts: 1" in text
    assert str(tmp_path) not in text


def printed(text: str) -> list[list[str]]:
    """The words of each command that is printed, without ``bench``."""
    commands = [shlex.split(line) for line in text.splitlines() if line.startswith("  bench ")]
    assert commands
    return [words[1:] for words in commands]


def imported(files: Iterable[Path]) -> tuple[set[str], set[str]]:
    """Packages that some modules import by a statement, and those that they may import by a text."""
    stated, named = set(), set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                stated |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                stated.add(node.module.partition(".")[0])
            elif isinstance(node, ast.Constant) and re.fullmatch(r"[a-z_]+(\.[a-z_]+)*", str(node.value)):
                named.add(str(node.value).partition(".")[0])
    return stated, named


def packages_of(requirements: Iterable[str]) -> set[str]:
    names = (re.split(r"[\[>=;]", requirement)[0] for requirement in requirements)
    return {MODULES.get(name, name.replace("-", "_")) for name in names} - {"adaptbench"}


def test_what_is_declared_is_imported_and_what_is_imported_is_declared() -> None:
    stated, named = imported(file for folder in ("bench", *KINDS[:2]) for file in (ROOT / folder).rglob("*.py"))
    extras = PROJECT["optional-dependencies"]
    optional = [one for name, extra in extras.items() if name not in WORKSHOP for one in extra]
    declared = packages_of([*PROJECT["dependencies"], *optional])
    assert declared <= stated | named
    assert stated - {*sys.stdlib_module_names, "bench", "pydantic_core"} <= declared  # pydantic pins its core


def test_one_extra_brings_all_others() -> None:
    extras = PROJECT["optional-dependencies"]
    (all_of_them,) = extras["all"]
    assert set(re.findall(r"[a-z]+", all_of_them)) - {"adaptbench"} == {*extras} - {"all"} - WORKSHOP
