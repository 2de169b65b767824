"""Estimated change points: kept by fingerprint, drawn apart from known drifts, hidden from strategies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.analysis.estimated_drift import EstimatedDrift, estimated_drifts, read_drifts
from bench.results.disk import CHANGE_POINTS
from bench.testing import small_series

from ..conftest import Bench


@pytest.fixture
def _found() -> None:
    pytest.importorskip("ruptures", reason="change points need adaptbench[drift]")


@pytest.mark.usefixtures("_found")
def test_they_are_computed_once_for_the_same_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    series = small_series(rows=600)
    found = estimated_drifts(series, tmp_path)
    assert found == read_drifts(tmp_path, series.fingerprint)
    assert found
    assert abs(found[-1].row - series.events[0].row) <= 60
    monkeypatch.setattr(
        "bench.analysis.statistics.change_points.change_points", lambda *_: pytest.fail("computed again")
    )
    assert estimated_drifts(series, tmp_path) == found
    assert [file.name for file in tmp_path.iterdir()] == [f"{series.fingerprint}.json"]


@pytest.mark.parametrize("text", ["", "[]", '{"method": 0, "points": []}', '{"method": 1, "points": [{"row": 1}]}'])
def test_what_is_kept_in_another_form_is_not_read(tmp_path: Path, text: str) -> None:
    (tmp_path / "f.json").write_text(text)
    assert read_drifts(tmp_path, "f") is None


@pytest.mark.usefixtures("_found")
def test_what_cannot_be_kept_leaves_nothing_behind(tmp_path: Path) -> None:
    series = small_series(rows=600)
    (tmp_path / f"{series.fingerprint}.json").mkdir()  # nothing can take its place
    assert estimated_drifts(series, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == [f"{series.fingerprint}.json"]


def test_without_the_package_there_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.analysis.statistics.change_points.is_available", lambda: False)
    assert estimated_drifts(small_series(), tmp_path) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("_found", "without_report")
def test_a_run_leaves_them_beside_its_results(tiny: Path, bench: Bench) -> None:
    assert bench("run", tiny).status == 0
    record = json.loads(next(tiny.parent.glob("results/tiny/*/record.json")).read_text())
    assert record["dataset"]["events"] == []  # an estimate is no event: nothing in service can see it
    folder = tiny.parent / "results" / "tiny" / CHANGE_POINTS
    assert read_drifts(folder, record["dataset"]["fingerprint"]) is not None
    (tiny.parent / "waves.csv").write_text("a,b\n" + "".join(f"{k % 7},{k % 5}\n" for k in range(400)))
    for file in folder.iterdir():
        file.unlink()
    assert bench("run", tiny, "--strategy", "rls").status == 0
    assert len(list(folder.iterdir())) == 1


def test_an_estimate_is_told_from_its_parts() -> None:
    assert vars(EstimatedDrift(3, -1.5, "x")) == {"row": 3, "shift": -1.5, "column": "x"}
