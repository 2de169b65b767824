"""Who is ahead when, as the report says it: skill around each known drift, and no verdict on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.report.render.markdown import render
from bench.report.render.numbers import percent
from bench.report.sections.when import when
from bench.report.view.loaded import Results
from bench.report.view.loading import read_results
from bench.report.view.when import around_drifts, skills_over_time


@pytest.fixture(scope="module")
def results(two_datasets: Path) -> Results:
    return read_results(two_datasets)


def test_skill_before_and_after_each_drift_is_that_of_its_forecasts(results: Results) -> None:
    found = around_drifts(results)
    assert found["scenario"].unique().tolist() == ["akl-pedestrians"]  # the other one has no drift
    spans = found.drop_duplicates(["event", "span"])[["event", "span"]].to_numpy().tolist()
    assert spans == [
        [event, span] for event in ("lockdown", "reopening") for span in ("before", "first 7 days", "first 28 days")
    ]
    row = found[(found["entry"] == "rls") & (found["span"] == "first 7 days")].iloc[0]
    errors = results.errors_by_seed("akl-pedestrians")
    own, frozen = (errors[name].loc[row["row"] :].head(7).to_numpy() for name in ("rls", "frozen"))
    assert (row["origins"], row["against"]) == (7, "frozen")
    assert row["mse"] == pytest.approx(own.mean())
    assert row["skill"] == pytest.approx(100 * (1 - np.exp(np.log(own / frozen).mean())))


def test_the_section_says_that_one_drift_is_one_observation_and_has_no_verdict(results: Results) -> None:
    text = render(when(results))
    assert text.count("**One drift is one observation**") == 1
    assert "significant" not in text
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.split("\n") if line.startswith("|")]
    assert rows[0][:4] == ["Drift", "forecasts", "n", "MSE of frozen ↓"]
    assert [row[0] for row in rows[2:]] == ["lockdown (2020-03-09)", "", "", "reopening (2020-03-27)", "", ""]
    told = around_drifts(results).set_index(["event", "span", "entry"])["skill"]
    assert rows[2][rows[0].index("rls ↑")] == percent(told["lockdown", "before", "rls"])


def test_without_frozen_it_is_against_persistence(tmp_path: Path, fakes: Any) -> None:
    strategies = [one for one in fakes.strategies if one.name != "frozen"]
    results = read_results(fakes.write_results(tmp_path / "r", strategies=strategies, seeds=1).folder)
    assert "Skill against persistence; higher is better." in render(when(results))
    assert set(skills_over_time(results, "akl-pedestrians")) == {one.name for one in strategies} - {"persistence"}
