"""Ranks over datasets, as the report says and draws them."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench.analysis import rank_test
from bench.report import write_report
from bench.report.blocks import Block, Heading, figures_in
from bench.report.figures.canvas import drawing_style
from bench.report.figures.ranks import draw_ranks
from bench.report.render.markdown import file_of, render
from bench.report.render.numbers import NONE
from bench.report.sections.ranks import ranks
from bench.report.view.comparisons import against_best
from bench.report.view.detail import detailed
from bench.report.view.loaded import Results
from bench.report.view.loading import read_results
from bench.report.view.rankings import rank_entries
from bench.results.store import Store

from ..conftest import pictures

NAMES = ("one", "two", "three", "four", "five", "six")


def rows_of(blocks: list[Block], first: str) -> list[list[str]]:
    """Cells of the first table whose header begins so, header first."""
    block = next(block for block in render(blocks).split("\n\n") if block.startswith(f"| {first}"))
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in block.split("\n")]
    return [lines[0], *lines[2:]]


def served(folder: Path, fakes: Any, names: tuple[str, ...], seeds: int = 1, **shape: Any) -> Results:
    strategies = [
        fakes.Strategy("rls", 0.2),
        fakes.Strategy("ogd", 0.23, noise=0.3),
        fakes.Strategy("frozen", 0.23, noise=0.3),
        fakes.Strategy("persistence", 0.4),
    ]
    scenarios = [fakes.Scenario(name, events=(), **{"origins": 60, **shape}) for name in names]
    return read_results(fakes.write_results(folder, scenarios, strategies, seeds).folder)


@pytest.fixture(scope="module")
def six(tmp_path_factory: pytest.TempPathFactory, fakes: Any) -> Results:
    return served(tmp_path_factory.mktemp("ranks") / "r", fakes, NAMES, seeds=3, origins=300)


def test_with_enough_datasets_ranks_are_tested(six: Results) -> None:
    blocks = ranks(six)
    text = render(blocks)
    assert blocks[0] == Heading("Ranks")
    assert "**rls** has the best average rank, 1.00 (n = 6 datasets, 4 entries)." in text
    said = "The ranks **differ significantly** (Friedman's test, p < 0.001); by Nemenyi's test of pairs, rls is"
    assert said in text
    table = rows_of(blocks, "Strategy")
    assert table[0] == ["Strategy", "average rank ↓", "wins ↑", "ties", "losses ↓", "p of ranks against rls"]
    assert [row[0] for row in table[1:]][0::3] == ["rls", "persistence"]
    assert table[1][1:2] == ["**1.00**"]
    assert table[-1][1] == "4.00"
    for row in table[1:]:
        assert sum(int(cell) for cell in row[2:5]) == 3 * 6


def test_wins_and_losses_pair_by_pair(six: Results) -> None:
    matrix = rows_of(ranks(six), "Row against column")
    assert matrix[0] == ["Row against column", "1", "2", "3", "4"]
    cells = np.array([row[1:] for row in matrix[1:]])
    for i in range(4):
        assert cells[i, i] == NONE
        for j in range(i):
            wins, ties, losses = cells[i, j].split("/")
            assert cells[j, i] == f"{losses}/{ties}/{wins}"
            assert int(wins) + int(ties) + int(losses) == 6
    assert cells[0, 3] == "6/0/0"
    ranking = rank_entries(six)
    assert ranking is not None
    win_tie_loss = ranking.win_tie_loss
    counted = win_tie_loss[(win_tie_loss["entry"] == "rls") & (win_tie_loss["other"] == "persistence")]
    assert counted[["wins", "seeds_lower", "seeds_higher"]].to_numpy().tolist() == [[6, 18, 0]]


def test_what_is_called_a_win_is_what_the_verdict_says(six: Results) -> None:
    for scenario in detailed(six):
        best = against_best(six, scenario)
        ranking = rank_entries(six)
        assert ranking is not None
        win_tie_loss = ranking.win_tie_loss
        mine = win_tie_loss[(win_tie_loss["entry"] == best["one"].iloc[0]) & (win_tie_loss["wins"] > 0)]
        assert set(best.loc[best["verdict"] == "better", "other"]) <= set(mine["other"])


@pytest.mark.parametrize("datasets", [1, 2, 4])
def test_with_too_few_datasets_for_a_test_there_is_no_section(datasets: int, tmp_path: Path, fakes: Any) -> None:
    results = served(tmp_path / "r", fakes, NAMES[:datasets])
    assert ranks(results) == []
    assert (rank_entries(results) is None) == (datasets == 1)


def test_two_protocols_of_a_dataset_are_one_dataset(tmp_path: Path, fakes: Any) -> None:
    served(tmp_path / "r", fakes, NAMES[:1])
    results = served(tmp_path / "r", fakes, NAMES[:1], stride=1, block=24, preset="dense")
    assert len(results.scenarios) == 2
    assert ranks(results) == []
    results = served(tmp_path / "r", fakes, NAMES[1:5])
    blocks = ranks(results)
    assert "(n = 5 datasets, 4 entries)" in render(blocks)
    assert "Wins/ties/losses over 6 versions of 5 datasets (options and protocols)" in render(blocks)


def test_who_lacks_a_result_has_no_rank(tmp_path: Path, fakes: Any) -> None:
    results = served(tmp_path / "r", fakes, NAMES[:5])
    late = fakes.Strategy("late", 0.01)
    fakes.write_run(results.store, late, fakes.Scenario("one", events=(), origins=60), 0)
    fakes.write_failure(results.store, late, fakes.Scenario("two", events=(), origins=60), 0)
    blocks = ranks(read_results(results.store.folder))
    assert "late" not in [row[0] for row in rows_of(blocks, "Strategy")]
    assert "Without a result on each dataset, and therefore without an average rank: late." in render(blocks)


def test_ranks_of_two_entries_are_not_tested(tmp_path: Path, fakes: Any) -> None:
    scenarios = [fakes.Scenario(name, events=(), origins=40) for name in NAMES]
    strategies = [fakes.Strategy("rls", 0.2), fakes.Strategy("persistence", 0.4)]
    results = read_results(fakes.write_results(tmp_path / "r", scenarios, strategies, 1).folder)
    assert "Ranks are not tested: 3 entries are the fewest." in render(ranks(results))


def test_alike_entries_differ_by_no_more_than_chance(tmp_path: Path, fakes: Any) -> None:
    scenarios = [fakes.Scenario(name, events=(), origins=40) for name in NAMES]
    strategies = [fakes.Strategy(name, 0.2, noise=0.0) for name in ("a", "b", "c")]
    results = read_results(fakes.write_results(tmp_path / "r", scenarios, strategies, 1).folder)
    blocks = ranks(results)
    text = render(blocks)
    assert "**a**, **b** and **c** have the best average rank, 2.00" in text
    assert "The ranks do **not differ significantly**" in text
    assert not list(figures_in(blocks))


def test_the_diagram(six: Results) -> None:
    ranking = rank_entries(six)
    assert ranking is not None
    with drawing_style():
        (figure,) = figures_in(ranks(six))
    assert file_of(figure) == "ranks-datasets"
    (axes,) = figure.canvas.axes
    means = ranking.test.means
    lines = {str(line.get_label()): np.asarray(line.get_xdata()) for line in axes.get_lines()}
    for entry, mean in means.items():
        assert lines[str(entry)][-1] == mean
    bars = [np.asarray(line.get_xdata()) for line in axes.get_lines() if line.get_label() == "alike"]
    assert bars
    for one, other in combinations(means.index, 2):
        joined = any(bar.min() <= means[one] and means[other] <= bar.max() for bar in bars)
        assert joined == (ranking.test.alike.loc[one, other] >= 0.05)
    assert figure.caption.endswith("A bar joins those whose ranks do not differ significantly.")


@pytest.mark.parametrize("entries", [3, 8, 19])
def test_names_stay_apart_and_inside_the_diagram(entries: int) -> None:
    rng = np.random.default_rng(entries)
    names = [f"a-strategy-with-a-name {i}" for i in range(entries)]
    test = rank_test(pd.DataFrame(np.arange(entries) + rng.uniform(0, 2, (9, entries)), columns=names))
    with drawing_style():
        figure = draw_ranks(test, dict.fromkeys(names, "#222222"))
        figure.draw_without_rendering()
        boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    page = figure.bbox
    for i, box in enumerate(boxes):
        assert page.x0 <= box.x0 < box.x1 <= page.x1
        assert page.y0 <= box.y0 < box.y1 <= page.y1
        for other in boxes[i + 1 :]:
            width = min(box.x1, other.x1) - max(box.x0, other.x0)
            assert width <= 1 or min(box.y1, other.y1) - max(box.y0, other.y0) <= 2


def test_the_report_has_the_section_the_figure_and_the_tables(tmp_path: Path, fakes: Any) -> None:
    results = served(tmp_path / "r", fakes, NAMES[:5], origins=20)
    with pictures():
        text = write_report(results.store.folder, tmp_path / "report").read_text(encoding="utf-8")
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    assert headings.index("Ranks") == headings.index("Statistical significance") + 1
    assert "![Average ranks over all datasets](figures/ranks-datasets.svg)" in text
    assert (tmp_path / "report" / "figures" / "ranks-datasets.png").is_file()
    for name in ("ranks", "rank_pairs", "win_tie_loss"):
        assert len(pd.read_csv(tmp_path / "report" / "tables" / f"{name}.csv")) >= 4


def test_runs_that_diverged_are_counted(tmp_path: Path, fakes: Any) -> None:
    store = Store(tmp_path / "r")
    scenario, (rls, ogd) = fakes.Scenario(origins=20, events=()), fakes.strategies[2:4]
    endless = fakes.errors(rls, scenario, pd.DataFrame({"mse": [np.inf], "mae": [np.inf]}))
    fakes.write_run(store, rls, scenario, 0)
    fakes.write_run(store, rls, scenario, 1, errors=endless)
    text = write_report(store.folder, tmp_path / "report").read_text(encoding="utf-8")
    assert "Every run ended, but not all errors are finite." in text
    reason = "StreamError: diverged: the forecast at origin 7 is not finite"
    fakes.write_failure(store, ogd, scenario, 0, reason=reason)
    fakes.write_failure(store, ogd, scenario, 1, reason="KeyError: 'x'")
    text = write_report(store.folder, tmp_path / "report").read_text(encoding="utf-8")
    assert "2 of 4 runs diverged: a forecast, an error or a whole training was not finite." in text
    table = re.findall(r"^\| (?:rls|frozen) .* of 2 .*$", text, re.MULTILINE)
    assert [re.sub(r"\s+", " ", row) for row in table] == [
        "| frozen | titans | akl-pedestrians | 1 of 2 | 0 |",
        "| rls | none | akl-pedestrians | 1 of 2 | 1 |",
    ]


def test_equal_average_ranks_stand_in_the_order_of_the_leaderboard(tmp_path: Path, fakes: Any) -> None:
    store = Store(tmp_path / "r")
    for i, name in enumerate(NAMES):
        better = "ba"[i % 2]
        for strategy in ("a", "b"):
            error = 0.2 if strategy == better else 0.3
            fakes.write_run(store, fakes.Strategy(strategy, error, noise=0.0), fakes.Scenario(name=name), 0)
    results = read_results(store.folder)
    found = [row[0] for row in rows_of(ranks(results), "Strategy")[1:]]
    assert found == results.overall["entry"].tolist() == ["a", "b"]
