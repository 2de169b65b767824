"""The best against the others, as the report says it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.report.render.markdown import render
from bench.report.sections.significance import significance
from bench.report.view.loading import read_results


def test_the_best_stands_against_every_other(tmp_path: Path, fakes: Any) -> None:
    scenario = fakes.Scenario(origins=300, events=())
    strategies = [
        fakes.Strategy("rls", 0.2),
        fakes.Strategy("ogd", 0.2001),
        fakes.Strategy("persistence", 0.4),
        fakes.Strategy("oracle", 0.01, group="leaky"),
    ]
    results = read_results(fakes.write_results(tmp_path / "r", [scenario], strategies, 3).folder)
    text = render(significance(results))
    rows = [line for line in text.split("\n") if line.startswith("|")][2:]
    assert len(rows) == 2
    assert "| no significant difference |" in " ".join(rows[0].split())
    assert "| < 0.001 | **better** | " in " ".join(rows[1].split())
    assert "oracle" not in text
    assert "n = 100 stretches" in text
    assert "Of 3 pairs on this dataset 2 differ significantly" in text
    assert "No entry is significantly better than rls and ogd." in text or "than ogd and rls." in text


def test_nobody_to_compare_with_is_no_section(tmp_path: Path, fakes: Any) -> None:
    store = fakes.write_results(tmp_path / "r", strategies=fakes.strategies[:1], seeds=1)
    assert significance(read_results(store.folder)) == []
