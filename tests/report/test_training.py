"""How a report shows the training of forecasters, and which of them it calls weak."""

# ruff: noqa: RUF001 - the minus sign is what reports print

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bench.report import write_report
from bench.report.blocks import Table, figures_in
from bench.report.figures.canvas import drawing_style
from bench.report.render.markdown import render
from bench.report.sections.training import training, weak_forecasters
from bench.report.view.loaded import Results
from bench.report.view.loading import read_results
from bench.report.view.training import has_converged
from bench.results.record import Validation


def results_with(folder: Path, fakes: Any, validation: Validation | None, seeds: int = 2) -> Results:
    store = fakes.write_results(folder / "r", strategies=fakes.strategies[:1], seeds=1)
    for seed in range(seeds):
        fakes.write_run(store, fakes.strategies[3], fakes.Scenario(), seed, validation=validation)
    return read_results(store.folder)


def of(forecaster: float, ridge: float = 0.2, seasonal_naive: float = 0.3) -> Validation:
    return Validation(windows=9, forecaster=forecaster, ridge=ridge, seasonal_naive=seasonal_naive, persistence=0.4)


def test_a_row_says_how_training_went_beside_what_must_be_beaten(tmp_path: Path, fakes: Any) -> None:
    results = results_with(tmp_path, fakes, of(0.19))
    (table,) = (block for block in training(results) if isinstance(block, Table))
    expected = ["titans", "akl-pedestrians", "2", "200 of 200", "175", "2 of 2", "0.1900", "0.2000", "0.3000", "0.4000"]
    assert [line.strip() for line in render([table]).strip().split("\n")[-1].strip("| ").split("|")] == expected
    assert weak_forecasters(results) == ""
    report = write_report(results.store.folder, tmp_path / "report").read_text(encoding="utf-8")
    assert "Weak" not in report
    rows = pd.read_csv(tmp_path / "report" / "tables" / "training.csv")
    assert rows[["seed", "steps", "kept", "validation", "ridge"]].to_numpy().tolist() == [
        [0, 200, 175, 0.19, 0.2],
        [1, 200, 175, 0.19, 0.2],
    ]


@pytest.mark.parametrize(
    ("validation", "above"),
    [
        (of(0.201), ""),  # within 1 %
        (of(0.25), "above ridge regression's 0.2000"),
        (of(0.31), "above ridge regression's 0.2000 and seasonal-naive's 0.3000"),
        (of(0.31, ridge=np.nan), "above seasonal-naive's 0.3000"),
    ],
)
def test_a_forecaster_that_loses_on_validation_is_called_weak(
    validation: Validation, above: str, tmp_path: Path, fakes: Any
) -> None:
    said = weak_forecasters(results_with(tmp_path, fakes, validation))
    assert above in said
    assert bool(said) == bool(above)


def test_the_summary_says_it_and_links_to_the_section(tmp_path: Path, fakes: Any) -> None:
    results = results_with(tmp_path, fakes, of(0.31))
    text = write_report(results.store.folder, tmp_path / "report").read_text(encoding="utf-8")
    answer = text.partition("## Answer")[2].partition("## Leaderboard")[0]
    assert "**Weak on validation rows** (MSE): titans on akl-pedestrians has 0.3100, above" in answer
    assert "](#training)" in answer
    assert "\n## Training\n" in text


def test_records_of_earlier_versions_have_a_curve_and_dashes(tmp_path: Path, fakes: Any) -> None:
    results = results_with(tmp_path, fakes, None)
    text = render(training(results))
    assert text.count(" – |") == 4
    assert "A dash: made before it was recorded, by an earlier version of this package." in text
    assert weak_forecasters(results) == ""
    with drawing_style():
        (figure,) = figures_in(training(results))
    assert len(figure.canvas.axes[0].get_lines()) == 2  # no reference, no circle


def test_without_a_forecaster_there_is_no_such_section(tmp_path: Path, fakes: Any) -> None:
    store = fakes.write_results(tmp_path / "r", strategies=fakes.strategies[:3], seeds=1)
    assert training(read_results(store.folder)) == []


def test_the_figure_has_a_curve_for_each_seed_and_a_line_for_each_reference(tmp_path: Path, fakes: Any) -> None:
    results = results_with(tmp_path, fakes, of(0.19, seasonal_naive=9.0))
    with drawing_style():
        (figure,) = figures_in(training(results))
    (axes,) = figure.canvas.axes
    curves = [line for line in axes.get_lines() if len(np.asarray(line.get_xdata())) == 9]
    assert len(curves) == 2
    assert np.asarray(curves[0].get_xdata()).tolist() == list(range(0, 201, 25))
    assert {text.get_text() for text in axes.texts} == {"ridge regression", "persistence"}
    assert "Far above and not drawn: seasonal-naive (titans on akl-pedestrians)." in figure.caption


@pytest.mark.parametrize(
    ("errors", "patience", "converged"),
    [
        ([5, 4, 3, 2, 1], 0, False),
        ([5, 4, 3, 3, 3], 0, True),
        ([5, 4, 3, 2, 1.99], 0, True),
        ([5, 1, 2, 2, 2], 3, True),
        ([5, 4, 1], 0, False),  # too few looks
        ([9, 8, 7, 6, 5, 5, 5, 4], 9, False),
    ],
)
def test_converged_is_what_stopped_improving(errors: list[float], patience: int, converged: bool) -> None:
    assert has_converged(np.array(errors, dtype=float), patience) == converged
