"""More than a few datasets: a page for each; very many: few figures, and tables that compare some."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_hex

from bench.report import write_report
from bench.report.blocks import figures_in
from bench.report.document import report as report_of
from bench.report.figures.canvas import drawing_style
from bench.report.figures.palette import FAINT, colours, looks
from bench.report.render.markdown import render
from bench.report.view.detail import (
    ENDS,
    MIDDLE,
    MOST,
    choose_detail,
    collapsed,
    detailed,
    label_families,
    on_own_page,
)
from bench.report.view.highlight import MOST_HIGHLIGHTED, MOST_SHOWN
from bench.report.view.labels import shown_families
from bench.report.view.loaded import Results
from bench.report.view.loading import read_results

from ..throughput.many_results import ENTRIES, write_many
from .conftest import KNOWN

DATASETS = 15
FULL = 2 * ENDS + MIDDLE
KINDS = ("ablations", "memory", "stream", "cost", "lead", "forecasts")


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 runs."""
    return write_many(tmp_path_factory.mktemp("results") / "many", DATASETS, seeds=1, origins=24).folder


@pytest.fixture(scope="module")
def results(many: Path) -> Results:
    return read_results(many)


@pytest.fixture(scope="module")
def report(many: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Their report, written where torch is not installed."""
    folder = tmp_path_factory.mktemp("reports") / "many"
    code = f"""
import sys
from pathlib import Path

class NoTorch:
    def find_spec(self, name, *rest):
        if name.partition(".")[0] == "torch":
            raise ImportError("torch is not installed")

sys.meta_path.insert(0, NoTorch())
from bench.report import write_report
from bench.report.figures import canvas
canvas.save = lambda figure, stem: stem.with_name(stem.name + ".svg").touch()
write_report(Path({str(many)!r}), Path({str(folder)!r}))
assert not [name for name in sys.modules if name.startswith("bench_plugins")]
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
    return folder


def test_the_number_of_figures_does_not_grow_with_that_of_datasets(report: Path) -> None:
    figures = sorted(path.stem for path in (report / "figures").glob("*.svg"))
    assert len(figures) <= 3 + FULL * len(KINDS)
    assert "overview-datasets" in figures
    assert len({stem.partition("-")[2] for stem in figures}) == 1 + FULL
    text = (report / "README.md").read_text(encoding="utf-8")
    pages = "".join(path.read_text(encoding="utf-8") for path in (report / "datasets").iterdir())
    shown = re.findall(r"\]\((?:\.\./)?figures/([^)]*)\.svg\)", text + pages)
    assert sorted(shown) == figures
    assert len(text) < 500_000  # a longer one is cut off on GitHub


def test_each_dataset_has_a_row_and_a_page(report: Path) -> None:
    text = (report / "README.md").read_text(encoding="utf-8")
    names = {f"site-{number:02d}" for number in range(DATASETS)}
    assert {path.stem for path in (report / "datasets").iterdir()} == names
    for name in names:
        assert f"| [{name}](datasets/{name}.md) " in text
        assert f"\n### {name}\n" not in text
    assert f"Of {DATASETS} datasets, tables that compare them have {FULL}: those where" in text


def test_three_datasets_have_pages_with_figures_and_two_have_none(tmp_path: Path, fakes: Any) -> None:
    scenarios = [fakes.Scenario(f"d{number}", ("OT",), (), origins=20) for number in range(3)]
    for several in (scenarios, scenarios[:2]):
        folder = fakes.write_results(tmp_path / f"r{len(several)}", several, fakes.strategies[:4], 1).folder
        page = write_report(folder, tmp_path / f"report{len(several)}")
        text = page.read_text(encoding="utf-8")
        pages = sorted(page.parent.glob("datasets/*.md"))
        assert [path.stem for path in pages] == (["d0", "d1", "d2"] if len(several) == 3 else [])
        assert ("\n### d0\n" in text) == ("figures/when-d0.svg" in text) == (len(several) == 2)
        assert ("| [d0](datasets/d0.md) " in text) == (len(several) == 3)
        for path in pages:
            assert f"](../figures/when-{path.stem}.svg)" in path.read_text(encoding="utf-8")


def test_a_page_has_the_tables_of_its_dataset_and_every_link_leads_somewhere(report: Path) -> None:
    for page in (report / "datasets").iterdir():
        text = page.read_text(encoding="utf-8")
        assert {"## Error", "## Cost", "## Statistical significance"} <= set(text.split("\n"))
        others = {f"site-{number:02d}" for number in range(DATASETS)} - {page.stem}
        assert not [name for name in others if name in text]
        for link in re.findall(r"\]\(([^)#]*)", text):
            assert (page.parent / link).exists(), link


def test_every_number_is_in_the_tables(report: Path) -> None:
    for name in ("leaderboard", "pairs", "skill", "cost", "by_lead"):
        assert pd.read_csv(report / "tables" / f"{name}.csv")["scenario"].nunique() == DATASETS


def test_all_figures_are_drawn_when_asked_for(tmp_path: Path, fakes: Any) -> None:
    scenarios = [fakes.Scenario(f"d{number}", ("OT",), (), origins=20) for number in range(MOST + 1)]
    many = fakes.write_results(tmp_path / "r", scenarios, fakes.strategies[:2], 1).folder
    page = write_report(many, tmp_path / "report", all_figures=True)
    drawn = {path.stem for path in (page.parent / "figures").glob("when-*.svg")}
    assert drawn == {f"when-{scenario.name}" for scenario in scenarios}
    other = next((page.parent / "datasets").iterdir())
    assert f"](../figures/when-{other.stem}.svg)" in other.read_text(encoding="utf-8")


def test_fewer_labels_have_pages_and_only_some_families_are_shown(tmp_path: Path, fakes: Any) -> None:
    sparse = {"label_every": 4}
    scenarios = [
        fakes.Scenario(f"d{number}", ("OT",), (), origins=20, regime=regime)
        for number in range(MOST + 1)
        for regime in ({}, sparse)
    ]
    strategies = [fakes.strategies[0], fakes.strategies[2]]
    results = read_results(fakes.write_results(tmp_path / "r", scenarios, strategies, 1).folder)
    assert len(label_families(results)) == len(detailed(results)) == len(collapsed(results)) == MOST + 1
    assert len(shown_families(results)) == FULL
    assert len(on_own_page(results)) == 2 * (MOST + 1)
    with drawing_style():
        blocks = list(report_of(results))
    assert [figure.kind for figure in figures_in(blocks)].count("labels") == FULL
    text = render(blocks)
    assert text.count("### Share of labels on ") == FULL
    assert "<details><summary>d0" not in text
    assert text.count("](datasets/") == len(on_own_page(results))


def test_pages_of_an_earlier_report_are_gone(report: Path, tmp_path: Path, fakes: Any) -> None:
    target = tmp_path / "report"
    (target / "datasets").mkdir(parents=True)
    (target / "datasets" / "site-00.md").write_text("old")
    small = fakes.write_results(tmp_path / "small", strategies=fakes.strategies[:1], seeds=1)
    write_report(small.folder, target)
    assert not (target / "datasets").exists()


def test_no_line_figure_has_more_than_twelve_lines(results: Results) -> None:
    page = results.on(results.scenarios[0], draws=True)
    assert results.runs["entry"].nunique() == ENTRIES > MOST_SHOWN
    seen = set()
    with drawing_style():
        for figure in figures_in(report_of(page)):
            if figure.kind not in ("when", "lead", "memory"):
                continue
            seen.add(figure.kind)
            for axes in figure.canvas.axes:
                lines = [line for line in axes.get_lines() if not str(line.get_label()).startswith("_")]
                bright = {str(line.get_label()) for line in lines if to_hex(line.get_color()) != FAINT}
                assert len(lines) <= MOST_SHOWN
                assert len(bright) <= MOST_HIGHLIGHTED
                if figure.kind == "lead":
                    assert {"persistence", "frozen + titans"} <= bright
    assert seen == {"when", "lead", "memory"}


def test_a_strategy_has_one_colour_in_all_figures(results: Results) -> None:
    palette = colours(results.runs["strategy"], results.colours)
    for scenario in results.scenarios:
        board = results.board_of(scenario)
        strategies = dict(zip(board["entry"], board["strategy"], strict=True))
        for look in looks(board, palette):
            assert look.colour == palette[strategies[look.entry]]


def test_twenty_strangers_have_twenty_colours() -> None:
    names = [f"mine-{i}" for i in range(20)]
    palette = colours([*names, *KNOWN], KNOWN)
    assert len({palette[name] for name in names} | set(KNOWN.values())) == 20 + len(KNOWN)
    assert palette == colours(reversed([*names, *KNOWN]), KNOWN)


def board(entries: dict[str, float]) -> pd.DataFrame:
    """A leaderboard in which the best has this skill against each reference, percent."""
    rows = [{"entry": "best", "rank": 1.0, "mse": 0.5} | {f"skill_{name}": skill for name, skill in entries.items()}]
    return pd.DataFrame(rows)


@settings(deadline=None)
@given(st.lists(st.floats(-100, 100), min_size=MOST + 1, max_size=40), st.sampled_from(["frozen", "persistence"]))
def test_the_ends_and_the_middle_are_shown(skills: list[float], reference: str) -> None:
    nothing = {"frozen": float("nan"), "persistence": float("nan")}
    boards = {f"s{i}": board(nothing | {reference: skill}) for i, skill in enumerate(skills)}
    found = choose_detail(boards, list(boards))
    assert len(set(found.shown)) == len(found.shown) == FULL
    assert found.reference == reference
    by_name = dict(zip(boards, skills, strict=True))
    ranked = sorted(skills)
    assert sorted(by_name[name] for name in found.lowest) == ranked[:ENDS]
    assert sorted(by_name[name] for name in found.highest) == ranked[-ENDS:]


def test_few_are_all_shown_and_many_without_a_reference_are_the_first() -> None:
    nothing = {"frozen": float("nan"), "persistence": float("nan")}
    boards = {f"s{i}": board(nothing) for i in range(MOST + 1)}
    assert choose_detail(boards, list(boards)[:MOST]).shown == tuple(boards)[:MOST]
    assert choose_detail(boards, list(boards)).shown == tuple(boards)[:FULL]
