"""What the documentation shows must work as printed."""

from __future__ import annotations

import contextlib
import importlib.util
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
import typer.main

from bench.cli.main import app
from bench.contracts.dataset import DATASETS
from bench.contracts.discovery import load_plugins
from bench.contracts.forecaster import FORECASTERS
from bench.contracts.metric import METRICS
from bench.contracts.protocol import ProtocolSpec
from bench.contracts.section import SECTIONS
from bench.contracts.strategy import STRATEGIES
from bench.testing import check_dataset, check_forecaster, check_metric, leak_canary, small_series, tiny_maker

from ..conftest import Bench

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", "CONTRIBUTING.md", "SECURITY.md", *sorted(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))]


def examples(page: str) -> list[str]:
    """The Python blocks of a page that register something."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    return [block for block in blocks if "@register_" in block or "bench.wrap(" in block]


SKLEARN = """
import numpy as np


class Ridge:
    def __init__(self, alpha):
        self.alpha = alpha

    def fit(self, x, y):
        self.weights = np.linalg.solve(x.T @ x + self.alpha * np.eye(x.shape[1]), x.T @ y)

    def predict(self, x):
        return x @ self.weights
"""


@pytest.fixture
def scikit_learn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the examples use of scikit-learn, where it is not installed."""
    if importlib.util.find_spec("sklearn") is None:
        (tmp_path / "stand-in" / "sklearn").mkdir(parents=True)
        (tmp_path / "stand-in" / "sklearn" / "linear_model.py").write_text(SKLEARN, encoding="utf-8")
        monkeypatch.syspath_prepend(tmp_path / "stand-in")


@pytest.mark.parametrize("page", ["README.md", "docs/plugins.md"])
@pytest.mark.usefixtures("registries", "scikit_learn")
def test_the_examples_of_a_page_pass_their_checks(page: str, tmp_path: Path) -> None:
    for i, example in enumerate(examples(page)):
        file = tmp_path / f"example_{i}.py"
        file.write_text(example, encoding="utf-8")
        load_plugins([file])
        (name,) = re.findall(r'(?:@register_\w+|bench\.wrap)\("(.+?)"', example)
        if name in STRATEGIES:
            for hidden in (False, True):
                series = small_series(hidden_targets=hidden)
                protocol = ProtocolSpec(preset="dense", block=5).resolve(series)
                leak_canary(tiny_maker(name), series, protocol, cuts=(series.split.validation + 7,))
        elif name in FORECASTERS:
            check_forecaster(name)
        elif name in METRICS:
            check_metric(name)
        elif name in DATASETS:
            check_dataset(name)
        else:  # its figure and table are looked at in tests/report/test_section.py
            assert name in SECTIONS


def commands(page: str) -> list[str]:
    """The commands of a page's shell blocks, and those that stand in its text."""
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)
    shown = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [line for line in shown + re.findall(r"`([^`\n]+)`", text) if line.startswith("bench ")]


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_are_ones(page: str) -> None:
    for line in commands(page):
        words = shlex.split(line, comments=True)[1:]
        command: Any = typer.main.get_command(app)
        context = command.context_class(command, info_name="bench")
        while hasattr(command, "resolve_command") and words and not words[0].startswith("-"):
            name, command, words = command.resolve_command(context, words)
            context = command.context_class(command, info_name=name, parent=context)
        if not words:  # the name of a command, as in "`bench run` does it"
            continue
        try:
            with contextlib.suppress(typer.Exit):  # --help
                command.parse_args(context, words)
        except typer.BadParameter as error:
            if "does not exist" not in str(error):  # a folder that an example calls so
                raise


@pytest.mark.slow
def test_a_newcomer_gets_from_nothing_to_a_report(bench: Bench, tmp_path: Path) -> None:
    """Each block of the page in turn, in one folder; the smoke experiment with one strategy, all in this process."""
    text = (ROOT / "docs" / "get-started.md").read_text(encoding="utf-8")
    ran = []
    for language, block in re.findall(r"```(\w+)\n(.*?)```", text, flags=re.DOTALL):
        if language == "python":
            exec(compile(block, "get-started.md", "exec"), {})
            continue
        for line in filter(lambda line: line.startswith("bench "), block.splitlines()):
            words = shlex.split(line)[1:]
            words += ["--engine", "inline"] if words[0] == "run" else []
            words += ["--strategy", "persistence"] if words[:2] == ["run", "smoke"] else []
            done = bench(*words)
            assert done.status == 0, f"{line}: {done.err}"
            ran.append(words[0])
    assert ran == ["doctor", "run", "init", "run", "run", "new", "check", "run"]
    report = (tmp_path / "reports" / "counts" / "README.md").read_text(encoding="utf-8")
    assert re.search(r"^\| mine +\|", report, re.MULTILINE)
    assert "new road" in report
    assert str(tmp_path) not in report


def test_a_command_that_is_none_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    for line in ("bench swep default", "bench run default --wokers 2", "bench list --json=1"):
        (tmp_path / "page.md").write_text(f"```sh\n{line}  # so\n```\n")
        with pytest.raises(Exception, match=r"No such (command|option)|does not take a value"):
            test_the_commands_of_a_page_are_ones("page.md")


def test_the_readme_adds_a_strategy_in_twenty_lines() -> None:
    (example,) = examples("README.md")
    assert len([line for line in example.splitlines() if line.strip()]) <= 20


@pytest.mark.parametrize("page", PAGES)
def test_relative_links_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert ((ROOT / page).parent / target).exists(), target


def test_every_test_that_a_page_names_is_there() -> None:
    named = [
        (file, test)
        for page in [ROOT / "SECURITY.md", *sorted((ROOT / "docs").glob("*.md"))]
        for file, test in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page.read_text(encoding="utf-8"))
    ]
    assert named
    for file, test in named:
        assert f"def {test}(" in (ROOT / file).read_text(encoding="utf-8"), f"{file} has no {test}"
