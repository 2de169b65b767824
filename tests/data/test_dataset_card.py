"""What `bench data describe` says, and that the pages in docs/datasets say it of the data as they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.contracts.dataset import DATASETS
from bench.contracts.discovery import load_plugins
from bench.contracts.registry import Entry
from bench.report.dataset_card import Portrait, brief_card, index, is_brief, make_card
from bench.testing import small_series

from ..conftest import Bench, Write

CARDS = Path(__file__).parents[2] / "docs" / "datasets"
load_plugins()
CARRIED = [entry for entry in DATASETS if "path" not in entry.cls.Config.model_fields]


@pytest.mark.parametrize("entry", CARRIED, ids=lambda entry: entry.name)
def test_pages_are_up_to_date(entry: Entry, tmp_path: Path) -> None:  # type: ignore[type-arg]
    pytest.importorskip("ruptures", reason="pages need adaptbench[drift]")
    committed = (CARDS / f"{entry.name}.md").read_text(encoding="utf-8")
    made = make_card(entry, tmp_path)
    if is_brief(made) and not is_brief(committed):
        pytest.skip(f"the data of {entry.name} are not on this machine")
    assert made == committed, f"run: bench data card {entry.name}"


def test_the_index_is_up_to_date() -> None:
    assert (CARDS / "README.md").read_text(encoding="utf-8") == index(CARRIED, CARDS), "run: bench data card all"
    assert {page.stem for page in CARDS.glob("*.md")} == {"README", *(entry.name for entry in CARRIED)}


def test_a_portrait_names_what_there_is(tmp_path: Path) -> None:
    series = small_series(rows=600)
    portrait = Portrait.of(series, tmp_path)
    facts = portrait.facts()
    assert ("rows", "600") in facts
    assert ("step", "1, no gaps") in facts
    assert ("drift", "row 480, 480: jump (abrupt)") in facts
    assert any(what == "estimated drift" for what, _ in facts)
    assert [row[0] for row in portrait.evidence_rows()] == portrait.evidence["column"].tolist()
    assert abs(portrait.evidence["stream_shift"].iloc[0]) >= abs(portrait.evidence["stream_shift"].iloc[-1])


def test_without_the_package_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.analysis.statistics.change_points.is_available", lambda: False)
    facts = Portrait.of(small_series(), tmp_path).facts()
    assert ("estimated drift", "not looked for: pip install 'adaptbench[drift]'") in facts


def test_a_page_without_data_says_what_is_known() -> None:
    page = brief_card(DATASETS["traffic"])
    assert is_brief(page)
    for words in ("# traffic", "California Department of Transportation", "bench data fetch traffic", "sha256"):
        assert words in page
    assert "- **season**: 168" in page


def test_describe_and_card(bench: Bench, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.data.download.cache_folder", lambda: tmp_path / "cache" / "data")
    monkeypatch.setenv("COLUMNS", "200")
    ran = bench("data", "describe", "realistic-drift", "--plot", "drift.svg")
    assert ran.status == 0
    assert "Means: difference to training" in ran.out
    assert (tmp_path / "drift.svg").read_text().startswith("<?xml")
    ran = bench("data", "describe", "realistic-drift", "--plot", "drift.pdf")
    assert (ran.status, "drift.pdf: a plot is a .png or a .svg file." in ran.err) == (2, True)
    assert bench("data", "card", "realistic-drift", "--folder", "cards").status == 0
    assert "# realistic-drift" in (tmp_path / "cards" / "realistic-drift.md").read_text()
    assert "csv has no page" in bench("data", "card", "csv").err


def test_a_full_page_is_kept_where_the_data_are_not(bench: Bench, write: Write, tmp_path: Path) -> None:
    pages = tmp_path / "cards"
    pages.mkdir()
    (pages / "traffic.md").write_text("made with the data")
    assert "kept, as the data are not here" in bench("data", "card", "traffic", "--folder", "cards").out
    assert (pages / "traffic.md").read_text() == "made with the data"
