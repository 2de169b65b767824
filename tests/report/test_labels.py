"""The section on what labels are worth: its figures, its tables; and what other sections leave to it."""

# ruff: noqa: RUF001 - the minus sign is what reports print

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes

from bench.report import write_report
from bench.report.figures.canvas import Drawing, drawing_style
from bench.report.figures.label_curve import draw_label_curve
from bench.report.figures.palette import Look
from bench.report.sections.memory_ablation import with_few_labels
from bench.report.sections.verdict_cells import HEADERS
from bench.report.view.comparisons import verdict_table
from bench.report.view.detail import label_errors, label_families
from bench.report.view.loaded import Results
from bench.report.view.loading import read_results
from bench.results.store import Store

from ..conftest import pictures
from .conftest import KNOWN

REGIMES: dict[str, dict[str, Any]] = {
    "all": {},
    "every": {"label_every": 10},
    "half": {"label_rate": 0.5},
    "tenth": {"label_rate": 0.1},
    "late": {"delay": 48},
    "instant": {"labels": "instant"},
}
ERRORS = {
    "persistence": dict.fromkeys(REGIMES, 1.5),
    "frozen": dict.fromkeys(REGIMES, 0.4),
    "titans-a": dict.fromkeys(REGIMES, 0.39),
    "rls": {"all": 0.2, "every": 0.3, "half": 0.25, "tenth": 0.5, "late": 0.36, "instant": 0.1},
    "titans-c": {"all": 0.3, "every": 0.32, "half": 0.31, "tenth": 0.33, "late": 0.31, "instant": 0.29},
    "oracle": dict.fromkeys(REGIMES, 0.05),
}
GROUPS = {"oracle": "leaky"}
FORECASTER = ("frozen", "titans-a", "titans-c")


def write_regimes(folder: Path, fakes: Any, regimes: dict[str, dict[str, Any]], seeds: int = 3) -> Path:
    """An experiment on one dataset under several label regimes."""
    store = Store(folder)
    for name, regime in regimes.items():
        scenario = fakes.Scenario(targets=("y",), events=(), origins=150, regime=regime)
        for strategy, errors in ERRORS.items():
            group = GROUPS.get(strategy, "core")
            fake = fakes.Strategy(strategy, errors[name], group=group, uses_forecaster=strategy in FORECASTER)
            for seed in range(seeds):
                fakes.write_run(store, fake, scenario, seed)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, fakes: Any) -> Path:
    return write_regimes(tmp_path_factory.mktemp("labels") / "r", fakes, REGIMES)


@pytest.fixture(scope="module")
def results(folder: Path) -> Results:
    return read_results(folder)


