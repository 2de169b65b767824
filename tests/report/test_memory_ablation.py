"""What the report says about memory, and the figures that go with it."""

# ruff: noqa: RUF001 - the minus sign is what reports print

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from bench.report import write_report
from bench.report.figures.canvas import drawing_style
from bench.report.figures.memory import _wide, draw_memory
from bench.report.figures.palette import Look, colours, looks
from bench.report.view.comparisons import part_ablations
from bench.report.view.loaded import Results
from bench.report.view.loading import read_results
from bench.results.store import TRACE

SCENARIO = "akl-pedestrians"


@pytest.fixture(scope="module")
def results(two_datasets: Path) -> Results:
    return read_results(two_datasets)


@pytest.fixture(scope="module")
def clear(tmp_path_factory: pytest.TempPathFactory, fakes: Any) -> Path:
    """A stream on which the memory is a great help within the window, and a harm when carried; all controls ran."""
    strategies = [
        fakes.Strategy("persistence", 0.4, noise=0.0),
        fakes.Strategy("frozen", 0.3, uses_forecaster=True),
        fakes.Strategy("titans-a", 0.2, uses_forecaster=True),
        fakes.Strategy("titans-b", 0.25, uses_forecaster=True),
        fakes.Strategy("titans-b-stale", 0.25, group="control", uses_forecaster=True),
        fakes.Strategy("titans-b-shuffled", 0.35, group="control", uses_forecaster=True),
        fakes.Strategy("titans-b-window", 0.35, group="control", uses_forecaster=True),
        fakes.Strategy("titans-c", 0.25, uses_forecaster=True, noise=0.02),
    ]
    scenario = fakes.Scenario(origins=200)
    folder: Path = fakes.write_results(tmp_path_factory.mktemp("clear") / "r", [scenario], strategies, 8).folder
    return folder


