"""The committed example: its records give its report again, byte for byte."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench.report import write_report

EXAMPLE = Path(__file__).parents[2] / "reports" / "example"
RECORDS = EXAMPLE / "results" / "default"
REPORT = EXAMPLE / "default"
TEXTS = {".md", ".csv", ".tex"}
AGAIN = "write it again: bench report default --results reports/example/results --reports reports/example"


@pytest.fixture(scope="module")
def again(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(RECORDS, tmp_path_factory.mktemp("example") / "default").parent


def files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_the_example_is_what_its_records_give(again: Path) -> None:
    assert files(again) == files(REPORT), AGAIN
    for name in files(again):
        if Path(name).suffix in TEXTS:
            assert (again / name).read_bytes() == (REPORT / name).read_bytes(), f"{name} differs; {AGAIN}"


def test_its_links_lead_somewhere() -> None:
    text = (REPORT / "README.md").read_text(encoding="utf-8")
    headings = {
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")
        for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    }
    links = re.findall(r"\]\(([^)\s]+)\)", text)
    assert links
    for link in links:
        target, _, anchor = link.partition("#")
        assert not target or (REPORT / target).is_file(), link
        assert not anchor or target or anchor in headings, link


def test_it_comes_from_the_default_experiment_undisturbed() -> None:
    text = (REPORT / "README.md").read_text(encoding="utf-8")
    assert "180 runs" in text
    assert "uncommitted changes" not in text
    assert "/tmp" not in text


def test_it_is_not_too_long() -> None:
    assert len((REPORT / "README.md").read_text(encoding="utf-8").splitlines()) <= 350
