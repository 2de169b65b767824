"""What the report says of forecasts that were scored against values which were never measured."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.report.render.markdown import render
from bench.report.sections.reproduction import provenance
from bench.report.sections.summary import answer
from bench.report.view.loading import read_results
from bench.results.store import Store


@pytest.mark.parametrize(
    ("filled", "told", "shares"),
    [
        ({}, "", ""),
        ({"Queen St": 0.01}, "", "never measured, of the stream: Queen St 1 %"),
        (
            {"Queen St": 0.2, "Quay St": 0.01, "K Road": 0.06, "rain": 0.9},  # rain is no target
            "akl-pedestrians (Queen St 20 % and K Road 6 %) of the stream",
            "never measured, of the stream: rain 90 %, Queen St 20 %, K Road 6 % and Quay St 1 %",
        ),
    ],
)
def test_shares_are_in_the_report_and_large_ones_in_its_answer(
    tmp_path: Path, fakes: Any, filled: dict[str, float], told: str, shares: str
) -> None:
    store, scenario = Store(tmp_path / "r"), fakes.Scenario(origins=20)
    dataset = scenario.record().model_copy(update={"filled": filled})
    for strategy in fakes.strategies[:2]:
        fakes.write_run(store, strategy, scenario, 0, dataset=dataset)
    results = read_results(store.folder)
    warning = "**Scored against values that were never measured**"
    text = render(answer(results))
    assert told in text
    assert (warning in text) == bool(told)
    assert shares in render(provenance(results))
    assert ("never measured" in render(provenance(results))) == bool(shares)
