"""Sentences written from numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.report.render.markdown import render
from bench.report.sections.summary import answer, question
from bench.report.view.comparisons import against_best, pair_table
from bench.report.view.loading import read_results
from bench.results.checksums import add_checksum, verify


def text_of(fakes: Any, folder: Path, strategies: list[Any], seeds: int = 3) -> str:
    scenario = fakes.Scenario(origins=40, events=())
    return render(answer(read_results(fakes.write_results(folder, [scenario], strategies, seeds).folder)))


def test_persistence_wins(tmp_path: Path, fakes: Any) -> None:
    strategies = [fakes.Strategy("persistence", 0.1), fakes.Strategy("rls", 0.5)]
    text = text_of(fakes, tmp_path, strategies)
    assert "**persistence** has the lowest MSE" in text
    assert "nothing beats repeating the last value" in text
    assert "**Worse than persistence:** rls." in text


def test_frozen_wins(tmp_path: Path, fakes: Any) -> None:
    strategies = [
        fakes.Strategy("persistence", 0.5),
        fakes.Strategy("frozen", 0.1, uses_forecaster=True),
        fakes.Strategy("titans-c", 0.3, uses_forecaster=True),
    ]
    text = text_of(fakes, tmp_path, strategies)
    assert "no way of adapting beats leaving the forecaster alone" in text
    assert "below persistence" in text


@pytest.mark.parametrize(
    ("error", "what"), [(0.2001, "no significant difference"), (0.24, "**a significant difference**")]
)
def test_the_gap_is_tested(error: float, what: str, tmp_path: Path, fakes: Any) -> None:
    scenario = fakes.Scenario(origins=200, events=())
    strategies = [fakes.Strategy("rls", 0.200, noise=1e-6), fakes.Strategy("ogd", error, noise=1e-6)]
    results = read_results(fakes.write_results(tmp_path, [scenario], strategies, 3).folder)
    text = render(answer(results))
    pair = against_best(results, "akl-pedestrians").iloc[0]
    assert {pair["one"], pair["other"]} == {"rls", "ogd"}
    p = pair["p_holm"]
    assert f": {what} (in MSE \N{MINUS SIGN}" in text
    assert (f"p = {p:.3f})" if p >= 0.001 else "p < 0.001)") in text
    assert (p < 0.05) == pair["significant"] == what.startswith("**")
    assert "later version" not in text


def test_a_gap_that_cannot_be_tested_says_why(tmp_path: Path, fakes: Any) -> None:
    strategies = [fakes.Strategy("rls", 0.200), fakes.Strategy("ogd", 0.3)]
    scenario = fakes.Scenario(origins=48, stride=1, preset="online", events=())
    text = render(answer(read_results(fakes.write_results(tmp_path, [scenario], strategies, 3).folder)))
    assert ": not tested, too few forecasts (in MSE \N{MINUS SIGN}" in text
    assert "significant" not in text


def test_equal_forecasts_have_no_difference_at_all(tmp_path: Path, fakes: Any) -> None:
    strategies = [fakes.Strategy("rls", 0.200, noise=0), fakes.Strategy("ogd", 0.2, noise=0)]
    text = text_of(fakes, tmp_path, strategies)
    assert "is 0.0 % above it: no difference at all." in text
    assert "nan" not in text


def test_that_nothing_is_significant_is_part_of_the_answer(tmp_path: Path, fakes: Any) -> None:
    alike = [fakes.Strategy(name, 0.2, noise=1e-6) for name in ("rls", "ogd", "dsof")]
    scenario = fakes.Scenario(origins=200, events=())
    text = render(answer(read_results(fakes.write_results(tmp_path / "a", [scenario], alike, 3).folder)))
    assert "**Of 3 pairs of strategies none differs significantly.**" in text
    found = [*alike, fakes.Strategy("persistence", 0.4, noise=1e-6)]
    text = render(answer(read_results(fakes.write_results(tmp_path / "b", [scenario], found, 3).folder)))
    assert "none differs" not in text
    few = fakes.Scenario(origins=48, stride=1, preset="online", events=())
    text = render(answer(read_results(fakes.write_results(tmp_path / "c", [few], alike, 3).folder)))
    assert "**None of the 3 pairs of strategies could be tested for significance.**" in text


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


def test_a_small_p_value_alone_is_no_finding(tmp_path: Path, fakes: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A significant difference needs its interval too; the answer and the ranks' wins go by both."""
    alike = [fakes.Strategy(name, 0.2, noise=1e-6) for name in ("rls", "ogd", "dsof")]
    scenario = fakes.Scenario(origins=200, events=())
    results = read_results(fakes.write_results(tmp_path, [scenario], alike, 3).folder)
    changed = pair_table(results).assign(p_holm=0.01)
    monkeypatch.setattr("bench.report.sections.summary.pair_table", lambda _: changed)
    assert "**Of 3 pairs of strategies none differs significantly.**" in render(answer(results))
