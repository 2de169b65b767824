"""The documentation as a site: each page has its place, it builds without a warning, and explains every option."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

from bench.contracts.dataset import DATASETS

ROOT = Path(__file__).parents[1]
SITE = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")


@pytest.fixture
def reference(monkeypatch: pytest.MonkeyPatch, registries: None) -> Any:
    monkeypatch.syspath_prepend(ROOT / "docs" / "site")
    return import_module("reference")


def test_every_page_has_one_place() -> None:
    listed = re.findall(r"^ +- .+: ([\w./-]+)$", SITE.partition("\nnav:\n")[2], re.MULTILINE)
    assert len(listed) == len(set(listed))
    ours = {name for name in listed if not name.startswith(("repository/", "reference/", "datasets/"))}
    assert ours == {page.name for page in (ROOT / "docs").glob("*.md")}


def test_every_page_made_from_code_has_one_place(reference: Any) -> None:
    made = dict(reference.pages())
    assert set(re.findall(r"reference/[\w.]+\.md", SITE)) == set(made)
    for page, name in (("strategies", "titans-d"), ("forecasters", "patchtst"), ("records", "Record")):
        assert f"# {name}\n" in made[f"reference/{page}.md"]


def test_every_option_and_every_field_of_a_record_is_explained(reference: Any) -> None:
    plug_ins = [*reference.STRATEGIES, *reference.FORECASTERS, *reference.ENGINES, *reference.TRACKERS, *DATASETS]
    models = [entry.cls.Config for entry in plug_ins]
    models += [reference.Experiment, reference.Protocol, reference.TrainingConfig, reference.TuneOptions]
    missing = {
        f"{model.__qualname__}.{name}"
        for model in [*models, *reference.models(reference.Record)]
        for name in model.model_fields
        if name not in reference.meanings(model)
    }
    assert missing == set()


def test_what_is_said_of_a_type(reference: Any) -> None:
    fields = reference.Experiment.model_fields
    said = {name: reference.type_text(field.annotation, field.metadata) for name, field in fields.items()}
    assert said["threads"] == "int > 0 and ≤ 1024"
    assert said["timeout"] == "float > 0 and ≤ 1000000000.0 or None"
    table = reference.options_table(reference.STRATEGIES["rls"].cls.Config)
    assert (
        "| `ridge` | float ≥ 0 | `1.0` | Penalty of the first solution, on the history. Tuned from 0.01 to 100" in table
    )


@pytest.mark.slow
@pytest.mark.skipif(not all(map(find_spec, ("mkdocs", "material", "mkdocstrings"))), reason="needs adaptbench[docs]")
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    build = [sys.executable, "-W", "ignore", "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(
        build, cwd=ROOT, capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "site" / "reference" / "bench" / "index.html").read_text(encoding="utf-8")
    assert 'id="bench.Strategy.predict"' in page
    assert (tmp_path / "site" / "repository" / "reports" / "example" / "default" / "figures").is_dir()


@pytest.mark.parametrize(
    "path", sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")), ids=lambda path: path.stem
)
def test_a_template_names_pages_that_exist(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert all((ROOT / name).is_file() for name in re.findall(r"\b[\w/]+\.md\b", text))
    if path.stem != "config":
        form = yaml.safe_load(text)
        assert {"name", "description", "body"} <= set(form)
        assert all(part["attributes"].get("label") or part["type"] == "markdown" for part in form["body"])
    assert path.stem != "bug" or "bench doctor" in text
