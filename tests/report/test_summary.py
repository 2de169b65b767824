"""Sentences written from numbers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from bench.report.render.markdown import render
from bench.report.sections.summary import answer, question
from bench.report.view.comparisons import against_best
from bench.report.view.loading import read_results
from bench.results.checksums import add_checksum, verify


def text_of(fakes: Any, folder: Path, strategies: list[Any], seeds: int = 3) -> str:
    scenario = fakes.Scenario(origins=40, events=())
    return render(answer(read_results(fakes.write_results(folder, [scenario], strategies, seeds).folder)))


def test_persistence_wins(tmp_path: Path, fakes: Any) -> None:
    strategies = [fakes.Strategy("persistence", 0.1), fakes.Strategy("rls", 0.5)]
    text = text_of(fakes, tmp_path, strategies)
    assert "**persistence** has the lowest MSE" in text
    assert "nothing is better than repeating the last value" in text
    assert "**Worse than persistence:** rls." in text


def test_frozen_wins(tmp_path: Path, fakes: Any) -> None:
    strategies = [
        fakes.Strategy("persistence", 0.5),
        fakes.Strategy("frozen", 0.1, uses_forecaster=True),
        fakes.Strategy("titans-c", 0.3, uses_forecaster=True),
    ]
    text = text_of(fakes, tmp_path, strategies)
    assert "no way of adapting is better than leaving the forecaster alone" in text
    assert "Its skill against persistence is +" in text


@pytest.mark.parametrize(
    ("error", "what"),
    [(0.2001, "Not significantly worse: ogd (a skill of "), (0.24, "Every other entry is significantly worse.")],
)
def test_the_rivals_are_those_that_are_not_significantly_worse(
    error: float, what: str, tmp_path: Path, fakes: Any
) -> None:
    scenario = fakes.Scenario(origins=200, events=())
    strategies = [fakes.Strategy("rls", 0.200, noise=1e-6), fakes.Strategy("ogd", error, noise=1e-6)]
    results = read_results(fakes.write_results(tmp_path, [scenario], strategies, 3).folder)
    text = render(answer(results))
    pair = against_best(results, "akl-pedestrians").iloc[0]
    assert {pair["one"], pair["other"]} == {"rls", "ogd"}
    assert what.replace("ogd", pair["other"]) in text
    assert (pair["p_adjusted"] < 0.05) == (pair["verdict"] == "better") == what.startswith("Every")
    assert "later version" not in text


def test_the_skill_of_the_best_against_frozen_and_how_sure_it_is(tmp_path: Path, fakes: Any) -> None:
    scenario = fakes.Scenario(origins=200, events=())
    strategies = [
        fakes.Strategy("frozen", 0.5, noise=1e-6, uses_forecaster=True),
        fakes.Strategy("rls", 0.4, noise=1e-6),
        fakes.Strategy("persistence", 0.6, noise=1e-6),
    ]
    text = render(answer(read_results(fakes.write_results(tmp_path, [scenario], strategies, 3).folder)))
    assert re.search(r"Its skill against frozen is \+(19|20)\.\d \[", text)
    assert "%, **significant** (p < 0.001)." in text


def test_a_stream_that_is_too_short_for_a_test_says_so(tmp_path: Path, fakes: Any) -> None:
    strategies = [fakes.Strategy("rls", 0.200), fakes.Strategy("ogd", 0.3), fakes.Strategy("persistence", 0.4)]
    scenario = fakes.Scenario(origins=48, stride=1, preset="online", events=())
    text = render(answer(read_results(fakes.write_results(tmp_path, [scenario], strategies, 3).folder)))
    assert "No other entry could be compared with it by a test." in text
    assert "%, not tested (too few stretches)." in text
    assert "significant" not in text.split("Skill is")[0]


def test_equal_forecasts_do_not_differ(tmp_path: Path, fakes: Any) -> None:
    strategies = [fakes.Strategy("rls", 0.200, noise=0), fakes.Strategy("ogd", 0.2, noise=0)]
    text = text_of(fakes, tmp_path, strategies)
    assert re.search(r"Not significantly worse: (ogd|rls)\.", text)
    assert "nan" not in text


def test_the_cost_stands_beside_the_next_and_frozen(tmp_path: Path, fakes: Any) -> None:
    strategies = [
        fakes.Strategy("frozen", 0.5, predict_ms=2.0, adapt_ms=0.0, uses_forecaster=True),
        fakes.Strategy("rls", 0.3, predict_ms=0.5, adapt_ms=0.5),
        fakes.Strategy("titans-c", 0.1, predict_ms=3.0, adapt_ms=30.0, uses_forecaster=True),
    ]
    text = text_of(fakes, tmp_path, strategies)
    assert "It costs 33.0 s per 1,000 windows (rls: 1.00 s, frozen: 2.00 s)." in text


def test_frozen_s_cost_stands_beside_that_of_a_strategy_without_a_forecaster(tmp_path: Path, fakes: Any) -> None:
    """Its skill is against frozen, too."""
    strategies = [
        fakes.Strategy("frozen", 0.5, predict_ms=2.0, adapt_ms=0.0, uses_forecaster=True),
        fakes.Strategy("rls", 0.1, predict_ms=0.5, adapt_ms=0.5),
        fakes.Strategy("titans-c", 0.3, predict_ms=3.0, adapt_ms=30.0, uses_forecaster=True),
    ]
    text = text_of(fakes, tmp_path, strategies)
    assert "It costs 1.00 s per 1,000 windows (titans-c: 33.0 s, frozen: 2.00 s)." in text


def test_instant_labels_are_owned_up_to(tmp_path: Path, fakes: Any) -> None:
    strategies = [fakes.Strategy("persistence", 0.5), fakes.Strategy("rls", 0.1)]
    folder = fakes.write_results(tmp_path, [fakes.Scenario(origins=40, events=())], strategies, 1).folder
    assert "none saw a row before its time." in render(question(read_results(folder)))
    for path in folder.glob("*/record.json"):
        text, _ = verify(path.read_bytes())
        record = json.loads(text)
        record["protocol"]["labels"] = "instant"
        frames = [file for file in path.parent.iterdir() if file.suffix == ".parquet"]
        path.write_text(add_checksum(json.dumps(record, indent=1), frames))
    results = read_results(folder)
    assert "nothing is ranked" in render(answer(results))
    assert "lowest MSE" not in render(answer(results))
    assert "all did, on purpose" in render(question(results))