@pytest.fixture(scope="module")
def page(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    with pictures():
        return write_report(folder, tmp_path_factory.mktemp("page") / "report")


def section(text: str) -> str:
    found = re.search(r"^## What labels are worth$(.*?)^## ", text, re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


def tables(text: str) -> list[list[list[str]]]:
    """Cells of each table, header first, without the line below it."""
    found = [match.strip().split("\n") for match in re.findall(r"(?:^\|.*\n?)+", text, re.MULTILINE)]
    cells = [[[cell.strip() for cell in line.split("|")[1:-1]] for line in lines] for lines in found]
    return [[table[0], *table[2:]] for table in cells]


def test_labels_from_rows_are_not_ranked_where_labels_are_sparse(tmp_path: Path, fakes: Any) -> None:
    folder = write_regimes(tmp_path / "r", fakes, {name: REGIMES[name] for name in ("all", "tenth")}, seeds=1)
    store = Store(folder)
    for record in store.records():
        if record.strategy.name == "titans-c":
            strategy = record.strategy.model_copy(update={"labels_from_rows": True})
            store.restate(record.model_copy(update={"strategy": strategy}))
            alone = record.dataset.model_copy(update={"inputs": ["x"]})
            hidden = record.model_copy(update={"strategy": strategy, "dataset": alone})
            assert not hidden.labels_from_rows  # rows show no targets
    results = read_results(folder)
    tenth, everywhere = results.scenarios
    ranked = {name: set(results.board_of(name).dropna(subset="rank")["entry"]) for name in results.scenarios}
    assert ranked[everywhere] - ranked[tenth] == {"titans-c"}
    pairs = verdict_table(results)
    assert {name: "titans-c" in {*here["one"], *here["other"]} for name, here in pairs.groupby("scenario")} == {
        everywhere: True,
        tenth: False,
    }
    text = write_report(folder, tmp_path / "report").read_text(encoding="utf-8")
    assert "titans-c (labels from rows)" in text
    (errors, *_) = tables(section(text))
    assert [row[0] for row in errors if "**" in row[2]] == ["titans-a"]  # at a tenth: titans-c has the lowest error


# The section


def test_a_report_on_one_regime_says_nothing_of_labels(readme: Path) -> None:
    assert section(readme.read_text(encoding="utf-8")) == ""
    assert not [path for path in readme.parent.rglob("*label*") if path.name != "problems.csv"]
    assert not list((readme.parent / "figures").glob("delay-*"))


@pytest.mark.parametrize("name", ["half", "late", "instant"])
def test_two_regimes_are_enough(name: str, tmp_path: Path, fakes: Any) -> None:
    folder = write_regimes(tmp_path / "r", fakes, {key: REGIMES[key] for key in ("all", name)}, seeds=1)
    path = write_report(folder, tmp_path / "report")
    text = section(path.read_text(encoding="utf-8"))
    kind, title = ("labels", "Share of labels on") if name == "half" else ("delay", "Late labels on")
    assert re.findall(r"^### (.*)$", text, re.MULTILINE) == [f"{title} akl-pedestrians"]
    (image,) = re.findall(r"\((figures/[^)]*)\)", text)
    assert image.startswith(f"figures/{kind}-akl-pedestrians")
    assert (path.parent / image).is_file()
    assert (path.parent / image).with_suffix(".png").is_file()
    assert "±" not in "".join(cell for table in tables(text) for row in table for cell in row)  # of one seed


def test_the_sections_headings_and_figures(page: Path) -> None:
    text = section(page.read_text(encoding="utf-8"))
    assert re.findall(r"^### (.*)$", text, re.MULTILINE) == [
        "Share of labels on akl-pedestrians",
        "Late labels on akl-pedestrians, all labels",
    ]
    for image in re.findall(r"\((figures/[^)]*)\)", text):
        assert (page.parent / image).is_file()
    assert len(re.findall(r"figures/", text)) == 2


def test_the_errors_are_those_of_the_runs(page: Path, results: Results) -> None:
    share, _, delay, _ = tables(section(page.read_text(encoding="utf-8")))
    assert share[0] == ["Strategy", "all ↓", "50 % ↓", "1 in 10 ↓", "10 % ↓", "seeds", "notes"]
    assert delay[0] == ["Strategy", "instant (leaky) ↓", "in time ↓", "48 rows late ↓", "seeds", "notes"]
    names = {"all": {}, "50 %": REGIMES["half"], "1 in 10": REGIMES["every"], "10 %": REGIMES["tenth"]}
    plain = {"label_every": 1, "label_rate": 1.0, "delay": 0, "labels": "matured"}
    rls = next(row for row in share if row[0] == "rls")
    for cell, regime in zip(rls[1:5], names.values(), strict=True):
        runs = results.runs[results.runs["strategy"] == "rls"]
        for key, value in (plain | regime).items():
            runs = runs[runs[key] == value]
        assert len(runs) == 3
        mean, half = (float(number) for number in cell.strip("*").split(" ± "))
        assert mean == pytest.approx(runs["mse"].mean(), abs=6e-4)
        assert half == pytest.approx(4.302653 * runs["mse"].std(ddof=1) / np.sqrt(3), abs=6e-4)


def test_the_lowest_is_bold_and_no_leak_is(page: Path) -> None:
    share, _, delay, _ = tables(section(page.read_text(encoding="utf-8")))
    bold = [[row[0] for row in share[1:] if row[i].startswith("**")] for i in range(1, 5)]
    assert bold == [["rls"], ["rls"], ["rls"], ["titans-c"]]
    assert [[row[0] for row in delay[1:] if row[i].startswith("**")] for i in (1, 2, 3)] == [[], ["rls"], ["titans-c"]]
    notes = {row[0]: row[-1] for row in share[1:]}
    assert {name for name, note in notes.items() if note == "the same throughout"} == {
        "persistence",
        "frozen",
        "titans-a",
        "oracle (leaky, not ranked)",
    }


def test_the_sentences(page: Path) -> None:
    share, delay = section(page.read_text(encoding="utf-8")).split("### ")[1:]
    assert re.search(
        r"^Lowest MSE: \*\*rls\*\* \(0\.\d+\) with all labels, \*\*titans-c\*\* \(0\.\d+\) with 10 %\.$", share, re.M
    )
    below = "rls with all, 50 % and 1 in 10; titans-c with all, 50 %, 1 in 10 and 10 %."
    assert f"Significantly better than frozen, which takes no labels: {below}" in share
    assert "with labels in time, **titans-c**" in delay
    assert "Significantly better" not in delay
    counts = re.search(r"all ([\d,]+), 50 % ([\d,]+), 1 in 10 ([\d,]+), 10 % ([\d,]+)\.", share)
    assert counts is not None
    full, half, every, tenth = (int(number.replace(",", "")) for number in counts.groups())
    assert every == -(-full // 10)
    assert half == pytest.approx(full / 2, rel=0.1)
    assert tenth == pytest.approx(full / 10, rel=0.15)


def test_what_labels_are_worth_is_paired_and_signed(page: Path) -> None:
    _, share, _, delay = tables(section(page.read_text(encoding="utf-8")))
    assert [row[:2] for row in share[1:]] == [["rls", "1 in 10 against all"], ["titans-c", "1 in 10 against all"]]
    assert share[0][2:] == HEADERS
    assert share[1][4] == "**labels help**"
    assert share[1][2].startswith("\N{MINUS SIGN}50.")  # 0.3 against 0.2
    assert [row[1] for row in delay[1:]] == ["in time against instant (leaky)", "48 rows late against in time"] * 2
    assert [row[2][:4] for row in delay[1:3]] == ["\N{MINUS SIGN}100", "\N{MINUS SIGN}80."]
    assert {row[4] for row in delay[1:3]} == {"**waiting costs**"}
    assert {row[6] for row in share[1:] + delay[1:]} == {"3"}


def test_how_a_memory_fares_with_few_and_with_late_labels(results: Results) -> None:
    said = {
        here["kind"].iloc[0]: {entry: with_few_labels(here, rows) for entry, rows in here.groupby("entry")}
        for here in label_families(results)
    }
    number = r"0\.\d+"
    with_labels = rf"{number} with all labels, {number} with 10 % \(frozen: {number}\)"
    assert re.search(rf"titans-c.? on .?akl-pedestrians.?: MSE {with_labels}\.", said["share"]["titans-c"])
    assert re.search(rf"MSE {number} with labels in time, {number} with labels 48 rows late", said["delay"]["titans-c"])
    assert said["share"]["titans-a"] == said["delay"]["titans-a"] == ""


def test_the_tables_are_written_in_full(page: Path, results: Results) -> None:
    written = {name: pd.read_csv(page.parent / "tables" / f"{name}.csv") for name in ("label_curves", "label_gains")}
    assert len(written["label_curves"]) == len(ERRORS) * (4 + 3)
    assert written["label_curves"]["mse"].tolist() == pytest.approx(label_errors(results)["mse"].tolist())
    assert set(written["label_gains"]["entry"]) == {"rls", "titans-c"}
    assert len(pd.read_csv(page.parent / "tables" / "label_worth.csv")) == 6


def test_a_regime_in_which_a_strategy_failed_is_a_dash(tmp_path: Path, fakes: Any) -> None:
    folder = write_regimes(tmp_path / "r", fakes, {key: REGIMES[key] for key in ("all", "half", "tenth")}, seeds=1)
    half = fakes.Scenario(targets=("y",), events=(), origins=150, regime=REGIMES["half"])
    failed = fakes.Strategy("rls", 0.25)
    for path in folder.glob("*/record.json"):
        if fakes.record(failed, half, 0).run_id in str(path):
            (path.parent / "origins.parquet").unlink()
    fakes.write_failure(Store(folder), failed, half, 0)
    share, worth = tables(section(write_report(folder, tmp_path / "report").read_text(encoding="utf-8")))
    (row,) = [row for row in share if row[0] == "rls"]
    assert row[2] == "–"
    assert row[4] == "0 to 1"
    assert worth[1][:2] == ["rls", "10 % against all"]


# The rest of the report


def test_other_sections_show_one_regime(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    headings = re.findall(r"^### (.*)$", text, re.MULTILINE)
    main = "akl-pedestrians, all labels"
    named = [heading for heading in headings if "akl-pedestrians" in heading and "labels on" not in heading]
    assert named
    assert all(heading.endswith(main) for heading in named)
    folded = re.findall(r"<summary>(akl-pedestrians.*?)</summary>", text)
    assert len(folded) == 5
    assert main not in folded
    figures = {path.stem for path in (page.parent / "figures").glob("*.svg")}
    assert {figure.partition("-akl")[0] for figure in figures} >= {"labels", "delay", "when", "cost"}
    assert len([figure for figure in figures if figure.startswith("when")]) == 1
    assert f"This page shows only {main}" in text


def test_instant_labels_take_no_part_in_ranks(page: Path, results: Results) -> None:
    text = page.read_text(encoding="utf-8")
    assert "Over the 5 protocols, **" in text
    assert "All protocols together" in text
    assert "(those with instant labels, 1, left out)" in text
    assert results.overall.set_index("entry")["mean_rank"].notna().sum() == len(ERRORS) - 1  # but the leaky one
    assert text.index("- **akl-pedestrians, all labels**") < text.index("- **akl-pedestrians, 10 % of labels**")


# Figures


def frame(kind: str, values: dict[str, list[tuple[float, str, float]]], spread: float = 0.01) -> pd.DataFrame:
    rows = [
        {"kind": kind, "entry": entry, "x": x, "way": way, "mse": mse, "low": mse - spread, "high": mse + spread}
        | {"moves": len({point[2] for point in points}) > 1}
        for entry, points in values.items()
        for x, way, mse in points
    ]
    return pd.DataFrame(rows)


def draw(curves: pd.DataFrame) -> tuple[Axes, Drawing]:
    names = list(dict.fromkeys(curves["entry"]))
    colours = list(KNOWN.values())
    with drawing_style():
        drawing = draw_label_curve(curves, [Look(n, colours[i % 11], "solid", i < 6) for i, n in enumerate(names)])
        drawing.figure.draw_without_rendering()
    return drawing.figure.axes[0], drawing


SHARES = {
    "rls": [(0.1, "every", 0.3), (0.1, "drawn", 0.4), (0.5, "drawn", 0.25), (1.0, "all", 0.2)],
    "frozen": [(0.1, "every", 0.35), (0.1, "drawn", 0.35), (0.5, "drawn", 0.35), (1.0, "all", 0.35)],
}


def test_ways_are_told_apart_by_shape_and_the_line_follows_one() -> None:
    axes, drawing = draw(frame("share", SHARES))
    assert axes.get_xscale() == "log"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["10 %", "50 %", "100 %"]
    lines = {str(line.get_label()): line for line in axes.get_lines()}
    assert np.asarray(lines["rls"].get_xydata()).tolist() == [[0.1, 0.4], [0.5, 0.25], [1.0, 0.2]]
    marks = [
        (line.get_marker(), np.asarray(line.get_xydata()).tolist()[0])
        for line in axes.get_lines()
        if line.get_marker() in ("o", "s", "^")
    ]
    assert sorted(marks) == [("^", [0.1, 0.4]), ("^", [0.5, 0.25]), ("o", [1.0, 0.2]), ("s", [0.1, 0.3])]
    assert set(np.asarray(lines["frozen"].get_ydata())) == {0.35}
    assert "Squares: every n-th label; triangles: labels drawn one by one." in drawing.caption
    assert "Flat lines" in drawing.caption
    assert {"rls", "frozen"} <= {text.get_text() for text in axes.texts}


def test_one_way_needs_no_key_and_one_seed_no_band() -> None:
    drawn = {"rls": [(0.1, "drawn", 0.4), (1.0, "drawn", 0.2)]}
    axes, drawing = draw(frame("share", drawn, spread=float("nan")))
    assert drawing.caption == "Lower is better."
    assert np.isnan(
        np.concatenate([path.vertices for c in axes.collections for path in c.get_paths()] or [[np.nan]])
    ).all()


def test_what_is_far_above_is_named_and_not_drawn() -> None:
    far = {"persistence": [(0.1, "drawn", 9.0), (1.0, "all", 8.0)]}
    axes, drawing = draw(frame("share", SHARES | far))
    assert "Too far above to be drawn: persistence (8.00 at best)." in drawing.caption
    assert "persistence" not in {str(line.get_label()) for line in axes.get_lines()}
    assert axes.get_ylim()[1] < 0.5
    near = {"persistence": [(0.1, "drawn", 0.59), (1.0, "all", 0.58)]}
    axes, drawing = draw(frame("share", SHARES | near))
    assert "persistence" in {str(line.get_label()) for line in axes.get_lines()}
    assert "Too far" not in drawing.caption


def test_instant_labels_are_hollow_and_off_the_line() -> None:
    axes, drawing = draw(frame("delay", {"rls": [(-23, "instant", 0.1), (0, "matured", 0.2), (48, "matured", 0.3)]}))
    assert axes.get_xscale() == "linear"
    lines = {str(line.get_label()): line for line in axes.get_lines()}
    assert np.asarray(lines["rls"].get_xydata()).tolist() == [[0, 0.2], [48, 0.3]]
    assert lines["_instant"].get_markerfacecolor() == "white"
    assert np.asarray(lines["_instant"].get_xydata()).tolist() == [[-23, 0.1]]
    assert "Hollow: instant labels, which leak and are not ranked." in drawing.caption


def test_at_most_twelve_entries_are_drawn(tmp_path: Path, fakes: Any) -> None:
    store = Store(tmp_path / "r")
    for rate in (1.0, 0.5):
        scenario = fakes.Scenario(targets=("y",), events=(), origins=20, regime={"label_rate": rate})
        for i in range(15):
            fakes.write_run(store, fakes.Strategy(f"s{i}", 0.2 + 0.01 * i + 0.1 * rate * (i > 7)), scenario, 0)
    with pictures():
        page = write_report(store.folder, tmp_path / "p")
    svg = next((page.parent / "figures").glob("labels-*.svg")).read_text()
    shown = [f"s{i}" for i in range(15) if f"<!-- s{i} -->" in svg]
    assert len(shown) == 12
    assert set(shown) >= {f"s{i}" for i in range(8, 15)}  # those that move come first


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.floats(1e-6, 1e6), min_size=3, max_size=3),
    st.floats(0, 1e6),
    st.sampled_from(["share", "delay"]),
)
def test_any_curve_can_be_drawn(errors: list[float], spread: float, kind: str) -> None:
    ways = ["drawn", "both", "all"] if kind == "share" else ["instant", "matured", "matured"]
    places = [0.001, 0.1, 1.0] if kind == "share" else [-5, 0, 1000]
    draw(frame(kind, {"rls": list(zip(places, ways, errors, strict=True))}, spread))
