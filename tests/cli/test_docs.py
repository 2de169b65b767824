"""What the documentation shows must work as printed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench.contracts.dataset import DATASETS
from bench.contracts.discovery import load_plugins
from bench.contracts.forecaster import FORECASTERS
from bench.contracts.metric import METRICS
from bench.contracts.protocol import ProtocolSpec
from bench.contracts.section import SECTIONS
from bench.contracts.strategy import STRATEGIES
from bench.testing import check_dataset, check_forecaster, check_metric, leak_canary, small_series, tiny_maker

ROOT = Path(__file__).parents[2]


def examples(page: str) -> list[str]:
    """The Python blocks of a page that register something."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), flags=re.DOTALL)
    return [block for block in blocks if "@register_" in block]


@pytest.mark.parametrize("page", ["README.md", "docs/plugins.md"])
@pytest.mark.usefixtures("registries")
def test_the_examples_of_a_page_pass_their_checks(page: str, tmp_path: Path) -> None:
    for i, example in enumerate(examples(page)):
        file = tmp_path / f"example_{i}.py"
        file.write_text(example, encoding="utf-8")
        load_plugins([file])
        (name,) = re.findall(r'@register_\w+\("(.+?)"', example)
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


def test_the_readme_adds_a_strategy_in_twenty_lines() -> None:
    (example,) = examples("README.md")
    assert len([line for line in example.splitlines() if line.strip()]) <= 20


@pytest.mark.parametrize(
    "page", ["README.md", "CONTRIBUTING.md", "SECURITY.md", *(f"docs/{p.name}" for p in (ROOT / "docs").glob("*.md"))]
)
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