@pytest.fixture(scope="module")
def page(clear: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The report of `clear`."""
    return report(clear, tmp_path_factory.mktemp("page"))


def section(text: str) -> str:
    found = re.search(r"^## Ablations$(.*?)^## ", text, re.MULTILINE | re.DOTALL)
    return found[1] if found else ""


def report(folder: Path, tmp_path: Path) -> str:
    return write_report(folder, tmp_path / "report").read_text(encoding="utf-8")


def test_the_table_is_that_of_the_analysis(clear: Path, page: str) -> None:
    text = section(page)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.split("\n") if line.startswith("| ")]
    assert rows[0][:2] == ["Part of the memory", "compared"]
    found = part_ablations(read_results(clear))
    assert len(rows) == 1 + len(found) == 7
    for cells, (_, row) in zip(rows[1:], found.iterrows(), strict=True):
        assert cells[:2] == [row["subject"], f"{row['one']} against {row['other']}"]
        numbers = [float(n.replace("−", "-")) for n in re.findall(r"[−\d.]+", cells[2])]
        assert numbers == pytest.approx([row["skill"], row["low"], row["high"]], abs=0.06)
        assert ("**" in cells[4]) == (row["p_adjusted"] < 0.05)
        assert cells[6] == "8"


def test_each_memory_has_an_answer_in_words(page: str) -> None:
    (answer,) = re.findall(r"^- \*\*Memory of tokens \(needs no labels\)\*\*: (.*)$", section(page), re.MULTILINE)
    found = re.match(r"significant help: (.*); significant harm: (.*); no significant difference: (.*)\.$", answer)
    assert found
    assert found[1].startswith("writing within the window on akl-pedestrians (titans-a against frozen: +")
    assert "writing in order" in found[1]
    assert found[2].startswith("carrying the memory on akl-pedestrians (titans-b against titans-a: −")
    assert re.fullmatch(r"writing on during service \([+−]?[\d.]+ %\)", found[3])
    assert "training the backbone" not in answer


def test_differences_are_those_of_the_runs_on_disk(clear: Path) -> None:
    results = read_results(clear)
    streams = results.errors_by_seed(SCENARIO)
    row = part_ablations(results).set_index("subject").loc["carrying the memory"]
    ratio = streams["titans-b"].to_numpy().mean() / streams["titans-a"].to_numpy().mean()
    assert row["mse_change"] == pytest.approx(100 * (ratio - 1))
    for seed in range(8):
        run = results.runs[(results.runs["strategy"] == "titans-b") & (results.runs["seed"] == seed)]
        origins = results.store.read_frame(run["run_id"].iloc[0], "origins.parquet")
        assert origins is not None
        assert streams["titans-b"][seed].tolist() == origins["mse"].tolist()


def test_what_was_not_run_is_named_and_what_is_too_short_too(readme: Path) -> None:
    text = section(readme.read_text(encoding="utf-8"))
    missing = "writing in order (titans-b against titans-b-shuffled) and carrying exactly (titans-b against"
    assert text.count(missing) == 1
    header, _, *rows = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("|")]
    (column,) = [at for at, head in enumerate(header) if head.strip().startswith("etth2")]
    cells = [row[column].strip() for row in rows if row[column].strip() != "–"]
    assert len(cells) == 4  # 96 forecasts, 24 overlap
    assert all(re.fullmatch(r"[+−]?[\d.,]+, not tested", cell) for cell in cells)


def test_half_lives_are_medians_in_rows_and_seasons(results: Results, readme: Path, fakes: Any) -> None:
    text = section(readme.read_text(encoding="utf-8"))
    run = results.runs[(results.runs["strategy"] == "titans-c") & (results.runs["scenario"] == SCENARIO)]
    lives = [results.store.read_frame(run_id, TRACE) for run_id in run["run_id"]]
    rows = np.median([f.loc[f["name"] == "memory_half_life", "value"].median() for f in lives if f is not None])
    assert f"titans-c {rows:.1f} rows ({rows / 24:.3f})" in text
    assert "Measured 5 times over the stream; median over seeds." in text
    assert re.search(
        r"Norm over that of the learned initial memory \(lowest to highest\): titans-b 1\.01 to 1\.\d+,", text
    )


def test_without_titans_there_is_no_such_section(tmp_path: Path, fakes: Any) -> None:
    folder = fakes.write_results(tmp_path / "r", strategies=fakes.strategies[:4], seeds=1).folder
    text = report(folder, tmp_path)
    assert "## Ablations" not in text
    assert not (tmp_path / "report" / "tables" / "ablations.csv").exists()


def lines(axes: Axes) -> dict[str, Any]:
    return {str(line.get_label()): line for line in axes.get_lines() if not str(line.get_label()).startswith("_")}


def traced(results: Results) -> tuple[pd.DataFrame, list[Look]]:
    trace = results.traces[results.traces["scenario"] == SCENARIO]
    board = results.board_of(SCENARIO)
    return trace, looks(board[board["entry"].isin(trace["entry"])], colours(results.runs["strategy"], results.colours))


def test_the_figure_of_the_carried_memory(results: Results) -> None:
    trace, shown = traced(results)
    panels = [("memory_norm", "norm", 1.0), ("memory_half_life", "rows", 24.0)]
    times, events = results.times[SCENARIO], results.events_of(SCENARIO)
    with drawing_style():
        drawing = draw_memory(trace, panels, times, events, shown)
    upper, lower = drawing.figure.axes
    for axes, name in ((upper, "memory_norm"), (lower, "memory_half_life")):
        assert set(lines(axes)) == {"titans-b", "titans-b-stale", "titans-c"}
        expected = trace[(trace["entry"] == "titans-b") & (trace["name"] == name)]["value"]
        assert lines(axes)["titans-b"].get_ydata() == pytest.approx(expected.to_numpy())
    assert {text.get_text() for text in upper.texts} >= {"lockdown", "reopening", "titans-b", "titans-c"}
    assert upper.get_xlim() == lower.get_xlim()


def test_what_has_no_end_is_not_drawn_and_wide_ranges_are_logarithmic(results: Results) -> None:
    trace, shown = traced(results)
    trace = trace.copy()
    trace.loc[trace["entry"] == "titans-b", "value"] = np.inf
    panels = [("memory_half_life", "rows", 900.0)]
    with drawing_style():
        drawing = draw_memory(trace, panels, results.times[SCENARIO], [], shown)
    (axes,) = drawing.figure.axes
    assert np.isnan(np.asarray(lines(axes)["titans-b"].get_ydata(), dtype=float)).all()
    assert "titans-b" not in {text.get_text() for text in axes.texts}
    assert axes.get_yscale() == "log"  # the mark is far from the lines


def test_a_trace_alone_is_shown_too(tmp_path: Path, fakes: Any) -> None:
    folder = fakes.write_results(tmp_path / "r", strategies=[fakes.strategies[5]], seeds=1).folder
    text = section(report(folder, tmp_path))
    assert "Half-life of the carried memory" in text
    assert "figures/memory-akl-pedestrians.svg" in text


def test_a_memory_is_drawn_beside_a_dataset_with_another_kind_of_clock() -> None:
    days = pd.DataFrame({"time": pd.date_range("2020-01-01", periods=3), "entry": "titans-b", "value": [1.0, 2.0, 3.0]})
    steps = days.assign(time=[10, 20, 30])
    both = pd.concat([days, steps], ignore_index=True)
    for part, kind in ((both[:3], "M"), (both[3:], "i")):
        assert _wide(part).index.dtype.kind == kind
