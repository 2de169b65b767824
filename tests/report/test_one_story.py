"""A report tells one story: whatever it says of a pair, in whichever section, is the pair's one verdict."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from bench.report.render.markdown import render
from bench.report.render.numbers import NONE
from bench.report.sections.ranks import ranks
from bench.report.sections.skill import skill
from bench.report.sections.summary import answer
from bench.report.sections.verdict_cells import could_show, p_text, skill_text
from bench.report.view.comparisons import part_ablations, verdict_table
from bench.report.view.loaded import Results
from bench.report.view.loading import read_results
from bench.report.view.rankings import skill_over_datasets
from bench.results.store import Store

MORE = re.compile(r" \((?:[^()]|\([^()]*\))*\)")
"""What stands in brackets behind a name."""


@pytest.fixture(scope="module")
def results(two_datasets: Path) -> Results:
    return read_results(two_datasets)


def section(readme: Path, title: str) -> str:
    text = readme.read_text(encoding="utf-8").partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    assert text, title
    return text


def verdict(results: Results, scenario: str, one: str, other: str) -> str:
    """The one verdict on a pair, seen from the first."""
    table = verdict_table(results)
    here = table[table["scenario"] == scenario]
    pairs = dict(zip(zip(here["one"], here["other"], strict=True), here["verdict"], strict=True))
    if (one, other) in pairs:
        return str(pairs[one, other])
    return {"better": "worse", "worse": "better"}.get(found := str(pairs[other, one]), found)


def names(text: str) -> list[str]:
    """Those of a list in words."""
    return [name for name in re.split(r", | and ", MORE.sub("", text).strip()) if name]


def test_the_answer_names_those_that_are_not_significantly_worse(results: Results, readme: Path) -> None:
    lines = re.findall(r"^- \*\*(.+?)\*\*: \*\*(.+?)\*\* has the lowest MSE(.*)$", section(readme, "Answer"), re.M)
    assert len(lines) == 2
    for scenario, best, rest in lines:
        others = [entry for entry in results.board_of(scenario).dropna(subset=["rank"])["entry"] if entry != best]
        told = {entry: verdict(results, scenario, best, entry) for entry in others}
        said = re.search(r"Not significantly worse: (.*?)(?: \(a skill|\. It)", rest)
        equal = [entry for entry, what in told.items() if what == "no significant difference"]
        assert (names(said[1]) if said else []) == equal
        assert ("No other entry could be compared" in rest) == (set(told.values()) == {"too short"})
        assert ("**significant**" in rest) == (told["frozen"] == "better")


def test_sentences_about_frozen_are_those_verdicts(results: Results, readme: Path) -> None:
    phrases = {
        "better": r"(?:is|are) significantly better than frozen",
        "worse": r"(?:is|are) significantly worse than frozen",
        "no significant difference": r"(?:does|do) not differ significantly from frozen",
        "too short": r"(?:was|were) not tested \(too few stretches\) against frozen",
    }
    seen = 0
    for scenario, rest in re.findall(r"^- \*\*(?!Over )(.+?)\*\*: (.*)\.$", section(readme, "Skill"), re.M):
        for part in rest.split("; "):
            what = next(what for what, phrase in phrases.items() if re.search(phrase, part))
            for entry in names(re.split(phrases[what], part)[0]):
                assert verdict(results, scenario, entry, "frozen") == what
                seen += 1
    assert seen == 12


def test_tables_of_significance_and_ablations_hold_those_verdicts(results: Results, readme: Path) -> None:
    seen = 0
    for title in ("Statistical significance", "Ablations"):
        text = section(readme, title)
        header, _, *rows = [
            [cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line[:1] == "|"
        ]
        for row in rows:
            for head, cell in zip(header[1:], row[1:], strict=True):
                if not head.endswith(", % ↑") or cell == NONE:
                    continue
                best, _, scenario = head.removesuffix(", % ↑").rpartition(" on ")
                one, other = row[1].split(" against ") if title == "Ablations" else (best, row[0])
                expected = verdict(results, scenario, one, MORE.sub("", other))
                assert said(cell) == ("" if expected == "no significant difference" else expected)
                seen += 1
    assert seen == 8 + 8 + len(part_ablations(results))


def said(cell: str) -> str:
    """The verdict that a cell with a skill says."""
    if cell.endswith("not tested"):
        return "too short"
    assert cell.startswith("**") == bool(re.search(r", p [=<] [\d.]+$", cell)) != (", could show " in cell)
    return ("worse" if cell.startswith("**\N{MINUS SIGN}") else "better") if cell.startswith("**") else ""


def test_on_how_many_datasets_an_entry_is_better_is_counted_from_those_verdicts(results: Results, readme: Path) -> None:
    (rest,) = re.findall(r"^- \*\*Over 2 datasets\*\*: (.*)\.$", section(readme, "Skill"), re.M)
    seen: dict[str, list[int]] = {}
    for part in rest.split("; "):
        who, said = re.split(r" (?:is|are) significantly better ", part)
        counted = re.fullmatch(r"than frozen on (\d) of 2 \(worse on (\d)\)", said)
        assert counted or said == "or worse than frozen on none of 2"
        seen |= {name: [int(number) for number in (counted.groups() if counted else "00")] for name in names(who)}
    for entry, counts in seen.items():
        told = [verdict(results, scenario, entry, "frozen") for scenario in results.scenarios]
        assert [told.count("better"), told.count("worse")] == counts
    assert len(seen) == 6


@pytest.fixture(scope="module")
def six(tmp_path_factory: pytest.TempPathFactory, fakes: Any) -> Results:
    """Six datasets: rls is better on each, ogd on average as good as frozen, persistence worse."""
    store = Store(tmp_path_factory.mktemp("six") / "r")
    for i in range(6):
        strategies = [
            fakes.Strategy("rls", 0.15),
            fakes.Strategy("ogd", 0.2 + 0.1 * (i % 2), options={"lr": 0.01}),
            fakes.Strategy("frozen", 0.25),
            fakes.Strategy("persistence", 0.4),
        ]
        fakes.write_results(store.folder, [fakes.Scenario(f"d{i}", events=(), origins=100)], strategies, 2)
    return read_results(store.folder)


def test_answer_skill_and_ranks_agree_over_datasets(six: Results) -> None:
    over = skill_over_datasets(six)
    assert dict(zip(over["entry"], over["verdict"], strict=True)) == {
        "rls": "better",
        "ogd (lr=0.01)": "no significant difference",
        "persistence": "worse",
    }
    text = render([*answer(six), *skill(six), *ranks(six)])
    said = skill_text(over.iloc[0])
    assert f"Its skill against frozen over 6 datasets is {said} %, **significant** (" in text
    assert f"**Over 6 datasets**: rls ({said} %) is significantly better than frozen; ogd (lr=0.01) (could show" in text
    assert "by Nemenyi's test of pairs, rls is significantly ahead of" in text  # where ranks say who, it is the same
    table = text.partition("<summary>Skills over all datasets</summary>")[2].partition("</details>")[0]
    for _, row in over.iterrows():
        (cells,) = [line.split("|")[1:-1] for line in table.split("\n") if line.startswith(f"| {row['entry']}")]
        assert cells[1].strip() == skill_text(row)
        assert cells[3].strip(" *") == row["verdict"]


def test_what_the_answer_calls_not_significant_over_datasets_has_its_resolution(tmp_path: Path, fakes: Any) -> None:
    store = Store(tmp_path / "r")
    for i in range(5):
        strategies = [fakes.Strategy("ogd", 0.2 + 0.08 * (i == 4)), fakes.Strategy("frozen", 0.22)]
        fakes.write_results(store.folder, [fakes.Scenario(f"d{i}", events=(), origins=100)], strategies, 2)
    results = read_results(store.folder)
    (row,) = (row for _, row in skill_over_datasets(results).iterrows())
    text = render(answer(results))
    assert row["verdict"] == "no significant difference"
    said = f"over 5 datasets is {skill_text(row)} %, not significant ({p_text(row['p_adjusted'])}); a skill of"
    assert f"{said} {could_show(row['resolution'])} % could have been shown." in text
